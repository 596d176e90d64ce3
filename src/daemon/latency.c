#include "daemon/latency.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char device[] = "/dev/cpu_dma_latency";
static const char driver_file[] = "/sys/devices/system/cpu/cpuidle/current_driver";

/* Where the kernel polls or halts, and a halt ends in the hypervisor. */
static bool is_haltpoll(void)
{
    char name[32] = "";
    FILE *f = fopen(driver_file, "re");
    if (!f)
        return false;
    bool found = fgets(name, sizeof name, f) && strcmp(name, "haltpoll\n") == 0;
    fclose(f);
    return found;
}

struct awake_options latency_options(const struct conf *conf)
{
    bool by_itself = conf->cpu_latency == CONF_CPU_LATENCY_AUTO;
    if (conf->cpu_latency == CONF_CPU_LATENCY_OFF || (by_itself && !is_haltpoll()))
        return (struct awake_options){.device = NULL};
    return (struct awake_options){.device = device,
                                  .latency_us = by_itself ? 0 : conf->cpu_latency,
                                  .wakes_per_s = conf->cpu_latency_rate};
}

void latency_report(const struct conf *conf, const struct awake_facts *facts)
{
    bool by_itself = conf->cpu_latency == CONF_CPU_LATENCY_AUTO;
    bool refused = facts->error == EACCES || facts->error == EPERM;
    if (!facts->error)
        return;
    log_at(LOG_DEFAULT, by_itself ? LOG_INFO_ : LOG_WARNING_, NULL,
           "cpu_latency: cannot open %s: %s; cores sleep while there is no work%s", device,
           strerror(facts->error),
           refused
               ? ". The rule for udev that comes with the package lets the group jackalope write "
                 "to it"
               : "");
}
