/* Users, permissions, topic permissions, logging in, the cache. */
#include "meta/logins.h"
#include "meta/pattern.h"
#include "meta/throttle.h"
#include "unit.h"
#include "world.h"

#define HASH_OF_PW "/UA/Hw2BgVHT6Kw8E5ya2FD0NCxs8QO5jEpgKfXiddBBENeL"

static const struct routing *shard1(struct world *w)
{
    return routing_of(node_shard(w->node, 1));
}

static bool may(struct world *w, struct access_cache *cache, enum access_right right,
                const char *name)
{
    return !access_check(shard1(w), cache, SLICE("u"), SLICE("/"), right, "queue", slice_str(name),
                         &w->why);
}

static bool may_topic(struct world *w, struct access_cache *cache, enum access_right right,
                      const char *key)
{
    return !access_check_topic(shard1(w), cache, SLICE("u.*"), SLICE("/"), right,
                               SLICE("amq.topic"), slice_str(key), &w->why);
}

UNIT(access, login)
{
    struct world *w = world_new();
    must(do_user(w, "guest", "guest", "administrator", META_CREATE_ONLY));
    must(do_user(w, "u", "s3cret", "", 0));
    const struct routing *r = shard1(w);
    cr_expect_eq(access_login(r, SLICE("guest"), SLICE("guest"), true), AUTH_OK);
    cr_expect_eq(access_login(r, SLICE("guest"), SLICE("guest"), false), AUTH_NOT_LOOPBACK);
    cr_expect_eq(access_login(r, SLICE("guest"), SLICE("Guest"), false), AUTH_BAD);
    cr_expect_eq(access_login(r, SLICE("u"), SLICE("s3cret"), false), AUTH_OK);
    cr_expect_eq(access_login(r, SLICE("u"), SLICE(""), false), AUTH_BAD);
    cr_expect_eq(access_login(r, SLICE("nobody"), SLICE("s3cret"), false), AUTH_BAD);
    cr_expect_eq(access_login_trusted(r, SLICE("nobody"), true), AUTH_BAD);
    cr_expect_eq(access_login_trusted(r, SLICE("u"), false), AUTH_OK);
    cr_expect_eq(access_login_trusted(r, SLICE("guest"), false), AUTH_NOT_LOOPBACK);
    must(do_user(w, "u", "changed", NULL, META_MUST_EXIST));
    cr_expect_eq(access_login(r, SLICE("u"), SLICE("s3cret"), false), AUTH_BAD);
    cr_expect_eq(access_login(r, SLICE("u"), SLICE("changed"), false), AUTH_OK);
    struct meta_request *rq = request(w, META_USER_PUT, 0);
    meta_request_set(&rq->name, SLICE("u"));
    meta_request_set(&rq->hash, SLICE("")); /* clear_password */
    must(do_request(w, rq));
    cr_expect_eq(access_login(r, SLICE("u"), SLICE("changed"), false), AUTH_BAD);
    cr_expect_eq(access_login_trusted(r, SLICE("u"), false), AUTH_OK);
    world_free(&w);
}

UNIT(access, hashes)
{
    struct world *w = world_new();
    /* as RabbitMQ made it of pw */
    struct meta_request *rq = request(w, META_USER_PUT, 0);
    meta_request_set(&rq->name, SLICE("h"));
    meta_request_set(&rq->hash, SLICE(HASH_OF_PW));
    must(do_request(w, rq));
    cr_expect_eq(access_login(shard1(w), SLICE("h"), SLICE("pw"), false), AUTH_OK);
    cr_expect_eq(access_login(shard1(w), SLICE("h"), SLICE("pW"), false), AUTH_BAD);
    rq = request(w, META_USER_PUT, 0);
    meta_request_set(&rq->name, SLICE("h"));
    meta_request_set(&rq->hash, SLICE("not a hash"));
    wont(do_request(w, rq), ERR_PRECONDITION_FAILED,
         "not a password hash of rabbit_password_hashing_sha256");
    rq = request(w, META_USER_PUT, 0);
    meta_request_set(&rq->name, SLICE("h"));
    meta_request_set(&rq->hash, SLICE(HASH_OF_PW));
    meta_request_set(&rq->algorithm, SLICE("rot13"));
    wont(do_request(w, rq), ERR_PRECONDITION_FAILED, "unknown password hashing algorithm 'rot13'");
    world_free(&w);
}

