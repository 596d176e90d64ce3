/* What listeners are called and how they are shown. Shard 0. */
#ifndef ADMIN_LISTENERS_H
#define ADMIN_LISTENERS_H

#include "base/buf.h"
#include "net/listener.h"

struct listener_facts {
    struct slice host; /* "127.0.0.1", "[::]", "unix:/path" */
    unsigned port;     /* 0: of a unix socket */
    char protocol[32]; /* "amqp", "amqp/ssl", "http", "https" */
    const char *purpose;
};
struct listener_facts listener_facts(const struct listener *listener);
/* The name of a protocol as listeners have it: "AMQPS" is amqp/ssl. */
const char *listener_protocol_of(const char *name, char room[32]);
/* {"interface":"127.0.0.1","node":"jackalope@host","port":5672,"protocol":"amqp","purpose":"..."}
 */
void listener_put_json(struct buf *out, const struct listener *listener);
/* All of them: [{...},...] */
void listeners_put_json(struct buf *out, struct node *node);

#endif
