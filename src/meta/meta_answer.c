/* The master's answers on their way: those that speak of something durable wait for the store;
 * others leave at once, unless an answer to the same front waits before them. Many answers share
 * one sync of the disk. */
#include "base/bug.h"
#include "base/mem.h"
#include "meta/meta_priv.h"

#include <stdlib.h>

/* Somebody for whom answers are held. */
struct front {
    uint64_t addr;
    struct list answers; /* struct held.link, in order; the first one waits for the store */
};

struct held {
    struct store_wait wait;
    struct list link;
    struct meta *meta;
    struct front *front;
    bool waits; /* for the store; else for those before it */
    struct op op;
};

static struct slice front_key(const void *object)
{
    const struct front *f = object;
    return slice_of(&f->addr, sizeof f->addr);
}

static struct front *find_front(struct meta *m, struct addr addr)
{
    uint64_t key = addr_u64(addr);
    return m->store.fronts.count ? hash_find(&m->store.fronts, slice_of(&key, sizeof key)) : NULL;
}

static struct front *get_front(struct meta *m, struct addr addr)
{
    struct front *f = find_front(m, addr);
    if (!f) {
        f = NEW(struct front);
        f->addr = addr_u64(addr);
        list_init(&f->answers);
        hash_add(&m->store.fronts, f);
    }
    return f;
}

static void drop_front(struct meta *m, struct front *f)
{
    hash_remove(&m->store.fronts, front_key(f));
    free(f);
}

static void send_first(struct front *f)
{
    struct held *h = list_entry(f->answers.next, struct held, link);
    list_remove(&h->link);
    post(&h->op);
    free(h);
}

static void on_safe(struct store_wait *wait)
{
    struct held *h = list_entry(wait, struct held, wait);
    struct meta *m = h->meta;
    struct front *f = h->front;
    bug_on(f->answers.next != &h->link);
    do
        send_first(f);
    while (!list_empty(&f->answers) && !list_entry(f->answers.next, struct held, link)->waits);
    if (list_empty(&f->answers))
        drop_front(m, f);
}

static struct held *hold(struct meta *m, struct addr addr, bool waits)
{
    struct held *h = NEW(struct held);
    h->meta = m;
    h->front = get_front(m, addr);
    h->waits = waits;
    h->wait.fn = on_safe;
    list_append(&h->front->answers, &h->link);
    if (waits)
        store_sync(m->store.log, &h->wait);
    return h;
}

void meta_answer_soon(struct meta *m)
{
    bug_on(m->store.reserved);
    if (!addr_is_none(m->store.asker))
        m->store.reserved = hold(m, m->store.asker, true);
    store_hand_over(m->store.log);
}

void meta_answer(struct meta *m, const struct op *op)
{
    if (m->store.reserved) {
        m->store.reserved->op = *op;
        m->store.reserved = NULL;
    } else if (m->store.recorded || find_front(m, op->to)) {
        hold(m, op->to, m->store.recorded)->op = *op;
    } else {
        post(op);
    }
}

void meta_answers_init(struct meta *m)
{
    hash_init(&m->store.fronts, front_key);
}

/* Who waits now is gone. */
void meta_answers_fini(struct meta *m)
{
    hash_each (i, &m->store.fronts) {
        struct front *f = hash_at(&m->store.fronts, i);
        list_each_safe (it, &f->answers) {
            struct held *h = list_entry(it, struct held, link);
            if (h->waits)
                store_wait_cancel(&h->wait);
            if (h->op.kind == OP_META_REPLY)
                meta_release_reply(&h->op);
            free(h);
        }
        free(f);
    }
    hash_fini(&m->store.fronts);
    buf_fini(&m->store.key);
    buf_fini(&m->store.value);
}
