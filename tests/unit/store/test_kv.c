/* The contract of kv.h, over LMDB and over the tables in memory that simulations use. */
#include "base/mem.h"
#include "kv_memory.h"
#include "kv_rig.h"

struct world {
    struct kv_dir dir;
    struct kv *kv;
};

static void with_both(void (*check)(struct world *w))
{
    struct world w = {.kv = kv_memory_new()};
    check(&w);
    kv_close(&w.kv);
    kv_dir_make(&w.dir);
    w.kv = kv_dir_open(&w.dir, 0, 0);
    check(&w);
    kv_close(&w.kv);
    kv_dir_remove(&w.dir);
}

static void check_transactions(struct world *w)
{
    struct kv_txn *txn = begin(w->kv, true);
    put(txn, KV_DEFS, "b", "2");
    put(txn, KV_DEFS, "a", "");
    expect(txn, KV_DEFS, "b", "2");
    put(txn, KV_DEFS, "b", "two");
    expect(txn, KV_DEFS, "b", "two");
    expect(txn, KV_QUEUES, "b", NULL);
    commit(&txn);

    txn = begin(w->kv, true);
    put(txn, KV_DEFS, "c", "3");
    cr_assert_eq(kv_del(txn, KV_DEFS, SLICE("b")), KV_OK);
    cr_assert_eq(kv_del(txn, KV_DEFS, SLICE("b")), KV_NONE);
    struct kv_txn *reader = begin(w->kv, false);
    expect(reader, KV_DEFS, "b", "two");
    expect(reader, KV_DEFS, "c", NULL);
    kv_abort(&txn);
    cr_assert_null(txn);
    kv_abort(&txn);
    kv_abort(&reader);

    reader = begin(w->kv, false);
    txn = begin(w->kv, true);
    put(txn, KV_DEFS, "c", "3");
    commit(&txn);
    expect(reader, KV_DEFS, "a", "");
    expect(reader, KV_DEFS, "c", NULL);
    kv_abort(&reader);
    reader = begin(w->kv, false);
    expect(reader, KV_DEFS, "c", "3");
    commit(&reader);
}

UNIT(kv, transactions)
{
    with_both(check_transactions);
}

static void go(enum kv_status status, struct slice key, const char *expected)
{
    cr_assert_eq(status, expected ? KV_OK : KV_NONE, "%s", expected ? expected : "none");
    cr_assert(!expected || slice_eq_str(key, expected), "%s", expected);
}

static void check_empty_table(struct world *w)
{
    struct kv_txn *txn = begin(w->kv, true);
    struct kv_cursor *c;
    struct slice k = SLICE_EMPTY, v;
    cr_assert_eq(kv_cursor_open(txn, KV_HOLES, &c), KV_OK);
    go(kv_next(c, &k, &v), k, NULL);
    go(kv_prev(c, &k, &v), k, NULL);
    go(kv_seek(c, SLICE("x"), &k, &v), k, NULL);
    go(kv_prev(c, &k, &v), k, NULL);
    go(kv_seek(c, SLICE_EMPTY, &k, &v), k, NULL);
    kv_cursor_close(&c);
    cr_assert_null(c);
    kv_cursor_close(&c);
    kv_abort(&txn);
}

static void check_cursors(struct world *w)
{
    check_empty_table(w);
    struct kv_txn *txn = begin(w->kv, true);
    struct kv_cursor *c;
    struct slice k, v;
    put(txn, KV_HOLES, "d", "4");
    put(txn, KV_HOLES, "b", "2");
    put(txn, KV_HOLES, "f", "6");
    cr_assert_eq(kv_cursor_open(txn, KV_HOLES, &c), KV_OK);
    go(kv_next(c, &k, &v), k, "b");
    go(kv_next(c, &k, &v), k, "d");
    cr_assert(slice_eq_str(v, "4"));
    go(kv_next(c, &k, &v), k, "f");
    go(kv_next(c, &k, &v), k, NULL);
    go(kv_next(c, &k, &v), k, NULL);
    go(kv_prev(c, &k, &v), k, "f");
    go(kv_seek(c, SLICE("g"), &k, &v), k, NULL);
    go(kv_next(c, &k, &v), k, NULL);
    go(kv_prev(c, &k, &v), k, "f");
    go(kv_seek(c, SLICE("c"), &k, &v), k, "d");
    go(kv_prev(c, &k, &v), k, "b");
    go(kv_prev(c, &k, &v), k, NULL);
    go(kv_prev(c, &k, &v), k, NULL);
    go(kv_next(c, &k, &v), k, "b");
    go(kv_seek(c, SLICE("d"), &k, &v), k, "d");
    cr_assert_eq(kv_cursor_del(c), KV_OK);
    go(kv_next(c, &k, &v), k, "f");
    cr_assert_eq(kv_cursor_del(c), KV_OK);
    go(kv_next(c, &k, &v), k, NULL);
    go(kv_prev(c, &k, &v), k, "b");
    put(txn, KV_HOLES, "a", "1");
    go(kv_next(c, &k, &v), k, NULL);
    go(kv_prev(c, &k, &v), k, "b");
    go(kv_prev(c, &k, &v), k, "a");
    cr_assert_eq(kv_cursor_del(c), KV_OK);
    go(kv_prev(c, &k, &v), k, NULL);
    kv_cursor_close(&c);
    cr_assert_eq(kv_cursor_open(txn, KV_HOLES, &c), KV_OK);
    go(kv_prev(c, &k, &v), k, "b");
    cr_assert_eq(kv_cursor_del(c), KV_OK);
    go(kv_next(c, &k, &v), k, NULL);
    kv_cursor_close(&c);
    kv_abort(&txn);
}

