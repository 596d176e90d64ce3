/* What is read is checked as a whole, then put, in portions: what comes of it, what is told, what
 * is refused and what it leaves behind. Then the way back. */
#include "base/digest.h"
#include "base/json.h"
#include "rig.h"

#include <dirent.h>
#include <stdlib.h>

static const struct slice everywhere; /* no single virtual host */

static void put(struct world *w, const char *text, const char *said)
{
    struct buf out = BUF_INIT;
    struct failure why;
    cr_assert_eq(rig_put(w, slice_str(text), everywhere, 7, &out, &why), ERR_NONE, "%s: %s", text,
                 why.text);
    cr_expect_str_eq(buf_cstr(&out), said, "%s", text);
    buf_fini(&out);
}

static void refuse(struct world *w, const char *text, enum err code, const char *reason)
{
    struct failure why;
    cr_expect_eq(rig_put(w, slice_str(text), everywhere, 7, NULL, &why), code, "%s", text);
    cr_expect_str_eq(why.text, reason, "%s", text);
}

/* A value of the one row of a noun whose column "name" is that; "" if there is none. */
struct wanted {
    const char *name, *column;
    char value[512];
};

static bool find_row(const struct meta_row *row, void *arg)
{
    struct wanted *w = arg;
    struct buf text = BUF_INIT;
    struct slice name;
    if (!meta_row_put_definition(row, &text) ||
        !table_find_str(buf_slice(&text), SLICE("name"), &name) || !slice_eq_str(name, w->name)) {
        buf_fini(&text);
        return true;
    }
    struct table_value v = {.type = TABLE_VOID};
    struct buf out = BUF_INIT;
    (void)table_find(buf_slice(&text), slice_str(w->column), &v);
    if (v.type == TABLE_LONGSTR)
        buf_append_slice(&out, v.bytes);
    else
        json_put_value(&out, &v);
    snprintf(w->value, sizeof w->value, "%s", buf_cstr(&out));
    buf_fini(&out);
    buf_fini(&text);
    return false;
}

static const char *value_of(struct world *w, enum meta_noun noun, const char *name,
                            const char *column)
{
    static struct wanted wanted;
    wanted = (struct wanted){.name = name, .column = column};
    struct meta_cursor cursor = meta_cursor_begin(w->node, noun, SLICE_EMPTY);
    while (meta_cursor_next(w->node, &cursor, SIZE_MAX, find_row, &wanted))
        ;
    return wanted.value;
}

/* ---- every list ---- */

static const char all[] =
    "{\"rabbitmq_version\":\"4.1.0\","
    "\"bindings\":[{\"source\":\"x\",\"vhost\":\"v\",\"destination\":\"q\",\"routing_key\":\"k\"},"
    "{\"source\":\"amq.topic\",\"vhost\":\"v\",\"destination\":\"x\",\"destination_type\":"
    "\"exchange\",\"routing_key\":\"#\",\"arguments\":{}}],"
    "\"queues\":[{\"name\":\"q\",\"vhost\":\"v\",\"durable\":true,\"arguments\":{\"x-max-length\":"
    "10}},{\"name\":\"qq\",\"vhost\":\"v\",\"type\":\"quorum\",\"arguments\":[]}],"
    "\"parameters\":[{\"vhost\":\"v\",\"component\":\"vhost-limits\",\"name\":\"limits\",\"value\":"
    "{\"max-queues\":70}},{\"vhost\":\"v\",\"component\":\"operator_policy\",\"name\":\"o\","
    "\"value\":{\"pattern\":\"^q\",\"apply-to\":\"queues\",\"priority\":3,\"definition\":"
    "{\"max-length\":9}}}],"
    "\"policies\":[{\"vhost\":\"v\",\"name\":\"p\",\"pattern\":\".*\",\"apply-to\":\"all\","
    "\"definition\":[[\"max-length\",5],[\"expires\",1000]],\"priority\":2}],"
    "\"global_parameters\":[{\"name\":\"g\",\"value\":[1,\"two\",null]}],"
    "\"exchanges\":[{\"name\":\"x\",\"vhost\":\"v\",\"type\":\"fanout\",\"durable\":true,"
    "\"internal\":true}],"
    "\"topic_permissions\":[{\"user\":\"u\",\"vhost\":\"v\",\"exchange\":\"amq.topic\",\"write\":"
    "\"^a\",\"read\":\"^b\"}],"
    "\"permissions\":[{\"user\":\"u\",\"vhost\":\"v\",\"configure\":\"c\",\"write\":\"w\","
    "\"read\":\"r\"}],"
    "\"users\":[{\"name\":\"u\",\"password\":\"pw\",\"tags\":\"administrator, monitoring\","
    "\"limits\":{\"max-channels\":5}}],"
    "\"vhosts\":[{\"name\":\"v\",\"description\":\"d\",\"tags\":[\"t\"],\"default_queue_type\":"
    "\"quorum\",\"limits\":[]}]}";
