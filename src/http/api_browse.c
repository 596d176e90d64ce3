/* The messages of a queue where they are: looked at, searched, moved, dropped. The queue gives them
 * in pages, or takes out one at a time, in turns of its own; what is looked for is compared here.
 */
#include "http/body.h"
#include "http/bounds.h"
#include "http/handlers.h"
#include "http/message_view.h"
#include "http/payload.h"
#include "http/session.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "broker/msg.h"
#include "broker/queue/waiting.h"
#include "meta/access.h"
#include "meta/def.h"
#include "meta/routing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- what both do ---- */

/* The user may read it, and it is one whose messages have places; NULL: it was answered. */
static struct target_queue *find_queue(struct session *s)
{
    struct failure why;
    const struct vhost *vhost = routing_find_vhost(session_routing(s), s->vhost);
    struct target_queue *queue = vhost_find_queue(vhost, s->args[1]);
    if (!queue)
        reply_not_found(s);
    else if (access_check(session_routing(s), NULL, s->user, s->vhost, ACCESS_READ, "queue",
                          s->args[1], &why))
        session_fail(s, &why);
    else if (queue->def->owner)
        reply_bad(s, "405 RESOURCE_LOCKED - the queue is a connection's own");
    else if (queue->def->type == QUEUE_STREAM)
        reply_bad(s, "a stream has no single messages to be browsed or moved: consumers read it");
    else
        return queue;
    return NULL;
}

/* An id is the level and the number there. */
static bool read_id(struct slice text, unsigned *ret_level, uint64_t *ret_seq)
{
    const uint8_t *dash = text.len ? memchr(text.data, '-', text.len) : NULL;
    uint64_t level;
    if (!dash)
        return false;
    size_t n = (size_t)(dash - text.data);
    if (!slice_number(slice_of(text.data, n), &level) || level >= WAITING_LEVELS ||
        !slice_number(slice_of(dash + 1, text.len - n - 1), ret_seq))
        return false;
    *ret_level = (unsigned)level;
    return true;
}

/* ---- looking ---- */

struct browsing {
    struct addr queue;
    struct slice search; /* owned; empty: all fit */
    bool base64;
    uint64_t wanted, truncate;
    uint64_t given, looked, bytes, searched; /* searched: bytes, in this turn */
    unsigned level;
    uint64_t seq;    /* to go on with */
    struct buf json; /* not written yet */
};

static void free_browsing(void *state)
{
    struct browsing *b = state;
    slice_free(&b->search);
    buf_fini(&b->json);
    free(b);
}

static bool has(struct slice text, struct slice part)
{
    return text.len >= part.len && memmem(text.data, text.len, part.data, part.len);
}

static bool fits(struct browsing *b, const struct msg *m)
{
    struct slice body = msg_body(m);
    if (body.len > HTTP_BROWSE_PAYLOAD)
        body.len = HTTP_BROWSE_PAYLOAD;
    b->searched += body.len;
    return !b->search.len || has(msg_routing_key(m), b->search) ||
           has(msg_properties(m), b->search) || has(body, b->search);
}

/* A short one; what is cut off of a text are whole characters. */
static void put_payload(struct browsing *b, struct slice body)
{
    struct payload payload;
    size_t n = body.len < b->truncate ? body.len : b->truncate;
    for (int i = 1; n && n < body.len && i < 4 && (body.data[n] & 0xc0) == 0x80; i++)
        n--;
    body.len = n;
    buf_append_byte(&b->json, ',');
    payload_begin(&payload, body, b->base64);
    while (payload_next(&payload, &b->json))
        ;
}

static void put_message(struct browsing *b, unsigned level, bool waits,
                        const struct waiting_message *m)
{
    struct view v = view_of(&b->json, NULL);
    char id[32];
    snprintf(id, sizeof id, "%u-%" PRIu64, level, m->id);
    size_t before = b->json.len;
    if (b->given++)
        buf_append_byte(&b->json, ',');
    view_begin(&v);
    view_text(&v, "id", slice_str(id));
    view_text(&v, "state", waits ? SLICE("waiting") : SLICE("ready"));
    if (m->expires)
        view_int(&v, "due_in", (int64_t)m->due_ms);
    view_int(&v, "delivery_count", m->delivery_count);
    view_bool(&v, "redelivered", m->redelivered);
    view_int(&v, "payload_bytes", (int64_t)m->msg->body_len);
    view_text(&v, "exchange", msg_exchange(m->msg));
    view_text(&v, "routing_key", msg_routing_key(m->msg));
    message_put_properties(&v, msg_properties(m->msg));
    put_payload(b, msg_body(m->msg));
    view_end(&v);
    b->bytes += b->json.len - before;
}