UNIT(kv, cursors)
{
    with_both(check_cursors);
}

static void check_limits(struct world *w)
{
    static uint8_t bytes[KV_VALUE_MAX], key[511];
    struct kv_txn *txn = begin(w->kv, true);
    struct slice v;
    memset(bytes, 7, sizeof bytes);
    memset(key, 0xff, sizeof key);
    for (int t = 0; t < KV_TABLE_COUNT; t++)
        cr_assert_eq(
            kv_put(txn, (enum kv_table)t, slice_of(key, sizeof key), slice_of(bytes, sizeof bytes)),
            KV_OK);
    key[510] = 0;
    cr_assert_eq(kv_put(txn, KV_REFS, slice_of(key, sizeof key), SLICE_EMPTY), KV_OK);
    cr_assert_eq(kv_put(txn, KV_REFS, slice_of("", 1), SLICE("zero")), KV_OK);
    commit(&txn);
    txn = begin(w->kv, false);
    cr_assert_eq(kv_get(txn, KV_REFS, slice_of(key, sizeof key), &v), KV_OK);
    cr_assert_eq(v.len, 0);
    cr_assert_eq(kv_get(txn, KV_REFS, slice_of("", 1), &v), KV_OK);
    cr_assert(slice_eq_str(v, "zero"));
    key[510] = 0xff;
    cr_assert_eq(kv_get(txn, KV_META, slice_of(key, sizeof key), &v), KV_OK);
    cr_assert(slice_eq(v, slice_of(bytes, sizeof bytes)));
    kv_abort(&txn);
}

UNIT(kv, limits)
{
    with_both(check_limits);
}

/* ---- both at once, at random ---- */

enum { STEPS = 60000, KEYS = 3000 };

struct pair {
    uint64_t random;
    struct kv *kv[2];
    struct kv_txn *txn[2];
    struct kv_cursor *c[2];
    bool deletable; /* the cursors stand on a key */
    uint8_t value[2 * KV_VALUE_MAX];
};

static uint64_t rnd(struct pair *p, uint64_t below)
{
    p->random ^= p->random << 13;
    p->random ^= p->random >> 7;
    p->random ^= p->random << 17;
    return p->random % below;
}

static void same(enum kv_status a, enum kv_status b, struct slice x, struct slice y)
{
    cr_assert_eq(a, b);
    cr_assert(a != KV_OK || slice_eq(x, y));
}

static struct slice some_key(struct pair *p, char room[48])
{
    uint64_t n = rnd(p, KEYS);
    return slice_of(room, (size_t)snprintf(room, 48, "%0*d", n % 7 ? 5 : 40, (int)n));
}

static enum kv_table some_table(struct pair *p)
{
    return rnd(p, 4) ? KV_BLOCKS : KV_COUNTS;
}

static void close_cursors(struct pair *p)
{
    kv_cursor_close(&p->c[0]);
    kv_cursor_close(&p->c[1]);
    p->deletable = false;
}

static void step_txn(struct pair *p)
{
    bool whole = rnd(p, 4);
    close_cursors(p);
    for (int i = 0; i < 2; i++) {
        if (whole)
            commit(&p->txn[i]);
        kv_abort(&p->txn[i]);
        p->txn[i] = begin(p->kv[i], true);
    }
}

static void step_write(struct pair *p)
{
    char room[48];
    struct slice key = some_key(p, room);
    enum kv_table t = some_table(p);
    size_t n = rnd(p, 3) ? rnd(p, 60) : rnd(p, KV_VALUE_MAX + 1);
    struct slice value = slice_of(p->value + rnd(p, KV_VALUE_MAX), n);
    if (rnd(p, 3)) {
        cr_assert_eq(kv_put(p->txn[0], t, key, value), KV_OK);
        cr_assert_eq(kv_put(p->txn[1], t, key, value), KV_OK);
    } else {
        same(kv_del(p->txn[0], t, key), kv_del(p->txn[1], t, key), key, key);
    }
    p->deletable = false;
}

