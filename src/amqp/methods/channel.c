/* The methods of class channel on an open channel, and those of class connection, which no channel
 * may carry. */
#include "amqp/channel_priv.h"

enum step on_channel_open(struct channel *ch, const void *args)
{
    (void)args;
    return connection_failf(ch->connection, ch->method, ERR_CHANNEL_ERROR,
                            "second 'channel.open' seen");
}

/* The server never stops sending because a client asks it to: 540, as RabbitMQ. */
enum step on_channel_flow(struct channel *ch, const void *args)
{
    const struct amqp_channel_flow *in = args;
    if (!channel_is_idle(ch))
        return STEP_WAIT;
    if (!in->active)
        return connection_failf(ch->connection, ch->method, ERR_NOT_IMPLEMENTED, "active=false");
    channel_send(ch, AMQP_CHANNEL_FLOW_OK, &(struct amqp_channel_flow_ok){.active = true});
    return STEP_DONE;
}

enum step on_channel_flow_ok(struct channel *ch, const void *args)
{
    (void)args;
    return connection_failf(ch->connection, ch->method, ERR_COMMAND_INVALID,
                            "unimplemented method");
}

enum step on_channel_close(struct channel *ch, const void *args)
{
    (void)args;
    if (!channel_is_idle(ch))
        return STEP_WAIT;
    struct connection *c = ch->connection;
    unsigned number = ch->number;
    channel_free(ch);
    connection_send(c, number, AMQP_CHANNEL_CLOSE_OK, &(struct amqp_channel_close_ok){0});
    return STEP_DONE;
}

enum step on_channel_close_ok(struct channel *ch, const void *args)
{
    (void)args;
    return connection_failf(ch->connection, ch->method, ERR_COMMAND_INVALID,
                            "unimplemented method");
}

#define REFUSED_ON_CHANNELS(X) \
    X(connection_start_ok)     \
    X(connection_secure_ok)    \
    X(connection_tune_ok)      \
    X(connection_open)         \
    X(connection_close)        \
    X(connection_close_ok)     \
    X(connection_update_secret)

#define X(name)                                                                  \
    enum step on_##name(struct channel *ch, const void *args)                    \
    {                                                                            \
        (void)args;                                                              \
        return connection_failf(ch->connection, ch->method, ERR_COMMAND_INVALID, \
                                "unimplemented method");                         \
    }
REFUSED_ON_CHANNELS(X)
#undef X
