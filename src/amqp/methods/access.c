/* access.request: of the old days; every ticket is good. */
#include "amqp/channel_priv.h"

enum step on_access_request(struct channel *ch, const void *args)
{
    (void)args;
    if (!channel_is_idle(ch))
        return STEP_WAIT;
    channel_send(ch, AMQP_ACCESS_REQUEST_OK, &(struct amqp_access_request_ok){.ticket = 1});
    return STEP_DONE;
}
