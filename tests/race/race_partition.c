/* The threads of partitions under TSan: each shard appends to more of them than may have files
 * open, reads everywhere, drops what is old, deletes and begins anew, without end; the node stops
 * in the midst of that. What was appended is there after the next start, in order. */
#include "base/bug.h"
#include "base/mem.h"
#include "partition/partition.h"
#include "shard/timer.h"

#include <dirent.h>
#include <ftw.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHARDS = 3, RUNS = 5, LOGS = 40, TICKS = 100, ACTS = 25, FILES_MAX = 5 * 64 };

struct writer;

struct log {
    struct writer *writer;
    struct partition *partition;
    uint64_t id, next, committed; /* 0: not begun */
    bool fresh;
};

/* One a shard. */
struct writer {
    struct shard *shard;
    struct timer timer;
    struct log logs[LOGS];
    uint64_t random, ticks, read, files_most;
};

static struct writer writers[SHARDS];
static _Atomic unsigned done;
static _Atomic uint64_t last_id;

static uint64_t pick(struct writer *w, uint64_t n)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (w->random >> 33) % n;
}

/* ---- what the partition says ---- */

static void on_open(void *arg)
{
    struct log *log = arg;
    struct partition_offsets o = partition_offsets(log->partition);
    bug_on(o.next != log->next || o.committed != log->next || o.first > o.next);
}

static void on_commit(void *arg)
{
    struct log *log = arg;
    struct partition_offsets o = partition_offsets(log->partition);
    bug_on(o.committed <= log->committed || o.committed > o.next || o.last >= o.committed);
    log->committed = o.committed;
}

static void on_drop(void *arg)
{
    const struct log *log = arg;
    struct partition_offsets o = partition_offsets(log->partition);
    bug_on(o.first > o.next); /* commits may be on their way */
}

static const struct partition_user user = {on_open, on_commit, on_drop};

static void on_read(void *arg, struct partition_read *read)
{
    struct log *log = arg;
    struct slice left = buf_slice(&read->batches), entries, entry;
    struct batch b;
    size_t size;
    uint64_t next = read->offset, says[2];
    while (left.len) {
        bug_on(batch_check(left, &b, &size) != BATCH_WHOLE);
        bug_on(b.base + b.count > partition_offsets(log->partition).next);
        /* the first may be behind what was dropped */
        bug_on(left.data != read->batches.data && b.base != next);
        entries = batch_entries(left, &b);
        for (next = b.base; batch_next(&entries, &entry); next++) {
            memcpy(says, entry.data, sizeof says);
            bug_on(says[0] != log->id || says[1] != next);
        }
        left = slice_of(left.data + size, left.len - size);
        log->writer->read++;
    }
}

static void on_located(void *arg, struct partition_read *read)
{
    const struct log *log = arg;
    bug_on(read->offset > partition_offsets(log->partition).next);
}

/* ---- what is done ---- */

static struct partition_options options_of(struct writer *w)
{
    return (struct partition_options){.max_bytes =
                                          pick(w, 2) ? 20000 + pick(w, 200000) : UINT64_MAX,
                                      .max_age_ms = pick(w, 4) ? UINT64_MAX : pick(w, 200),
                                      .segment_bytes = 10000 + pick(w, 50000),
                                      .filter_bytes = BATCH_FILTER_MIN};
}

static void open_log(struct log *log)
{
    struct partition_options o = options_of(log->writer);
    if (log->fresh)
        log->id = atomic_fetch_add(&last_id, 1) + 1;
    log->partition = partition_new(log->writer->shard, log->id, log->fresh, &o, &user, log);
    log->fresh = false;
}

static void begin_anew(struct log *log)
{
    partition_remove(&log->partition);
    *log = (struct log){.writer = log->writer, .fresh = true};
    open_log(log);
}

static void append(struct writer *w, struct log *log)
{
    for (uint64_t n = 1 + pick(w, 20); n; n--) {
        uint64_t says[2] = {log->id, log->next++};
        size_t size = sizeof says + pick(w, 300);
        uint8_t *at = partition_add(log->partition, size);
        memset(at, 'x', size);
        memcpy(at, says, sizeof says);
        bool has = pick(w, 2);
        partition_add_filter(log->partition, slice_of(says, 3), has);
    }
}

