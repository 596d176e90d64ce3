/* event_file: what happens in the broker, as lines of JSON in a file.
 *
 * All but start and stop runs on the thread of the event sink. The file is opened again when
 * another one has its name, so that logrotate needs no signal; what cannot be written is counted,
 * and tried again with the next events. */
#include <jackalope/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH_MOST = 16, COMPLAIN_S = 60 };

/* A text of several lines in YAML has newlines. */
#define BLANKS " \t\r\n"

static const struct jackalope_api *api;
static struct jackalope_host *host;

static struct {
    const char *path;
    const char *keys; /* "queue. connection.created": beginnings, parted by blanks; "": all */
    FILE *file;
    int looked;            /* whether it still has its name, since nothing waited */
    int torn;              /* a write failed, or a broker before: its last line may have no end */
    uint64_t lost, unsafe; /* events; those that are not in the file yet, or not known to be */
    time_t complained;
} sink;

/* ---- the file ---- */

static void complain(const char *what)
{
    time_t now = time(NULL);
    if (sink.complained && now < sink.complained + COMPLAIN_S)
        return;
    sink.complained = now;
    api->log(host, JACKALOPE_ERROR, "%s %s: %s; %" PRIu64 " events were lost so far", sink.path,
             what, strerror(errno), sink.lost);
}

/* What is left of them in the buffer would begin within a line. */
static void lose(void)
{
    sink.lost += sink.unsafe;
    sink.unsafe = 0;
    sink.torn = 1;
    complain("cannot be written");
    __fpurge(sink.file);
    clearerr(sink.file);
}

static void write_out(void)
{
    if (fflush(sink.file))
        lose();
    sink.unsafe = 0;
}

static void close_file(void)
{
    if (!sink.file)
        return;
    write_out();
    fclose(sink.file);
    sink.file = NULL;
}

static int ends_within_line(void)
{
    struct stat st;
    char last = '\n';
    int fd = open(sink.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size)
        (void)!pread(fd, &last, 1, st.st_size - 1);
    if (fd >= 0)
        close(fd);
    return last != '\n';
}

