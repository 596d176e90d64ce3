/* The files that are lines: rabbitmq.conf in cuttlefish's syntax, and rabbitmq-env.conf, which is a
 * shell's, but of which only assignments are understood. */
#include "conf/import_priv.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>

bool import_read_file(struct import *im, const char *file, struct buf *text)
{
    FILE *f = fopen(file, "re");
    size_t n = 0;
    while (f && text->len <= TREE_BYTES_MAX) {
        n = fread(buf_reserve(text, 65536), 1, 65536, f);
        text->len += n;
        if (!n)
            break;
    }
    bool ok = f && !ferror(f);
    if (!ok)
        import_refuse(im, file, "cannot be read: %s", strerror(errno));
    if (f)
        fclose(f);
    if (ok && text->len > TREE_BYTES_MAX) {
        import_refuse(im, file, "is too long");
        return false;
    }
    return ok;
}

static struct slice trim(struct slice s)
{
    while (s.len && isspace(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len && isspace(s.data[s.len - 1]))
        s.len--;
    return s;
}

/* Takes a line off the text, without its end. */
static struct slice next_line(struct slice *text)
{
    const uint8_t *end = memchr(text->data, '\n', text->len);
    size_t n = end ? (size_t)(end - text->data) : text->len;
    struct slice line = slice_of(text->data, n);
    text->data += n + (end ? 1 : 0);
    text->len -= n + (end ? 1 : 0);
    return trim(line);
}

static struct slice until(struct slice s, char c)
{
    const uint8_t *end = s.len ? memchr(s.data, c, s.len) : NULL;
    return end ? slice_of(s.data, (size_t)(end - s.data)) : s;
}

/* What stands between apostrophes is taken as it is; else a # begins a comment. */
static bool take_value(struct slice rest, struct slice *ret_value, bool *ret_quoted)
{
    rest = trim(rest);
    *ret_quoted = false;
    if (rest.len && rest.data[0] == '\'') {
        struct slice inner = slice_of(rest.data + 1, rest.len - 1), text = until(inner, '\'');
        struct slice after = trim(slice_of(text.data + text.len, inner.len - text.len));
        if (after.len) {
            after = trim(slice_of(after.data + 1, after.len - 1));
            *ret_value = text;
            *ret_quoted = true;
            return !after.len || after.data[0] == '#';
        }
    }
    *ret_value = trim(until(rest, '#'));
    return ret_value->len > 0;
}

static bool take_key(struct slice text, char *room, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '\\' && i + 1 < text.len && text.data[i + 1] == '.')
            c = text.data[++i];
        else if (!isalnum(c) && !strchr("._-/@", c))
            return false;
        if (!c || n + 1 >= size)
            return false;
        room[n++] = (char)c;
    }
    room[n] = '\0';
    return n > 0;
}

static void include(struct import *im, const char *file, struct slice words, const char *origin,
                    unsigned depth)
{
    const char *slash = strrchr(file, '/');
    struct slice name = trim(until(words, '#'));
    if (name.len > 1 && name.data[0] == '"' && name.data[name.len - 1] == '"')
        name = slice_of(name.data + 1, name.len - 2);
    bool absolute = name.len && name.data[0] == '/';
    const char *pattern = import_text(
        im, "%.*s%.*s", absolute || !slash ? 0 : (int)(slash - file + 1), file, SLICE_ARG(name));
    glob_t found = {0};
    if (depth >= IMPORT_INCLUDES_MAX)
        import_refuse(im, origin, "files include each other too deeply");
    else if (!name.len || (glob(pattern, 0, NULL, &found) && !strpbrk(pattern, "*?[")))
        import_refuse(im, origin, "include: there is no file '%s'", pattern);
    for (size_t i = 0; i < found.gl_pathc; i++)
        import_read_conf(im, found.gl_pathv[i], depth + 1);
    globfree(&found);
}

/* The line's beginning, as far as it can be a key: what follows may be a secret. */
static struct slice key_of(struct slice line)
{
    size_t n = 0;
    while (n < line.len && n < 60 &&
           (isalnum(line.data[n]) || (line.data[n] && strchr("._-", line.data[n]))))
        n++;
    return slice_of(line.data, n);
}

