/* A timer of shard 0 asks the file system, the sooner the less is left above the limit: at the
 * fastest that the journal can fill it. */
#include "admin/disk_monitor.h"

#include "admin/admin_priv.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "conf/conf.h"
#include "shard/timer.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/statvfs.h>

enum {
    CALM_MS = 10000, /* as RabbitMQ looks */
    ALARM_MS = 500,
    SOON_MS = 100,
    FILL_PER_MS = 1024 * 1024, /* bytes that the store can write at most */
};

struct disk_monitor {
    struct node *node;
    struct timer timer;
    uint64_t total_memory;
    struct disk_facts facts;
};

static void set_alarm(struct disk_monitor *m, bool alarm)
{
    m->facts.alarm = alarm;
    if (alarm)
        log_warning(DEFAULT, NULL,
                    "disk resource limit alarm set on node %s: %" PRIu64
                    " bytes are free, the limit is %" PRIu64
                    "; publishers are blocked until there is more",
                    admin_conf(admin_of(m->node))->node_name, m->facts.free, m->facts.limit);
    else
        log_warning(DEFAULT, NULL,
                    "disk resource limit alarm cleared on node %s: %" PRIu64
                    " bytes are free, the limit is %" PRIu64 "; publishers go on",
                    admin_conf(admin_of(m->node))->node_name, m->facts.free, m->facts.limit);
    broker_set_alarm(m->node, ALARM_DISK, alarm);
}

static uint64_t next_look_ms(const struct disk_facts *f)
{
    if (f->alarm || !f->known)
        return ALARM_MS;
    uint64_t ms = (f->free - f->limit) / FILL_PER_MS;
    return ms < SOON_MS ? SOON_MS : ms > CALM_MS ? CALM_MS : ms;
}

static bool store_waits(struct node *node)
{
    struct store *store = store_of(node);
    return store && store_is_full(store);
}

static void look(struct disk_monitor *m)
{
    struct statvfs fs;
    struct disk_facts *f = &m->facts;
    bool known = statvfs(admin_conf(admin_of(m->node))->data_dir, &fs) == 0;
    if (known)
        f->free = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (!known && f->known)
        log_error(DEFAULT, NULL, "the file system does not tell its free space");
    f->known = known;
    bool alarm = (known && f->free < f->limit) || store_waits(m->node);
    if (alarm != f->alarm)
        set_alarm(m, alarm);
    timer_set(&m->timer, next_look_ms(f));
}

static void on_timer(struct timer *t)
{
    look(list_entry(t, struct disk_monitor, timer));
}

static void read_conf(struct disk_monitor *m)
{
    const struct conf *conf = admin_conf(admin_of(m->node));
    m->total_memory = conf_memory_total(conf);
    m->facts.limit = conf_disk_limit(conf);
    m->facts.fraction = conf->disk_free_limit.absolute ? -1.0 : conf->disk_free_limit.relative;
}

struct disk_monitor *disk_monitor_new(struct node *node)
{
    struct disk_monitor *m = NEW(struct disk_monitor);
    m->node = node;
    timer_init(&m->timer, node_shard(node, 0), on_timer);
    read_conf(m);
    m->facts.known = true;
    timer_set(&m->timer, 1);
    return m;
}

void disk_monitor_free(struct disk_monitor **monitor)
{
    if (!*monitor)
        return;
    timer_stop(&(*monitor)->timer);
    free(*monitor);
    *monitor = NULL;
}

void disk_monitor_reload(struct disk_monitor *m)
{
    read_conf(m);
    look(m);
}

void disk_monitor_set_limit(struct disk_monitor *m, double fraction, uint64_t bytes)
{
    m->facts.fraction = fraction < 0 ? -1.0 : fraction;
    m->facts.limit = fraction < 0 ? bytes : (uint64_t)(fraction * (double)m->total_memory);
    look(m);
}

struct disk_facts disk_monitor_facts(const struct disk_monitor *m)
{
    return m->facts;
}
