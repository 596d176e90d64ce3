#include "segments_rig.h"

#include "base/mem.h"
#include "unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void rig_open(struct segments_rig *r, uint64_t seed)
{
    *r = (struct segments_rig){.disk = disk_memory_new(seed), .max_bytes = 4000};
    cr_assert_eq(disk_make_directory(r->disk, "partitions"), 0);
    cr_assert_eq(disk_sync_directory(r->disk, "."), 0);
    r->segments = segments_new(r->disk, RIG_ID);
    segments_new_salt(r->segments);
}

void rig_close(struct segments_rig *r)
{
    segments_free(&r->segments);
    disk_close(&r->disk);
}

struct names {
    uint64_t bases[1000];
    size_t count;
};

static bool note(const char *name, void *arg)
{
    struct names *names = arg;
    uint64_t id, base;
    bool index;
    cr_assert(segments_parse_name(name, &id, &base, &index), "%s", name);
    cr_assert_eq(id, RIG_ID);
    if (!index)
        names->bases[names->count++] = base;
    cr_assert_lt(names->count, 1000);
    return true;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

int rig_recover(struct segments_rig *r)
{
    struct names *names = NEW(struct names);
    segments_free(&r->segments);
    r->segments = segments_new(r->disk, RIG_ID);
    int status = disk_sync_directory(r->disk, "partitions");
    if (status < 0) {
        free(names);
        return status;
    }
    cr_assert_eq(disk_list(r->disk, "partitions", note, names), 0);
    qsort(names->bases, names->count, sizeof *names->bases, compare);
    for (size_t i = 0; i < names->count; i++)
        segments_found(r->segments, names->bases[i]);
    free(names);
    status = segments_recover(r->segments);
    if (status >= 0)
        r->synced = segments_look(r->segments).next;
    return status;
}

static void begin(struct buf *b)
{
    memset(buf_reserve(b, BATCH_HEAD), 0, BATCH_HEAD);
    b->len = BATCH_HEAD;
}

static void put_length(struct buf *b, size_t len)
{
    uint8_t head[] = {(uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16), 0};
    buf_append(b, head, sizeof head);
}

int rig_write_entry(struct segments_rig *r, struct slice entry, uint64_t time_ms)
{
    struct segments_state state = segments_look(r->segments);
    struct buf b = BUF_INIT;
    begin(&b);
    put_length(&b, entry.len);
    buf_append_slice(&b, entry);
    struct batch batch = {.base = state.next,
                          .time_ms = time_ms,
                          .synced = r->synced,
                          .count = 1,
                          .length = (uint32_t)(b.len - BATCH_HEAD),
                          .salt = state.salt};
    batch_finish(buf_slice(&b), &batch);
    int status = segments_write(r->segments, buf_slice(&b), &batch, r->max_bytes);
    buf_fini(&b);
    return status;
}

int rig_write(struct segments_rig *r, uint32_t count, uint32_t tag, size_t size, uint64_t time_ms)
{
    struct buf b = BUF_INIT;
    uint64_t base = segments_look(r->segments).next;
    begin(&b);
    for (uint32_t i = 0; i < count; i++) {
        char text[64];
        size_t n = (size_t)snprintf(text, sizeof text, "%" PRIu64 " %u ", base + i, tag);
        size_t len = n < size ? size : n;
        put_length(&b, len);
        buf_append(&b, text, n);
        for (; n < len; n++)
            buf_append_byte(&b, (uint8_t)('a' + n % 26));
    }
    struct batch batch = {.base = base,
                          .time_ms = time_ms,
                          .synced = r->synced,
                          .count = count,
                          .length = (uint32_t)(b.len - BATCH_HEAD),
                          .salt = segments_look(r->segments).salt,
                          .unfiltered = true};
    batch_finish(buf_slice(&b), &batch);
    int status = segments_write(r->segments, buf_slice(&b), &batch, r->max_bytes);
    buf_fini(&b);
    return status;
}

int rig_sync(struct segments_rig *r)
{
    int status = segments_sync(r->segments);
    if (status >= 0)
        r->synced = segments_look(r->segments).next;
    return status;
}

bool rig_parse(struct slice entry, uint64_t *ret_offset, uint32_t *ret_tag)
{
    char text[64];
    size_t n = entry.len < sizeof text - 1 ? entry.len : sizeof text - 1;
    memcpy(text, entry.data, n);
    text[n] = '\0';
    return sscanf(text, "%" SCNu64 " %u ", ret_offset, ret_tag) == 2;
}

int rig_each(struct segments_rig *r, uint64_t offset, uint64_t limit, size_t max_bytes,
             void (*fn)(uint64_t offset, struct slice entry, void *arg), void *arg)
{
    struct segments_cursor cursor = {UINT64_MAX, 0};
    struct buf b = BUF_INIT;
    int status;
    while ((status = segments_read(r->segments, offset, limit, max_bytes, &cursor, &b)) >= 0 &&
           b.len) {
        struct slice left = buf_slice(&b), entries, entry;
        struct batch batch;
        size_t size;
        while (left.len) {
            cr_assert_eq(batch_check(left, &batch, &size), BATCH_WHOLE);
            entries = batch_entries(left, &batch);
            for (uint64_t o = batch.base; batch_next(&entries, &entry); o++) {
                if (o >= offset)
                    fn(o, entry, arg);
            }
            offset = batch.base + batch.count;
            left = slice_of(left.data + size, left.len - size);
        }
        buf_clear(&b);
    }
    buf_fini(&b);
    return status;
}

struct count {
    uint64_t n, last;
};

static void count_one(uint64_t offset, struct slice entry, void *arg)
{
    struct count *c = arg;
    uint64_t says;
    uint32_t tag;
    cr_assert(rig_parse(entry, &says, &tag));
    cr_assert_eq(says, offset);
    cr_assert(!c->n || offset > c->last);
    c->n++;
    c->last = offset;
}

uint64_t rig_count(struct segments_rig *r, uint64_t offset, uint64_t limit)
{
    struct count c = {0, 0};
    cr_assert_eq(rig_each(r, offset, limit, 1000, count_one, &c), 0);
    return c.n;
}
