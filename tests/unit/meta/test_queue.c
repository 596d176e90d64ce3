/* Declaring and deleting queues: texts as RabbitMQ 3.10.8 gives them. */
#include "unit.h"
#include "world.h"

#define LOCKED(queue)                                                                         \
    "cannot obtain exclusive access to locked queue '" queue                                  \
    "' in vhost '/'. It could be originally declared on another connection or the exclusive " \
    "property value does not match that of the original declaration."

UNIT(queue, declare_and_redeclare)
{
    struct world *w = world_new();
    must(do_queue(w, "q", META_DURABLE, ""));
    cr_expect(w->created);
    cr_expect(has_queue(w, "q"));
    struct addr first = w->addr;
    must(do_queue(w, "q", META_DURABLE, ""));
    cr_expect(!w->created);
    cr_expect(addr_eq(first, w->addr));
    must(do_queue(w, "q", META_PASSIVE, ""));
    cr_expect(addr_eq(first, w->addr));
    wont(do_queue(w, "nope", META_PASSIVE, ""), ERR_NOT_FOUND, "no queue 'nope' in vhost '/'");
    wont(do_queue(w, "", META_PASSIVE, ""), ERR_NOT_FOUND, "no queue '' in vhost '/'");
    must(do_queue(w, "a\r\nb", 0, ""));
    cr_expect(has_queue(w, "ab"));
    cr_expect_eq(count(w, META_QUEUES), 2);
    world_free(&w);
    cr_expect_eq(world_queues_made, 2);
}

