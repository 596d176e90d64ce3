/* Event sinks. Each has a thread of its own, so a plug-in may wait for a disk or a peer; shards put
 * events into a queue under a mutex. A queue that is full drops what comes, counted, and the log
 * says so: nothing that happens ever waits for a plug-in. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "broker/events.h"
#include "plugin/plugin_priv.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { WAITING_MOST = 8192, WAITING_BYTES = 8 << 20, COMPLAIN_MS = 1000, END_MS = 5000 };

/* Of the first header. */
#define LEAST_SIZE (offsetof(struct jackalope_event_sink, on_idle) + sizeof(void (*)(void)))

struct item {
    struct item *next;
    const char *key; /* a literal */
    size_t len;
    uint8_t table[];
};

struct sink {
    struct list link; /* of struct plugins, under its lock */
    struct jackalope_host *plugin;
    struct jackalope_event_sink theirs;
    bool added; /* to that list */
    _Atomic bool on;
    bool attached[SHARDS_MAX]; /* each its shard's */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t come, gone;
    struct item *first, **last;
    size_t count, bytes;
    uint64_t dropped, complained_ms;
    bool ends, ended;
};

struct sink_watch {
    struct events_watch is;
    struct sink *sink;
    unsigned shard;
};

/* ---- on shards ---- */

static bool watch_wants(const struct events_watch *watch)
{
    const struct sink_watch *w = list_entry(watch, const struct sink_watch, is);
    return atomic_load_explicit(&w->sink->on, memory_order_relaxed);
}

static void watch_free(struct events_watch *watch)
{
    struct sink_watch *w = list_entry(watch, struct sink_watch, is);
    w->sink->attached[w->shard] = false;
    free(w);
}

static void on_event(struct events_watch *watch, const char *key, struct slice table)
{
    struct sink *sink = list_entry(watch, struct sink_watch, is)->sink;
    struct item *item = mem_alloc(sizeof *item + table.len);
    *item = (struct item){.key = key, .len = table.len};
    if (table.len)
        memcpy(item->table, table.data, table.len);
    pthread_mutex_lock(&sink->lock);
    bool room = sink->count < WAITING_MOST && sink->bytes + table.len <= WAITING_BYTES;
    if (room) {
        *sink->last = item;
        sink->last = &item->next;
        sink->count++;
        sink->bytes += table.len;
        if (sink->count == 1)
            pthread_cond_signal(&sink->come);
    } else {
        sink->dropped++;
    }
    pthread_mutex_unlock(&sink->lock);
    if (!room)
        free(item);
}

static void attach(struct sink *sink, struct shard *shard)
{
    unsigned index = shard_index(shard);
    if (sink->attached[index] || !atomic_load_explicit(&sink->on, memory_order_relaxed))
        return;
    struct sink_watch *w = NEW(struct sink_watch);
    w->is = (struct events_watch){.wants = watch_wants, .on_event = on_event, .free = watch_free};
    w->sink = sink;
    w->shard = index;
    sink->attached[index] = true;
    events_watch(shard, &w->is);
}

void sinks_attach(struct plugins *plugins, struct shard *shard)
{
    pthread_mutex_lock(&plugins->lock);
    list_each (it, &plugins->sinks)
        attach(list_entry(it, struct sink, link), shard);
    pthread_mutex_unlock(&plugins->lock);
}

/* ---- the thread ---- */

static void hand_over(struct sink *sink, struct item *items)
{
    while (items) {
        struct item *item = items;
        items = item->next;
        struct jackalope_event event = {.key = item->key, .headers = {item->table, item->len}};
        sink->theirs.on_event(&event);
        free(item);
        if (!items && sink->theirs.on_idle)
            sink->theirs.on_idle();
    }
}

static void complain(struct sink *sink, uint64_t dropped)
{
    uint64_t now = clock_mono_ns() / 1000000;
    if (!dropped)
        return;
    sink->complained_ms = now;
    log_warning(DEFAULT, NULL, "plug-in '%s': %llu events were dropped, it did not keep up",
                sink->plugin->name, (unsigned long long)dropped);
}

/* What is to be said, once in a while. Under the lock. */
static uint64_t take_dropped(struct sink *sink)
{
    uint64_t dropped = sink->dropped;
    if (!dropped || (!sink->ends && clock_mono_ns() / 1000000 < sink->complained_ms + COMPLAIN_MS))
        return 0;
    sink->dropped = 0;
    return dropped;
}

