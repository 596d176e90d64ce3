/* Heap copies of slices, numbers in them. */
#include "base/slice.h"

#include "base/mem.h"

#include <stdlib.h>

struct slice slice_dup(struct slice s)
{
    return (struct slice){(const uint8_t *)slice_cstr(s), s.len};
}

char *slice_cstr(struct slice s)
{
    char *copy = mem_alloc(s.len + 1);
    if (s.len)
        memcpy(copy, s.data, s.len);
    copy[s.len] = '\0';
    return copy;
}

void slice_free(struct slice *s)
{
    free((void *)(uintptr_t)s->data);
    *s = SLICE_EMPTY;
}

bool slice_number(struct slice text, uint64_t *ret_number)
{
    uint64_t n = 0;
    if (!text.len || text.len > 18)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(text.data[i] - '0');
    }
    *ret_number = n;
    return true;
}
