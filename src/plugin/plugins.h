/* The plug-ins of a node: which are enabled, which run, what they brought. They are started before
 * definitions are loaded, as these may need them, and by operators; all on shard 0.
 *
 * A plug-in that cannot run says why, in the log and to operators; the broker goes on without it,
 * unless the configuration asks for all. */
#ifndef PLUGIN_PLUGINS_H
#define PLUGIN_PLUGINS_H

#include "admin/plugins.h"
#include "conf/conf.h"

struct jackalope_plugin;
struct node;
struct shard;

/* Starts those that are enabled; before the loops run. builtins: those that are linked with the
 * program, NULL behind the last. conf must outlive them. After an error too they are to be closed.
 */
enum err plugins_open(struct node *node, const struct conf *conf,
                      const struct jackalope_plugin *const *builtins, struct plugins **ret_plugins,
                      struct failure *why);
/* Attaches to a shard what was started: before its loop runs, or on it. */
void plugins_attach(struct plugins *plugins, struct shard *shard);
/* After the loops ended. NULL stays. */
void plugins_close(struct plugins **plugins);

/* For operators; lives as long as the plug-ins. */
const struct plugin_door *plugins_get_door(const struct plugins *plugins);

#endif
