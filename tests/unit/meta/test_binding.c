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

/* --- many steps at random, against a model --- */

enum { ENDS = 5, STEPS = 6000 };

struct model {
    bool exchange[ENDS], auto_delete[ENDS], queue[ENDS];
    bool to_exchange[ENDS][ENDS], to_queue[ENDS][ENDS];
};

static unsigned random_below(uint64_t *state, unsigned n)
{
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(*state >> 33) % n;
}

static int bound_from(const struct model *m, unsigned x)
{
    int n = 0;
    for (unsigned i = 0; i < ENDS; i++)
        n += m->to_exchange[x][i] + m->to_queue[x][i];
    return n;
}

static void model_delete_exchange(struct model *m, unsigned x)
{
    m->exchange[x] = false;
    for (unsigned i = 0; i < ENDS; i++) {
        m->to_exchange[x][i] = m->to_queue[x][i] = false;
        bool lost = i != x && m->to_exchange[i][x];
        m->to_exchange[i][x] = false;
        if (lost && m->auto_delete[i] && !bound_from(m, i))
            model_delete_exchange(m, i);
    }
}

static void model_unbind(struct model *m, bool *binding, unsigned x)
{
    bool lost = *binding;
    *binding = false;
    if (lost && m->auto_delete[x] && !bound_from(m, x))
        model_delete_exchange(m, x);
}

static void compare(struct world *w, const struct model *m)
{
    char name[4];
    int bindings = 0;
    for (unsigned i = 0; i < ENDS; i++) {
        snprintf(name, sizeof name, "x%u", i);
        cr_assert_eq(has_exchange(w, name), m->exchange[i], "%s", name);
        name[0] = 'q';
        cr_assert_eq(has_queue(w, name), m->queue[i], "%s", name);
        bindings += bound_from(m, i);
    }
    cr_assert_eq(world_bindings, bindings * WORLD_SHARDS);
}

static void step(struct world *w, struct model *m, uint64_t *state)
{
    char x[4], other[4];
    unsigned i = random_below(state, ENDS), k = random_below(state, ENDS);
    bool flag = random_below(state, 2);
    snprintf(x, sizeof x, "x%u", i);
    snprintf(other, sizeof other, "%c%u", flag ? 'x' : 'q', k);
    bool *binding = flag ? &m->to_exchange[i][k] : &m->to_queue[i][k];
    unsigned kind = flag ? META_TO_EXCHANGE : 0;
    switch (random_below(state, 12)) {
    case 0:
        if (!m->exchange[i]) {
            must(do_exchange(w, x, "direct", flag ? META_AUTO_DELETE : 0, ""));
            m->exchange[i] = true;
            m->auto_delete[i] = flag;
        }
        break;
    case 1:
        must(do_delete_exchange(w, x, 0));
        model_delete_exchange(m, i);
        break;
    case 2:
    case 3:
        x[0] = 'q';
        must(do_queue(w, x, 0, ""));
        m->queue[i] = true;
        break;
    case 4:
        x[0] = 'q';
        if (m->queue[i])
            must(do_delete_queue(w, x));
        m->queue[i] = false;
        for (unsigned s = 0; s < ENDS; s++)
            model_unbind(m, &m->to_queue[s][i], s);
        break;
    case 5:
    case 6:
        must(do_unbind(w, x, other, "k", kind, ""));
        model_unbind(m, binding, i);
        break;
    default:
        if (m->exchange[i] && (flag ? m->exchange[k] : m->queue[k])) {
            must(do_bind(w, x, other, "k", kind, ""));
            *binding = true;
        }
    }
}

UNIT(binding, random_steps_agree_with_a_model)
{
    struct world *w = world_new();
    struct model m = {0};
    uint64_t state = 20;
    for (int n = 0; n < STEPS; n++) {
        step(w, &m, &state);
        compare(w, &m);
    }
    world_free(&w);
}