static const char all_put[] =
    "1 virtual hosts, 1 users, 1 permissions, 1 topic permissions, 1 exchanges, 1 global "
    "parameters, 1 policies, 2 parameters, 2 queues, 2 bindings";

UNIT(import, every_list_whatever_their_order)
{
    struct world *w = world_new();
    put(w, all, all_put);
    cr_expect_str_eq(value_of(w, META_VHOSTS, "v", "description"), "d");
    cr_expect_str_eq(value_of(w, META_VHOSTS, "v", "default_queue_type"), "quorum");
    cr_expect_str_eq(value_of(w, META_USERS, "u", "tags"), "[\"administrator\",\"monitoring\"]");
    cr_expect_str_eq(value_of(w, META_USERS, "u", "limits"), "{\"max-channels\":5}");
    cr_expect_eq(access_login(routing_of(node_shard(w->node, 0)), SLICE("u"), SLICE("pw"), true),
                 AUTH_OK);
    cr_expect_eq(count(w, META_PERMISSIONS), 1);
    cr_expect_eq(count(w, META_TOPIC_PERMISSIONS), 1);
    cr_expect_str_eq(value_of(w, META_EXCHANGES, "x", "internal"), "true");
    cr_expect_str_eq(value_of(w, META_POLICIES, "p", "priority"), "2");
    cr_expect_str_eq(value_of(w, META_POLICIES, "p", "definition"),
                     "{\"expires\":1000,\"max-length\":5}");
    cr_expect_str_eq(value_of(w, META_OPERATOR_POLICIES, "o", "component"), "operator_policy");
    cr_expect_str_eq(value_of(w, META_VHOSTS, "v", "limits"), "{\"max-queues\":70}");
    cr_expect_str_eq(value_of(w, META_QUEUES, "q", "arguments"),
                     "{\"x-max-length\":10,\"x-queue-type\":\"quorum\"}");
    cr_expect_str_eq(value_of(w, META_QUEUES, "qq", "type"), "quorum");
    cr_expect_str_eq(value_of(w, META_GLOBAL_PARAMETERS, "g", "value"), "[1,\"two\",null]");
    /* again: what can be put twice is, the rest is there */
    put(w, all,
        "1 virtual hosts, 1 users, 1 permissions, 1 topic permissions, 1 global parameters, 1 "
        "policies, 2 parameters; there already: 5");
    world_free(&w);
}

/* However many are put at a time, the outcome is the same. */
UNIT(import, portions)
{
    struct buf first = BUF_INIT, other = BUF_INIT;
    struct failure why;
    for (size_t max = 1; max < 30; max += 4) {
        struct world *w = world_new();
        cr_assert_eq(rig_put(w, slice_str(all), everywhere, max, NULL, &why), ERR_NONE, "%s",
                     why.text);
        /* the hash of a password has a salt of its own */
        struct meta_request *rq = request(w, META_USER_PUT, 0);
        meta_request_set(&rq->name, SLICE("u"));
        meta_request_set(&rq->hash, SLICE("oWrXXIielgMDQYnaxnDNBPvmOFEZjpscnv0BimYekKNcGnWJ"));
        must(do_request(w, rq));
        buf_clear(&other);
        rig_export(w, everywhere, max, &other);
        if (!first.len)
            buf_append_slice(&first, buf_slice(&other));
        cr_assert_str_eq(buf_cstr(&other), buf_cstr(&first), "portions of %zu", max);
        world_free(&w);
    }
    buf_fini(&first);
    buf_fini(&other);
}

/* ---- what is left out, with a warning ---- */

