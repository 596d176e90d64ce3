/* Destinations in one array, so that routing reads memory in order; add and remove are O(1).
 * A binding in the list keeps its place in binding->own: it is in one dest_list at most. Embedded
 * in an object that does not move. */
#ifndef BROKER_EXCHANGE_DEST_LIST_H
#define BROKER_EXCHANGE_DEST_LIST_H

#include "meta/exchange_type.h"

struct dest_item {
    struct destination to;
    struct binding *binding;
};

struct dest_list {
    struct dest_item *items; /* &first while there is at most one, which most lists are */
    uint32_t count, cap;
    struct dest_item first;
};

void dest_list_init(struct dest_list *list);
void dest_list_fini(struct dest_list *list);
void dest_list_add(struct dest_list *list, struct binding *binding);
void dest_list_remove(struct dest_list *list, const struct binding *binding);

static inline void dest_list_route(const struct dest_list *list, struct route_sink *sink)
{
    for (uint32_t i = 0; i < list->count; i++)
        sink->found(sink, &list->items[i].to);
}

#endif