static void read_setting(struct import *im, struct slice line, const char *origin)
{
    char key[PATH_ROOM];
    bool quoted;
    struct slice name = until(line, '='), value;
    struct slice rest = slice_of(name.data + name.len, line.len - name.len);
    if (!rest.len)
        import_refuse(im, origin, "'%.*s' is not KEY = VALUE", SLICE_ARG(key_of(line)));
    else if (!take_key(trim(name), key, sizeof key))
        import_refuse(im, origin, "what stands before '=' is not a key");
    else if (!take_value(slice_of(rest.data + 1, rest.len - 1), &value, &quoted))
        import_refuse(im, origin, "%s: has no value, or something follows it", key);
    else {
        import_set(im, key, value, origin);
        if (quoted)
            import_leave(
                im, &(struct setting){.key = key, .origin = origin},
                "the apostrophes are not part of the value, as in RabbitMQ from 3.13.7 on");
    }
}

void import_read_conf(struct import *im, const char *file, unsigned depth)
{
    struct buf text = BUF_INIT;
    if (import_read_file(im, file, &text)) {
        struct slice rest = buf_slice(&text);
        if (slice_starts(rest, SLICE("\xef\xbb\xbf")))
            rest = slice_of(rest.data + 3, rest.len - 3);
        for (unsigned n = 1; rest.len; n++) {
            struct slice line = next_line(&rest);
            const char *origin = import_text(im, "%s:%u", file, n);
            if (slice_starts(line, SLICE("include ")) || slice_starts(line, SLICE("include\t")))
                include(im, file, slice_of(line.data + 8, line.len - 8), origin, depth);
            else if (line.len && line.data[0] != '#')
                read_setting(im, line, origin);
        }
    }
    buf_fini(&text);
}

/* ---- rabbitmq-env.conf ---- */
/* A value as a shell takes it, if that needs no shell. */
static bool take_shell_value(struct slice rest, struct slice *ret_value)
{
    uint8_t quote = rest.len ? rest.data[0] : 0;
    if (quote == '"' || quote == '\'') {
        struct slice inner = slice_of(rest.data + 1, rest.len - 1);
        *ret_value = until(inner, (char)quote);
        struct slice after =
            trim(slice_of(ret_value->data + ret_value->len, inner.len - ret_value->len));
        if (!after.len)
            return false;
        after = trim(slice_of(after.data + 1, after.len - 1));
        if (after.len && after.data[0] != '#')
            return false;
    } else {
        *ret_value = trim(until(rest, '#'));
        for (size_t i = 0; i < ret_value->len; i++) {
            if (strchr(" \t;&|<>()\"'", ret_value->data[i]))
                return false;
        }
    }
    for (size_t i = 0; i < ret_value->len && quote != '\''; i++) {
        if (strchr("$`\\", ret_value->data[i]))
            return false;
    }
    return true;
}

void import_read_env(struct import *im, const char *file)
{
    struct buf text = BUF_INIT;
    if (!import_read_file(im, file, &text)) {
        buf_fini(&text);
        return;
    }
    struct slice rest = buf_slice(&text);
    for (unsigned n = 1; rest.len; n++) {
        struct slice line = next_line(&rest), value = SLICE_EMPTY;
        const char *origin = import_text(im, "%s:%u", file, n);
        char name[PATH_ROOM];
        if (!line.len || line.data[0] == '#')
            continue;
        if (slice_starts(line, SLICE("export ")))
            line = trim(slice_of(line.data + 7, line.len - 7));
        struct slice word = until(line, '=');
        bool sane =
            word.len < line.len && take_key(word, name, sizeof name) &&
            take_shell_value(slice_of(word.data + word.len + 1, line.len - word.len - 1), &value);
        if (!sane)
            import_refuse(im, origin, "needs a shell, which is not run here");
        else if (value.len) /* an empty variable counts as one that is not set */
            import_set(
                im, import_text(im, "%s%s", strncmp(name, "RABBITMQ_", 9) ? "RABBITMQ_" : "", name),
                value, origin);
    }
    buf_fini(&text);
}
