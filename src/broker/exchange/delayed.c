/* x-delayed-message: an exchange of the type that x-delayed-type names, but what has a delay waits
 * in the exchange's delay line first (route.c, queue/line.c). The type itself holds nothing: the
 * named one acts. */
#include "base/table.h"
#include "broker/exchange/exchange.h"

static const struct exchange_type *named(struct slice args)
{
    struct slice name;
    return table_find_str(args, SLICE("x-delayed-type"), &name) ? exchange_type_find(name) : NULL;
}

static enum err delayed_validate(const struct exchange_type *self, struct slice args,
                                 struct failure *why)
{
    struct slice name;
    const struct exchange_type *type = named(args);
    if (!table_find_str(args, SLICE("x-delayed-type"), &name) || type == self)
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "Invalid argument, 'x-delayed-type' must be an existing exchange type");
    if (!type || type->internal_only)
        return failure_set(why, ERR_COMMAND_INVALID, "unknown exchange type '%.*s'",
                           SLICE_ARG(name));
    return type->validate ? type->validate(type, args, why) : ERR_NONE;
}

const struct exchange_type exchange_delayed = {
    .name = "x-delayed-message",
    .text = "routes as the type in the argument x-delayed-type does; a message with the header "
            "x-delay first waits for that many milliseconds",
    .delays = true,
    .validate = delayed_validate,
    .acts_as = named,
};
