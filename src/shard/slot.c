/* Address -> object. Two tables a shard: its own slots, and those that the metadata master assigns
 * (high bit of the slot number set). */
#include "shard/slot.h"

#include "base/bug.h"
#include "base/mem.h"
#include "shard/shard_priv.h"

#include <stdlib.h>

#define ASSIGNED 0x80000000u

void slot_table_fini(struct slot_table *table)
{
    free(table->slots);
    *table = (struct slot_table){0};
}

/* Makes slots up to and including index exist. */
static void extend(struct slot_table *table, uint32_t index)
{
    size_t old = table->cap;
    MEM_GROW(table->slots, table->cap, (size_t)index + 1);
    if (table->cap > old)
        memset(table->slots + old, 0, (table->cap - old) * sizeof *table->slots);
    if (table->count <= index)
        table->count = (size_t)index + 1;
}

static uint32_t take(struct slot_table *table)
{
    uint32_t index;
    if (table->free_first) {
        index = table->free_first - 1;
        table->free_first = table->slots[index].next_free;
        if (!table->free_first)
            table->free_last = 0;
    } else {
        index = (uint32_t)table->count;
        bug_on(index >= ASSIGNED);
        extend(table, index);
    }
    struct slot *slot = &table->slots[index];
    if (++slot->gen == 0)
        slot->gen = 1;
    return index;
}

static void give_back(struct slot_table *table, uint32_t index)
{
    table->slots[index].next_free = 0;
    if (table->free_last)
        table->slots[table->free_last - 1].next_free = index + 1;
    else
        table->free_first = index + 1;
    table->free_last = index + 1;
}

struct addr slot_new(struct shard *shard, const struct actor_type *type, void *object)
{
    uint32_t index = take(&shard->own);
    struct slot *slot = &shard->own.slots[index];
    slot->object = object;
    slot->type = type;
    return (struct addr){.slot = index, .gen = slot->gen, .shard = (uint8_t)shard->index};
}

struct slot *slot_lookup(struct shard *shard, struct addr addr)
{
    struct slot_table *table = addr.slot & ASSIGNED ? &shard->assigned : &shard->own;
    uint32_t index = addr.slot & ~ASSIGNED;
    if (index >= table->count)
        return NULL;
    struct slot *slot = &table->slots[index];
    return slot->object && slot->gen == addr.gen ? slot : NULL;
}

void slot_free(struct shard *shard, struct addr addr)
{
    bug_on(shard_self() != shard || addr.shard != shard->index);
    struct slot *slot = slot_lookup(shard, addr);
    bug_on(!slot);
    slot->object = NULL;
    slot->type = NULL;
    if (!(addr.slot & ASSIGNED))
        give_back(&shard->own, addr.slot);
}

void *slot_find(struct shard *shard, struct addr addr, const struct actor_type *type)
{
    if (addr.shard != shard->index)
        return NULL;
    struct slot *slot = slot_lookup(shard, addr);
    return slot && slot->type == type ? slot->object : NULL;
}

struct addr slot_reserve(struct node *node, unsigned shard)
{
    struct slot_table *table = &node->reserves[shard].table;
    uint32_t index = take(table);
    return (struct addr){
        .slot = index | ASSIGNED, .gen = table->slots[index].gen, .shard = (uint8_t)shard};
}

void slot_release(struct node *node, struct addr addr)
{
    give_back(&node->reserves[addr.shard].table, addr.slot & ~ASSIGNED);
}

void slot_assign(struct shard *shard, struct addr addr, const struct actor_type *type, void *object)
{
    bug_on(shard_self() != shard || addr.shard != shard->index || !(addr.slot & ASSIGNED));
    uint32_t index = addr.slot & ~ASSIGNED;
    extend(&shard->assigned, index);
    struct slot *slot = &shard->assigned.slots[index];
    bug_on(slot->object);
    slot->object = object;
    slot->type = type;
    slot->gen = addr.gen;
}
