/* A free list through the slots; the table is dropped when it falls empty. */
#include "broker/queue/unacked.h"

#include "base/mem.h"

#include <stdlib.h>

uint32_t unacked_add(struct unacked *u, const struct ready_entry *entry, uint32_t consumer,
                     uint32_t serial)
{
    uint32_t slot;
    if (u->free) {
        slot = u->free - 1;
        u->free = u->slots[slot].serial;
    } else {
        MEM_GROW(u->slots, u->cap, u->used + 1);
        slot = (uint32_t)u->used++;
    }
    u->slots[slot] = (struct unacked_entry){*entry, consumer, serial};
    struct ready_amount a = ready_amount_of(entry->msg);
    u->count++;
    u->bytes += a.bytes;
    u->persistent += a.persistent;
    u->persistent_bytes += a.persistent_bytes;
    return slot;
}

bool unacked_take(struct unacked *u, uint32_t slot, struct unacked_entry *ret_entry)
{
    enum { KEEP = 64 };
    if (slot >= u->used || !u->slots[slot].entry.msg)
        return false;
    struct unacked_entry *e = &u->slots[slot];
    *ret_entry = *e;
    e->entry.msg = NULL;
    e->serial = u->free;
    u->free = slot + 1;
    struct ready_amount a = ready_amount_of(ret_entry->entry.msg);
    u->count--;
    u->bytes -= a.bytes;
    u->persistent -= a.persistent;
    u->persistent_bytes -= a.persistent_bytes;
    if (!u->count) {
        u->used = 0;
        u->free = 0;
        if (u->cap > KEEP)
            unacked_fini(u);
    }
    return true;
}

void unacked_fini(struct unacked *u)
{
    free(u->slots);
    *u = (struct unacked){0};
}
