/* The master with a store: what is durable comes back, answers wait for it, damage is survived. */
#include "fake_store.h"
#include "unit.h"
#include "world.h"

#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wire_cursor.h"
#include "meta/meta_store.h"
#include "meta/routing_priv.h"
#include "shard/slot.h"

#include <stdlib.h>

/* --- worlds with a store --- */

static struct world *open_world(void)
{
    struct failure why;
    fake_store.on = true;
    log_set_level_all(LOG_NONE_);
    struct world *w = world_new();
    cr_assert_eq(meta_load(w->node, (struct store *)(void *)&fake_store, &why), ERR_NONE, "%s",
                 why.text);
    return w;
}

static void close_world(struct world **w)
{
    world_free(w);
    fake_store.on = false;
}

static struct world *reopen(struct world *w)
{
    fake_store_settle();
    close_world(&w);
    return open_world();
}

/* --- what there is, as text --- */

struct lines {
    char **items;
    size_t count, cap;
    const struct routing *routing;
};

static bool is_durable(const struct lines *l, const struct meta_row *row, enum meta_noun noun)
{
    const struct queue_def *q = row->object;
    const struct exchange *x = row->object;
    const struct binding_def *b = row->object;
    if (noun == META_QUEUES)
        return q->durable;
    if (noun == META_EXCHANGES)
        return x->def->durable;
    if (noun != META_BINDINGS)
        return true;
    struct value source = meta_row_get(row, "source_name");
    bool implicit = !source.bytes.len;
    value_fini(&source);
    if (implicit)
        return q->durable;
    struct vhost *v = routing_find_vhost(l->routing, b->vhost);
    return vhost_find_exchange(v, b->source)->def->durable &&
           (b->to_exchange ? vhost_find_exchange(v, b->destination)->def->durable
                           : vhost_find_queue(v, b->destination)->def->durable);
}

static void put_cell(struct buf *out, const struct value *v)
{
    if (v->type == VALUE_BOOL)
        buf_append_str(out, v->boolean ? "true" : "false");
    else if (v->type == VALUE_INT)
        buf_printf(out, "%lld", (long long)v->integer);
    else if (v->type >= VALUE_TEXT)
        buf_append_slice(out, v->bytes);
    buf_append_byte(out, '|');
}

static enum meta_noun walked;

static bool add_line(const struct meta_row *row, void *arg)
{
    struct lines *l = arg;
    struct buf text = BUF_INIT;
    const char *column;
    if (!is_durable(l, row, walked))
        return true;
    buf_printf(&text, "%d: ", (int)walked);
    for (size_t i = 0; (column = meta_column(walked, i)); i++) {
        struct value v = meta_row_get(row, column);
        put_cell(&text, &v);
        value_fini(&v);
    }
    MEM_GROW(l->items, l->cap, l->count + 1);
    l->items[l->count++] = mem_strdup(buf_cstr(&text));
    buf_fini(&text);
    return true;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Everything durable, in order. */
static struct lines lines_of(struct world *w)
{
    struct lines l = {.routing = routing_of(node_shard(w->node, 0))};
    for (walked = META_VHOSTS; walked <= META_USER_LIMITS; walked++) {
        struct meta_cursor c = meta_cursor_begin(w->node, walked, SLICE_EMPTY);
        while (meta_cursor_next(w->node, &c, 1000, add_line, &l))
            ;
    }
    qsort(l.items, l.count, sizeof *l.items, compare_lines);
    return l;
}

static void lines_fini(struct lines *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i]);
    free(l->items);
}

static void same_lines(struct lines *a, struct lines *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++)
        cr_assert_str_eq(a->items[i], b->items[i]);
    cr_assert_eq(a->count, b->count);
    lines_fini(a);
    lines_fini(b);
}

/* A restart changes nothing of what is durable; nothing else is there after it. */
static struct world *restart(struct world *w)
{
    struct lines before = lines_of(w);
    w = reopen(w);
    struct lines after = lines_of(w);
    same_lines(&before, &after);
    return w;
}

static void done(struct world **w)
{
    fake_store_settle();
    close_world(w);
    fake_store_fini();
}

