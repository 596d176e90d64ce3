/* Policies, operator policies, parameters, limits: checked, matched, merged. */
#include "unit.h"
#include "world.h"

#include "base/json.h"
#include "meta/policy.h"
#include "meta/routing.h"

static struct meta_request *policy(struct world *w, unsigned flags, const char *name,
                                   const char *pattern, const char *apply_to)
{
    struct meta_request *rq = request(w, META_POLICY_SET, flags);
    meta_request_set(&rq->name, slice_str(name));
    meta_request_set(&rq->pattern, slice_str(pattern));
    if (apply_to)
        meta_request_set(&rq->apply_to, slice_str(apply_to));
    return rq;
}

static void define(struct meta_request *rq, const char *definition)
{
    struct buf value = BUF_INIT;
    table_put_table(&value, SLICE("value"), args_of(definition));
    meta_request_set(&rq->args, buf_slice(&value));
    buf_fini(&value);
}

static enum err do_policy(struct world *w, unsigned flags, const char *name, const char *pattern,
                          int64_t priority, const char *apply_to, const char *definition)
{
    struct meta_request *rq = policy(w, flags, name, pattern, apply_to);
    rq->priority = priority;
    define(rq, definition);
    return do_request(w, rq);
}

static enum err clear_policy(struct world *w, unsigned flags, const char *name)
{
    struct meta_request *rq = request(w, META_POLICY_CLEAR, flags);
    meta_request_set(&rq->name, slice_str(name));
    return do_request(w, rq);
}

static const char *effective_of(struct world *w, const char *queue)
{
    static struct buf text;
    struct routing *routing = routing_of(node_shard(w->node, 1));
    struct vhost *vhost = routing_find_vhost(routing, SLICE("/"));
    struct buf merged = BUF_INIT;
    struct applied a = routing_match_queue(routing, vhost_find_queue(vhost, slice_str(queue))->def);
    policy_put_effective(&a, &merged);
    struct table_value value = {.type = TABLE_TABLE, .bytes = buf_slice(&merged)};
    buf_clear(&text);
    buf_printf(&text, "%.*s %.*s ", SLICE_ARG(a.policy ? a.policy->name : SLICE("-")),
               SLICE_ARG(a.operator_policy ? a.operator_policy->name : SLICE("-")));
    json_put_value(&text, &value);
    buf_fini(&merged);
    return buf_cstr(&text);
}

UNIT(policy, best_match_and_merge)
{
    struct world *w = world_new();
    must(do_queue(w, "a1", 0, ""));
    must(do_queue(w, "quorum", META_DURABLE, "x-queue-type:S=quorum"));
    cr_expect_str_eq(effective_of(w, "a1"), "- - {}");
    must(do_policy(w, 0, "low", "^a", 0, NULL, "max-length:I=10 message-ttl:I=5"));
    must(do_policy(w, 0, "high", "1$", 1, "queues", "max-length:I=7"));
    cr_expect_str_eq(effective_of(w, "a1"), "high - {\"max-length\":7}");
    must(do_policy(w, 0, "low", "^a", 2, NULL, "message-ttl:I=5 max-length:I=10"));
    cr_expect_str_eq(effective_of(w, "a1"), "low - {\"max-length\":10,\"message-ttl\":5}");
    must(do_policy(w, META_OPERATOR, "op", "", 0, "classic_queues",
                   "max-length:I=8 message-ttl:I=9 expires:I=3"));
    cr_expect_str_eq(effective_of(w, "a1"),
                     "low op {\"expires\":3,\"max-length\":8,\"message-ttl\":5}");
    cr_expect_str_eq(effective_of(w, "quorum"), "- - {}");
    must(do_policy(w, 0, "x", ".*", 9, "exchanges", "max-length:I=1"));
    must(do_policy(w, 0, "delivery", ".*", 8, NULL, "delivery-limit:I=1"));
    cr_expect_str_eq(effective_of(w, "quorum"), "delivery - {\"delivery-limit\":1}");
    must(do_policy(w, 0, "named", "^a", 9, "classic_queues", "delivery-limit:I=2"));
    cr_expect_str_eq(
        effective_of(w, "a1"),
        "named op {\"delivery-limit\":2,\"expires\":3,\"max-length\":8,\"message-ttl\":9}");
    must(clear_policy(w, 0, "named"));
    cr_expect_str_eq(effective_of(w, "a1"),
                     "low op {\"expires\":3,\"max-length\":8,\"message-ttl\":5}");
    cr_expect_eq(count(w, META_POLICIES), 4);
    cr_expect_eq(count(w, META_OPERATOR_POLICIES), 1);
    must(do_policy(w, 0, "members", "^q", 10, NULL, "target-group-size:I=3 max-length:I=4"));
    must(
        do_policy(w, META_OPERATOR, "more", "^q", 0, NULL, "target-group-size:I=5 max-length:I=6"));
    cr_expect_str_eq(effective_of(w, "quorum"),
                     "members more {\"max-length\":4,\"target-group-size\":5}");
    must(do_policy(w, META_OPERATOR, "more", "^q", 0, NULL, "target-group-size:I=1"));
    cr_expect_str_eq(effective_of(w, "quorum"),
                     "members more {\"max-length\":4,\"target-group-size\":3}");
    must(clear_policy(w, META_OPERATOR, "more"));
    must(clear_policy(w, META_OPERATOR, "op"));
    must(clear_policy(w, 0, "low"));
    wont(clear_policy(w, 0, "low"), ERR_NOT_FOUND, "Parameter does not exist");
    cr_expect_str_eq(effective_of(w, "a1"), "high - {\"max-length\":7}");
    world_free(&w);
}

