/* Bad disks: rows and files that change by themselves. */
#include "base/bug.h"
#include "store_sim.h"

#include <stdio.h>

static void damage_table(struct world *w, enum kv_table t)
{
    struct slice key, value;
    size_t n = kv_memory_count(w->kv, t);
    struct kv_txn *txn;
    if (!n)
        return;
    kv_memory_at(w->kv, t, rnd(w, n), &key, &value);
    struct buf copy = BUF_INIT, name = BUF_INIT;
    buf_append_slice(&copy, value);
    buf_append_slice(&name, key);
    bug_on(kv_begin(w->kv, true, &txn) != KV_OK);
    if (one_in(w, 4)) {
        bug_on(kv_del(txn, t, buf_slice(&name)) != KV_OK);
    } else {
        if (one_in(w, 3) && copy.len)
            copy.len = rnd(w, copy.len);
        else if (copy.len)
            copy.data[rnd(w, copy.len)] ^= (uint8_t)(1u << rnd(w, 8));
        bug_on(kv_put(txn, t, buf_slice(&name), buf_slice(&copy)) != KV_OK);
    }
    bug_on(kv_commit(&txn) != KV_OK);
    buf_fini(&copy);
    buf_fini(&name);
}

struct pick {
    struct world *w;
    unsigned seen;
    char name[128];
};

static bool on_file(const char *name, void *arg)
{
    struct pick *p = arg;
    if (rnd(p->w, ++p->seen) == 0)
        snprintf(p->name, sizeof p->name, "%s", name);
    return true;
}

static void damage_file(struct world *w, const char *directory)
{
    struct pick p = {.w = w};
    char path[256];
    size_t size;
    if (disk_list(w->disk, directory, on_file, &p) < 0 || !p.seen)
        return;
    snprintf(path, sizeof path, "%s/%s", directory, p.name);
    disk_memory_bytes(w->disk, path, &size);
    switch (size ? rnd(w, 5) : 0) {
    case 0:
        disk_memory_remove(w->disk, path);
        return;
    case 1:
        disk_memory_truncate(w->disk, path, rnd(w, size));
        return;
    case 2:
        disk_memory_set_unreadable(w->disk, path, rnd(w, size), 1 + rnd(w, 4096));
        return;
    default:
        for (uint64_t n = 1 + rnd(w, 6); n-- > 0;)
            disk_memory_flip(w->disk, path, rnd(w, size * 8));
    }
}

void damage_something(struct world *w)
{
    static const enum kv_table tables[] = {KV_BLOCKS, KV_BLOCKS, KV_HOLES,  KV_MESSAGES,
                                           KV_REFS,   KV_QUEUES, KV_COUNTS, KV_PENDING};
    if (one_in(w, 2))
        damage_table(w, tables[rnd(w, sizeof tables / sizeof *tables)]);
    else
        damage_file(w, one_in(w, 2) ? "blobs" : "journal");
}
