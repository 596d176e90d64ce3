#include "http/seen.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { WORD_BITS = 64, TABLE_SHIFT = 31 };

void seen_fini(struct seen *seen)
{
    for (size_t i = 0; i < SEEN_TABLES; i++)
        free(seen->tables[i].words);
    *seen = (struct seen){.tables = {{NULL, 0}}};
}

void seen_clear(struct seen *seen)
{
    for (size_t i = 0; i < SEEN_TABLES; i++) {
        struct seen_table *t = &seen->tables[i];
        if (t->cap)
            memset(t->words, 0, t->cap * sizeof *t->words);
    }
}

static void grow(struct seen_table *t, size_t words)
{
    size_t old = t->cap;
    MEM_GROW(t->words, t->cap, words);
    memset(t->words + old, 0, (t->cap - old) * sizeof *t->words);
}

bool seen_add(struct seen *seen, uint32_t slot)
{
    struct seen_table *t = &seen->tables[slot >> TABLE_SHIFT];
    uint32_t index = slot & ~(1u << TABLE_SHIFT);
    size_t word = index / WORD_BITS;
    uint64_t bit = 1ull << index % WORD_BITS;
    if (word >= t->cap)
        grow(t, word + 1);
    bool added = !(t->words[word] & bit);
    t->words[word] |= bit;
    return added;
}
