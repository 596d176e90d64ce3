/* A borrowed run of bytes: whoever hands out a slice says how long it lives. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *data;
    size_t len;
};

#define SLICE_EMPTY ((struct slice){NULL, 0})
/* of a string literal */
#define SLICE(lit) ((struct slice){(const uint8_t *)("" lit ""), sizeof(lit) - 1})
/* for printf: "%.*s", SLICE_ARG(s) */
#define SLICE_ARG(s) (int)(s).len, (const char *)((s).data ? (s).data : (const uint8_t *)"")

static inline struct slice slice_of(const void *data, size_t len)
{
    return (struct slice){(const uint8_t *)data, len};
}

static inline struct slice slice_str(const char *str)
{
    return (struct slice){(const uint8_t *)str, str ? strlen(str) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool slice_eq_str(struct slice a, const char *str)
{
    return slice_eq(a, slice_str(str));
}

static inline bool slice_starts(struct slice a, struct slice prefix)
{
    return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.data, prefix.data, prefix.len) == 0);
}

/* Bytewise order, shorter first on a tie: the order of sorted listings. */
static inline int slice_cmp(struct slice a, struct slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.data, b.data, n) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

/* A heap copy with a NUL behind its end; free() it through slice.data. An empty slice gets one too.
 */
struct slice slice_dup(struct slice s);
/* A heap copy as a C string (embedded NULs kept, so its strlen may be shorter). */
char *slice_cstr(struct slice s);
void slice_free(struct slice *s);

/* A number of 1 to 18 decimal digits and nothing else. */
bool slice_number(struct slice text, uint64_t *ret_number);

#endif