static void act(struct writer *w)
{
    struct log *log = &w->logs[pick(w, LOGS)];
    struct partition_read read = {.cursor = {UINT64_MAX, 0}};
    struct partition_options o;
    if (pick(w, 400) == 0) { /* also while it is being opened */
        begin_anew(log);
        return;
    }
    if (!partition_is_open(log->partition))
        return;
    switch (pick(w, 12)) {
    case 0:
        o = options_of(w);
        partition_set_options(log->partition, &o);
        break;
    case 1:
        read.by_time = true;
        read.offset = pick(w, 2) ? pick(w, 1000) : UINT64_MAX - pick(w, 1000);
        partition_read(log->partition, &read, on_located);
        break;
    case 2:
    case 3:
    case 4:
        read.offset = pick(w, log->next + 1);
        partition_read(log->partition, &read, on_read);
        break;
    case 5:
        partition_retain(log->partition);
        bug_on(partition_segments(log->partition) > 0 && !partition_memory(log->partition));
        break;
    default:
        append(w, log);
        break;
    }
}

static uint64_t count_files(void)
{
    uint64_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static void on_timer(struct timer *t)
{
    struct writer *w = list_entry(t, struct writer, timer);
    if (!shard_congested(w->shard)) {
        for (int i = 0; i < ACTS; i++)
            act(w);
    }
    partitions_memory(w->shard);
    if (w->ticks % 32 == 0) {
        uint64_t n = count_files();
        w->files_most = n > w->files_most ? n : w->files_most;
    }
    if (++w->ticks == TICKS)
        atomic_fetch_add(&done, 1);
    if (shard_index(w->shard) == 0 && atomic_load(&done) == SHARDS)
        node_stop(shard_node(w->shard));
    timer_set(t, 1);
}

/* ---- runs ---- */

static void begin(struct shard *shard, void *arg)
{
    struct writer *w = &writers[shard_index(shard)];
    const bool *first = arg;
    w->shard = shard;
    w->ticks = 0;
    w->random += 77 + shard_index(shard);
    for (int i = 0; i < LOGS; i++) {
        w->logs[i].writer = w;
        w->logs[i].fresh = *first;
        open_log(&w->logs[i]);
    }
    timer_init(&w->timer, shard, on_timer);
    timer_set(&w->timer, 1);
}

static void end(struct shard *shard, void *arg)
{
    struct writer *w = &writers[shard_index(shard)];
    (void)arg;
    timer_stop(&w->timer);
    for (int i = 0; i < LOGS; i++)
        partition_free(&w->logs[i].partition);
}

static bool is_known(uint64_t id, void *arg)
{
    (void)arg;
    for (int i = 0; i < SHARDS * LOGS; i++) {
        if (writers[i / LOGS].logs[i % LOGS].id == id)
            return true;
    }
    return false;
}

static void run(const char *directory, bool first)
{
    static const struct op_kind kinds[] = {{"none", NULL}};
    struct partitions *ps;
    struct failure why;
    struct node *node =
        node_new(&(struct node_options){.shards = SHARDS, .ops = kinds, .op_count = 1});
    if (partitions_open(node, directory, &ps, &why) != ERR_NONE)
        bug_panic("%s", why.text);
    partitions_sweep(ps, is_known, NULL);
    atomic_store(&done, 0);
    node_each_shard(node, begin, &first);
    node_run(node);
    node_drop_ops(node);
    node_each_shard(node, end, NULL);
    partitions_close(&ps);
    node_free(&node);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    (void)st, (void)kind, (void)place;
    return remove(path);
}

int main(void)
{
    char directory[] = "/tmp/race-partition-XXXXXX";
    uint64_t read = 0, files = 0;
    bug_on(!mkdtemp(directory));
    for (int i = 0; i < RUNS; i++)
        run(directory, i == 0);
    bug_on(nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0);
    for (int i = 0; i < SHARDS; i++) {
        read += writers[i].read;
        files = writers[i].files_most > files ? writers[i].files_most : files;
    }
    bug_on(files > FILES_MAX);
    printf("%d runs on %d shards, %d partitions, %llu batches read, at most %llu files open\n",
           RUNS, SHARDS, SHARDS * LOGS, (unsigned long long)read, (unsigned long long)files);
    return 0;
}
