/* The table-driven codec of AMQP methods, and the slow paths of the cursors. No state, any shard.
 */
#include "base/wire.h"

#include "base/bug.h"
#include "base/table.h"

#include <inttypes.h>

void wire_reader_fail(struct wire_reader *rd, enum wire_err err)
{
    if (!rd->err)
        rd->err = err;
    rd->pos = rd->end;
}

void wire_writer_fail(struct wire_writer *wr, enum wire_err err)
{
    if (!wr->err)
        wr->err = err;
    wr->end = wr->pos;
}

bool wire_writer_grow(struct wire_writer *wr, size_t n)
{
    if (wr->err || !wr->buf) {
        wire_writer_fail(wr, WIRE_ROOM);
        return false;
    }
    struct buf *buf = wr->buf;
    size_t written = (size_t)(wr->pos - wr->start);
    buf->len += written;
    buf_reserve(buf, n);
    buf->len -= written;
    wr->start = buf->data + buf->len;
    wr->pos = wr->start + written;
    wr->end = buf->data + buf->cap;
    return true;
}

/* The length of the multi-byte sequence at p, 0 if it is not one. */
static unsigned utf8_sequence(const uint8_t *p, size_t left)
{
    static const uint8_t lead_mask[] = {0, 0, 0x1f, 0x0f, 0x07};
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned n = p[0] >= 0xf8 ? 0 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc0 ? 2 : 0;
    if (n == 0 || left < n)
        return 0;
    uint32_t c = p[0] & lead_mask[n];
    for (unsigned i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    return c < lowest[n] ? 0 : n;
}

bool wire_utf8(struct slice text)
{
    const uint8_t *p = text.data;
    size_t left = text.len;
    while (left >= 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        if (v & UINT64_C(0x8080808080808080))
            break;
        p += 8;
        left -= 8;
    }
    while (left) {
        unsigned n = p[0] < 0x80 ? 1 : utf8_sequence(p, left);
        if (n == 0)
            return false;
        p += n;
        left -= n;
    }
    return true;
}

struct slice wire_get_shortstr_utf8(struct wire_reader *rd)
{
    struct slice s = wire_get_shortstr(rd);
    if (__builtin_expect(!wire_utf8(s), 0)) {
        wire_reader_fail(rd, WIRE_UTF8);
        return SLICE_EMPTY;
    }
    return s;
}

struct slice wire_get_table(struct wire_reader *rd)
{
    struct slice s = wire_get_longstr(rd);
    if (__builtin_expect(s.len && !table_check(s), 0)) {
        wire_reader_fail(rd, WIRE_TABLE);
        return SLICE_EMPTY;
    }
    return s;
}

void wire_put_shortstr(struct wire_writer *wr, struct slice s)
{
    if (__builtin_expect(s.len > UINT8_MAX, 0)) {
        wire_writer_fail(wr, WIRE_TOO_LONG);
        return;
    }
    wire_put_u8(wr, (uint8_t)s.len);
    wire_put_bytes(wr, s);
}

void wire_put_longstr(struct wire_writer *wr, struct slice s)
{
    if (__builtin_expect(s.len > UINT32_MAX, 0)) {
        wire_writer_fail(wr, WIRE_TOO_LONG);
        return;
    }
    wire_put_u32(wr, (uint32_t)s.len);
    wire_put_bytes(wr, s);
}

#define MEMBER(type, args, field)       (*(type *)((uint8_t *)(args) + (field)->offset))
#define CONST_MEMBER(type, args, field) (*(const type *)((const uint8_t *)(args) + (field)->offset))

enum wire_err wire_decode(const struct wire_method *method, struct slice args, void *ret_struct)
{
    struct wire_reader rd = wire_reader(args);
    const struct wire_field *field = method->fields;
    unsigned octet = 0;
    for (unsigned left = method->fields_len; left; left--, field++) {
        switch ((enum wire_type)field->type) {
        case WIRE_BIT:
            if (field->bit == 0)
                octet = wire_get_u8(&rd);
            MEMBER(bool, ret_struct, field) = octet >> field->bit & 1;
            break;
        case WIRE_OCTET:
            MEMBER(uint8_t, ret_struct, field) = wire_get_u8(&rd);
            break;
        case WIRE_U16:
            MEMBER(uint16_t, ret_struct, field) = wire_get_u16(&rd);
            break;
        case WIRE_U32:
            MEMBER(uint32_t, ret_struct, field) = wire_get_u32(&rd);
            break;
        case WIRE_U64:
        case WIRE_TIMESTAMP:
            MEMBER(uint64_t, ret_struct, field) = wire_get_u64(&rd);
            break;
        case WIRE_SHORTSTR:
            MEMBER(struct slice, ret_struct, field) = wire_get_shortstr_utf8(&rd);
            break;
        case WIRE_SHORTSTR_RAW:
            MEMBER(struct slice, ret_struct, field) = wire_get_shortstr(&rd);
            break;
        case WIRE_LONGSTR:
            MEMBER(struct slice, ret_struct, field) = wire_get_longstr(&rd);
            break;
        case WIRE_FIELD_TABLE:
            MEMBER(struct slice, ret_struct, field) = wire_get_table(&rd);
            break;
        case WIRE_RESERVED_BIT:
            if (field->bit == 0)
                octet = wire_get_u8(&rd);
            break;
        case WIRE_RESERVED_U16:
            wire_get_u16(&rd);
            break;
        case WIRE_RESERVED_SHORTSTR:
            wire_get_shortstr_utf8(&rd);
            break;
        case WIRE_RESERVED_LONGSTR:
            wire_get_longstr(&rd);
            break;
        }
    }
    if (__builtin_expect(rd.pos != rd.end, 0))
        return WIRE_EXCESS;
    return rd.err;
}

/* A bit joins the octet that the first of its neighbours wrote. */
static void put_bit(struct wire_writer *wr, unsigned bit, bool on)
{
    if (bit == 0)
        wire_put_u8(wr, on);
    else if (!wr->err)
        wr->pos[-1] |= (uint8_t)(on << bit);
}

void wire_encode(struct wire_writer *wr, const struct wire_method *method, const void *args)
{
    wire_put_u16(wr, method->class_id);
    wire_put_u16(wr, method->method_id);
    const struct wire_field *field = method->fields;
    for (unsigned left = method->fields_len; left; left--, field++) {
        switch ((enum wire_type)field->type) {
        case WIRE_BIT:
            put_bit(wr, field->bit, CONST_MEMBER(bool, args, field));
            break;
        case WIRE_OCTET:
            wire_put_u8(wr, CONST_MEMBER(uint8_t, args, field));
            break;
        case WIRE_U16:
            wire_put_u16(wr, CONST_MEMBER(uint16_t, args, field));
            break;
        case WIRE_U32:
            wire_put_u32(wr, CONST_MEMBER(uint32_t, args, field));
            break;
        case WIRE_U64:
        case WIRE_TIMESTAMP:
            wire_put_u64(wr, CONST_MEMBER(uint64_t, args, field));
            break;
        case WIRE_SHORTSTR:
        case WIRE_SHORTSTR_RAW:
            wire_put_shortstr(wr, CONST_MEMBER(struct slice, args, field));
            break;
        case WIRE_LONGSTR:
        case WIRE_FIELD_TABLE:
            wire_put_longstr(wr, CONST_MEMBER(struct slice, args, field));
            break;
        case WIRE_RESERVED_BIT:
            put_bit(wr, field->bit, false);
            break;
        case WIRE_RESERVED_U16:
            wire_put_u16(wr, 0);
            break;
        case WIRE_RESERVED_SHORTSTR:
            wire_put_u8(wr, 0);
            break;
        case WIRE_RESERVED_LONGSTR:
            wire_put_u32(wr, 0);
            break;
        }
    }
}

void wire_print_quoted(struct slice text, struct buf *out)
{
    static const char escaped[] = "\\'\n\r\t", letter[] = "\\'nrt";
    bool utf8 = wire_utf8(text);
    buf_append_byte(out, '\'');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        const char *found = c ? memchr(escaped, c, sizeof escaped - 1) : NULL;
        if (found) {
            buf_append_byte(out, '\\');
            buf_append_byte(out, (uint8_t)letter[found - escaped]);
        } else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8)) {
            buf_printf(out, "\\x%02x", c);
        } else {
            buf_append_byte(out, c);
        }
    }
    buf_append_byte(out, '\'');
}

