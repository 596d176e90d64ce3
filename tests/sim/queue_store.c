#include "tests/sim/queue_store.h"

#include "base/bug.h"
#include "base/mem.h"
#include "broker/msg.h"

#include <stdlib.h>

static void put(struct queue_store *s, const struct effect *e)
{
    struct stored_message *m = &s->messages[e->seq];
    bug_on(e->seq >= QUEUE_STORE_MESSAGES || m->msg);
    *m = (struct stored_message){.msg = msg_ref_n(e->msg, 1),
                                 .redelivered = e->delivery_count != 0,
                                 .persistent = !e->paged,
                                 .level = e->level,
                                 .delivery_count = e->delivery_count,
                                 .expiry = e->expiry};
    s->last = e->seq > s->last ? e->seq : s->last;
    s->pages += e->paged;
}

static void forget(struct stored_message *m)
{
    if (m->msg)
        msg_unref(m->msg);
    m->msg = NULL;
}

static bool is_kept(const struct effect *e, uint64_t seq)
{
    for (size_t i = 0; i < e->kept_count; i++) {
        bug_on(i && e->kept[i] <= e->kept[i - 1]);
        if (e->kept[i] == seq)
            return true;
    }
    return false;
}

void queue_store_apply(struct queue_store *s, const struct effect *e)
{
    struct stored_message *m = &s->messages[e->seq];
    switch (e->kind) {
    case EFFECT_ENQ:
        if (e->stored || e->paged)
            put(s, e);
        break;
    case EFFECT_SETTLE:
        bug_on(e->last != e->seq && !e->stored);
        for (uint64_t at = e->seq; e->stored && at <= e->last; at++) {
            if (s->messages[at].level == e->level)
                forget(&s->messages[at]);
        }
        break;
    case EFFECT_RETURN:
        bug_on(e->stored != (m->msg != NULL));
        m->redelivered = true;
        m->delivery_count = e->delivery_count;
        break;
    case EFFECT_PURGE:
        for (uint64_t at = 1; at < e->seq; at++) {
            if (!is_kept(e, at))
                forget(&s->messages[at]);
        }
        break;
    }
}

static struct ready_entry entry_of(const struct queue_store *s, uint64_t seq)
{
    const struct stored_message *m = &s->messages[seq];
    return (struct ready_entry){.msg = msg_ref_n(m->msg, 1),
                                .seq = seq,
                                .expiry = m->expiry,
                                .delivery_count = m->delivery_count,
                                .redelivered = m->redelivered};
}

static bool is_wanted(const struct page_request *r, uint64_t seq)
{
    bool found = !r->seqs;
    for (uint32_t i = 0; i < r->seq_count; i++) {
        bug_on(i && r->seqs[i] <= r->seqs[i - 1]);
        found |= r->seqs[i] == seq;
    }
    return found;
}

static void read_page(const struct queue_store *s, const struct page_request *r, uint32_t max,
                      struct page_answer *ret_answer)
{
    struct page_answer a = {.ticket = r->ticket, .next = r->from};
    uint64_t bytes = 0;
    a.entries = mem_alloc((max + 1) * sizeof *a.entries);
    for (; a.next <= r->to && a.count < max && (!a.count || bytes < r->max_bytes); a.next++) {
        const struct stored_message *m = &s->messages[a.next];
        if (!m->msg || m->level != r->level || !is_wanted(r, a.next))
            continue;
        a.entries[a.count++] = entry_of(s, a.next);
        bytes += m->msg->body_len;
    }
    *ret_answer = a;
}

void queue_store_ask(struct queue_store *s, const struct page_request *request, bool at_once)
{
    bug_on(s->read_count == QUEUE_STORE_READS);
    struct stored_read *r = &s->reads[s->read_count++];
    *r = (struct stored_read){.request = *request, .done = at_once};
    if (request->seqs) {
        memcpy(r->seqs, request->seqs, request->seq_count * sizeof *r->seqs);
        r->request.seqs = r->seqs;
    }
    s->asked++;
    if (at_once)
        read_page(s, request, request->max_count, &r->answer);
}

bool queue_store_answer(struct queue_store *s, uint32_t max, struct page_answer *ret_answer)
{
    if (!s->read_count)
        return false;
    struct stored_read r = s->reads[0];
    memmove(s->reads, s->reads + 1, --s->read_count * sizeof r);
    if (r.request.seqs)
        r.request.seqs = r.seqs; /* it moved */
    if (r.done)
        *ret_answer = r.answer;
    else
        read_page(s, &r.request, max < r.request.max_count ? max : r.request.max_count, ret_answer);
    return true;
}

static void forget_reads(struct queue_store *s)
{
    struct page_answer a;
    while (queue_store_answer(s, 1, &a)) {
        while (a.count--)
            msg_unref(a.entries[a.count].msg);
        free(a.entries);
    }
}

void queue_store_fini(struct queue_store *s)
{
    forget_reads(s);
    for (uint64_t at = 1; at <= s->last; at++)
        forget(&s->messages[at]);
}

static void add(struct queue_level *l, const struct stored_message *m, uint64_t seq)
{
    if (!l->count++)
        l->first = seq;
    l->last = seq;
    l->bytes += m->msg->body_len;
    l->level = m->level;
    if (m->expiry && (!l->expiry || m->expiry < l->expiry))
        l->expiry = m->expiry;
}

size_t queue_store_restart(struct queue_store *s, struct queue_level *ret_levels)
{
    struct queue_level levels[READY_LEVELS] = {0};
    size_t n = 0;
    forget_reads(s);
    for (uint64_t at = 1; at <= s->last; at++) {
        struct stored_message *m = &s->messages[at];
        if (!m->persistent)
            forget(m);
        if (m->msg)
            add(&levels[m->level], m, at);
    }
    for (int i = 0; i < READY_LEVELS; i++) {
        if (levels[i].count)
            ret_levels[n++] = levels[i];
    }
    return n;
}
