/* Queues of a shard share one output buffer; confirms are joined over a turn, and what promises
 * durability is held until the log is safe. The clock that steps
 * get is the shard's monotonic one, as of the turn. */
#include "broker/queue/actor.h"

#include "base/log.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "broker/durable.h"
#include "broker/queue/deadletter.h"
#include "broker/queue/face.h"
#include "broker/queue/later.h"
#include "broker/queue/letters.h"
#include "broker/queue/line.h"
#include "broker/queue/pager.h"
#include "broker/queue/peek.h"
#include "broker/queue/queue_priv.h"
#include "broker/queue/recall.h"
#include "broker/queue/recorder.h"
#include "broker/queue/sieve.h"
#include "broker/queue/transfer.h"
#include "broker/transaction.h"
#include "meta/meta.h"
#include "meta/routing.h"
#include "shard/slot.h"
#include "shard/timer.h"

#include <stdlib.h>

enum { SWEEP_PORTION = 20000, SWEEP_PAUSE_MS = 1 };
/* queues that are given new policies in one turn */
enum { POLICY_PORTION = 500, POLICY_PAUSE_MS = 1 };

/* One a shard, shared by its queues. */
struct queue_host {
    struct queue_out out;
    struct ready_pool pool;
    struct deadletters deadletters;
    struct recorder recorder;
    struct transfers transfers;
    struct pager pager;
    struct routing *routing;
    struct routing_listener listener;
    struct {
        struct timer timer; /* set while it goes on */
        size_t left;        /* queues, from the last one down */
        bool again;         /* they changed meanwhile */
        uint64_t version;   /* of the shard's policies */
    } policies;
    struct deferred turn_end;
    struct list held;       /* of struct held: ops on their way to being safe */
    uint64_t letters_known; /* in the tables of all queues */
    /* records that another shard's transaction, or dead letter, waits for: to be in the log before
     * their answer */
    bool hasty;
};

/* Ops that go once the log is safe. */
struct held {
    struct store_wait wait;
    struct list link;
    struct op *ops;
    size_t count;
};

struct queue_actor {
    struct queue_face face;
    struct queue *queue;
    struct queue_host *host;
    struct shard *shard;
    struct listed listed;
    struct timer wake; /* to sweep, to tick */
    uint64_t wake_ms;
    uint64_t policy_version; /* of the policies that are in effect for it */
    struct recorded recorded;
    struct page_reader reader;
    struct recall *recall; /* NULL: none is under way */
    struct sieve *sieve;   /* of a line of values, else NULL */
    struct brake brake;    /* while the queue halts */
    struct peeks peeks;
    struct page_request kept; /* waits for dead letters */
    bool unmarked;            /* some left since reads were told what to see */
    struct transfer_wait letters;
    struct letters letters_done;
    enum { ATTACHED_NOT, ATTACHING, ATTACHED } attached;
    struct store_wait attaching;
    struct op *waiting; /* for that */
    size_t waiting_count, waiting_cap;
    bool destroyed; /* off its address; free when swept */
};

static struct queue_actor *actor_of(const struct queue_face *face)
{
    return list_entry((struct queue_face *)(uintptr_t)face, struct queue_actor, face);
}

static struct value get_listed_column(const void *object, const char *column)
{
    const struct queue_face *face = object;
    return face->type->column(face, column);
}

static const void *find_listed(struct shard *shard, struct addr addr)
{
    return queue_face_find(shard, addr);
}

size_t queue_host_memory(const struct queue_host *host)
{
    return mem_size(host) + mem_size(host->out.ops) + mem_size(host->out.held) +
           mem_size(host->recorder.effects.effects) + host->pool.count * sizeof(struct ready_chunk);
}

/* All that was recorded is in the log before another shard hears of it. */
static void hand_over(struct queue_host *h)
{
    store_hand_over(h->recorder.log);
}

static void post_all(struct queue_host *h)
{
    struct queue_out *out = &h->out;
    if (h->hasty && out->count) {
        hand_over(h);
        h->hasty = false;
    }
    for (size_t i = 0; i < out->count; i++)
        post(&out->ops[i]);
    out->count = 0;
}

/* ---- what waits for the log ---- */