static uint64_t id_of(struct world *w, const char *name)
{
    struct vhost *v = routing_find_vhost(routing_of(node_shard(w->node, 0)), SLICE("/"));
    return vhost_find_queue(v, slice_str(name))->def->id;
}

static uint64_t line_of(struct world *w, const char *name)
{
    struct vhost *v = routing_find_vhost(routing_of(node_shard(w->node, 1)), SLICE("/"));
    const struct queue_def *def = vhost_find_queue(v, slice_str(name))->def;
    return def->line ? def->line->id : 0;
}

static uint64_t exchange_line_of(struct world *w, const char *name)
{
    struct vhost *v = routing_find_vhost(routing_of(node_shard(w->node, 1)), SLICE("/"));
    return exchange_find_line(vhost_find_exchange(v, slice_str(name)))->def->id;
}

/* --- what comes back --- */

static void define(struct world *w, enum meta_verb verb, unsigned flags, const char *name,
                   const char *definition)
{
    struct meta_request *rq = request(w, verb, flags);
    struct buf value = BUF_INIT;
    table_put_table(&value, SLICE("value"), args_of(definition));
    meta_request_set(&rq->args, buf_slice(&value));
    meta_request_set(&rq->name, slice_str(name));
    meta_request_set(&rq->source, SLICE("vhost-limits"));
    must(do_request(w, rq));
    buf_fini(&value);
}

UNIT(durable, all_of_it_comes_back)
{
    struct world *w = open_world();
    must(do_vhost(w, "v2", 0));
    struct meta_request *rq = request(w, META_VHOST_PUT, 0);
    meta_request_set(&rq->name, SLICE("/"));
    meta_request_set(&rq->description, SLICE("changed"));
    meta_request_set(&rq->type, SLICE("a,b"));
    meta_request_set(&rq->queue_type, SLICE("quorum"));
    must(do_request(w, rq));
    must(do_user(w, "u", "pw", "monitoring administrator", 0));
    must(do_user(w, "nobody", NULL, NULL, 0));
    must(do_permission(w, "u", "^c", "w", ".*"));
    must(do_topic_permission(w, "u", "amq.topic", "^{username}", ""));
    must(do_exchange(w, "x", "topic", META_DURABLE | META_INTERNAL, "alternate-exchange:S=y"));
    must(do_exchange(w, "auto", "fanout", META_DURABLE | META_AUTO_DELETE, ""));
    must(do_exchange(w, "transient", "direct", 0, ""));
    must(do_queue(w, "q", META_DURABLE, "x-max-length:I=10 x-queue-type:S=classic"));
    must(do_queue(w, "quorum", META_DURABLE, ""));
    must(do_queue(w, "gone", 0, ""));
    must(do_queue(w, "mine", META_DURABLE | META_EXCLUSIVE, ""));
    must(do_queue(w, "auto", META_DURABLE | META_AUTO_DELETE, ""));
    define(w, META_POLICY_SET, 0, "p", "max-length:I=10 dead-letter-exchange:S=x");
    define(w, META_POLICY_SET, META_OPERATOR, "p", "max-length:I=5");
    define(w, META_PARAMETER_SET, 0, "limits", "max-queues:I=1000");
    define(w, META_PARAMETER_SET, META_GLOBAL, "g", "a:I=1");
    define(w, META_USER_LIMITS_SET, 0, "u", "max-channels:I=9");
    must(do_bind(w, "x", "q", "a.#", 0, "p:I=1 a:S=b"));
    must(do_bind(w, "x", "q", "a.#", 0, ""));
    must(do_bind(w, "auto", "auto", "", 0, ""));
    must(do_bind(w, "x", "auto", "k", META_TO_EXCHANGE, ""));
    must(do_bind(w, "x", "transient", "k", META_TO_EXCHANGE, ""));
    must(do_bind(w, "transient", "q", "k", 0, ""));
    must(do_bind(w, "amq.direct", "gone", "k", 0, ""));
    uint64_t id = id_of(w, "q");
    w = restart(w);
    cr_expect_eq(id_of(w, "q"), id);
    cr_expect(has_queue(w, "q") && has_queue(w, "auto") && has_queue(w, "quorum"));
    cr_expect(!has_queue(w, "gone") && !has_queue(w, "mine") && !has_exchange(w, "transient"));
    cr_expect_eq(count(w, META_QUEUES), 3);
    cr_expect_eq(count(w, META_BINDINGS), 4 + 3); /* those of the default exchange too */
    const struct routing *routing = routing_of(node_shard(w->node, 1));
    cr_expect_eq(access_login(routing, SLICE("u"), SLICE("pw"), true), AUTH_OK);
    cr_expect_eq(access_user_tags(routing, SLICE("u")), TAG_ADMINISTRATOR | TAG_MONITORING);
    cr_expect_eq(access_check(routing, NULL, SLICE("u"), SLICE("/"), ACCESS_CONFIGURE, "queue",
                              SLICE("cq"), NULL),
                 ERR_NONE);
    /* what came back can be worked with */
    must(do_unbind(w, "x", "q", "a.#", 0, "a:S=b p:I=1"));
    must(do_unbind(w, "auto", "auto", "", 0, ""));
    cr_expect(!has_exchange(w, "auto"));
    must(do_queue(w, "new", META_DURABLE, ""));
    cr_expect_gt(id_of(w, "new"), id);
    must(do_delete_queue(w, "q"));
    w = restart(w);
    cr_expect(!fake_store_has_queue(id));
    cr_expect_eq(fake_store.queue_count, 3);
    done(&w);
}

