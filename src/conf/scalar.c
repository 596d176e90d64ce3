/* Values of the table's types: from text within the row's range, and back to canonical text. */
#include "conf/conf_priv.h"

#include "base/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* As RabbitMQ reads them: a bare letter and "iB" are powers of 1024, "B" with a letter of 1000. */
static const struct unit sizes[] = {
    {"", 1},
    {"B", 1},
    {"k", 1ull << 10},
    {"Ki", 1ull << 10},
    {"KiB", 1ull << 10},
    {"kB", 1000ull},
    {"M", 1ull << 20},
    {"Mi", 1ull << 20},
    {"MiB", 1ull << 20},
    {"MB", 1000ull * 1000},
    {"G", 1ull << 30},
    {"Gi", 1ull << 30},
    {"GiB", 1ull << 30},
    {"GB", 1000ull * 1000 * 1000},
    {"T", 1ull << 40},
    {"Ti", 1ull << 40},
    {"TiB", 1ull << 40},
    {"TB", 1000ull * 1000 * 1000 * 1000},
};

static const struct unit durations[] = {
    {"ms", 1},      {"s", 1000},    {"sec", 1000},      {"m", 60000},
    {"min", 60000}, {"h", 3600000}, {"d", 86400000ull},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool complain(struct buf *problem, struct slice text, const char *what)
{
    buf_append_str(problem, "'");
    buf_append_slice(problem, utf8_cut(text, 80));
    buf_printf(problem, "%s' %s", text.len > 80 ? "..." : "", what);
    return false;
}

static bool parse_digits(struct slice text, unsigned base, uint64_t *ret_n)
{
    uint64_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(text.data[i] - '0');
        if (digit >= base || __builtin_mul_overflow(n, (uint64_t)base, &n) ||
            __builtin_add_overflow(n, (uint64_t)digit, &n))
            return false;
    }
    *ret_n = n;
    return text.len > 0;
}

/* The factor of the unit that text names; bare if it names none, 0 if there is no such unit. */
static uint64_t unit_factor(struct slice text, const struct unit *units, size_t unit_count,
                            uint64_t bare)
{
    for (size_t i = 0; i < unit_count && text.len; i++) {
        if (strlen(units[i].name) == text.len &&
            strncasecmp(units[i].name, (const char *)text.data, text.len) == 0)
            return units[i].factor;
    }
    return text.len ? 0 : bare;
}

/* The digits after the point, of the factor; at most 9 of them. */
static bool parse_fraction(struct slice digits, uint64_t factor, uint64_t *ret_n)
{
    uint64_t part, scale = 1;
    if (digits.len > 9 || !parse_digits(digits, 10, &part))
        return false;
    for (size_t i = 0; i < digits.len; i++)
        scale *= 10;
    *ret_n = (uint64_t)((double)part / (double)scale * (double)factor + 0.5);
    return true;
}

/* digits [. digits] [spaces] unit, as a whole number of the smallest unit. */
static bool parse_units(struct slice text, const struct unit *units, size_t unit_count,
                        uint64_t bare, uint64_t *ret_n)
{
    size_t at = 0, point = 0;
    while (at < text.len &&
           ((text.data[at] >= '0' && text.data[at] <= '9') || (text.data[at] == '.' && !point))) {
        if (text.data[at] == '.')
            point = at + 1;
        at++;
    }
    size_t end = at;
    while (at < text.len && text.data[at] == ' ')
        at++;
    uint64_t factor = unit_factor(slice_of(text.data + at, text.len - at), units, unit_count, bare);
    uint64_t whole, part = 0;
    if (!factor || !parse_digits(slice_of(text.data, point ? point - 1 : end), 10, &whole) ||
        __builtin_mul_overflow(whole, factor, &whole))
        return false;
    if (point && !parse_fraction(slice_of(text.data + point, end - point), factor, &part))
        return false;
    return !__builtin_add_overflow(whole, part, ret_n);
}

static void print_size(uint64_t n, struct buf *out)
{
    static const char *const names[] = {"", "KiB", "MiB", "GiB", "TiB"};
    unsigned i = 0;
    while (i + 1 < COUNT(names) && n && n % 1024 == 0) {
        n /= 1024;
        i++;
    }
    buf_printf(out, "%" PRIu64 "%s", n, names[i]);
}

