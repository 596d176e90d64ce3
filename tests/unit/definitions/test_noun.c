/* The table of what definitions are made of: keys, fields, and the request that an item becomes. */
#include "rig.h"

UNIT(noun, found_by_key)
{
    static const char *const keys[DEFINITION_COUNT] = {
        [DEFINITION_VHOSTS] = "vhosts",
        [DEFINITION_USERS] = "users",
        [DEFINITION_PERMISSIONS] = "permissions",
        [DEFINITION_TOPIC_PERMISSIONS] = "topic_permissions",
        [DEFINITION_EXCHANGES] = "exchanges",
        [DEFINITION_GLOBAL_PARAMETERS] = "global_parameters",
        [DEFINITION_POLICIES] = "policies",
        [DEFINITION_PARAMETERS] = "parameters",
        [DEFINITION_QUEUES] = "queues",
        [DEFINITION_BINDINGS] = "bindings",
    };
    for (unsigned i = 0; i < DEFINITION_COUNT; i++) {
        enum definition which;
        cr_assert(noun_find(slice_str(keys[i]), &which));
        cr_assert_eq(which, i);
        cr_assert_str_eq(noun_get(which)->key, keys[i]);
    }
    static const char *const wrong[] = {"", "queue", "queuess", "Queues", "vhosts "};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        enum definition which;
        cr_assert_not(noun_find(slice_str(wrong[i]), &which), "%s", wrong[i]);
    }
}

/* What reading takes for granted: a bit for each field, no field twice, a vhost where one belongs.
 */
UNIT(noun, table_is_sound)
{
    for (unsigned i = 0; i < DEFINITION_COUNT; i++) {
        const struct noun *noun = noun_get((enum definition)i);
        unsigned fields = 0;
        for (const struct field *f = noun->fields; f->key; f++, fields++) {
            const struct field *first = noun_find_field(noun, slice_str(f->key));
            cr_assert_eq(first, f, "%s.%s", noun->key, f->key);
            cr_assert(f->kind != FIELD_TAGS || f->offset, "%s.%s", noun->key, f->key);
        }
        cr_assert(fields < 32, "%s", noun->key);
        cr_assert_eq(noun_find_field(noun, SLICE("vhost")) != NULL, noun->in_vhost, "%s",
                     noun->key);
        cr_assert_null(noun_find_field(noun, SLICE("nosuch")));
    }
}

static struct meta_request *request_of(enum definition which, const struct buf *item,
                                       struct slice vhost)
{
    struct failure why;
    cr_assert_eq(noun_check(noun_get(which), buf_slice(item), vhost.len != 0, &why), ERR_NONE, "%s",
                 why.text);
    return noun_request(noun_get(which), buf_slice(item), vhost);
}

static void put(struct buf *item, const char *key, const char *text)
{
    table_put_str(item, slice_str(key), slice_str(text));
}

UNIT(noun, queue_request)
{
    struct buf item = BUF_INIT, args = BUF_INIT;
    table_put_i64(&args, SLICE("x-max-length"), 5);
    put(&item, "name", "q");
    put(&item, "vhost", "v");
    table_put_table(&item, SLICE("arguments"), buf_slice(&args));
    struct meta_request *rq = request_of(DEFINITION_QUEUES, &item, SLICE_EMPTY);
    cr_expect_eq(rq->verb, META_QUEUE_DECLARE);
    cr_expect(slice_eq_str(rq->name, "q") && slice_eq_str(rq->vhost, "v"));
    cr_expect_eq(rq->flags, META_TRUSTED | META_DURABLE, "durable if nothing is said");
    cr_expect(slice_eq(rq->args, buf_slice(&args)));
    meta_request_free(&rq);
    table_put_bool(&item, SLICE("durable"), false);
    table_put_bool(&item, SLICE("auto_delete"), true);
    rq = request_of(DEFINITION_QUEUES, &item, SLICE("other"));
    cr_expect_eq(rq->flags, META_TRUSTED | META_AUTO_DELETE);
    cr_expect(slice_eq_str(rq->vhost, "other"), "from outside");
    meta_request_free(&rq);
    buf_fini(&item);
    buf_fini(&args);
}