static void held_free(struct held *h)
{
    list_remove(&h->link);
    free(h->ops);
    free(h);
}

static void on_safe(struct store_wait *w)
{
    struct held *h = list_entry(w, struct held, wait);
    for (size_t i = 0; i < h->count; i++)
        post(&h->ops[i]);
    held_free(h);
}

/* What was held this turn goes when everything logged so far is safe. */
static void hold(struct queue_host *host)
{
    struct queue_out *out = &host->out;
    if (!out->held_count)
        return;
    struct held *h = NEW(struct held);
    h->ops = out->held;
    h->count = out->held_count;
    h->wait.fn = on_safe;
    list_append(&host->held, &h->link);
    out->held = NULL;
    out->held_count = out->held_cap = 0;
    store_sync(host->recorder.log, &h->wait);
}

static void on_turn_end(struct deferred *d)
{
    struct queue_host *h = list_entry(d, struct queue_host, turn_end);
    queue_out_flush(&h->out);
    post_all(h);
    recorder_flush(&h->recorder);
    hold(h);
}

static void on_attached(struct store_wait *w)
{
    struct queue_actor *a = list_entry(w, struct queue_actor, attaching);
    a->attached = ATTACHED;
    if (a->waiting_count) /* among these may be answers to transactions, and letters, of later */
        hand_over(a->host);
    for (size_t i = 0; i < a->waiting_count; i++)
        post(&a->waiting[i]);
    free(a->waiting);
    a->waiting = NULL;
    a->waiting_count = a->waiting_cap = 0;
}

/* Before anything may be delivered: a message that a consumer may have seen must come back as
 * redelivered after a crash. Messages that come later are behind that in the log anyway. */
static void attach(struct queue_actor *a)
{
    recorder_attach(&a->host->recorder, &a->recorded);
    a->attached = ATTACHED;
    if (!a->queue->ready.count && !ready_later_count(&a->queue->ready))
        return;
    a->attached = ATTACHING;
    a->attaching.fn = on_attached;
    store_sync(a->host->recorder.log, &a->attaching);
}

static void wake_at(struct queue_actor *a, uint64_t ms)
{
    uint64_t now = shard_now_ms(a->shard);
    if (timer_is_set(&a->wake) && a->wake_ms <= ms)
        return;
    a->wake_ms = ms;
    timer_set(&a->wake, ms > now ? ms - now : SWEEP_PAUSE_MS);
}

/* A dead letter has not come to all queues: it is tried again, for those that are left, if that is
 * what the queue still wants. Consumes its reference, and done. */
static void keep_letter(struct queue_actor *a, struct dead_letter *letter, uint64_t *done,
                        size_t done_count)
{
    struct queue_host *h = a->host;
    uint64_t now = shard_now_ms(a->shard), seq;
    const struct rules *rules = a->queue->rules;
    if (a->queue->dead || !rules || !rules->keeps_letters) {
        msg_unref(letter->msg);
        free(done);
        return;
    }
    letters_look(&a->letters_done, later_letters(a->queue));
    seq = later_keep(a->queue, letter, now, &h->out);
    if (done_count)
        letters_note(&a->letters_done, seq, done, done_count);
    else
        free(done);
    if (h->recorder.effects.count)
        recorder_take(&h->recorder, &a->recorded, 0, now);
    h->hasty |= h->recorder.log != NULL; /* a commit may follow that it died by */
    wake_at(a, now + 1);                 /* the step was over */
}

/* The queue that it was to move to has gone. Consumes its reference. */
static void take_back(struct queue_actor *a, const struct dead_letter *moved)
{
    struct queue_host *h = a->host;
    uint64_t now = shard_now_ms(a->shard), seq;
    if (a->queue->dead) {
        msg_unref(moved->msg);
        return;
    }
    seq = bounds_take_back(a->queue, moved, &h->out);
    letters_move(&a->letters_done, moved->seq, seq);
    if (h->recorder.effects.count)
        recorder_take(&h->recorder, &a->recorded, 0, now);
    wake_at(a, now + 1); /* the step was over */
}