UNIT(durable, what_goes_takes_its_own_along)
{
    struct world *w = open_world();
    meta_set_seeded(w->node);
    fake_store_settle();
    size_t nothing = fake_store.kept_count;
    must(do_vhost(w, "v", 0));
    must(do_user(w, "u", "pw", "", 0));
    for (int round = 0; round < 2; round++) {
        must(do_permission(w, "u", ".*", ".*", ".*"));
        must(do_topic_permission(w, "u", "x", ".*", ".*"));
        must(do_topic_permission(w, "u", "y", ".*", ".*"));
        must(do_exchange(w, "x", "topic", META_DURABLE, ""));
        must(do_exchange(w, "y", "topic", META_DURABLE, ""));
        must(do_queue(w, "q", META_DURABLE, ""));
        must(do_bind(w, "x", "q", "1", 0, ""));
        must(do_bind(w, "y", "q", "2", 0, ""));
        must(do_bind(w, "x", "y", "3", META_TO_EXCHANGE, ""));
        must(do_bind(w, "x", "x", "4", META_TO_EXCHANGE, ""));
        fake_store_settle();
        cr_expect_eq(fake_store_count(NOUN_BINDING), 4);
        must(do_delete_exchange(w, "y", 0));
        fake_store_settle();
        cr_expect_eq(fake_store_count(NOUN_BINDING), 2);
        must(do_delete_queue(w, "q"));
        fake_store_settle();
        cr_expect_eq(fake_store_count(NOUN_BINDING), 1);
        cr_expect_eq(fake_store_count(NOUN_QUEUE), 0);
        cr_expect_eq(fake_store.queue_count, 0);
        must(do_delete_exchange(w, "x", 0));
        struct meta_request *rq = request(w, META_TOPIC_PERMISSION_CLEAR, 0);
        meta_request_set(&rq->name, SLICE("u"));
        must(do_request(w, rq));
        fake_store_settle();
        cr_expect_eq(fake_store_count(NOUN_TOPIC_PERMISSION), 0);
        cr_expect_eq(fake_store_count(NOUN_PERMISSION), 1);
        w = restart(w);
    }
    must(do_topic_permission(w, "u", "y", ".*", ".*"));
    struct meta_request *rq = request(w, META_USER_DELETE, 0);
    meta_request_set(&rq->name, SLICE("u"));
    must(do_request(w, rq));
    must(do_exchange(w, "x", "topic", META_DURABLE, ""));
    must(do_queue(w, "q", META_DURABLE, ""));
    must(do_bind(w, "x", "q", "1", 0, ""));
    rq = request(w, META_VHOST_DELETE, 0);
    meta_request_set(&rq->name, SLICE("/"));
    must(do_request(w, rq));
    w = restart(w);
    cr_expect_eq(fake_store_count(NOUN_VHOST), 1);
    cr_expect_eq(fake_store.kept_count, nothing);
    cr_expect_eq(count(w, META_VHOSTS), 1, "the vhost of the configuration stays deleted");
    cr_expect_eq(fake_store.queue_count, 0);
    done(&w);
}

