/* Heap copies of slices. */
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
