/* Writing, retention and recovery of segments; segments_read.c reads. */
#include "partition/segments_priv.h"

#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- names ---- */

void segments_name(const struct segments *s, uint64_t base, bool index, char *ret_name)
{
    snprintf(ret_name, SEGMENTS_NAME, "partitions/%016" PRIx64 "-%020" PRIu64 ".%s", s->id, base,
             index ? "index" : "segment");
}

bool segments_parse_name(const char *name, uint64_t *ret_id, uint64_t *ret_base, bool *ret_index)
{
    struct segments s = {0};
    char again[SEGMENTS_NAME], kind[8];
    if (sscanf(name, "%16" SCNx64 "-%20" SCNu64 ".%7s", &s.id, ret_base, kind) != 3)
        return false;
    *ret_id = s.id;
    *ret_index = strcmp(kind, "index") == 0;
    segments_name(&s, *ret_base, *ret_index, again);
    return strcmp(again + strlen("partitions/"), name) == 0;
}

/* ---- the index ---- */

/* offset, time, position, checksum of these and of the salt */
struct index_form {
    uint64_t numbers[3];
    uint32_t crc, salt;
};
_Static_assert(sizeof(struct index_form) == SEGMENTS_INDEX_ENTRY, "no holes");

static uint32_t index_crc(const struct index_form *form)
{
    uint32_t crc = crc32c(0, form->numbers, sizeof form->numbers);
    return form->salt ? crc32c(crc, &form->salt, sizeof form->salt) : crc;
}

bool segments_index_entry(const uint8_t *bytes, struct index_entry *ret_entry)
{
    struct index_form form;
    memcpy(&form, bytes, sizeof form);
    if (le32toh(form.crc) != index_crc(&form))
        return false;
    *ret_entry = (struct index_entry){le64toh(form.numbers[0]), le64toh(form.numbers[1]),
                                      le64toh(form.numbers[2]), le32toh(form.salt)};
    return true;
}

/* Errors are of no account: whoever looks for it finds the entry before. */
static void put_index_entry(struct segments *s, const struct index_entry *e)
{
    struct index_form form = {
        .numbers = {htole64(e->offset), htole64(e->time_ms), htole64(e->position)},
        .salt = htole32(e->salt)};
    form.crc = htole32(index_crc(&form));
    struct iovec iov = {&form, sizeof form};
    if (s->index_file >= 0)
        disk_pwritev(s->disk, s->index_file, &iov, 1, s->index_count * sizeof form);
    pthread_mutex_lock(&s->lock);
    MEM_GROW(s->index, s->index_cap, s->index_count + 1);
    s->index[s->index_count++] = *e;
    pthread_mutex_unlock(&s->lock);
}

static void note_batch(struct segments *s, const struct batch *b, uint64_t position)
{
    struct index_entry e = {b->base, b->time_ms, position, b->salt};
    uint64_t last = s->index_count ? s->index[s->index_count - 1].position : 0;
    if (!s->index_count || position - last >= SEGMENTS_INDEX_EVERY)
        put_index_entry(s, &e);
}

/* ---- life ---- */

struct segments *segments_new(struct disk *disk, uint64_t id)
{
    struct segments *s = NEW(struct segments);
    s->disk = disk;
    s->id = id;
    s->file = s->index_file = s->read_file = -1;
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

static void close_file(struct segments *s, int *file)
{
    if (*file >= 0)
        disk_close_file(s->disk, *file);
    *file = -1;
}

void segments_free(struct segments **segments)
{
    struct segments *s = *segments;
    segments_close_written(s);
    close_file(s, &s->read_file);
    pthread_mutex_destroy(&s->lock);
    free(s->items);
    free(s->index);
    free(s);
    *segments = NULL;
}

void segments_close_written(struct segments *s)
{
    close_file(s, &s->file);
    close_file(s, &s->index_file);
}

void segments_close_read(struct segments *s, bool always)
{
    bool there = false;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->count && !there; i++)
        there = s->items[i].base == s->read_base;
    pthread_mutex_unlock(&s->lock);
    if (always || !there)
        close_file(s, &s->read_file);
}

