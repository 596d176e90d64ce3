/* What virtual hosts are born with. */
#include "meta/vhost_defaults.h"

#include "unit.h"
#include "world.h"

static struct slice value_of(const char *args)
{
    static uint8_t room[256];
    struct buf table = BUF_INIT;
    table_put_table(&table, SLICE("value"), args_of(args));
    struct slice value = slice_of(room, table.len);
    cr_assert(table.len <= sizeof room);
    memcpy(room, table.data, table.len);
    buf_fini(&table);
    return value;
}

static struct meta_request *limits(const char *args)
{
    struct meta_request *rq = meta_request_new(META_PARAMETER_SET, ADDR_NONE);
    meta_request_set(&rq->source, SLICE("vhost-limits"));
    meta_request_set(&rq->name, SLICE("limits"));
    meta_request_set(&rq->args, value_of(args));
    return rq;
}

static struct meta_request *policy(const char *name, const char *pattern, const char *args)
{
    struct meta_request *rq = meta_request_new(META_POLICY_SET, ADDR_NONE);
    rq->flags = META_OPERATOR;
    meta_request_set(&rq->name, slice_str(name));
    meta_request_set(&rq->pattern, slice_str(pattern));
    meta_request_set(&rq->apply_to, SLICE("queues"));
    meta_request_set(&rq->args, value_of(args));
    return rq;
}

static struct meta_request *user(enum meta_verb verb, const char *name, const char *text)
{
    struct meta_request *rq = meta_request_new(verb, ADDR_NONE);
    meta_request_set(&rq->name, slice_str(name));
    meta_request_set(verb == META_USER_PUT ? &rq->key : &rq->configure, slice_str(text));
    if (verb == META_USER_PUT)
        meta_request_set(&rq->type, SLICE("management"));
    else
        meta_request_set(&rq->write, SLICE(".*"));
    return rq;
}

static void add(struct vhost_defaults *d, const char *pattern, struct meta_request *rq)
{
    struct failure why = {.text = ""};
    cr_assert_eq(vhost_defaults_add(d, "default", slice_str(pattern), &rq, &why), ERR_NONE, "%s",
                 why.text);
    cr_assert_null(rq);
}

/* A text of all rows of a noun: the columns of each, joined. */
static bool put_row(const struct meta_row *row, void *arg)
{
    struct buf item = BUF_INIT, *out = arg;
    cr_assert(meta_row_put_definition(row, &item));
    struct table_value v = {.type = TABLE_TABLE, .bytes = buf_slice(&item)};
    table_value_print(&v, out);
    buf_append_byte(out, '\n');
    buf_fini(&item);
    return true;
}

static const char *rows(struct world *w, enum meta_noun noun)
{
    static char room[4096];
    struct buf out = BUF_INIT;
    struct meta_cursor cursor = meta_cursor_begin(w->node, noun, SLICE_EMPTY);
    while (meta_cursor_next(w->node, &cursor, SIZE_MAX, put_row, &out))
        ;
    snprintf(room, sizeof room, "%s", buf_cstr(&out));
    buf_fini(&out);
    return room;
}

UNIT(vhost_defaults, put_into_those_that_match)
{
    struct world *w = world_new();
    struct vhost_defaults *d = vhost_defaults_new();
    add(d, "^vip$", limits(""));
    add(d, "^v", limits("max-queues:l=5"));
    add(d, ".*", limits("max-queues:l=50"));
    add(d, "^v", policy("one", "^q", "max-length:l=7"));
    add(d, "e$", policy("two", ".*", "expires:l=1000"));
    add(d, "^v", user(META_USER_PUT, "boss", "pw"));
    add(d, "^v", user(META_PERMISSION_SET, "boss", "^c"));
    meta_set_vhost_defaults(w->node, &d);
    cr_assert_null(d);
    cr_expect_str_eq(rows(w, META_PARAMETERS), "", "what is there gets nothing");
    must(do_vhost(w, "vip", 0));
    cr_expect_str_eq(rows(w, META_PARAMETERS), "", "the first that matches has no limits");
    must(do_vhost(w, "vie", 0));
    must(do_vhost(w, "w", 0));
    cr_expect_eq(count(w, META_PARAMETERS), 2);
    cr_expect_not_null(strstr(rows(w, META_PARAMETERS), "max-queues=l:5}"), "%s",
                       rows(w, META_PARAMETERS));
    cr_expect_not_null(strstr(rows(w, META_PARAMETERS), "max-queues=l:50}"));
    cr_expect_eq(count(w, META_OPERATOR_POLICIES), 3, "one of vip, both of vie");
    cr_expect_eq(count(w, META_POLICIES), 0);
    cr_expect_eq(count(w, META_USERS), 1);
    cr_expect_eq(count(w, META_PERMISSIONS), 2);
    cr_expect_eq(access_login(routing_of(node_shard(w->node, 0)), SLICE("boss"), SLICE("pw"), true),
                 AUTH_OK);
    /* what changes a virtual host leaves them alone, and so does what operators changed */
    must(do_user(w, "boss", "other", NULL, 0));
    must(do_vhost(w, "vie", 0));
    cr_expect_eq(count(w, META_OPERATOR_POLICIES), 3);
    must(do_vhost(w, "v3", 0));
    cr_expect_eq(
        access_login(routing_of(node_shard(w->node, 0)), SLICE("boss"), SLICE("other"), true),
        AUTH_OK);
    cr_expect_eq(count(w, META_PERMISSIONS), 3);
    world_free(&w);
}

UNIT(vhost_defaults, for_the_default_vhost_and_after_a_change)
{
    struct world *w = world_new();
    struct vhost_defaults *d = vhost_defaults_new();
    meta_apply_vhost_defaults(w->node, SLICE("/"));
    add(d, "^/$", limits("max-connections:l=3"));
    meta_set_vhost_defaults(w->node, &d);
    meta_apply_vhost_defaults(w->node, SLICE("/"));
    cr_expect_eq(count(w, META_PARAMETERS), 1);
    d = vhost_defaults_new();
    meta_set_vhost_defaults(w->node, &d);
    must(do_vhost(w, "v", 0));
    cr_expect_eq(count(w, META_PARAMETERS), 1);
    world_free(&w);
}

UNIT(vhost_defaults, refused)
{
    struct vhost_defaults *d = vhost_defaults_new();
    struct failure why;
    const struct {
        const char *pattern;
        struct meta_request *rq;
        const char *text;
    } cases[] = {
        {"(", limits("max-queues:l=5"), "regular expression '(' is invalid"},
        {".*", policy("p", "[", "max-length:l=7"), "pattern should be regular expression"},
        {".*", policy("p", ".*", ""), "no policy provided"},
        {".*", policy("p", ".*", "expires:l=0"), "0 is not a valid queue expiry"},
        {".*", policy("p", ".*", "dead-letter-exchange:S=x"), "are not recognised"},
        {".*", user(META_PERMISSION_SET, "u", "a{2,1}"), "regular expression 'a{2,1}' is invalid"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct meta_request *rq = cases[i].rq;
        cr_expect_neq(vhost_defaults_add(d, "x", slice_str(cases[i].pattern), &rq, &why), ERR_NONE,
                      "case %zu", i);
        cr_expect_not_null(strstr(why.text, cases[i].text), "%s", why.text);
        cr_expect_null(rq);
    }
    vhost_defaults_free(&d);
    vhost_defaults_free(&d);
}
