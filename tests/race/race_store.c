/* The store's threads under TSan: each shard appends, waits for what it appended, reads its own
 * and other shards' queues, all of it without end; the node stops in the midst of that. What was
 * appended is there after the next start. In some runs it is copied meanwhile. */
#include "base/bug.h"
#include "base/mem.h"
#include "shard/slot.h"
#include "shard/timer.h"
#include "store/backup.h"
#include "store/record.h"
#include "store/store.h"

#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SHARDS = 3,
    RUNS = 12,
    COPIED = 6 /* every so many runs */,
    WAITS = 8,
    READS = 3,
    BODY = 900
};

struct writer;

struct waiting {
    struct store_wait wait;
    struct writer *writer;
    uint64_t seq;
};

struct reading {
    struct store_read read;
    struct writer *writer;
};

/* One a shard; a queue each. */
struct writer {
    struct shard *shard;
    struct store_log *log;
    struct timer timer;
    struct waiting waits[WAITS];
    struct reading reads[READS];
    uint64_t queue, next, settled, safe;
    uint64_t rounds, pages, pages_before;
    bool done;
};

static struct writer writers[SHARDS];
static _Atomic unsigned done;

static void append(struct writer *w, unsigned n)
{
    static const uint8_t body[BODY];
    struct entry e = {.content = {.names = SLICE("\1e\1k"),
                                  .properties = SLICE("\0\0"),
                                  .body = slice_of(body, sizeof body)}};
    for (unsigned i = 0; i < n; i++) {
        e.seq = w->next++;
        record_put_enq(store_records(w->log), w->queue, &e);
    }
    if (w->next % 7 == 0)
        store_hand_over(w->log);
    if (w->next % 1000 > 900 && w->settled + 50 < w->next) {
        record_put_settle(store_records(w->log), w->queue, 0, w->settled + 1, w->settled + 50);
        w->settled += 50;
    }
}

static void on_safe(struct store_wait *wait)
{
    struct waiting *x = list_entry(wait, struct waiting, wait);
    struct writer *w = x->writer;
    bug_on(x->seq < w->safe);
    w->safe = x->seq;
    w->rounds++;
    append(w, 1 + (unsigned)(w->next % 5));
    x->seq = w->next - 1;
    store_sync(w->log, &x->wait);
}

static void ask(struct reading *r);

static void on_page(struct store_read *read)
{
    struct reading *r = list_entry(read, struct reading, read);
    uint64_t before = 0;
    for (size_t i = 0; i < read->page.count; i++) {
        bug_on(read->page.entries[i].seq <= before);
        before = read->page.entries[i].seq;
    }
    /* everything from settled on was appended before, and its mark says so */
    bug_on(read->page.count && read->query.from <= r->writer->settled + 1 &&
           read->page.entries[0].seq > r->writer->settled + 1);
    fold_page_fini(&read->page);
    r->writer->pages++;
    ask(r);
}

static void ask(struct reading *r)
{
    struct writer *w = r->writer;
    r->read.query = (struct fold_query){.queue = w->queue,
                                        .from = w->settled + 1,
                                        .to = w->next - 1,
                                        .max_count = 50,
                                        .max_bytes = 1 << 20};
    r->read.mark = store_mark(w->log);
    r->read.fn = on_page;
    store_read(w->log, &r->read);
}

static bool is_done(const struct writer *w)
{
    return w->rounds > 20 && w->pages > 20;
}

/* The first shard ends the run when each has something behind it. Who gets no answers to his reads
 * writes no more either: on a machine that has much else to do they would never come. */
static void on_timer(struct timer *t)
{
    struct writer *w = list_entry(t, struct writer, timer);
    if (w->pages != w->pages_before)
        append(w, 20);
    w->pages_before = w->pages;
    if (is_done(w) && !w->done) {
        w->done = true;
        atomic_fetch_add(&done, 1);
    }
    if (shard_index(w->shard) == 0 && atomic_load(&done) == SHARDS)
        node_stop(shard_node(w->shard));
    timer_set(t, 3);
}

/* More in one turn than a frame can hold, by one who does not hand over in between. */
static void append_too_much(struct writer *w)
{
    static uint64_t kept[3000000];
    append(w, 6000);
    for (size_t i = 0; i < 3000000; i++)
        kept[i] = 2 * i + 1;
    for (uint64_t tx = 1; tx < 2000; tx++) {
        record_put_pending(store_records(w->log), tx);
        record_put_settle(store_records(w->log), w->queue, 0, 1, 100000);
    }
    record_put_purge(store_records(w->log), w->queue + 1000, 6000001, kept, 3000000);
    append(w, 6000);
}

static void begin(struct shard *shard, void *arg)
{
    struct writer *w = &writers[shard_index(shard)];
    (void)arg;
    w->shard = shard;
    w->log = store_log_of(shard);
    w->rounds = w->pages = w->pages_before = 0;
    w->done = false;
    if (!w->queue) {
        w->queue = store_new_queue_id(store_of(shard_node(shard)));
        w->next = 1;
        record_put_open(store_records(w->log), w->queue, true);
        append_too_much(w);
    }
    for (int i = 0; i < WAITS; i++) {
        w->waits[i].writer = w;
        w->waits[i].wait.fn = on_safe;
        append(w, 3);
        w->waits[i].seq = w->next - 1;
        store_sync(w->log, &w->waits[i].wait);
    }
    for (int i = 0; i < READS; i++) {
        w->reads[i].writer = w;
        ask(&w->reads[i]);
    }
    timer_init(&w->timer, shard, on_timer);
    timer_set(&w->timer, 3);
}

