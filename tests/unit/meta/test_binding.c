/* Bindings: identity, missing ends, order of the checks. */
#include "unit.h"
#include "world.h"

UNIT(binding, missing_ends)
{
    struct world *w = world_new();
    must(do_queue(w, "q1", 0, ""));
    wont(do_bind(w, "nosuch", "q1", "k", 0, ""), ERR_NOT_FOUND,
         "no exchange 'nosuch' in vhost '/'");
    wont(do_bind(w, "amq.direct", "nosuch", "k", 0, ""), ERR_NOT_FOUND,
         "no queue 'nosuch' in vhost '/'");
    wont(do_bind(w, "nosuchx", "nosuchq", "k", 0, ""), ERR_NOT_FOUND,
         "no exchange 'nosuchx' in vhost '/'");
    wont(do_bind(w, "", "q1", "k", 0, ""), ERR_ACCESS_REFUSED,
         "operation not permitted on the default exchange");
    wont(do_unbind(w, "", "q1", "k", 0, ""), ERR_ACCESS_REFUSED,
         "operation not permitted on the default exchange");
    wont(do_bind(w, "amq.direct", "", "k", META_TO_EXCHANGE, ""), ERR_ACCESS_REFUSED,
         "operation not permitted on the default exchange");
    wont(do_bind(w, "amq.direct", "nosuch", "k", META_TO_EXCHANGE, ""), ERR_NOT_FOUND,
         "no exchange 'nosuch' in vhost '/'");
    wont(do_bind(w, "amq.direct", "q1", "bad", 0, ""), ERR_PRECONDITION_FAILED, "a bad key");
    must(do_unbind(w, "nosuchx", "nosuchq", "k", 0, ""));
    must(do_unbind(w, "amq.direct", "q1", "zz", 0, ""));
    cr_expect_eq(world_bindings, 0);
    world_free(&w);
}

UNIT(binding, identity)
{
    struct world *w = world_new();
    must(do_queue(w, "q", 0, ""));
    must(do_exchange(w, "q", "fanout", 0, ""));
    must(do_bind(w, "amq.direct", "q", "k", 0, "b:I=1 a:S=x c:t=true"));
    cr_expect(w->created);
    must(do_bind(w, "amq.direct", "q", "k", 0, "c:t=true a:S=x b:I=1"));
    cr_expect(!w->created);
    must(do_bind(w, "amq.direct", "q", "k", 0, "c:t=true a:S=x b:I=2"));
    must(do_bind(w, "amq.direct", "q", "k", 0, ""));
    must(do_bind(w, "amq.direct", "q", "k2", 0, ""));
    must(do_bind(w, "amq.fanout", "q", "k", 0, ""));
    must(do_bind(w, "amq.direct", "q", "k", META_TO_EXCHANGE, ""));
    cr_expect_eq(world_bindings, 6 * WORLD_SHARDS);
    must(do_unbind(w, "amq.direct", "q", "k", 0, "a:S=x b:I=1 c:t=true"));
    must(do_unbind(w, "amq.direct", "q", "k", 0, "a:S=x b:I=1 c:t=true"));
    cr_expect_eq(world_bindings, 5 * WORLD_SHARDS);
    must(do_unbind(w, "amq.direct", "q", "k", META_TO_EXCHANGE, ""));
    must(do_delete_queue(w, "q"));
    cr_expect_eq(world_bindings, 0);
    world_free(&w);
}

UNIT(binding, rights)
{
    struct world *w = world_new();
    must(do_user(w, "u", "pw", "", 0));
    must(do_permission(w, "u", "^(a.*|amq\\.gen.*)$", "^a|amq\\.default", "^a"));
    must(do_topic_permission(w, "u", "amq.topic", "^w", "^{username}-{vhost}\\.x"));
    must(do_queue(w, "a1", 0, ""));
    w->user = "u";
    wont(do_bind(w, "nosuch", "foo", "k", 0, ""), ERR_ACCESS_REFUSED,
         "access to queue 'foo' in vhost '/' refused for user 'u'");
    wont(do_bind(w, "xnosuch", "a1", "k", 0, ""), ERR_ACCESS_REFUSED,
         "access to exchange 'xnosuch' in vhost '/' refused for user 'u'");
    wont(do_bind(w, "", "a1", "k", 0, ""), ERR_ACCESS_REFUSED,
         "operation not permitted on the default exchange");
    wont(do_bind(w, "amq.topic", "a1", "k", 0, ""), ERR_ACCESS_REFUSED,
         "access to topic 'k' in exchange 'amq.topic' in vhost '/' refused for user 'u'");
    wont(do_unbind(w, "amq.topic", "a1", "k", 0, ""), ERR_ACCESS_REFUSED,
         "access to topic 'k' in exchange 'amq.topic' in vhost '/' refused for user 'u'");
    must(do_bind(w, "amq.topic", "a1", "u-/.x", 0, ""));
    must(do_bind(w, "amq.direct", "a1", "k", 0, ""));
    world_free(&w);
}

UNIT(binding, many_are_dropped_with_their_queue)
{
    enum { N = 2000 };
    struct world *w = world_new();
    char key[16];
    must(do_queue(w, "q", 0, ""));
    must(do_queue(w, "r", 0, ""));
    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof key, "k%d", i);
        must(do_bind(w, i % 2 ? "amq.direct" : "amq.topic", "q", key, 0, ""));
        must(do_bind(w, "amq.direct", "r", key, 0, ""));
    }
    cr_expect_eq(world_bindings, 2 * N * WORLD_SHARDS);
    must(do_delete_queue(w, "q"));
    cr_expect_eq(world_bindings, N * WORLD_SHARDS);
    cr_expect_eq(count(w, META_BINDINGS), N + 1);
    struct meta_request *rq = request(w, META_VHOST_DELETE, 0);
    meta_request_set(&rq->name, SLICE("/"));
    must(do_request(w, rq));
    cr_expect_eq(world_bindings, 0);
    world_free(&w);
}