static void step_cursor(struct pair *p)
{
    char room[48];
    struct slice k[2] = {SLICE_EMPTY, SLICE_EMPTY}, v[2] = {SLICE_EMPTY, SLICE_EMPTY};
    enum kv_status status[2];
    unsigned what = (unsigned)rnd(p, 8);
    struct slice key = rnd(p, 9) ? some_key(p, room) : SLICE_EMPTY;
    enum kv_table t = some_table(p);
    for (int i = 0; i < 2; i++) {
        if (!p->c[i])
            cr_assert_eq(kv_cursor_open(p->txn[i], t, &p->c[i]), KV_OK);
        if (what == 0)
            status[i] = kv_seek(p->c[i], key, &k[i], &v[i]);
        else if (what < 4 && p->deletable && kv_cursor_del(p->c[i]) == KV_OK)
            status[i] = (what & 1 ? kv_next : kv_prev)(p->c[i], &k[i], &v[i]);
        else if (what < 7)
            status[i] = kv_next(p->c[i], &k[i], &v[i]);
        else
            status[i] = kv_prev(p->c[i], &k[i], &v[i]);
    }
    same(status[0], status[1], k[0], k[1]);
    same(status[0], status[1], v[0], v[1]);
    p->deletable = status[0] == KV_OK;
}

static void step_get(struct pair *p)
{
    char room[48];
    struct slice key = some_key(p, room), v[2] = {SLICE_EMPTY, SLICE_EMPTY};
    enum kv_table t = some_table(p);
    enum kv_status a = kv_get(p->txn[0], t, key, &v[0]), b = kv_get(p->txn[1], t, key, &v[1]);
    same(a, b, v[0], v[1]);
}

static void compare_all(struct pair *p)
{
    for (int t = 0; t < KV_TABLE_COUNT; t++) {
        struct slice k[2] = {SLICE_EMPTY, SLICE_EMPTY}, v[2] = {SLICE_EMPTY, SLICE_EMPTY};
        enum kv_status status[2];
        for (int i = 0; i < 2; i++)
            cr_assert_eq(kv_cursor_open(p->txn[i], (enum kv_table)t, &p->c[i]), KV_OK);
        do {
            for (int i = 0; i < 2; i++)
                status[i] = kv_next(p->c[i], &k[i], &v[i]);
            if (t == KV_META && status[1] == KV_OK) /* the format */
                status[1] = kv_next(p->c[1], &k[1], &v[1]);
            same(status[0], status[1], k[0], k[1]);
            same(status[0], status[1], v[0], v[1]);
        } while (status[0] == KV_OK);
        close_cursors(p);
    }
}

UNIT(kv, both_do_the_same)
{
    struct kv_dir dir;
    kv_dir_make(&dir);
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct pair p = {.random = seed * 0x9e3779b97f4a7c15ULL,
                         .kv = {kv_memory_new(), kv_dir_open(&dir, 0, 0)}};
        unsigned writes = seed % 2 ? 40 : 8; /* of 100 */
        for (size_t i = 0; i < sizeof p.value; i++)
            p.value[i] = (uint8_t)rnd(&p, 256);
        for (int i = 0; i < 2; i++)
            p.txn[i] = begin(p.kv[i], true);
        for (int n = 0; n < STEPS; n++) {
            unsigned what = (unsigned)rnd(&p, 100);
            if (rnd(&p, 1000) == 0)
                step_txn(&p);
            else if (what < writes)
                step_write(&p);
            else if (what < 90)
                step_cursor(&p);
            else if (what < 91)
                close_cursors(&p);
            else
                step_get(&p);
        }
        close_cursors(&p);
        compare_all(&p);
        for (int i = 0; i < 2; i++) {
            kv_abort(&p.txn[i]);
            kv_close(&p.kv[i]);
        }
        unlink(dir.data);
    }
    kv_dir_remove(&dir);
}

/* ---- formats ---- */

static enum kv_status to_two(struct kv_txn *txn)
{
    return kv_put(txn, KV_QUEUES, SLICE("step"), SLICE("2"));
}

static enum kv_status to_three(struct kv_txn *txn)
{
    struct slice v;
    enum kv_status status = kv_get(txn, KV_QUEUES, SLICE("step"), &v);
    if (status != KV_OK || !slice_eq_str(v, "2"))
        return KV_FAILED;
    return kv_put(txn, KV_QUEUES, SLICE("step"), SLICE("3"));
}

static enum kv_status out_of_room(struct kv_txn *txn)
{
    enum kv_status status = kv_put(txn, KV_QUEUES, SLICE("step"), SLICE("lost"));
    return status == KV_OK ? KV_FULL : status;
}