UNIT(access, users)
{
    struct world *w = world_new();
    must(do_user(w, "u", "pw", "administrator, mine  monitoring", META_CREATE_ONLY));
    cr_expect_eq(access_user_tags(shard1(w), SLICE("u")), TAG_ADMINISTRATOR | TAG_MONITORING);
    wont(do_user(w, "u", "pw", "", META_CREATE_ONLY), ERR_PRECONDITION_FAILED,
         "User \"u\" already exists");
    must(do_user(w, "u", NULL, "impersonator", META_MUST_EXIST));
    cr_expect_eq(access_user_tags(shard1(w), SLICE("u")), TAG_IMPERSONATOR);
    cr_expect_eq(access_login(shard1(w), SLICE("u"), SLICE("pw"), false), AUTH_OK);
    wont(do_user(w, "v", NULL, "a", META_MUST_EXIST), ERR_NOT_FOUND, "User \"v\" does not exist");
    wont(do_user(w, "", "pw", "", 0), ERR_PRECONDITION_FAILED, "user cannot be an empty string");
    wont(do_permission(w, "v", ".*", ".*", ".*"), ERR_NOT_FOUND, "User \"v\" does not exist");
    wont(do_permission(w, "u", "*", ".*", ".*"), ERR_PRECONDITION_FAILED,
         "regular expression '*' is invalid: quantifier does not follow a repeatable item at "
         "offset 0");
    must(do_permission(w, "u", ".*", ".*", ".*"));
    must(do_topic_permission(w, "u", "x", ".*", ".*"));
    cr_expect(access_vhost(shard1(w), SLICE("u"), SLICE("/")));
    cr_expect(!access_vhost(shard1(w), SLICE("u"), SLICE("other")));
    struct meta_request *rq = request(w, META_USER_DELETE, 0);
    meta_request_set(&rq->name, SLICE("u"));
    must(do_request(w, rq));
    cr_expect(!access_user_exists(shard1(w), SLICE("u")));
    cr_expect(!access_vhost(shard1(w), SLICE("u"), SLICE("/")));
    cr_expect_eq(count(w, META_PERMISSIONS), 0);
    cr_expect_eq(count(w, META_TOPIC_PERMISSIONS), 0);
    rq = request(w, META_USER_DELETE, 0);
    meta_request_set(&rq->name, SLICE("u"));
    wont(do_request(w, rq), ERR_NOT_FOUND, "User \"u\" does not exist");
    world_free(&w);
}

UNIT(access, patterns)
{
    struct world *w = world_new();
    struct access_cache *cache = access_cache_new();
    static const struct {
        const char *pattern, *name;
        bool match;
    } cases[] = {
        {".*", "", true},
        {".*", "any", true},
        {"", "", true},
        {"", "a", false},
        {"^$", "", true},
        {"b", "abc", true},
        {"^b", "abc", false},
        {"^a.c$", "abc", true},
        {"^(a|b)$", "b", true},
        {"^(a|b)$", "c", false},
        {"^amq\\.gen", "amqXgen", false},
        {"^a$", "a\n", true},
        {"\xc3", "\xc3\xa9", true},
    };
    must(do_user(w, "u", "pw", "", 0));
    cr_expect(!may(w, cache, ACCESS_READ, "q"));
    cr_expect_str_eq(w->why.text, "access to queue 'q' in vhost '/' refused for user 'u'");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        must(do_permission(w, "u", "^$", cases[i].pattern, "^$"));
        for (int again = 0; again < 2; again++)
            cr_expect_eq(may(w, cache, ACCESS_WRITE, cases[i].name), cases[i].match, "%s ~ %s",
                         cases[i].pattern, cases[i].name);
        cr_expect(!may(w, cache, ACCESS_READ, "abc"));
    }
    cr_expect_eq(access_check(shard1(w), cache, SLICE("u"), SLICE("/"), ACCESS_READ, "exchange",
                              SLICE(""), &w->why),
                 ERR_ACCESS_REFUSED);
    cr_expect_str_eq(w->why.text,
                     "access to exchange 'amq.default' in vhost '/' refused for user 'u'");
    must(do_permission(w, "u", "", "", "amq\\.default"));
    cr_expect_eq(access_check(shard1(w), cache, SLICE("u"), SLICE("/"), ACCESS_READ, "exchange",
                              SLICE(""), &w->why),
                 ERR_NONE);
    access_cache_free(&cache);
    world_free(&w);
}

