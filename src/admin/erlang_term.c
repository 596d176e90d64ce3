#include "admin/erlang_term.h"

#include "base/utf8.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Tags of the external format. */
enum {
    EXTERNAL = 131,
    SMALL_INTEGER = 97,
    INTEGER = 98,
    ATOM_LATIN1 = 100,
    NIL = 106,
    STRING = 107,
    LIST = 108,
    BINARY = 109,
    SMALL_ATOM_LATIN1 = 115,
    ATOM = 118,
    SMALL_ATOM = 119
};
enum { STRING_MAX = 65535, ATOM_MAX = 255 };

void erlang_term_fini(struct erlang_term *t)
{
    buf_fini(&t->text);
}

/* ---- characters ---- */

static void put_utf8(struct buf *out, uint32_t code)
{
    if (code < 0x80) {
        buf_append_byte(out, (uint8_t)code);
    } else if (code < 0x800) {
        buf_append_byte(out, (uint8_t)(0xc0 | code >> 6));
        buf_append_byte(out, (uint8_t)(0x80 | (code & 0x3f)));
    } else {
        if (code < 0x10000)
            buf_append_byte(out, (uint8_t)(0xe0 | code >> 12));
        else
            buf_append_byte(out, (uint8_t)(0xf0 | code >> 18));
        if (code >= 0x10000)
            buf_append_byte(out, (uint8_t)(0x80 | (code >> 12 & 0x3f)));
        buf_append_byte(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
        buf_append_byte(out, (uint8_t)(0x80 | (code & 0x3f)));
    }
}

/* The character at the start of text, which is UTF-8; text goes on behind it. */
static uint32_t next_code(struct slice *text)
{
    static const uint8_t first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    unsigned n = utf8_char_len(*text);
    uint32_t code = text->data[0] & first[n];
    for (unsigned i = 1; i < n; i++)
        code = code << 6 | (text->data[i] & 0x3f);
    *text = slice_of(text->data + n, text->len - n);
    return code;
}

static uint32_t highest_code(struct slice text, size_t *ret_count)
{
    uint32_t highest = 0;
    for (*ret_count = 0; text.len; ++*ret_count) {
        uint32_t code = next_code(&text);
        highest = code > highest ? code : highest;
    }
    return highest;
}

/* ---- as it is typed ---- */

static const struct escape {
    char letter, code;
} escapes[] = {{'n', '\n'}, {'t', '\t'}, {'r', '\r'}, {'e', 27}, {'s', ' '},
               {'b', '\b'}, {'f', '\f'}, {'v', '\v'}, {'d', 127}};
enum { ESCAPES = sizeof escapes / sizeof *escapes };

static char escaped(uint8_t letter)
{
    for (size_t i = 0; i < ESCAPES; i++) {
        if (escapes[i].letter == (char)letter)
            return escapes[i].code;
    }
    return (char)letter;
}

/* What stands between quotes; false: they are not where they should be. */
static bool read_quoted(struct slice text, char quote, struct buf *out)
{
    if (text.len < 2 || text.data[0] != (uint8_t)quote)
        return false;
    for (size_t i = 1; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == (uint8_t)quote)
            return i + 1 == text.len;
        if (c == '\\' && i + 1 < text.len)
            c = (uint8_t)escaped(text.data[++i]);
        buf_append_byte(out, c);
    }
    return false;
}

static bool is_bare_atom(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!isalnum(text.data[i]) && text.data[i] != '_' && text.data[i] != '@')
            return false;
    }
    return text.len && islower(text.data[0]);
}

/* Its characters are bytes. */
static bool read_binary(struct slice text, struct buf *out)
{
    struct buf chars = BUF_INIT;
    size_t count;
    bool good =
        text.len >= 4 && !memcmp(text.data, "<<", 2) && !memcmp(text.data + text.len - 2, ">>", 2);
    if (good && text.len > 4)
        good = read_quoted(slice_of(text.data + 2, text.len - 4), '"', &chars) &&
               highest_code(buf_slice(&chars), &count) < 256;
    struct slice rest = buf_slice(&chars);
    while (good && rest.len)
        buf_append_byte(out, (uint8_t)next_code(&rest));
    buf_fini(&chars);
    return good;
}

