# configure options of Jackalope: one macro an option.

# CFLAGS of whoever builds win; else what the options ask for. Before AC_PROG_CC.
AC_DEFUN([JK_CFLAGS], [
AS_IF([test "x$enable_coverage" = xyes], [: ${CFLAGS="-O0 -g"}],
  [test "x${enable_sanitizers-no}" != xno], [: ${CFLAGS="-O1 -g"}],
  [: ${CFLAGS="-O2 -g"}])
])

# --enable-sanitizers=address,undefined | thread
AC_DEFUN([JK_SANITIZERS], [
AC_ARG_ENABLE([sanitizers],
  [AS_HELP_STRING([--enable-sanitizers=LIST], [build with -fsanitize=LIST (address,undefined or thread)])],
  [], [enable_sanitizers=no])
AS_IF([test "x$enable_sanitizers" = xyes], [enable_sanitizers=address,undefined])
JK_SAN_CFLAGS=
AS_IF([test "x$enable_sanitizers" != xno],
  [JK_SAN_CFLAGS="-fsanitize=$enable_sanitizers -fno-omit-frame-pointer -fno-sanitize-recover=all"])
AC_SUBST([JK_SAN_CFLAGS])
AM_CONDITIONAL([SANITIZERS], [test "x$enable_sanitizers" != xno])
AM_CONDITIONAL([TSAN], [test "x$enable_sanitizers" = xthread])
])

# --enable-fuzz: build the fuzz targets against libFuzzer (needs clang); without it they replay a corpus
AC_DEFUN([JK_FUZZ], [
AC_ARG_ENABLE([fuzz],
  [AS_HELP_STRING([--enable-fuzz], [link the fuzz targets with libFuzzer (CC=clang)])],
  [], [enable_fuzz=no])
AS_IF([test "x$enable_fuzz" = xyes], [
  JK_SAN_CFLAGS="$JK_SAN_CFLAGS -fsanitize=fuzzer-no-link"
  AC_MSG_CHECKING([whether $CC knows libFuzzer])
  jk_save_CFLAGS=$CFLAGS
  CFLAGS="$CFLAGS -fsanitize=fuzzer-no-link"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])], [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no]); AC_MSG_ERROR([--enable-fuzz needs CC=clang])])
  CFLAGS=$jk_save_CFLAGS])
AM_CONDITIONAL([FUZZ], [test "x$enable_fuzz" = xyes])
])

# --enable-debug: assertions of ownership and magic, poisoned pools
AC_DEFUN([JK_DEBUG_CHECKS], [
AC_ARG_ENABLE([debug],
  [AS_HELP_STRING([--enable-debug], [check object magic and home shard at function entry, poison freed memory])],
  [], [enable_debug=no])
AS_IF([test "x$enable_debug" = xyes], [AC_DEFINE([JK_DEBUG], [1], [Debug checks are compiled in])])
])

# --enable-coverage: gcov instrumentation, used by `make coverage`
AC_DEFUN([JK_COVERAGE], [
AC_ARG_ENABLE([coverage],
  [AS_HELP_STRING([--enable-coverage], [instrument for gcov])],
  [], [enable_coverage=no])
JK_COV_CFLAGS=
AS_IF([test "x$enable_coverage" = xyes], [JK_COV_CFLAGS="--coverage -fprofile-update=atomic"])
AC_SUBST([JK_COV_CFLAGS])
AM_CONDITIONAL([COVERAGE], [test "x$enable_coverage" = xyes])
])

# --enable-werror
AC_DEFUN([JK_WARNINGS], [
AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [warnings are errors])], [], [enable_werror=no])
JK_WARN_CFLAGS="-Wall -Wextra -Wconversion -Wno-sign-conversion -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wformat=2"
AS_IF([test "x$enable_werror" = xyes], [JK_WARN_CFLAGS="$JK_WARN_CFLAGS -Werror"])
AC_SUBST([JK_WARN_CFLAGS])
])

# libev ships no pkg-config file
AC_DEFUN([AX_LIBEV], [
AC_CHECK_HEADER([ev.h], [], [AC_MSG_ERROR([libev is needed (libev-dev)])])
AC_CHECK_LIB([ev], [ev_loop_new], [LIBEV_LIBS=-lev], [AC_MSG_ERROR([libev is needed (libev-dev)])])
AC_SUBST([LIBEV_LIBS])
])

# libsystemd: sd_notify and the journal; optional
AC_DEFUN([JK_SYSTEMD], [
AC_ARG_WITH([systemd], [AS_HELP_STRING([--without-systemd], [no sd_notify, no journald log])], [], [with_systemd=check])
AS_IF([test "x$with_systemd" != xno], [
  PKG_CHECK_MODULES([SYSTEMD], [libsystemd],
    [AC_DEFINE([HAVE_SYSTEMD], [1], [libsystemd is there])],
    [AS_IF([test "x$with_systemd" = xyes], [AC_MSG_ERROR([libsystemd not found])])])])
])

