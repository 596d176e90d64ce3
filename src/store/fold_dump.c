/* What a data directory holds, in lines for people. */
#include "base/mem.h"
#include "base/wire_cursor.h"
#include "store/fold_block.h"
#include "store/fold_message_table.h"
#include "store/fold_queue.h"
#include "store/fold_stat.h"

#include <inttypes.h>
#include <stdlib.h>

enum { NOUNS = 256 };

struct dump {
    struct fold *f;
    struct kv_txn *txn;
    void (*line)(void *arg, const char *text);
    void *arg;
    struct buf text;
    uint64_t count; /* of what is being listed */
};

static void say(struct dump *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct dump *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&d->text, fmt, ap);
    va_end(ap);
    d->line(d->arg, buf_cstr(&d->text));
    buf_clear(&d->text);
}

/* ---- definitions ---- */

/* What they say, the folder above knows. */
static void count_definition(struct slice key, struct slice value, void *arg)
{
    struct dump *d = arg;
    (void)key, (void)value;
    d->count++;
}

/* ---- queues ---- */

static void dump_run(struct dump *d, const struct fold_replica *q, const struct fold_run *run)
{
    struct fold_level l = {.level = (uint16_t)(run->number / 2)};
    if (fold_run_level(d->f, d->txn, q, run, &l) != KV_OK)
        say(d, "  cannot be read: %s", kv_error(d->f->kv));
    if (l.count) {
        buf_printf(&d->text, "  level %u, %s: %" PRIu64 " messages, %" PRIu64 " bytes", l.level,
                   run->number % 2 ? "transient" : "persistent", l.count, l.bytes);
        buf_printf(&d->text, ", numbers %" PRIu64 " to %" PRIu64, l.first, l.last);
        if (l.expiry)
            buf_printf(&d->text, ", none expires before %" PRIu64, l.expiry);
        say(d, "; %" PRIu64 " of them in the database", run->stored.count);
    }
    if (!fold_ranges_empty(&run->dead))
        say(d, "  level %u: blocks of purged messages are to be deleted yet", l.level);
}

static void dump_queues(struct dump *d)
{
    size_t n;
    struct fold_replica **all = fold_sorted_queues(d->f, &n);
    for (size_t i = 0; i < n; i++) {
        const struct fold_replica *q = all[i];
        buf_printf(&d->text, "queue %" PRIu64 ": %s, next number %" PRIu64, q->id,
                   q->durable ? "durable" : "not durable", q->next_seq);
        if (q->redelivered_below)
            buf_printf(&d->text, ", redelivered below %" PRIu64, q->redelivered_below);
        say(d, "%s", q->attached ? ", attached: its messages may have been delivered" : "");
        for (const struct fold_run *run = q->runs; run; run = run->next)
            dump_run(d, q, run);
    }
    for (size_t i = 0; i < d->f->drop_count; i++)
        say(d, "deleted queue %" PRIu64 ": its blocks are to be deleted yet", d->f->drops[i]);
    say(d, "%zu queues", n);
    free(all);
}

/* ---- messages, transactions, blocks set aside ---- */

static void dump_message(struct dump *d, const struct fold_ref_count *count)
{
    struct fold_ref ref;
    if (fold_get_ref(d->txn, count->id, &ref) != KV_OK)
        return;
    buf_printf(&d->text, "message %" PRIu64 ": named by %" PRIu64 " entries", count->id, ref.refs);
    if (count->found < ref.refs)
        buf_printf(&d->text, ", %" PRIu64 " of which cannot be found", ref.refs - count->found);
    say(d, ", body of %" PRIu64 " bytes%s%s", ref.total,
        ref.flags & FOLD_REF_FILE ? " in a file" : "",
        ref.received < ref.total ? ", not whole" : "");
}

static enum kv_status on_ref(void *arg, struct slice key, struct slice value)
{
    struct dump *d = arg;
    struct fold_ref ref;
    (void)value;
    if (key.len != 8)
        return KV_OK;
    uint64_t id = wire_load_u64(key.data);
    d->count++;
    if (fold_get_ref(d->txn, id, &ref) != KV_OK)
        say(d, "message %" PRIu64 ": its record is damaged", id);
    return KV_OK;
}

static void dump_messages(struct dump *d)
{
    struct fold_ref_count *counts;
    size_t n;
    if (fold_count_refs(d->txn, &counts, &n) != KV_OK)
        say(d, "cannot be read: %s", kv_error(d->f->kv));
    for (size_t i = 0; i < n; i++)
        dump_message(d, &counts[i]);
    free(counts);
}

static enum kv_status on_aside(void *arg, struct slice key, struct slice value)
{
    struct dump *d = arg;
    struct slice about;
    if (key.len != 10 || wire_load_u16(key.data + 8) != 0)
        return KV_OK;
    d->count++;
    uint64_t n = wire_load_u64(key.data);
    if (!fold_unseal(value, &about) || about.len < FOLD_BLOCK_KEY) {
        say(d, "set aside %" PRIu64 ": a block", n);
        return KV_OK;
    }
    const uint8_t *k = about.data;
    say(d,
        "set aside %" PRIu64 ": a block of queue %" PRIu64 ", level %u, from %" PRIu64 " on: %.*s",
        n, wire_load_u64(k), wire_load_u16(k + 8) / 2u, wire_load_u64(k + 10),
        (int)(about.len - FOLD_BLOCK_KEY), (const char *)k + FOLD_BLOCK_KEY);
    return KV_OK;
}

static void dump_table(struct dump *d, enum kv_table t,
                       enum kv_status (*fn)(void *arg, struct slice key, struct slice value),
                       const char *what)
{
    d->count = 0;
    if (fold_each_prefix(d->txn, t, SLICE_EMPTY, fn, d) != KV_OK)
        say(d, "cannot be read: %s", kv_error(d->f->kv));
    say(d, "%" PRIu64 " %s", d->count, what);
}

static void dump_transactions(struct dump *d)
{
    hash_each (it, &d->f->transactions) {
        const struct fold_transaction *tx = hash_at(&d->f->transactions, it);
        struct slice rest = buf_slice(&tx->records);
        struct record r;
        unsigned n = 0;
        while (record_get(&rest, &r))
            n++;
        say(d, "transaction %" PRIu64 " without commit: %u records, %zu bytes", tx->id, n,
            tx->records.len);
    }
    say(d, "%zu transactions without commit", d->f->transactions.count);
}

void fold_dump(struct fold *f, void (*line)(void *arg, const char *text), void *arg)
{
    struct dump d = {.f = f, .line = line, .arg = arg};
    for (unsigned noun = 0; noun < NOUNS; noun++)
        fold_each_definition(f, (uint8_t)noun, count_definition, &d);
    say(&d, "%" PRIu64 " definitions", d.count);
    if (fold_begin_read(f, &d.txn) != KV_OK) {
        say(&d, "the database cannot be read: %s", kv_error(f->kv));
        buf_fini(&d.text);
        return;
    }
    dump_queues(&d);
    dump_messages(&d);
    dump_table(&d, KV_REFS, on_ref, "messages stored once in the database");
    say(&d, "%zu messages stored once in the journal", f->parts[f->active].messages.count);
    dump_transactions(&d);
    dump_table(&d, KV_SET_ASIDE, on_aside, "damaged blocks set aside");
    say(&d,
        "the database has the journal up to frame %" PRIu64 "; frames up to %" PRIu64
        " follow, %" PRIu64 " bytes",
        f->applied, f->lsn, f->parts[f->active].journal_bytes);
    fold_end_read(f, &d.txn);
    buf_fini(&d.text);
}
