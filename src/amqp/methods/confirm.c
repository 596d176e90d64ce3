/* confirm.select. */
#include "amqp/channel_priv.h"

enum step on_confirm_select(struct channel *ch, const void *args)
{
    const struct amqp_confirm_select *in = args;
    if (!channel_is_idle(ch))
        return STEP_WAIT;
    if (ch->mode == MODE_TX)
        return channel_failf(ch, ERR_PRECONDITION_FAILED, "cannot switch from tx to confirm mode");
    ch->mode = MODE_CONFIRM;
    if (!in->nowait)
        channel_send(ch, AMQP_CONFIRM_SELECT_OK, &(struct amqp_confirm_select_ok){0});
    return STEP_DONE;
}