static void learn_salt(struct segments *s, uint32_t salt)
{
    if (!s->salted)
        s->salt = salt;
    s->salted = true;
}

/* 0 is that of what was written before there were salts. */
void segments_new_salt(struct segments *s)
{
    uint32_t salt = (uint32_t)random_u64();
    learn_salt(s, salt ? salt : 1);
}

static void add_item(struct segments *s, uint64_t base, uint64_t first_ms)
{
    pthread_mutex_lock(&s->lock);
    MEM_GROW(s->items, s->cap, s->count + 1);
    s->items[s->count++] = (struct segment){.base = base, .first_ms = first_ms};
    s->index_count = 0;
    pthread_mutex_unlock(&s->lock);
}

void segments_found(struct segments *s, uint64_t base)
{
    add_item(s, base, 0);
}

/* ---- writing ---- */

static struct segment *last_of(struct segments *s)
{
    return s->count ? &s->items[s->count - 1] : NULL;
}

/* Opens the files of the last segment for more. */
static int open_last(struct segments *s, unsigned flags)
{
    char name[SEGMENTS_NAME];
    segments_name(s, last_of(s)->base, false, name);
    s->file = disk_open_file(s->disk, name, flags);
    if (s->file < 0)
        return s->file;
    segments_name(s, last_of(s)->base, true, name);
    s->index_file = disk_open_file(s->disk, name, DISK_CREATE);
    return 0;
}

/* The names are safe before anything in the file is told to be. */
static int begin_segment(struct segments *s, const struct batch *b)
{
    char name[SEGMENTS_NAME];
    int status;
    if (s->file >= 0 && (status = disk_sync(s->disk, s->file)) < 0)
        return status;
    segments_name(s, b->base, false, name);
    int file = disk_open_file(s->disk, name, DISK_CREATE);
    if (file < 0)
        return file;
    if ((status = disk_sync_directory(s->disk, "partitions")) < 0) {
        disk_close_file(s->disk, file);
        return status;
    }
    segments_close_written(s);
    add_item(s, b->base, b->time_ms);
    s->file = file;
    segments_name(s, b->base, true, name);
    s->index_file = disk_open_file(s->disk, name, DISK_CREATE);
    return 0;
}

