/* Definitions: what changed since the checkpoint, merged with the table. A key of the table is the
 * noun and the key as given, cut and with its digest where that is too long; a value begins with
 * the key as given. What does not fit a row follows in KV_META. */
#include "base/digest.h"
#include "base/mem.h"
#include "base/wire_cursor.h"
#include "store/fold_checkpoint.h"
#include "store/fold_part.h"

#include <stdlib.h>

enum {
    KEY_WHOLE = 448, /* longer ones are cut there */
    DIGEST_LEN = 32,
    FIRST_ROOM = FOLD_VALUE_ROOM - 4 /* bytes in all u32 */
};

struct slice fold_definition_key(const void *object)
{
    return ((const struct fold_definition *)object)->key;
}

static void make_key(struct fold_key *k, uint8_t noun, struct slice name)
{
    uint8_t digest[DIGEST_SIZE_MAX];
    fold_key_u8(k, noun);
    fold_key_bytes(k, slice_of(name.data, name.len < KEY_WHOLE ? name.len : KEY_WHOLE));
    if (name.len <= KEY_WHOLE)
        return;
    digest_compute(DIGEST_SHA256, name, SLICE_EMPTY, digest);
    fold_key_bytes(k, slice_of(digest, DIGEST_LEN));
}

/* Rows of what did not fit the first: their key, but for the number. */
static void more_key(struct fold_key *k, struct slice key)
{
    uint8_t digest[DIGEST_SIZE_MAX];
    digest_compute(DIGEST_SHA256, key, SLICE_EMPTY, digest);
    fold_key_bytes(k, SLICE("more"));
    fold_key_bytes(k, slice_of(digest, DIGEST_LEN));
}

void fold_definition_free(struct fold_definition **d)
{
    slice_free(&(*d)->key);
    slice_free(&(*d)->value);
    free(*d);
    *d = NULL;
}

void fold_define(struct fold_part *p, const struct record *r)
{
    struct fold_key k = {0};
    struct buf value = BUF_INIT;
    uint8_t length[4];
    make_key(&k, r->noun, r->key);
    struct fold_definition *d = hash_remove(&p->definitions, fold_key_slice(&k));
    if (d)
        fold_definition_free(&d);
    d = NEW(struct fold_definition);
    wire_store_u32(length, (uint32_t)r->key.len);
    buf_append(&value, length, sizeof length);
    buf_append_slice(&value, r->key);
    buf_append_slice(&value, r->value);
    *d = (struct fold_definition){.key = slice_dup(fold_key_slice(&k)),
                                  .removed = r->kind == RECORD_UNDEFINE,
                                  .value = buf_take(&value)};
    hash_add(&p->definitions, d);
    p->live_bytes += d->key.len + d->value.len + FOLD_ENTRY_COST;
}

void fold_merge_definitions(struct fold_part *to, struct fold_part *from)
{
    hash_each (it, &from->definitions) {
        struct fold_definition *d = hash_at(&from->definitions, it);
        struct fold_definition *old = hash_remove(&to->definitions, d->key);
        if (old)
            fold_definition_free(&old);
        hash_add(&to->definitions, d);
    }
    hash_fini(&from->definitions);
    hash_init(&from->definitions, fold_definition_key);
}

/* ---- writing ---- */

static int compare(const void *a, const void *b)
{
    const struct fold_definition *const *x = a, *const *y = b;
    return slice_cmp((*x)->key, (*y)->key);
}

/* Those of a part in order of keys, with this noun (or all: -1); heap. */
static struct fold_definition **sorted(const struct fold_part *p, int noun, size_t *ret_count)
{
    struct fold_definition **all = mem_alloc((p->definitions.count + 1) * sizeof *all);
    size_t n = 0;
    hash_each (it, &p->definitions) {
        struct fold_definition *d = hash_at(&p->definitions, it);
        if (noun < 0 || d->key.data[0] == noun)
            all[n++] = d;
    }
    qsort(all, n, sizeof *all, compare);
    *ret_count = n;
    return all;
}

static enum kv_status del_more(struct kv_txn *txn, struct slice key)
{
    struct fold_key more = {0};
    size_t budget = SIZE_MAX;
    more_key(&more, key);
    return fold_del_prefix(txn, KV_META, fold_key_slice(&more), &budget);
}

