/* What is beside plain entries: messages stored once, transactions, definitions, long purges,
 * damage, full disks, dumps. */
#include "base/mem.h"
#include "fold_rig.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fill(struct fold_rig *rig, uint64_t queue, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++) {
        rig_enq(rig, queue, seq);
        if (rig->unit.len > 100000)
            rig_feed(rig);
    }
    if (rig->unit.len)
        rig_feed(rig);
}

/* ---- messages stored once ---- */

static void put_message(struct fold_rig *rig, uint64_t id, uint32_t entries, size_t len)
{
    struct entry e = rig_entry(id, len);
    record_put_message(&rig->unit, id, entries, &e.content);
    for (size_t at = 0; at < len; at += 50000) {
        size_t n = len - at < 50000 ? len - at : 50000;
        record_put_part(&rig->unit, id, at, slice_of(e.content.body.data + at, n));
        rig_feed(rig);
    }
}

static void name(struct fold_rig *rig, uint64_t queue, uint64_t seq, uint64_t id, size_t len)
{
    struct entry e = {.seq = seq, .id = id, .body_len = len};
    record_put_enq(&rig->unit, queue, &e);
    rig_feed(rig);
}

static bool has(struct fold_rig *rig, uint64_t queue, uint64_t seq, uint64_t id, size_t len)
{
    rig_read(rig, queue, seq, seq);
    if (rig->page.count != 1 || rig->page.lost || rig->page.entries[0].id != id)
        return false;
    struct entry e = rig->page.entries[0];
    e.seq = id;
    return rig_is(&e, id, len);
}

static unsigned files(struct fold_rig *rig);

/* Given back, to the tail; or it waited, and nobody had it. */
static void move(struct fold_rig *rig, uint64_t queue, uint64_t from, uint64_t to, uint64_t id,
                 size_t len, bool back)
{
    struct entry e = {.seq = to, .id = id, .body_len = len, .count = back, .moved = !back};
    record_put_enq(&rig->unit, queue, &e);
    record_put_settle(&rig->unit, queue, 0, from, from);
    rig_feed(rig);
}

/* An entry that moved is not the one that is awaited from another queue. */
UNIT(fold_more, waits_for_the_other_queue_while_entries_move)
{
    for (int way = 0; way < 4; way++) {
        bool checkpoints = way & 1;
        struct fold_rig rig;
        rig_init(&rig);
        record_put_open(&rig.unit, 1, true);
        record_put_open(&rig.unit, 2, true);
        put_message(&rig, 7, 2, 100000);
        name(&rig, 1, 1, 7, 100000);
        if (checkpoints)
            rig_checkpoint(&rig);
        move(&rig, 1, 1, 2, 7, 100000, way & 2);
        if (checkpoints)
            rig_checkpoint(&rig);
        record_put_settle(&rig.unit, 1, 0, 2, 2);
        rig_feed(&rig);
        if (checkpoints)
            rig_checkpoint(&rig);
        name(&rig, 2, 1, 7, 100000);
        cr_assert(has(&rig, 2, 1, 7, 100000));
        rig_checkpoint(&rig);
        rig_restart(&rig);
        cr_assert(has(&rig, 2, 1, 7, 100000));
        record_put_settle(&rig.unit, 2, 0, 1, 1);
        rig_feed(&rig);
        rig_checkpoint(&rig);
        cr_assert_eq(rig_rows(&rig, KV_REFS), 0);
        cr_assert_eq(files(&rig), 0);
        rig_fini(&rig);
    }
}

