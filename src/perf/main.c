/* jackalope-perf: a load generator for AMQP 0-9-1 brokers. */
#include "perf/command.h"
#include "perf/options.h"
#include "perf/progress.h"

#include <stdio.h>
#include <sysexits.h>

int main(int argc, char **argv)
{
    static struct options o;
    int rc = options_parse(&o, argc, argv);

    if (rc >= 0)
        return rc;
    if (o.command != COMMAND_SINK) {
        const char *why;
        if (!uri_resolve(&o.uri, &why)) {
            fprintf(stderr, "jackalope-perf: %s: %s\n", o.uri.host, why);
            return EX_UNAVAILABLE;
        }
    }
    progress_init();
    switch (o.command) {
    case COMMAND_BACKLOG:
        return command_backlog(&o);
    case COMMAND_GET:
        return command_get(&o);
    case COMMAND_CHURN:
        return command_churn(&o);
    case COMMAND_IDLE:
        return command_idle(&o);
    case COMMAND_QUEUES:
        return command_queues(&o);
    case COMMAND_SINK:
        return command_sink(&o);
    default:
        return command_run(&o);
    }
}