UNIT(policy, of_exchanges)
{
    struct world *w = world_new();
    struct vhost *vhost = routing_find_vhost(routing_of(node_shard(w->node, 1)), SLICE("/"));
    must(do_exchange(w, "x", "direct", 0, ""));
    must(do_exchange(w, "y", "direct", 0, "alternate-exchange:S=x"));
    struct exchange *x = vhost_find_exchange(vhost, SLICE("x"));
    cr_expect_null(exchange_find_alternate(x));
    must(do_policy(w, 0, "p", "^[xy]", 0, NULL, "alternate-exchange:S=amq.fanout"));
    cr_expect_eq(exchange_find_alternate(x), vhost_find_exchange(vhost, SLICE("amq.fanout")));
    cr_expect_eq(exchange_find_alternate(vhost_find_exchange(vhost, SLICE("y"))), x);
    must(clear_policy(w, 0, "p"));
    cr_expect_null(exchange_find_alternate(x));
    world_free(&w);
}

UNIT(policy, refusals)
{
    static const struct {
        const char *definition, *text;
    } bad[] = {
        {"", "no policy provided"},
        {"foo:I=1", "[{<<\"foo\">>,1}] are not recognised policy settings"},
        {"max-length:S=x", "<<\"x\">> is not a valid maximum length"},
        {"max-length:I=-1", "-1 is not a valid maximum length"},
        {"max-length:t=true", "true is not a valid maximum length"},
        {"expires:I=0", "0 is not a valid queue expiry"},
        {"message-ttl:S=1", "<<\"1\">> is not a valid message TTL"},
        {"overflow:S=bad", "<<\"bad\">> is not a valid overflow value"},
        {"dead-letter-exchange:I=5", "5 is not a valid dead letter exchange name"},
        {"queue-version:I=7", "7 is not a valid queue-version value"},
        {"queue-master-locator:S=x", "<<\"x\">> invalid queue-master-locator value"},
        {"target-group-size:I=0", "0 is not a valid qq target count value"},
        {"member-placement-tag:I=1", "1 is not a valid member placement tag"},
        {"consumer-disconnected-timeout:I=-1", "-1 is not a valid consumer disconnected timeout"},
        {"max-age:S=5x", "<<\"5x\">> is not a valid max age"},
        {"ha-mode:S=exactly", "ha-mode=\"exactly\" takes an integer, none given"},
        {"ha-mode:S=bad", "<<\"bad\">> is not a valid ha-mode value"},
        {"ha-sync-mode:S=manual",
         "ha-mode must be specified to specify ha-params, ha-sync-mode or ha-promote-on-shutdown"},
        {"ha-mode:S=all ha-sync-mode:S=x",
         "ha-sync-mode must be \"manual\" or \"automatic\", got <<\"x\">>"},
        {"ha-mode:S=all ha-params:I=3", "ha-mode=\"all\" does not take parameters"},
    };
    struct world *w = world_new();
    char text[256];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "Validation failed\n\n%s\n", bad[i].text);
        wont(do_policy(w, 0, "p", "", 0, NULL, bad[i].definition), ERR_PRECONDITION_FAILED, text);
    }
    wont(
        do_policy(w, META_OPERATOR, "p", "", 0, NULL, "dead-letter-exchange:S=x"),
        ERR_PRECONDITION_FAILED,
        "Validation failed\n\n[{<<\"dead-letter-exchange\">>,<<\"x\">>}] are not recognised policy "
        "settings\n");
    wont(do_policy(w, 0, "p", "(", 0, "foo", "max-length:I=1"), ERR_PRECONDITION_FAILED,
         "Validation failed\n\napply-to 'foo' unrecognised; should be one of: 'queues', "
         "'classic_queues', 'quorum_queues', 'streams', 'exchanges', or 'all'\npattern should be "
         "regular expression but is invalid: {\"missing closing parenthesis\",1}\n");
    must(do_policy(w, 0, "p", "", 0, NULL, "ha-mode:S=exactly ha-params:I=2"));
    cr_expect_eq(count(w, META_POLICIES), 1);
    world_free(&w);
}

