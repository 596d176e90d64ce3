/* The shared object of a plug-in: where it may lie, and whether it fits this broker. */
#ifndef PLUGIN_MODULE_H
#define PLUGIN_MODULE_H

#include "base/err.h"
#include "plugin/jackalope/plugin.h"

/* a-z, 0-9 and _, at most 63 of them. */
bool module_name_is_good(const char *name);
/* The directory is root's or this user's, and only they and their group may write to it. */
enum err module_check_directory(const char *directory, struct failure *why);
/* What directory/NAME.so says of itself. It stays loaded for good: whatever of it was called may
 * have left something behind. The text names the file. */
enum err module_open(const char *directory, const char *name,
                     const struct jackalope_plugin **ret_plugin, struct failure *why);
/* Whether it was made for this broker. where: its file, or "" for one that is part of the broker.
 */
enum err module_check(const struct jackalope_plugin *plugin, const char *name, const char *where,
                      struct failure *why);

#endif