static void wait_for_more(struct sink *sink)
{
    struct timespec until = thread_wait_end(COMPLAIN_MS);
    if (sink->dropped) /* that is still to be said */
        pthread_cond_timedwait(&sink->come, &sink->lock, &until);
    else
        pthread_cond_wait(&sink->come, &sink->lock);
}

static void *run(void *arg)
{
    struct sink *sink = arg;
    pthread_mutex_lock(&sink->lock);
    for (;;) {
        struct item *items = sink->first;
        uint64_t dropped = take_dropped(sink);
        if (!items && !dropped && sink->ends)
            break;
        if (!items && !dropped) {
            wait_for_more(sink);
            continue;
        }
        sink->first = NULL;
        sink->last = &sink->first;
        sink->count = sink->bytes = 0;
        pthread_mutex_unlock(&sink->lock);
        complain(sink, dropped);
        hand_over(sink, items);
        pthread_mutex_lock(&sink->lock);
    }
    sink->ended = true;
    pthread_cond_signal(&sink->gone);
    pthread_mutex_unlock(&sink->lock);
    return NULL;
}

/* ---- shard 0 ---- */

int sink_add(struct jackalope_host *plugin, const struct jackalope_event_sink *theirs)
{
    if (!plugin->starting || plugin->sink || theirs->size < LEAST_SIZE || !theirs->on_event) {
        log_error(DEFAULT, NULL,
                  "plug-in '%s': an event sink that does not say all, comes after the start, or is "
                  "a second one",
                  plugin->name);
        return 1;
    }
    struct sink *sink = NEW(struct sink);
    take_struct(&sink->theirs, sizeof sink->theirs, theirs, theirs->size);
    sink->plugin = plugin;
    sink->last = &sink->first;
    pthread_mutex_init(&sink->lock, NULL);
    thread_cond_init(&sink->come);
    thread_cond_init(&sink->gone);
    plugin->sink = sink;
    return 0;
}

static void drop(struct jackalope_host *plugin)
{
    struct sink *sink = plugin->sink;
    plugin->sink = NULL;
    pthread_cond_destroy(&sink->come);
    pthread_cond_destroy(&sink->gone);
    pthread_mutex_destroy(&sink->lock);
    free(sink);
}

enum err sink_commit(struct jackalope_host *plugin, struct failure *why)
{
    struct sink *sink = plugin->sink;
    if (!sink)
        return ERR_NONE;
    if (!sink->added && !thread_start(&sink->thread, plugin->name, run, sink))
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "plug-in '%s': no thread could be started for it", plugin->name);
    if (!sink->added) {
        plugin_note(plugin, "events", "");
        pthread_mutex_lock(&plugin->plugins->lock);
        list_append(&plugin->plugins->sinks, &sink->link);
        pthread_mutex_unlock(&plugin->plugins->lock);
    }
    sink->added = true;
    atomic_store_explicit(&sink->on, true, memory_order_relaxed);
    return ERR_NONE;
}

void sink_rest(struct jackalope_host *plugin)
{
    if (plugin->sink)
        atomic_store_explicit(&plugin->sink->on, false, memory_order_relaxed);
}

/* False: it does not come back from what it does. */
static bool end_thread(struct sink *sink)
{
    struct timespec until = thread_wait_end(END_MS);
    int rc = 0;
    pthread_mutex_lock(&sink->lock);
    sink->ends = true;
    pthread_cond_signal(&sink->come);
    while (!sink->ended && !rc)
        rc = pthread_cond_timedwait(&sink->gone, &sink->lock, &until);
    bool ended = sink->ended;
    pthread_mutex_unlock(&sink->lock);
    if (ended)
        pthread_join(sink->thread, NULL);
    return ended;
}

bool sink_end(struct jackalope_host *plugin)
{
    struct sink *sink = plugin->sink;
    if (!sink)
        return true;
    if (sink->added && !end_thread(sink)) {
        log_error(DEFAULT, NULL,
                  "plug-in '%s' did not take its last events in %d s: the broker ends without it",
                  plugin->name, END_MS / 1000);
        return false;
    }
    if (sink->added)
        list_remove(&sink->link);
    drop(plugin);
    return true;
}