static void print_duration(uint64_t ms, struct buf *out)
{
    if (ms % 1000)
        buf_printf(out, "%" PRIu64 "ms", ms);
    else
        buf_printf(out, "%" PRIu64 "s", ms / 1000);
}

static bool in_range(const struct row *row, uint64_t n, uint64_t type_max)
{
    uint64_t max = row->max && row->max < type_max ? row->max : type_max;
    return n >= row->min && n <= max;
}

/* Infinity is the largest number of the field. */
static uint64_t type_max(const struct row *row)
{
    return row->size == sizeof(uint32_t) ? UINT32_MAX : UINT64_MAX;
}

static bool is_infinite(const struct row *row, uint64_t n)
{
    return row->infinite && n == type_max(row);
}

static void print_words(const char *words, struct buf *out)
{
    for (unsigned i = 0; word_at(words, i).len; i++) {
        buf_append_str(out, i ? ", " : "");
        buf_append_slice(out, word_at(words, i));
    }
}

static void print_number(const struct row *row, uint64_t n, struct buf *out)
{
    if (row->names && n >= (uint64_t)row->first)
        buf_append_slice(out, word_at(row->names, (unsigned)(n - (uint64_t)row->first)));
    else if (is_infinite(row, n))
        buf_append_str(out, "infinity");
    else if (row->type == ROW_SIZE)
        print_size(n, out);
    else if (row->type == ROW_SECONDS)
        print_duration(n * 1000, out);
    else if (row->type == ROW_MILLIS)
        print_duration(n, out);
    else if (row->type == ROW_MODE)
        buf_printf(out, "0%03" PRIo64, n);
    else
        buf_printf(out, "%" PRIu64, n);
}

static void print_range(const struct row *row, struct buf *out)
{
    uint64_t max = row->max ? row->max : type_max(row);
    if (max >= UINT32_MAX) {
        if (row->min) {
            buf_append_str(out, ", at least ");
            print_number(row, row->min, out);
        }
        return;
    }
    buf_append_str(out, ", ");
    print_number(row, row->min, out);
    buf_append_str(out, " to ");
    print_number(row, max, out);
}

static bool complain_number(const struct row *row, struct slice text, struct buf *problem)
{
    if (!row->names)
        return complain(problem, text,
                        row->infinite ? "is neither a whole number nor infinity"
                                      : "is not a whole number");
    complain(problem, text, "is neither a whole number nor one of: ");
    print_words(row->names, problem);
    return false;
}

static bool parse_number(const struct row *row, struct slice text, uint64_t *ret_n,
                         struct buf *problem)
{
    if (row->infinite && (slice_eq_str(text, "infinity") || slice_eq_str(text, "unlimited"))) {
        *ret_n = type_max(row);
        return true;
    }
    switch (row->type) {
    case ROW_SIZE:
        if (!parse_units(text, sizes, COUNT(sizes), 1, ret_n))
            return complain(problem, text, "is not a size such as 4096, 64MB or 1GiB");
        return true;
    case ROW_SECONDS:
        if (!parse_units(text, durations, COUNT(durations), 1000, ret_n))
            return complain(problem, text, "is not a duration such as 60, 60s or 2min");
        if (*ret_n % 1000)
            return complain(problem, text, "is not a whole number of seconds");
        *ret_n /= 1000;
        return true;
    case ROW_MILLIS:
        if (!parse_units(text, durations, COUNT(durations), 1, ret_n))
            return complain(problem, text, "is not a duration such as 500ms, 10s or 5000 (ms)");
        return true;
    case ROW_MODE:
        if (!parse_digits(text, 8, ret_n))
            return complain(problem, text, "is not an octal mode such as 0660");
        return true;
    default:
        if (!parse_digits(text, 10, ret_n))
            return complain_number(row, text, problem);
        return true;
    }
}

static bool store_number(const struct row *row, struct slice text, void *field, struct buf *problem)
{
    uint64_t n;
    int word = row->names ? word_find(row->names, text) : -1;
    if (word >= 0)
        n = (uint64_t)(row->first + word);
    else if (!parse_number(row, text, &n, problem))
        return false;
    if (word < 0 && !is_infinite(row, n) && !in_range(row, n, type_max(row))) {
        complain(problem, text, "is out of range");
        print_range(row, problem);
        return false;
    }
    if (row->size == sizeof(uint32_t))
        *(uint32_t *)field = (uint32_t)n;
    else
        *(uint64_t *)field = n;
    return true;
}

