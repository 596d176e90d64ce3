/* What the words of a call say. */
#include "admin/call.h"

#include "meta/routing.h"

#include <sysexits.h>

const char *call_option(const struct call *call, enum option option, const char *otherwise)
{
    return call->args.options[option] ? call->args.options[option] : otherwise;
}

bool call_has(const struct call *call, enum option option)
{
    return call->args.options[option] != NULL;
}

const char *call_vhost(const struct call *call)
{
    return call_option(call, OPT_VHOST, "/");
}

const struct target_queue *call_find_queue(const struct call *call, const char *name)
{
    const struct vhost *vhost =
        routing_find_vhost(routing_of(call->shard), slice_str(call_vhost(call)));
    return vhost ? vhost_find_queue(vhost, slice_str(name)) : NULL;
}

bool call_duration(struct call *call, uint64_t *ret_seconds)
{
    enum { DAY_S = 24 * 3600 };
    *ret_seconds = 0;
    bool good = !call_has(call, OPT_DURATION) ||
                args_number(call_option(call, OPT_DURATION, ""), 1, DAY_S, ret_seconds);
    if (!good)
        call_refuse(call, EX_USAGE, "Invalid options for this command:\n--duration : 1 to 86400");
    return good;
}
