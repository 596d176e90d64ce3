/* Tables are sorted arrays of counted items; a transaction that writes copies the array of a table
 * first, one that reads keeps the arrays it began with. Under AddressSanitizer values are lent as
 * copies, freed when the promise of kv.h ends. */
#include "kv_memory.h"

#include "base/bug.h"
#include "base/mem.h"

#include <stdlib.h>

enum { KEY_MAX = 511 };

struct item {
    unsigned refs;
    uint32_t key_len, value_len;
    uint8_t bytes[];
};

struct table {
    unsigned refs;
    size_t count, cap;
    struct item **items;
};

struct lent {
    struct lent *next;
    uint8_t bytes[];
};

struct kv {
    struct kv_base base;
    struct table *tables[KV_TABLE_COUNT]; /* committed */
    uint64_t fail_after;
    enum kv_status fail_status;
    bool commit_whole, failed, writing;
    uint64_t commits;
    bool (*between)(void *arg);
    void *between_arg;
    unsigned open;
};

struct kv_txn {
    struct kv_base base;
    struct kv *kv;
    struct table *tables[KV_TABLE_COUNT];
    bool own[KV_TABLE_COUNT]; /* copied */
    bool write, broken;       /* broken: only abort is left */
    unsigned cursors;
    struct lent *lent;
};

enum position { NOWHERE, BEFORE_FIRST, BEHIND_LAST, AT_KEY };

struct kv_cursor {
    struct kv_base base;
    struct kv_txn *txn;
    enum kv_table t;
    enum position position;
    bool deleted;
    uint8_t key[KEY_MAX];
    size_t key_len;
};

/* ---- items and tables ---- */

static struct slice item_key(const struct item *i)
{
    return slice_of(i->bytes, i->key_len);
}

static struct slice item_value(const struct item *i)
{
    return slice_of(i->bytes + i->key_len, i->value_len);
}

static struct item *item_new(struct slice key, struct slice value)
{
    struct item *i = mem_alloc(sizeof *i + key.len + value.len);
    i->refs = 1;
    i->key_len = (uint32_t)key.len;
    i->value_len = (uint32_t)value.len;
    memcpy(i->bytes, key.data, key.len);
    if (value.len)
        memcpy(i->bytes + key.len, value.data, value.len);
    return i;
}

static void item_unref(struct item *i)
{
    if (--i->refs == 0)
        free(i);
}

static void table_unref(struct table *t)
{
    if (--t->refs)
        return;
    for (size_t i = 0; i < t->count; i++)
        item_unref(t->items[i]);
    free(t->items);
    free(t);
}

static struct table *table_copy(const struct table *from)
{
    struct table *t = NEW(struct table);
    t->refs = 1;
    t->count = from->count;
    MEM_GROW(t->items, t->cap, from->count + 1);
    for (size_t i = 0; i < from->count; i++) {
        t->items[i] = from->items[i];
        t->items[i]->refs++;
    }
    return t;
}

