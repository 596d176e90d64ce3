/* force_checkpoint: what the journal has, into the database. Each shard is waited for until the
 * fold knows what it logged; then, on shard 0, for a checkpoint. RabbitMQ's command is about quorum
 * queues, one by one, so these are listed. */
#include "admin/call.h"
#include "admin/handlers.h"
#include "admin/listing.h"

#include "base/mem.h"
#include "meta/def.h"
#include "meta/meta.h"
#include "meta/pattern.h"
#include "store/store.h"

#include <stdlib.h>
#include <sysexits.h>

enum { LOOK_MS = 5 };

/* ---- the checkpoint ---- */

struct checkpoint_visit {
    struct visit visit;
    uint64_t mark;
    bool marked; /* on this shard */
    uint64_t asked;
    bool full;
};

static bool is_fed(struct checkpoint_visit *v, const struct store_log *log)
{
    if (!v->marked)
        v->mark = store_mark(log);
    v->marked = !store_is_fed(log, v->mark);
    return !v->marked;
}

static bool checkpoint_run(struct visit *visit, struct shard *shard)
{
    struct checkpoint_visit *v = (struct checkpoint_visit *)visit;
    struct store *store = store_of(shard_node(shard));
    visit->pause_ms = LOOK_MS;
    v->full = store_is_full(store);
    if (v->full)
        return true;
    if (!v->asked && !is_fed(v, store_log_of(shard)))
        return false;
    if (shard_index(shard) > 0)
        return true;
    if (!v->asked)
        v->asked = store_ask_checkpoint(store);
    return store_has_checkpoint(store, v->asked);
}

/* ---- the queues ---- */

struct listing_visit {
    struct visit visit;
    struct rows rows;
    struct meta_cursor cursor;
    bool begun;
    struct pattern vhosts, queues;
    struct pattern_matcher *matcher;
};

static void listing_fini(struct visit *visit)
{
    struct listing_visit *v = (struct listing_visit *)visit;
    pattern_fini(&v->vhosts);
    pattern_fini(&v->queues);
    pattern_matcher_free(&v->matcher);
}

static bool put_queue(const struct meta_row *row, void *arg)
{
    struct listing_visit *v = arg;
    const struct queue_def *def = row->object;
    struct buf *out = &v->visit.out;
    if (def->type != QUEUE_QUORUM || !pattern_matches(&v->vhosts, v->matcher, def->vhost) ||
        !pattern_matches(&v->queues, v->matcher, def->name))
        return true;
    row_begin(out);
    row_put(out, &v->rows, "vhost", value_text(def->vhost));
    row_put(out, &v->rows, "name", value_text(def->name));
    row_put_text(out, &v->rows, "{ok}");
    row_end(out);
    return out->len < VISIT_BYTES;
}

static bool listing_run(struct visit *visit, struct shard *shard)
{
    struct listing_visit *v = (struct listing_visit *)visit;
    struct node *node = shard_node(shard);
    if (!v->begun)
        v->cursor = meta_cursor_begin(node, META_QUEUES, SLICE_EMPTY);
    v->begun = true;
    return !meta_cursor_next(node, &v->cursor, VISIT_OBJECTS, put_queue, v);
}

static struct slice pattern_of(const struct call *call, enum option option)
{
    return slice_str(call_option(call, option, ".*"));
}

static void list_queues(struct call *call)
{
    struct listing_visit *v = visit_new(sizeof *v, listing_run, call_visit_end);
    v->visit.fini = listing_fini;
    v->matcher = pattern_matcher_new();
    pattern_init(&v->vhosts, pattern_of(call, OPT_VHOST_PATTERN));
    pattern_init(&v->queues, pattern_of(call, OPT_QUEUE_PATTERN));
    rows_begin_fixed(call, &v->rows, "vhost name result", false);
    call_visit_first(call, &v->visit);
}

static void on_checkpoint(struct call *call, struct visit *visit)
{
    if (((struct checkpoint_visit *)visit)->full)
        call_fail(call, EX_UNAVAILABLE, "The store waits for room on the disk");
    else if (call_has(call, OPT_ERRORS_ONLY))
        call_exit(call);
    else
        list_queues(call);
}

void run_force_checkpoint(struct call *call)
{
    static const enum option options[] = {OPT_VHOST_PATTERN, OPT_QUEUE_PATTERN};
    struct failure why;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (pattern_check(pattern_of(call, options[i]), &why)) {
            call_fail(call, EX_DATAERR, "%s", why.text);
            return;
        }
    }
    call_banner(call, "Forcing checkpoint for all matching quorum queues...");
    call_visit(call, visit_new(sizeof(struct checkpoint_visit), checkpoint_run, on_checkpoint));
}