UNIT(import, left_out)
{
    struct world *w = world_new();
    put(w,
        "{\"queues\":[{\"name\":\"amq.gen-1\",\"vhost\":\"/\"}],\"exchanges\":[{\"name\":"
        "\"amq.mine\",\"vhost\":\"/\",\"type\":\"direct\"},{\"name\":\"\",\"vhost\":\"/\","
        "\"type\":\"direct\"}]}",
        "exchanges[0] (line 1): an exchange whose name begins with 'amq.' is not imported\n"
        "exchanges[1] (line 1): the default exchange is not imported\n"
        "queues[0] (line 1): a queue whose name begins with 'amq.' is not imported\n"
        "nothing; left out: 3");
    put(w,
        "{\"parameters\":[{\"vhost\":\"/\",\"component\":\"stomp\",\"name\":\"s\",\"value\":{}}]}",
        "parameters[0] (line 1): component stomp not found; left out\nnothing; left out: 1");
    put(w,
        "{\"bindings\":[{\"source\":\"nosuch\",\"vhost\":\"/\",\"destination\":\"q\"},\n"
        "{\"source\":\"amq.direct\",\"vhost\":\"/\",\"destination\":\"q\"}]}",
        "bindings[0] (line 1): no exchange 'nosuch' in vhost '/'; left out\n"
        "bindings[1] (line 2): no queue 'q' in vhost '/'; left out\n"
        "nothing; left out: 2");
    cr_expect_eq(count(w, META_QUEUES), 0);
    world_free(&w);
}

UNIT(import, keys_of_policies_that_nobody_knows)
{
    struct world *w = world_new();
    put(w,
        "{\"policies\":[{\"vhost\":\"/\",\"name\":\"p\",\"pattern\":\"\",\"definition\":"
        "{\"max-length\":1,\"odd\":2,\"odder\":3}},\n{\"vhost\":\"/\",\"name\":\"q\","
        "\"pattern\":\"\",\"definition\":[[\"odd\",2]]}],\n\"parameters\":[{\"vhost\":\"/\","
        "\"component\":\"operator_policy\",\"name\":\"o\",\"value\":{\"pattern\":\"\","
        "\"definition\":{\"max-length\":2,\"dead-letter-exchange\":\"x\"}}}]}",
        "policies[0] (line 1): no such keys of policies are known: odd, odder; left out\n"
        "policies[1] (line 2): no such keys of policies are known: odd; left out, and the policy, "
        "which has no others\n"
        "parameters[0] (line 3): no such keys of policies are known: dead-letter-exchange; left "
        "out\n"
        "1 policies, 1 parameters; left out: 1");
    cr_expect_str_eq(value_of(w, META_POLICIES, "p", "definition"), "{\"max-length\":1}");
    cr_expect_str_eq(value_of(w, META_OPERATOR_POLICIES, "o", "value"),
                     "{\"pattern\":\"\",\"apply-to\":\"all\",\"definition\":{\"max-length\":"
                     "2},\"priority\":0}");
    world_free(&w);
}

UNIT(import, what_is_there_stays)
{
    struct world *w = world_new();
    must(do_queue(w, "q", META_DURABLE, "x-max-length:I=3"));
    must(do_exchange(w, "x", "fanout", META_DURABLE, ""));
    struct buf out = BUF_INIT;
    struct failure why;
    cr_assert_eq(
        rig_put(w,
                SLICE("{\"queues\":[{\"name\":\"q\",\"vhost\":\"/\",\"durable\":true,"
                      "\"arguments\":{\"x-max-length\":4}}],\"exchanges\":[{\"name\":\"x\","
                      "\"vhost\":\"/\",\"type\":\"topic\"}]}"),
                everywhere, 7, &out, &why),
        ERR_NONE, "%s", why.text);
    cr_expect_not_null(strstr(buf_cstr(&out), "inequivalent arg 'type' for exchange 'x'"));
    cr_expect_not_null(strstr(buf_cstr(&out), "inequivalent arg 'x-max-length' for queue 'q'"));
    cr_expect_not_null(strstr(buf_cstr(&out), "; what is there stays as it is\n"));
    cr_expect_not_null(strstr(buf_cstr(&out), "nothing; there already: 2"));
    cr_expect_str_eq(value_of(w, META_QUEUES, "q", "arguments"), "{\"x-max-length\":3}");
    buf_fini(&out);
    world_free(&w);
}

/* ---- what is refused ---- */

