/* Heap allocation that does not fail: running out of memory is a panic (memory watermarks act long
 * before). Everything is freed with free(). */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size)
    __attribute__((malloc, alloc_size(1), returns_nonnull, warn_unused_result));
void *mem_zalloc(size_t size)
    __attribute__((malloc, alloc_size(1), returns_nonnull, warn_unused_result));
void *mem_realloc(void *ptr, size_t size)
    __attribute__((alloc_size(2), returns_nonnull, warn_unused_result));
char *mem_strdup(const char *str) __attribute__((malloc, returns_nonnull, warn_unused_result));
char *mem_printf(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), malloc, returns_nonnull));

/* What a block takes, which may be more than was asked for; 0 for NULL. For reports. */
size_t mem_size(const void *ptr);

#define NEW(type) ((type *)mem_zalloc(sizeof(type)))

/* Grows *array (elements of elem bytes, *cap of them) so that it holds at least need: doubling. */
void mem_grow(void **array, size_t *cap, size_t need, size_t elem);
#define MEM_GROW(array, cap, need)                                        \
    do {                                                                  \
        if ((need) > (cap))                                               \
            mem_grow((void **)&(array), &(cap), (need), sizeof *(array)); \
    } while (0)

#endif
