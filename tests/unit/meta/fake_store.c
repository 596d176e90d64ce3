/* See fake_store.h. */
#include "fake_store.h"

#include "base/mem.h"
#include "store/record.h"

#include <criterion/criterion.h>
#include <stdlib.h>

struct fake_store fake_store;

static struct store *the_store(void)
{
    if (fake_store.on && !fake_store.waits.next)
        list_init(&fake_store.waits);
    return fake_store.on ? (struct store *)(void *)&fake_store : NULL;
}

struct store *store_of(const struct node *node)
{
    (void)node;
    return the_store();
}

struct store_log *store_log_of(const struct shard *shard)
{
    cr_assert_eq(shard_index(shard), 0);
    return (struct store_log *)(void *)the_store();
}

struct fold *store_fold(struct store *store)
{
    return (struct fold *)(void *)store;
}

struct buf *store_records(struct store_log *log)
{
    cr_assert(log);
    return &fake_store.open;
}

void store_hand_over(struct store_log *log)
{
    cr_assert(log);
    fake_store.hand_overs += fake_store.open.len != 0;
    buf_append_slice(&fake_store.handed, buf_slice(&fake_store.open));
    buf_clear(&fake_store.open);
}

void store_sync(struct store_log *log, struct store_wait *wait)
{
    cr_assert(log);
    fake_store.syncs++;
    list_append(&fake_store.waits, &wait->link);
}

void store_wait_cancel(struct store_wait *wait)
{
    list_remove(&wait->link);
}

uint64_t store_new_queue_id(struct store *store)
{
    cr_assert(store);
    return ++fake_store.last_queue_id;
}

/* --- definitions --- */

/* Where it is, or would be. */
static size_t place_of(uint8_t noun, struct slice key)
{
    size_t i = 0;
    for (; i < fake_store.kept_count; i++) {
        const struct kept *k = &fake_store.kept[i];
        if (k->noun > noun || (k->noun == noun && slice_cmp(k->key, key) >= 0))
            break;
    }
    return i;
}

static bool is_at(size_t i, uint8_t noun, struct slice key)
{
    return i < fake_store.kept_count && fake_store.kept[i].noun == noun &&
           slice_eq(fake_store.kept[i].key, key);
}

void fake_store_put(uint8_t noun, struct slice key, struct slice value)
{
    size_t i = place_of(noun, key);
    if (is_at(i, noun, key)) {
        slice_free(&fake_store.kept[i].value);
        fake_store.kept[i].value = slice_dup(value);
        return;
    }
    MEM_GROW(fake_store.kept, fake_store.kept_cap, fake_store.kept_count + 1);
    memmove(&fake_store.kept[i + 1], &fake_store.kept[i],
            (fake_store.kept_count - i) * sizeof *fake_store.kept);
    fake_store.kept_count++;
    fake_store.kept[i] = (struct kept){noun, slice_dup(key), slice_dup(value)};
}

static void take_away(uint8_t noun, struct slice key)
{
    size_t i = place_of(noun, key);
    if (!is_at(i, noun, key))
        return;
    slice_free(&fake_store.kept[i].key);
    slice_free(&fake_store.kept[i].value);
    fake_store.kept_count--;
    memmove(&fake_store.kept[i], &fake_store.kept[i + 1],
            (fake_store.kept_count - i) * sizeof *fake_store.kept);
}

size_t fake_store_count(uint8_t noun)
{
    size_t n = 0;
    for (size_t i = 0; i < fake_store.kept_count; i++)
        n += fake_store.kept[i].noun == noun;
    return n;
}

void fold_each_definition(struct fold *f, uint8_t noun,
                          void (*fn)(struct slice key, struct slice value, void *arg), void *arg)
{
    cr_assert(f);
    for (size_t i = 0; i < fake_store.kept_count; i++) {
        if (fake_store.kept[i].noun == noun)
            fn(fake_store.kept[i].key, fake_store.kept[i].value, arg);
    }
}

/* --- contents --- */

static size_t find_queue(uint64_t id)
{
    size_t i = 0;
    while (i < fake_store.queue_count && fake_store.queues[i] != id)
        i++;
    return i;
}

bool fake_store_has_queue(uint64_t id)
{
    return find_queue(id) < fake_store.queue_count;
}

void fold_each_queue(struct fold *f, void (*fn)(uint64_t id, bool durable, void *arg), void *arg)
{
    cr_assert(f);
    for (size_t i = 0; i < fake_store.queue_count; i++)
        fn(fake_store.queues[i], true, arg);
}

/* --- units --- */

static void act(const struct record *r)
{
    size_t i = find_queue(r->queue);
    switch (r->kind) {
    case RECORD_DEFINE:
        cr_assert_leq(r->key.len, 255);
        fake_store_put(r->noun, r->key, r->value);
        break;
    case RECORD_UNDEFINE:
        take_away(r->noun, r->key);
        break;
    case RECORD_OPEN:
        cr_assert(r->durable);
        cr_assert_eq(i, fake_store.queue_count, "queue %llu twice", (unsigned long long)r->queue);
        cr_assert_lt(i, sizeof fake_store.queues / sizeof fake_store.queues[0]);
        fake_store.queues[fake_store.queue_count++] = r->queue;
        break;
    case RECORD_DROP:
        cr_assert_lt(i, fake_store.queue_count, "no queue %llu", (unsigned long long)r->queue);
        fake_store.queues[i] = fake_store.queues[--fake_store.queue_count];
        break;
    default:
        cr_assert(false, "record %d of the master", (int)r->kind);
    }
}

void fake_store_settle(void)
{
    struct list safe;
    list_init(&safe);
    store_hand_over((struct store_log *)(void *)the_store());
    struct slice rest = buf_slice(&fake_store.handed);
    struct record r;
    while (rest.len) {
        cr_assert(record_get(&rest, &r));
        act(&r);
    }
    buf_clear(&fake_store.handed);
    list_splice(&safe, &fake_store.waits);
    while (!list_empty(&safe)) {
        struct store_wait *wait = list_entry(safe.next, struct store_wait, link);
        list_remove(&wait->link);
        wait->fn(wait);
    }
}

void fake_store_crash(void)
{
    buf_clear(&fake_store.open);
    buf_clear(&fake_store.handed);
    cr_assert(!fake_store.waits.next || list_empty(&fake_store.waits));
}

void fake_store_fini(void)
{
    while (fake_store.kept_count)
        take_away(fake_store.kept[0].noun, fake_store.kept[0].key);
    free(fake_store.kept);
    buf_fini(&fake_store.open);
    buf_fini(&fake_store.handed);
    fake_store = (struct fake_store){0};
}
