/* Vhosts and listings. */
#include "unit.h"
#include "world.h"

static enum err delete_vhost(struct world *w, const char *name)
{
    struct meta_request *rq = request(w, META_VHOST_DELETE, 0);
    meta_request_set(&rq->name, slice_str(name));
    return do_request(w, rq);
}

UNIT(vhost, put_and_delete)
{
    struct world *w = world_new();
    must(do_vhost(w, "v", META_CREATE_ONLY));
    cr_expect(w->created);
    must(do_vhost(w, "v", 0));
    cr_expect(!w->created);
    wont(do_vhost(w, "v", META_CREATE_ONLY), ERR_PRECONDITION_FAILED,
         "Virtual host \"v\" already exists");
    wont(do_vhost(w, "nosuch", META_MUST_EXIST), ERR_NOT_FOUND,
         "Virtual host \"nosuch\" does not exist");
    cr_expect_eq(count(w, META_EXCHANGES), 14);
    must(do_user(w, "u", "pw", "", 0));
    must(do_permission(w, "u", ".*", ".*", ".*"));
    must(do_topic_permission(w, "u", "amq.topic", ".*", ".*"));
    must(do_queue(w, "q", 0, ""));
    must(do_queue(w, "x", META_EXCLUSIVE, ""));
    must(do_bind(w, "amq.direct", "q", "k", 0, ""));
    must(do_bind(w, "amq.direct", "amq.topic", "k", META_TO_EXCHANGE, ""));
    must(delete_vhost(w, "/"));
    wont(delete_vhost(w, "/"), ERR_NOT_FOUND, "Virtual host \"/\" does not exist");
    cr_expect_eq(count(w, META_EXCHANGES), 7);
    cr_expect_eq(count(w, META_PERMISSIONS), 0);
    cr_expect_eq(count(w, META_TOPIC_PERMISSIONS), 0);
    cr_expect_eq(count(w, META_QUEUES), 0);
    cr_expect_eq(world_bindings, 0);
    must(do_request(w, request(w, META_CONNECTION_DOWN, 0)));
    must(do_vhost(w, "/", 0));
    must(do_queue(w, "q", 0, ""));
    cr_expect_eq(count(w, META_BINDINGS), 1);
    world_free(&w);
}

struct seen {
    enum meta_change_kind kinds[32];
    unsigned n;
    char name[32];
};

static void on_change(void *arg, const struct meta_change *change)
{
    struct seen *seen = arg;
    seen->kinds[seen->n++ % 32] = meta_change_kind(change);
    snprintf(seen->name, sizeof seen->name, "%.*s|%.*s", SLICE_ARG(meta_change_vhost(change)),
             SLICE_ARG(meta_change_name(change)));
}

UNIT(vhost, listeners)
{
    struct world *w = world_new();
    struct routing *routing = routing_of(node_shard(w->node, 1));
    struct seen seen = {.n = 0};
    struct routing_listener listener = {.on_change = on_change, .arg = &seen};
    routing_listen(routing, &listener);
    uint64_t version = routing_version(routing);
    must(do_queue(w, "q", 0, ""));
    cr_expect_gt(routing_version(routing), version);
    cr_expect_eq(seen.n, 1);
    cr_expect_eq(seen.kinds[0], CHANGE_QUEUE_ADDED);
    cr_expect_str_eq(seen.name, "/|q");
    must(do_queue(w, "q", 0, ""));
    cr_expect_eq(seen.n, 1);
    must(do_user(w, "u", "pw", "", 0));
    cr_expect_str_eq(seen.name, "|u");
    must(do_permission(w, "u", "", "", ""));
    cr_expect_str_eq(seen.name, "/|u");
    must(do_delete_queue(w, "q"));
    cr_expect_eq(seen.kinds[3], CHANGE_QUEUE_REMOVED);
    must(delete_vhost(w, "/"));
    cr_expect_eq(seen.kinds[4], CHANGE_VHOST_REMOVED);
    cr_expect_eq(seen.n, 5);
    world_free(&w);
}

/* --- listings --- */

struct line {
    char *key, *text;
};

struct text {
    struct line lines[64];
    size_t count;
    const char *const *columns;
};

