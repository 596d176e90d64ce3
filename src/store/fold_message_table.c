/* Messages stored once: from the frozen part into the tables and files, and back. */
#include "store/fold_message_table.h"

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/wire_cursor.h"
#include "store/fold_checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { COPY_MAX = 1 << 20, SWEEP_MAX = 10000 };

/* What a checkpoint does to one message. */
struct change {
    uint64_t id;
    const struct fold_message *m; /* NULL: only entries of the database went */
    uint64_t released;
};

struct writing {
    struct fold_txn *t;
    const struct fold_message *m;
    struct fold_ref ref;
    bool exists;
};

void fold_file_name(uint64_t id, char name[FOLD_NAME_MAX])
{
    snprintf(name, FOLD_NAME_MAX, "blobs/%016" PRIx64, id);
}

static void id_key(struct fold_key *k, uint64_t id)
{
    k->len = 0;
    fold_key_u64(k, id);
}

static void zero_key(struct fold_key *k, uint64_t id)
{
    k->len = 0;
    fold_key_bytes(k, SLICE("zero"));
    fold_key_u64(k, id);
}

/* ---- KV_REFS ---- */

enum kv_status fold_get_ref(struct kv_txn *txn, uint64_t id, struct fold_ref *ret_ref)
{
    struct fold_key k;
    struct slice value, in;
    uint64_t v[7];
    id_key(&k, id);
    FOLD_TRY(kv_get(txn, KV_REFS, fold_key_slice(&k), &value));
    if (!fold_unseal(value, &in))
        return KV_NONE;
    for (unsigned i = 0; i < 7; i++) {
        if (!record_get_varint(&in, &v[i]))
            return KV_NONE;
    }
    *ret_ref = (struct fold_ref){.flags = (uint8_t)v[0],
                                 .refs = v[1],
                                 .awaited = v[2],
                                 .head_len = v[3],
                                 .total = v[4],
                                 .received = v[5],
                                 .crc = (uint32_t)v[6]};
    return KV_OK;
}

static enum kv_status put_ref(struct kv_txn *txn, uint64_t id, const struct fold_ref *ref)
{
    struct fold_key k;
    uint8_t value[7 * RECORD_VARINT], *p = value;
    id_key(&k, id);
    p = record_varint(p, ref->flags);
    p = record_varint(p, ref->refs);
    p = record_varint(p, ref->awaited);
    p = record_varint(p, ref->head_len);
    p = record_varint(p, ref->total);
    p = record_varint(p, ref->received);
    p = record_varint(p, ref->crc);
    return fold_put_sealed(txn, KV_REFS, fold_key_slice(&k), slice_of(value, (size_t)(p - value)));
}

/* ---- files ---- */

static enum kv_status file_failed(struct fold *f, const char *what, const char *name, int error)
{
    char text[128];
    bool full = error == -ENOSPC || error == -EDQUOT || error == -EFBIG;
    if (!full) {
        snprintf(text, sizeof text, "cannot %s %s: %s", what, name, strerror(-error));
        fold_report(f, 0, text);
    }
    return full ? KV_FULL : KV_FAILED;
}

static int copy_piece(struct writing *w, int file, const struct fold_place *place, uint8_t *room)
{
    struct fold *f = w->t->f;
    for (uint32_t done = 0; done < place->len;) {
        uint32_t len = place->len - done < COPY_MAX ? place->len - done : COPY_MAX;
        struct fold_place part = {.offset = place->offset + done, .len = len, .slot = place->slot};
        if (!fold_fetch(f, w->t->part, part, room))
            return -EIO;
        struct iovec iov = {room, len};
        int error = disk_pwritev(f->options.disk, file, &iov, 1, w->ref.received);
        if (error < 0)
            return error;
        w->ref.crc = crc32c(w->ref.crc, room, len);
        w->ref.received += len;
        done += len;
    }
    return 0;
}