UNIT(fold_more, stores_a_message_once)
{
    static const size_t sizes[] = {0, 10, 3000, 20000, 300000};
    struct fold_rig rig;
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    record_put_open(&rig.unit, 2, true);
    for (uint64_t id = 1; id <= 5; id++) {
        put_message(&rig, id, 2, sizes[id - 1]);
        name(&rig, 1, id, id, sizes[id - 1]);
    }
    for (unsigned round = 0; round < 3; round++) {
        for (uint64_t id = 1; id <= 5; id++)
            cr_assert(has(&rig, 1, id, id, sizes[id - 1]), "%llu", (unsigned long long)id);
        if (round == 0)
            rig_checkpoint(&rig);
        else
            rig_restart(&rig);
    }
    cr_assert_eq(rig_rows(&rig, KV_REFS), 5);
    cr_assert_eq(files(&rig), 1);
    for (uint64_t id = 1; id <= 5; id++)
        name(&rig, 2, id + 10, id, sizes[id - 1]);
    record_put_settle(&rig.unit, 1, 0, 1, 5);
    rig_feed(&rig);
    rig_checkpoint(&rig);
    for (uint64_t id = 1; id <= 5; id++)
        cr_assert(has(&rig, 2, id + 10, id, sizes[id - 1]));
    rig_check(&rig, 2);
    record_put_purge(&rig.unit, 2, 100, NULL, 0);
    rig_feed(&rig);
    rig_checkpoint(&rig);
    cr_assert_eq(rig_rows(&rig, KV_REFS), 0);
    cr_assert_eq(rig_rows(&rig, KV_MESSAGES), 0);
    cr_assert_eq(files(&rig), 0);
    cr_assert_eq(fold_last_message_id(rig.fold), 5);
    cr_assert_eq(rig.damages, 0);
    rig_fini(&rig);
}

static bool count_one(const char *file, void *arg)
{
    (void)file;
    ++*(unsigned *)arg;
    return true;
}

static unsigned files(struct fold_rig *rig)
{
    unsigned n = 0;
    disk_list(rig->disk, "blobs", count_one, &n);
    return n;
}

UNIT(fold_more, writes_no_message_that_came_and_went)
{
    struct fold_rig rig;
    uint64_t journal, live;
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    rig_feed(&rig);
    fold_pressure(rig.fold, &journal, &live);
    uint64_t before = live;
    for (uint64_t id = 1; id <= 20; id++) {
        put_message(&rig, id, 1, 100000);
        name(&rig, 1, id, id, 100000);
        record_put_settle(&rig.unit, 1, 0, id, id);
        rig_feed(&rig);
    }
    fold_pressure(rig.fold, &journal, &live);
    cr_assert_eq(live, before);
    cr_assert_gt(journal, 2000000);
    rig_checkpoint(&rig);
    cr_assert_eq(files(&rig), 0);
    cr_assert_eq(rig_rows(&rig, KV_REFS), 0);
    rig_fini(&rig);
}

UNIT(fold_more, carries_messages_that_nobody_names_yet)
{
    struct fold_rig rig;
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    put_message(&rig, 1, 0, 70000);
    put_message(&rig, 2, 0, 100);
    put_message(&rig, 3, 3, 100);
    struct entry e = rig_entry(4, 120000);
    record_put_message(&rig.unit, 4, 0, &e.content);
    record_put_part(&rig.unit, 4, 0, slice_of(e.content.body.data, 70000));
    rig_feed(&rig);
    for (unsigned i = 0; i < 4; i++)
        rig_checkpoint(&rig);
    cr_assert_eq(rig_rows(&rig, KV_REFS), 4);
    name(&rig, 1, 1, 1, 70000);
    name(&rig, 1, 3, 3, 100);
    record_put_part(&rig.unit, 4, 70000, slice_of(e.content.body.data + 70000, 50000));
    name(&rig, 1, 4, 4, 120000);
    cr_assert(has(&rig, 1, 4, 4, 120000));
    rig_checkpoint(&rig);
    cr_assert(has(&rig, 1, 4, 4, 120000));
    rig_restart(&rig);
    rig_checkpoint(&rig);
    cr_assert_eq(rig_rows(&rig, KV_REFS), 3);
    cr_assert(has(&rig, 1, 1, 1, 70000) && has(&rig, 1, 3, 3, 100) && has(&rig, 1, 4, 4, 120000));
    cr_assert_eq(rig.damages, 0);
    rig_fini(&rig);
}

/* ---- transactions ---- */

static void pend(struct fold_rig *rig, uint64_t tx, uint64_t seq)
{
    record_put_pending(&rig->unit, tx);
    rig_enq(rig, 1, seq);
}