static bool read_integer(struct slice text, int32_t *ret)
{
    char digits[16], *end;
    if (!text.len || text.len >= sizeof digits)
        return false;
    memcpy(digits, text.data, text.len);
    digits[text.len] = '\0';
    long n = strtol(digits, &end, 10);
    *ret = (int32_t)n;
    return !*end && !isspace((unsigned char)digits[0]) && n == *ret;
}

bool erlang_term_parse(struct erlang_term *t, struct slice text)
{
    *t = (struct erlang_term){.text = BUF_INIT};
    while (text.len && isspace(text.data[text.len - 1]))
        text.len--;
    if (!text.len || !utf8_valid(text))
        return false;
    if (text.data[0] == '"')
        return read_quoted(text, '"', &t->text);
    t->type = TERM_BINARY;
    if (text.data[0] == '<')
        return read_binary(text, &t->text);
    t->type = TERM_INT;
    if (read_integer(text, &t->integer))
        return true;
    t->type = TERM_ATOM;
    if (text.data[0] == '\'')
        return read_quoted(text, '\'', &t->text) && t->text.len <= ATOM_MAX;
    buf_append_slice(&t->text, text);
    return is_bare_atom(text) && text.len <= ATOM_MAX;
}

/* ---- as it is printed ---- */

static bool is_printable(struct slice text)
{
    while (text.len) {
        uint32_t code = next_code(&text);
        if ((code < ' ' && !(code >= '\b' && code <= '\r') && code != 27) ||
            (code >= 127 && code < 160))
            return false;
    }
    return true;
}

static void print_quoted(struct slice text, char quote, struct buf *out)
{
    buf_append_byte(out, (uint8_t)quote);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        for (size_t k = 0; k < ESCAPES; k++) {
            if (c != ' ' && escapes[k].code == (char)c)
                c = (uint8_t)escapes[k].letter;
        }
        if (c != text.data[i] || c == '\\' || c == (uint8_t)quote)
            buf_append_byte(out, '\\');
        buf_append_byte(out, c);
    }
    buf_append_byte(out, (uint8_t)quote);
}

static void print_numbers(struct slice text, bool bytes, struct buf *out)
{
    for (bool first = true; text.len; first = false) {
        uint32_t n = *text.data;
        if (bytes)
            text = slice_of(text.data + 1, text.len - 1);
        else
            n = next_code(&text);
        buf_printf(out, "%s%u", first ? "" : ",", n);
    }
}

static void print_string(struct slice text, struct buf *out)
{
    if (is_printable(text)) {
        print_quoted(text, '"', out);
        return;
    }
    buf_append_byte(out, '[');
    print_numbers(text, false, out);
    buf_append_byte(out, ']');
}

/* As text only where each byte is a printable character of ASCII. */
static void print_binary(struct slice bytes, struct buf *out)
{
    bool plain = true;
    for (size_t i = 0; i < bytes.len; i++)
        plain &= bytes.data[i] < 127;
    buf_append_str(out, "<<");
    if (plain && is_printable(bytes))
        print_quoted(bytes, '"', out);
    else
        print_numbers(bytes, true, out);
    buf_append_str(out, ">>");
}

void erlang_term_print(const struct erlang_term *t, struct buf *out)
{
    struct slice text = buf_slice(&t->text);
    if (t->type == TERM_INT)
        buf_printf(out, "%d", t->integer);
    else if (t->type == TERM_STRING)
        print_string(text, out);
    else if (t->type == TERM_BINARY)
        print_binary(text, out);
    else if (is_bare_atom(text))
        buf_append_slice(out, text);
    else
        print_quoted(text, '\'', out);
}

/* ---- the external format ---- */

static void put_number(struct buf *out, uint64_t n, unsigned bytes)
{
    while (bytes--)
        buf_append_byte(out, (uint8_t)(n >> 8 * bytes));
}

static void encode_integer(uint32_t n, struct buf *out)
{
    bool small = n < 256;
    buf_append_byte(out, small ? SMALL_INTEGER : INTEGER);
    put_number(out, n, small ? 1 : 4);
}