int segments_write(struct segments *s, struct slice bytes, const struct batch *batch,
                   uint64_t max_bytes)
{
    struct segment *last = last_of(s);
    struct iovec iov = {(void *)(uintptr_t)bytes.data, bytes.len};
    int status = 0;
    if (!last || (last->size && last->size + bytes.len > max_bytes))
        status = begin_segment(s, batch);
    else if (s->file < 0)
        status = open_last(s, 0);
    if (status < 0)
        return status;
    last = last_of(s);
    if (!last->size) /* before it is there: it tells the salt if that is torn */
        note_batch(s, batch, 0);
    status = disk_pwritev(s->disk, s->file, &iov, 1, last->size);
    if (status < 0)
        return status;
    note_batch(s, batch, last->size);
    pthread_mutex_lock(&s->lock);
    if (!last->size)
        last->first_ms = batch->time_ms;
    last->size += bytes.len;
    s->next = batch->base + batch->count;
    s->last = batch->base;
    s->last_ms = batch->time_ms;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

int segments_sync(struct segments *s)
{
    return s->file < 0 ? 0 : disk_sync(s->disk, s->file);
}

/* ---- retention ---- */

static int unlink_base(struct segments *s, uint64_t base)
{
    char name[SEGMENTS_NAME];
    segments_name(s, base, false, name);
    int status = disk_unlink(s->disk, name);
    segments_name(s, base, true, name);
    disk_unlink(s->disk, name);
    return status == -ENOENT ? 0 : status;
}

/* The first of several has to go. The youngest of it is about as old as the next one's first. */
static bool is_over(const struct segments *s, uint64_t max_bytes, uint64_t max_age_ms,
                    uint64_t now_ms)
{
    uint64_t bytes = 0, born = 0;
    for (size_t i = 0; i < s->count; i++)
        bytes += s->items[i].size;
    if (s->count < 2)
        return false;
    for (size_t i = 1; i < s->count && !born; i++) /* one that is damaged does not tell */
        born = s->items[i].first_ms;
    return bytes > max_bytes ||
           (max_age_ms != UINT64_MAX && born && now_ms > born && now_ms - born > max_age_ms);
}

int segments_retain(struct segments *s, uint64_t max_bytes, uint64_t max_age_ms, uint64_t now_ms)
{
    int dropped = 0;
    while (is_over(s, max_bytes, max_age_ms, now_ms)) {
        int status = unlink_base(s, s->items[0].base);
        if (status < 0)
            return status;
        pthread_mutex_lock(&s->lock);
        s->count--;
        memmove(s->items, s->items + 1, s->count * sizeof *s->items);
        pthread_mutex_unlock(&s->lock);
        /* in this order, whatever happens: no hole in the middle */
        if ((status = disk_sync_directory(s->disk, "partitions")) < 0)
            return status;
        dropped++;
    }
    return dropped;
}

int segments_remove(struct segments *s)
{
    segments_close_written(s);
    int status = 0;
    while (s->count && status >= 0) {
        pthread_mutex_lock(&s->lock);
        uint64_t base = s->items[--s->count].base;
        s->index_count = 0;
        pthread_mutex_unlock(&s->lock);
        status = unlink_base(s, base);
    }
    return status;
}

/* ---- recovery ---- */

/* The entries of the last segment's index that name batches which are there. */
static void load_index(struct segments *s, struct scan *scan)
{
    uint8_t bytes[SEGMENTS_INDEX_ENTRY];
    struct index_entry e;
    struct batch b;
    size_t count = 0;
    while (s->index_file >= 0 &&
           disk_pread(s->disk, s->index_file, bytes, sizeof bytes, count * sizeof bytes) ==
               sizeof bytes &&
           segments_index_entry(bytes, &e) && e.position < scan->size &&
           (!count || e.position > s->index[count - 1].position)) {
        learn_salt(s, e.salt);
        MEM_GROW(s->index, s->index_cap, count + 1);
        s->index[count++] = e;
    }
    while (count) {
        scan->position = s->index[count - 1].position;
        if (scan_batch(scan, &b) == BATCH_WHOLE && b.base == s->index[count - 1].offset)
            break;
        count--;
    }
    s->index_count = count;
    if (!count)
        scan->position = 0;
}

/* What is behind the end was never safe, and would be in the way of what comes. */
static int clear_from(struct segments *s, int file, uint64_t position, int64_t end)
{
    uint64_t size = end > 0 ? (uint64_t)end : 0;
    enum { PORTION = 64 << 10 };
    static const uint8_t zeros[PORTION];
    while (position < size) {
        size_t n = size - position < PORTION ? (size_t)(size - position) : PORTION;
        struct iovec iov = {(void *)(uintptr_t)zeros, n};
        int status = disk_pwritev(s->disk, file, &iov, 1, position);
        if (status < 0)
            return status;
        position += n;
    }
    return 0;
}

/* Nothing fits at the scan's position: torn, or damaged if there is a batch behind it which knew of
 * something here that was safe. True: goes on at that. */
static bool skip_damage(struct segments *s, struct scan *scan)
{
    uint64_t from = scan->position;
    struct batch b;
    scan->salt = s->salt;
    scan->salted = s->salted;
    while (scan_search(scan, &b)) {
        if (b.base < s->next || b.synced <= s->next)
            continue;
        log_error(STORE, NULL,
                  "damage in partition %" PRIu64 ": segment %" PRIu64 ", %" PRIu64
                  " bytes at %" PRIu64 " cannot be read, offsets %" PRIu64 " to %" PRIu64
                  " are lost",
                  s->id, last_of(s)->base, scan->position - from, from, s->next, b.base - 1);
        return true;
    }
    scan->position = from;
    return false;
}

static int scan_last(struct segments *s, struct scan *scan)
{
    struct segment *last = last_of(s);
    struct batch b;
    load_index(s, scan);
    for (;;) {
        enum batch_status status = scan_batch(scan, &b);
        if (status == BATCH_WHOLE && b.base >= s->next) {
            learn_salt(s, b.salt);
            note_batch(s, &b, scan->position);
            if (!scan->position)
                last->first_ms = b.time_ms;
            s->last = b.base;
            s->last_ms = b.time_ms;
            s->next = b.base + b.count;
            scan->position += BATCH_HEAD + b.length;
            continue;
        }
        if (scan->error)
            return scan->error;
        if (scan->position >= scan->size || !skip_damage(s, scan))
            break;
    }
    if (scan->error) /* what cannot be read is not cleared */
        return scan->error;
    last->size = scan->position;
    int status = clear_from(s, s->file, scan->position, (int64_t)scan->size);
    if (status >= 0 && s->index_file >= 0)
        status = clear_from(s, s->index_file, s->index_count * SEGMENTS_INDEX_ENTRY,
                            disk_size(s->disk, s->index_file));
    return status < 0 ? status : disk_sync(s->disk, s->file);
}

/* Of a segment that is not the last: its size, and when it began. */
static int look_at(struct segments *s, struct segment *segment)
{
    char name[SEGMENTS_NAME];
    struct batch b;
    segments_name(s, segment->base, false, name);
    int file = disk_open_file(s->disk, name, DISK_READ_ONLY);
    if (file < 0)
        return file;
    int64_t size = disk_size(s->disk, file);
    segment->size = size > 0 ? (uint64_t)size : 0;
    uint8_t head[BATCH_HEAD];
    size_t need;
    if (disk_pread(s->disk, file, head, sizeof head, 0) == sizeof head &&
        batch_check(slice_of(head, sizeof head), &b, &need) == BATCH_SHORT) {
        segment->first_ms = b.time_ms;
        learn_salt(s, b.salt);
    }
    disk_close_file(s->disk, file);
    return size < 0 ? (int)size : 0;
}

int segments_recover(struct segments *s)
{
    struct segment *last = last_of(s);
    int status = 0;
    if (!last) {
        segments_new_salt(s);
        return 0;
    }
    for (size_t i = 0; i + 1 < s->count && status >= 0; i++)
        status = look_at(s, &s->items[i]);
    s->next = s->last = last->base;
    s->index_count = 0; /* of a try before */
    if (status >= 0)
        status = open_last(s, 0);
    int64_t size = status < 0 ? status : disk_size(s->disk, s->file);
    struct scan scan = {.disk = s->disk, .file = s->file, .size = size < 0 ? 0 : (uint64_t)size};
    status = size < 0 ? (int)size : scan_last(s, &scan);
    scan_fini(&scan);
    segments_close_written(s);
    if (status >= 0 && !s->salted) { /* of several segments, what is found in them counts */
        segments_new_salt(s);
        s->salted = s->count == 1;
    }
    return status;
}

struct segments_state segments_look(struct segments *s)
{
    pthread_mutex_lock(&s->lock);
    struct segments_state state = {.first = s->count ? s->items[0].base : s->next,
                                   .next = s->next,
                                   .last = s->last,
                                   .last_ms = s->last_ms,
                                   .count = s->count,
                                   .salt = s->salt};
    for (size_t i = 0; i < s->count; i++)
        state.bytes += s->items[i].size;
    pthread_mutex_unlock(&s->lock);
    return state;
}

size_t segments_memory(struct segments *s)
{
    pthread_mutex_lock(&s->lock);
    size_t n = sizeof *s + s->cap * sizeof *s->items + s->index_cap * sizeof *s->index;
    pthread_mutex_unlock(&s->lock);
    return n;
}
