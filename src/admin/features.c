/* The table of feature flags. */
#include "admin/features.h"

#include <string.h>

static const struct feature_flag flags[] = {
    {"direct_exchange_routing_v2", "Direct exchanges look their queues up by routing key"},
    {"drop_unroutable_metric", "What could not be routed is counted"},
    {"empty_basic_get_metric", "basic.get on empty queues is counted"},
    {"implicit_default_bindings", "Bindings of the default exchange are not stored"},
    {"maintenance_mode_status", "Maintenance is a state of the node"},
    {"quorum_queue", "Queues of type quorum"},
    {"rabbit_exchange_type_local_random", "Exchanges of type x-local-random"},
    {"stream_filtering", "Filters of streams"},
    {"stream_queue", "Queues of type stream"},
    {"user_limits", "Limits of connections and channels of a user"},
    {"virtual_host_metadata", "Description, tags and default queue type of virtual hosts"},
};

const struct feature_flag *feature_flag_at(size_t index)
{
    return index < sizeof flags / sizeof *flags ? &flags[index] : NULL;
}

const struct feature_flag *feature_flag_find(const char *name)
{
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (!strcmp(flags[i].name, name))
            return &flags[i];
    }
    return NULL;
}
