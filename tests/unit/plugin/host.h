/* A plug-in that is linked with its test, started as the broker does it. */
#ifndef HOST_H
#define HOST_H

#include "plugin/plugin_priv.h"
#include "unit.h"

#include <stdlib.h>

static inline void host_start(struct jackalope_host *host, const struct conf *conf,
                              struct plugins *plugins, const struct jackalope_plugin *plugin)
{
    struct jackalope_why said = {""};
    plugins->conf = conf;
    *host = (struct jackalope_host){
        .plugins = plugins, .name = (char *)(uintptr_t)plugin->name, .is = plugin};
    list_init(&host->texts);
    list_init(&host->types);
    host->starting = true;
    cr_assert_eq(plugin->start(plugin_api(), host, &said), 0, "%s", said.text);
    host->starting = false;
    exchange_commit(host);
}

static inline void host_stop(struct jackalope_host *host)
{
    if (host->is->stop)
        host->is->stop();
    settings_fini(host);
    buf_fini(&host->provides);
}

#endif
