/* The rig of the fold's tests. */
#include "fold_rig.h"

#include "base/mem.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { BODY = 100, LARGE_PAGE = 1 << 20 };

static void on_damage(void *arg, uint64_t queue, const char *text)
{
    struct fold_rig *rig = arg;
    (void)queue;
    rig->damages++;
    snprintf(rig->damage, sizeof rig->damage, "%s", text);
}

static void replay(void *arg, uint64_t lsn, struct journal_place payload, struct slice bytes)
{
    struct fold_rig *rig = arg;
    fold_frame(rig->fold, lsn, payload, bytes);
}

static void open_all(struct fold_rig *rig)
{
    struct failure why = {0};
    char db[128];
    snprintf(db, sizeof db, "%s/db", rig->directory);
    mkdir(db, 0700);
    struct kv_options kv = {.directory = db, .map_size = rig->map_size, .map_max = rig->map_size};
    if (!rig->map_size)
        kv.map_size = 256 << 20;
    cr_assert_eq(kv_lmdb_open(&kv, &rig->kv, &why), ERR_NONE, "%s", why.text);
    rig->disk = disk_open(rig->directory);
    cr_assert(rig->disk);
    struct journal_options jo = {.disk = rig->disk, .segment_size = 1 << 20, .segments_max = 1000};
    cr_assert_eq(journal_open(&jo, &rig->journal, &why), ERR_NONE, "%s", why.text);
    struct fold_options fo = {.kv = rig->kv,
                              .disk = rig->disk,
                              .journal = rig->journal,
                              .large = rig->large,
                              .portion = rig->portion,
                              .damage = on_damage,
                              .arg = rig};
    cr_assert_eq(fold_open(&fo, &rig->fold, &why), ERR_NONE, "%s", why.text);
    struct journal_reader reader = {.frame = replay, .arg = rig};
    cr_assert_eq(journal_replay(rig->journal, fold_applied(rig->fold), &reader, &why), ERR_NONE,
                 "%s", why.text);
}

static void close_all(struct fold_rig *rig)
{
    fold_close(&rig->fold);
    journal_close(&rig->journal);
    disk_close(&rig->disk);
    kv_close(&rig->kv);
}

void rig_init(struct fold_rig *rig)
{
    *rig = (struct fold_rig){0};
    snprintf(rig->directory, sizeof rig->directory, "/tmp/fold-test-XXXXXX");
    cr_assert(mkdtemp(rig->directory));
    open_all(rig);
    fold_recovered(rig->fold);
}

static bool unlink_one(const char *name, void *arg)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", (const char *)arg, name);
    remove(path);
    return true;
}

static void remove_directory(struct disk *disk, const char *top, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", top, name);
    disk_list(disk, name, unlink_one, path);
    remove(path);
}

void rig_fini(struct fold_rig *rig)
{
    close_all(rig);
    struct disk *disk = disk_open(rig->directory);
    remove_directory(disk, rig->directory, "db");
    remove_directory(disk, rig->directory, "journal");
    remove_directory(disk, rig->directory, "blobs");
    disk_close(&disk);
    remove(rig->directory);
    buf_fini(&rig->unit);
    fold_page_fini(&rig->page);
}

void rig_feed(struct fold_rig *rig)
{
    uint64_t lsn;
    struct journal_place place;
    struct iovec iov = {rig->unit.data, rig->unit.len};
    cr_assert_eq(journal_write(rig->journal, &iov, 1, &lsn, &place), JOURNAL_OK, "%s",
                 journal_error(rig->journal));
    fold_frame(rig->fold, lsn, place, buf_slice(&rig->unit));
    buf_clear(&rig->unit);
}

void rig_checkpoint(struct fold_rig *rig)
{
    fold_freeze(rig->fold);
    cr_assert_eq(fold_checkpoint(rig->fold), KV_OK, "%s", kv_error(rig->kv));
    journal_release(rig->journal, fold_applied(rig->fold));
}

void rig_reopen(struct fold_rig *rig)
{
    cr_assert_eq(journal_sync(rig->journal), JOURNAL_OK);
    close_all(rig);
    open_all(rig);
}

void rig_restart(struct fold_rig *rig)
{
    rig_reopen(rig);
    fold_recovered(rig->fold);
}

void rig_stop_and_start(struct fold_rig *rig)
{
    fold_stopping(rig->fold);
    rig_checkpoint(rig);
    rig_restart(rig);
}

/* ---- messages ---- */

