#include "broker/exchange/dest_list.h"

#include "base/bug.h"
#include "base/mem.h"

#include <stdlib.h>

void dest_list_init(struct dest_list *list)
{
    list->items = &list->first;
    list->count = 0;
    list->cap = 1;
}

void dest_list_fini(struct dest_list *list)
{
    if (list->items != &list->first)
        free(list->items);
    dest_list_init(list);
}

static void resize(struct dest_list *list, uint32_t cap)
{
    struct dest_item *old = list->items;
    struct dest_item *items = cap == 1 ? &list->first : mem_alloc(cap * sizeof *items);
    memcpy(items, old, list->count * sizeof *items);
    if (old != &list->first)
        free(old);
    list->items = items;
    list->cap = cap;
}

void dest_list_add(struct dest_list *list, struct binding *binding)
{
    if (list->count == list->cap)
        resize(list, list->cap == 1 ? 4 : list->cap * 2);
    list->items[list->count] = (struct dest_item){binding->to, binding};
    binding->own = (void *)(uintptr_t)list->count++;
}

void dest_list_remove(struct dest_list *list, const struct binding *binding)
{
    uint32_t at = (uint32_t)(uintptr_t)binding->own;
    bug_on(at >= list->count || list->items[at].binding != binding);
    list->items[at] = list->items[--list->count];
    list->items[at].binding->own = (void *)(uintptr_t)at;
    if (list->cap > 1 && list->count <= list->cap / 4)
        resize(list, list->cap == 4 ? 1 : list->cap / 2);
}
