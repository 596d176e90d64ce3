/* The log. A line is put together on the caller's stack, bounded, with everything a terminal or a
 * line reader could stumble over escaped, and goes out with one write. A read lock is held around
 * that write, so that a descriptor is never closed under it. */
#include "base/log.h"

#include "base/log_recent.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#endif

enum {
    MESSAGE_MAX = 4096, /* bytes of a message before escaping */
    LINE_MAX_ = 8192,   /* bytes of a line with everything */
    CONTEXT_MAX = 8,    /* links of a context chain */
    MARK = 3,           /* bytes before a line, for the "<6>" that the journal's stream takes */
    STAMP = 30          /* bytes of the time in front of a line of text */
};

/* clang-format off */
/* exception: a process has one log; levels are single bytes, changed at boot and by the operator */
unsigned char log_levels_[LOG_CATEGORY_COUNT] = {
#define X(symbol, name, text) LOG_INFO_,
    LOG_CATEGORIES(X)
#undef X
};

static const char *const category_names[LOG_CATEGORY_COUNT] = {
#define X(symbol, name, text) name,
    LOG_CATEGORIES(X)
#undef X
};
/* clang-format on */

static const char *const level_names[] = {"debug", "info", "warning", "error", "critical", "none"};
static const char priorities[] = "764322"; /* of syslog(3), by level */

/* exception: where the one log goes; the lock guards it */
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static enum log_output current_output = LOG_OUTPUT_STDERR;
static enum log_format current_format = LOG_FORMAT_TEXT;
static int current_fd = STDERR_FILENO;
static char *current_file;
static enum log_level tap_level;
static void (*current_tap)(enum log_level level, struct slice line, enum log_format format);

/* ---- a bounded line ---- */
struct line {
    char text[LINE_MAX_];
    size_t len, room; /* room: what may be used now; the rest is kept for the tail */
    bool full;
};

static void put(struct line *l, const char *text, size_t n)
{
    if (l->full || l->len + n > l->room) {
        l->full = true;
        return;
    }
    memcpy(l->text + l->len, text, n);
    l->len += n;
}

static void put_str(struct line *l, const char *text)
{
    put(l, text, strlen(text));
}

/* C0, DEL and C1 (two bytes in UTF-8), and of the three bytes what parts lines or turns the
 * direction of writing (U+2028 to U+202E, U+2066 to U+2069): what a terminal could obey. */
