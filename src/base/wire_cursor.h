/* Cursors that read and write the types of AMQP 0-9-1. Nothing allocates while decoding: decoded
 * slices are borrowed from the input. Errors stick to the cursor: after the first, reads yield
 * zeros and writes do nothing, so that a sequence is checked once, at its end. */
#ifndef BASE_WIRE_CURSOR_H
#define BASE_WIRE_CURSOR_H

#include "base/buf.h"
#include "base/slice.h"

enum wire_err {
    WIRE_OK = 0,
    WIRE_SHORT,   /* the input ends within a value */
    WIRE_EXCESS,  /* bytes are left behind the last value */
    WIRE_UTF8,    /* a short string that must be UTF-8 is not */
    WIRE_TABLE,   /* a field table is malformed */
    WIRE_ROOM,    /* the caller's buffer is full */
    WIRE_TOO_LONG /* a value does not fit its type: a short string over 255 bytes */
};

/* --- reading --- */

struct wire_reader {
    const uint8_t *pos, *end;
    enum wire_err err; /* the first one */
};

static inline struct wire_reader wire_reader(struct slice input)
{
    const uint8_t *p = input.data ? input.data : (const uint8_t *)"";
    return (struct wire_reader){p, p + input.len, WIRE_OK};
}

static inline size_t wire_left(const struct wire_reader *rd)
{
    return (size_t)(rd->end - rd->pos);
}

static inline struct slice wire_rest(const struct wire_reader *rd)
{
    return slice_of(rd->pos, wire_left(rd));
}

/* Makes err stick, unless an earlier one does, and ends the input. */
void wire_reader_fail(struct wire_reader *rd, enum wire_err err) __attribute__((cold));

static inline bool wire_has(struct wire_reader *rd, size_t n)
{
    if (__builtin_expect(wire_left(rd) < n, 0)) {
        wire_reader_fail(rd, WIRE_SHORT);
        return false;
    }
    return true;
}

static inline uint16_t wire_load_u16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}

static inline uint32_t wire_load_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline uint64_t wire_load_u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

static inline uint8_t wire_get_u8(struct wire_reader *rd)
{
    return wire_has(rd, 1) ? *rd->pos++ : 0;
}

static inline uint16_t wire_get_u16(struct wire_reader *rd)
{
    if (!wire_has(rd, 2))
        return 0;
    rd->pos += 2;
    return wire_load_u16(rd->pos - 2);
}

static inline uint32_t wire_get_u32(struct wire_reader *rd)
{
    if (!wire_has(rd, 4))
        return 0;
    rd->pos += 4;
    return wire_load_u32(rd->pos - 4);
}

static inline uint64_t wire_get_u64(struct wire_reader *rd)
{
    if (!wire_has(rd, 8))
        return 0;
    rd->pos += 8;
    return wire_load_u64(rd->pos - 8);
}

static inline struct slice wire_get_bytes(struct wire_reader *rd, size_t n)
{
    if (!wire_has(rd, n))
        return SLICE_EMPTY;
    rd->pos += n;
    return slice_of(rd->pos - n, n);
}

/* Any bytes; see wire_get_shortstr_utf8 for the checked form. */
static inline struct slice wire_get_shortstr(struct wire_reader *rd)
{
    return wire_get_bytes(rd, wire_get_u8(rd));
}

static inline struct slice wire_get_longstr(struct wire_reader *rd)
{
    return wire_get_bytes(rd, wire_get_u32(rd));
}

struct slice wire_get_shortstr_utf8(struct wire_reader *rd);
/* A field table, validated to any depth; the slice is its body, without the length. */
struct slice wire_get_table(struct wire_reader *rd);

/* RabbitMQ's notion of UTF-8: no overlong forms, but surrogates and code points up to 0x1FFFFF
 * pass. */
bool wire_utf8(struct slice text);

/* --- writing --- */

struct wire_writer {
    uint8_t *pos, *end;
    uint8_t *start;  /* of what this writer wrote */
    struct buf *buf; /* grows when full; NULL: the room is the caller's and fixed */
    enum wire_err err;
};

/* Into the caller's room. */
static inline struct wire_writer wire_writer(void *room, size_t size)
{
    uint8_t *p = room;
    return (struct wire_writer){p, p + size, p, NULL, WIRE_OK};
}

/* Behind the end of buf, which must not be touched otherwise until wire_written(). */
static inline struct wire_writer wire_writer_buf(struct buf *buf)
{
    uint8_t *p = buf_reserve(buf, 64);
    return (struct wire_writer){p, buf->data + buf->cap, p, buf, WIRE_OK};
}

/* Ends the writing: the number of bytes written, or 0 after an error; a buf takes them in. */
static inline size_t wire_written(struct wire_writer *wr)
{
    size_t n = wr->err ? 0 : (size_t)(wr->pos - wr->start);
    if (wr->buf)
        wr->buf->len += n;
    return n;
}

void wire_writer_fail(struct wire_writer *wr, enum wire_err err) __attribute__((cold));
bool wire_writer_grow(struct wire_writer *wr, size_t n) __attribute__((cold));

static inline bool wire_room(struct wire_writer *wr, size_t n)
{
    if (__builtin_expect((size_t)(wr->end - wr->pos) < n, 0))
        return wire_writer_grow(wr, n);
    return true;
}

static inline void wire_store_u16(uint8_t *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof v);
}

static inline void wire_store_u32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}

static inline void wire_store_u64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

static inline void wire_put_u8(struct wire_writer *wr, uint8_t v)
{
    if (wire_room(wr, 1))
        *wr->pos++ = v;
}

static inline void wire_put_u16(struct wire_writer *wr, uint16_t v)
{
    if (wire_room(wr, 2)) {
        wire_store_u16(wr->pos, v);
        wr->pos += 2;
    }
}

static inline void wire_put_u32(struct wire_writer *wr, uint32_t v)
{
    if (wire_room(wr, 4)) {
        wire_store_u32(wr->pos, v);
        wr->pos += 4;
    }
}

static inline void wire_put_u64(struct wire_writer *wr, uint64_t v)
{
    if (wire_room(wr, 8)) {
        wire_store_u64(wr->pos, v);
        wr->pos += 8;
    }
}

static inline void wire_put_bytes(struct wire_writer *wr, struct slice s)
{
    if (wire_room(wr, s.len) && s.len) {
        memcpy(wr->pos, s.data, s.len);
        wr->pos += s.len;
    }
}

void wire_put_shortstr(struct wire_writer *wr, struct slice s);
/* Also a table or array from its body. */
void wire_put_longstr(struct wire_writer *wr, struct slice s);

#endif
