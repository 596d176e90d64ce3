/* The way to the implementation, and the heap each thread is in. */
#include "base/heap.h"

#include <stdlib.h>

/* exception: allocation has no object to hang on; written once, before threads are started */
static const struct heap_type *installed;
_Thread_local enum heap heap_entered;

void heap_install(const struct heap_type *type)
{
    installed = type;
}

enum heap heap_enter(enum heap heap)
{
    enum heap before = heap_entered;
    if (installed)
        heap_entered = heap;
    return before;
}

void heap_adopt(enum heap heap)
{
    if (installed)
        installed->adopt(heap);
}

void *heap_alloc(enum heap heap, size_t size)
{
    return installed ? installed->alloc(heap, size) : malloc(size);
}

void *heap_zalloc(enum heap heap, size_t size)
{
    return installed ? installed->zalloc(heap, size) : calloc(1, size);
}

void *heap_realloc(enum heap heap, void *ptr, size_t size)
{
    return installed ? installed->realloc(heap, ptr, size) : realloc(ptr, size);
}

uint64_t heap_used(enum heap heap)
{
    return installed ? installed->used(heap) : 0;
}