static bool is_control(const uint8_t *p, unsigned n)
{
    if (n == 3 && p[0] == 0xe2)
        return (p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae) ||
               (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9);
    return (n == 1 && (p[0] < 0x20 || p[0] == 0x7f)) || (n == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

static void put_text_char(struct line *l, const uint8_t *p, unsigned n)
{
    char hex[5];
    if (n && !is_control(p, n)) {
        put(l, (const char *)p, n);
    } else if (n == 1 && (*p == '\n' || *p == '\r' || *p == '\t')) {
        put_str(l, *p == '\n' ? "\\n" : *p == '\r' ? "\\r" : "\\t");
    } else {
        for (unsigned i = 0; i < (n ? n : 1); i++) {
            snprintf(hex, sizeof hex, "\\x%02x", p[i]);
            put(l, hex, 4);
        }
    }
}

static void put_json_char(struct line *l, const uint8_t *p, unsigned n)
{
    char hex[8];
    if (!n) {
        put_str(l, "\\ufffd");
    } else if (is_control(p, n)) {
        unsigned code = n == 3 ? 0x2000u | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu) : p[n - 1];
        snprintf(hex, sizeof hex, "\\u%04x", code);
        put(l, hex, 6);
    } else if (*p == '"' || *p == '\\') {
        const char pair[2] = {'\\', (char)*p};
        put(l, pair, 2);
    } else {
        put(l, (const char *)p, n);
    }
}

/* How many bytes from at on are plain in either format, at most max. */
static size_t plain_run(struct slice s, size_t at, size_t max)
{
    size_t end = at;
    while (end < s.len && end - at < max && s.data[end] >= 0x20 && s.data[end] < 0x7f &&
           s.data[end] != '"' && s.data[end] != '\\')
        end++;
    return end - at;
}

/* Stops before the character that no longer fits, and says so with "...". */
static void put_escaped(struct line *l, struct slice s, enum log_format format)
{
    size_t keep = l->room;
    l->room -= 3;
    for (size_t at = 0; at < s.len && !l->full;) {
        size_t run = plain_run(s, at, l->len < l->room ? l->room - l->len : 0);
        if (run) {
            put(l, (const char *)s.data + at, run);
            at += run;
            continue;
        }
        unsigned n = utf8_char_len(slice_of(s.data + at, s.len - at));
        if (format == LOG_FORMAT_JSON)
            put_json_char(l, s.data + at, n);
        else
            put_text_char(l, s.data + at, n);
        at += n ? n : 1;
    }
    l->room = keep;
    if (l->full) {
        l->full = false;
        put_str(l, "...");
    }
}

/* The chain from its root: connection before channel. Returns the number of links. */
static unsigned flatten(const struct log_context *context, const struct log_context **chain)
{
    unsigned n = 0;
    for (const struct log_context *c = context; c && n < CONTEXT_MAX; c = c->parent)
        n++;
    for (unsigned i = n; i > 0; i--, context = context->parent)
        chain[i - 1] = context;
    return n;
}

/* A moment as text, but for its fraction. */
struct stamp {
    time_t second;
    char text[20]; /* 2026-01-31 23:59:59 */
    char zone[7];  /* +01:00 */
};

/* Local time is looked up once a second and thread: it takes a lock, and longer than the line. */
static const struct stamp *stamp_of(time_t second)
{
    static _Thread_local struct stamp last; /* exception: a cache */
    struct tm tm;
    if (last.second == second && last.text[0])
        return &last;
    localtime_r(&second, &tm);
    long minutes = labs(tm.tm_gmtoff / 60);
    strftime(last.text, sizeof last.text, "%Y-%m-%d %H:%M:%S", &tm);
    last.zone[0] = tm.tm_gmtoff < 0 ? '-' : '+';
    last.zone[1] = (char)('0' + minutes / 600 % 10);
    last.zone[2] = (char)('0' + minutes / 60 % 10);
    last.zone[3] = ':';
    last.zone[4] = (char)('0' + minutes % 60 / 10);
    last.zone[5] = (char)('0' + minutes % 10);
    last.second = second;
    return &last;
}

static void put_time(struct line *l, char separator, unsigned digits)
{
    struct timespec now;
    char fraction[8] = ".";
    clock_gettime(CLOCK_REALTIME, &now);
    const struct stamp *stamp = stamp_of(now.tv_sec);
    long rest = digits == 3 ? now.tv_nsec / 1000000 : now.tv_nsec / 1000;
    for (unsigned i = digits; i > 0; i--, rest /= 10)
        fraction[i] = (char)('0' + rest % 10);
    put(l, stamp->text, 10);
    put(l, &separator, 1);
    put(l, stamp->text + 11, 8);
    put(l, fraction, digits + 1);
    put(l, stamp->zone, 6);
}

enum { TAIL_ROOM = 1024 }; /* kept for the context behind the message */

static void make_text(struct line *l, enum log_category category, enum log_level level,
                      const struct log_context **chain, unsigned links, struct slice message)
{
    put_time(l, ' ', 3);
    put_str(l, " [");
    put_str(l, level_names[level]);
    put_str(l, "] ");
    put_str(l, category_names[category]);
    put_str(l, ": ");
    l->room = LINE_MAX_ - TAIL_ROOM;
    put_escaped(l, message, LOG_FORMAT_TEXT);
    l->room = LINE_MAX_ - 2;
    for (unsigned i = 0; i < links; i++) {
        put_str(l, i ? ", " : " (");
        put_str(l, chain[i]->key);
        put_str(l, "=");
        put_escaped(l, slice_str(chain[i]->value), LOG_FORMAT_TEXT);
    }
    l->room = LINE_MAX_;
    l->full = false;
    put_str(l, links ? ")\n" : "\n");
}

static void put_json_pair(struct line *l, const char *key, struct slice value)
{
    size_t room = l->room, before = l->len;
    l->room -= 1;
    put_str(l, ",\"");
    put_str(l, key);
    put_str(l, "\":\"");
    if (l->full || l->len + 8 > l->room) { /* a line that is valid counts for more */
        l->len = before;
        l->room = room;
        return;
    }
    put_escaped(l, value, LOG_FORMAT_JSON);
    l->room = room;
    put_str(l, "\"");
}

static void make_json(struct line *l, enum log_category category, enum log_level level,
                      const struct log_context **chain, unsigned links, struct slice message)
{
    put_str(l, "{\"time\":\"");
    put_time(l, 'T', 6);
    put_str(l, "\"");
    put_json_pair(l, "level", slice_str(level_names[level]));
    put_json_pair(l, "category", slice_str(category_names[category]));
    l->room = LINE_MAX_ - TAIL_ROOM;
    put_json_pair(l, "msg", message);
    l->room = LINE_MAX_ - 2;
    for (unsigned i = 0; i < links; i++)
        put_json_pair(l, chain[i]->key, slice_str(chain[i]->value));
    l->room = LINE_MAX_;
    l->full = false;
    put_str(l, "}\n");
}

/* ---- where it goes ---- */
/* Room for PIPE_BUF bytes, so that a write of no more does not wait for a reader. */
static bool has_room(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) > 0 && p.revents & POLLOUT;
}

