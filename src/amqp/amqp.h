/* AMQP 0-9-1 as a protocol of a listener, and what all its connections share. */
#ifndef AMQP_AMQP_H
#define AMQP_AMQP_H

#include "net/listener.h"

/* Whether a header is put into what clients publish, and what becomes of one that is there. */
enum intercept { INTERCEPT_OFF, INTERCEPT_KEEP, INTERCEPT_OVERWRITE };

struct amqp_options {
    uint32_t channel_max;       /* 0: no limit but the protocol's */
    uint32_t frame_max;         /* bytes, 0: no limit */
    uint32_t initial_frame_max; /* until connection.open */
    uint32_t heartbeat_s;
    uint32_t handshake_timeout_ms;
    uint64_t max_message_size;
    uint64_t
        consumer_timeout_ms; /* for acknowledgements, unless the queue says otherwise; 0: none */
    struct {
        enum intercept timestamp, routing_node;
        bool sent_time; /* of what is delivered */
    } intercept;
    const char *const *mechanisms; /* in the order offered */
    size_t mechanism_count;
    const char *anonymous_user, *anonymous_pass; /* of ANONYMOUS; the user "": not offered */
    enum { LOGIN_BY_DN, LOGIN_BY_CN, LOGIN_BY_SAN } cert_login_from;
    enum peer_name cert_login_san; /* which, by LOGIN_BY_SAN */
    unsigned cert_login_san_index;
    const char *default_vhost;
    const char *node_name;
    const char *version;
};

/* Makes each shard's state; options are copied (the texts they point to must live on). */
void amqp_init(struct node *node, const struct amqp_options *options);
void amqp_fini(struct node *node);
/* Replaces the options for connections opened from now on; on shard 0, applied on all. */
void amqp_set_options(struct node *node, const struct amqp_options *options);
/* For listener_options.protocol. */
const struct protocol *amqp_protocol(void);

/* Closes every connection with 320 and calls done once the last is gone or timeout_ms passed. On
 * shard 0. */
void amqp_shutdown(struct node *node, const char *reason, unsigned timeout_ms,
                   void (*done)(void *arg), void *arg);
/* All shards; not exact while connections come and go. */
size_t amqp_connection_count(struct node *node);

#endif
