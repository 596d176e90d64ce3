/* The files of RabbitMQ's configuration in the order in which they count, the settings that are
 * found, and the YAML that is made of them. */
#include "conf/import_priv.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <ctype.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- settings and notes ---- */
const char *import_text(struct import *im, const char *fmt, ...)
{
    struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    const char *kept = arena_text(&im->arena, buf_slice(&text));
    buf_fini(&text);
    return kept;
}

/* One line, whatever the texts have. */
static void add_note(struct import *im, const char *origin, const char *text)
{
    size_t start = im->notes->len;
    buf_printf(im->notes, "%s: %s", origin, text);
    uint8_t *line = im->notes->data + start;
    size_t len = im->notes->len - start;
    unsigned last = utf8_valid(slice_of(line, len)) ? 0xff : 0x7e;
    for (size_t i = 0; i < len; i++) {
        if (line[i] < 0x20 || line[i] == 0x7f || line[i] > last)
            line[i] = '?';
    }
    buf_append_byte(im->notes, '\n');
}

void import_refuse(struct import *im, const char *origin, const char *fmt, ...)
{
    struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    add_note(im, origin, buf_cstr(&text));
    im->wrong++;
    buf_fini(&text);
}

void import_leave(struct import *im, const struct setting *s, const char *why)
{
    add_note(im, s->origin, import_text(im, "%s: %s", s->key, why));
}

void import_set(struct import *im, const char *key, struct slice value, const char *origin)
{
    struct setting fresh = {.key = import_text(im, "%s", key),
                            .value = arena_text(&im->arena, value),
                            .origin = origin};
    if (im->count == IMPORT_SETTINGS_MAX) {
        import_refuse(im, origin, "there are more than %d settings", IMPORT_SETTINGS_MAX);
        return;
    }
    if (strlen(fresh.value) != value.len) {
        import_refuse(im, origin, "%s: has a NUL", key);
        return;
    }
    for (size_t i = 0; i < im->count; i++) {
        if (strcmp(im->settings[i].key, key) == 0) {
            import_leave(im, &im->settings[i], import_text(im, "%s counts", origin));
            im->settings[i] = fresh;
            return;
        }
    }
    MEM_GROW(im->settings, im->room, im->count + 1);
    im->settings[im->count++] = fresh;
}

void import_drop(struct import *im, const char *key, const char *origin)
{
    size_t n = strlen(key), kept = 0;
    for (size_t i = 0; i < im->count; i++) {
        const struct setting *s = &im->settings[i];
        bool beneath = strncmp(s->key, key, n) == 0 && (!s->key[n] || s->key[n] == '.');
        if (beneath && strcmp(s->key, "log.dir") != 0) /* no part of log for RabbitMQ */
            import_leave(im, s, import_text(im, "%s counts", origin));
        else
            im->settings[kept++] = *s;
    }
    im->count = kept;
}

void import_set_term(struct import *im, const char *key, const char *origin)
{
    import_set(im, key, SLICE_EMPTY, origin);
    for (size_t i = 0; i < im->count; i++) {
        if (strcmp(im->settings[i].key, key) == 0)
            im->settings[i].term = true;
    }
}

/* ---- lines of YAML ---- */
void import_put(struct import *im, const char *path, const char *text, const struct setting *s)
{
    const struct row *row = row_find(slice_str(path));
    struct line line = {
        .path = path, .text = text, .origin = s->origin, .order = row ? row_index(row) : ROW_COUNT};
    for (size_t i = 0; i < im->line_count; i++) {
        if (strcmp(im->lines[i].path, path) == 0) {
            add_note(im, im->lines[i].origin,
                     import_text(im, "%s: %s (%s) counts", path, s->key, s->origin));
            im->lines[i] = line;
            return;
        }
    }
    MEM_GROW(im->lines, im->line_room, im->line_count + 1);
    im->lines[im->line_count++] = line;
}

static bool is_duration(struct slice text, uint64_t *ret_ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1},       {"s", 1000},      {"m", 60000},     {"h", 3600000},
                 {"d", 86400000}, {"w", 604800000}, {"f", 1209600000}};
    uint64_t total = 0;
    for (size_t at = 0; at < text.len;) {
        uint64_t n = 0, factor = 0;
        size_t digits = 0, letters = 0;
        while (at + digits < text.len && text.data[at + digits] >= '0' &&
               text.data[at + digits] <= '9')
            digits++;
        at += digits;
        while (at + letters < text.len && text.data[at + letters] >= 'a')
            letters++;
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            if (slice_eq_str(slice_of(text.data + at, letters), units[i].unit))
                factor = units[i].ms;
        }
        if (!factor || !slice_number(slice_of(text.data + at - digits, digits), &n) ||
            __builtin_mul_overflow(n, factor, &n) || __builtin_add_overflow(total, n, &total))
            return false;
        at += letters;
    }
    *ret_ms = total;
    return text.len > 0;
}

