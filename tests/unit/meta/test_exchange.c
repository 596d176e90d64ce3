/* Exchanges: texts as RabbitMQ 3.10.8 gives them, auto-delete, alternates. */
#include "unit.h"
#include "world.h"

UNIT(exchange, predeclared)
{
    struct world *w = world_new();
    static const char *const names[] = {
        "",          "amq.direct",  "amq.fanout",        "amq.topic",
        "amq.match", "amq.headers", "amq.rabbitmq.trace"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        cr_expect(has_exchange(w, names[i]), "%s", names[i]);
    cr_expect_eq(count(w, META_EXCHANGES), 7);
    must(do_user(w, "u", "pw", "", 0));
    must(do_permission(w, "u", ".*", ".*", ".*"));
    w->user = "u";
    must(do_exchange(w, "amq.direct", "direct", META_DURABLE, ""));
    wont(do_exchange(w, "amq.direct", "direct", 0, ""), ERR_PRECONDITION_FAILED,
         "inequivalent arg 'durable' for exchange 'amq.direct' in vhost '/': received 'false' but "
         "current is 'true'");
    wont(do_exchange(w, "amq.direct", "fanout", META_DURABLE, ""), ERR_PRECONDITION_FAILED,
         "inequivalent arg 'type' for exchange 'amq.direct' in vhost '/': received 'fanout' but "
         "current is 'direct'");
    wont(do_exchange(w, "amq.foo", "direct", 0, ""), ERR_ACCESS_REFUSED,
         "exchange name 'amq.foo' contains reserved prefix 'amq.*'");
    wont(do_exchange(w, "", "direct", META_DURABLE, ""), ERR_ACCESS_REFUSED,
         "operation not permitted on the default exchange");
    wont(do_exchange(w, "", "direct", META_PASSIVE, ""), ERR_ACCESS_REFUSED,
         "operation not permitted on the default exchange");
    wont(do_delete_exchange(w, "", 0), ERR_ACCESS_REFUSED,
         "operation not permitted on the default exchange");
    wont(do_delete_exchange(w, "amq.direct", 0), ERR_ACCESS_REFUSED,
         "deletion of system exchange 'amq.direct' in vhost '/' not allowed");
    wont(do_delete_exchange(w, "amq.nosuch", 0), ERR_ACCESS_REFUSED,
         "deletion of system exchange 'amq.nosuch' in vhost '/' not allowed");
    world_free(&w);
}

UNIT(exchange, declare)
{
    struct world *w = world_new();
    must(do_delete_exchange(w, "nosuch", 0));
    wont(do_exchange(w, "nosuch", "direct", META_PASSIVE, ""), ERR_NOT_FOUND,
         "no exchange 'nosuch' in vhost '/'");
    wont(do_exchange(w, "xx", "nosuchtype", 0, ""), ERR_COMMAND_INVALID,
         "unknown exchange type 'nosuchtype'");
    must(do_exchange(w, "amq.direct", "nosuchtype", META_PASSIVE, ""));
    must(do_exchange(w, "x1", "direct", 0, ""));
    cr_expect(w->created);
    must(do_exchange(w, "x1", "direct", 0, "foo:I=1"));
    cr_expect(!w->created);
    static const struct {
        const char *type, *args, *text;
        unsigned flags;
    } cases[] = {
        {"direct", "",
         "inequivalent arg 'durable' for exchange 'x1' in vhost '/': received 'true' but current "
         "is 'false'",
         META_DURABLE},
        {"direct", "",
         "inequivalent arg 'auto_delete' for exchange 'x1' in vhost '/': received 'true' but "
         "current is 'false'",
         META_AUTO_DELETE},
        {"direct", "",
         "inequivalent arg 'internal' for exchange 'x1' in vhost '/': received 'true' but current "
         "is 'false'",
         META_INTERNAL},
        {"topic", "",
         "inequivalent arg 'type' for exchange 'x1' in vhost '/': received 'topic' but current is "
         "'direct'",
         0},
        {"direct", "alternate-exchange:S=foo",
         "inequivalent arg 'alternate-exchange' for exchange 'x1' in vhost '/': received the value "
         "'foo' of type 'longstr' but current is none",
         0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        wont(do_exchange(w, "x1", cases[i].type, cases[i].flags, cases[i].args),
             ERR_PRECONDITION_FAILED, cases[i].text);
    must(do_exchange(w, "x\r\n2", "fanout", 0, ""));
    cr_expect(has_exchange(w, "x2"));
    w->user = "nobody";
    wont(do_exchange(w, "h", "hidden", 0, ""), ERR_COMMAND_INVALID,
         "unknown exchange type 'hidden'");
    world_free(&w);
}

UNIT(exchange, alternate)
{
    struct world *w = world_new();
    must(do_exchange(w, "x2", "direct", 0, "alternate-exchange:S=foo"));
    wont(do_exchange(w, "x2", "direct", 0, "alternate-exchange:S=bar"), ERR_PRECONDITION_FAILED,
         "inequivalent arg 'alternate-exchange' for exchange 'x2' in vhost '/': received 'bar' but "
         "current is 'foo'");
    wont(do_exchange(w, "x2", "direct", 0, ""), ERR_PRECONDITION_FAILED,
         "inequivalent arg 'alternate-exchange' for exchange 'x2' in vhost '/': received none but "
         "current is the value 'foo' of type 'longstr'");
    wont(do_exchange(w, "x2", "direct", 0, "alternate-exchange:I=5"), ERR_PRECONDITION_FAILED,
         "inequivalent arg 'alternate-exchange' for exchange 'x2' in vhost '/': received '5' but "
         "current is 'foo'");
    wont(do_exchange(w, "x3", "direct", 0, "alternate-exchange:I=5"), ERR_PRECONDITION_FAILED,
         "invalid type 'signedint' for arg 'alternate-exchange' in exchange 'x3' in vhost '/'");
    struct vhost *vhost = routing_find_vhost(routing_of(node_shard(w->node, 1)), SLICE("/"));
    struct exchange *x = vhost_find_exchange(vhost, SLICE("x2"));
    cr_expect_null(exchange_find_alternate(x));
    must(do_exchange(w, "foo", "fanout", 0, ""));
    cr_expect_eq(exchange_find_alternate(x), vhost_find_exchange(vhost, SLICE("foo")));
    cr_expect_null(exchange_find_alternate(vhost_find_exchange(vhost, SLICE("foo"))));
    world_free(&w);
}

UNIT(exchange, auto_delete)
{
    struct world *w = world_new();
    unsigned e2e = META_TO_EXCHANGE;
    must(do_queue(w, "q", 0, ""));
    must(do_exchange(w, "a", "fanout", META_AUTO_DELETE, ""));
    must(do_exchange(w, "b", "fanout", META_AUTO_DELETE, ""));
    must(do_exchange(w, "c", "fanout", META_AUTO_DELETE, ""));
    must(do_exchange(w, "unused", "fanout", META_AUTO_DELETE, ""));
    must(do_bind(w, "a", "b", "", e2e, ""));
    must(do_bind(w, "b", "c", "", e2e, ""));
    must(do_bind(w, "c", "q", "1", 0, ""));
    must(do_bind(w, "c", "q", "2", 0, ""));
    must(do_unbind(w, "c", "q", "1", 0, ""));
    cr_expect(has_exchange(w, "c"));
    must(do_unbind(w, "c", "q", "2", 0, ""));
    cr_expect(!has_exchange(w, "a") && !has_exchange(w, "b") && !has_exchange(w, "c"));
    cr_expect(has_exchange(w, "unused"));
    cr_expect_eq(world_bindings, 0);
    must(do_exchange(w, "c", "fanout", META_AUTO_DELETE, ""));
    must(do_exchange(w, "d", "fanout", META_AUTO_DELETE, ""));
    must(do_bind(w, "d", "c", "", e2e, ""));
    must(do_bind(w, "c", "q", "1", 0, ""));
    must(do_bind(w, "c", "q", "2", 0, ""));
    must(do_delete_queue(w, "q"));
    cr_expect(!has_exchange(w, "c") && !has_exchange(w, "d"));
    world_free(&w);
}

UNIT(exchange, delete)
{
    struct world *w = world_new();
    must(do_queue(w, "q", 0, ""));
    must(do_exchange(w, "x1", "direct", 0, ""));
    must(do_exchange(w, "x2", "direct", 0, ""));
    must(do_bind(w, "x1", "q", "k", 0, ""));
    must(do_bind(w, "x1", "x1", "self", META_TO_EXCHANGE, ""));
    must(do_bind(w, "x1", "x2", "k", META_TO_EXCHANGE, ""));
    must(do_bind(w, "x2", "x1", "k", META_TO_EXCHANGE, ""));
    cr_expect_eq(count(w, META_BINDINGS), 1 + 4);
    wont(do_delete_exchange(w, "x1", META_IF_UNUSED), ERR_PRECONDITION_FAILED,
         "exchange 'x1' in vhost '/' in use");
    must(do_delete_exchange(w, "x1", 0));
    cr_expect_eq(count(w, META_BINDINGS), 1);
    cr_expect_eq(world_bindings, 0);
    must(do_delete_exchange(w, "x2", META_IF_UNUSED));
    world_free(&w);
}

UNIT(exchange, stamps)
{
    struct world *w = world_new();
    struct routing *routing = routing_of(node_shard(w->node, 0));
    uint32_t a = routing_next_stamp(routing), b = routing_next_stamp(routing);
    cr_expect_neq(a, 0);
    cr_expect_neq(a, b);
    struct vhost *vhost = routing_find_vhost(routing, SLICE("/"));
    struct exchange *x = vhost_find_exchange(vhost, SLICE("amq.topic"));
    cr_expect_eq(*exchange_stamp(x), 0);
    cr_expect_eq(exchange_vhost(x), vhost);
    cr_expect(slice_eq(vhost_name(vhost), SLICE("/")));
    world_free(&w);
}