UNIT(fold_more, applies_transactions_whole)
{
    struct fold_rig rig;
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    rig_enq(&rig, 1, 1);
    for (uint64_t seq = 2; seq <= 101; seq++)
        pend(&rig, 5, seq);
    pend(&rig, 6, 200);
    record_put_pending(&rig.unit, 5);
    record_put_settle(&rig.unit, 1, 0, 1, 1);
    rig_feed(&rig);
    cr_assert_eq(rig_count(&rig, 1), 1);
    rig_checkpoint(&rig);
    cr_assert_gt(rig_rows(&rig, KV_PENDING), 1);
    pend(&rig, 5, 102);
    /* overtakes the COMMIT */
    record_put_settle(&rig.unit, 1, 0, 50, 51);
    record_put_return(&rig.unit, 1, 0, 60, 3);
    rig_feed(&rig);
    rig_checkpoint(&rig);
    rig_reopen(&rig);
    record_put_commit(&rig.unit, 5);
    rig_feed(&rig);
    fold_recovered(rig.fold);
    for (unsigned round = 0; round < 2; round++) {
        cr_assert_eq(rig_count(&rig, 1), 99);
        rig_check(&rig, 1);
        rig_read(&rig, 1, 60, 60);
        cr_assert_eq(rig.page.entries[0].count, 3);
        rig_checkpoint(&rig);
    }
    cr_assert_eq(rig_rows(&rig, KV_PENDING), 0);
    rig_fini(&rig);
}

/* What consumers had when the queue was purged comes back to it if their COMMIT does not come. */
UNIT(fold_more, purges_nothing_that_a_transaction_settled)
{
    struct fold_rig rig;
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    for (uint64_t seq = 1; seq <= 9; seq++)
        rig_enq(&rig, 1, seq);
    for (uint64_t tx = 5; tx <= 6; tx++) {
        record_put_pending(&rig.unit, tx);
        record_put_settle(&rig.unit, 1, 0, tx - 3, tx - 3); /* 2 and 3 */
    }
    record_put_pending(&rig.unit, 6);
    record_put_settle(&rig.unit, 1, 0, 7, 7);
    record_put_purge(&rig.unit, 1, 9, (uint64_t[]){5}, 1);
    rig_feed(&rig);
    cr_assert_eq(rig_count(&rig, 1), 5);
    record_put_commit(&rig.unit, 5);
    rig_feed(&rig);
    rig_checkpoint(&rig);
    rig_restart(&rig);
    cr_assert_eq(rig_count(&rig, 1), 4); /* 3, 5, 7, 9 */
    rig_check(&rig, 1);
    rig_read(&rig, 1, 3, 3);
    cr_assert_eq(rig.page.count, 1);
    rig_fini(&rig);
}

/* ---- definitions ---- */

static void add_definition(struct slice key, struct slice value, void *arg)
{
    struct buf *out = arg;
    buf_append_slice(out, slice_of(key.data, key.len < 8 ? key.len : 8));
    buf_printf(out, "=%zu ", value.len);
}

static bool defined(struct fold_rig *rig, const char *expected)
{
    struct buf out = BUF_INIT;
    fold_each_definition(rig->fold, 3, add_definition, &out);
    bool same = slice_eq_str(buf_slice(&out), expected);
    if (!same)
        fprintf(stderr, "%s\n", buf_cstr(&out));
    buf_fini(&out);
    return same;
}

UNIT(fold_more, keeps_definitions)
{
    struct fold_rig rig;
    uint8_t *large = mem_zalloc(20000);
    rig_init(&rig);
    record_put_define(&rig.unit, 3, SLICE("b"), slice_of(large, 20000));
    record_put_define(&rig.unit, 3, SLICE("a"), SLICE("1"));
    record_put_define(&rig.unit, 4, SLICE("a"), SLICE("1"));
    record_put_define(&rig.unit, 3, SLICE("c"), SLICE(""));
    record_put_define(&rig.unit, 3, slice_of(large, 2000), SLICE("12345"));
    rig_feed(&rig);
    char expected[] = "\0\0\0\0\0\0\0\0=5 a=1 b=20000 c=0 ";
    struct buf out = BUF_INIT;
    fold_each_definition(rig.fold, 3, add_definition, &out);
    cr_assert(slice_eq(buf_slice(&out), slice_of(expected, sizeof expected - 1)));
    record_put_undefine(&rig.unit, 3, slice_of(large, 2000));
    rig_feed(&rig);
    cr_assert(defined(&rig, "a=1 b=20000 c=0 "));
    rig_checkpoint(&rig);
    cr_assert(defined(&rig, "a=1 b=20000 c=0 "));
    uint64_t meta = rig_rows(&rig, KV_META);
    record_put_define(&rig.unit, 3, SLICE("b"), SLICE("22"));
    record_put_define(&rig.unit, 3, SLICE("bb"), SLICE("333"));
    record_put_undefine(&rig.unit, 3, SLICE("a"));
    record_put_undefine(&rig.unit, 3, SLICE("zz"));
    rig_feed(&rig);
    cr_assert(defined(&rig, "b=2 bb=3 c=0 "));
    rig_restart(&rig);
    cr_assert(defined(&rig, "b=2 bb=3 c=0 "));
    rig_checkpoint(&rig);
    cr_assert(defined(&rig, "b=2 bb=3 c=0 "));
    cr_assert_lt(rig_rows(&rig, KV_META), meta);
    cr_assert_eq(rig.damages, 0);
    buf_fini(&out);
    free(large);
    rig_fini(&rig);
}