static const uint8_t *body_of(uint64_t seq, size_t len)
{
    static uint8_t body[1 << 21]; /* the last one asked for */
    for (size_t i = 0; i < len; i++)
        body[i] = (uint8_t)(seq * 31 + i);
    return body;
}

struct entry rig_entry(uint64_t seq, size_t body_len)
{
    struct entry e = {.seq = seq, .body_len = body_len};
    e.content.names = SLICE("\1e\1k");
    e.content.properties = SLICE("\0\0");
    e.content.body = slice_of(body_of(seq, body_len), body_len);
    return e;
}

bool rig_is(const struct entry *e, uint64_t seq, size_t body_len)
{
    return e->seq == seq && e->content.body.len == body_len &&
           memcmp(e->content.body.data, body_of(seq, body_len), body_len) == 0 &&
           slice_eq(e->content.names, SLICE("\1e\1k"));
}

void rig_enq(struct fold_rig *rig, uint64_t queue, uint64_t seq)
{
    struct entry e = rig_entry(seq, BODY);
    record_put_enq(&rig->unit, queue, &e);
}

/* ---- looking ---- */

uint64_t rig_count(struct fold_rig *rig, uint64_t queue)
{
    cr_assert(fold_get_queue(rig->fold, queue, &rig->queue));
    for (unsigned i = 0; i < rig->queue.level_count; i++) {
        if (rig->queue.levels[i].level == 0)
            return rig->queue.levels[i].count;
    }
    return 0;
}

void rig_read(struct fold_rig *rig, uint64_t queue, uint64_t from, uint64_t to)
{
    struct fold_query query = {
        .queue = queue, .from = from, .to = to, .max_count = UINT32_MAX, .max_bytes = SIZE_MAX};
    fold_read(rig->fold, &query, &rig->page);
}

uint64_t rig_read_all(struct fold_rig *rig, uint64_t queue, uint16_t level, size_t body_len)
{
    struct fold_query query = {.queue = queue,
                               .to = UINT64_MAX - 1,
                               .level = level,
                               .max_count = 1000,
                               .max_bytes = LARGE_PAGE};
    uint64_t n = 0, last = 0;
    do {
        fold_read(rig->fold, &query, &rig->page);
        for (size_t i = 0; i < rig->page.count; i++) {
            const struct entry *e = &rig->page.entries[i];
            cr_assert(e->seq > last, "%llu after %llu", (unsigned long long)e->seq,
                      (unsigned long long)last);
            cr_assert(!body_len || rig_is(e, e->seq, body_len), "%llu", (unsigned long long)e->seq);
            last = e->seq;
            n++;
        }
        cr_assert(rig->page.next > query.from);
        query.from = rig->page.next;
    } while (query.from <= query.to);
    return n;
}

void rig_check(struct fold_rig *rig, uint64_t queue)
{
    struct fold_queue q;
    cr_assert(fold_get_queue(rig->fold, queue, &q));
    for (unsigned i = 0; i < q.level_count; i++) {
        const struct fold_level *l = &q.levels[i];
        struct fold_query query = {.queue = queue,
                                   .to = UINT64_MAX - 1,
                                   .level = l->level,
                                   .max_count = UINT32_MAX,
                                   .max_bytes = SIZE_MAX};
        fold_read(rig->fold, &query, &rig->page);
        uint64_t bytes = 0;
        for (size_t k = 0; k < rig->page.count; k++)
            bytes += rig->page.entries[k].body_len;
        cr_assert_eq(rig->page.count, l->count, "level %u: %zu read, %llu counted", l->level,
                     rig->page.count, (unsigned long long)l->count);
        cr_assert_eq(bytes, l->bytes);
        cr_assert(rig->page.entries[0].seq >= l->first);
        cr_assert(rig->page.entries[rig->page.count - 1].seq <= l->last);
        cr_assert(rig->page.entries[rig->page.count - 1].seq < q.next_seq);
    }
}

uint64_t rig_rows(struct fold_rig *rig, enum kv_table t)
{
    struct kv_txn *txn;
    struct kv_cursor *c;
    struct slice key, value;
    uint64_t n = 0;
    cr_assert_eq(kv_begin(rig->kv, false, &txn), KV_OK);
    cr_assert_eq(kv_cursor_open(txn, t, &c), KV_OK);
    while (kv_next(c, &key, &value) == KV_OK)
        n++;
    kv_cursor_close(&c);
    kv_abort(&txn);
    return n;
}
