/* A sorted array with gaps. */
#include "meta/roster.h"

#include "base/bug.h"
#include "base/mem.h"

#include <stdlib.h>

enum { ROSTER_SMALL = 16 };

void roster_fini(struct roster *roster)
{
    free(roster->entries);
    *roster = (struct roster){0};
}

size_t roster_after(const struct roster *roster, uint64_t number)
{
    size_t low = 0, high = roster->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (roster->entries[middle].number <= number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct roster_entry *find_entry(const struct roster *roster, uint64_t number)
{
    size_t after = roster_after(roster, number);
    struct roster_entry *entry = after ? &roster->entries[after - 1] : NULL;
    return entry && entry->number == number ? entry : NULL;
}

void *roster_find(const struct roster *roster, uint64_t number)
{
    const struct roster_entry *entry = find_entry(roster, number);
    return entry ? entry->object : NULL;
}

void roster_add(struct roster *roster, uint64_t number, void *object)
{
    bug_on(roster->count && roster->entries[roster->count - 1].number >= number);
    MEM_GROW(roster->entries, roster->cap, roster->count + 1);
    roster->entries[roster->count++] = (struct roster_entry){number, object};
}

static void squeeze(struct roster *roster)
{
    size_t kept = 0;
    for (size_t i = 0; i < roster->count; i++) {
        if (roster->entries[i].object)
            roster->entries[kept++] = roster->entries[i];
    }
    roster->count = kept;
    roster->gaps = 0;
    if (roster->cap > 4 * kept + ROSTER_SMALL) {
        roster->cap = 2 * kept + ROSTER_SMALL;
        roster->entries = mem_realloc(roster->entries, roster->cap * sizeof *roster->entries);
    }
}

void roster_remove(struct roster *roster, uint64_t number)
{
    struct roster_entry *entry = find_entry(roster, number);
    bug_on(!entry || !entry->object);
    entry->object = NULL;
    roster->gaps++;
    if (roster->gaps == roster->count)
        roster_fini(roster);
    else if (roster->gaps > roster->count / 2 + ROSTER_SMALL)
        squeeze(roster);
}