/* ---- long purges ---- */

UNIT(fold_more, purges_long_queues_in_portions)
{
    enum { N = 20000 };
    struct fold_rig rig;
    uint64_t kept[] = {3, 7000, 7001, N}, journal, live;
    rig_init(&rig);
    rig.portion = 200;
    rig_restart(&rig);
    record_put_open(&rig.unit, 1, true);
    record_put_open(&rig.unit, 2, true);
    fill(&rig, 1, 1, N);
    fill(&rig, 2, 1, N);
    rig_checkpoint(&rig);
    uint64_t blocks = rig_rows(&rig, KV_BLOCKS);
    record_put_purge(&rig.unit, 1, N + 1, kept, 4);
    rig_feed(&rig);
    rig_checkpoint(&rig);
    cr_assert_eq(rig_count(&rig, 1), 4);
    cr_assert_eq(rig_read_all(&rig, 1, 0, 100), 4);
    cr_assert_geq(rig_rows(&rig, KV_BLOCKS), blocks - 204);
    fold_pressure(rig.fold, &journal, &live);
    cr_assert_gt(live, 100 << 20);
    rig_restart(&rig);
    rig_check(&rig, 1);
    record_put_drop(&rig.unit, 2);
    rig_feed(&rig);
    unsigned n = 0;
    for (; live > 100 << 20 && n < 100; n++) {
        rig_checkpoint(&rig);
        rig_check(&rig, 1);
        fold_pressure(rig.fold, &journal, &live);
        if (n == 2)
            rig_restart(&rig);
    }
    cr_assert(n >= blocks / 200 - 1 && n < 20);
    cr_assert_leq(rig_rows(&rig, KV_BLOCKS), 4);
    cr_assert_eq(rig_count(&rig, 1), 4);
    record_put_settle(&rig.unit, 1, 0, 1, N);
    rig_feed(&rig);
    rig_checkpoint(&rig);
    cr_assert_eq(rig_rows(&rig, KV_BLOCKS), 0);
    cr_assert_eq(rig_rows(&rig, KV_HOLES), 0);
    rig_fini(&rig);
}

/* ---- damage ---- */

static void spoil(struct fold_rig *rig, unsigned nth, size_t at)
{
    struct kv_txn *txn;
    struct kv_cursor *c;
    struct slice key, value;
    struct buf k = BUF_INIT, v = BUF_INIT;
    cr_assert_eq(kv_begin(rig->kv, true, &txn), KV_OK);
    cr_assert_eq(kv_cursor_open(txn, KV_BLOCKS, &c), KV_OK);
    for (unsigned i = 0; i <= nth; i++)
        cr_assert_eq(kv_next(c, &key, &value), KV_OK);
    buf_append_slice(&k, key);
    buf_append_slice(&v, value);
    kv_cursor_close(&c);
    v.data[at] ^= 4;
    cr_assert_eq(kv_put(txn, KV_BLOCKS, buf_slice(&k), buf_slice(&v)), KV_OK);
    cr_assert_eq(kv_commit(&txn), KV_OK);
    buf_fini(&k);
    buf_fini(&v);
}

