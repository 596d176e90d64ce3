/* The top level, which is one more than an octet has: what is there is told from level 255, and
 * from level 0, wherever it lies. */
#include "fold_rig.h"
#include "unit.h"

enum { N = 300, BODY = 100 };

static void put(struct fold_rig *rig, struct record_base *base, uint64_t seq, uint16_t level)
{
    struct entry e = rig_entry(seq, BODY);
    e.level = level;
    e.expiry = seq % 2 ? 5000 + seq : 0;
    record_put_next(&rig->unit, base, 1, &e);
}

static uint32_t count_at(struct fold_rig *rig, uint64_t seq)
{
    struct fold_query query = {
        .queue = 1, .from = seq, .to = seq, .level = RECORD_TOP_LEVEL, .max_count = 1};
    query.max_bytes = SIZE_MAX;
    fold_read(rig->fold, &query, &rig->page);
    cr_assert_eq(rig->page.count, 1);
    cr_assert_eq(rig->page.entries[0].level, RECORD_TOP_LEVEL);
    return rig->page.entries[0].count;
}

static void expect(struct fold_rig *rig, uint64_t at_0, uint64_t at_255, uint64_t at_top)
{
    cr_assert_eq(rig_read_all(rig, 1, 0, BODY), at_0);
    cr_assert_eq(rig_read_all(rig, 1, 255, BODY), at_255);
    cr_assert_eq(rig_read_all(rig, 1, RECORD_TOP_LEVEL, BODY), at_top);
    rig_check(rig, 1);
    cr_assert_eq(rig->damages, 0, "%s", rig->damage);
}

static void fill(struct fold_rig *rig)
{
    static const uint16_t levels[] = {0, 255, RECORD_TOP_LEVEL};
    struct record_base base = {0};
    rig_init(rig);
    record_put_open(&rig->unit, 1, true);
    for (uint64_t seq = 1; seq <= N; seq++)
        put(rig, &base, seq, levels[seq % 3]);
    rig_feed(rig);
    expect(rig, N / 3, N / 3, N / 3);
}

/* One of each level leaves, one of the top is given back. */
static void settle(struct fold_rig *rig, uint64_t from, uint32_t count)
{
    record_put_settle(&rig->unit, 1, 255, from, from + 2);
    record_put_settle(&rig->unit, 1, RECORD_TOP_LEVEL, from, from + 2);
    record_put_return(&rig->unit, 1, RECORD_TOP_LEVEL, 200, count);
    rig_feed(rig);
}

UNIT(fold_top, lives_in_the_journal)
{
    struct fold_rig rig;
    fill(&rig);
    settle(&rig, 10, 3);
    expect(&rig, 100, 99, 99);
    rig_restart(&rig);
    expect(&rig, 100, 99, 99);
    cr_assert_eq(count_at(&rig, 200), 3);
    fold_freeze(rig.fold);
    settle(&rig, 20, 4);
    expect(&rig, 100, 98, 98);
    rig_restart(&rig);
    expect(&rig, 100, 98, 98);
    cr_assert_eq(count_at(&rig, 200), 4);
    rig_fini(&rig);
}

UNIT(fold_top, lives_in_the_database)
{
    struct fold_rig rig;
    fill(&rig);
    rig_checkpoint(&rig);
    settle(&rig, 10, 3);
    expect(&rig, 100, 99, 99);
    rig_checkpoint(&rig);
    rig_restart(&rig);
    expect(&rig, 100, 99, 99);
    cr_assert_eq(count_at(&rig, 200), 3);
    const uint64_t kept[] = {150, 151, 152};
    record_put_purge(&rig.unit, 1, 270, kept, 3);
    rig_feed(&rig);
    expect(&rig, 12, 11, 11);
    rig_stop_and_start(&rig);
    expect(&rig, 12, 11, 11);
    record_put_drop(&rig.unit, 1);
    rig_feed(&rig);
    rig_checkpoint(&rig);
    cr_assert_eq(rig_rows(&rig, KV_BLOCKS), 0);
    rig_fini(&rig);
}