UNIT(import, nothing_is_put_while_names_are_unknown)
{
    struct world *w = world_new();
    refuse(w,
           "{\"queues\":[{\"name\":\"a\",\"vhost\":\"/\"},\n{\"name\":\"b\",\"vhost\":\"none\"}]}",
           ERR_NOT_FOUND,
           "queues[1] (line 2): Please create virtual host \"none\" prior to importing "
           "definitions.");
    refuse(w,
           "{\"queues\":[{\"name\":\"a\",\"vhost\":\"/\"}],\"permissions\":[{\"user\":\"none\","
           "\"vhost\":\"/\",\"configure\":\"\",\"write\":\"\",\"read\":\"\"}]}",
           ERR_NOT_FOUND, "permissions[0] (line 1): User \"none\" does not exist");
    refuse(
        w,
        "{\"queues\":[{\"name\":\"a\",\"vhost\":\"/\"}],\"topic_permissions\":[{\"user\":\"none\","
        "\"vhost\":\"/\",\"exchange\":\"\",\"write\":\"\",\"read\":\"\"}]}",
        ERR_NOT_FOUND, "topic_permissions[0] (line 1): User \"none\" does not exist");
    cr_expect_eq(count(w, META_QUEUES), 0);
    /* they may come along, wherever they stand */
    put(w,
        "{\"permissions\":[{\"user\":\"u\",\"vhost\":\"n\",\"configure\":\"\",\"write\":\"\","
        "\"read\":\"\"}],\"users\":[{\"name\":\"u\"}],\"vhosts\":[{\"name\":\"n\"}]}",
        "1 virtual hosts, 1 users, 1 permissions");
    world_free(&w);
}

UNIT(import, refused_while_it_is_put)
{
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"{\"queues\":[{\"name\":\"\",\"vhost\":\"/\"}]}",
         "queues[0] (line 1): a queue without a name; put before: nothing"},
        {"{\"bindings\":[{\"source\":\"amq.direct\",\"vhost\":\"/\",\"destination\":\"q\","
         "\"destination_type\":\"topic\"}]}",
         "bindings[0] (line 1): destination_type is neither queue nor exchange: 'topic'; put "
         "before: nothing"},
        {"{\"policies\":[{\"vhost\":\"/\",\"name\":\"p\",\"pattern\":\"\",\"definition\":"
         "{\"max-length\":1},\"priority\":1.5}]}",
         "policies[0] (line 1): priority is no whole number; put before: nothing"},
        {"{\"parameters\":[{\"vhost\":\"/\",\"component\":\"operator_policy\",\"name\":\"o\","
         "\"value\":7}]}",
         "parameters[0] (line 1): the value of an operator policy is no object; put before: "
         "nothing"},
        {"{\"vhosts\":[{\"name\":\"a\",\"default_queue_type\":\"odd\"}]}",
         "vhosts[0] (line 1): unsupported queue type 'odd'; put before: nothing"},
        {"{\"users\":[{\"name\":\"a\",\"password_hash\":\"!\",\"hashing_algorithm\":"
         "\"rabbit_password_hashing_sha256\"}]}",
         "users[0] (line 1): not a password hash of rabbit_password_hashing_sha256; put before: "
         "nothing"},
        {"{\"users\":[{\"name\":\"a\",\"password_hash\":\"\",\"hashing_algorithm\":\"rot13\"}]}",
         "users[0] (line 1): unknown password hashing algorithm 'rot13'; put before: nothing"},
        {"{\"users\":[{\"name\":\"\"}]}",
         "users[0] (line 1): user cannot be an empty string; put before: nothing"},
        {"{\"vhosts\":[{\"name\":\"a\"}],\"users\":[{\"name\":\"u\",\"limits\":"
         "{\"max-channels\":\"x\"}}]}",
         "users[0] (line 1): max-channels should be a number, actually was <<\"x\">>; put before: "
         "1 virtual hosts"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world *w = world_new();
        struct failure why;
        cr_expect_neq(rig_put(w, slice_str(cases[i].text), everywhere, 7, NULL, &why), ERR_NONE,
                      "%s", cases[i].text);
        cr_expect_str_eq(why.text, cases[i].reason, "%s", cases[i].text);
        world_free(&w);
    }
}

/* ---- fields with a meaning of their own ---- */