/* The first that is not below key. */
static size_t lower_bound(const struct table *t, struct slice key)
{
    size_t from = 0, to = t->count;
    if (to && slice_cmp(item_key(t->items[to - 1]), key) < 0)
        return to;
    while (from < to) {
        size_t mid = (from + to) / 2;
        if (slice_cmp(item_key(t->items[mid]), key) < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

static bool is_at(const struct table *t, size_t i, struct slice key)
{
    return i < t->count && slice_eq(item_key(t->items[i]), key);
}

/* ---- faults ---- */

/* Before a call of a transaction that writes. */
static void watch(struct kv *kv)
{
    if (kv->between && kv->between(kv->between_arg)) {
        kv->failed = true;
        kv->fail_status = KV_FAILED;
        kv->commit_whole = false;
    }
}

/* True: this call, which may find no room, fails. */
static bool strikes(struct kv *kv)
{
    if (kv->failed && kv->fail_status == KV_FAILED)
        return true;
    if (kv->fail_after == UINT64_MAX || kv->fail_after-- > 0)
        return false;
    kv->fail_after = UINT64_MAX;
    kv->failed = true;
    return true;
}

/* The same for a call that needs no room. */
static bool strikes_read(struct kv *kv)
{
    return kv->fail_status == KV_FAILED && strikes(kv);
}

void kv_memory_fail(struct kv *kv, uint64_t n, enum kv_status status, bool commit_whole)
{
    kv->fail_after = n;
    kv->fail_status = status;
    kv->commit_whole = commit_whole;
    kv->failed = false;
}

bool kv_memory_failed(const struct kv *kv)
{
    return kv->failed && kv->fail_status == KV_FAILED;
}

void kv_memory_watch(struct kv *kv, bool (*between)(void *arg), void *arg)
{
    kv->between = between;
    kv->between_arg = arg;
}

uint64_t kv_memory_commits(const struct kv *kv)
{
    return kv->commits;
}

void kv_memory_restart(struct kv *kv)
{
    bug_on(kv->open);
    kv->failed = false;
    kv->fail_after = UINT64_MAX;
}

/* ---- lending ---- */

static struct slice lend(struct kv_txn *txn, struct slice s)
{
#ifdef __SANITIZE_ADDRESS__
    struct lent *l = mem_alloc(sizeof *l + s.len);
    if (s.len)
        memcpy(l->bytes, s.data, s.len);
    l->next = txn->lent;
    txn->lent = l;
    return slice_of(l->bytes, s.len);
#else
    (void)txn;
    return s;
#endif
}

static void take_back(struct kv_txn *txn)
{
    while (txn->lent) {
        struct lent *l = txn->lent;
        txn->lent = l->next;
        free(l);
    }
}

/* ---- transactions ---- */

static enum kv_status begin(struct kv *kv, bool write, struct kv_txn **ret_txn)
{
    bug_on(write && kv->writing);
    if (write)
        watch(kv);
    if (strikes_read(kv))
        return KV_FAILED;
    struct kv_txn *txn = NEW(struct kv_txn);
    *txn = (struct kv_txn){.base = kv->base, .kv = kv, .write = write};
    for (int t = 0; t < KV_TABLE_COUNT; t++) {
        txn->tables[t] = kv->tables[t];
        txn->tables[t]->refs++;
    }
    kv->writing |= write;
    kv->open++;
    *ret_txn = txn;
    return KV_OK;
}

static void abort_txn(struct kv_txn **txn)
{
    struct kv_txn *x = *txn;
    bug_on(x->cursors);
    take_back(x);
    for (int t = 0; t < KV_TABLE_COUNT; t++)
        table_unref(x->tables[t]);
    x->kv->open--;
    if (x->write)
        x->kv->writing = false;
    free(x);
    *txn = NULL;
}

static enum kv_status commit(struct kv_txn **txn)
{
    struct kv *kv = (*txn)->kv;
    if ((*txn)->write)
        watch(kv);
    bool was_dead = kv->failed && kv->fail_status == KV_FAILED;
    bool fail = (*txn)->write && strikes(kv);
    if ((*txn)->write &&
        (!fail || (!was_dead && kv->fail_status == KV_FAILED && kv->commit_whole))) {
        kv->commits++;
        for (int t = 0; t < KV_TABLE_COUNT; t++) {
            struct table *old = kv->tables[t];
            kv->tables[t] = (*txn)->tables[t];
            (*txn)->tables[t] = old;
        }
    }
    abort_txn(txn);
    return fail ? kv->fail_status : KV_OK;
}

static struct table *own(struct kv_txn *txn, enum kv_table t)
{
    take_back(txn);
    if (!txn->own[t]) {
        struct table *copy = table_copy(txn->tables[t]);
        table_unref(txn->tables[t]);
        txn->tables[t] = copy;
        txn->own[t] = true;
    }
    return txn->tables[t];
}

static bool fails(struct kv_txn *txn)
{
    bug_on(txn->broken || !txn->write);
    watch(txn->kv);
    txn->broken = strikes(txn->kv);
    return txn->broken;
}

static void check_key(struct slice key)
{
    bug_on(key.len == 0 || key.len > KEY_MAX);
}

static enum kv_status get(struct kv_txn *txn, enum kv_table t, struct slice key,
                          struct slice *ret_value)
{
    check_key(key);
    if (strikes_read(txn->kv))
        return KV_FAILED;
    size_t i = lower_bound(txn->tables[t], key);
    if (!is_at(txn->tables[t], i, key))
        return KV_NONE;
    *ret_value = lend(txn, item_value(txn->tables[t]->items[i]));
    return KV_OK;
}

static enum kv_status put(struct kv_txn *txn, enum kv_table t, struct slice key, struct slice value)
{
    check_key(key);
    bug_on(value.len > KV_VALUE_MAX);
    if (fails(txn))
        return txn->kv->fail_status;
    struct item *item = item_new(key, value);
    struct table *table = own(txn, t);
    size_t i = lower_bound(table, key);
    if (is_at(table, i, key)) {
        item_unref(table->items[i]);
    } else {
        MEM_GROW(table->items, table->cap, table->count + 1);
        memmove(table->items + i + 1, table->items + i, (table->count - i) * sizeof *table->items);
        table->count++;
    }
    table->items[i] = item;
    return KV_OK;
}

static void remove_at(struct table *table, size_t i)
{
    item_unref(table->items[i]);
    table->count--;
    memmove(table->items + i, table->items + i + 1, (table->count - i) * sizeof *table->items);
}

static enum kv_status del(struct kv_txn *txn, enum kv_table t, struct slice key)
{
    check_key(key);
    if (fails(txn))
        return txn->kv->fail_status;
    size_t i = lower_bound(txn->tables[t], key);
    if (!is_at(txn->tables[t], i, key))
        return KV_NONE;
    remove_at(own(txn, t), i);
    return KV_OK;
}

/* ---- cursors ---- */

static enum kv_status cursor_open(struct kv_txn *txn, enum kv_table t,
                                  struct kv_cursor **ret_cursor)
{
    struct kv_cursor *c = NEW(struct kv_cursor);
    c->base = txn->base;
    c->txn = txn;
    c->t = t;
    txn->cursors++;
    *ret_cursor = c;
    return KV_OK;
}

static void cursor_close(struct kv_cursor **c)
{
    (*c)->txn->cursors--;
    free(*c);
    *c = NULL;
}

/* To the i-th; SIZE_MAX: before the first. */
static enum kv_status stand(struct kv_cursor *c, size_t i, struct slice *ret_key,
                            struct slice *ret_value)
{
    const struct table *t = c->txn->tables[c->t];
    if (strikes_read(c->txn->kv))
        return KV_FAILED;
    c->deleted = false;
    if (i >= t->count) {
        c->position = i == SIZE_MAX ? BEFORE_FIRST : BEHIND_LAST;
        return KV_NONE;
    }
    c->position = AT_KEY;
    c->key_len = t->items[i]->key_len;
    memcpy(c->key, t->items[i]->bytes, c->key_len);
    *ret_key = lend(c->txn, item_key(t->items[i]));
    *ret_value = lend(c->txn, item_value(t->items[i]));
    return KV_OK;
}

static enum kv_status seek(struct kv_cursor *c, struct slice key, struct slice *ret_key,
                           struct slice *ret_value)
{
    bug_on(key.len > KEY_MAX);
    return stand(c, lower_bound(c->txn->tables[c->t], key), ret_key, ret_value);
}

static enum kv_status next(struct kv_cursor *c, struct slice *ret_key, struct slice *ret_value)
{
    const struct table *t = c->txn->tables[c->t];
    struct slice key = slice_of(c->key, c->key_len);
    if (c->position == BEHIND_LAST)
        return KV_NONE;
    size_t i = c->position == AT_KEY ? lower_bound(t, key) : 0;
    return stand(c, c->position == AT_KEY && is_at(t, i, key) ? i + 1 : i, ret_key, ret_value);
}

static enum kv_status prev(struct kv_cursor *c, struct slice *ret_key, struct slice *ret_value)
{
    const struct table *t = c->txn->tables[c->t];
    if (c->position == BEFORE_FIRST)
        return KV_NONE;
    size_t i = c->position == AT_KEY ? lower_bound(t, slice_of(c->key, c->key_len)) : t->count;
    return stand(c, i - 1, ret_key, ret_value);
}

static enum kv_status cursor_del(struct kv_cursor *c)
{
    struct slice key = slice_of(c->key, c->key_len);
    bug_on(c->position != AT_KEY || c->deleted);
    if (fails(c->txn))
        return c->txn->kv->fail_status;
    struct table *t = own(c->txn, c->t);
    size_t i = lower_bound(t, key);
    bug_on(!is_at(t, i, key));
    remove_at(t, i);
    c->deleted = true;
    return KV_OK;
}

/* ---- the rest ---- */

static const char *error_text(const struct kv *kv)
{
    return kv->fail_status == KV_FULL ? "full, as asked for" : "failed, as asked for";
}

static void close_kv(struct kv **kv)
{
    bug_on((*kv)->open);
    for (int t = 0; t < KV_TABLE_COUNT; t++)
        table_unref((*kv)->tables[t]);
    free(*kv);
    *kv = NULL;
}

static const struct kv_type type = KV_TYPE;

struct kv *kv_memory_new(void)
{
    struct kv *kv = NEW(struct kv);
    kv->base.type = &type;
    kv->fail_after = UINT64_MAX;
    for (int t = 0; t < KV_TABLE_COUNT; t++) {
        kv->tables[t] = NEW(struct table);
        kv->tables[t]->refs = 1;
    }
    return kv;
}

struct kv *kv_memory_copy(const struct kv *from)
{
    struct kv *kv = NEW(struct kv);
    kv->base.type = &type;
    kv->fail_after = UINT64_MAX;
    for (int t = 0; t < KV_TABLE_COUNT; t++) {
        kv->tables[t] = from->tables[t];
        kv->tables[t]->refs++;
    }
    return kv;
}

size_t kv_memory_count(const struct kv *kv, enum kv_table t)
{
    return kv->tables[t]->count;
}

void kv_memory_at(const struct kv *kv, enum kv_table t, size_t i, struct slice *ret_key,
                  struct slice *ret_value)
{
    *ret_key = item_key(kv->tables[t]->items[i]);
    *ret_value = item_value(kv->tables[t]->items[i]);
}
