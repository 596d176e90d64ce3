/* A timer of shard 0 asks the file systems, the sooner the less is left above the limit: at the
 * fastest that the store can fill it. Journal, database, large bodies and streams may lie on disks
 * of their own; the least of what grows without bounds counts. */
#include "admin/disk_monitor.h"

#include "admin/admin_priv.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "conf/conf.h"
#include "partition/partition.h"
#include "shard/timer.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/statvfs.h>

enum {
    CALM_MS = 1000,
    ALARM_MS = 500,
    SOON_MS = 100,
    FILL_PER_MS = 1024 * 1024, /* bytes that the store can write at most */
    PLACES = 4
};

struct disk_monitor {
    struct node *node;
    struct timer timer;
    uint64_t total_memory;
    char *places[PLACES]; /* the first one exists */
    struct disk_facts facts;
};

/* ---- the decision ---- */

bool disk_monitor_judge(const struct disk_facts *f)
{
    return (f->free < f->limit && !f->off) || f->waiting;
}

uint64_t disk_monitor_next_ms(const struct disk_facts *f)
{
    if (f->alarm || !f->known || f->free < f->limit)
        return ALARM_MS;
    uint64_t ms = (f->free - f->limit) / FILL_PER_MS;
    return ms < SOON_MS ? SOON_MS : ms > CALM_MS ? CALM_MS : ms;
}

/* ---- looking ---- */

static void log_alarm(const struct disk_monitor *m)
{
    const struct disk_facts *f = &m->facts;
    const char *name = admin_conf(admin_of(m->node))->node_name;
    if (f->alarm && f->free >= f->limit)
        log_warning(DEFAULT, NULL,
                    "disk resource limit alarm set on node %s: what is to be written has no room; "
                    "publishers "
                    "are blocked until it has",
                    name);
    else if (f->alarm)
        log_warning(DEFAULT, NULL,
                    "disk resource limit alarm set on node %s: %" PRIu64
                    " bytes are free, the limit is %" PRIu64
                    "; publishers are blocked until there is more",
                    name, f->free, f->limit);
    else
        log_warning(DEFAULT, NULL,
                    "disk resource limit alarm cleared on node %s: %" PRIu64
                    " bytes are free, the limit is %" PRIu64 "; publishers go on",
                    name, f->free, f->limit);
}

/* False: the system does not tell. */
static bool free_space(const struct disk_monitor *m, uint64_t *ret_free)
{
    struct statvfs fs;
    for (int i = 0; i < PLACES; i++) {
        if (statvfs(m->places[i], &fs) != 0) {
            if (i == 0)
                return false;
            continue;
        }
        uint64_t here = (uint64_t)fs.f_bavail * fs.f_frsize;
        if (i == 0 || here < *ret_free)
            *ret_free = here;
    }
    return true;
}

static void look(struct disk_monitor *m)
{
    struct disk_facts *f = &m->facts;
    const struct store *store = store_of(m->node);
    bool known = free_space(m, &f->free);
    if (!known && f->known)
        log_error(DEFAULT, NULL, "the free space on the disk of %s cannot be found out",
                  m->places[0]);
    f->known = known;
    struct partitions *ps = partitions_of(m->node);
    f->waiting = (store && store_is_full(store)) || (ps && partitions_are_full(ps));
    if (disk_monitor_judge(f) != f->alarm) {
        f->alarm = !f->alarm;
        log_alarm(m);
        broker_set_alarm(m->node, ALARM_DISK, f->alarm);
    }
    timer_set(&m->timer, disk_monitor_next_ms(f));
}

static void on_timer(struct timer *t)
{
    look(list_entry(t, struct disk_monitor, timer));
}

/* ---- life ---- */

static void read_conf(struct disk_monitor *m)
{
    const struct conf *conf = admin_conf(admin_of(m->node));
    m->total_memory = conf_memory_total(conf);
    m->facts.limit = conf_disk_limit(conf);
    m->facts.fraction = conf->disk_free_limit.absolute ? -1.0 : conf->disk_free_limit.relative;
}

static void on_full(void *monitor)
{
    look(monitor);
}

struct disk_monitor *disk_monitor_new(struct node *node)
{
    struct disk_monitor *m = NEW(struct disk_monitor);
    const char *data = admin_conf(admin_of(node))->data_dir;
    m->node = node;
    m->places[0] = mem_strdup(data);
    m->places[1] = mem_printf("%s/db", data);
    m->places[2] = mem_printf("%s/blobs", data);
    m->places[3] = mem_printf("%s/partitions", data);
    if (partitions_of(node))
        partitions_watch_full(partitions_of(node), on_full, m);
    if (store_of(node))
        store_watch_full(store_of(node), on_full, m);
    timer_init(&m->timer, node_shard(node, 0), on_timer);
    read_conf(m);
    m->facts.known = true;
    m->facts.free = UINT64_MAX;
    timer_set(&m->timer, 1);
    return m;
}

void disk_monitor_free(struct disk_monitor **monitor)
{
    struct disk_monitor *m = *monitor;
    if (!m)
        return;
    if (store_of(m->node))
        store_watch_full(store_of(m->node), NULL, NULL);
    if (partitions_of(m->node))
        partitions_watch_full(partitions_of(m->node), NULL, NULL);
    timer_stop(&m->timer);
    for (int i = 0; i < PLACES; i++)
        free(m->places[i]);
    free(m);
    *monitor = NULL;
}

void disk_monitor_reload(struct disk_monitor *m)
{
    read_conf(m);
    look(m);
}

void disk_monitor_set_limit(struct disk_monitor *m, double fraction, uint64_t bytes)
{
    double product = fraction * (double)m->total_memory;
    m->facts.fraction = fraction < 0 ? -1.0 : fraction;
    if (fraction >= 0)
        bytes = product < 0x1p63 ? (uint64_t)product : UINT64_MAX;
    m->facts.limit = bytes;
    log_info(DEFAULT, NULL, "disk free limit set to %" PRIu64 " bytes", bytes);
    look(m);
}

void disk_monitor_set_active(struct disk_monitor *m, bool active)
{
    m->facts.off = !active;
    log_warning(DEFAULT, NULL, "the free space on the disk is %s",
                active ? "watched" : "not watched");
    look(m);
}

struct disk_facts disk_monitor_facts(const struct disk_monitor *m)
{
    return m->facts;
}