static void on_refused(struct recorded *from, struct sending *s)
{
    struct queue_actor *a = list_entry(from, struct queue_actor, recorded);
    if (s->letter.to) {
        take_back(a, &s->letter);
    } else {
        keep_letter(a, &s->letter, s->done, s->done_count);
        s->done = NULL;
    }
    s->letter.msg = NULL;
}

/* Out of this queue when it is in the other. */
static void move_message(struct queue_actor *a, struct dead_letter *moved, bool settle)
{
    struct queue_host *h = a->host;
    struct letter_way way = {.sent = NEW(uint64_t)};
    *way.sent = moved->to->id;
    deadletters_move(&h->deadletters, moved, h->transfers.addr, transfers_next(&h->transfers));
    transfers_send(&h->transfers, &a->recorded, moved, settle, &way, 1);
}

/* One that no queue has yet, and that goes to several, waits while too many are known that some
 * have. */
static bool goes_to_one_alone(const struct queue_actor *a, const struct letter_done *done)
{
    return !done && !a->queue->dead && a->queue->rules && a->queue->rules->keeps_letters &&
           a->host->letters_known >= pager_limits.letters;
}

/* The queue keeps it until all have it that it is for, and it has come to one at least. One that
 * was kept goes to those alone that lack it, also if the queue keeps none any more. */
static void send_letter(struct queue_actor *a, struct dead_letter *letter, bool settle)
{
    struct queue_host *h = a->host;
    struct letter_done *done = letter->tries ? letters_take(&a->letters_done, letter->seq) : NULL;
    struct letter_way way = {.done = done ? done->ids : NULL,
                             .done_count = done ? done->count : 0,
                             .one_alone = goes_to_one_alone(a, done)};
    msg_ref_n(letter->msg, 1);
    size_t n = deadletters_publish(&h->deadletters, a->queue->def, a->queue->rules, letter,
                                   h->transfers.addr, transfers_next(&h->transfers), &way);
    if (n) {
        transfers_send(&h->transfers, &a->recorded, letter, settle, &way, n);
    } else {
        if (way.done_count)
            msg_unref(letter->msg);
        else
            keep_letter(a, letter, NULL, 0);
        if (settle)
            recorder_settle(&h->recorder, &a->recorded, letter->level, letter->seq);
    }
    letter_done_free(&done);
}

static size_t publish_letter(struct queue_actor *a, struct dead_letter *letter)
{
    struct queue_host *h = a->host;
    struct addr answers = letter->stored ? h->transfers.addr : ADDR_NONE;
    uint64_t number = transfers_next(&h->transfers);
    if (a->queue->rules->line)
        return line_publish(&h->deadletters, a->queue->def, letter, answers, number);
    return deadletters_publish(&h->deadletters, a->queue->def, a->queue->rules, letter, answers,
                               number, NULL);
}

static bool must_arrive(const struct queue_actor *a, const struct dead_letter *letter)
{
    return letter->tries || (a->queue->rules->keeps_letters && letter->death != DEATH_MAXLEN);
}

/* One that was stored has its end in the log only when it has arrived. */
static void bury(struct queue_actor *a, uint64_t transaction)
{
    struct queue_host *h = a->host;
    struct queue_out *out = &h->out;
    for (size_t i = 0; i < out->dead_count; i++) {
        struct dead_letter *letter = &out->dead[i];
        bool settle = letter->stored && !(letter->own && transaction);
        a->unmarked |= letter->stored;
        if (letter->to) {
            move_message(a, letter, settle);
            continue;
        }
        if (must_arrive(a, letter)) {
            send_letter(a, letter, settle);
            continue;
        }
        size_t n = publish_letter(a, letter);
        if (letter->stored && n)
            transfers_add(&h->transfers, &a->recorded, letter, settle, n);
        else if (settle)
            recorder_settle(&h->recorder, &a->recorded, letter->level, letter->seq);
    }
    out->dead_count = 0;
}

/* Nothing of this queue leaves before that is safe. */
static void keep_all(struct queue_actor *a, struct queue_out *out)
{
    MEM_GROW(a->waiting, a->waiting_cap, a->waiting_count + out->count);
    if (out->count)
        memcpy(a->waiting + a->waiting_count, out->ops, out->count * sizeof *out->ops);
    a->waiting_count += out->count;
    out->count = 0;
}