static enum kv_status write_definition(struct kv_txn *txn, const struct fold_definition *d)
{
    struct slice old;
    enum kv_status status = kv_get(txn, KV_DEFS, d->key, &old);
    if (status == KV_OK && old.len == KV_VALUE_MAX)
        status = del_more(txn, d->key);
    if (status == KV_OK && d->removed)
        return kv_del(txn, KV_DEFS, d->key);
    if (status != KV_OK && status != KV_NONE)
        return status;
    if (d->removed)
        return KV_OK;
    uint8_t first[FOLD_VALUE_ROOM];
    size_t len = d->value.len < FIRST_ROOM ? d->value.len : FIRST_ROOM;
    wire_store_u32(first, (uint32_t)d->value.len);
    memcpy(first + 4, d->value.data, len);
    FOLD_TRY(fold_put_sealed(txn, KV_DEFS, d->key, slice_of(first, len + 4)));
    if (len == d->value.len)
        return KV_OK;
    struct fold_key more = {0};
    more_key(&more, d->key);
    return fold_put_rows(txn, KV_META, fold_key_slice(&more),
                         slice_of(d->value.data + len, d->value.len - len));
}

enum kv_status fold_write_definitions(struct fold_txn *t)
{
    size_t n;
    struct fold_definition **all = sorted(t->part, -1, &n);
    enum kv_status status = KV_OK;
    for (size_t i = 0; i < n && status == KV_OK; i++)
        status = write_definition(t->txn, all[i]);
    free(all);
    return status;
}

/* ---- reading ---- */

struct each {
    struct fold *f;
    struct kv_txn *txn;
    void (*fn)(struct slice key, struct slice value, void *arg);
    void *arg;
    struct fold_definition **changed;
    size_t count, next;
    struct buf value;
};

static void give(struct each *e, struct slice value)
{
    if (value.len < 4 || wire_load_u32(value.data) > value.len - 4)
        return;
    uint32_t n = wire_load_u32(value.data);
    e->fn(slice_of(value.data + 4, n), slice_of(value.data + 4 + n, value.len - 4 - n), e->arg);
}

/* Its value cannot be read. */
static void give_damaged(struct each *e, struct slice key, const char *text)
{
    fold_report(e->f, 0, text);
    e->fn(slice_of(key.data + 1, key.len - 1), SLICE_EMPTY, e->arg);
}

/* Gives the changed ones below key; true: key itself was one of them. */
static bool give_changed(struct each *e, const struct slice *key)
{
    while (e->next < e->count) {
        const struct fold_definition *d = e->changed[e->next];
        int c = key ? slice_cmp(d->key, *key) : -1;
        if (c > 0)
            return false;
        e->next++;
        if (!d->removed)
            give(e, d->value);
        if (c == 0)
            return true;
    }
    return false;
}

static enum kv_status on_row(void *arg, struct slice key, struct slice value)
{
    struct each *e = arg;
    struct slice payload;
    bool good = true;
    if (give_changed(e, &key))
        return KV_OK;
    buf_clear(&e->value);
    if (!fold_unseal(value, &payload) || payload.len < 4) {
        give_damaged(e, key, "a definition in the database is damaged");
        return KV_OK;
    }
    uint32_t total = wire_load_u32(payload.data);
    buf_append(&e->value, payload.data + 4, payload.len - 4);
    if (total > e->value.len) {
        struct fold_key more = {0};
        more_key(&more, key);
        enum kv_status status =
            fold_get_rows(e->txn, KV_META, fold_key_slice(&more), &e->value, &good);
        if (status != KV_OK && status != KV_NONE)
            return status;
    }
    if (good && e->value.len == total)
        give(e, buf_slice(&e->value));
    else
        give_damaged(e, key, "a long definition in the database is damaged");
    return KV_OK;
}

/* Newer ones of the active part over those of the frozen one. */
static struct fold_definition **changes(const struct fold *f, uint8_t noun, size_t *ret_count)
{
    const struct fold_part *newer = &f->parts[f->active], *older = &f->parts[1 - f->active];
    size_t n = 0, m = 0;
    struct fold_definition **all = sorted(newer, noun, &n), **old = sorted(older, noun, &m);
    all = mem_realloc(all, (n + m + 1) * sizeof *all);
    size_t total = n;
    for (size_t i = 0; i < m; i++) {
        if (!hash_find(&newer->definitions, old[i]->key))
            all[total++] = old[i];
    }
    free(old);
    qsort(all, total, sizeof *all, compare);
    *ret_count = total;
    return all;
}

void fold_each_definition(struct fold *f, uint8_t noun,
                          void (*fn)(struct slice key, struct slice value, void *arg), void *arg)
{
    struct each e = {.f = f, .fn = fn, .arg = arg};
    if (fold_begin_read(f, &e.txn) != KV_OK)
        return;
    e.changed = changes(f, noun, &e.count);
    if (fold_each_prefix(e.txn, KV_DEFS, slice_of(&noun, 1), on_row, &e) != KV_OK)
        fold_report(f, 0, kv_error(f->kv));
    give_changed(&e, NULL);
    fold_end_read(f, &e.txn);
    free(e.changed);
    buf_fini(&e.value);
}
