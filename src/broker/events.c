/* Each shard tells its own events, so those of one connection keep their order. What a shard needs
 * for it is there while the exchange is, or somebody watches. */
#include "broker/events.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"
#include "broker/announce.h"
#include "broker/msg.h"
#include "broker/route.h"
#include "meta/events.h"
#include "meta/meta.h"

#include <stdlib.h>

enum { COMPLAIN_MS = 1000 };

static const struct slice exchange_name = {(const uint8_t *)"amq.rabbitmq.event", 18};

struct event {
    const char *key;
    struct slice headers; /* owned */
    uint64_t wall_ms;
};

struct events {
    struct shard *shard;
    struct list watches;
    /* the exchange's */
    bool publishes;
    struct slice vhost; /* owned */
    struct route route;
    struct deferred turn_end, relief;
    struct event *waiting; /* ring of EVENTS_WAITING_MAX */
    size_t head, count;
    uint64_t dropped, complained_ms;
};

static struct events *events_of(const struct shard *shard)
{
    return shard_get_local(shard, SHARD_LOCAL_EVENTS);
}

/* ---- out ---- */

static void publish(struct events *e, const struct vhost *vhost, struct exchange *x,
                    const struct event *event)
{
    struct buf header = BUF_INIT;
    uint8_t names[ANNOUNCE_NAMES_MAX];
    announce_header(&header, 0,
                    &(struct amqp_basic_properties){
                        .flags = AMQP_PROP_HEADERS | AMQP_PROP_DELIVERY_MODE | AMQP_PROP_TIMESTAMP,
                        .headers = event->headers,
                        .delivery_mode = 2,
                        .timestamp = event->wall_ms / 1000});
    size_t len = announce_names(names, exchange_name, slice_str(event->key));
    struct msg *m = msg_new(slice_of(names, len), buf_slice(&header), 0, true);
    m->flags |= MSG_PERSISTENT;
    announce(e->shard, &e->route, vhost, x, m);
    buf_fini(&header);
}

static void complain(struct events *e)
{
    uint64_t now = shard_now_ms(e->shard);
    if (!e->dropped || now < e->complained_ms + COMPLAIN_MS)
        return;
    log_warning(DEFAULT, NULL, "%llu events were dropped: the event exchange did not keep up",
                (unsigned long long)e->dropped);
    e->dropped = 0;
    e->complained_ms = now;
}

static void flush(struct events *e)
{
    const struct vhost *vhost = routing_find_vhost(routing_of(e->shard), e->vhost);
    struct exchange *x = vhost ? vhost_find_exchange(vhost, exchange_name) : NULL;
    if (shard_congested(e->shard)) {
        shard_on_relief(e->shard, &e->relief);
        return;
    }
    for (unsigned i = 0; i < EVENTS_A_TURN && e->count; i++) {
        struct event *event = &e->waiting[e->head];
        if (x)
            publish(e, vhost, x, event);
        slice_free(&event->headers);
        e->head = (e->head + 1) % EVENTS_WAITING_MAX;
        e->count--;
    }
    complain(e);
    if (e->count)
        shard_on_relief(e->shard, &e->relief);
}

static void on_turn_end(struct deferred *d)
{
    flush(list_entry(d, struct events, turn_end));
}

static void on_relief(struct deferred *d)
{
    flush(list_entry(d, struct events, relief));
}

/* ---- those who watch ---- */

static void drop_watches(struct events *e, bool all)
{
    list_each_safe (it, &e->watches) {
        struct events_watch *watch = list_entry(it, struct events_watch, link);
        if (!all && watch->wants(watch))
            continue;
        list_remove(it);
        watch->free(watch);
    }
}

static void tell(struct events *e, const char *key, struct slice table)
{
    drop_watches(e, false);
    list_each (it, &e->watches) {
        struct events_watch *watch = list_entry(it, struct events_watch, link);
        watch->on_event(watch, key, table);
    }
}

/* ---- in ---- */

static struct events *events_new(struct shard *shard)
{
    struct events *e = NEW(struct events);
    e->shard = shard;
    list_init(&e->watches);
    shard_set_local(shard, SHARD_LOCAL_EVENTS, e);
    return e;
}

/* Nobody is to be told any more. */
static void rest(struct events *e)
{
    shard_set_local(e->shard, SHARD_LOCAL_EVENTS, NULL);
    free(e);
}

static void emit(struct events *e, const char *key, struct slice headers)
{
    struct buf table = BUF_INIT;
    uint64_t wall_ms = clock_wall_ms();
    table_put_i64(&table, SLICE("timestamp_in_ms"), (int64_t)wall_ms);
    buf_append_slice(&table, headers);
    tell(e, key, buf_slice(&table));
    if (e->publishes && e->count < EVENTS_WAITING_MAX) {
        e->waiting[(e->head + e->count++) % EVENTS_WAITING_MAX] =
            (struct event){key, buf_take(&table), wall_ms};
        shard_defer(e->shard, DEFER_POST, &e->turn_end);
    } else {
        e->dropped += e->publishes;
        buf_fini(&table);
    }
}

void events_emit(struct shard *shard, const char *key, struct slice headers)
{
    struct events *e = events_of(shard);
    if (!e)
        return;
    emit(e, key, headers);
    if (!e->publishes && list_empty(&e->watches))
        rest(e);
}

void events_watch(struct shard *shard, struct events_watch *watch)
{
    struct events *e = events_of(shard);
    if (!e)
        e = events_new(shard);
    if (shard_index(shard) == 0)
        meta_set_event_sink(shard_node(shard), events_emit);
    drop_watches(e, false);
    list_append(&e->watches, &watch->link);
}

/* ---- life ---- */

static void init_shard(struct shard *shard, void *vhost)
{
    struct events *e = events_new(shard);
    e->publishes = true;
    e->vhost = slice_dup(slice_str(vhost));
    e->waiting = mem_alloc(EVENTS_WAITING_MAX * sizeof *e->waiting);
    route_init(&e->route);
    deferred_init(&e->turn_end, on_turn_end);
    deferred_init(&e->relief, on_relief);
}

static void fini_exchange(struct events *e)
{
    deferred_cancel(&e->turn_end);
    deferred_cancel(&e->relief);
    for (; e->count; e->count--) {
        slice_free(&e->waiting[e->head].headers);
        e->head = (e->head + 1) % EVENTS_WAITING_MAX;
    }
    free(e->waiting);
    route_fini(&e->route);
    slice_free(&e->vhost);
}

static void fini_shard(struct shard *shard, void *unused)
{
    (void)unused;
    struct events *e = events_of(shard);
    if (!e)
        return;
    drop_watches(e, true);
    if (e->publishes)
        fini_exchange(e);
    shard_set_local(shard, SHARD_LOCAL_EVENTS, NULL);
    free(e);
}

void events_init(struct node *node, const char *vhost)
{
    announce_declare(node, vhost, exchange_name);
    node_each_shard(node, init_shard, (void *)(uintptr_t)vhost);
    meta_set_event_sink(node, events_emit);
}

void events_fini(struct node *node)
{
    node_each_shard(node, fini_shard, NULL);
}