/* The queue's extents changed: what reads of them see must be that old at least. */
static void mark_extents(struct queue_actor *a, struct queue_out *out)
{
    if (!out->extents_changed && !out->extents_left && !out->paged.last)
        return;
    recorder_flush(&a->host->recorder);
    if (out->extents_changed)
        page_reader_mark(&a->reader);
    else if (out->paged.last)
        page_reader_mark_tail(&a->reader, &out->paged);
    if (out->extents_left)
        page_reader_mark_ends(&a->reader);
    if (out->commits_count)
        page_reader_mark_commits(&a->reader);
    out->extents_changed = out->extents_left = out->commits_count = false;
    out->paged = (struct seq_range){0};
}

/* Reads have to see the ends of those that arrived since the last. */
static void mark_letters(struct queue_actor *a)
{
    if (!a->unmarked)
        return;
    recorder_flush(&a->host->recorder);
    page_reader_mark_ends(&a->reader);
    a->unmarked = false;
}

/* A read would see messages that have left, but whose end is not recorded yet; one that names its
 * messages does not mind. */
static void ask_for_page(struct queue_actor *a, const struct page_request *request)
{
    if (request->seqs) {
        page_reader_ask(&a->reader, request);
        return;
    }
    if (!a->recorded.letters) {
        mark_letters(a);
        page_reader_ask(&a->reader, request);
        return;
    }
    a->kept = *request;
    if (list_empty(&a->letters.link))
        transfers_await(&a->host->transfers, &a->letters);
}

static void on_letters(struct transfer_wait *w)
{
    struct queue_actor *a = list_entry(w, struct queue_actor, letters);
    ask_for_page(a, &a->kept);
}

/* What the step sent to the store alone, and what it wants back. */
static void page(struct queue_actor *a)
{
    struct queue_out *out = &a->host->out;
    mark_extents(a, out);
    if (out->paged_out.count)
        ready_sweep(&out->paged_out, &a->host->pool, UINT32_MAX);
    if (out->lost)
        log_error(STORE, NULL,
                  "queue '%.*s' in vhost '%.*s': %llu of its messages are not there any more",
                  SLICE_ARG(a->queue->def->name), SLICE_ARG(a->queue->def->vhost),
                  (unsigned long long)out->lost);
    out->lost = 0;
    if (out->page.max_count)
        ask_for_page(a, &out->page);
    out->page.max_count = 0;
}

/* What a step gave out. */
static inline void perform(struct queue_actor *a, uint64_t transaction)
{
    struct queue_out *out = &a->host->out;
    a->host->hasty |= transaction && a->host->recorder.log &&
                      transaction_shard(transaction) != shard_index(a->shard);
    if (a->recorded.letters || out->dead_count)
        transfers_keep(&a->host->transfers, &a->recorded, out);
    if (a->host->recorder.effects.count)
        recorder_take(&a->host->recorder, &a->recorded, transaction, shard_now_ms(a->shard));
    shard_defer(a->shard, DEFER_POST, &a->host->turn_end);
    if (a->attached == ATTACHING)
        keep_all(a, out);
    else
        post_all(a->host);
    if (out->dead_count)
        bury(a, transaction);
    if (a->queue->paging)
        page(a);
    if (out->deadline_ms)
        wake_at(a, out->deadline_ms);
}

static void on_page(struct page_reader *reader, const struct page_answer *answer)
{
    struct queue_actor *a = list_entry(reader, struct queue_actor, reader);
    queue_page_in(a->queue, answer, shard_now_ms(a->shard), &a->host->out);
    perform(a, 0);
}

static void on_wake(struct timer *t)
{
    struct queue_actor *a = list_entry(t, struct queue_actor, wake);
    uint64_t now = shard_now_ms(a->shard);
    bool more = queue_sweep(a->queue, &a->host->pool, SWEEP_PORTION);
    if (a->destroyed && !more && (!a->sieve || sieve_is_idle(a->sieve))) {
        queue_actor_free(a);
        return;
    }
    queue_tick(a->queue, now, &a->host->out);
    perform(a, 0);
    if (a->queue->garbage.count || a->destroyed)
        wake_at(a, now + SWEEP_PAUSE_MS);
}