UNIT(import, passwords)
{
    struct world *w = world_new();
    const struct routing *r = routing_of(node_shard(w->node, 0));
    static const char sha256[] = "oWrXXIielgMDQYnaxnDNBPvmOFEZjpscnv0BimYekKNcGnWJ"; /* of "pw" */
    char text[500];
    snprintf(text, sizeof text, "{\"users\":[{\"name\":\"a\",\"password_hash\":\"%s\"}]}", sha256);
    put(w, text, "1 users");
    cr_expect_eq(access_login(r, SLICE("a"), SLICE("pw"), true), AUTH_OK);
    char *md5 = digest_password_new(DIGEST_MD5, SLICE("old"));
    snprintf(text, sizeof text,
             "{\"rabbit_version\":\"3.5.7\",\"users\":[{\"name\":\"a\",\"password_hash\":\"%s\","
             "\"tags\":\"\"}]}",
             md5);
    put(w, text, "1 users");
    cr_expect_eq(access_login(r, SLICE("a"), SLICE("old"), true), AUTH_OK);
    cr_expect_neq(access_login(r, SLICE("a"), SLICE("pw"), true), AUTH_OK);
    /* a password goes before a hash; one that is right already leaves the hash alone */
    snprintf(text, sizeof text,
             "{\"users\":[{\"name\":\"a\",\"password\":\"old\",\"password_hash\":\"%s\"}]}",
             sha256);
    put(w, text, "1 users");
    cr_expect_eq(access_login(r, SLICE("a"), SLICE("old"), true), AUTH_OK);
    cr_expect_str_eq(value_of(w, META_USERS, "a", "hashing_algorithm"),
                     "rabbit_password_hashing_md5");
    put(w, "{\"users\":[{\"name\":\"a\",\"password\":\"new\"}]}", "1 users");
    cr_expect_eq(access_login(r, SLICE("a"), SLICE("new"), true), AUTH_OK);
    cr_expect_str_eq(value_of(w, META_USERS, "a", "hashing_algorithm"),
                     "rabbit_password_hashing_sha256");
    /* an empty hash: nobody gets in */
    put(w, "{\"users\":[{\"name\":\"a\",\"password_hash\":\"\"}]}", "1 users");
    cr_expect_neq(access_login(r, SLICE("a"), SLICE("new"), true), AUTH_OK);
    cr_expect_neq(access_login(r, SLICE("a"), SLICE(""), true), AUTH_OK);
    free(md5);
    world_free(&w);
}

UNIT(import, metadata_of_vhosts)
{
    struct world *w = world_new();
    put(w,
        "{\"vhosts\":[{\"name\":\"a\",\"metadata\":{\"description\":\"in\",\"tags\":[\"x\",\"y\"],"
        "\"default_queue_type\":\"stream\",\"protected_from_deletion\":true}},"
        "{\"name\":\"b\",\"description\":\"out\",\"tags\":\"z\",\"metadata\":{\"description\":"
        "\"in\"},\"default_queue_type\":null},"
        "{\"name\":\"c\",\"metadata\":{\"default_queue_type\":\"undefined\"},\"limits\":"
        "{\"max-connections\":7}},{\"name\":\"d\",\"limits\":[[\"max-queues\",8]]}]}",
        "4 virtual hosts");
    cr_expect_str_eq(value_of(w, META_VHOSTS, "a", "description"), "in");
    cr_expect_str_eq(value_of(w, META_VHOSTS, "a", "tags"), "[\"x\",\"y\"]");
    cr_expect_str_eq(value_of(w, META_VHOSTS, "a", "default_queue_type"), "stream");
    cr_expect_str_eq(value_of(w, META_VHOSTS, "a", "protected_from_deletion"), "true");
    cr_expect_str_eq(value_of(w, META_VHOSTS, "b", "description"), "out");
    cr_expect_str_eq(value_of(w, META_VHOSTS, "b", "tags"), "[\"z\"]");
    cr_expect_str_eq(value_of(w, META_VHOSTS, "c", "limits"), "{\"max-connections\":7}");
    cr_expect_str_eq(value_of(w, META_VHOSTS, "d", "limits"), "{\"max-queues\":8}");
    world_free(&w);
}

/* ---- one virtual host ---- */