/* Units that mean something else there: "1h30m", and "KB" of 1024 where it is cuttlefish that
 * reads the size. */
static struct slice in_our_units(struct import *im, const struct row *row, struct slice value)
{
    static const char factors[] = "KMGT";
    uint64_t n;
    if (row->type == ROW_MILLIS && is_duration(value, &n))
        return slice_str(import_text(im, "%llu", (unsigned long long)n));
    bool by_cuttlefish = row->type == ROW_SIZE && (!strncmp(row->path, "default_policies.", 17) ||
                                                   strstr(row->path, "frame_max"));
    if (by_cuttlefish && value.len > 2 && (value.data[value.len - 1] | 0x20) == 'b') {
        const char *letter = strchr(factors, value.data[value.len - 2] & ~0x20);
        if (letter && *letter)
            return slice_str(
                import_text(im, "%.*s%ciB", (int)value.len - 2, (const char *)value.data, *letter));
    }
    return value;
}

const char *import_value(struct import *im, const struct row *row, enum spelling spelling,
                         struct slice value, const struct setting *s)
{
    union {
        struct conf_memory memory;
        uint64_t number;
        const char *text;
    } field = {.memory = {0, 0}};
    struct buf text = BUF_INIT;
    struct slice ours = in_our_units(im, row, value);
    const char *yaml = NULL;
    if (scalar_parse(row, spelling, ours, &field, &im->arena, &text)) {
        buf_clear(&text);
        bool size = row->type == ROW_SIZE || row->type == ROW_MEMORY;
        if (row->type == ROW_TEXTS)
            scalar_quote(ours, &text);
        else if (size && isalpha(ours.data[ours.len - 1]))
            buf_append_slice(&text, ours); /* 2GB */
        else
            scalar_print(row, &field, &text);
        yaml = arena_text(&im->arena, buf_slice(&text));
    } else {
        import_refuse(im, s->origin, "%s: %s", s->key,
                      row->secret ? "is not a value this key takes" : buf_cstr(&text));
    }
    buf_fini(&text);
    return yaml;
}

void import_put_value(struct import *im, const struct row *row, enum spelling spelling,
                      struct slice value, const struct setting *s)
{
    const char *text = import_value(im, row, spelling, value, s);
    if (text)
        import_put(im, row->path, text, s);
}

static int by_order(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    int c = (x->order > y->order) - (x->order < y->order);
    return c ? c : strcmp(x->path, y->path);
}

/* The origin in a comment, as far as it is one line of UTF-8. */
static void put_comment(const char *origin, struct buf *out)
{
    bool plain = utf8_valid(slice_str(origin));
    for (const char *p = origin; *p && plain; p++)
        plain = (uint8_t)*p >= 0x20 && *p != 0x7f;
    buf_printf(out, "  # %s", plain ? origin : "?");
}

static void put_key(const char *path, struct buf *out)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    bool sane = path[strspn(path, plain)] == '\0' && *path != '-' && *path != '.';
    if (sane)
        buf_append_str(out, path);
    else
        scalar_quote(slice_str(path), out);
}

static void put_yaml(struct import *im, const char *path, struct buf *out)
{
    buf_append_str(out, "# Made of RabbitMQ's configuration");
    put_comment(path, out);
    buf_append_byte(out, '\n');
    if (im->line_count)
        qsort(im->lines, im->line_count, sizeof *im->lines, by_order);
    for (size_t i = 0; i < im->line_count; i++) {
        const struct line *line = &im->lines[i];
        put_key(line->path, out);
        buf_append_str(out, *line->text == '\n' ? ":" : ": ");
        buf_append_str(out, line->text);
        if (*line->text != '\n')
            put_comment(line->origin, out);
        buf_append_byte(out, '\n');
    }
}

/* ---- sources ---- */
static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* How many there were. */
static size_t read_all(struct import *im, const char *pattern)
{
    glob_t found = {0};
    size_t count = 0;
    if (glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            if (is_file(found.gl_pathv[i])) {
                import_read_conf(im, found.gl_pathv[i], 0);
                count++;
            }
        }
    }
    globfree(&found);
    return count;
}

static void read_environment(struct import *im, const char *const *environment)
{
    for (; environment && *environment; environment++) {
        const char *equals = strchr(*environment, '=');
        if (!equals || !equals[1] || strncmp(*environment, "RABBITMQ_", 9) != 0)
            continue; /* an empty variable counts as one that is not set */
        char name[PATH_ROOM];
        snprintf(name, sizeof name, "%.*s", (int)(equals - *environment), *environment);
        import_set(im, name, slice_str(equals + 1), "environment");
    }
}

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* What a variable names, marked as taken, or the usual one in the directory; an end that is lacking
 * is added if there is such a file. NULL: there is none, with a problem if it was named. */