UNIT(queue, inequivalent)
{
    struct world *w = world_new();
    must(do_queue(w, "q1", 0, ""));
    wont(do_queue(w, "q1", META_DURABLE, ""), ERR_PRECONDITION_FAILED,
         "inequivalent arg 'durable' for queue 'q1' in vhost '/': received 'true' but current is "
         "'false'");
    wont(do_queue(w, "q1", META_AUTO_DELETE, ""), ERR_PRECONDITION_FAILED,
         "inequivalent arg 'auto_delete' for queue 'q1' in vhost '/': received 'true' but current "
         "is 'false'");
    wont(do_queue(w, "q1", META_EXCLUSIVE, ""), ERR_RESOURCE_LOCKED, LOCKED("q1"));
    must(do_queue(w, "qe", 0, "x-max-length:I=1"));
    static const struct {
        const char *args, *text;
    } cases[] = {
        {"x-max-length:I=2", "inequivalent arg 'x-max-length' for queue 'qe' in vhost '/': "
                             "received '2' but current is '1'"},
        {"x-max-length:S=1", "inequivalent arg 'x-max-length' for queue 'qe' in vhost '/': "
                             "received '1' but current is '1'"},
        {"", "inequivalent arg 'x-max-length' for queue 'qe' in vhost '/': received none but "
             "current is the value '1' of type 'signedint'"},
        {"x-max-length:I=1 x-queue-type:S=quorum",
         "inequivalent arg 'x-queue-type' for queue 'qe' in vhost '/': received the value "
         "'quorum' of type 'longstr' but current is none"},
        {"x-max-length:I=1 x-dead-letter-exchange:S=a",
         "inequivalent arg 'x-dead-letter-exchange' for queue 'qe' in vhost '/': received the "
         "value 'a' of type 'longstr' but current is none"},
        {"x-max-length:I=1 x-max-priority:I=500",
         "inequivalent arg 'x-max-priority' for queue 'qe' in vhost '/': received the value "
         "'500' of type 'signedint' but current is none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        wont(do_queue(w, "qe", 0, cases[i].args), ERR_PRECONDITION_FAILED, cases[i].text);
    must(do_queue(w, "qe", 0, "x-max-length:l=1 foo:I=1 x-queue-type:S=classic"));
    world_free(&w);
}

UNIT(queue, names)
{
    struct world *w = world_new();
    must(do_user(w, "u", "pw", "", 0));
    must(do_permission(w, "u", ".*", ".*", ".*"));
    w->user = "u";
    wont(do_queue(w, "amq.foo", 0, ""), ERR_ACCESS_REFUSED,
         "queue name 'amq.foo' contains reserved prefix 'amq.*'");
    must(do_queue(w, "", 0, ""));
    struct slice name = buf_slice(&w->name);
    cr_expect_eq(name.len, 30);
    cr_expect(slice_starts(name, SLICE("amq.gen-")));
    struct vhost *vhost = routing_find_vhost(routing_of(node_shard(w->node, 1)), SLICE("/"));
    const struct queue_def *def = vhost_find_queue(vhost, name)->def;
    char text[100];
    snprintf(text, sizeof text, "queue name '%.*s' contains reserved prefix 'amq.*'",
             SLICE_ARG(name));
    wont(meta_check_queue(def, 0, SLICE_EMPTY, 0, &w->why), ERR_ACCESS_REFUSED, text);
    cr_expect_eq(meta_check_queue(def, META_PASSIVE, SLICE_EMPTY, 0, &w->why), ERR_NONE);
    wont(do_queue(w, "", META_DURABLE, "x-queue-type:S=quorum"), ERR_PRECONDITION_FAILED,
         "Cannot declare a server-named queue for type rabbit_quorum_queue");
    world_free(&w);
}

UNIT(queue, exclusive)
{
    struct world *w = world_new();
    w->connection = 1;
    must(do_queue(w, "qx", META_EXCLUSIVE | META_DURABLE, ""));
    must(do_queue(w, "qx", META_EXCLUSIVE, ""));
    wont(do_queue(w, "qx", 0, ""), ERR_RESOURCE_LOCKED, LOCKED("qx"));
    must(do_queue(w, "qx", META_PASSIVE, ""));
    must(do_queue(w, "qy", META_EXCLUSIVE, ""));
    must(do_user(w, "u", "pw", "", 0));
    must(do_permission(w, "u", ".*", ".*", ".*"));
    w->user = "u";
    w->connection = 2;
    wont(do_queue(w, "qx", META_PASSIVE, ""), ERR_RESOURCE_LOCKED, LOCKED("qx"));
    wont(do_queue(w, "qx", META_EXCLUSIVE, ""), ERR_RESOURCE_LOCKED, LOCKED("qx"));
    wont(do_queue(w, "qx", 0, ""), ERR_RESOURCE_LOCKED, LOCKED("qx"));
    wont(do_bind(w, "amq.direct", "qx", "k", 0, ""), ERR_RESOURCE_LOCKED, LOCKED("qx"));
    must(do_unbind(w, "amq.direct", "qx", "k", 0, ""));
    w->connection = 1;
    must(do_bind(w, "amq.direct", "qx", "k", 0, ""));
    w->connection = 2;
    wont(do_unbind(w, "amq.direct", "qx", "k", 0, ""), ERR_RESOURCE_LOCKED, LOCKED("qx"));
    must(do_queue(w, "mine", META_EXCLUSIVE, ""));
    must(do_request(w, request(w, META_CONNECTION_DOWN, 0)));
    cr_expect(!has_queue(w, "mine"));
    w->connection = 1;
    must(do_request(w, request(w, META_CONNECTION_DOWN, 0)));
    cr_expect(!has_queue(w, "qx") && !has_queue(w, "qy"));
    cr_expect_eq(world_bindings, 0);
    must(do_request(w, request(w, META_CONNECTION_DOWN, 0)));
    world_free(&w);
}

UNIT(queue, properties_of_types)
{
    struct world *w = world_new();
    w->connection = 1;
    wont(do_queue(w, "qq", 0, "x-queue-type:S=quorum"), ERR_PRECONDITION_FAILED,
         "invalid property 'non-durable' for queue 'qq' in vhost '/'");
    wont(do_queue(w, "qq", META_DURABLE | META_EXCLUSIVE, "x-queue-type:S=stream"),
         ERR_PRECONDITION_FAILED, "invalid property 'exclusive-owner' for queue 'qq' in vhost '/'");
    wont(do_queue(w, "qq", META_DURABLE | META_AUTO_DELETE, "x-queue-type:S=quorum"),
         ERR_PRECONDITION_FAILED, "invalid property 'auto-delete' for queue 'qq' in vhost '/'");
    wont(do_queue(w, "qq", META_DURABLE,
                  "x-queue-type:S=stream x-stream-max-segment-size-bytes:l=4000000000"),
         ERR_PRECONDITION_FAILED, "Exceeded max value for x-stream-max-segment-size-bytes");
    wont(do_queue(w, "qq", META_DURABLE, "x-queue-type:S=stream x-stream-filter-size-bytes:l=256"),
         ERR_PRECONDITION_FAILED, "Invalid value for  x-stream-filter-size-bytes");
    must(do_queue(w, "s", META_DURABLE,
                  "x-queue-type:S=stream x-stream-filter-size-bytes:l=255 x-max-age:S=7D"));
    must(do_queue(w, "qq", META_DURABLE, "x-queue-type:S=quorum"));
    must(do_queue(w, "sac", 0, "x-single-active-consumer:t=true"));
    world_free(&w);
}

UNIT(queue, default_type_of_vhost)
{
    struct world *w = world_new();
    struct meta_request *rq = request(w, META_VHOST_PUT, 0);
    meta_request_set(&rq->name, SLICE("/"));
    meta_request_set(&rq->queue_type, SLICE("quorum"));
    must(do_request(w, rq));
    must(do_queue(w, "q", META_DURABLE, ""));
    must(do_queue(w, "t", 0, ""));
    struct vhost *vhost = routing_find_vhost(routing_of(node_shard(w->node, 1)), SLICE("/"));
    cr_expect_eq(vhost_find_queue(vhost, SLICE("q"))->def->type, QUEUE_QUORUM);
    cr_expect_eq(vhost_find_queue(vhost, SLICE("t"))->def->type, QUEUE_CLASSIC);
    must(do_queue(w, "q", META_DURABLE, ""));
    must(do_queue(w, "q", META_DURABLE, "x-queue-type:S=quorum"));
    rq = request(w, META_VHOST_PUT, 0);
    meta_request_set(&rq->name, SLICE("/"));
    meta_request_set(&rq->queue_type, SLICE("heap"));
    wont(do_request(w, rq), ERR_PRECONDITION_FAILED, "unsupported queue type 'heap'");
    world_free(&w);
}

UNIT(queue, placement_and_addresses)
{
    struct world *w = world_new();
    unsigned on[WORLD_SHARDS] = {0};
    struct addr last = ADDR_NONE;
    char name[16];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "q%d", i);
        must(do_queue(w, name, 0, ""));
        on[w->addr.shard]++;
        last = w->addr;
    }
    cr_expect_eq(on[0], 50);
    cr_expect_eq(on[1], 50);
    must(do_delete_queue(w, "q99"));
    must(do_queue(w, "again", 0, ""));
    cr_expect_eq(w->addr.shard, last.shard);
    cr_expect(!addr_eq(w->addr, last));
    wont(do_delete_queue(w, "q99"), ERR_NOT_FOUND, "no queue 'q99' in vhost '/'");
    world_free(&w);
}