/* ---- policies ---- */

static const struct queue_face_type queue_face_type;

static void refresh_policies(struct queue_actor *a)
{
    a->policy_version = a->host->policies.version;
    if (a->queue->def->line_of)
        return; /* it has no name that a policy could be for */
    struct applied applied = routing_match_queue(a->host->routing, a->queue->def);
    if (queue_set_policies(a->queue, &applied, shard_now_ms(a->shard), &a->host->out))
        perform(a, 0);
}

/* Whatever comes to a queue meets the newest policies. */
static inline void keep_policies(struct queue_actor *a)
{
    if (a->policy_version != a->host->policies.version)
        refresh_policies(a);
}

/* The others are looked at in portions. Downwards: what leaves is replaced by one that was seen,
 * what comes has the newest. */
static void on_policy_timer(struct timer *t)
{
    struct queue_host *h = list_entry(t, struct queue_host, policies.timer);
    size_t count = listing_count(t->shard, LISTING_QUEUES);
    if (h->policies.left > count)
        h->policies.left = count;
    for (unsigned i = 0; i < POLICY_PORTION && h->policies.left; i++) {
        struct queue_face *face = listing_at(t->shard, LISTING_QUEUES, --h->policies.left);
        face->type->keep_policies(face);
    }
    if (!h->policies.left && h->policies.again) {
        h->policies.again = false;
        h->policies.left = count;
    }
    if (h->policies.left)
        timer_set(t, POLICY_PAUSE_MS);
}

static void on_change(void *arg, const struct meta_change *change)
{
    struct queue_host *h = arg;
    if (meta_change_kind(change) != CHANGE_POLICY)
        return;
    h->policies.version = routing_policy_version(h->routing);
    if (timer_is_set(&h->policies.timer)) {
        h->policies.again = true;
        return;
    }
    h->policies.left = listing_count(h->policies.timer.shard, LISTING_QUEUES);
    if (h->policies.left)
        timer_set(&h->policies.timer, POLICY_PAUSE_MS);
}

static inline uint64_t transaction_of(const struct op *op)
{
    if (op->kind == OP_ENQUEUE)
        return op_body(op, const struct op_enqueue)->transaction;
    return op->kind == OP_SETTLE ? op_body(op, const struct op_settle)->transaction : 0;
}

struct kept_barrier {
    struct transfer_wait wait;
    struct queue_host *host;
    struct op op;
};

static void on_barrier(struct transfer_wait *w)
{
    struct kept_barrier *b = list_entry(w, struct kept_barrier, wait);
    const struct op_enqueue *in = op_body(&b->op, const struct op_enqueue);
    struct op ok = {.to = in->channel, .kind = OP_CONFIRM, .flags = b->op.flags};
    *op_body(&ok, struct op_confirm) = (struct op_confirm){in->seq, in->seq};
    hand_over(b->host);
    post(&ok);
    free(b);
}

/* The commit that follows must come behind the dead letters that the transaction made. */
static bool keep_barrier(struct queue_host *h, const struct op *op)
{
    if (op->kind != OP_TX_BARRIER || !transfers_any(&h->transfers))
        return false;
    struct kept_barrier *b = NEW(struct kept_barrier);
    b->wait.fn = on_barrier;
    b->host = h;
    b->op = *op;
    transfers_await(&h->transfers, &b->wait);
    return true;
}

static void on_op(void *object, struct op *op);

static bool is_letter_from_elsewhere(const struct queue_actor *a, const struct op *op)
{
    return op->kind == OP_ENQUEUE && op->flags & OP_ENQUEUE_LETTER &&
           op_body(op, const struct op_enqueue)->channel.shard != shard_index(a->shard);
}

/* Goes on with what was published meanwhile. */
static void on_recalled(void *arg)
{
    struct queue_actor *a = arg;
    struct recall *r = a->recall;
    a->recall = NULL;
    for (size_t i = 0; i < r->kept_count; i++)
        on_op(a, &r->kept[i]);
    r->kept_count = 0;
    recall_free(&r);
}

