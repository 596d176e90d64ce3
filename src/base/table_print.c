/* Field tables as text: as Erlang terms, which RabbitMQ's error texts show, and for traces. */
#include "base/table.h"

#include "base/wire.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Containers nested deeper than this are shown as "...". */
#define PRINT_DEPTH 32

const char *table_type_name(enum table_type type)
{
    switch (type) {
    case TABLE_BOOL:
        return "bool";
    case TABLE_I8:
        return "byte";
    case TABLE_U8:
        return "unsignedbyte";
    case TABLE_I16:
        return "short";
    case TABLE_U16:
        return "unsignedshort";
    case TABLE_I32:
        return "signedint";
    case TABLE_U32:
        return "unsignedint";
    case TABLE_I64:
        return "long";
    case TABLE_FLOAT:
        return "float";
    case TABLE_DOUBLE:
        return "double";
    case TABLE_DECIMAL:
        return "decimal";
    case TABLE_LONGSTR:
        return "longstr";
    case TABLE_ARRAY:
        return "array";
    case TABLE_TIMESTAMP:
        return "timestamp";
    case TABLE_TABLE:
        return "table";
    case TABLE_VOID:
        return "void";
    case TABLE_BINARY:
        return "binary";
    }
    return "unknown";
}

/* --- doubles as Erlang writes them --- */

/* The fewest decimal digits that read back as d, without trailing zeros. Returns the exponent e of
 * 0.DIGITS * 10^e. */
static int shortest_digits(double d, char digits[18])
{
    char text[32];
    for (int precision = 0; precision < 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, d);
        if (strtod(text, NULL) == d)
            break;
    }
    char *exponent = strchr(text, 'e');
    size_t n = 0;
    for (char *p = text; p < exponent; p++) {
        if (*p >= '0' && *p <= '9' && n < 17)
            digits[n++] = *p;
    }
    while (n > 1 && digits[n - 1] == '0')
        n--;
    digits[n] = '\0';
    return (int)strtol(exponent + 1, NULL, 10) + 1;
}

static void print_scientific(const char *digits, int exponent, struct buf *out)
{
    buf_printf(out, "%c.%se%d", digits[0], digits[1] ? digits + 1 : "0", exponent - 1);
}

static void print_zeros(int n, struct buf *out)
{
    while (n-- > 0)
        buf_append_byte(out, '0');
}

/* Plain notation where it is no longer than the scientific one. */
static void print_double(double d, struct buf *out)
{
    if (d < 0 || (d == 0 && 1 / d < 0)) {
        buf_append_byte(out, '-');
        d = -d;
    }
    if (d == 0 || !isfinite(d)) {
        buf_append_str(out, d == 0 ? "0.0" : isnan(d) ? "nan" : "inf");
        return;
    }
    char digits[18], number[16];
    int e = shortest_digits(d, digits);
    int len = (int)strlen(digits);
    int cost = snprintf(number, sizeof number, "%d", e - 1) + (len == 1 ? 3 : 2);
    if (e > 0 && e < len) {
        buf_printf(out, "%.*s.%s", e, digits, digits + e);
    } else if (e <= 0 && 2 - e <= cost) {
        buf_append_str(out, "0.");
        print_zeros(-e, out);
        buf_append_str(out, digits);
    } else if (e >= len && e - len + 2 <= cost && d < 0x1p53) {
        buf_append_str(out, digits);
        print_zeros(e - len, out);
        buf_append_str(out, ".0");
    } else {
        print_scientific(digits, e, out);
    }
}

/* --- Erlang terms --- */

static bool is_text(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        if ((c < 0x20 && !(c >= 8 && c <= 13) && c != 27) || c == 0x7f)
            return false;
    }
    return wire_utf8(s);
}

static void print_term_binary(struct slice s, struct buf *out)
{
    static const char escaped[] = "\"\\\b\t\n\v\f\r\033", letter[] = "\"\\btnvfre";
    buf_append_str(out, "<<");
    if (!is_text(s)) {
        for (size_t i = 0; i < s.len; i++)
            buf_printf(out, i ? ",%u" : "%u", s.data[i]);
    } else if (s.len) {
        buf_append_byte(out, '"');
        for (size_t i = 0; i < s.len; i++) {
            const char *found = memchr(escaped, s.data[i], sizeof escaped - 1);
            if (found)
                buf_append_byte(out, '\\');
            buf_append_byte(out, found ? (uint8_t)letter[found - escaped] : s.data[i]);
        }
        buf_append_byte(out, '"');
    }
    buf_append_str(out, ">>");
}

static void print_term(const struct table_value *value, unsigned depth, struct buf *out);