static void finish_browse(struct session *s, struct browsing *b)
{
    buf_printf(&b->json, "],\"looked_at\":%" PRIu64 ",\"next\":", b->looked);
    if (b->level < WAITING_LEVELS)
        buf_printf(&b->json, "\"%u-%" PRIu64 "\"}", b->level, b->seq);
    else
        buf_append_str(&b->json, "null}");
    reply_write(s, buf_slice(&b->json));
    reply_close(s);
}

static void on_page(struct session *s, const struct waiting_page *page);

static void next_page(struct session *s)
{
    const struct browsing *b = s->state;
    struct op op = {.to = b->queue, .kind = OP_BROWSE, .n = b->level};
    *op_body(&op, struct op_queue_query) =
        (struct op_queue_query){.reply_to = s->addr, .cookie = b->seq};
    s->on_page = on_page;
    post(&op);
}

static bool is_enough(const struct browsing *b)
{
    return b->given >= b->wanted || b->looked >= HTTP_BROWSE_LOOKED || b->bytes >= HTTP_GET_BYTES;
}

static void on_page(struct session *s, const struct waiting_page *page)
{
    struct browsing *b = s->state;
    unsigned level = page->asked, i = 0;
    b->searched = 0;
    for (; i < page->count && !is_enough(b) && b->json.len < HTTP_GET_PIECE &&
           b->searched < HTTP_BROWSE_TURN;
         i++, b->looked++) {
        if (fits(b, page->messages[i].msg))
            put_message(b, level, page->waits, &page->messages[i]);
    }
    bool all = i == page->count;
    b->level = all ? page->level : level;
    b->seq = all ? page->next : page->messages[i].id;
    if (is_enough(b) || b->level == WAITING_LEVELS) {
        finish_browse(s, b);
        return;
    }
    if (b->json.len >= HTTP_GET_PIECE) {
        reply_write(s, buf_slice(&b->json));
        buf_clear(&b->json);
    }
    session_when_taken(s, next_page);
}

/* The queue is gone: that was all. */
static void on_gone(struct session *s, const struct op_queue_query *answer)
{
    struct browsing *b = s->state;
    (void)answer;
    b->level = WAITING_LEVELS;
    finish_browse(s, b);
}

static bool read_number(struct session *s, const char *name, uint64_t max, uint64_t *number)
{
    uint64_t given;
    if (!target_param(&s->target, name).data)
        return true;
    if (!target_number(&s->target, name, &given)) {
        reply_bad(s, "%s is no number", name);
        return false;
    }
    *number = given < max ? given : max;
    return true;
}

static bool read_browse(struct session *s, struct browsing *b)
{
    struct slice from = target_param(&s->target, "from"),
                 encoding = target_param(&s->target, "encoding");
    b->wanted = 50;
    b->truncate = HTTP_BROWSE_PAYLOAD;
    b->level = WAITING_FIRST;
    if (!read_number(s, "count", HTTP_BROWSE_MAX, &b->wanted) ||
        !read_number(s, "truncate", HTTP_BROWSE_PAYLOAD, &b->truncate))
        return false;
    if (from.len && !read_id(from, &b->level, &b->seq)) {
        reply_bad(s, "from is no place in a queue");
        return false;
    }
    if (encoding.len && !slice_eq_str(encoding, "auto") && !slice_eq_str(encoding, "base64")) {
        reply_bad(s, "encoding is auto or base64");
        return false;
    }
    b->base64 = slice_eq_str(encoding, "base64");
    b->search = slice_dup(target_param(&s->target, "search"));
    return true;
}

void api_browse_messages(struct session *s)
{
    const struct target_queue *queue = find_queue(s);
    if (!queue)
        return;
    struct browsing *b = NEW(struct browsing);
    s->state = b;
    s->free_state = free_browsing;
    b->queue = queue->def->addr;
    if (!read_browse(s, b))
        return;
    s->on_query = on_gone;
    buf_append_str(&b->json, "{\"items\":[");
    reply_open(s, 200, "application/json");
    next_page(s);
}

/* ---- taking out ---- */

struct moving {
    struct addr from;
    struct queue_def *to; /* one reference; NULL: they are dropped */
    struct slice queue;   /* owned: the name */
    struct {
        unsigned level;
        uint64_t seq;
    } * ids;
    size_t count, at, moved;
    struct buf gone; /* ids of those that were not there, as a list */
};

static void free_moving(void *state)
{
    struct moving *m = state;
    queue_def_unref(&m->to);
    slice_free(&m->queue);
    free(m->ids);
    buf_fini(&m->gone);
    free(m);
}

static void log_moved(const struct session *s, const struct moving *m)
{
    if (m->to)
        log_info(ADMIN, NULL,
                 "user '%.*s' moved %zu messages from queue '%.*s' in vhost '%.*s' to '%.*s'",
                 SLICE_ARG(s->user), m->moved, SLICE_ARG(m->queue), SLICE_ARG(s->vhost),
                 SLICE_ARG(m->to->name));
    else
        log_info(ADMIN, NULL, "user '%.*s' dropped %zu messages from queue '%.*s' in vhost '%.*s'",
                 SLICE_ARG(s->user), m->moved, SLICE_ARG(m->queue), SLICE_ARG(s->vhost));
}