/* Many operations at random, a restart now and then, sometimes with the loss of what is not safe.
 */
static void operate(struct world *w)
{
    static const char *const names[] = {"a", "b", "c", "amq.direct"};
    const char *one = names[world_random(4)], *other = names[world_random(4)];
    unsigned durable = world_random(3) ? META_DURABLE : 0;
    unsigned to_exchange = world_random(2) ? META_TO_EXCHANGE : 0;
    unsigned auto_delete = world_random(4) ? 0 : META_AUTO_DELETE;
    const char *args = world_random(2) ? "" : "x:I=1 b:S=y";
    enum err ignored = ERR_NONE;
    switch (world_random(12)) {
    case 0:
    case 1:
        ignored = do_queue(w, one, durable | auto_delete, "");
        break;
    case 2:
    case 3:
        ignored = do_exchange(w, one, "topic", durable | auto_delete, "");
        break;
    case 4:
    case 5:
    case 6:
        ignored = do_bind(w, one, other, world_random(2) ? "k" : "", to_exchange, args);
        break;
    case 7:
        ignored = do_unbind(w, one, other, world_random(2) ? "k" : "", to_exchange, args);
        break;
    case 8:
        ignored = do_delete_queue(w, one);
        break;
    case 9:
        ignored = do_delete_exchange(w, one, 0);
        break;
    case 10:
        ignored = do_user(w, one, NULL, world_random(2) ? "a" : "b", 0);
        break;
    case 11:
        ignored = do_permission(w, one, world_random(2) ? ".*" : "", "", "");
        break;
    }
    (void)ignored;
}

UNIT(durable, at_random)
{
    struct world *w = open_world();
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 60; i++)
            operate(w);
        w = restart(w);
        if (round % 3)
            continue;
        struct lines before = lines_of(w);
        for (int i = 0; i < 20; i++)
            operate(w);
        fake_store_crash();
        close_world(&w);
        w = open_world();
        struct lines after = lines_of(w);
        same_lines(&before, &after);
    }
    done(&w);
}

/* The queue as an earlier release made it, with a delay line of its own. */
static struct world *with_line(struct world *w, const char *name, uint64_t id)
{
    struct vhost *v = routing_find_vhost(routing_of(node_shard(w->node, 0)), SLICE("/"));
    struct queue_def line = {.id = id}, def = *vhost_find_queue(v, slice_str(name))->def;
    struct buf key = BUF_INIT, value = BUF_INIT;
    fake_store_settle();
    def.line = &line;
    meta_store_put_key(NOUN_QUEUE, &def, &key);
    meta_store_put_value(NOUN_QUEUE, &def, &value);
    fake_store_put(NOUN_QUEUE, buf_slice(&key), buf_slice(&value));
    fake_store.queues[fake_store.queue_count++] = id;
    buf_fini(&key);
    buf_fini(&value);
    return reopen(w);
}