/* A table is a list of {key,type,value}, an array one of {type,value}. */
static void print_term_list(struct slice body, bool array, unsigned depth, struct buf *out)
{
    if (depth == PRINT_DEPTH) {
        buf_append_str(out, "...");
        return;
    }
    struct table_iter it = table_iter(body);
    struct slice key;
    struct table_value v;
    buf_append_byte(out, '[');
    for (bool first = true; array ? array_next(&it, &v) : table_next(&it, &key, &v);
         first = false) {
        buf_append_str(out, first ? "{" : ",{");
        if (!array) {
            print_term_binary(key, out);
            buf_append_byte(out, ',');
        }
        buf_printf(out, "%s,", table_type_name(v.type));
        print_term(&v, depth + 1, out);
        buf_append_byte(out, '}');
    }
    buf_append_byte(out, ']');
}

static void print_term(const struct table_value *value, unsigned depth, struct buf *out)
{
    switch (value->type) {
    case TABLE_BOOL:
        buf_append_str(out, value->boolean ? "true" : "false");
        break;
    case TABLE_TIMESTAMP:
        buf_printf(out, "%" PRIu64, value->timestamp);
        break;
    case TABLE_FLOAT:
    case TABLE_DOUBLE:
        print_double(value->real, out);
        break;
    case TABLE_DECIMAL:
        buf_printf(out, "{%u,%" PRIu32 "}", value->decimal.scale, value->decimal.digits);
        break;
    case TABLE_LONGSTR:
    case TABLE_BINARY:
        print_term_binary(value->bytes, out);
        break;
    case TABLE_TABLE:
    case TABLE_ARRAY:
        print_term_list(value->bytes, value->type == TABLE_ARRAY, depth, out);
        break;
    case TABLE_VOID:
        buf_append_str(out, "undefined");
        break;
    default:
        buf_printf(out, "%" PRId64, value->integer);
    }
}

void table_value_print_term(const struct table_value *value, struct buf *out)
{
    if (value->type == TABLE_LONGSTR || value->type == TABLE_BINARY)
        buf_append_slice(out, value->bytes);
    else
        print_term(value, 0, out);
}

void table_value_print_quoted(const struct table_value *value, struct buf *out)
{
    print_term(value, 0, out);
}

void table_value_describe(const struct table_value *value, struct buf *out)
{
    if (!value) {
        buf_append_str(out, "none");
        return;
    }
    buf_append_str(out, "the value '");
    table_value_print_term(value, out);
    buf_printf(out, "' of type '%s'", table_type_name(value->type));
}

/* --- traces --- */

static bool is_bare(struct slice key)
{
    for (size_t i = 0; i < key.len; i++) {
        uint8_t c = key.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || c == '.';
        if (!plain)
            return false;
    }
    return key.len > 0;
}

static void print_trace(const struct table_value *value, unsigned depth, struct buf *out);

static void print_trace_list(struct slice body, bool array, unsigned depth, struct buf *out)
{
    if (depth == PRINT_DEPTH) {
        buf_append_str(out, "...");
        return;
    }
    struct table_iter it = table_iter(body);
    struct slice key;
    struct table_value v;
    buf_append_byte(out, array ? '[' : '{');
    for (bool first = true; array ? array_next(&it, &v) : table_next(&it, &key, &v);
         first = false) {
        if (!first)
            buf_append_str(out, ", ");
        if (!array) {
            if (is_bare(key))
                buf_append_slice(out, key);
            else
                wire_print_quoted(key, out);
            buf_append_byte(out, '=');
        }
        print_trace(&v, depth + 1, out);
    }
    buf_append_byte(out, array ? ']' : '}');
}

/* A type that the notation of the value does not imply goes in front of it as a letter. */
static void print_trace(const struct table_value *value, unsigned depth, struct buf *out)
{
    switch (value->type) {
    case TABLE_BOOL:
        buf_append_str(out, value->boolean ? "true" : "false");
        break;
    case TABLE_I32:
        buf_printf(out, "%" PRId64, value->integer);
        break;
    case TABLE_DOUBLE:
        print_double(value->real, out);
        break;
    case TABLE_LONGSTR:
        wire_print_quoted(value->bytes, out);
        break;
    case TABLE_VOID:
        buf_append_str(out, "void");
        break;
    case TABLE_TABLE:
    case TABLE_ARRAY:
        print_trace_list(value->bytes, value->type == TABLE_ARRAY, depth, out);
        break;
    case TABLE_FLOAT:
        buf_append_str(out, "f:");
        print_double(value->real, out);
        break;
    case TABLE_TIMESTAMP:
        buf_printf(out, "T:%" PRIu64, value->timestamp);
        break;
    case TABLE_DECIMAL:
        buf_printf(out, "D:[%u, %" PRIu32 "]", value->decimal.scale, value->decimal.digits);
        break;
    case TABLE_BINARY:
        buf_append_str(out, "x:");
        wire_print_quoted(value->bytes, out);
        break;
    default:
        buf_printf(out, "%c:%" PRId64, (char)value->type, value->integer);
    }
}

void table_value_print(const struct table_value *value, struct buf *out)
{
    print_trace(value, 0, out);
}

void table_print(struct slice table, struct buf *out)
{
    print_trace_list(table, false, 0, out);
}
