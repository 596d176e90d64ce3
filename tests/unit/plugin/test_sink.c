/* An event sink of a plug-in, on a shard that has no loop. */
#include "base/log_recent.h"
#include "broker/events.h"
#include "plugin/plugin_priv.h"
#include "unit.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 8192 /* that wait */, PATIENCE_MS = 20000 };

static sem_t steps;
static _Atomic unsigned seen, idle;

/* The first two take as long as the test likes. */
static void on_event(const struct jackalope_event *event)
{
    cr_expect_str_eq(event->key, "queue.created");
    if (atomic_fetch_add(&seen, 1) < 2)
        sem_wait(&steps);
}

static void on_idle(void)
{
    atomic_fetch_add(&idle, 1);
}

static void wait_until_seen(unsigned count)
{
    for (unsigned ms = 0; atomic_load(&seen) < count; ms++) {
        cr_assert_lt(ms, PATIENCE_MS, "%u seen, not %u", atomic_load(&seen), count);
        usleep(1000);
    }
}

static void wait_until_said(uint64_t begin, const char *text)
{
    struct buf lines = BUF_INIT;
    for (unsigned ms = 0; !lines.len || !strstr(buf_cstr(&lines), text); ms += 10) {
        uint64_t at = begin;
        cr_assert_lt(ms, PATIENCE_MS, "not in the log: %s", text);
        buf_clear(&lines);
        log_recent_read(&at, 1 << 20, &lines);
        usleep(10000);
    }
    buf_fini(&lines);
}

static void emit(struct shard *shard, unsigned count)
{
    while (count--)
        events_emit(shard, "queue.created", SLICE_EMPTY);
}

/* Also if nothing comes after them. */
UNIT(sink, says_how_many_it_dropped)
{
    static const struct jackalope_event_sink theirs = {sizeof theirs, on_event, on_idle};
    static const struct op_kind kind = {"none", NULL};
    struct node *node = node_new(&(struct node_options){.shards = 2, .ops = &kind, .op_count = 1});
    struct shard *shard = node_shard(node, 1);
    struct plugins plugins = {.node = node};
    struct jackalope_host host = {.plugins = &plugins, .name = (char[]){"slow"}, .starting = true};
    struct failure why;
    uint64_t begin = log_recent_begin(0);
    list_init(&plugins.sinks);
    pthread_mutex_init(&plugins.lock, NULL);
    sem_init(&steps, 0, 0);
    cr_assert_eq(sink_add(&host, &theirs), 0);
    cr_assert_eq(sink_commit(&host, &why), ERR_NONE);
    sinks_attach(&plugins, shard);
    emit(shard, 1);
    wait_until_seen(1);
    emit(shard, MOST + 5);
    sem_post(&steps);
    wait_until_said(begin, "5 events were dropped");
    wait_until_seen(2);
    emit(shard, MOST + 7);
    sem_post(&steps);
    wait_until_seen(1 + 2 * MOST);
    wait_until_said(begin, "7 events were dropped");
    events_fini(node);
    sink_end(&host);
    cr_expect_eq(atomic_load(&idle), 3);
    buf_fini(&host.provides);
    pthread_mutex_destroy(&plugins.lock);
    node_free(&node);
}