UNIT(access, pattern_that_takes_too_long)
{
    struct world *w = world_new();
    char name[201];
    memset(name, 'a', 200);
    name[199] = 'b';
    name[200] = '\0';
    must(do_user(w, "u", "pw", "", 0));
    must(do_permission(w, "u", "^(a+)+$", ".*", ".*"));
    cr_expect(!may(w, NULL, ACCESS_CONFIGURE, name));
    world_free(&w);
}

UNIT(access, pattern_for_either_case)
{
    struct pattern_matcher *matcher = pattern_matcher_new();
    struct pattern pattern;
    pattern_matcher_limit(matcher, 1000);
    pattern_init_caseless(&pattern, SLICE("^A[b-z]"));
    cr_expect(pattern_matches(&pattern, matcher, SLICE("aBc")));
    cr_expect(!pattern_matches(&pattern, matcher, SLICE("bBc")));
    pattern_fini(&pattern);
    pattern_matcher_free(&matcher);
}

UNIT(access, cache_follows_changes)
{
    struct world *w = world_new();
    struct access_cache *cache = access_cache_new();
    char name[16];
    must(do_user(w, "u", "pw", "", 0));
    must(do_permission(w, "u", "^a", "^b", "^c"));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 40; i++) {
            snprintf(name, sizeof name, "a%d", i);
            cr_expect(may(w, cache, ACCESS_CONFIGURE, name));
            cr_expect(!may(w, cache, ACCESS_WRITE, name));
            name[0] = 'b';
            cr_expect(may(w, cache, ACCESS_WRITE, name));
        }
        must(do_queue(w, "q", 0, ""));
    }
    must(do_permission(w, "u", "^x", "^b", "^c"));
    cr_expect(!may(w, cache, ACCESS_CONFIGURE, "a1"));
    struct meta_request *rq = request(w, META_PERMISSION_CLEAR, 0);
    meta_request_set(&rq->name, SLICE("u"));
    must(do_request(w, rq));
    cr_expect(!may(w, cache, ACCESS_WRITE, "b1"));
    rq = request(w, META_PERMISSION_CLEAR, 0);
    meta_request_set(&rq->name, SLICE("u"));
    must(do_request(w, rq));
    access_cache_free(&cache);
    world_free(&w);
}

UNIT(access, topics)
{
    struct world *w = world_new();
    struct access_cache *cache = access_cache_new();
    must(do_user(w, "u.*", "pw", "", 0));
    must(do_permission(w, "u.*", ".*", ".*", ".*"));
    cr_expect(may_topic(w, cache, ACCESS_WRITE, "anything"));
    must(do_topic_permission(w, "u.*", "amq.topic", "^a", "^{username}\\.{vhost}$"));
    for (int again = 0; again < 2; again++) {
        cr_expect(may_topic(w, cache, ACCESS_WRITE, "abc"));
        cr_expect(!may_topic(w, cache, ACCESS_WRITE, "b"));
        cr_expect_str_eq(
            w->why.text,
            "access to topic 'b' in exchange 'amq.topic' in vhost '/' refused for user 'u.*'");
        cr_expect(may_topic(w, cache, ACCESS_READ, "u.*./"));
        cr_expect(!may_topic(w, cache, ACCESS_READ, "uxyz./"));
    }
    struct meta_request *rq = request(w, META_TOPIC_PERMISSION_CLEAR, 0);
    meta_request_set(&rq->name, SLICE("u.*"));
    must(do_request(w, rq));
    cr_expect(may_topic(w, cache, ACCESS_WRITE, "b"));
    access_cache_free(&cache);
    world_free(&w);
}