/* The contents of delay lines, by the ids that the definitions have. */
UNIT(durable, delay_lines_come_and_go_with_their_own)
{
    struct world *w = open_world();
    must(do_queue(w, "at once", META_DURABLE, "x-delay:I=50 x-max-priority:I=255"));
    must(do_queue(w, "q", META_DURABLE, "x-delay:I=50 x-max-priority:I=255"));
    cr_expect_eq(line_of(w, "q"), 0, "they delay by themselves");
    w = with_line(w, "q", 77);
    must(do_exchange(w, "x", "late", META_DURABLE, ""));
    must(do_exchange(w, "y", "late", 0, ""));
    must(do_bind(w, "x", "q", "k", 0, ""));
    fake_store_settle();
    cr_expect_eq(fake_store.queue_count, 4);
    cr_expect_eq(line_of(w, "q"), 77);
    uint64_t queue = line_of(w, "q"), exchange = exchange_line_of(w, "x");
    cr_expect(fake_store_has_queue(queue) && fake_store_has_queue(exchange));
    w = restart(w);
    cr_expect_eq(line_of(w, "q"), queue);
    cr_expect_eq(exchange_line_of(w, "x"), exchange);
    cr_expect_eq(line_of(w, "at once"), 0);
    fake_store_settle();
    cr_expect_eq(fake_store.queue_count, 4);
    must(do_delete_queue(w, "q"));
    must(do_delete_exchange(w, "x", 0));
    fake_store_settle();
    cr_expect_eq(fake_store.queue_count, 1);
    must(do_exchange(w, "z", "late", META_DURABLE | META_AUTO_DELETE, ""));
    must(do_bind(w, "z", "at once", "k", 0, ""));
    fake_store_settle();
    cr_expect_eq(fake_store.queue_count, 2);
    must(do_unbind(w, "z", "at once", "k", 0, ""));
    fake_store_settle();
    cr_expect_eq(fake_store.queue_count, 1);
    done(&w);
}

UNIT(durable, nothing_is_written_where_nothing_changes)
{
    struct world *w = open_world();
    must(do_user(w, "u", NULL, "a", 0));
    must(do_permission(w, "u", ".*", ".*", ".*"));
    must(do_queue(w, "q", META_DURABLE, ""));
    must(do_bind(w, "amq.direct", "q", "k", 0, ""));
    fake_store_settle();
    must(do_user(w, "u", NULL, "a", 0));
    must(do_permission(w, "u", ".*", ".*", ".*"));
    must(do_vhost(w, "/", 0));
    must(do_queue(w, "q", META_DURABLE, ""));
    must(do_bind(w, "amq.direct", "q", "k", 0, ""));
    must(do_queue(w, "t", 0, ""));
    must(do_bind(w, "amq.direct", "t", "k", 0, ""));
    must(do_delete_queue(w, "t"));
    must(do_exchange(w, "t", "direct", 0, ""));
    must(do_delete_exchange(w, "t", 0));
    must(do_exchange(w, "amq.direct", "direct", META_DURABLE, ""));
    cr_expect_eq(fake_store.open.len, 0);
    must(do_user(w, "u", NULL, "b", 0));
    cr_expect_gt(fake_store.open.len, 0);
    done(&w);
}

UNIT(durable, first_start)
{
    struct world *w = open_world();
    cr_expect(!meta_is_seeded(w->node));
    meta_set_seeded(w->node);
    cr_expect(meta_is_seeded(w->node));
    w = restart(w);
    cr_expect(meta_is_seeded(w->node));
    cr_expect_eq(count(w, META_VHOSTS), 1);
    close_world(&w);
    w = world_new(); /* without a store */
    meta_set_seeded(w->node);
    cr_expect(!meta_is_seeded(w->node));
    must(do_queue(w, "q", META_DURABLE, ""));
    cr_expect_eq(id_of(w, "q"), 1);
    world_free(&w);
    fake_store_fini();
}

UNIT(durable, too_large)
{
    struct world *w = open_world();
    char *text = mem_alloc(META_REQUEST_MAX + 2);
    memset(text, 'x', META_REQUEST_MAX + 1);
    text[META_REQUEST_MAX + 1] = '\0';
    must(do_user(w, "u", NULL, NULL, 0));
    wont(do_permission(w, "u", text, "", ""), ERR_PRECONDITION_FAILED,
         "a definition of more than 1048576 bytes");
    free(text);
    done(&w);
}

/* --- damage --- */

/* The n-th value of a noun gets another byte in place of one. */
static void damage(uint8_t noun, size_t n)
{
    for (size_t i = 0; i < fake_store.kept_count; i++) {
        struct kept *k = &fake_store.kept[i];
        if (k->noun == noun && n-- == 0)
            ((uint8_t *)(uintptr_t)k->value.data)[k->value.len / 2] ^= 0x40;
    }
}