/* One write to a file; a full disk or, unless it may be waited for, a full pipe costs the line. */
static void emit(int fd, const char *text, size_t len, bool may_wait)
{
    while (len && (may_wait || has_room(fd))) {
        ssize_t n = write(fd, text, may_wait || len < PIPE_BUF ? len : PIPE_BUF);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

enum stderr_kind { STDERR_UNKNOWN, STDERR_FILE, STDERR_JOURNAL, STDERR_OTHER };

/* systemd says which file the stream of a service to its journal is. */
static bool is_journal(const struct stat *st)
{
    char name[64];
    const char *stream = getenv("JOURNAL_STREAM");
    snprintf(name, sizeof name, "%ju:%ju", (uintmax_t)st->st_dev, (uintmax_t)st->st_ino);
    return stream && strcmp(stream, name) == 0;
}

static enum stderr_kind stderr_kind(void)
{
    static _Atomic int known; /* exception: stderr stays what it is */
    int kind = atomic_load_explicit(&known, memory_order_relaxed);
    struct stat st;
    if (kind == STDERR_UNKNOWN) {
        bool there = fstat(STDERR_FILENO, &st) == 0;
        kind = there && S_ISREG(st.st_mode) ? STDERR_FILE
               : there && is_journal(&st)   ? STDERR_JOURNAL
                                            : STDERR_OTHER;
        atomic_store_explicit(&known, kind, memory_order_relaxed);
    }
    return (enum stderr_kind)kind;
}

/* The journal has a time of its own, and takes a line's priority from a mark before it. */
static char *mark_line(struct line *l, enum log_level level, enum log_format format)
{
    char *start = l->text + (format == LOG_FORMAT_TEXT ? STAMP : 0);
    start[0] = '<';
    start[1] = priorities[level];
    start[2] = '>';
    return start;
}

/* One thread at a time, or two might see the same room. A file always has room. */
static void emit_stderr(struct line *l, enum log_level level, enum log_format format)
{
    const char *end = l->text + l->len, *start = l->text + MARK;
    enum stderr_kind kind = stderr_kind();
    if (kind == STDERR_FILE) {
        emit(STDERR_FILENO, start, (size_t)(end - start), true);
        return;
    }
    if (kind == STDERR_JOURNAL)
        start = mark_line(l, level, format);
    static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&turn);
    emit(STDERR_FILENO, start, (size_t)(end - start), false);
    pthread_mutex_unlock(&turn);
}

#ifdef HAVE_SYSTEMD
/* "connection" becomes the field CONNECTION. */
static void add_field(struct iovec *iov, char *room, size_t size, const char *key,
                      const char *value)
{
    int n = snprintf(room, size, "%s=%s", key, value);
    for (char *p = room; *p && *p != '='; p++) {
        if (*p >= 'a' && *p <= 'z')
            *p = (char)(*p - 'a' + 'A');
    }
    size_t len = n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
    *iov = (struct iovec){room, len};
}

static void send_journal(enum log_category category, enum log_level level,
                         const struct log_context **chain, unsigned links, struct slice message)
{
    const char priority[] = {priorities[level], '\0'};
    enum { FIXED = 4, FIELD_SIZE = 512 };
    char room[FIXED - 1 + CONTEXT_MAX][FIELD_SIZE];
    struct iovec iov[FIXED + CONTEXT_MAX];
    struct line l = {.room = LINE_MAX_};
    put_str(&l, "MESSAGE=");
    put_escaped(&l, message, LOG_FORMAT_TEXT);
    iov[0] = (struct iovec){l.text, l.len};
    add_field(&iov[1], room[0], FIELD_SIZE, "priority", priority);
    add_field(&iov[2], room[1], FIELD_SIZE, "syslog_identifier", "jackaloped");
    add_field(&iov[3], room[2], FIELD_SIZE, "category", category_names[category]);
    for (unsigned i = 0; i < links; i++)
        add_field(&iov[FIXED + i], room[FIXED - 1 + i], FIELD_SIZE, chain[i]->key, chain[i]->value);
    sd_journal_sendv(iov, (int)(FIXED + links));
}
#endif

void log_write(enum log_category category, enum log_level level, const struct log_context *context,
               const char *fmt, ...)
{
    int saved = errno;
    char text[MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    bool cut = n >= (int)sizeof text;
    struct slice message = slice_of(text, n < 0 ? 0 : cut ? sizeof text - 1 : (size_t)n);
    if (cut)
        memcpy(text + sizeof text - 4, "...", 3);
    const struct log_context *chain[CONTEXT_MAX];
    unsigned links = flatten(context, chain);
    pthread_rwlock_rdlock(&lock);
    struct line l;
    l.len = MARK;
    l.full = false;
    l.room = LINE_MAX_;
    if (current_format == LOG_FORMAT_JSON)
        make_json(&l, category, level, chain, links, message);
    else
        make_text(&l, category, level, chain, links, message);
    struct slice line = slice_of(l.text + MARK, l.len - MARK);
    log_recent_keep(line);
    if (current_tap && level >= tap_level)
        current_tap(level, slice_of(line.data, line.len - (line.data[line.len - 1] == '\n')),
                    current_format);
    if (current_output == LOG_OUTPUT_STDERR)
        emit_stderr(&l, level, current_format);
#ifdef HAVE_SYSTEMD
    else if (current_output == LOG_OUTPUT_JOURNALD)
        send_journal(category, level, chain, links, message);
#endif
    else
        emit(current_fd, l.text + MARK, l.len - MARK, true);
    pthread_rwlock_unlock(&lock);
    errno = saved;
}

void log_set_tap(enum log_level level,
                 void (*tap)(enum log_level level, struct slice line, enum log_format format))
{
    pthread_rwlock_wrlock(&lock);
    tap_level = level;
    current_tap = tap;
    pthread_rwlock_unlock(&lock);
}

static int open_file(const char *file, const char **ret_error)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
    if (fd < 0)
        *ret_error = strerror(errno);
    return fd;
}

/* With the write lock held. Takes file (heap). */
static void install(enum log_output output, enum log_format format, int fd, char *file)
{
    if (current_output == LOG_OUTPUT_FILE)
        close(current_fd);
    free(current_file);
    current_output = output;
    current_format = format;
    current_fd = fd;
    current_file = file;
}

bool log_open(enum log_output output, enum log_format format, const char *file,
              const char **ret_error)
{
    int fd = STDERR_FILENO;
    if (output == LOG_OUTPUT_FILE) {
        if (!file || !*file) {
            *ret_error = "no file is named";
            return false;
        }
        fd = open_file(file, ret_error);
        if (fd < 0)
            return false;
    }
#ifndef HAVE_SYSTEMD
    if (output == LOG_OUTPUT_JOURNALD) {
        *ret_error = "built without libsystemd";
        return false;
    }
#endif
    pthread_rwlock_wrlock(&lock);
    install(output, format, fd, output == LOG_OUTPUT_FILE ? mem_strdup(file) : NULL);
    pthread_rwlock_unlock(&lock);
    return true;
}

bool log_reopen(const char **ret_error)
{
    bool ok = true;
    pthread_rwlock_wrlock(&lock);
    if (current_output == LOG_OUTPUT_FILE) {
        int fd = open_file(current_file, ret_error);
        ok = fd >= 0;
        if (ok) {
            close(current_fd);
            current_fd = fd;
        }
    }
    pthread_rwlock_unlock(&lock);
    return ok;
}

void log_close(void)
{
    pthread_rwlock_wrlock(&lock);
    install(LOG_OUTPUT_STDERR, LOG_FORMAT_TEXT, STDERR_FILENO, NULL);
    pthread_rwlock_unlock(&lock);
}

/* ---- levels ---- */
void log_set_level(enum log_category category, enum log_level level)
{
    __atomic_store_n(&log_levels_[category], (unsigned char)level, __ATOMIC_RELAXED);
}

void log_set_level_all(enum log_level level)
{
    for (int i = 0; i < LOG_CATEGORY_COUNT; i++)
        log_set_level((enum log_category)i, level);
}

enum log_level log_get_level(enum log_category category)
{
    return (enum log_level)__atomic_load_n(&log_levels_[category], __ATOMIC_RELAXED);
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

const char *log_category_name(enum log_category category)
{
    return category_names[category];
}

bool log_level_parse(const char *name, enum log_level *ret_level)
{
    for (int i = LOG_DEBUG_; i <= LOG_NONE_; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_category_parse(const char *name, enum log_category *ret_category)
{
    for (int i = 0; i < LOG_CATEGORY_COUNT; i++) {
        if (strcmp(name, category_names[i]) == 0) {
            *ret_category = (enum log_category)i;
            return true;
        }
    }
    return false;
}