static uint64_t read_number(const struct row *row, const void *field)
{
    return row->size == sizeof(uint32_t) ? *(const uint32_t *)field : *(const uint64_t *)field;
}

static bool store_bool(struct slice text, void *field, struct buf *problem)
{
    static const char *const words[] = {"false", "no", "off", "true", "yes", "on"};
    for (unsigned i = 0; i < COUNT(words); i++) {
        if (strlen(words[i]) == text.len &&
            strncasecmp(words[i], (const char *)text.data, text.len) == 0) {
            *(bool *)field = i >= COUNT(words) / 2;
            return true;
        }
    }
    return complain(problem, text, "is neither true nor false");
}

static bool not_a_word(const struct row *row, struct slice text, struct buf *problem)
{
    complain(problem, text, "is not one of: ");
    print_words(row->names, problem);
    return false;
}

static bool store_enum(const struct row *row, struct slice text, void *field, struct buf *problem)
{
    int i = word_find(row->names, text);
    if (i < 0)
        return not_a_word(row, text, problem);
    if (row->size == sizeof(bool))
        *(bool *)field = i != 0;
    else
        *(int *)field = i + row->first;
    return true;
}

/* A text's default is allowed whether or not it is one of the words. */
static bool is_allowed(const struct row *row, struct slice text)
{
    bool is_default = row->type != ROW_TEXTS && row->def && slice_eq_str(text, row->def);
    return !row->names || is_default || word_find(row->names, text) >= 0;
}

static bool store_text(const struct row *row, struct slice text, void *field, struct arena *arena,
                       struct buf *problem)
{
    if (!is_allowed(row, text))
        return not_a_word(row, text, problem);
    if ((text.len && memchr(text.data, '\0', text.len)) || !utf8_valid(text))
        return complain(problem, SLICE("..."), "is not UTF-8 text without NUL");
    if (row->type != ROW_TEXTS && text.len < row->min)
        return complain(problem, text, "may not be empty");
    if (row->max && text.len > row->max) {
        complain(problem, text, "is too long");
        buf_printf(problem, ", at most %" PRIu64 " bytes", row->max);
        return false;
    }
    *(const char **)field = arena_text(arena, text);
    return true;
}

/* A decimal number, *ret_point whether it has a point. */
static bool parse_share(struct slice text, double *ret_share, bool *ret_point)
{
    char number[32], *end;
    if (!text.len || text.len >= sizeof number)
        return false;
    memcpy(number, text.data, text.len);
    number[text.len] = '\0';
    *ret_share = strtod(number, &end);
    *ret_point = strchr(number, '.');
    return strspn(number, "0123456789.") == text.len && !*end;
}

/* A number is a share if it may be one and is not above 1 or has a point; all else is a size. */
static bool store_memory(const struct row *row, enum spelling spelling, struct slice text,
                         void *field, struct buf *problem)
{
    static const char *const complaints[] = {
        [SPELLED_PLAIN] = "is neither a share such as 0.6 nor a size such as 2GiB",
        [SPELLED_ABSOLUTE] = "is not a size such as 4096, 64MB or 1GiB",
        [SPELLED_RELATIVE] = "is not a share such as 0.6"};
    struct conf_memory *memory = field;
    double share, max = row->max ? (double)row->max : 1;
    bool point;
    uint64_t n;
    if (spelling != SPELLED_ABSOLUTE && parse_share(text, &share, &point) &&
        (share <= 1 || point || spelling == SPELLED_RELATIVE)) {
        if (share > max) {
            complain(problem, text, "is out of range");
            buf_printf(problem, ", at most %g", max);
            return false;
        }
        *memory = (struct conf_memory){.relative = share};
        return true;
    }
    if (spelling == SPELLED_RELATIVE || !parse_units(text, sizes, COUNT(sizes), 1, &n))
        return complain(problem, text, complaints[spelling]);
    *memory = (struct conf_memory){.absolute = n};
    return true;
}