static struct world *some_definitions(void)
{
    struct world *w = open_world();
    must(do_user(w, "u", "pw", "", 0));
    must(do_permission(w, "u", "", "", ""));
    must(do_exchange(w, "x", "topic", META_DURABLE, ""));
    must(do_queue(w, "q1", META_DURABLE, ""));
    must(do_queue(w, "q2", META_DURABLE, ""));
    must(do_bind(w, "x", "q1", "k", 0, ""));
    must(do_bind(w, "x", "q2", "k", 0, ""));
    fake_store_settle();
    return w;
}

UNIT(durable, damage_is_left_out)
{
    struct world *w = some_definitions();
    size_t all = fake_store.kept_count;
    damage(NOUN_QUEUE, 0);
    w = reopen(w);
    cr_expect(!has_queue(w, "q1") && has_queue(w, "q2"));
    cr_expect_eq(count(w, META_BINDINGS), 2);
    cr_expect_eq(fake_store.kept_count, all, "nothing is deleted while something is not readable");
    cr_expect_eq(fake_store.queue_count, 2);
    damage(NOUN_EXCHANGE, 0);
    damage(NOUN_USER, 0);
    w = reopen(w);
    cr_expect(!has_exchange(w, "x") && has_queue(w, "q2"));
    cr_expect_eq(count(w, META_USERS), 0);
    cr_expect_eq(count(w, META_BINDINGS), 1);
    cr_expect_eq(fake_store.kept_count, all);
    damage(NOUN_VHOST, 0);
    w = reopen(w);
    cr_expect(has_queue(w, "q2"), "the virtual host is there by its key");
    /* made anew, all is well again, and what belongs to nothing goes */
    must(do_vhost(w, "/", 0));
    must(do_queue(w, "q1", META_DURABLE, ""));
    must(do_exchange(w, "x", "topic", META_DURABLE, ""));
    must(do_user(w, "u", "pw", "", 0));
    struct meta_request *rq = request(w, META_VHOST_PUT, 0);
    meta_request_set(&rq->name, SLICE("/"));
    meta_request_set(&rq->description, SLICE("again"));
    must(do_request(w, rq));
    w = reopen(w);
    cr_expect_eq(count(w, META_BINDINGS), 4);
    fake_store_settle();
    cr_expect_eq(fake_store.kept_count, all);
    cr_expect_eq(fake_store.queue_count, 2);
    done(&w);
}

static void strike(uint8_t noun, struct slice key)
{
    struct buf *out = store_records((struct store_log *)(void *)&fake_store);
    record_put_undefine(out, noun, key);
    fake_store_settle();
}

UNIT(durable, what_hangs_goes)
{
    struct world *w = some_definitions();
    strike(NOUN_EXCHANGE, SLICE("\1/\1x"));
    strike(NOUN_QUEUE, SLICE("\1/\2q1"));
    strike(NOUN_USER, SLICE("\1u"));
    w = reopen(w);
    fake_store_settle();
    cr_expect_eq(fake_store_count(NOUN_BINDING), 0);
    cr_expect_eq(fake_store_count(NOUN_PERMISSION), 0);
    cr_expect_eq(fake_store.queue_count, 1);
    strike(NOUN_VHOST, SLICE("\1/"));
    w = reopen(w);
    fake_store_settle();
    cr_expect_eq(fake_store.queue_count, 0);
    cr_expect_eq(fake_store_count(NOUN_QUEUE), 0);
    done(&w);
}

