/* A growable byte buffer, owned by whoever embeds it. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/slice.h"

#include <stdarg.h>

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
};

#define BUF_INIT ((struct buf){NULL, 0, 0})

void buf_fini(struct buf *b);
void buf_grow(struct buf *b, size_t room);

/* Makes room for n bytes behind the end and returns where they go; the caller adds to b->len. */
static inline uint8_t *buf_reserve(struct buf *b, size_t n)
{
    if (b->cap - b->len < n)
        buf_grow(b, n);
    return b->data + b->len;
}

static inline void buf_append(struct buf *b, const void *data, size_t n)
{
    uint8_t *p = buf_reserve(b, n);
    if (n)
        memcpy(p, data, n);
    b->len += n;
}

static inline void buf_append_slice(struct buf *b, struct slice s)
{
    buf_append(b, s.data, s.len);
}

static inline void buf_append_str(struct buf *b, const char *str)
{
    buf_append(b, str, strlen(str));
}

static inline void buf_append_byte(struct buf *b, uint8_t byte)
{
    *buf_reserve(b, 1) = byte;
    b->len++;
}

/* The text with a backslash before quotes and backslashes, and \n for the end of a line: between
 * double quotes it is one word, for Erlang and for Prometheus. */
void buf_append_escaped(struct buf *b, struct slice text);
/* In decimal digits. */
void buf_append_u64(struct buf *b, uint64_t n);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* Drops the first n bytes. */
void buf_shift(struct buf *b, size_t n);

static inline void buf_clear(struct buf *b)
{
    b->len = 0;
}

static inline struct slice buf_slice(const struct buf *b)
{
    return slice_of(b->data, b->len);
}

/* The text with a NUL behind it, still owned by b. */
const char *buf_cstr(struct buf *b);
/* Takes the bytes out of b (free() them through slice.data); b is empty afterwards. */
struct slice buf_take(struct buf *b);

#endif