static bool print_row(const struct meta_row *row, void *arg)
{
    struct text *t = arg;
    struct buf out = BUF_INIT, key = BUF_INIT;
    for (size_t i = 0; t->columns[i]; i++) {
        struct value v = meta_row_get(row, t->columns[i]);
        if (i)
            buf_append_str(&out, " ");
        if (v.type == VALUE_TEXT)
            buf_append_slice(&out, v.bytes);
        else if (v.type == VALUE_BOOL)
            buf_append_str(&out, v.boolean ? "true" : "false");
        else if (v.type == VALUE_TABLE)
            table_print(v.bytes, &out);
        else
            buf_append_str(&out, "-");
        value_fini(&v);
    }
    meta_row_put_key(row, &key);
    cr_assert_lt(t->count, 64);
    buf_cstr(&key);
    buf_cstr(&out);
    t->lines[t->count++] = (struct line){(char *)key.data, (char *)out.data};
    return t->count % 3 != 0;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(((const struct line *)a)->key, ((const struct line *)b)->key);
}

static void listed(struct world *w, enum meta_noun noun, const char *vhost,
                   const char *const *columns, const char *want)
{
    struct text t = {.columns = columns};
    struct buf out = BUF_INIT;
    struct meta_cursor cursor = meta_cursor_begin(w->node, noun, slice_str(vhost));
    while (meta_cursor_next(w->node, &cursor, 2, print_row, &t))
        ;
    qsort(t.lines, t.count, sizeof *t.lines, compare_lines);
    for (size_t i = 0; i < t.count; i++) {
        buf_printf(&out, "%s\n", t.lines[i].text);
        cr_expect(i == 0 || strcmp(t.lines[i - 1].key, t.lines[i].key), "the same key");
    }
    for (size_t i = 0; i < t.count; i++) {
        free(t.lines[i].key);
        free(t.lines[i].text);
    }
    cr_expect_str_eq(buf_cstr(&out), want);
    buf_fini(&out);
}

#define COLUMNS(...) ((const char *const[]){__VA_ARGS__, NULL})

UNIT(vhost, listings)
{
    struct world *w = world_new();
    must(do_vhost(w, "a", 0));
    must(do_user(w, "u", "pw", "monitoring,x", 0));
    must(do_user(w, "b", "pw", "", 0));
    must(do_permission(w, "u", "c", "w", "r"));
    must(do_topic_permission(w, "u", "amq.topic", "w", "r"));
    must(do_queue(w, "q2", META_DURABLE, "x-max-length:I=1"));
    must(do_queue(w, "q1", META_EXCLUSIVE | META_AUTO_DELETE, ""));
    must(do_exchange(w, "x", "fanout", META_INTERNAL, "alternate-exchange:S=y"));
    must(do_bind(w, "x", "q2", "k", 0, "a:I=1"));
    must(do_bind(w, "amq.direct", "x", "", META_TO_EXCHANGE, ""));
    listed(w, META_VHOSTS, "",
           COLUMNS("name", "tracing", "description", "tags", "default_queue_type", "nosuch"),
           "/ false Default virtual host [] - -\na false  [] - -\n");
    listed(w, META_USERS, "", COLUMNS("user", "tags"), "b []\nu [monitoring, x]\n");
    listed(w, META_PERMISSIONS, "", COLUMNS("user", "configure", "write", "read", "vhost"),
           "u c w r /\n");
    listed(w, META_TOPIC_PERMISSIONS, "/", COLUMNS("user", "exchange", "write", "read"),
           "u amq.topic w r\n");
    listed(w, META_QUEUES, "/",
           COLUMNS("name", "durable", "auto_delete", "arguments", "exclusive", "type"),
           "q1 false true {} true classic\nq2 true false {x-max-length=1} false classic\n");
    listed(w, META_EXCHANGES, "a",
           COLUMNS("name", "type", "durable", "auto_delete", "internal", "arguments", "policy",
                   "user_who_performed_action"),
           " direct true false false {} - rmq-internal\n"
           "amq.direct direct true false false {} - rmq-internal\n"
           "amq.fanout fanout true false false {} - rmq-internal\n"
           "amq.headers headers true false false {} - rmq-internal\n"
           "amq.match headers true false false {} - rmq-internal\n"
           "amq.rabbitmq.trace topic true false true {} - rmq-internal\n"
           "amq.topic topic true false false {} - rmq-internal\n");
    listed(w, META_BINDINGS, "",
           COLUMNS("source_name", "source_kind", "destination_name", "destination_kind",
                   "routing_key", "arguments"),
           " exchange q1 queue q1 {}\n exchange q2 queue q2 {}\n"
           "amq.direct exchange x exchange  {}\nx exchange q2 queue k {a=1}\n");
    listed(w, META_QUEUES, "nosuch", COLUMNS("name"), "");
    cr_expect_str_eq(meta_column(META_USERS, 1), "tags");
    cr_expect_null(meta_column(META_USERS, 2));
    cr_expect_null(meta_column(META_USERS, 20));
    world_free(&w);
}