/* A FIFO that nobody reads is refused: start must not wait for one who does. */
static FILE *open_file(void)
{
    int fd = open(sink.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
    int flags = fd < 0 ? 0 : fcntl(fd, F_GETFL);
    if (fd >= 0)
        (void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "a");
    if (!file && fd >= 0)
        close(fd);
    return file;
}

/* False: it is not the one that has the name, or there is none. */
static int is_in_place(void)
{
    struct stat named, open_one;
    return sink.file && !stat(sink.path, &named) && !fstat(fileno(sink.file), &open_one) &&
           named.st_ino == open_one.st_ino && named.st_dev == open_one.st_dev;
}

/* ---- JSON ---- */

/* The length of the UTF-8 sequence at p, 0 if it is none. */
static size_t sequence(const unsigned char *p, size_t left)
{
    size_t len = *p < 0x80 ? 1 : *p >= 0xc2 && *p < 0xe0 ? 2 : (*p & 0xf0) == 0xe0 ? 3 : 4;
    if (len == 1)
        return 1;
    if (*p < 0xc2 || *p > 0xf4 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    int bad = (*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
              (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f);
    return bad ? 0 : len;
}

/* What is not UTF-8 goes octet by octet, as U+0080 to U+00FF. */
static void put_string(FILE *out, struct jackalope_bytes text)
{
    const unsigned char *p = text.data, *end = p + text.len;
    fputc('"', out);
    while (p < end) {
        size_t len = sequence(p, (size_t)(end - p));
        if (!len || *p < ' ' || *p == 0x7f)
            fprintf(out, "\\u%04x", *p);
        else if (*p == '"' || *p == '\\')
            fprintf(out, "\\%c", *p);
        else
            fwrite(p, 1, len, out);
        p += len ? len : 1;
    }
    fputc('"', out);
}

static void put_table(FILE *out, struct jackalope_bytes table, unsigned depth);

static void put_value(FILE *out, const struct jackalope_value *value, unsigned depth)
{
    struct jackalope_value item;
    struct jackalope_cursor cursor = {value->bytes};
    switch (value->type) {
    case JACKALOPE_BOOL:
        fputs(value->integer ? "true" : "false", out);
        return;
    case JACKALOPE_INT:
    case JACKALOPE_TIMESTAMP:
        fprintf(out, "%" PRId64, value->integer);
        return;
    case JACKALOPE_REAL:
    case JACKALOPE_DECIMAL:
        fprintf(out, "%.17g", value->real);
        return;
    case JACKALOPE_TEXT:
    case JACKALOPE_BINARY:
        put_string(out, value->bytes);
        return;
    case JACKALOPE_TABLE:
        if (depth < DEPTH_MOST) {
            put_table(out, value->bytes, depth + 1);
            return;
        }
        break;
    case JACKALOPE_ARRAY:
        if (depth == DEPTH_MOST)
            break;
        fputc('[', out);
        for (int n = 0; api->array_next(&cursor, &item); n++) {
            if (n)
                fputc(',', out);
            put_value(out, &item, depth + 1);
        }
        fputc(']', out);
        return;
    case JACKALOPE_VOID:
        break;
    }
    fputs("null", out);
}

static void put_members(FILE *out, struct jackalope_bytes table, int first, unsigned depth)
{
    struct jackalope_cursor cursor = {table};
    struct jackalope_bytes key;
    struct jackalope_value value;
    while (api->table_next(&cursor, &key, &value)) {
        if (!first)
            fputc(',', out);
        first = 0;
        put_string(out, key);
        fputc(':', out);
        put_value(out, &value, depth);
    }
}

static void put_table(FILE *out, struct jackalope_bytes table, unsigned depth)
{
    fputc('{', out);
    put_members(out, table, 1, depth);
    fputc('}', out);
}

/* ---- the sink ---- */

static int is_wanted(const char *key)
{
    const char *p = sink.keys + strspn(sink.keys, BLANKS);
    if (!*p)
        return 1;
    while (*p) {
        size_t len = strcspn(p, BLANKS);
        if (!strncmp(key, p, len))
            return 1;
        p += len;
        p += strspn(p, BLANKS);
    }
    return 0;
}

static void on_event(const struct jackalope_event *event)
{
    if (!is_wanted(event->key))
        return;
    if (!sink.looked && sink.file && !is_in_place())
        close_file();
    sink.looked = 1;
    if (!sink.file) {
        sink.file = open_file();
        if (!sink.file) {
            sink.lost++;
            complain("cannot be opened");
            return;
        }
    }
    if (sink.torn && ends_within_line())
        fputc('\n', sink.file);
    sink.torn = 0;
    sink.unsafe++;
    fputs("{\"event\":\"", sink.file);
    fputs(event->key, sink.file);
    fputc('"', sink.file);
    put_members(sink.file, event->headers, 0, 0);
    fputs("}\n", sink.file);
    if (ferror(sink.file))
        lose();
}

static void on_idle(void)
{
    if (sink.file)
        write_out();
    sink.looked = 0;
}

static const struct jackalope_event_sink type = {
    .size = sizeof type,
    .on_event = on_event,
    .on_idle = on_idle,
};

/* ---- start ---- */

static int start(const struct jackalope_api *table, struct jackalope_host *own,
                 struct jackalope_why *why)
{
    api = table;
    host = own;
    sink.path = api->setting(host, "path", "");
    sink.keys = api->setting(host, "keys", "");
    if (*sink.path != '/') {
        snprintf(why->text, sizeof why->text,
                 "event_file.path has to be set in plugins.settings, to a path that begins with /");
        return 1;
    }
    sink.file = open_file();
    if (!sink.file) {
        snprintf(why->text, sizeof why->text, "%.300s cannot be opened: %s", sink.path,
                 strerror(errno));
        return 1;
    }
    sink.torn = 1;
    return api->add_event_sink(host, &type);
}

static void stop(void)
{
    close_file();
}

static const struct jackalope_setting settings[] = {
    {"path", "file that gets the events; made with mode 0640 if it is missing"},
    {"keys", "which ones: beginnings of their keys, parted by blanks"},
    {0},
};

JACKALOPE_PLUGIN(event_file) = {
    JACKALOPE_PLUGIN_HEAD(event_file),
    .version = "1.0",
    .text = "Events as lines of JSON in a file",
    .settings = settings,
    .start = start,
    .stop = stop,
};
