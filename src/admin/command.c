/* The table of commands, made of commands.def. */
#include "admin/command.h"

#include "admin/columns.h"
#include "admin/handlers.h"

#include <string.h>

static const struct command commands[] = {
#define COMMAND(name, group, min, max, options, columns, usage, text) \
    {#name, group, usage, text, min, max, options, columns, run_##name},
#define ALIAS(name, of, group, min, max, options, usage, text) \
    {#name, group, usage, text, min, max, options, NULL, run_##of},
#include "admin/commands.def"
#undef COMMAND
#undef ALIAS
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

const struct command *command_at(size_t index)
{
    return index < COMMAND_COUNT ? &commands[index] : NULL;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    }
    return NULL;
}

const struct command *command_find_of(const char *tool, const char *name)
{
    static const char *const others[][3] = {
        {"rabbitmq-plugins", "list", "list_plugins"},
        {"rabbitmq-plugins", "is_enabled", "is_plugin_enabled"},
        {"rabbitmq-plugins", "enable", "enable_plugin"},
        {"rabbitmq-plugins", "set", "set_plugins"},
        {"rabbitmq-plugins", "disable", "disable_plugin"},
        {"rabbitmq-plugins", "directories", "plugin_directories"},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (!strcmp(others[i][0], tool) && !strcmp(others[i][1], name))
            return command_find(others[i][2]);
    }
    return command_find(name);
}

/* Letters to change, add or take away to make b of a; both shorter than NAME_MAX_. */
enum { NAME_MAX_ = 64 };
static unsigned distance(const char *a, const char *b)
{
    unsigned row[NAME_MAX_ + 1];
    size_t length = strlen(b);
    for (unsigned j = 0; j <= length; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= length; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[length];
}

const struct command *command_nearest(const char *name)
{
    const struct command *nearest = NULL;
    size_t length = strlen(name);
    unsigned least = (unsigned)(length / 3) + 1;
    if (length > NAME_MAX_)
        return NULL;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strlen(commands[i].name) > NAME_MAX_)
            continue;
        unsigned d = distance(name, commands[i].name);
        if (d < least) {
            least = d;
            nearest = &commands[i];
        }
    }
    return nearest;
}