UNIT(import, into_one_vhost)
{
    struct world *w = world_new();
    struct buf out = BUF_INIT;
    struct failure why;
    must(do_vhost(w, "one", 0));
    cr_assert_eq(rig_put(w, slice_str(all), SLICE("one"), 7, &out, &why), ERR_NONE, "%s", why.text);
    cr_expect_str_eq(buf_cstr(&out),
                     "vhosts[0] (line 1): belongs to no single virtual host; left out\n"
                     "users[0] (line 1): belongs to no single virtual host; left out\n"
                     "permissions[0] (line 1): belongs to no single virtual host; left out\n"
                     "topic_permissions[0] (line 1): belongs to no single virtual host; left out\n"
                     "global_parameters[0] (line 1): belongs to no single virtual host; left out\n"
                     "1 exchanges, 1 policies, 2 parameters, 2 queues, 2 bindings; left out: 5");
    cr_expect_str_eq(value_of(w, META_QUEUES, "q", "vhost"), "one");
    cr_expect_neq(rig_put(w, slice_str(all), SLICE("none"), 7, NULL, &why), ERR_NONE);
    cr_expect_not_null(strstr(why.text, "create virtual host \"none\""), "%s", why.text);
    buf_fini(&out);
    world_free(&w);
}

/* ---- unchanged ---- */

UNIT(import, digest_of_a_file)
{
    struct world *w = world_new();
    struct failure why;
    struct import *a = rig_read(slice_str(all), IMPORT_CHUNK, everywhere, &why);
    cr_expect_not(import_is_unchanged(a, w->node, SLICE("f")));
    import_remember(a, w->node, SLICE("f"));
    cr_expect(import_is_unchanged(a, w->node, SLICE("f")));
    cr_expect_not(import_is_unchanged(a, w->node, SLICE("g")));
    struct import *b = rig_read(SLICE("{}"), IMPORT_CHUNK, everywhere, &why);
    cr_expect_not(import_is_unchanged(b, w->node, SLICE("f")));
    import_free(&a);
    import_free(&b);
    world_free(&w);
}

/* ---- from the configuration ---- */

static void add(struct import *im, enum definition which, const char *name, const char *key,
                const char *value)
{
    struct buf item = BUF_INIT;
    struct failure why;
    table_put_str(&item, SLICE("name"), slice_str(name));
    table_put_str(&item, SLICE("vhost"), SLICE("/"));
    table_put_str(&item, slice_str(key), slice_str(value));
    cr_assert_eq(import_add(im, which, "conf.yaml:3", buf_slice(&item), &why), ERR_NONE, "%s",
                 why.text);
    buf_fini(&item);
}

UNIT(import, from_the_configuration)
{
    static const enum import_origin from[] = {IMPORT_FIRST_START, IMPORT_LATER_START};
    struct buf item = BUF_INIT;
    struct failure why;
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        struct world *w = world_new();
        struct import *im = import_new(from[i], SLICE_EMPTY);
        must(do_exchange(w, "x", "fanout", META_DURABLE, ""));
        cr_assert_neq(import_add(im, DEFINITION_QUEUES, "conf.yaml:2", buf_slice(&item), &why),
                      ERR_NONE);
        cr_expect_str_eq(why.text, "conf.yaml:2: name is missing");
        add(im, DEFINITION_EXCHANGES, "x", "type", "topic");
        add(im, DEFINITION_QUEUES, "amq.q", "type", "classic");
        enum err err = ERR_NONE;
        while (!err && !import_is_done(im))
            err = import_step(im, w->node, meta_apply, SIZE_MAX, &why);
        struct slice warnings = import_take_warnings(im);
        if (from[i] == IMPORT_FIRST_START) {
            cr_expect_neq(err, ERR_NONE);
            cr_expect_eq(strncmp(why.text, "conf.yaml:3: inequivalent", 25), 0, "%s", why.text);
        } else {
            cr_expect_eq(err, ERR_NONE, "%s", why.text);
            cr_expect(slice_starts(warnings, SLICE("conf.yaml:3: inequivalent arg 'type'")));
        }
        slice_free(&warnings);
        import_free(&im);
        world_free(&w);
    }
    buf_fini(&item);
}

/* ---- out, in and out again ---- */