UNIT(noun, exchange_and_binding_requests)
{
    struct buf item = BUF_INIT;
    put(&item, "name", "x");
    put(&item, "vhost", "v");
    put(&item, "type", "topic");
    table_put_bool(&item, SLICE("internal"), true);
    table_put_void(&item, SLICE("auto_delete"));
    table_put_array(&item, SLICE("arguments"), SLICE_EMPTY);
    struct meta_request *rq = request_of(DEFINITION_EXCHANGES, &item, SLICE_EMPTY);
    cr_expect_eq(rq->verb, META_EXCHANGE_DECLARE);
    cr_expect(slice_eq_str(rq->type, "topic"));
    cr_expect_eq(rq->flags, META_TRUSTED | META_DURABLE | META_INTERNAL);
    cr_expect_eq(rq->args.len, 0, "an empty list is an empty object");
    meta_request_free(&rq);
    buf_clear(&item);
    put(&item, "source", "x");
    put(&item, "vhost", "v");
    put(&item, "destination", "d");
    put(&item, "routing_key", "k");
    rq = request_of(DEFINITION_BINDINGS, &item, SLICE_EMPTY);
    cr_expect_eq(rq->verb, META_BIND);
    cr_expect(slice_eq_str(rq->source, "x") && slice_eq_str(rq->name, "d") &&
              slice_eq_str(rq->key, "k"));
    meta_request_free(&rq);
    buf_fini(&item);
}

UNIT(noun, requests_of_users_and_rights)
{
    struct buf item = BUF_INIT, tags = BUF_INIT;
    array_put_str(&tags, SLICE("a"));
    array_put_str(&tags, SLICE("b"));
    put(&item, "name", "u");
    put(&item, "password_hash", "h");
    put(&item, "hashing_algorithm", "rabbit_password_hashing_sha512");
    table_put_array(&item, SLICE("tags"), buf_slice(&tags));
    struct meta_request *rq = request_of(DEFINITION_USERS, &item, SLICE_EMPTY);
    cr_expect_eq(rq->verb, META_USER_PUT);
    cr_expect(slice_eq_str(rq->type, "a,b"), "tags");
    cr_expect(slice_eq_str(rq->hash, "h"));
    cr_expect(slice_eq_str(rq->algorithm, "rabbit_password_hashing_sha512"));
    cr_expect_null(rq->key.data, "no password");
    meta_request_free(&rq);
    buf_clear(&item);
    put(&item, "user", "u");
    put(&item, "vhost", "v");
    put(&item, "exchange", "x");
    put(&item, "configure", "c");
    put(&item, "write", "w");
    put(&item, "read", "");
    rq = request_of(DEFINITION_PERMISSIONS, &item, SLICE_EMPTY);
    cr_expect_eq(rq->verb, META_PERMISSION_SET);
    cr_expect(slice_eq_str(rq->name, "u") && slice_eq_str(rq->configure, "c") &&
              slice_eq_str(rq->write, "w") && rq->read.data && !rq->read.len);
    meta_request_free(&rq);
    rq = request_of(DEFINITION_TOPIC_PERMISSIONS, &item, SLICE_EMPTY);
    cr_expect_eq(rq->verb, META_TOPIC_PERMISSION_SET);
    cr_expect(slice_eq_str(rq->source, "x") && slice_eq_str(rq->write, "w"));
    meta_request_free(&rq);
    buf_fini(&item);
    buf_fini(&tags);
}

UNIT(noun, requests_of_policies_and_parameters)
{
    struct buf item = BUF_INIT;
    put(&item, "name", "n");
    put(&item, "vhost", "v");
    put(&item, "pattern", "^q");
    put(&item, "apply-to", "queues");
    put(&item, "component", "c");
    struct meta_request *rq = request_of(DEFINITION_POLICIES, &item, SLICE_EMPTY);
    cr_expect_eq(rq->verb, META_POLICY_SET);
    cr_expect(slice_eq_str(rq->pattern, "^q") && slice_eq_str(rq->apply_to, "queues"));
    meta_request_free(&rq);
    rq = request_of(DEFINITION_PARAMETERS, &item, SLICE_EMPTY);
    cr_expect_eq(rq->verb, META_PARAMETER_SET);
    cr_expect(slice_eq_str(rq->source, "c") && !(rq->flags & META_GLOBAL));
    meta_request_free(&rq);
    rq = request_of(DEFINITION_GLOBAL_PARAMETERS, &item, SLICE_EMPTY);
    cr_expect(rq->flags & META_GLOBAL);
    cr_expect_eq(rq->vhost.len, 0);
    meta_request_free(&rq);
    rq = request_of(DEFINITION_VHOSTS, &item, SLICE("ignored"));
    cr_expect_eq(rq->verb, META_VHOST_PUT);
    cr_expect(slice_eq_str(rq->name, "n") && !rq->vhost.len);
    meta_request_free(&rq);
    buf_fini(&item);
}