UNIT(durable, a_later_version_is_refused)
{
    struct world *w = some_definitions();
    struct failure why;
    struct buf value = BUF_INIT;
    meta_store_put_value(NOUN_NODE, &(struct node_def){.name = SLICE("n")}, &value);
    value.data[0] = 2;
    uint32_t crc = crc32c(crc32c(0, value.data, 1), value.data + 5, value.len - 5);
    wire_store_u32(value.data + 1, crc);
    fake_store_put(NOUN_NODE, SLICE("\1n"), buf_slice(&value));
    buf_fini(&value);
    close_world(&w);
    fake_store.on = true;
    w = world_new();
    enum err err = meta_load(w->node, (struct store *)(void *)&fake_store, &why);
    cr_expect_eq(err, ERR_PRECONDITION_FAILED);
    cr_expect_str_eq(why.text,
                     "a later version of jackaloped wrote the definitions: fact of the node with "
                     "the key .n (of version 2); this one knows versions up to 1");
    close_world(&w);
    fake_store_fini();
}

/* --- answers --- */

enum { FRONTS = 2, PER_FRONT = 100 };

struct front {
    struct node *node;
    struct addr addr;
    uint64_t answered;
    bool durable;
};

static int total, early;
static bool safe;

static void ask(struct front *f, int i)
{
    char name[32];
    struct meta_request *rq = meta_request_new(META_QUEUE_DECLARE, f->addr);
    snprintf(name, sizeof name, "%s%d", f->durable ? "d" : "t", i);
    rq->flags = META_TRUSTED | (f->durable && i % 3 == 1 ? META_DURABLE : 0);
    rq->cookie = (uint64_t)i;
    meta_request_set(&rq->vhost, SLICE("/"));
    meta_request_set(&rq->name, slice_str(name));
    meta_post(f->node, &rq);
}

static void on_front_op(void *object, struct op *op)
{
    struct front *f = object;
    struct meta_request *rq = op_body(op, struct op_meta)->request;
    cr_assert_eq(rq->code, ERR_NONE);
    cr_assert_eq(rq->cookie, f->answered, "in order");
    cr_assert(safe || !f->durable || rq->cookie == 0, "not before it is safe");
    f->answered++;
    early += !safe;
    meta_request_free(&rq);
    if (++total == PER_FRONT + 1) {
        cr_assert(!safe && fake_store.syncs > 0);
        cr_assert_eq(shard_index(shard_self()), 0);
        safe = true;
        fake_store_settle();
    }
    if (total == FRONTS * PER_FRONT)
        node_stop(f->node);
}

static const struct actor_type front_type = {"front", on_front_op};

UNIT(durable, answers_wait_in_order)
{
    struct world *w = open_world();
    struct front fronts[FRONTS] = {{.durable = true}, {.durable = false}};
    for (int i = 0; i < FRONTS; i++) {
        fronts[i].node = w->node;
        fronts[i].addr = slot_new(node_shard(w->node, 0), &front_type, &fronts[i]);
    }
    for (int i = 0; i < PER_FRONT; i++) {
        for (int k = 0; k < FRONTS; k++)
            ask(&fronts[k], i);
    }
    for (unsigned i = 0; i < WORLD_SHARDS; i++)
        meta_set_queue_maker(w->node, i, ADDR_NONE);
    node_run(w->node);
    cr_expect_eq(early, PER_FRONT + 1);
    cr_expect_eq(fronts[0].answered, PER_FRONT);
    cr_expect_eq(fronts[1].answered, PER_FRONT);
    done(&w);
}

static void on_last_op(void *object, struct op *op)
{
    struct front *f = object;
    meta_request_free(&op_body(op, struct op_meta)->request);
    node_stop(f->node);
}

static const struct actor_type last_type = {"last", on_last_op};

UNIT(durable, the_end_does_not_wait)
{
    struct world *w = open_world();
    struct front waits = {.node = w->node, .durable = true};
    struct front ends = {.node = w->node};
    waits.addr = slot_new(node_shard(w->node, 0), &front_type, &waits);
    ends.addr = slot_new(node_shard(w->node, 0), &last_type, &ends);
    for (unsigned i = 0; i < WORLD_SHARDS; i++)
        meta_set_queue_maker(w->node, i, ADDR_NONE);
    ask(&waits, 1);
    ask(&waits, 2);
    ask(&ends, 3);
    node_run(w->node);
    cr_expect(!list_empty(&fake_store.waits));
    close_world(&w);
    cr_expect(list_empty(&fake_store.waits));
    fake_store_fini();
}
