/* Plug-ins as operators see them; src/plugin has them. Shard 0 but for attach. */
#ifndef ADMIN_PLUGINS_H
#define ADMIN_PLUGINS_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>

struct plugins;
struct shard;

/* Which ones operators enabled: a file of the data directory, unless the configuration names one
 * elsewhere. */
#define PLUGINS_ENABLED_FILE "enabled_plugins"

/* Texts are "" where nothing is known. */
struct plugin_fact {
    const char *name, *version, *text;
    const char *provides; /* "exchange type x-rtopic" */
    const char *problem;  /* why it does not run although it is enabled */
    bool by_conf, by_file, running;
};

enum plugin_change { PLUGIN_ENABLE, PLUGIN_DISABLE, PLUGIN_SET };

struct plugin_door {
    struct plugins *plugins;
    /* Those that are enabled, running or in the directory, by name. */
    void (*each)(struct plugins *plugins, void (*fn)(void *arg, const struct plugin_fact *fact),
                 void *arg);
    /* Starts or ends them, unless it is for later, and keeps it in the file. What is part of the
     * broker is left as it is. False: it went well up to the one that why names. What there is to
     * say goes into report, a line each. */
    bool (*change)(struct plugins *plugins, enum plugin_change change, const char *const *names,
                   size_t count, bool later, struct buf *report, struct failure *why);
    /* Lets a shard know what was started. On that shard. */
    void (*attach)(struct plugins *plugins, struct shard *shard);
    const char *(*directory)(const struct plugins *plugins);
    const char *(*file)(const struct plugins *plugins);
};

/* RabbitMQ's name of something that is part of the broker. */
bool plugin_is_builtin(const char *name);

#endif
