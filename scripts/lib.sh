# Sourced by the scripts: where the checkout is, how packages get installed, how a build is made.
# shellcheck shell=bash
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# packages FILE...: the names in them
packages() {
    sed -e 's/#.*//' "$@" | tr -s ' \n' '\n' | grep -v '^$' | sort -u
}

# install NAME...: by apt, only what is missing
install() {
    local missing=() name
    for name in "$@"; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    echo "installing: ${missing[*]}"
    "${as_root[@]}" apt-get -qq update || die "apt-get update failed"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "${missing[@]}" >/dev/null || die "apt-get install failed: ${missing[*]}"
}

# build DIR CONFIGURE-OPTION...: out of tree; logs are beside what is built
build() {
    local dir=$1
    shift
    mkdir -p "$dir"
    if [ ! -x "$top/configure" ]; then
        (cd "$top" && autoreconf -fi >"$dir/autoreconf.log" 2>&1) ||
            { tail -20 "$dir/autoreconf.log" >&2 && die "autoreconf failed, see $dir/autoreconf.log"; }
    fi
    if [ ! -f "$dir/Makefile" ]; then
        (cd "$dir" && "$top/configure" "$@" >configure.log 2>&1) ||
            { tail -20 "$dir/configure.log" >&2 && die "configure failed, see $dir/configure.log"; }
    fi
    make -C "$dir" -j"$(nproc)" >"$dir/make.log" 2>&1 ||
        { grep -E -A5 'error:|undefined reference|\*\*\*' "$dir/make.log" | head -40 >&2 && die "make failed, see $dir/make.log"; }
}