static void finish_move(struct session *s, const struct moving *m)
{
    struct buf json = BUF_INIT;
    if (m->moved)
        log_moved(s, m);
    if (!m->to) {
        if (m->moved)
            reply_empty(s, 204);
        else
            reply_not_found(s);
        return;
    }
    buf_printf(&json, "{\"moved\":%zu,\"gone\":[", m->moved);
    buf_append_slice(&json, buf_slice(&m->gone));
    buf_append_str(&json, "]}");
    reply_json(s, 200, buf_slice(&json));
    buf_fini(&json);
}

static void on_picked(struct session *s, const struct op_queue_query *answer);

static void pick_next(struct session *s)
{
    const struct moving *m = s->state;
    struct op op = {.to = m->from, .kind = OP_PICK};
    *op_body(&op, struct op_pick) = (struct op_pick){.reply_to = s->addr,
                                                     .seq = m->ids[m->at].seq,
                                                     .level = m->ids[m->at].level,
                                                     .to = m->to ? queue_def_ref(m->to) : NULL};
    s->on_query = on_picked;
    post(&op);
}

static void on_picked(struct session *s, const struct op_queue_query *answer)
{
    struct moving *m = s->state;
    if (answer->code)
        buf_printf(&m->gone, "%s\"%u-%" PRIu64 "\"", m->gone.len ? "," : "", m->ids[m->at].level,
                   m->ids[m->at].seq);
    else
        m->moved++;
    if (++m->at == m->count)
        finish_move(s, m);
    else
        pick_next(s);
}

static struct moving *moving_new(struct session *s, const struct target_queue *from, size_t room)
{
    struct moving *m = NEW(struct moving);
    m->from = from->def->addr;
    m->queue = slice_dup(from->def->name);
    m->ids = mem_alloc(room * sizeof *m->ids);
    s->state = m;
    s->free_state = free_moving;
    return m;
}

void api_drop_message(struct session *s)
{
    const struct target_queue *queue = find_queue(s);
    if (!queue)
        return;
    struct moving *m = moving_new(s, queue, 1);
    m->count = 1;
    if (read_id(s->args[2], &m->ids[0].level, &m->ids[0].seq))
        pick_next(s);
    else
        reply_not_found(s);
}

/* It may be published to; NULL: it was answered. */
static struct queue_def *find_target(struct session *s, const struct target_queue *from,
                                     struct slice name)
{
    struct failure why;
    const struct vhost *vhost = routing_find_vhost(session_routing(s), s->vhost);
    const struct target_queue *to = vhost_find_queue(vhost, name);
    if (access_check(session_routing(s), NULL, s->user, s->vhost, ACCESS_WRITE, "exchange",
                     SLICE_EMPTY, &why))
        session_fail(s, &why);
    else if (!to)
        reply_bad(s, "404 NOT_FOUND - no queue '%.*s' in vhost '%.*s'", SLICE_ARG(name),
                  SLICE_ARG(s->vhost));
    else if (to == from)
        reply_bad(s, "messages are moved to another queue");
    else
        return to->def;
    return NULL;
}

static bool read_ids(struct session *s, struct slice list, struct moving *m)
{
    struct table_value value;
    for (struct table_iter it = table_iter(list); array_next(&it, &value); m->count++) {
        if (m->count == HTTP_MOVE_MAX) {
            reply_bad(s, "at most %d messages are moved at a time", HTTP_MOVE_MAX);
            return false;
        }
        if (value.type != TABLE_LONGSTR ||
            !read_id(value.bytes, &m->ids[m->count].level, &m->ids[m->count].seq)) {
            reply_bad(s, "ids are those of messages of the queue");
            return false;
        }
    }
    return true;
}

void api_move_messages(struct session *s)
{
    struct buf table;
    struct slice name = SLICE_EMPTY, list;
    struct target_queue *from = find_queue(s);
    if (!from || !body_parse(s, &table))
        return;
    struct slice body = buf_slice(&table);
    struct queue_def *to;
    if (!table_find_str(body, SLICE("to"), &name) || !table_find_array(body, SLICE("ids"), &list)) {
        reply_bad(s, "to is the name of a queue, ids is a list");
    } else if ((to = find_target(s, from, name))) {
        struct moving *m = moving_new(s, from, HTTP_MOVE_MAX);
        m->to = queue_def_ref(to);
        if (read_ids(s, list, m)) {
            if (m->count)
                pick_next(s);
            else
                finish_move(s, m);
        }
    }
    buf_fini(&table);
}
