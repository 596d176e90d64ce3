/* x-recent-history: a fanout exchange whose line keeps the last messages; what is bound later gets
 * those first (broker/history.c). The type itself holds nothing: fanout acts. */
#include "base/table.h"
#include "broker/exchange/exchange.h"

static enum err recent_history_validate(const struct exchange_type *self, struct slice args,
                                        struct failure *why)
{
    (void)self;
    struct table_value value;
    if (!table_find(args, SLICE("x-recent-history-length"), &value) ||
        (table_is_int(value.type) && value.integer > 0))
        return ERR_NONE;
    struct buf text = BUF_INIT;
    table_value_print_quoted(&value, &text);
    enum err err = failure_set(why, ERR_PRECONDITION_FAILED,
                               "Invalid argument %.*s, 'x-recent-history-length' must be a "
                               "positive integer",
                               SLICE_ARG(buf_slice(&text)));
    buf_fini(&text);
    return err;
}

static const struct exchange_type *fanout(struct slice args)
{
    (void)args;
    return &exchange_fanout;
}

const struct exchange_type exchange_recent_history = {
    .name = "x-recent-history",
    .text = "as fanout, and what is bound later gets the last x-recent-history-length messages, 20 "
            "if not given, but for those with the header x-recent-history-no-store",
    .recalls = true,
    .validate = recent_history_validate,
    .acts_as = fanout,
};
