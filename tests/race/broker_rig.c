/* The steps of the daemon's boot that concern the broker, in the same order. */
#include "broker_rig.h"

#include "base/bug.h"
#include "broker/broker.h"
#include "broker/exchange/exchange.h"
#include "meta/meta.h"

#include <stdlib.h>
#include <string.h>

static struct op_kind kinds[OP_END]; /* the node keeps a pointer to its table */

static void make_kinds(void)
{
    if (kinds[NET_OP_ACCEPT].label)
        return;
    kinds[NET_OP_ACCEPT] = (struct op_kind){"listener -> shard: accepted", net_op_accept_release};
    memcpy(&kinds[OP_FIRST], broker_op_kinds(), (OP_END - OP_FIRST) * sizeof *kinds);
    exchange_types_register();
}

static struct meta_request *trusted(enum meta_verb verb)
{
    struct meta_request *r = meta_request_new(verb, ADDR_NONE);
    r->flags = META_TRUSTED;
    meta_request_set(&r->vhost, SLICE("/"));
    meta_request_set(&r->name, SLICE("guest"));
    return r;
}

static void make_guest(struct node *node)
{
    struct meta_request *r = trusted(META_USER_PUT);
    meta_request_set(&r->key, SLICE("guest"));
    bug_on(meta_apply(node, r) != ERR_NONE);
    meta_request_free(&r);
    r = trusted(META_PERMISSION_SET);
    meta_request_set(&r->configure, SLICE(".*"));
    meta_request_set(&r->write, SLICE(".*"));
    meta_request_set(&r->read, SLICE(".*"));
    bug_on(meta_apply(node, r) != ERR_NONE);
    meta_request_free(&r);
}

struct amqp_options broker_rig_options(void)
{
    static const char *const mechanisms[] = {"PLAIN", "AMQPLAIN"};
    return (struct amqp_options){.channel_max = 2047,
                                 .frame_max = 131072,
                                 .initial_frame_max = 8192,
                                 .handshake_timeout_ms = 60000,
                                 .max_message_size = 1024 * 1024,
                                 .mechanisms = mechanisms,
                                 .anonymous_user = "",
                                 .anonymous_pass = "",
                                 .mechanism_count = 2,
                                 .default_vhost = "/",
                                 .node_name = "rig",
                                 .version = "0"};
}

struct node *broker_rig_new(unsigned shards, const struct amqp_options *options)
{
    make_kinds();
    struct node_options o = {
        .shards = shards, .gather_ns = 100 * 1000, .ops = kinds, .op_count = OP_END};
    struct node *node = node_new(&o);
    struct meta_options meta = {.default_vhost = "/", .node_name = "rig"};
    meta_init(node, &meta);
    node_each_shard(node, broker_init, NULL);
    for (unsigned i = 0; i < shards; i++)
        meta_set_queue_maker(node, i, broker_addr(node, i));
    amqp_init(node, options);
    node_each_shard(node, net_init, NULL);
    make_guest(node);
    return node;
}

int broker_rig_listen(struct node *node)
{
    struct listener_options o = {.address = "127.0.0.1:0", .protocol = amqp_protocol()};
    struct listener *l;
    bug_on(listener_open(node, &o, &l, NULL) != ERR_NONE);
    return (int)strtol(strrchr(listener_address(l), ':') + 1, NULL, 10);
}

void broker_rig_free(struct node **node)
{
    node_drop_ops(*node);
    node_each_shard(*node, net_fini, NULL);
    amqp_fini(*node);
    node_each_shard(*node, broker_fini, NULL);
    meta_fini(*node);
    node_free(node);
}