static void print_name(const char *name, struct buf *out)
{
    buf_append_byte(out, ' ');
    for (; *name; name++)
        buf_append_byte(out, *name == '-' ? '_' : (uint8_t)*name);
    buf_append_byte(out, '=');
}

static void print_value(const struct wire_field *field, const void *args, struct buf *out)
{
    switch ((enum wire_type)field->type) {
    case WIRE_BIT:
        buf_append_str(out, CONST_MEMBER(bool, args, field) ? "true" : "false");
        break;
    case WIRE_OCTET:
        buf_printf(out, "%u", CONST_MEMBER(uint8_t, args, field));
        break;
    case WIRE_U16:
        buf_printf(out, "%u", CONST_MEMBER(uint16_t, args, field));
        break;
    case WIRE_U32:
        buf_printf(out, "%" PRIu32, CONST_MEMBER(uint32_t, args, field));
        break;
    case WIRE_U64:
    case WIRE_TIMESTAMP:
        buf_printf(out, "%" PRIu64, CONST_MEMBER(uint64_t, args, field));
        break;
    case WIRE_SHORTSTR:
    case WIRE_SHORTSTR_RAW:
    case WIRE_LONGSTR:
        wire_print_quoted(CONST_MEMBER(struct slice, args, field), out);
        break;
    case WIRE_FIELD_TABLE:
        table_print(CONST_MEMBER(struct slice, args, field), out);
        break;
    case WIRE_RESERVED_BIT:
    case WIRE_RESERVED_U16:
    case WIRE_RESERVED_SHORTSTR:
    case WIRE_RESERVED_LONGSTR:
        bug_panic("a reserved field has no value");
    }
}