static const char *file_of(struct import *im, const char *variable, const char *usual,
                           const char *const *ends)
{
    struct setting *named = import_take_key(im, variable);
    const char *name = named ? named->value : usual;
    if (is_file(name))
        return name;
    for (; *ends; ends++) {
        const char *longer = import_text(im, "%s%s", name, *ends);
        if (is_file(longer))
            return longer;
    }
    if (named)
        import_refuse(im, named->origin, "%s: there is no file '%s'", variable, name);
    return NULL;
}

static void ignore_file(struct import *im, const char *file, const char *other)
{
    if (is_file(file) && strcmp(file, other) != 0)
        add_note(im, file, import_text(im, "is not read by RabbitMQ beside %s", other));
}

/* conf.d, or what the variable names: a pattern, or a directory, of which all counts. */
static size_t read_more(struct import *im, const char *directory)
{
    static const char variable[] = "RABBITMQ_CONFIG_FILES";
    const struct setting *named = import_take_key(im, variable);
    const char *origin = named ? named->origin : NULL;
    const char *pattern = named ? named->value : import_text(im, "%s/conf.d/*.conf", directory);
    if (is_directory(pattern))
        pattern = import_text(im, "%s/*", pattern);
    size_t count = read_all(im, pattern);
    if (origin && !count)
        import_refuse(im, origin, "%s: there is no file '%s'", variable, pattern);
    return count;
}

/* A main file of Erlang terms takes the place of advanced.config, and goes before rabbitmq.conf. */
static void read_directory(struct import *im, const char *directory, const char *const *environment)
{
    static const char *const main_ends[] = {".config", ".conf", NULL};
    static const char *const advanced_ends[] = {".config", NULL}, *const no_ends[] = {NULL};
    const char *env = import_text(im, "%s/rabbitmq-env.conf", directory);
    if (is_file(env))
        import_read_env(im, env);
    read_environment(im, environment);
    const char *file =
        file_of(im, "RABBITMQ_CONFIG_FILE", import_text(im, "%s/rabbitmq", directory), main_ends);
    const char *advanced = file_of(im, "RABBITMQ_ADVANCED_CONFIG_FILE",
                                   import_text(im, "%s/advanced.config", directory), advanced_ends);
    const char *plugins = file_of(im, "RABBITMQ_ENABLED_PLUGINS_FILE",
                                  import_text(im, "%s/enabled_plugins", directory), no_ends);
    if (file && ends_in(file, ".config")) {
        ignore_file(im, import_text(im, "%.*s", (int)strlen(file) - 2, file), file);
        if (advanced)
            ignore_file(im, advanced, file);
        advanced = file;
    } else if (file) {
        import_read_conf(im, file, 0);
    }
    size_t count = read_more(im, directory);
    if (advanced)
        import_read_advanced(im, advanced);
    if (plugins)
        import_read_plugins(im, plugins);
    if (!file && !count && !advanced && !plugins && !is_file(env) && !im->wrong)
        import_refuse(im, directory, "has none of RabbitMQ's files");
}

static void read_path(struct import *im, const char *path, const char *const *environment)
{
    if (is_directory(path)) {
        read_directory(im, path, environment);
        return;
    }
    read_environment(im, environment);
    if (ends_in(path, "rabbitmq-env.conf"))
        import_read_env(im, path);
    else if (ends_in(path, ".config"))
        import_read_advanced(im, path);
    else if (ends_in(path, "enabled_plugins"))
        import_read_plugins(im, path);
    else
        import_read_conf(im, path, 0);
}

/* Problems of the loader, which names the file by the path it was given. */
static void refuse_lines(struct import *im, const char *text, const char *file)
{
    size_t skip = strlen(file);
    while (*text) {
        size_t n = strcspn(text, "\n");
        bool named = strncmp(text, file, skip) == 0;
        import_refuse(im, "the result", "%s%.*s", named ? "line " : "",
                      (int)(n - (named ? skip + 1 : 0)), text + (named ? skip + 1 : 0));
        text += n + (text[n] == '\n');
    }
}

/* What no single setting can say. */
static void check_result(struct import *im, const struct buf *yaml)
{
    struct buf problems = BUF_INIT;
    const struct conf *conf = NULL;
    char file[64];
    int fd = memfd_create("jackalope.yaml", MFD_CLOEXEC);
    snprintf(file, sizeof file, "/proc/self/fd/%d", fd);
    if (fd < 0 || write(fd, yaml->data, yaml->len) != (ssize_t)yaml->len)
        import_refuse(im, "result", "cannot be checked");
    else if (conf_load(&(struct conf_sources){.file = file}, &conf, &problems))
        refuse_lines(im, buf_cstr(&problems), file);
    conf_unref(&conf);
    if (fd >= 0)
        close(fd);
    buf_fini(&problems);
}

bool import_run(const char *path, const char *const *environment, struct buf *yaml,
                struct buf *notes)
{
    struct import im = {.notes = notes};
    read_path(&im, path, environment);
    import_map(&im);
    put_yaml(&im, path, yaml);
    check_result(&im, yaml);
    free(im.settings);
    free(im.lines);
    arena_fini(&im.arena);
    return im.wrong == 0;
}
