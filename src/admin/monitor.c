/* A timer of shard 0 looks at the resident size, the sooner the less is left below the watermark: a
 * fast publisher must not get far beyond it. Before an alarm is raised, and while it lasts, the
 * allocator is asked to give back what is free; without one it gives back at every calm look what
 * it has not used for some time, since the arena of an idle shard does not do that by itself. */
#include "admin/monitor.h"

#include "admin/admin_priv.h"
#include "admin/memory.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "conf/conf.h"
#include "shard/timer.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    CALM_MS = 1000,
    BUSY_MS = 100,
    SOON_MS = 10,
    FILL_PER_MS = 2 * 1024 * 1024, /* bytes that publishers can add at most */
};

struct monitor {
    struct node *node;
    struct timer timer;
    struct monitor_state state;
    double fraction; /* negative: the watermark is set in bytes */
    uint64_t total;
    uint64_t gave_back_ms[2]; /* what is old, everything */
};

enum monitor_verdict monitor_judge(const struct monitor_state *s, uint64_t used)
{
    uint64_t low = s->watermark - s->watermark / 100 * MONITOR_CLEAR_PERCENT;
    if (!s->alarm)
        return used > s->watermark ? MONITOR_RAISE : MONITOR_STAY;
    return used <= low && s->watermark ? MONITOR_CLEAR : MONITOR_STAY;
}

/* At most once a second. */
static bool give_back(struct monitor *m, bool all)
{
    uint64_t now = shard_now_ms(m->timer.shard);
    if (m->gave_back_ms[all] && now - m->gave_back_ms[all] < CALM_MS)
        return false;
    m->gave_back_ms[all] = now;
    memory_give_back(all);
    return true;
}

static void set_alarm(struct monitor *m, bool alarm, uint64_t used)
{
    const char *name = admin_conf(admin_of(m->node))->node_name;
    m->state.alarm = alarm;
    if (alarm)
        log_warning(DEFAULT, NULL,
                    "memory resource limit alarm set on node %s: %" PRIu64
                    " bytes in use, the high watermark is %" PRIu64
                    "; publishers are blocked until it clears",
                    name, used, m->state.watermark);
    else
        log_warning(DEFAULT, NULL,
                    "memory resource limit alarm cleared on node %s: %" PRIu64
                    " bytes in use, the high watermark is %" PRIu64 "; publishers go on",
                    name, used, m->state.watermark);
    broker_set_alarm(m->node, ALARM_MEMORY, alarm);
}

/* Until the watermark can be reached. */
static uint64_t next_look_ms(const struct monitor_state *s, uint64_t used)
{
    if (s->alarm || used >= s->watermark)
        return BUSY_MS;
    uint64_t ms = (s->watermark - used) / FILL_PER_MS;
    return ms < SOON_MS ? SOON_MS : ms > CALM_MS ? CALM_MS : ms;
}

static void look(struct monitor *m)
{
    uint64_t used = memory_rss();
    enum monitor_verdict verdict = monitor_judge(&m->state, used);
    if (verdict == MONITOR_RAISE && give_back(m, true)) {
        used = memory_rss();
        verdict = monitor_judge(&m->state, used);
    } else if (verdict == MONITOR_STAY) {
        give_back(m, m->state.alarm);
    }
    if (verdict != MONITOR_STAY)
        set_alarm(m, verdict == MONITOR_RAISE, used);
    timer_set(&m->timer, next_look_ms(&m->state, used));
}

static void on_timer(struct timer *t)
{
    look(list_entry(t, struct monitor, timer));
}

static void read_conf(struct monitor *m)
{
    const struct conf *conf = admin_conf(admin_of(m->node));
    m->total = conf_memory_total(conf);
    m->state.watermark = conf_memory_watermark(conf);
    m->fraction =
        conf->vm_memory_high_watermark.absolute ? -1.0 : conf->vm_memory_high_watermark.relative;
}

struct monitor *monitor_new(struct node *node)
{
    struct monitor *m = NEW(struct monitor);
    m->node = node;
    timer_init(&m->timer, node_shard(node, 0), on_timer);
    read_conf(m);
    timer_set(&m->timer, BUSY_MS);
    return m;
}

void monitor_free(struct monitor **monitor)
{
    if (!*monitor)
        return;
    timer_stop(&(*monitor)->timer);
    free(*monitor);
    *monitor = NULL;
}

void monitor_reload(struct monitor *m)
{
    read_conf(m);
    look(m);
}

void monitor_set_watermark(struct monitor *m, double fraction, uint64_t bytes)
{
    m->fraction = fraction < 0 ? -1.0 : fraction;
    m->state.watermark = fraction < 0 ? bytes : (uint64_t)(fraction * (double)m->total);
    look(m);
}

struct monitor_facts monitor_facts(const struct monitor *m)
{
    return (struct monitor_facts){.watermark = m->state.watermark,
                                  .fraction = m->fraction,
                                  .total = m->total,
                                  .alarm = m->state.alarm};
}