/* From a connection on the shard; returns the queue's. */
static unsigned home_of(struct world *w, const char *name, unsigned shard)
{
    struct meta_request *rq = request(w, META_QUEUE_DECLARE, 0);
    rq->reply_to = (struct addr){.slot = 4712, .gen = 1, .shard = (uint8_t)shard};
    meta_request_set_name(&rq->name, slice_str(name));
    must(do_request(w, rq));
    return w->addr.shard;
}

UNIT(queue, lives_where_it_is_declared)
{
    struct world *w = world_new();
    unsigned on[WORLD_SHARDS] = {0};
    char name[16];
    cr_expect_eq(home_of(w, "first", 1), 1);
    cr_expect_eq(home_of(w, "second", 1), 0);
    cr_expect_eq(home_of(w, "third", 0), 0);
    cr_expect_eq(home_of(w, "fourth", 0), 1);
    for (int i = 4; i < 104; i++) {
        snprintf(name, sizeof name, "q%d", i);
        on[home_of(w, name, 1)]++;
    }
    cr_expect_geq(on[1], 51);
    cr_expect_leq(on[1], 55);
    world_free(&w);
}

UNIT(queue, without_vhost)
{
    struct world *w = world_new();
    struct meta_request *rq = request(w, META_QUEUE_DECLARE, 0);
    meta_request_set(&rq->vhost, SLICE("none"));
    meta_request_set(&rq->name, SLICE("q"));
    wont(do_request(w, rq), ERR_NOT_FOUND, "Virtual host \"none\" does not exist");
    world_free(&w);
}