/* A queue that dead letters of this one go to has to catch up, or has. */
static void halt(struct queue_actor *a, bool go_on)
{
    struct queue *q = a->queue;
    q->halts += go_on ? -1U : 1;
    if (q->halts)
        return;
    brake_release(&a->brake);
    wake_at(a, shard_now_ms(a->shard));
}

static void on_peeked(struct peeks *peeks)
{
    perform(list_entry(peeks, struct queue_actor, peeks), 0);
}

static inline void take(struct queue_actor *a, struct op *op)
{
    uint64_t transaction = transaction_of(op);
    if (a->queue->halts && op->kind == OP_ENQUEUE)
        brake_hold(&a->brake, op);
    a->host->hasty |= is_letter_from_elsewhere(a, op);
    if (transaction)
        queue_in_transaction(a->queue);
    queue_step(a->queue, op, shard_now_ms(a->shard), &a->host->out);
    perform(a, transaction);
}

static void on_op(void *object, struct op *op)
{
    struct queue_actor *a = object;
    if (peeks_take(op)) {
        peeks_ask(&a->peeks, op);
        return;
    }
    bool destroy = op->kind == OP_QUEUE_DESTROY;
    if (a->recall && recall_keep(a->recall, op))
        return;
    if (keep_barrier(a->host, op))
        return;
    if (op->kind == OP_PUBLISH_WAIT) {
        halt(a, op->flags & OP_PUBLISH_GO_ON);
        return;
    }
    if (a->sieve && op->kind == OP_ENQUEUE) {
        sieve_put(a->sieve, op);
        return;
    }
    keep_policies(a);
    if (!a->attached && a->queue->stored && (op->kind == OP_CONSUME || op->kind == OP_GET))
        attach(a);
    take(a, op);
    if (destroy) {
        if (a->recall)
            on_recalled(a);
        brake_release(&a->brake);
        recorder_forget(&a->host->recorder, &a->recorded, a->queue->def);
        slot_free(a->shard, a->queue->def->addr);
        a->destroyed = true;
    }
    if (destroy || a->queue->garbage.count)
        wake_at(a, shard_now_ms(a->shard));
}

static const struct actor_type queue_type = {"queue", on_op};

/* ---- a line of values ---- */

static void expire_values(void *arg)
{
    struct queue_actor *a = arg;
    uint64_t now = shard_now_ms(a->shard), next = bounds_deadline(a->queue);
    if (!next || next > now)
        return;
    queue_tick(a->queue, now, &a->host->out);
    perform(a, 0);
}

static void take_value(void *arg, struct op *op)
{
    take(arg, op);
}

static void answer_publish(void *arg, const struct op *op, bool safe, uint16_t flags)
{
    struct queue_actor *a = arg;
    const struct op_enqueue *in = op_body(op, const struct op_enqueue);
    a->host->hasty |= is_letter_from_elsewhere(a, op);
    queue_confirm(&a->host->out, safe ? CONFIRM_WHEN_SAFE : CONFIRM_NOW, in->channel, in->seq,
                  flags);
    perform(a, in->transaction);
}

static struct sieve *make_sieve(struct queue_actor *a)
{
    return sieve_new(
        a->queue, &a->host->deadletters, &a->host->out,
        &(struct sieve_owner){
            .expire = expire_values, .take = take_value, .answer = answer_publish, .arg = a});
}

/* Where the queues' host of a shard is found: the queue maker knows it through the shard. */
static struct queue_host *host_of(const struct shard *shard)
{
    return broker_queue_host(shard);
}

static uint64_t oldest_transaction(const struct queue_out *out, uint64_t *ret_next)
{
    (void)out;
    struct transaction_numbers n = broker_transactions(shard_node(shard_self()));
    *ret_next = n.next;
    return n.oldest;
}