static void set_format(struct kv *kv, const char *text)
{
    struct kv_txn *txn = begin(kv, true);
    put(txn, KV_META, "format", text);
    put(txn, KV_QUEUES, "step", "1");
    commit(&txn);
}

static void expect_format(struct kv *kv, const char *version, const char *step)
{
    struct kv_txn *txn = begin(kv, false);
    expect(txn, KV_META, "format", version);
    expect(txn, KV_QUEUES, "step", step);
    kv_abort(&txn);
}

static void check_formats(struct world *w)
{
    static enum kv_status (*const steps[])(struct kv_txn *) = {to_two, to_three};
    static enum kv_status (*const failing[])(struct kv_txn *) = {to_two, out_of_room};
    struct kv_format one = {.version = 1}, three = {.version = 3, .steps = steps},
                     bad = {.version = 3, .steps = failing};
    struct failure why;
    struct kv_txn *txn = begin(w->kv, true);
    enum kv_status status = kv_del(txn, KV_META, SLICE("format"));
    cr_assert(status == KV_OK || status == KV_NONE);
    commit(&txn);

    cr_assert_eq(kv_format_check(w->kv, &one, false, &why), ERR_NONE);
    expect_format(w->kv, "1", NULL);
    set_format(w->kv, "1");
    cr_assert_eq(kv_format_check(w->kv, &three, true, &why), ERR_PRECONDITION_FAILED);
    cr_assert_not_null(strstr(why.text, "upgrades"), "%s", why.text);
    three.readable = 2;
    cr_assert_eq(kv_format_check(w->kv, &three, true, &why), ERR_PRECONDITION_FAILED);
    three.readable = 1;
    cr_assert_eq(kv_format_check(w->kv, &three, true, &why), ERR_NONE);
    expect_format(w->kv, "1", "1");
    cr_assert_eq(kv_format_check(w->kv, &three, false, &why), ERR_NONE);
    expect_format(w->kv, "3", "3");
    cr_assert_eq(kv_format_check(w->kv, &three, true, &why), ERR_NONE);
    cr_assert_eq(kv_format_check(w->kv, &one, false, &why), ERR_PRECONDITION_FAILED);
    cr_assert_not_null(strstr(why.text, "newer release"), "%s", why.text);

    set_format(w->kv, "1");
    cr_assert_eq(kv_format_check(w->kv, &bad, false, &why), ERR_RESOURCE_ERROR);
    expect_format(w->kv, "2", "2");
    cr_assert_eq(kv_format_check(w->kv, &three, false, &why), ERR_NONE);
    expect_format(w->kv, "3", "3");

    static const char *const odd[] = {"", "0", "one", "1x", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        set_format(w->kv, odd[i]);
        cr_assert_eq(kv_format_check(w->kv, &one, false, &why), ERR_PRECONDITION_FAILED);
    }
    txn = begin(w->kv, true);
    cr_assert_eq(kv_del(txn, KV_META, SLICE("format")), KV_OK);
    commit(&txn);
    cr_assert_eq(kv_format_check(w->kv, &one, false, &why), ERR_PRECONDITION_FAILED);
    cr_assert_not_null(strstr(why.text, "something else"), "%s", why.text);
}

UNIT(kv, formats)
{
    with_both(check_formats);
}

/* ---- faults of the one in memory ---- */

UNIT(kv, memory_fails_when_asked)
{
    struct kv *kv = kv_memory_new();
    for (int whole = 0; whole < 2; whole++) {
        struct kv_txn *txn = begin(kv, true);
        put(txn, KV_DEFS, "a", whole ? "1" : "0");
        kv_memory_fail(kv, 0, KV_FAILED, whole);
        cr_assert_eq(kv_commit(&txn), KV_FAILED);
        cr_assert_eq(kv_begin(kv, false, &txn), KV_FAILED);
        cr_assert(kv_memory_failed(kv));
        kv_memory_restart(kv);
        txn = begin(kv, false);
        expect(txn, KV_DEFS, "a", whole ? "1" : NULL);
        kv_abort(&txn);
    }
    struct kv_txn *txn = begin(kv, true);
    kv_memory_fail(kv, 1, KV_FULL, false);
    put(txn, KV_DEFS, "b", "");
    cr_assert_eq(kv_put(txn, KV_DEFS, SLICE("c"), SLICE_EMPTY), KV_FULL);
    kv_abort(&txn);
    txn = begin(kv, true);
    put(txn, KV_DEFS, "c", "");
    expect(txn, KV_DEFS, "b", NULL);
    commit(&txn);
    cr_assert_eq(kv_memory_count(kv, KV_DEFS), 2);
    kv_close(&kv);
}
