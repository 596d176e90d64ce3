/* The commands; each returns its exit code. */
#ifndef PERF_COMMAND_H
#define PERF_COMMAND_H

#include "perf/options.h"

int command_run(const struct options *o); /* run, latency, tx */
int command_backlog(const struct options *o);
int command_get(const struct options *o);
int command_churn(const struct options *o);
int command_idle(const struct options *o);
int command_queues(const struct options *o);
int command_sink(const struct options *o);

#endif
