/* The registry of exchange types: filled before the node runs, read-only from then on. */
#include "meta/exchange_type.h"

#include "base/bug.h"

enum { TYPES_MAX = 32 };

/* exception: the registry is filled at boot before the shards run */
static const struct exchange_type *types[TYPES_MAX];
static size_t count;

void exchange_type_register(const struct exchange_type *type)
{
    const struct exchange_type *other = exchange_type_find(slice_str(type->name));
    bug_on(other && other != type);
    if (other)
        return;
    bug_on(count == TYPES_MAX);
    types[count++] = type;
}

const struct exchange_type *exchange_type_find(struct slice name)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq_str(name, types[i]->name))
            return types[i];
    }
    return NULL;
}

const struct exchange_type *exchange_type_acting(struct slice name, struct slice args)
{
    const struct exchange_type *type = exchange_type_find(name);
    return type && type->acts_as ? type->acts_as(args) : type;
}

const struct exchange_type *exchange_type_next(const struct exchange_type *after)
{
    size_t i = 0;
    while (after && i < count && types[i++] != after)
        ;
    return i < count ? types[i] : NULL;
}