UNIT(fold_more, sets_damaged_blocks_aside)
{
    struct fold_rig rig;
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    fill(&rig, 1, 1, 1000);
    rig_checkpoint(&rig);
    spoil(&rig, 3, 1000); /* entries */
    spoil(&rig, 7, 17);   /* the head */
    rig_read(&rig, 1, 1, 1000);
    uint64_t left = rig.page.count;
    cr_assert_lt(left, 1000);
    cr_assert_gt(rig.page.lost, 1);
    cr_assert_eq(rig.damages, 2);
    rig_read(&rig, 1, 1, 1000);
    cr_assert_eq(rig.damages, 2);
    rig_checkpoint(&rig);
    cr_assert_eq(rig_rows(&rig, KV_SET_ASIDE), 4);
    cr_assert_eq(rig_count(&rig, 1), left);
    rig_check(&rig, 1);
    cr_assert_eq(rig.page.lost, 0);
    rig_restart(&rig);
    cr_assert_eq(rig_count(&rig, 1), left);
    spoil(&rig, 0, 17);
    record_put_settle(&rig.unit, 1, 0, 1, 1000);
    rig_feed(&rig);
    rig_checkpoint(&rig);
    rig_checkpoint(&rig);
    cr_assert_eq(rig_rows(&rig, KV_BLOCKS), 0);
    cr_assert_eq(rig_count(&rig, 1), 0);
    rig_fini(&rig);
}

static void add_line(void *arg, const char *text)
{
    buf_append_str(arg, text);
    buf_append_byte(arg, '\n');
}

static bool dumps(struct fold_rig *rig, const char *line)
{
    struct buf out = BUF_INIT;
    fold_dump(rig->fold, add_line, &out);
    bool there = strstr(buf_cstr(&out), line);
    buf_fini(&out);
    return there;
}

/* What a damaged block named goes when nothing else names it, however often that one did. */
UNIT(fold_more, releases_what_damaged_blocks_named)
{
    for (size_t at = 17; at <= 33; at += 16) { /* the head, the entries */
        struct fold_rig rig;
        rig_init(&rig);
        for (uint64_t queue = 1; queue <= 3; queue++)
            record_put_open(&rig.unit, queue, true);
        for (uint64_t id = 1; id <= 4; id++) {
            put_message(&rig, id, id > 2 ? 3 : 2, 300);
            name(&rig, 1, id, id, 300);
            name(&rig, 3, id, id, 300);
            if (id > 2)
                name(&rig, 2, id, id, 300);
        }
        rig_checkpoint(&rig);
        record_put_settle(&rig.unit, 1, 0, 2, 2);
        rig_feed(&rig);
        rig_checkpoint(&rig);
        cr_assert(dumps(&rig, "message 1: named by 2 entries, body"));
        spoil(&rig, 0, at);
        cr_assert(dumps(&rig, "message 1: named by 2 entries, 1 of which cannot be found, body"));
        rig_read(&rig, 1, 1, 10);
        cr_assert_eq(rig.damages, 1);
        rig_checkpoint(&rig);
        cr_assert_eq(rig_rows(&rig, KV_SET_ASIDE), 2);
        cr_assert(dumps(&rig, "message 1: named by 1 entries, body"));
        cr_assert(dumps(&rig, "message 2: named by 1 entries, body"));
        cr_assert(dumps(&rig, "message 3: named by 2 entries, body"));
        cr_assert(has(&rig, 3, 1, 1, 300) && has(&rig, 2, 3, 3, 300));
        rig_restart(&rig);
        record_put_settle(&rig.unit, 3, 0, 1, 4);
        rig_feed(&rig);
        rig_checkpoint(&rig);
        cr_assert(has(&rig, 2, 4, 4, 300));
        cr_assert_eq(rig_rows(&rig, KV_REFS), 2);
        record_put_settle(&rig.unit, 2, 0, 1, 4);
        rig_feed(&rig);
        rig_checkpoint(&rig);
        cr_assert_eq(rig_rows(&rig, KV_REFS), 0);
        cr_assert_eq(rig_rows(&rig, KV_MESSAGES), 0);
        rig_fini(&rig);
    }
}

/* ---- a full database ---- */