void queue_actor_init(struct shard *shard)
{
    struct queue_host *h = NEW(struct queue_host);
    h->out.pool = &h->pool;
    h->out.oldest_transaction = oldest_transaction;
    h->out.meta = meta_addr(shard_node(shard));
    deadletters_init(&h->deadletters, shard);
    list_init(&h->held);
    recorder_init(&h->recorder, store_log_of(shard));
    transfers_init(&h->transfers, shard, &h->recorder, &h->turn_end);
    h->transfers.on_refused = on_refused;
    if (h->recorder.log)
        h->out.log = &h->recorder.effects;
    if (h->recorder.log)
        h->pool.limits = &pager_limits;
    pager_init(&h->pager, h->recorder.log, &h->recorder.wall);
    deferred_init(&h->turn_end, on_turn_end);
    h->routing = routing_of(shard);
    h->policies.version = routing_policy_version(h->routing);
    timer_init(&h->policies.timer, shard, on_policy_timer);
    h->listener = (struct routing_listener){.on_change = on_change, .arg = h};
    routing_listen(h->routing, &h->listener);
    broker_set_queue_host(shard, h);
    listing_set_getter(LISTING_QUEUES, get_listed_column);
    listing_set_getter(LISTING_LINES, get_listed_column);
    listing_set_finder(LISTING_QUEUES, find_listed);
}

void queue_actor_fini(struct shard *shard)
{
    struct queue_host *h = host_of(shard);
    deferred_cancel(&h->turn_end);
    timer_stop(&h->policies.timer);
    if (h->recorder.log)
        recorder_flush(&h->recorder);
    recorder_fini(&h->recorder);
    while (!list_empty(&h->held)) {
        struct held *held = list_entry(h->held.next, struct held, link);
        store_wait_cancel(&held->wait);
        on_safe(&held->wait); /* released, not delivered */
    }
    while (!list_empty(&h->transfers.waits)) {
        struct transfer_wait *wait =
            list_entry(h->transfers.waits.next, struct transfer_wait, link);
        list_remove(&wait->link);
        wait->fn(wait); /* released, not delivered */
    }
    transfers_fini(&h->transfers);
    pager_fini(&h->pager);
    queue_out_fini(&h->out);
    deadletters_fini(&h->deadletters);
    ready_pool_fini(&h->pool);
    free(h);
}

/* What a queue of an earlier run left in the store. */
static void restore(struct queue_actor *a)
{
    struct store *store = store_of(shard_node(a->shard));
    uint64_t id = a->recorded.id, now = shard_now_ms(a->shard);
    if (!store_is_recovered(store, id))
        return;
    struct fold_queue *found = mem_alloc(sizeof *found);
    struct queue_level *levels = mem_alloc(READY_LEVELS * sizeof *levels);
    if (fold_get_queue(store_fold(store), id, found)) {
        for (unsigned i = 0; i < found->level_count; i++) {
            const struct fold_level *l = &found->levels[i];
            levels[i] =
                (struct queue_level){.count = l->count,
                                     .bytes = l->bytes,
                                     .first = l->first,
                                     .last = l->last,
                                     .expiry = pager_local_expiry(&a->host->pager, l->expiry, now),
                                     .level = l->level};
        }
        queue_restore(a->queue, levels, found->level_count, found->next_seq);
        a->recall =
            recall_new(a->queue, &a->host->pager, levels, found->level_count, on_recalled, a);
    }
    free(levels);
    free(found);
}

static enum listing listing_of(const struct queue_def *def)
{
    return def->line_of ? LISTING_LINES : LISTING_QUEUES;
}

struct queue_actor *queue_actor_new(struct shard *shard, struct queue_def *def)
{
    struct queue_actor *a = NEW(struct queue_actor);
    a->face.type = &queue_face_type;
    a->host = host_of(shard);
    a->shard = shard;
    a->queue = queue_new(def, a->host->recorder.log && durable_queue(def), shard_now_ms(shard));
    recorded_init(&a->recorded, def);
    page_reader_init(&a->reader, &a->host->pager, def->id, on_page);
    a->peeks = (struct peeks){.queue = a->queue,
                              .pager = &a->host->pager,
                              .recorder = &a->host->recorder,
                              .recorded = &a->recorded,
                              .transfers = &a->host->transfers,
                              .out = &a->host->out,
                              .on_change = on_peeked};
    peeks_init(&a->peeks);
    a->letters.fn = on_letters;
    list_init(&a->letters.link);
    letters_init(&a->letters_done, &a->host->letters_known);
    list_init(&a->attaching.link);
    timer_init(&a->wake, shard, on_wake);
    refresh_policies(a);
    if (def->line_of == LINE_OF_VALUES)
        a->sieve = make_sieve(a);
    if (a->queue->stored)
        restore(a);
    slot_assign(shard, def->addr, &queue_type, a);
    listing_add(shard, listing_of(def), &a->listed, a);
    if (bounds_over(a->queue)) /* what consumers held is ready again */
        wake_at(a, shard_now_ms(shard));
    else if (bounds_deadline(a->queue))
        wake_at(a, bounds_deadline(a->queue));
    return a;
}