/* A list of characters, which are bytes if they can be. */
static void encode_string(struct slice text, struct buf *out)
{
    size_t count;
    bool bytes = highest_code(text, &count) < 256 && count <= STRING_MAX;
    if (!count) {
        buf_append_byte(out, NIL);
        return;
    }
    buf_append_byte(out, bytes ? STRING : LIST);
    put_number(out, count, bytes ? 2 : 4);
    while (text.len) {
        if (bytes)
            buf_append_byte(out, (uint8_t)next_code(&text));
        else
            encode_integer(next_code(&text), out);
    }
    if (!bytes)
        buf_append_byte(out, NIL);
}

void erlang_term_encode(const struct erlang_term *t, struct buf *out)
{
    struct slice text = buf_slice(&t->text);
    buf_append_byte(out, EXTERNAL);
    if (t->type == TERM_INT) {
        encode_integer((uint32_t)t->integer, out);
    } else if (t->type == TERM_STRING) {
        encode_string(text, out);
    } else {
        bool atom = t->type == TERM_ATOM;
        buf_append_byte(out, atom ? SMALL_ATOM : BINARY);
        put_number(out, text.len, atom ? 1 : 4);
        buf_append_slice(out, text);
    }
}

/* A number of so many bytes from the start of in. */
static bool take_number(struct slice *in, unsigned bytes, uint32_t *ret)
{
    if (in->len < bytes)
        return false;
    *ret = 0;
    for (unsigned i = 0; i < bytes; i++)
        *ret = *ret << 8 | in->data[i];
    *in = slice_of(in->data + bytes, in->len - bytes);
    return true;
}

static bool decode_integer(struct slice *in, uint32_t *ret)
{
    uint32_t tag;
    return take_number(in, 1, &tag) && (tag == SMALL_INTEGER || tag == INTEGER) &&
           take_number(in, tag == INTEGER ? 4 : 1, ret);
}

/* bytes: its characters are bytes, else terms. */
static bool decode_string(struct erlang_term *t, struct slice in, bool bytes)
{
    uint32_t count, code, tail = NIL;
    if (!take_number(&in, bytes ? 2 : 4, &count))
        return false;
    for (; count; count--) {
        if (!(bytes ? take_number(&in, 1, &code) : decode_integer(&in, &code)) || code > 0x10ffff ||
            (code >= 0xd800 && code < 0xe000))
            return false;
        put_utf8(&t->text, code);
    }
    return (bytes || take_number(&in, 1, &tail)) && tail == NIL && !in.len;
}

/* size: of its length */
static bool decode_text(struct erlang_term *t, enum erlang_term_type type, struct slice in,
                        unsigned size, bool latin1)
{
    uint32_t len;
    t->type = type;
    if (!take_number(&in, size, &len) || in.len != len ||
        (type == TERM_ATOM && !latin1 && !utf8_valid(in)))
        return false;
    for (size_t i = 0; i < len && latin1; i++)
        put_utf8(&t->text, in.data[i]);
    if (!latin1)
        buf_append_slice(&t->text, in);
    return true;
}

bool erlang_term_decode(struct erlang_term *t, struct slice in)
{
    uint32_t version, tag, n;
    *t = (struct erlang_term){.text = BUF_INIT};
    if (!take_number(&in, 1, &version) || version != EXTERNAL || !in.len)
        return false;
    struct slice integer = in;
    if (decode_integer(&integer, &n)) {
        t->type = TERM_INT;
        t->integer = (int32_t)n;
        return !integer.len;
    }
    take_number(&in, 1, &tag);
    switch (tag) {
    case NIL:
        return !in.len;
    case STRING:
    case LIST:
        return decode_string(t, in, tag == STRING);
    case BINARY:
        return decode_text(t, TERM_BINARY, in, 4, false);
    case ATOM:
    case SMALL_ATOM:
        return decode_text(t, TERM_ATOM, in, tag == ATOM ? 2 : 1, false);
    case ATOM_LATIN1:
    case SMALL_ATOM_LATIN1:
        return decode_text(t, TERM_ATOM, in, tag == ATOM_LATIN1 ? 2 : 1, true);
    default:
        return false;
    }
}