UNIT(fold_more, loses_nothing_when_there_is_no_room)
{
    struct fold_rig rig;
    rig_init(&rig);
    rig.map_size = 4 << 20;
    rig_reopen(&rig);
    fold_recovered(rig.fold);
    record_put_open(&rig.unit, 1, true);
    record_put_open(&rig.unit, 2, true);
    fill(&rig, 1, 1, 12000);
    rig_checkpoint(&rig);
    fill(&rig, 2, 1, 50000);
    put_message(&rig, 9, 1, 100000);
    name(&rig, 2, 60000, 9, 100000);
    fold_freeze(rig.fold);
    cr_assert_eq(fold_checkpoint(rig.fold), KV_FULL);
    cr_assert_eq(rig_count(&rig, 2), 50001);
    rig_check(&rig, 1);
    rig_check(&rig, 2);
    fill(&rig, 2, 50001, 50100);
    fold_freeze(rig.fold);
    cr_assert_eq(fold_checkpoint(rig.fold), KV_FULL);
    cr_assert(has(&rig, 2, 60000, 9, 100000));
    record_put_settle(&rig.unit, 1, 0, 1, 12000);
    record_put_settle(&rig.unit, 2, 0, 101, 50000);
    rig_feed(&rig);
    rig_check(&rig, 2);
    enum kv_status status = KV_FULL;
    for (unsigned i = 0; i < 5 && status == KV_FULL; i++) {
        fold_freeze(rig.fold);
        status = fold_checkpoint(rig.fold);
    }
    cr_assert_eq(status, KV_OK);
    cr_assert_eq(rig_count(&rig, 2), 201);
    rig_check(&rig, 2);
    cr_assert_eq(rig_count(&rig, 1), 0);
    rig_restart(&rig);
    cr_assert_eq(rig_count(&rig, 2), 201);
    cr_assert(has(&rig, 2, 60000, 9, 100000));
    rig_fini(&rig);
}

/* What is settled goes first where there is no room: not a message that has moved meanwhile. */
UNIT(fold_more, keeps_what_moved_when_there_is_no_room)
{
    static const size_t sizes[] = {1000, 300000};
    for (int i = 0; i < 2; i++) {
        struct fold_rig rig;
        rig_init(&rig);
        rig.map_size = 4 << 20;
        rig_reopen(&rig);
        fold_recovered(rig.fold);
        record_put_open(&rig.unit, 1, true);
        record_put_open(&rig.unit, 2, true);
        put_message(&rig, 9, 1, sizes[i]);
        name(&rig, 1, 1, 9, sizes[i]);
        rig_checkpoint(&rig);
        move(&rig, 1, 1, 2, 9, sizes[i], true);
        fill(&rig, 2, 1, 50000);
        fold_freeze(rig.fold);
        cr_assert_eq(fold_checkpoint(rig.fold), KV_FULL);
        cr_assert(has(&rig, 1, 2, 9, sizes[i]));
        rig_restart(&rig);
        cr_assert(has(&rig, 1, 2, 9, sizes[i]));
        record_put_settle(&rig.unit, 2, 0, 1, 50000);
        rig_feed(&rig);
        rig_checkpoint(&rig);
        cr_assert_eq(rig_count(&rig, 1), 1);
        cr_assert(has(&rig, 1, 2, 9, sizes[i]));
        record_put_settle(&rig.unit, 1, 0, 2, 2);
        rig_feed(&rig);
        rig_checkpoint(&rig);
        rig_restart(&rig); /* one that settles were ahead of goes with what is swept */
        fold_recovered(rig.fold);
        rig_checkpoint(&rig);
        cr_assert_eq(rig_rows(&rig, KV_REFS), 0);
        cr_assert_eq(files(&rig), 0);
        rig_fini(&rig);
    }
}

/* ---- dumps ---- */

UNIT(fold_more, prints_what_there_is)
{
    struct fold_rig rig;
    struct buf out = BUF_INIT;
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    record_put_define(&rig.unit, 2, SLICE("/\0q"), SLICE("value"));
    record_put_attach(&rig.unit, 1);
    fill(&rig, 1, 1, 10);
    put_message(&rig, 3, 0, 100);
    rig_checkpoint(&rig);
    pend(&rig, 8, 11);
    rig_feed(&rig);
    fold_dump(rig.fold, add_line, &out);
    const char *text = buf_cstr(&out);
    cr_assert(strstr(text, "1 definitions\n"), "%s", text);
    cr_assert(strstr(text, "queue 1: durable, next number 11, attached"), "%s", text);
    cr_assert(strstr(text, "level 0, persistent: 10 messages, 1000 bytes, numbers 1 to 10"), "%s",
              text);
    cr_assert(strstr(text, "message 3: named by 0 entries, body of 100 bytes"), "%s", text);
    cr_assert(strstr(text, "transaction 8 without commit: 1 records"), "%s", text);
    buf_fini(&out);
    rig_fini(&rig);
}