/* As a broker does it: first what waits is taken back, then the store ends. */
static void end(struct shard *shard, void *arg)
{
    struct writer *w = &writers[shard_index(shard)];
    (void)arg;
    timer_stop(&w->timer);
    for (int i = 0; i < READS; i++) {
        store_read_cancel(&w->reads[i].read);
        fold_page_fini(&w->reads[i].read.page);
        w->reads[i].read.page = (struct fold_page){0};
    }
    append(w, 1);
    for (int i = 0; i < WAITS; i++)
        store_wait_cancel(&w->waits[i].wait);
    store_sync(w->log, &w->waits[0].wait); /* the store is not told that nobody waits any more */
    store_wait_cancel(&w->waits[0].wait);
}

/* What was appended in the last moment is there as well: the end was clean. */
static void look(struct store *store)
{
    struct fold_queue *q = mem_alloc(sizeof *q);
    for (int i = 0; i < SHARDS; i++) {
        const struct writer *w = &writers[i];
        bug_on(!fold_get_queue(store_fold(store), w->queue, q));
        bug_on(q->next_seq != w->next || w->safe >= w->next);
        bug_on(q->level_count != 1 || q->levels[0].count != w->next - 1 - w->settled);
    }
    free(q);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    (void)st, (void)kind, (void)place;
    return remove(path);
}

static void clean_up(const char *directory)
{
    bug_on(nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0);
}

/* ---- copies ---- */

static const struct op_kind kinds[] = {{"none", NULL}};

static struct node *make_node(void)
{
    return node_new(&(struct node_options){.shards = SHARDS, .ops = kinds, .op_count = 1});
}

struct copier {
    pthread_t thread;
    struct store *store;
    const char *directory;
    char target[64];
    unsigned copies;
    _Atomic bool end;
};

/* No more is in it than was appended. */
static void look_at_copy(const char *directory)
{
    struct store_options options = {.directory = directory, .segment_size = 4 << 20};
    struct fold_queue *q = mem_alloc(sizeof *q);
    struct store *store;
    struct failure why;
    struct node *node = make_node();
    if (store_open(node, &options, &store, &why) != ERR_NONE)
        bug_panic("of a copy: %s", why.text);
    for (int i = 0; i < SHARDS; i++) {
        bug_on(!fold_get_queue(store_fold(store), writers[i].queue, q));
        bug_on(q->next_seq > writers[i].next);
    }
    store_close(&store);
    node_free(&node);
    free(q);
}

static void *copy_and_copy(void *arg)
{
    struct copier *c = arg;
    while (!atomic_load(&c->end)) {
        struct stage_progress progress = {0};
        struct backup *backup;
        struct failure why;
        if (backup_hold(c->store, c->directory, &backup, &why) != ERR_NONE)
            bug_panic("%s", why.text);
        backup_go_on(backup);
        if (c->copies++)
            clean_up(c->target);
        bug_on(mkdir(c->target, 0700) != 0);
        if (backup_copy(backup, c->target, &progress, &why) != ERR_NONE)
            bug_panic("%s", why.text);
        backup_close(&backup);
    }
    return NULL;
}

static void run_copied(struct node *node, struct store *store, const char *directory)
{
    struct copier c = {.store = store, .directory = directory};
    snprintf(c.target, sizeof c.target, "%s.copy", directory);
    bug_on(pthread_create(&c.thread, NULL, copy_and_copy, &c) != 0);
    node_run(node);
    atomic_store(&c.end, true);
    pthread_join(c.thread, NULL);
    if (!c.copies)
        return;
    look_at_copy(c.target);
    clean_up(c.target);
}

static void run(const struct store_options *options, bool copied)
{
    struct store *store;
    struct failure why;
    struct node *node = make_node();
    if (store_open(node, options, &store, &why) != ERR_NONE)
        bug_panic("%s", why.text);
    if (writers[0].queue)
        look(store);
    atomic_store(&done, 0);
    node_each_shard(node, begin, NULL);
    if (copied)
        run_copied(node, store, options->directory);
    else
        node_run(node);
    node_drop_ops(node);
    node_each_shard(node, end, NULL);
    store_close(&store);
    node_free(&node);
}

int main(void)
{
    char directory[] = "/tmp/race-store-XXXXXX";
    bug_on(!mkdtemp(directory));
    struct store_options options = {.directory = directory, .segment_size = 4 << 20};
    for (int i = 0; i < RUNS; i++)
        run(&options, i % COPIED == COPIED - 1);
    clean_up(directory);
    printf("%d runs on %d shards, %llu messages\n", RUNS, SHARDS,
           (unsigned long long)writers[0].next);
    return 0;
}
