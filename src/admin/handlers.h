/* The handlers that commands.def names, in cmd_<noun>.c. */
#ifndef ADMIN_HANDLERS_H
#define ADMIN_HANDLERS_H

struct call;

#define COMMAND(name, group, min, max, options, columns, usage, text) \
    void run_##name(struct call *call);
#define ALIAS(name, of, group, min, max, options, usage, text)
#include "admin/commands.def"
#undef COMMAND
#undef ALIAS

#endif
