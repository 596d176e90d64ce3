/* The looks: counting on every shard, and choosing the rows. */
#include "admin/observer.h"

#include "admin/admin_priv.h"
#include "admin/call.h"
#include "admin/disk_monitor.h"
#include "admin/memory.h"
#include "admin/monitor.h"

#include "base/clock.h"
#include "base/mem.h"
#include "broker/queue/face.h"
#include "meta/def.h"

#include <stdlib.h>
#include <string.h>

enum { APART_NS = 1000 * 1000 * 1000 }; /* counts that make a rate, at least */

static const struct observer_kind kinds[] = {
    {"queues",
     LISTING_QUEUES,
     {"vhost", "vhost"},
     {{"messages", "messages"},
      {"ready", "messages_ready"},
      {"unacked", "messages_unacknowledged"},
      {"consumers", "consumers"}},
     {{"in/s", "publish"}, {"out/s", "deliver_get"}}},
    {"connections",
     LISTING_CONNECTIONS,
     {"user", "user"},
     {{"channels", "channels"},
      {"to send", "send_pend"},
      {"received", "recv_oct"},
      {"sent", "send_oct"}},
     {{"B in/s", "recv_oct"}, {"B out/s", "send_oct"}}},
    {"channels",
     LISTING_CHANNELS,
     {"vhost", "vhost"},
     {{"consumers", "consumer_count"},
      {"unacked", "messages_unacknowledged"},
      {"confirms", "messages_unconfirmed"},
      {"prefetch", "prefetch_count"}},
     {{"in/s", "published"}, {"out/s", "delivered"}}},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct observer_past {
    uint64_t id;
    uint64_t counters[OBSERVER_RATES];
};

static struct slice past_key(const void *object)
{
    const struct observer_past *past = object;
    return slice_of(&past->id, sizeof past->id);
}

/* ---- life ---- */

static void counts_init(struct observer_counts *c)
{
    *c = (struct observer_counts){.ns = 0};
    hash_init(&c->objects, past_key);
}

static void counts_fini(struct observer_counts *c)
{
    threads_free(&c->threads);
    hash_each (i, &c->objects)
        free(hash_at(&c->objects, i));
    hash_fini(&c->objects);
}

static void observed_free(struct observed *object)
{
    free(object->name);
    free(object->place);
    free(object);
}

static void drop_rows(struct observer *o)
{
    while (o->count)
        observed_free(o->top[--o->count]);
}

struct observer *observer_new(const char *kind)
{
    size_t i = 0;
    while (kind && i < KINDS && strcmp(kinds[i].name, kind) != 0)
        i++;
    if (i == KINDS)
        return NULL;
    struct observer *o = NEW(struct observer);
    o->kind = &kinds[i];
    o->column = 1;
    counts_init(&o->before);
    counts_init(&o->now);
    return o;
}

void observer_free(struct observer **observer)
{
    struct observer *o = *observer;
    if (o) {
        drop_rows(o);
        counts_fini(&o->before);
        counts_fini(&o->now);
    }
    free(o);
    *observer = NULL;
}

/* ---- keys ---- */

static void scroll(struct observer *o, long rows)
{
    long to = (long)o->skipped + rows, last = OBSERVER_ROWS - 1;
    last = (long)o->objects - 1 < last ? (long)o->objects - 1 : last;
    to = to < last ? to : last;
    o->skipped = to > 0 ? (size_t)to : 0;
}

static void show_kind(struct observer *o, size_t number)
{
    o->kind = &kinds[number];
    o->column = 1;
    o->reverse = false;
    o->skipped = 0;
}

void observer_press(struct observer *o, const char *key)
{
    enum { PAGE = 10 };
    if (*key >= '1' && *key < '1' + KINDS)
        show_kind(o, (size_t)(*key - '1'));
    else if (!strcmp(key, "tab"))
        show_kind(o, ((size_t)(o->kind - kinds) + 1) % KINDS);
    else if (!strcmp(key, "right") || *key == '>')
        o->column = (o->column + 1) % OBSERVER_COLUMNS;
    else if (!strcmp(key, "left") || *key == '<')
        o->column = (o->column + OBSERVER_COLUMNS - 1) % OBSERVER_COLUMNS;
    else if (!strcmp(key, "r"))
        o->reverse = !o->reverse;
    else if (!strcmp(key, "down") || !strcmp(key, "pagedown"))
        scroll(o, *key == 'd' ? 1 : PAGE);
    else if (!strcmp(key, "up") || !strcmp(key, "pageup"))
        scroll(o, *key == 'u' ? -1 : -PAGE);
}

/* ---- objects ---- */

double observer_rate(const struct observer *o, uint64_t before, uint64_t now)
{
    if (!o->before.ns || now < before)
        return -1;
    return (double)(now - before) * 1e9 / (double)(o->now.ns - o->before.ns);
}

static uint64_t number_of(const struct observer *o, const void *object, const char *column)
{
    struct value v = listing_get(o->kind->what, object, column);
    uint64_t n = v.type == VALUE_INT && v.integer > 0 ? (uint64_t)v.integer : 0;
    value_fini(&v);
    return n;
}

static char *text_of(const struct observer *o, const void *object, const char *column)
{
    struct value v = listing_get(o->kind->what, object, column);
    char *text = slice_cstr(v.type == VALUE_TEXT ? v.bytes : SLICE_EMPTY);
    value_fini(&v);
    return text;
}

/* What it counts, for the next look; false: it was looked at already. */
static bool remember(struct observer *o, uint64_t id, const uint64_t *counters)
{
    struct slice key = slice_of(&id, sizeof id);
    if (hash_find(&o->now.objects, key))
        return false;
    if (o->now.objects.count < OBSERVER_PAST) {
        struct observer_past *past = NEW(struct observer_past);
        past->id = id;
        memcpy(past->counters, counters, sizeof past->counters);
        hash_add(&o->now.objects, past);
    }
    return true;
}

/* Whether a comes before b. */
static bool precedes(const struct observer *o, const struct observed *a, const struct observed *b)
{
    unsigned column = o->column;
    int order =
        column ? (a->values[column] < b->values[column]) - (a->values[column] > b->values[column])
               : strcmp(a->name, b->name);
    if (!order)
        return a->id < b->id;
    return o->reverse ? order > 0 : order < 0;
}

/* Takes the object; false: it is not among the first. */
static bool insert(struct observer *o, struct observed *object)
{
    size_t at = o->count;
    if (at == OBSERVER_ROWS && !precedes(o, object, o->top[at - 1]))
        return false;
    if (at == OBSERVER_ROWS)
        observed_free(o->top[--at]);
    o->count = at + 1;
    for (; at > 0 && precedes(o, object, o->top[at - 1]); at--)
        o->top[at] = o->top[at - 1];
    o->top[at] = object;
    return true;
}

/* Texts are fetched for what is shown alone, unless they are what is sorted by. */
static void see(struct observer *o, const void *object, uint64_t id)
{
    uint64_t counters[OBSERVER_RATES];
    for (unsigned i = 0; i < OBSERVER_RATES; i++)
        counters[i] = number_of(o, object, o->kind->rates[i].column);
    if (!remember(o, id, counters))
        return;
    const struct observer_past *past = hash_find(&o->before.objects, slice_of(&id, sizeof id));
    struct observed *seen = NEW(struct observed);
    seen->id = id;
    for (unsigned i = 0; i < OBSERVER_NUMBERS; i++)
        seen->values[1 + i] = (double)number_of(o, object, o->kind->numbers[i].column);
    for (unsigned i = 0; i < OBSERVER_RATES; i++)
        seen->values[1 + OBSERVER_NUMBERS + i] =
            past ? observer_rate(o, past->counters[i], counters[i]) : -1;
    if (!o->column)
        seen->name = text_of(o, object, "name");
    o->objects++;
    if (!insert(o, seen)) {
        observed_free(seen);
        return;
    }
    seen->name = seen->name ? seen->name : text_of(o, object, "name");
    seen->place = text_of(o, object, o->kind->place.column);
}

/* ---- the visit ---- */

struct look {
    struct visit visit;
    struct observer *observer; /* owned */
    bool here;                 /* this shard was counted */
};

static void count_shard(struct observer *o, struct shard *shard)
{
    const uint64_t *totals = broker_totals(shard);
    struct observer_counts *now = &o->now;
    now->published += totals[TOTAL_PUBLISHED];
    now->delivered += totals[TOTAL_DELIVERED] + totals[TOTAL_DELIVERED_NO_ACK] + totals[TOTAL_GOT] +
                      totals[TOTAL_GOT_NO_ACK];
    now->acked += totals[TOTAL_ACKED];
    shard_read_stats(shard, &now->shards[shard_index(shard)]);
    o->connections += listing_count(shard, LISTING_CONNECTIONS);
    o->channels += listing_count(shard, LISTING_CHANNELS);
    o->queues += listing_count(shard, LISTING_QUEUES);
}

static void count_node(struct observer *o, struct shard *shard)
{
    const struct admin *admin = admin_of(shard_node(shard));
    struct monitor_facts memory = monitor_facts(admin->monitor);
    struct disk_facts disk = disk_monitor_facts(admin->disk);
    int64_t bytes;
    o->facts.uptime_s = (clock_wall_ms() - admin->started_ms) / 1000;
    o->facts.memory = memory_rss();
    o->facts.memory_limit = memory.watermark;
    o->facts.memory_alarm = memory.alarm;
    o->facts.disk_free = disk.free;
    o->facts.disk_limit = disk.limit;
    o->facts.disk_known = disk.known;
    o->facts.disk_alarm = disk.alarm;
    broker_message_totals(shard_node(shard), &o->facts.messages, &bytes);
    o->now.threads = threads_read();
}

static void look_at(struct observer *o, const void *object)
{
    if (o->kind->what != LISTING_QUEUES) {
        see(o, object, number_of(o, object, "addr"));
        return;
    }
    const struct queue_face *queue = object;
    if (!queue->type->is_dead(queue))
        see(o, object, addr_u64(queue->type->def(queue)->addr));
}

static bool look_run(struct visit *visit, struct shard *shard)
{
    struct look *look = (struct look *)visit;
    struct observer *o = look->observer;
    size_t budget = VISIT_OBJECTS, index;
    if (!look->here)
        count_shard(o, shard);
    look->here = true;
    while (visit_next(visit, listing_count(shard, o->kind->what), &budget, &index))
        look_at(o, listing_at(shard, o->kind->what, index));
    if (visit->left)
        return false;
    look->here = false;
    if (shard_index(shard) == 0)
        count_node(o, shard);
    return true;
}

static void look_fini(struct visit *visit)
{
    observer_free(&((struct look *)visit)->observer);
}

/* What was counted last is compared with, unless that is too short a time ago. */
static void begin(struct observer *o)
{
    uint64_t now_ns = clock_mono_ns();
    bool apart = !o->before.ns || now_ns - o->now.ns >= APART_NS;
    struct observer_counts *old = apart ? &o->before : &o->now;
    counts_fini(old);
    if (apart)
        o->before = o->now;
    counts_init(&o->now);
    o->now.ns = now_ns;
    o->connections = o->channels = o->queues = o->objects = 0;
    drop_rows(o);
}

struct visit *observer_look(struct observer **observer,
                            void (*on_end)(struct call *call, struct visit *visit))
{
    struct look *look = visit_new(sizeof *look, look_run, on_end);
    look->visit.fini = look_fini;
    look->observer = *observer;
    *observer = NULL;
    begin(look->observer);
    return &look->visit;
}

struct observer *observer_take(struct visit *visit)
{
    struct look *look = (struct look *)visit;
    struct observer *o = look->observer;
    look->observer = NULL;
    return o;
}