bool scalar_parse(const struct row *row, enum spelling spelling, struct slice text, void *field,
                  struct arena *arena, struct buf *problem)
{
    switch (row->type) {
    case ROW_TEXT:
    case ROW_PATH:
    case ROW_TEXTS:
        return store_text(row, text, field, arena, problem);
    case ROW_BOOL:
        return store_bool(text, field, problem);
    case ROW_ENUM:
        return store_enum(row, text, field, problem);
    case ROW_MEMORY:
        return store_memory(row, spelling, text, field, problem);
    default:
        return store_number(row, text, field, problem);
    }
}

/* Characters that YAML does not take as they are in double quotes, or takes for line breaks. */
static bool needs_escape(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
           c == 0xfffe || c == 0xffff;
}

static uint32_t decode(const uint8_t *p, unsigned n)
{
    uint32_t c = n == 1 ? p[0] : p[0] & (0xffu >> (n + 1));
    for (unsigned i = 1; i < n; i++)
        c = c << 6 | (p[i] & 0x3fu);
    return c;
}

void scalar_quote(struct slice text, struct buf *out)
{
    buf_append_byte(out, '"');
    for (size_t at = 0; at < text.len;) {
        const uint8_t *p = text.data + at;
        unsigned n = utf8_char_len(slice_of(p, text.len - at));
        uint32_t c = n ? decode(p, n) : 0xfffd;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", (char)c);
        else if (!n || needs_escape(c))
            buf_printf(out, "\\u%04x", c);
        else
            buf_append(out, p, n);
        at += n ? n : 1;
    }
    buf_append_byte(out, '"');
}

/* Such that it reads as the same again. */
static void print_memory(const struct conf_memory *memory, struct buf *out)
{
    char share[40];
    snprintf(share, sizeof share, "%.9g", memory->relative);
    if (memory->absolute == 1)
        buf_append_str(out, "1B");
    else if (memory->absolute)
        print_size(memory->absolute, out);
    else
        buf_printf(out, "%s%s", share, memory->relative > 1 && !strchr(share, '.') ? ".0" : "");
}

void scalar_print(const struct row *row, const void *field, struct buf *out)
{
    const struct conf_memory *memory;
    switch (row->type) {
    case ROW_TEXT:
    case ROW_PATH:
        scalar_quote(slice_str(*(const char *const *)field), out);
        break;
    case ROW_BOOL:
        buf_append_str(out, *(const bool *)field ? "true" : "false");
        break;
    case ROW_ENUM: {
        int n = row->size == sizeof(bool) ? *(const bool *)field : *(const int *)field - row->first;
        buf_append_slice(out, word_at(row->names, (unsigned)n));
        break;
    }
    case ROW_MEMORY:
        memory = field;
        print_memory(memory, out);
        break;
    default:
        print_number(row, read_number(row, field), out);
    }
}

void scalar_describe(const struct row *row, struct buf *out)
{
    static const char *const names[] = {
        [ROW_TEXT] = "text",
        [ROW_PATH] = "file name",
        [ROW_BOOL] = "true, false",
        [ROW_UINT] = "whole number",
        [ROW_SIZE] = "size",
        [ROW_SECONDS] = "duration (a bare number: seconds)",
        [ROW_MODE] = "octal mode",
        [ROW_MILLIS] = "duration (a bare number: milliseconds)",
        [ROW_ENUM] = "",
        [ROW_MEMORY] = "share or size",
        [ROW_TEXTS] = "list",
        [ROW_ARGS] = "mapping of scalars",
        [ROW_LIST] = "list",
    };
    bool choice = row->names && row->type != ROW_TEXTS && row->type != ROW_UINT;
    buf_append_str(out, choice ? "one of " : names[row->type]);
    if (row->type == ROW_TEXTS && row->names)
        buf_append_str(out, " of ");
    if (row->names && row->type != ROW_UINT)
        print_words(row->names, out);
    if (row->type == ROW_UINT || row->type == ROW_SIZE || row->type == ROW_SECONDS ||
        row->type == ROW_MILLIS)
        print_range(row, out);
    if (row->infinite)
        buf_append_str(out, " or `infinity`");
    if (row->names && row->type == ROW_UINT) {
        buf_append_str(out, ", or one of ");
        print_words(row->names, out);
    }
}
