/* The rows of conf.def: finding one by its path, its flag, or by a name that is nearly right. */
#include "conf/conf_priv.h"

#include <stdio.h>

#define SIZE_TEXT    sizeof(const char *)
#define SIZE_PATH    sizeof(const char *)
#define SIZE_BOOL    sizeof(bool)
#define SIZE_SECONDS sizeof(uint32_t)
#define SIZE_MODE    sizeof(uint32_t)
#define SIZE_MEMORY  sizeof(struct conf_memory)
#define SIZE_TEXTS   sizeof(struct any_list)
#define SIZE_ARGS    sizeof(struct any_list)
#define SIZE_LIST    sizeof(struct any_list)

#define FIELD_SIZE(owner, field) sizeof(((struct owner *)0)->field)
/* A SIZE, UINT or MILLIS may be 32 or 64 bits wide, an ENUM also a bool. */
#define SIZE_SIZE   0
#define SIZE_UINT   0
#define SIZE_MILLIS 0
#define SIZE_ENUM   0

#define ROW(owner, path, field, type, ...)                                      \
    _Static_assert(!(SIZE_##type) || (SIZE_##type) == FIELD_SIZE(owner, field), \
                   "the type of " path " does not fit its field");
#include "conf/conf.def"
#undef ROW

/* clang-format off */
const struct row row_table[ROW_COUNT] = {
#define ROW(owner, path_, field, type_, ...)                           \
    {.path = path_, .type = ROW_##type_, .offset = offsetof(struct owner, field), \
     .size = FIELD_SIZE(owner, field), __VA_ARGS__},
#include "conf/conf.def"
#undef ROW
};
/* clang-format on */

const struct row *row_find(struct slice path)
{
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &row_table[i];
        if (slice_eq_str(path, row->path) || (row->alias && word_find(row->alias, path) >= 0))
            return row;
    }
    return NULL;
}

const struct row *row_find_spelled(struct slice path, enum spelling *ret_spelling)
{
    static const char *const suffixes[] = {
        [SPELLED_ABSOLUTE] = ".absolute", [SPELLED_RELATIVE] = ".relative"};
    *ret_spelling = SPELLED_PLAIN;
    const struct row *row = row_find(path);
    for (int i = SPELLED_ABSOLUTE; i <= SPELLED_RELATIVE && !row; i++) {
        size_t n = strlen(suffixes[i]);
        if (path.len <= n || memcmp(path.data + path.len - n, suffixes[i], n) != 0)
            continue;
        row = row_find(slice_of(path.data, path.len - n));
        if (!row || row->type != ROW_MEMORY)
            return NULL;
        *ret_spelling = (enum spelling)i;
    }
    return row;
}

const struct row *row_find_flag(const char *flag)
{
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        if (row_table[i].flag && strcmp(flag, row_table[i].flag) == 0)
            return &row_table[i];
    }
    return NULL;
}

void row_scope(const struct row *list, char *room, size_t size)
{
    snprintf(room, size, "%s[]", list->path);
}

const char *row_key(const struct row *row, const char *scope)
{
    size_t n = strlen(scope);
    return row->path + (n ? n + 1 : 0);
}

/* Directly in scope: beneath it, with no list between. */
static bool in_scope(const struct row *row, const char *scope)
{
    size_t n = strlen(scope);
    if (n && (strncmp(row->path, scope, n) != 0 || row->path[n] != '.'))
        return false;
    return !strchr(row_key(row, scope), '[');
}

const struct row *row_next(const char *scope, const struct row *after)
{
    for (unsigned i = after ? row_index(after) + 1 : 0; i < ROW_COUNT; i++) {
        if (in_scope(&row_table[i], scope))
            return &row_table[i];
    }
    return NULL;
}

bool row_is_section(struct slice path)
{
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        if (strncmp(row_table[i].path, (const char *)path.data, path.len) == 0 &&
            row_table[i].path[path.len] == '.')
            return true;
    }
    return false;
}

static bool put_scope(const struct row *list, char *room, size_t size)
{
    int n = snprintf(room, size, "%s[]", list->path);
    return n > 0 && (size_t)n < size;
}

