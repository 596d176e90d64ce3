/* Hands the process over to src/admin: configuration, stop, reload. */
#include "daemon/control.h"

#include "admin/admin.h"
#include "daemon/reload.h"
#include "daemon/seed.h"
#include "plugin/plugins.h"

#include <sysexits.h>

static const struct conf *current_conf(void *daemon)
{
    return ((const struct daemon *)daemon)->conf;
}

static void stop(void *daemon)
{
    stop_begin(daemon);
}

static bool is_stopping(void *daemon)
{
    return ((const struct daemon *)daemon)->stopping;
}

static bool seed(void *daemon, struct failure *why)
{
    return seed_again(daemon, why);
}

/* Not once it stops: listeners would open again. */
static bool reload(void *daemon, struct buf *report)
{
    struct daemon *d = daemon;
    if (!d->stopping)
        return reload_now(d, report);
    buf_append_str(report, "the broker is stopping");
    return false;
}

int control_start(struct daemon *d, struct failure *why)
{
    struct admin_options options = {.arg = d,
                                    .conf = current_conf,
                                    .stop = stop,
                                    .is_stopping = is_stopping,
                                    .seed = seed,
                                    .reload = reload,
                                    .plugins = plugins_get_door(d->plugins),
                                    .offline = d->cli->action == CLI_OFFLINE};
    return admin_init(d->node, &options, why) ? EX_UNAVAILABLE : 0;
}

void control_stop(struct daemon *d)
{
    admin_fini(d->node);
}
