/* Heaps: what memory is for, where that is to be counted apart. Without an implementation (the
 * allocator cannot tell them apart, or nobody installed one) all is one. What was taken from any of
 * them is freed with free(). */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

enum heap {
    HEAP_COMMON,
    HEAP_DEFINITIONS, /* metadata: definitions, rights, routing */
    HEAP_STORE,       /* journal, fold, database */
    HEAP_TLS,         /* OpenSSL's */
    HEAP_COUNT
};

struct heap_type {
    void *(*alloc)(enum heap heap, size_t size);
    void *(*zalloc)(enum heap heap, size_t size);
    void *(*realloc)(enum heap heap, void *ptr, size_t size);
    void (*adopt)(enum heap heap);
    uint64_t (*used)(enum heap heap);
};

/* Before there is another thread; it stays. */
void heap_install(const struct heap_type *type);

/* What mem_alloc and its like take from on this thread, until it is said otherwise: for work that
 * is not done for every message. Returns what it was. */
enum heap heap_enter(enum heap heap);
/* What everything on this thread takes from, libraries too: for threads of one purpose, and the
 * start. Costs more. */
void heap_adopt(enum heap heap);

/* As malloc and realloc of that heap. */
void *heap_alloc(enum heap heap, size_t size);
void *heap_realloc(enum heap heap, void *ptr, size_t size);

/* Bytes taken from it and not freed, but for what threads keep at hand; 0 if nobody knows. Costs up
 * to a millisecond. */
uint64_t heap_used(enum heap heap);

/* For mem.c: of the heap that was entered. */
extern _Thread_local enum heap heap_entered;
void *heap_zalloc(enum heap heap, size_t size);

#endif
