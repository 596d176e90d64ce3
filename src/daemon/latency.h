/* Whether and how the cores are kept awake, by the configuration and the machine. */
#ifndef DAEMON_LATENCY_H
#define DAEMON_LATENCY_H

#include "conf/conf.h"
#include "shard/awake.h"

struct awake_options latency_options(const struct conf *conf);
/* Logs what was asked for and can't be had. */
void latency_report(const struct conf *conf, const struct awake_facts *facts);

#endif