void queue_actor_free(struct queue_actor *a)
{
    timer_stop(&a->wake);
    store_wait_cancel(&a->attaching);
    on_attached(&a->attaching);
    if (a->host->recorder.log)
        recorder_flush(&a->host->recorder);
    transfers_forget(&a->host->transfers, &a->recorded);
    recorded_fini(&a->recorded);
    list_remove(&a->letters.link);
    letters_fini(&a->letters_done);
    page_reader_fini(&a->reader);
    peeks_fini(&a->peeks);
    recall_free(&a->recall);
    sieve_free(&a->sieve);
    brake_release(&a->brake);
    listing_remove(a->shard, listing_of(a->queue->def), &a->listed);
    if (!a->destroyed)
        slot_free(a->shard, a->queue->def->addr);
    queue_free(a->queue);
    free(a);
}

const struct queue_face *queue_actor_find(struct shard *shard, struct addr addr)
{
    return slot_find(shard, addr, &queue_type);
}

/* ---- what is shown ---- */

bool queue_actor_is(const struct queue_face *face)
{
    return face->type == &queue_face_type;
}

const struct queue *queue_actor_queue(const struct queue_face *face)
{
    return actor_of(face)->queue;
}

static const struct queue_def *face_def(const struct queue_face *face)
{
    return queue_actor_queue(face)->def;
}

static bool face_is_dead(const struct queue_face *face)
{
    return queue_is_dead(queue_actor_queue(face));
}

/* Of policies the newest, which may be on their way to the queue. */
static struct value face_column(const struct queue_face *face, const char *column)
{
    const struct queue_actor *a = actor_of(face);
    struct value v = queue_column(a->queue, column);
    if (v.type == VALUE_NONE)
        return queue_face_policy(a->host->routing, a->queue->def, column);
    if (!strcmp(column, "memory"))
        v.integer += (int64_t)(mem_size(a) + mem_size(a->waiting));
    return v;
}

static struct queue_counts face_counts(const struct queue_face *face)
{
    return queue_count(queue_actor_queue(face));
}

static void face_each_consumer(const struct queue_face *face,
                               void (*fn)(const struct queue_face *face, const void *consumer,
                                          void *arg),
                               void *arg)
{
    list_each (it, &queue_actor_queue(face)->consumers.all) {
        fn(face, list_entry(it, struct consumer, link), arg);
    }
}

static struct value face_consumer_column(const struct queue_face *face, const void *consumer,
                                         const char *column)
{
    return queue_consumer_column(queue_actor_queue(face), consumer, column);
}

static struct queue_standing face_explain(const struct queue_face *face, uint64_t now_ms)
{
    const struct queue_actor *a = actor_of(face);
    return queue_explain(a->queue, a->attached == ATTACHING, now_ms);
}

static bool face_explain_consumer(const struct queue_face *face, uint32_t number,
                                  struct consumer_view *ret_view)
{
    return queue_explain_consumer(queue_actor_queue(face), number, ret_view);
}

static void face_keep_policies(struct queue_face *face)
{
    if (!actor_of(face)->destroyed)
        keep_policies(actor_of(face));
}

static void face_free(struct queue_face *face)
{
    queue_actor_free(actor_of(face));
}

static const struct queue_face_type queue_face_type = {.def = face_def,
                                                       .is_dead = face_is_dead,
                                                       .column = face_column,
                                                       .counts = face_counts,
                                                       .each_consumer = face_each_consumer,
                                                       .consumer_column = face_consumer_column,
                                                       .explain = face_explain,
                                                       .explain_consumer = face_explain_consumer,
                                                       .keep_policies = face_keep_policies,
                                                       .free = face_free};