UNIT(access, rights_of_declaring)
{
    struct world *w = world_new();
    must(do_user(w, "u", "pw", "", 0));
    must(do_permission(w, "u", "^(a.*|amq\\.gen.*)$", "^a|amq\\.default", "^a"));
    w->user = "u";
    wont(do_queue(w, "foo", 0, ""), ERR_ACCESS_REFUSED,
         "access to queue 'foo' in vhost '/' refused for user 'u'");
    wont(do_exchange(w, "foo", "direct", 0, ""), ERR_ACCESS_REFUSED,
         "access to exchange 'foo' in vhost '/' refused for user 'u'");
    wont(do_exchange(w, "foo", "nosuch", 0, ""), ERR_COMMAND_INVALID,
         "unknown exchange type 'nosuch'");
    wont(do_queue(w, "a1", 0, "x-dead-letter-exchange:S=zz x-max-length:I=-1"), ERR_ACCESS_REFUSED,
         "access to exchange 'zz' in vhost '/' refused for user 'u'");
    must(do_queue(w, "a1", 0, "x-dead-letter-exchange:S="));
    wont(do_exchange(w, "ax", "direct", 0, "alternate-exchange:S=zz"), ERR_ACCESS_REFUSED,
         "access to exchange 'zz' in vhost '/' refused for user 'u'");
    wont(do_delete_exchange(w, "foo", 0), ERR_ACCESS_REFUSED,
         "access to exchange 'foo' in vhost '/' refused for user 'u'");
    wont(do_exchange(w, "", "direct", 0, ""), ERR_ACCESS_REFUSED,
         "operation not permitted on the default exchange");
    must(do_queue(w, "", 0, ""));
    world_free(&w);
}

static enum auth_result try_from(struct world *w, const char *address)
{
    struct login_attempt a = {.front = LOGIN_FRONT_AMQP, .address = address, .user = SLICE("u")};
    return login_try(routing_of(node_shard(w->node, 1)), &a, SLICE("wrong"));
}

/* However its addresses are written, a network is one. */
UNIT(logins, networks)
{
    struct world *w = world_new();
    const struct login_rules rules = {.of_address = 1};
    static const char *const wrong[] = {"2001:db8::1:2:3:4", "2001:db8:1:2:3::", "fe80::1%lo",
                                        "10.0.0.1", ""};
    static const char *const same[] = {"2001:db8::9", "2001:db8:1:2::9", "fe80::5:0:0:1%lo"};
    static const char *const others[] = {"2001:db8:0:1::1", "2001:db8:1:3::", "10.0.0.2", "::1"};
    login_set_rules(w->node, &rules);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_expect_eq(try_from(w, wrong[i]), AUTH_BAD, "%s", wrong[i]);
        cr_expect_eq(try_from(w, wrong[i]), AUTH_HELD_BACK, "%s", wrong[i]);
    }
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        cr_expect_eq(try_from(w, same[i]), AUTH_HELD_BACK, "%s", same[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_expect_eq(try_from(w, others[i]), AUTH_BAD, "%s", others[i]);
    world_free(&w);
}

UNIT(throttle, window)
{
    static struct throttle t;
    uint64_t now = 5000000;
    for (int i = 0; i < 10; i++) {
        cr_assert_not(throttle_is_full(&t, 77, 10, now));
        throttle_note(&t, 77, 10, now);
    }
    cr_assert(throttle_is_full(&t, 77, 10, now));
    cr_assert_not(throttle_is_full(&t, 78, 10, now), "another one is not");
    cr_assert_not(throttle_is_full(&t, 77, 0, now), "no limit");
    cr_assert_not(throttle_is_full(&t, 77, 10, now + THROTTLE_WINDOW_MS / 10), "one is forgotten");
    throttle_note(&t, 77, 10, now + THROTTLE_WINDOW_MS / 10);
    cr_assert(throttle_is_full(&t, 77, 10, now + THROTTLE_WINDOW_MS / 10));
    throttle_forget(&t, 77);
    cr_assert_not(throttle_is_full(&t, 77, 10, now));
}

/* Others that fail, however many, hold nobody back. */
UNIT(throttle, crowd)
{
    static struct throttle t;
    uint64_t now = 5000000;
    for (uint64_t i = 1; i <= 4 * THROTTLE_SLOTS; i++)
        throttle_note(&t, i << 33 | (i & 7), 2, now);
    for (uint64_t i = 1; i <= 4 * THROTTLE_SLOTS; i++)
        cr_assert_not(throttle_is_full(&t, i << 33 | (i & 7), 2, now));
    for (int i = 0; i < 2; i++)
        throttle_note(&t, 9, 2, now);
    cr_assert(throttle_is_full(&t, 9, 2, now));
}
