/* The kinds of lists, and how each object is shown; names and forms are those of RabbitMQ's API. */
#ifndef HTTP_KIND_H
#define HTTP_KIND_H

#include "http/list.h"

/* ---- kind_live.c ---- */
extern const struct list_kind kind_queues; /* text: the name of one */
extern const struct list_kind kind_queue_details;
extern const struct list_kind kind_connections; /* text: the name of one; text2: of a user */
extern const struct list_kind kind_channels;    /* text: the name of one; text2: of a connection */
extern const struct list_kind kind_channel_details;
extern const struct list_kind kind_consumers;

/* As another object shows the channel; nothing if it is gone, or not of that user. user NULL:
 * anybody's. */
void kind_put_channel(struct buf *out, struct shard *shard, struct addr channel, struct slice user);

/* ---- kind_definition.c ---- */
extern const struct list_kind kind_vhosts;            /* text: the name of one */
extern const struct list_kind kind_users;             /* text: the same */
extern const struct list_kind kind_users_without;     /* permissions */
extern const struct list_kind kind_permissions;       /* text: of a user */
extern const struct list_kind kind_topic_permissions; /* text: the same */
extern const struct list_kind kind_exchanges;         /* text: the name of one */
extern const struct list_kind kind_exchange_details;
/* text: source, text2: destination, text3: e or q, then the properties_key; NULL: any */
extern const struct list_kind kind_bindings;
extern const struct list_kind kind_explicit_bindings; /* the default exchange's left out */
extern const struct list_kind kind_policies;          /* text: the name of one */
extern const struct list_kind kind_operator_policies; /* the same */
extern const struct list_kind kind_parameters;        /* text: component, text2: name */
extern const struct list_kind kind_global_parameters; /* text: the name of one */
extern const struct list_kind kind_vhost_limits;
extern const struct list_kind kind_user_limits; /* text: of a user */

/* Whether the objects belong to virtual hosts. */
bool kind_in_vhost(enum meta_noun noun);
/* What names a binding among those of the same two ends: routing key, and a hash of the arguments
 * if it has any. */
void kind_put_properties_key(struct buf *out, struct slice key, struct slice args);

#endif