static enum kv_status write_file(struct writing *w)
{
    struct disk *disk = w->t->f->options.disk;
    char name[FOLD_NAME_MAX];
    fold_file_name(w->m->id, name);
    int file = disk_open_file(disk, name, DISK_CREATE);
    if (file == -ENOENT) {
        disk_make_directory(disk, "blobs");
        disk_sync_directory(disk, ".");
        file = disk_open_file(disk, name, DISK_CREATE);
    }
    if (file < 0)
        return file_failed(w->t->f, "make", name, file);
    if (!w->exists) {
        MEM_GROW(w->t->made, w->t->made_cap, w->t->made_count + 1);
        w->t->made[w->t->made_count++] = w->m->id;
    }
    uint8_t *room = mem_alloc(COPY_MAX);
    int error = 0;
    for (size_t i = 0; i < w->m->count && error == 0; i++) {
        if (w->m->pieces[i].offset == w->ref.received)
            error = copy_piece(w, file, &w->m->pieces[i].place, room);
    }
    if (error == 0)
        error = disk_sync(disk, file);
    disk_close_file(disk, file);
    free(room);
    w->t->files_written = true;
    return error < 0 ? file_failed(w->t->f, "write", name, error) : KV_OK;
}

/* What stays is swept at the next start. */
static void unlink_ids(struct fold *f, const uint64_t *ids, size_t n)
{
    char name[FOLD_NAME_MAX];
    for (size_t i = 0; i < n; i++) {
        fold_file_name(ids[i], name);
        disk_unlink(f->options.disk, name);
    }
}

void fold_unlink_files(struct fold_txn *t, bool committed)
{
    if (committed)
        unlink_ids(t->f, t->unlink, t->unlink_count);
    else
        unlink_ids(t->f, t->made, t->made_count);
}

struct stray {
    struct kv_txn *txn;
    uint64_t *ids;
    size_t count, cap;
};

/* Numbers of which nothing is left are given again, perhaps to a message without a file. */
static bool has_file(struct kv_txn *txn, uint64_t id)
{
    struct fold_ref ref;
    enum kv_status status = fold_get_ref(txn, id, &ref);
    return status == KV_OK ? ref.flags & FOLD_REF_FILE : status != KV_NONE;
}

static bool is_stray(const char *name, void *arg)
{
    struct stray *s = arg;
    char *end;
    uint64_t id = strtoull(name, &end, 16);
    if (*end || end - name != 16 || has_file(s->txn, id))
        return true;
    MEM_GROW(s->ids, s->cap, s->count + 1);
    s->ids[s->count++] = id;
    return true;
}

void fold_sweep_files(struct fold *f)
{
    struct stray s = {0};
    if (!f->options.disk || fold_begin_read(f, &s.txn) != KV_OK)
        return;
    disk_list(f->options.disk, "blobs", is_stray, &s);
    fold_end_read(f, &s.txn);
    unlink_ids(f, s.ids, s.count);
    free(s.ids);
}

/* ---- one message ---- */

static enum kv_status mark_zero(struct writing *w, uint64_t id, bool zero)
{
    struct fold_key k;
    uint8_t value[16];
    zero_key(&k, id);
    if (!zero) {
        enum kv_status status = kv_del(w->t->txn, KV_META, fold_key_slice(&k));
        return status == KV_NONE ? KV_OK : status;
    }
    w->t->zero_waiting = true;
    wire_store_u64(value, w->t->f->checkpoint + 1);
    wire_store_u64(value + 8, clock_wall_ms());
    return kv_put(w->t->txn, KV_META, fold_key_slice(&k), slice_of(value, sizeof value));
}

static enum kv_status remove_message(struct fold_txn *t, uint64_t id, const struct fold_ref *ref)
{
    struct fold_key k;
    size_t budget = SIZE_MAX;
    id_key(&k, id);
    FOLD_TRY(fold_del_prefix(t->txn, KV_MESSAGES, fold_key_slice(&k), &budget));
    enum kv_status status = kv_del(t->txn, KV_REFS, fold_key_slice(&k));
    if (status != KV_OK && status != KV_NONE)
        return status;
    if (ref->flags & FOLD_REF_FILE) {
        MEM_GROW(t->unlink, t->unlink_cap, t->unlink_count + 1);
        t->unlink[t->unlink_count++] = id;
    }
    return KV_OK;
}