/* What a broker makes of a text, put into an empty one, is the text. */
static void round_trip(const struct buf *text, struct slice vhost)
{
    struct world *w = world_new();
    struct buf again = BUF_INIT, said = BUF_INIT;
    struct failure why;
    if (vhost.len)
        must(do_vhost(w, "copy", 0));
    cr_assert_eq(rig_put(w, buf_slice(text), vhost, 3, &said, &why), ERR_NONE, "%s", why.text);
    cr_expect(said.len < 2 || !memchr(said.data, '\n', said.len), "warnings: %s", buf_cstr(&said));
    rig_export(w, vhost, 5, &again);
    if (!vhost.len)
        cr_expect(slice_eq(buf_slice(text), buf_slice(&again)), "%s\n%s", (const char *)text->data,
                  buf_cstr(&again));
    buf_fini(&again);
    buf_fini(&said);
    world_free(&w);
}

static const char rich[] =
    "{\"vhosts\":[{\"name\":\"/\",\"description\":\"Default virtual host\",\"tags\":[]},"
    "{\"name\":\"v \\u2603\",\"description\":\"\\\"q\\\"\\n\",\"tags\":[\"a\",\"b\"],"
    "\"default_queue_type\":\"quorum\",\"limits\":{\"max-connections\":-1,\"max-queues\":100}}],"
    "\"users\":[{\"name\":\"\\ud83d\\ude00\",\"password_hash\":\"\",\"tags\":[\"administrator\"],"
    "\"limits\":{\"max-connections\":3}},{\"name\":\"h\",\"password_hash\":"
    "\"oWrXXIielgMDQYnaxnDNBPvmOFEZjpscnv0BimYekKNcGnWJ\",\"hashing_algorithm\":"
    "\"rabbit_password_hashing_sha256\",\"tags\":\"management\"}],"
    "\"permissions\":[{\"user\":\"h\",\"vhost\":\"/\",\"configure\":\"\",\"write\":\"^(a|b)$\","
    "\"read\":\".*\"},{\"user\":\"h\",\"vhost\":\"v \\u2603\",\"configure\":\".*\",\"write\":"
    "\"\",\"read\":\"\"}],"
    "\"topic_permissions\":[{\"user\":\"h\",\"vhost\":\"/\",\"exchange\":\"amq.topic\",\"write\":"
    "\"^{username}\\\\.\",\"read\":\"^b\"}],"
    "\"global_parameters\":[{\"name\":\"cluster_name\",\"value\":\"x\"},{\"name\":\"deep\","
    "\"value\":{\"a\":[1,[2,[3,{\"b\":null,\"c\":true,\"d\":1.5}]]]}}],"
    "\"policies\":[{\"vhost\":\"/\",\"name\":\"p\",\"pattern\":\"^q\",\"apply-to\":\"queues\","
    "\"definition\":{\"max-length\":5,\"overflow\":\"reject-publish\"},\"priority\":-7}],"
    "\"parameters\":[{\"vhost\":\"/\",\"component\":\"operator_policy\",\"name\":\"o\",\"value\":"
    "{\"pattern\":\".*\",\"apply-to\":\"all\",\"definition\":{\"message-ttl\":0},\"priority\":0}}],"
    "\"exchanges\":[{\"name\":\"e\",\"vhost\":\"/\",\"type\":\"topic\",\"durable\":false,"
    "\"auto_delete\":true,\"internal\":true,\"arguments\":{\"alternate-exchange\":\"amq.fanout\","
    "\"n\":null,\"b\":false,\"i\":-9223372036854775808,\"f\":0.1,\"l\":[],\"t\":{}}}],"
    "\"queues\":[{\"name\":\"q\",\"vhost\":\"/\",\"durable\":true,\"auto_delete\":false,"
    "\"arguments\":{\"x-max-length\":10,\"x-dead-letter-exchange\":\"\"}},{\"name\":\"q\","
    "\"vhost\":\"v \\u2603\",\"durable\":true,\"auto_delete\":false,\"arguments\":"
    "{\"x-queue-type\":\"quorum\"}},{\"name\":\"\\u00fc\",\"vhost\":\"/\",\"durable\":false,"
    "\"auto_delete\":true,\"arguments\":{}}],"
    "\"bindings\":[{\"source\":\"e\",\"vhost\":\"/\",\"destination\":\"q\",\"destination_type\":"
    "\"queue\",\"routing_key\":\"a.*.#\",\"arguments\":{}},{\"source\":\"amq.headers\",\"vhost\":"
    "\"/\",\"destination\":\"\\u00fc\",\"destination_type\":\"queue\",\"routing_key\":\"\","
    "\"arguments\":{\"x-match\":\"any\",\"k\":1,\"m\":\"two\",\"z\":null}},{\"source\":\"amq."
    "topic\","
    "\"vhost\":\"/"
    "\",\"destination\":\"e\",\"destination_type\":\"exchange\",\"routing_key\":\"\\n\","
    "\"arguments\":{}}]}";

