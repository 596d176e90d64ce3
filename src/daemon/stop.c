/* Graceful stop: nobody is taken in, clients get connection.close, the loops end when the last is
 * gone or the time is up. A second signal does not wait, a third one does not even clean up. */
#include "amqp/amqp.h"
#include "daemon/daemon.h"
#include "daemon/front.h"
#include "daemon/notify.h"

#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* The unit's TimeoutStopSec, which is for what comes after clients took their leave. */
enum { UNIT_STOP_MS = 2 * 60 * 1000 };

static void on_all_gone(void *arg)
{
    struct daemon *d = arg;
    log_info(DEFAULT, NULL, "all connections are closed");
    node_stop(d->node);
}

void stop_begin(struct daemon *d)
{
    if (d->stopping)
        return;
    d->stopping = true;
    size_t count = amqp_connection_count(d->node);
    notify_stopping(d->conf->shutdown_timeout_ms + UNIT_STOP_MS);
    notify_status("stopping, %zu connections are asked to leave", count);
    log_info(DEFAULT, NULL, "stopping, %zu connections are asked to leave", count);
    front_close_listeners(d);
    amqp_shutdown(d->node, "shutdown", d->conf->shutdown_timeout_ms, on_all_gone, d);
}

void stop_on_signal(void *daemon, int signum)
{
    struct daemon *d = daemon;
    d->signals++;
    log_info(DEFAULT, NULL, "SIG%s received", sigabbrev_np(signum));
    if (d->signals == 1) {
        stop_begin(d);
    } else if (d->signals == 2) {
        log_warning(DEFAULT, NULL, "stopping at once");
        d->stopping = true;
        front_close_listeners(d);
        node_stop(d->node);
    } else {
        _exit(EX_TEMPFAIL);
    }
}
