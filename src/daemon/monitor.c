/* Resident memory against the watermark: above it publishers are blocked until it is below again.
 * It is looked at once a second, ten times a second when a quarter of the watermark is in use. */
#include "daemon/monitor.h"

#include "base/mem.h"
#include "broker/broker.h"
#include "daemon/notify.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { CALM_MS = 1000, BUSY_MS = 100 };

struct monitor {
    struct daemon *daemon;
    struct timer memory, watchdog;
    uint64_t watchdog_ms; /* 0: none */
    uint64_t watermark;   /* bytes */
    int statm;            /* /proc/self/statm, -1 if there is none */
    bool low;             /* the alarm is set */
};

/* 0 if unknown. */
static uint64_t resident_bytes(const struct monitor *m)
{
    char text[128];
    ssize_t n = m->statm >= 0 ? pread(m->statm, text, sizeof text - 1, 0) : -1;
    if (n <= 0)
        return 0;
    text[n] = '\0';
    char *second;
    strtoull(text, &second, 10);
    return strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void set_alarm(struct monitor *m, bool low, uint64_t used)
{
    const uint64_t mib = 1024 * 1024;
    m->low = low;
    if (low)
        log_warning(DEFAULT, NULL,
                    "%" PRIu64 " MiB of memory in use, the watermark is %" PRIu64
                    " MiB: publishers are blocked",
                    used / mib, m->watermark / mib);
    else
        log_info(DEFAULT, NULL,
                 "%" PRIu64 " MiB of memory in use, the watermark is %" PRIu64
                 " MiB: publishers go on",
                 used / mib, m->watermark / mib);
    broker_set_alarm(m->daemon->node, low ? "low on memory" : NULL);
}

static void on_memory(struct timer *t)
{
    struct monitor *m = (struct monitor *)(void *)((char *)t - offsetof(struct monitor, memory));
    uint64_t used = resident_bytes(m);
    if ((used > m->watermark) != m->low)
        set_alarm(m, !m->low, used);
    timer_set(t, used > m->watermark / 4 ? BUSY_MS : CALM_MS);
}

static void on_watchdog(struct timer *t)
{
    struct monitor *m = (struct monitor *)(void *)((char *)t - offsetof(struct monitor, watchdog));
    notify_watchdog();
    timer_set(t, m->watchdog_ms / 2);
}

int monitor_start(struct daemon *d, struct failure *why)
{
    (void)why;
    struct monitor *m = d->monitor = NEW(struct monitor);
    struct shard *shard = node_shard(d->node, 0);
    m->daemon = d;
    m->watermark = conf_memory_watermark(d->conf);
    m->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    timer_init(&m->memory, shard, on_memory);
    timer_init(&m->watchdog, shard, on_watchdog);
    timer_set(&m->memory, CALM_MS);
    m->watchdog_ms = notify_watchdog_ms();
    if (m->watchdog_ms)
        timer_set(&m->watchdog, m->watchdog_ms / 2);
    return 0;
}

void monitor_stop(struct daemon *d)
{
    struct monitor *m = d->monitor;
    if (!m)
        return;
    timer_stop(&m->memory);
    timer_stop(&m->watchdog);
    if (m->statm >= 0)
        close(m->statm);
    free(m);
    d->monitor = NULL;
}

void monitor_reload(struct daemon *d)
{
    d->monitor->watermark = conf_memory_watermark(d->conf);
}