/* Head and, unless it is a file, body. */
static enum kv_status write_rows(struct writing *w)
{
    const struct fold_message *m = w->m;
    struct fold_key k;
    struct buf bytes = BUF_INIT;
    bool file = w->ref.flags & FOLD_REF_FILE;
    id_key(&k, m->id);
    bool good = fold_fetch(w->t->f, w->t->part, m->head, buf_reserve(&bytes, m->head.len));
    bytes.len = m->head.len;
    w->ref.head_len = m->head.len;
    for (size_t i = 0; i < m->count && !file; i++) {
        if (m->pieces[i].offset != w->ref.received)
            continue;
        uint32_t len = m->pieces[i].place.len;
        good &= fold_fetch(w->t->f, w->t->part, m->pieces[i].place, buf_reserve(&bytes, len));
        bytes.len += len;
        w->ref.received += len;
    }
    if (!good)
        fold_report(w->t->f, 0, "a message could not be read back from the journal; it is lost");
    enum kv_status status =
        good ? fold_put_rows(w->t->txn, KV_MESSAGES, fold_key_slice(&k), buf_slice(&bytes)) : KV_OK;
    buf_fini(&bytes);
    return status;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* Entries that came and went. */
static void count_entries(struct fold_ref *ref, const struct change *c)
{
    int64_t refs = c->m ? c->m->refs : 0;
    ref->refs = refs >= 0 ? ref->refs + (uint64_t)refs : minus(ref->refs, (uint64_t)-refs);
    ref->refs = minus(ref->refs, c->released);
    if (ref->awaited && c->m)
        ref->awaited = ref->awaited > c->m->named ? ref->awaited - c->m->named : 1;
}

static enum kv_status write_contents(struct writing *w)
{
    struct fold *f = w->t->f;
    size_t large = f->options.large ? f->options.large : FOLD_LARGE;
    bool whole = w->m->received >= w->ref.total;
    if (!w->exists && (w->ref.total >= large || !whole))
        w->ref.flags |= FOLD_REF_FILE;
    if (!w->exists)
        FOLD_TRY(write_rows(w));
    return w->ref.flags & FOLD_REF_FILE && w->m->count ? write_file(w) : KV_OK;
}

/* Settles alone are written: of what the part says besides, an entry may be to come. */
static bool comes_again(const struct fold_txn *t, uint64_t id)
{
    return t->only_settles && hash_find(&t->part->messages, slice_of(&id, sizeof id));
}

static enum kv_status write_message(struct fold_txn *t, const struct change *c)
{
    struct writing w = {.t = t, .m = c->m};
    enum kv_status status = fold_get_ref(t->txn, c->id, &w.ref);
    w.exists = status == KV_OK;
    if (status == KV_NONE && c->m && c->m->born)
        w.ref = (struct fold_ref){.total = c->m->total,
                                  .awaited = c->m->expected ? c->m->expected + 1ull : 0};
    else if (status != KV_OK)
        return status == KV_NONE ? KV_OK : status;
    bool was_zero = w.exists && w.ref.refs == 0;
    count_entries(&w.ref, c);
    bool zero = w.ref.refs == 0;
    if (comes_again(t, c->id))
        w.ref.flags |= FOLD_REF_AHEAD;
    if (zero && w.ref.awaited == 1 && !(w.ref.flags & FOLD_REF_AHEAD)) {
        if (was_zero)
            FOLD_TRY(mark_zero(&w, c->id, false));
        return w.exists ? remove_message(t, c->id, &w.ref) : KV_OK;
    }
    if (c->m)
        FOLD_TRY(write_contents(&w));
    FOLD_TRY(put_ref(t->txn, c->id, &w.ref));
    return zero == was_zero && w.exists ? KV_OK
           : zero || was_zero           ? mark_zero(&w, c->id, zero)
                                        : KV_OK;
}

/* ---- all of a checkpoint ---- */

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int compare_changes(const void *a, const void *b)
{
    return compare_ids(&((const struct change *)a)->id, &((const struct change *)b)->id);
}

/* What the part says and what was released, one per id; heap. */
static struct change *collect(struct fold_txn *t, size_t *ret_count)
{
    size_t messages = t->only_settles ? 0 : t->part->messages.count, n = 0, kept = 0;
    struct change *all = mem_alloc((messages + t->released_count + 1) * sizeof *all);
    hash_each (it, &t->part->messages) {
        const struct fold_message *m = hash_at(&t->part->messages, it);
        if (messages)
            all[n++] = (struct change){.id = m->id, .m = m};
    }
    for (size_t i = 0; i < t->released_count; i++)
        all[n++] = (struct change){.id = t->released[i], .released = 1};
    qsort(all, n, sizeof *all, compare_changes);
    for (size_t i = 0; i < n; i++) {
        if (!kept || all[kept - 1].id != all[i].id) {
            all[kept++] = all[i];
            continue;
        }
        all[kept - 1].released += all[i].released;
        if (all[i].m)
            all[kept - 1].m = all[i].m;
    }
    *ret_count = kept;
    return all;
}

enum kv_status fold_write_messages(struct fold_txn *t)
{
    size_t n;
    enum kv_status status = KV_OK;
    if (!t->part->messages.count && !t->released_count)
        return KV_OK;
    struct change *all = collect(t, &n);
    for (size_t i = 0; i < n && status == KV_OK; i++)
        status = write_message(t, &all[i]);
    free(all);
    if (status == KV_OK && t->files_written) {
        int error = disk_sync_directory(t->f->options.disk, "blobs");
        if (error < 0)
            return file_failed(t->f, "sync", "blobs", error);
    }
    return status;
}

struct sweep {
    struct fold_txn *t;
    uint64_t *ids;
    size_t count, cap;
    uint64_t now;
};

static enum kv_status on_zero(void *arg, struct slice key, struct slice value)
{
    struct sweep *s = arg;
    const struct fold *f = s->t->f;
    if (key.len != 12 || value.len != 16)
        return KV_OK;
    uint64_t number = wire_load_u64(value.data), ms = wire_load_u64(value.data + 8);
    bool before = number <= f->opened && f->recovered;
    bool old = number + FOLD_CARRY_TIMES <= f->checkpoint + 1 && ms + FOLD_CARRY_MS <= s->now;
    s->t->zero_waiting = true;
    if ((!before && !old) || s->count >= SWEEP_MAX)
        return KV_NONE;
    MEM_GROW(s->ids, s->cap, s->count + 1);
    s->ids[s->count++] = wire_load_u64(key.data + 4);
    return KV_OK;
}

static bool named_since(struct fold *f, uint64_t id)
{
    pthread_rwlock_rdlock(&f->lock);
    const struct fold_message *m = hash_find(&fold_active(f)->messages, slice_of(&id, sizeof id));
    bool named = m && (m->named || m->refs || m->count);
    pthread_rwlock_unlock(&f->lock);
    return named;
}

enum kv_status fold_sweep_messages(struct fold_txn *t)
{
    struct sweep s = {.t = t, .now = clock_wall_ms()};
    if (!t->f->zero_waiting)
        return KV_OK;
    enum kv_status status = fold_each_prefix(t->txn, KV_META, SLICE("zero"), on_zero, &s);
    for (size_t i = 0; i < s.count && status == KV_OK; i++) {
        struct fold_ref ref;
        struct fold_key k;
        if (named_since(t->f, s.ids[i]))
            continue;
        zero_key(&k, s.ids[i]);
        status = kv_del(t->txn, KV_META, fold_key_slice(&k));
        if (status == KV_OK)
            status = fold_get_ref(t->txn, s.ids[i], &ref);
        if (status == KV_OK && ref.refs == 0)
            status = remove_message(t, s.ids[i], &ref);
        if (status == KV_NONE)
            status = KV_OK;
    }
    free(s.ids);
    return status;
}

/* ---- reading ---- */

struct reading {
    struct fold *f;
    struct kv_txn *txn;
    uint64_t id;
    const struct fold_message *parts[FOLD_PARTS]; /* older, newer; NULL: knows nothing */
    const struct fold_part *owners[FOLD_PARTS];
    struct fold_ref ref;
    bool in_table;
    struct buf *out;
    struct fold_found *found;
};

static const struct fold_message *born_in(const struct reading *r, unsigned *ret_i)
{
    for (unsigned i = 0; i < FOLD_PARTS; i++) {
        if (r->parts[i] && r->parts[i]->born) {
            *ret_i = i;
            return r->parts[i];
        }
    }
    return NULL;
}

/* Head, total and what the tables have of the body. */
static bool read_start(struct reading *r, uint64_t *ret_total)
{
    struct fold_key k;
    unsigned i;
    bool good = true;
    r->found->head = r->out->len;
    if (!r->in_table) {
        const struct fold_message *m = born_in(r, &i);
        if (!m)
            return false;
        *ret_total = m->total;
        r->found->head_len = m->head.len;
        bool fetched = fold_fetch(r->f, r->owners[i], m->head, buf_reserve(r->out, m->head.len));
        r->out->len += m->head.len;
        r->found->body = r->out->len;
        return fetched;
    }
    id_key(&k, r->id);
    if (fold_get_rows(r->txn, KV_MESSAGES, fold_key_slice(&k), r->out, &good) != KV_OK || !good ||
        r->out->len - r->found->head < r->ref.head_len)
        return false;
    *ret_total = r->ref.total;
    r->found->head_len = r->ref.head_len;
    r->found->body = r->found->head + r->ref.head_len;
    return r->out->len - r->found->body == (r->ref.flags & FOLD_REF_FILE ? 0 : r->ref.received);
}

static bool pread_all(struct disk *disk, int file, uint8_t *data, uint64_t n)
{
    for (uint64_t done = 0; done < n;) {
        int64_t got = disk_pread(disk, file, data + done, n - done, done);
        if (got <= 0)
            return false;
        done += (uint64_t)got;
    }
    return true;
}

static bool read_file(struct reading *r)
{
    struct disk *disk = r->f->options.disk;
    char name[FOLD_NAME_MAX];
    if (!r->ref.received) /* there is no file yet */
        return true;
    fold_file_name(r->id, name);
    int file = disk_open_file(disk, name, DISK_READ_ONLY);
    if (file < 0)
        return false;
    bool good = disk_size(disk, file) >= (int64_t)r->ref.received;
    if (good) {
        uint8_t *p = buf_reserve(r->out, r->ref.received);
        good = pread_all(disk, file, p, r->ref.received) &&
               crc32c(0, p, r->ref.received) == r->ref.crc;
        r->out->len += r->ref.received;
    }
    disk_close_file(disk, file);
    return good;
}

static bool read_pieces(struct reading *r, unsigned i)
{
    const struct fold_message *m = r->parts[i];
    for (size_t n = 0; m && n < m->count; n++) {
        if (m->pieces[n].offset != r->out->len - r->found->body)
            continue;
        uint32_t len = m->pieces[n].place.len;
        if (!fold_fetch(r->f, r->owners[i], m->pieces[n].place, buf_reserve(r->out, len)))
            return false;
        r->out->len += len;
    }
    return true;
}

bool fold_message_read(struct fold *f, struct kv_txn *txn, uint64_t id, struct buf *out,
                       struct fold_found *ret_found)
{
    struct reading r = {.f = f, .txn = txn, .id = id, .out = out, .found = ret_found};
    uint64_t total = 0;
    r.owners[0] = &f->parts[1 - f->active];
    r.owners[1] = &f->parts[f->active];
    for (unsigned i = 0; i < FOLD_PARTS; i++)
        r.parts[i] = hash_find(&r.owners[i]->messages, slice_of(&id, sizeof id));
    r.in_table = fold_get_ref(txn, id, &r.ref) == KV_OK;
    size_t start = out->len;
    bool good = read_start(&r, &total) &&
                (!r.in_table || !(r.ref.flags & FOLD_REF_FILE) || read_file(&r)) &&
                read_pieces(&r, 0) && read_pieces(&r, 1);
    ret_found->body_len = out->len - ret_found->body;
    if (good && ret_found->body_len == total)
        return true;
    out->len = start;
    return false;
}