UNIT(export, what_comes_out_goes_in_and_comes_out)
{
    struct world *w = world_new();
    struct buf text = BUF_INIT, portion = BUF_INIT, said = BUF_INIT;
    struct failure why;
    cr_assert_eq(rig_put(w, slice_str(rich), everywhere, 4, &said, &why), ERR_NONE, "%s", why.text);
    cr_expect_str_eq(buf_cstr(&said),
                     "2 virtual hosts, 2 users, 2 permissions, 1 topic permissions, 1 exchanges, "
                     "2 global parameters, 1 policies, 1 parameters, 3 queues, 3 bindings");
    rig_export(w, everywhere, SIZE_MAX, &text);
    static const size_t portions[] = {1, 2, 3, 10};
    for (size_t i = 0; i < sizeof portions / sizeof *portions; i++) {
        buf_clear(&portion);
        rig_export(w, everywhere, portions[i], &portion);
        cr_assert_str_eq(buf_cstr(&portion), buf_cstr(&text), "portions of %zu", portions[i]);
    }
    buf_clear(&portion);
    rig_export(w, SLICE("/"), 2, &portion);
    world_free(&w);
    round_trip(&text, everywhere);
    cr_expect_null(strstr(buf_cstr(&portion), "\"vhost\":"));
    cr_expect_not_null(strstr(buf_cstr(&portion), "\"original_vhost_name\":\"/\""));
    round_trip(&portion, SLICE("copy"));
    buf_fini(&text);
    buf_fini(&portion);
    buf_fini(&said);
}

UNIT(export, of_an_empty_broker)
{
    struct world *w = world_new();
    struct buf text = BUF_INIT;
    rig_export(w, everywhere, 1, &text);
    cr_expect_not_null(strstr(buf_cstr(&text), ",\n\"users\":[],\n\"vhosts\":[\n"), "%s",
                       buf_cstr(&text));
    cr_expect_not_null(strstr(buf_cstr(&text), ",\n\"bindings\":[]}\n"), "%s", buf_cstr(&text));
    cr_expect_null(strstr(buf_cstr(&text), "amq."), "%s", buf_cstr(&text));
    world_free(&w);
    round_trip(&text, everywhere);
    buf_fini(&text);
}

/* Every file that RabbitMQ writes, version by version. */
UNIT(export, files_of_rabbitmq)
{
    static const char corpus[] = "tests/fuzz/corpus/definitions";
    const char *srcdir = getenv("srcdir");
    char path[4096];
    unsigned files = 0;
    snprintf(path, sizeof path, "%s/%s", srcdir ? srcdir : ".", corpus);
    DIR *dir = opendir(path);
    cr_assert_not_null(dir, "%s", path);
    for (struct dirent *entry; (entry = readdir(dir));) {
        const char *end = strrchr(entry->d_name, '.');
        if (strncmp(entry->d_name, "rabbitmq-", 9) != 0 || !end || strcmp(end, ".json") != 0)
            continue;
        bool single = strstr(entry->d_name, "-vhost") != NULL;
        struct slice vhost = single ? SLICE("one") : SLICE_EMPTY;
        struct world *w = world_new();
        struct buf text = BUF_INIT, out = BUF_INIT;
        struct failure why;
        must(do_vhost(w, "one", 0));
        snprintf(path, sizeof path, "%s/%s", corpus, entry->d_name);
        rig_load(path, &text);
        cr_expect_eq(rig_put(w, buf_slice(&text), vhost, 10, NULL, &why), ERR_NONE, "%s: %s",
                     entry->d_name, why.text);
        rig_export(w, vhost, 10, &out);
        world_free(&w);
        if (!single)
            round_trip(&out, everywhere);
        buf_fini(&text);
        buf_fini(&out);
        files++;
    }
    closedir(dir);
    cr_assert(files >= 8, "%u files", files);
}