static enum err do_parameter(struct world *w, unsigned flags, const char *component,
                             const char *name, const char *definition)
{
    struct meta_request *rq = request(w, META_PARAMETER_SET, flags);
    meta_request_set(&rq->source, slice_str(component));
    meta_request_set(&rq->name, slice_str(name));
    define(rq, definition);
    return do_request(w, rq);
}

UNIT(policy, parameters)
{
    struct world *w = world_new();
    wont(do_parameter(w, 0, "foo", "bar", "a:I=1"), ERR_PRECONDITION_FAILED,
         "Validation failed\n\ncomponent foo not found\n");
    wont(do_parameter(w, 0, "policy", "bar", "a:I=1"), ERR_PRECONDITION_FAILED,
         "policies may not be set using this method");
    wont(do_parameter(w, 0, "vhost-limits", "limits", "max-queues:S=x"), ERR_PRECONDITION_FAILED,
         "Validation failed\n\nmax-queues should be a number, actually was <<\"x\">>\n");
    wont(do_parameter(w, 0, "vhost-limits", "limits", "zzz:I=1"), ERR_PRECONDITION_FAILED,
         "Validation failed\n\nUnrecognised terms [{<<\"zzz\">>,1}] in limits\n");
    must(do_parameter(w, 0, "vhost-limits", "limits", "max-queues:I=2"));
    must(do_parameter(w, META_GLOBAL, "", "g", "a:I=1"));
    must(do_parameter(w, META_GLOBAL, "", "g", "a:I=2"));
    cr_expect_eq(count(w, META_PARAMETERS), 1);
    cr_expect_eq(count(w, META_VHOST_LIMITS), 1);
    cr_expect_eq(count(w, META_GLOBAL_PARAMETERS), 1);
    struct buf text = BUF_INIT;
    vhost_put_limits(routing_find_vhost(routing_of(node_shard(w->node, 1)), SLICE("/")), &text);
    cr_expect_str_eq(buf_cstr(&text), "{\"max-queues\":2}");
    buf_fini(&text);
    struct meta_request *rq = request(w, META_PARAMETER_CLEAR, META_GLOBAL);
    meta_request_set(&rq->name, SLICE("nope"));
    wont(do_request(w, rq), ERR_NOT_FOUND, "Parameter does not exist");
    world_free(&w);
}

static enum err do_limits(struct world *w, const char *user, const char *definition)
{
    struct meta_request *rq = request(w, META_USER_LIMITS_SET, 0);
    meta_request_set(&rq->name, slice_str(user));
    define(rq, definition);
    return do_request(w, rq);
}

static void user_has(struct world *w, const char *limits)
{
    struct buf text = BUF_INIT;
    cr_expect(access_put_limits(routing_of(node_shard(w->node, 1)), SLICE("u"), &text));
    cr_expect_str_eq(buf_cstr(&text), limits);
    buf_fini(&text);
}

UNIT(policy, limits_of_users)
{
    struct world *w = world_new();
    wont(do_limits(w, "u", "max-channels:I=1"), ERR_NOT_FOUND, "User \"u\" does not exist");
    must(do_user(w, "u", "pw", "", 0));
    wont(do_limits(w, "u", "foo:I=1"), ERR_PRECONDITION_FAILED,
         "Unrecognised terms [{<<\"foo\">>,1}] in user-limits");
    user_has(w, "{}");
    must(do_limits(w, "u", "max-connections:I=2"));
    must(do_limits(w, "u", "max-channels:I=3"));
    user_has(w, "{\"max-channels\":3,\"max-connections\":2}");
    cr_expect_eq(count(w, META_USER_LIMITS), 1);
    struct meta_request *rq = request(w, META_USER_LIMITS_CLEAR, 0);
    meta_request_set(&rq->name, SLICE("u"));
    meta_request_set(&rq->key, SLICE("max-channels"));
    must(do_request(w, rq));
    user_has(w, "{\"max-connections\":2}");
    rq = request(w, META_USER_LIMITS_CLEAR, 0);
    meta_request_set(&rq->name, SLICE("u"));
    meta_request_set(&rq->key, SLICE("all"));
    must(do_request(w, rq));
    user_has(w, "{}");
    cr_expect_eq(count(w, META_USER_LIMITS), 0);
    world_free(&w);
}
