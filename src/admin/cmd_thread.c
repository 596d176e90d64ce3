/* Threads: what they use of the processors, and which shards do not answer. */
#include "admin/handlers.h"
#include "admin/listing.h"
#include "admin/report.h"
#include "admin/threads.h"

#include "base/clock.h"
#include "base/mem.h"
#include "meta/def.h"
#include "meta/meta.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* ---- processor time ---- */

static void put_threads(struct call *call, struct threads *now)
{
    struct buf out = BUF_INIT;
    struct rows rows;
    rows_begin_fixed(call, &rows, "thread tid user system sleep", false);
    for (size_t i = 0; i < now->count; i++) {
        const struct thread_times *t = &now->list[i];
        struct thread_share share = threads_share(call->threads, now, t);
        row_begin(&out);
        row_put_text(&out, &rows, t->name);
        row_put_int(&out, &rows, (uint64_t)t->tid);
        row_put(&out, &rows, "user", value_double(share.user));
        row_put(&out, &rows, "system", value_double(share.system));
        row_put(&out, &rows, "sleep", value_double(share.sleep));
        row_end(&out);
    }
    call_write(call, buf_slice(&out));
    buf_fini(&out);
}

static void on_sampled(struct call *call)
{
    struct threads *now = threads_read();
    put_threads(call, now);
    threads_free(&now);
    call_exit(call);
}

static void drop_sample(struct call *call)
{
    threads_free(&call->threads);
}

void run_runtime_thread_stats(struct call *call)
{
    const char *text = call_option(call, OPT_INTERVAL, "5");
    uint64_t seconds;
    if (!args_number(text, 1, 3600, &seconds)) {
        call_refuse(call, EX_USAGE,
                    "Invalid options for this command:\n--sample-interval : 1 to 3600");
        return;
    }
    call_banner(call, "Will collect runtime thread stats on %s for %" PRIu64 " seconds...",
                meta_node_name(call_node(call)), seconds);
    if (call_is_dry(call))
        return;
    call->threads = threads_read();
    call->on_gone = drop_sample;
    call->on_timer = on_sampled;
    timer_set(&call->timer, seconds * 1000);
}

/* ---- shards that do not answer ---- */

enum { ANSWER_MS = 5000 };

struct knock {
    struct visit visit;
    uint64_t sent_ns;
};

static bool knock_run(struct visit *visit, struct shard *shard)
{
    (void)visit;
    (void)shard;
    return true;
}

static void knock(struct call *call, void (*on_answer)(struct call *call, struct visit *visit))
{
    struct knock *k = visit_new(sizeof *k, knock_run, on_answer);
    k->sent_ns = clock_mono_ns();
    timer_set(&call->timer, ANSWER_MS);
    call_visit_alone(call, &k->visit, call->shard_asked);
}

static void on_stuck(struct call *call)
{
    call_fail(call, EX_UNAVAILABLE, "Shard %u did not answer within %d ms", call->shard_asked,
              ANSWER_MS);
}

static void on_answered(struct call *call, struct visit *visit)
{
    uint64_t took = clock_mono_ns() - ((struct knock *)visit)->sent_ns;
    call_print(call, "Shard %u answered after %.3f ms", call->shard_asked, (double)took / 1e6);
    if (call->shard_asked-- > 0) {
        knock(call, on_answered);
    } else {
        timer_stop(&call->timer);
        call_exit(call);
    }
}

void run_maybe_stuck(struct call *call)
{
    call_banner(call, "Asking node %s to detect shards that are stuck...",
                meta_node_name(call_node(call)));
    call->on_timer = on_stuck;
    call->shard_asked = node_shard_count(call_node(call)) - 1;
    knock(call, on_answered);
}

/* ---- their queues ---- */

struct unresponsive {
    struct visit visit;
    struct rows rows;
    struct meta_cursor cursor;
    bool started;
    unsigned shard;
    char *vhost; /* owned */
};

static void unresponsive_fini(struct visit *visit)
{
    free(((struct unresponsive *)visit)->vhost);
}

static bool put_queue(const struct meta_row *row, void *arg)
{
    struct unresponsive *u = arg;
    const struct queue_def *def = row->object;
    struct buf *out = &u->visit.out;
    if (def->addr.shard != u->shard)
        return true;
    row_begin(out);
    for (size_t i = 0; i < u->rows.columns.count; i++)
        row_put(out, &u->rows, u->rows.columns.names[i],
                meta_row_get(row, u->rows.columns.names[i]));
    row_end(out);
    return out->len < VISIT_BYTES;
}

static bool unresponsive_run(struct visit *visit, struct shard *shard)
{
    struct unresponsive *u = (struct unresponsive *)visit;
    struct node *node = shard_node(shard);
    if (!u->started)
        u->cursor = meta_cursor_begin(node, META_QUEUES, slice_str(u->vhost));
    u->started = true;
    return !meta_cursor_next(node, &u->cursor, VISIT_OBJECTS, put_queue, u);
}

/* The shard that was asked does not answer. */
static void list_them(struct call *call)
{
    if (!call->shard_asked) {
        call_fail(call, EX_UNAVAILABLE, "Shard 0 does not answer: nothing can be asked");
        return;
    }
    struct unresponsive *u = visit_new(sizeof *u, unresponsive_run, call_visit_end);
    u->visit.fini = unresponsive_fini;
    u->shard = call->shard_asked;
    u->vhost = mem_strdup(call_vhost(call));
    u->rows = (struct rows){.columns = call->columns, .json = call->request.typed};
    call->on_timer = on_stuck;
    call_visit_first(call, &u->visit);
}

static void on_responsive(struct call *call, struct visit *visit)
{
    (void)visit;
    if (call->shard_asked-- > 0) {
        knock(call, on_responsive);
    } else {
        timer_stop(&call->timer);
        call_exit(call);
    }
}

void run_list_unresponsive_queues(struct call *call)
{
    struct rows rows;
    if (!rows_begin(call, &rows, "name", false, "Listing unresponsive queues for vhost %s ...",
                    call_vhost(call)))
        return;
    call->columns = rows.columns;
    call->on_timer = list_them;
    call->shard_asked = node_shard_count(call_node(call)) - 1;
    knock(call, on_responsive);
}
