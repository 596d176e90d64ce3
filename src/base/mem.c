/* Heap allocation that panics when the system has none left. */
#include "base/mem.h"

#include "base/bug.h"
#include "base/heap.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *mem_alloc(size_t size)
{
    size += !size;
    void *p = heap_entered ? heap_alloc(heap_entered, size) : malloc(size);
    if (!p)
        bug_panic("out of memory: %zu bytes", size);
    return p;
}

void *mem_zalloc(size_t size)
{
    size += !size;
    void *p = heap_entered ? heap_zalloc(heap_entered, size) : calloc(1, size);
    if (!p)
        bug_panic("out of memory: %zu bytes", size);
    return p;
}

void *mem_realloc(void *ptr, size_t size)
{
    size += !size;
    void *p = heap_entered ? heap_realloc(heap_entered, ptr, size) : realloc(ptr, size);
    if (!p)
        bug_panic("out of memory: %zu bytes", size);
    return p;
}

char *mem_strdup(const char *str)
{
    size_t n = strlen(str) + 1;
    return memcpy(mem_alloc(n), str, n);
}

char *mem_printf(const char *fmt, ...)
{
    char *out = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&out, fmt, ap);
    va_end(ap);
    if (n < 0)
        bug_panic("out of memory: formatting");
    return out;
}

void mem_grow(void **array, size_t *cap, size_t need, size_t elem)
{
    size_t n = *cap ? *cap : 8;
    while (n < need)
        n *= 2;
    *array = mem_realloc(*array, n * elem);
    *cap = n;
}

size_t mem_size(const void *ptr)
{
    return malloc_usable_size((void *)ptr);
}