# where the systemd unit goes: systemd reads lib/systemd/system of /usr and of /usr/local
AC_DEFUN([JK_SYSTEMD_UNIT], [
AC_ARG_WITH([systemdsystemunitdir],
  [AS_HELP_STRING([--with-systemdsystemunitdir=DIR], [where the systemd unit is installed (PREFIX/lib/systemd/system)])],
  [], [with_systemdsystemunitdir=yes])
AS_IF([test "x$with_systemdsystemunitdir" = xyes], [with_systemdsystemunitdir='${prefix}/lib/systemd/system'])
AS_IF([test "x$with_systemdsystemunitdir" != xno], [AC_SUBST([systemdsystemunitdir], [$with_systemdsystemunitdir])])
AM_CONDITIONAL([SYSTEMD_UNIT], [test "x$with_systemdsystemunitdir" != xno])
])

# where jackalopectl looks for a broker unless told: beside what scripts/quickstart starts, or a service's socket
AC_DEFUN([JK_CONTROL_SOCKET], [
AC_ARG_WITH([control-socket],
  [AS_HELP_STRING([--with-control-socket=PATH], [the control socket that jackalopectl takes unless told (./var/control.sock)])],
  [], [with_control_socket=./var/control.sock])
AC_ARG_WITH([data-directory],
  [AS_HELP_STRING([--with-data-directory=PATH], [the data directory that jackalopectl --offline takes unless told (./var)])],
  [], [with_data_directory=./var])
AC_DEFINE_UNQUOTED([DATA_DIRECTORY_PATH], ["$with_data_directory"], [the data directory that jackalopectl --offline takes unless told])
AC_DEFINE_UNQUOTED([CONTROL_SOCKET_PATH], ["$with_control_socket"], [the control socket that jackalopectl takes unless told])
])

# the allocator: --with-allocator=auto|jemalloc|mimalloc|libc; a sanitizer build always takes libc's
AC_DEFUN([JK_ALLOCATOR], [
AC_ARG_WITH([allocator],
  [AS_HELP_STRING([--with-allocator=NAME], [jemalloc, mimalloc, libc or auto (default)])], [], [with_allocator=auto])
AS_IF([test "x$enable_sanitizers" != xno], [with_allocator=libc])
ALLOCATOR_LIBS=
AS_CASE([$with_allocator],
  [auto|jemalloc], [AC_CHECK_LIB([jemalloc], [mallctl],
     [ALLOCATOR_LIBS=-ljemalloc; AC_DEFINE([HAVE_JEMALLOC], [1], [jemalloc is the allocator])],
     [AS_IF([test "x$with_allocator" = xjemalloc], [AC_MSG_ERROR([jemalloc not found])])])],
  [mimalloc], [AC_CHECK_LIB([mimalloc], [mi_malloc],
     [ALLOCATOR_LIBS=-lmimalloc; AC_DEFINE([HAVE_MIMALLOC], [1], [mimalloc is the allocator])],
     [AC_MSG_ERROR([mimalloc not found])])])
AC_SUBST([ALLOCATOR_LIBS])
])

# Criterion is needed only by the unit tests
AC_DEFUN([JK_CRITERION], [
PKG_CHECK_MODULES([CRITERION], [criterion], [have_criterion=yes], [have_criterion=no])
AM_CONDITIONAL([UNIT_TESTS], [test "x$have_criterion" = xyes && test "x$enable_sanitizers" != xthread])
])

# JK_PLUGIN([name], [shared|static|no], [what it is for]): --with-plugin-NAME decides otherwise. A shared one is a module
# that an operator enables; a static one is part of the daemon, and enabled likewise.
AC_DEFUN([JK_PLUGIN], [
AC_ARG_WITH([plugin-$1],
  [AS_HELP_STRING([--with-plugin-$1=HOW], [shared, static or no: $3 ($2)])], [], [with_plugin_$1=$2])
AS_CASE([$with_plugin_$1], [yes], [with_plugin_$1=$2],
  [shared|static|no], [], [AC_MSG_ERROR([--with-plugin-$1 is shared, static or no])])
AS_IF([test "x$with_plugin_$1" = xstatic], [jk_static_plugins="$jk_static_plugins X($1)"])
AM_CONDITIONAL(m4_toupper([PLUGIN_$1_SHARED]), [test "x$with_plugin_$1" = xshared])
AM_CONDITIONAL(m4_toupper([PLUGIN_$1_STATIC]), [test "x$with_plugin_$1" = xstatic])
])

# after all of them
AC_DEFUN([JK_PLUGINS_DONE], [
AC_DEFINE_UNQUOTED([STATIC_PLUGINS(X)], [$jk_static_plugins], [the plug-ins that are linked with the daemon])
DL_LIBS=
AC_CHECK_FUNC([dlopen], [], [AC_CHECK_LIB([dl], [dlopen], [DL_LIBS=-ldl], [AC_MSG_ERROR([there is no dlopen])])])
AC_SUBST([DL_LIBS])
])
