/* Signs of life for systemd, twice as often as it expects them. */
#include "daemon/watchdog.h"

#include "base/mem.h"
#include "daemon/notify.h"

#include <stdlib.h>

struct watchdog {
    struct timer timer;
    uint64_t interval_ms;
};

static void on_timer(struct timer *t)
{
    struct watchdog *w = list_entry(t, struct watchdog, timer);
    notify_watchdog();
    timer_set(t, w->interval_ms);
}

int watchdog_start(struct daemon *d, struct failure *why)
{
    (void)why;
    struct watchdog *w = d->watchdog = NEW(struct watchdog);
    w->interval_ms = notify_watchdog_ms() / 2;
    timer_init(&w->timer, node_shard(d->node, 0), on_timer);
    if (w->interval_ms)
        timer_set(&w->timer, w->interval_ms);
    return 0;
}

void watchdog_stop(struct daemon *d)
{
    if (!d->watchdog)
        return;
    timer_stop(&d->watchdog->timer);
    free(d->watchdog);
    d->watchdog = NULL;
}