static bool is_shown(const struct wire_field *field, const void *args)
{
    if (field->type >= WIRE_RESERVED_BIT)
        return false;
    if (field->type == WIRE_BIT)
        return CONST_MEMBER(bool, args, field);
    return field->type != WIRE_FIELD_TABLE || CONST_MEMBER(struct slice, args, field).len;
}

void wire_print_field(const struct wire_field *field, const struct wire_field_info *info,
                      const void *args, struct buf *out)
{
    if (!is_shown(field, args))
        return;
    print_name(info->name, out);
    if (info->secret)
        buf_append_str(out, "***");
    else
        print_value(field, args, out);
}

void wire_print(const struct wire_method *method, const void *args, struct buf *out)
{
    buf_append_str(out, method->name);
    for (unsigned i = 0; i < method->fields_len; i++)
        wire_print_field(&method->fields[i], &method->info[i], args, out);
}

/* Enough to fill the 255 bytes of a reply text. */
#define SHOWN_BYTES 256

static void print_bytes(struct slice bytes, struct buf *out)
{
    buf_append_str(out, "<<");
    for (size_t i = 0; i < bytes.len && i < SHOWN_BYTES; i++)
        buf_printf(out, i ? ",%u" : "%u", bytes.data[i]);
    buf_append_str(out, ">>");
}

enum err wire_failure(enum wire_err err, struct slice args, struct failure *why)
{
    if (err == WIRE_UTF8)
        return failure_set(why, ERR_FRAME_ERROR, "Malformed UTF-8 in shortstr");
    struct buf bytes = BUF_INIT;
    print_bytes(args, &bytes);
    enum err code = failure_set(why, ERR_FRAME_ERROR, "cannot decode %s", buf_cstr(&bytes));
    buf_fini(&bytes);
    return code;
}

const char *wire_err_text(enum wire_err err)
{
    switch (err) {
    case WIRE_OK:
        return "no error";
    case WIRE_SHORT:
        return "the data ends within a value";
    case WIRE_EXCESS:
        return "data is left behind the last value";
    case WIRE_UTF8:
        return "malformed UTF-8 in a short string";
    case WIRE_TABLE:
        return "malformed field table";
    case WIRE_ROOM:
        return "the buffer is full";
    case WIRE_TOO_LONG:
        return "a value is too long for its type";
    }
    return "unknown error";
}
