/* Growth by doubling; contents move on growth, so slices into a buffer die at the next append. */
#include "base/buf.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum { BUF_FIRST = 64 };

void buf_fini(struct buf *b)
{
    free(b->data);
    *b = BUF_INIT;
}

void buf_grow(struct buf *b, size_t room)
{
    size_t cap = b->cap ? b->cap : BUF_FIRST;
    while (cap - b->len < room)
        cap *= 2;
    b->data = mem_realloc(b->data, cap);
    b->cap = cap;
}

void buf_append_escaped(struct buf *b, struct slice text)
{
    uint8_t *at = buf_reserve(b, 2 * text.len);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == '\\' || c == '\n')
            *at++ = '\\';
        *at++ = c == '\n' ? 'n' : c;
    }
    b->len = text.len ? (size_t)(at - b->data) : b->len;
}

void buf_append_u64(struct buf *b, uint64_t n)
{
    enum { DIGITS = 20 };
    char digits[DIGITS], *at = digits + DIGITS;
    do {
        *--at = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    buf_append(b, at, (size_t)(digits + DIGITS - at));
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    size_t room = b->cap - b->len;
    int n = vsnprintf(room ? (char *)b->data + b->len : NULL, room, fmt, ap);
    if (n > 0 && (size_t)n >= room) {
        buf_grow(b, (size_t)n + 1);
        vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    if (n > 0)
        b->len += (size_t)n;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_shift(struct buf *b, size_t n)
{
    b->len -= n;
    if (b->len)
        memmove(b->data, b->data + n, b->len);
}

const char *buf_cstr(struct buf *b)
{
    *buf_reserve(b, 1) = 0;
    return (const char *)b->data;
}

struct slice buf_take(struct buf *b)
{
    struct slice s = buf_slice(b);
    *b = BUF_INIT;
    return s;
}