const struct row *row_primary(const struct row *list)
{
    char scope[128];
    if (!put_scope(list, scope, sizeof scope))
        return NULL;
    for (const struct row *row = row_next(scope, NULL); row; row = row_next(scope, row)) {
        if (row->primary)
            return row;
    }
    return NULL;
}

const struct row *row_of_name(const struct row *list)
{
    char scope[128];
    return put_scope(list, scope, sizeof scope) ? row_next(scope, NULL) : NULL;
}

const struct row *row_find_named(struct slice path, struct slice *ret_rest)
{
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &row_table[i];
        size_t n = strlen(row->path);
        if (!row->named || path.len < n + 2 || memcmp(path.data, row->path, n) != 0 ||
            path.data[n] != '.')
            continue;
        *ret_rest = slice_of(path.data + n + 1, path.len - n - 1);
        return row;
    }
    return NULL;
}

bool row_has_environment(const struct row *row)
{
    if (strchr(row->path, '[') || row->type == ROW_ARGS)
        return false;
    return row->type != ROW_LIST || row_primary(row);
}

void row_environment(const struct row *row, struct buf *out)
{
    buf_append_str(out, "JACKALOPE_");
    for (const char *p = row->path; *p; p++) {
        bool lower = *p >= 'a' && *p <= 'z';
        buf_append_byte(out, (uint8_t)(*p == '.' ? '_' : lower ? *p - 'a' + 'A' : *p));
    }
}

/* ---- the nearest name ---- */
enum { NAME_MAX_ = 64, FAR = 99 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Edits (insert, delete, replace, swap neighbours) from a to b. */
static unsigned distance(const char *a, const char *b)
{
    size_t m = strlen(a), n = strlen(b);
    unsigned d[3][NAME_MAX_ + 1];
    if (m > NAME_MAX_ || n > NAME_MAX_)
        return FAR;
    for (unsigned j = 0; j <= n; j++)
        d[0][j] = j;
    for (unsigned i = 1; i <= m; i++) {
        unsigned *row = d[i % 3], *above = d[(i + 2) % 3], *above2 = d[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= n; j++) {
            unsigned cost = a[i - 1] != b[j - 1];
            row[j] = least(least(above[j] + 1, row[j - 1] + 1), above[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return d[m % 3][n];
}

/* The component of a path that is most like key, its distance doubled so that a whole path that is
 * as near may win. *ret_end: where the component ends. */
static unsigned nearest_component(const char *path, const char *key, const char **ret_end)
{
    unsigned best = FAR;
    for (const char *p = path; *p;) {
        char name[NAME_MAX_ + 1];
        size_t n = strcspn(p, ".");
        snprintf(name, sizeof name, "%.*s", (int)n, p);
        unsigned d = distance(key, name) * 2 + 1;
        if (d < best) {
            best = d;
            *ret_end = p + n;
        }
        p += n + (p[n] == '.');
    }
    return best;
}

struct slice row_nearest(const char *scope, const char *section, const char *key)
{
    struct slice best = SLICE_EMPTY;
    unsigned best_distance = FAR;
    size_t n = strlen(section), len = strlen(key);
    for (const struct row *row = row_next(scope, NULL); row; row = row_next(scope, row)) {
        const char *name = row_key(row, scope), *end = NULL;
        if (n && strncmp(name, section, n) == 0 && name[n] == '.')
            name += n + 1;
        unsigned d = nearest_component(name, key, &end), whole = distance(key, name) * 2;
        if (whole <= d) {
            d = whole;
            end = name + strlen(name);
        }
        if (d < best_distance) {
            best_distance = d;
            best = slice_of(name, (size_t)(end - name));
        }
    }
    unsigned limit = len <= 3 ? 1 : len <= 6 ? 2 : 3;
    return best_distance / 2 <= limit ? best : SLICE_EMPTY;
}

/* ---- lists of words ---- */
struct slice word_at(const char *words, unsigned index)
{
    const char *p = words;
    while (index-- && p) {
        p = strchr(p, ' ');
        p = p ? p + 1 : NULL;
    }
    return p ? slice_of(p, strcspn(p, " ")) : SLICE_EMPTY;
}

int word_find(const char *words, struct slice word)
{
    for (unsigned i = 0;; i++) {
        struct slice at = word_at(words, i);
        if (!at.len)
            return -1;
        if (slice_eq(at, word))
            return (int)i;
    }
}