/* What a transaction without COMMIT has, and what left before that comes. */
UNIT(fold_top, waits_for_its_commit)
{
    struct fold_rig rig;
    fill(&rig);
    for (uint64_t seq = N + 1; seq <= N + 3; seq++) {
        struct entry e = rig_entry(seq, BODY);
        e.level = seq == N + 1 ? 255 : RECORD_TOP_LEVEL;
        record_put_pending(&rig.unit, 7);
        record_put_enq(&rig.unit, 1, &e);
    }
    record_put_settle(&rig.unit, 1, RECORD_TOP_LEVEL, N + 1, N + 2);
    record_put_return(&rig.unit, 1, RECORD_TOP_LEVEL, N + 3, 5);
    rig_feed(&rig);
    rig_checkpoint(&rig);
    rig_reopen(&rig);
    expect(&rig, 100, 100, 100);
    record_put_commit(&rig.unit, 7);
    rig_feed(&rig);
    expect(&rig, 100, 101, 101);
    cr_assert_eq(count_at(&rig, N + 3), 5);
    rig_restart(&rig);
    expect(&rig, 100, 101, 101);
    rig_fini(&rig);
}

/* The queue's record is made anew from its blocks. */
UNIT(fold_top, is_found_without_the_record)
{
    struct fold_rig rig;
    fill(&rig);
    rig_checkpoint(&rig);
    struct kv_txn *txn;
    struct kv_cursor *c;
    struct slice key, value;
    uint8_t name[16];
    cr_assert_eq(kv_begin(rig.kv, true, &txn), KV_OK);
    cr_assert_eq(kv_cursor_open(txn, KV_QUEUES, &c), KV_OK);
    cr_assert_eq(kv_seek(c, SLICE_EMPTY, &key, &value), KV_OK);
    cr_assert_leq(key.len, sizeof name);
    struct slice copy = slice_of(name, key.len);
    memcpy(name, key.data, key.len);
    kv_cursor_close(&c);
    cr_assert_eq(kv_put(txn, KV_QUEUES, copy, SLICE("damaged")), KV_OK);
    cr_assert_eq(kv_commit(&txn), KV_OK);
    rig_restart(&rig);
    cr_assert_eq(rig.damages, 1);
    rig.damages = 0;
    expect(&rig, 100, 100, 100);
    rig_fini(&rig);
}

static void expect_bytes(const struct buf *out, const char *bytes, size_t len)
{
    cr_assert_eq(out->len, len);
    cr_assert_eq(memcmp(out->data, bytes, len), 0);
}

/* The bytes of all other levels are those of older formats. */
UNIT(fold_top, has_records_of_its_own)
{
    struct buf out = BUF_INIT;
    struct entry e = {.seq = 5, .id = 9, .body_len = 3};
    record_put_enq(&out, 1, &e);
    expect_bytes(&out, "\3\1\20\5\11\3", 6);
    e.level = 255;
    buf_clear(&out);
    record_put_enq(&out, 1, &e);
    expect_bytes(&out, "\3\1\22\5\377\11\3", 7);
    e.level = RECORD_TOP_LEVEL;
    buf_clear(&out);
    record_put_enq(&out, 1, &e);
    expect_bytes(&out, "\3\1\220\5\11\3", 6);
    for (unsigned level = 0; level <= RECORD_TOP_LEVEL; level++) {
        struct record r;
        buf_clear(&out);
        record_put_settle(&out, 1, (uint16_t)level, 7, 9);
        record_put_return(&out, 2, (uint16_t)level, 8, 3);
        struct slice in = buf_slice(&out);
        cr_assert_eq(in.len, level < RECORD_TOP_LEVEL ? 10 : 8);
        cr_assert(record_get_brief(&in, &r));
        cr_assert(r.kind == RECORD_SETTLE && r.level == level && r.first == 7 && r.last == 9);
        cr_assert(record_get_brief(&in, &r));
        cr_assert(r.kind == RECORD_RETURN && r.level == level && r.first == 8 && r.count == 3);
        cr_assert_eq(in.len, 0);
    }
    buf_fini(&out);
}
