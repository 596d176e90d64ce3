/* Reading segments: from an offset on, and by time. */
#include "partition/segments_priv.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>

/* ---- a way through a file ---- */

void scan_fini(struct scan *scan)
{
    buf_fini(&scan->bytes);
}

/* A read may give less than there is: then it is asked again. */
static void read_more(struct scan *scan, size_t n, uint64_t from)
{
    int64_t got = 1;
    while (n && got > 0) {
        got = disk_pread(scan->disk, scan->file, buf_reserve(&scan->bytes, n), n, from);
        if (got <= 0)
            break;
        scan->bytes.len += (size_t)got;
        from += (uint64_t)got;
        n -= (size_t)got;
    }
    if (got < 0)
        scan->error = (int)got;
}

/* At least n bytes from the position on, if the file has them. */
static struct slice fetch(struct scan *scan, size_t n)
{
    uint64_t skip = scan->position - scan->at;
    if (scan->position < scan->at || skip > scan->bytes.len) {
        buf_clear(&scan->bytes);
        scan->at = scan->position;
        skip = 0;
    }
    if (scan->bytes.len - skip < n && scan->position + (scan->bytes.len - skip) < scan->size) {
        buf_shift(&scan->bytes, skip);
        scan->at = scan->position;
        skip = 0;
        uint64_t from = scan->at + scan->bytes.len, left = scan->size - from;
        size_t want = n - scan->bytes.len > SEGMENTS_READ ? n - scan->bytes.len : SEGMENTS_READ;
        want = want < left ? want : (size_t)left;
        read_more(scan, want, from);
    }
    return slice_of(scan->bytes.data + skip, scan->bytes.len - skip);
}

/* What is too short for a head: zeros are what a start put over a torn end. */
static enum batch_status judge_rest(struct scan *scan)
{
    static const uint8_t zeros[BATCH_HEAD];
    size_t left = scan->position < scan->size ? (size_t)(scan->size - scan->position) : 0;
    struct slice bytes = fetch(scan, left);
    bool ends = left && bytes.len >= left && memcmp(bytes.data, zeros, left) == 0;
    return ends ? BATCH_END : BATCH_SHORT;
}

enum batch_status scan_batch(struct scan *scan, struct batch *ret_batch)
{
    size_t need = BATCH_HEAD;
    enum batch_status status = BATCH_SHORT;
    while (status == BATCH_SHORT) {
        if (need > scan->size || scan->position > scan->size - need)
            return need == BATCH_HEAD ? judge_rest(scan) : BATCH_SHORT;
        struct slice bytes = fetch(scan, need);
        if (bytes.len < need)
            return BATCH_SHORT;
        status = batch_check(bytes, ret_batch, &need);
    }
    return status;
}

struct slice scan_bytes(const struct scan *scan, const struct batch *batch)
{
    return slice_of(scan->bytes.data + (scan->position - scan->at),
                    BATCH_HEAD + (size_t)batch->length);
}

/* A message may hold what looks like a batch: it does not know the salt. */
static bool may_begin(struct scan *scan)
{
    struct slice bytes = fetch(scan, BATCH_HEAD);
    struct batch b;
    size_t need;
    if (bytes.len > BATCH_HEAD)
        bytes.len = BATCH_HEAD;
    return batch_check(bytes, &b, &need) == BATCH_SHORT && need > BATCH_HEAD &&
           (!scan->salted || b.salt == scan->salt);
}

bool scan_search(struct scan *scan, struct batch *ret_batch)
{
    while (scan->position + BATCH_HEAD < scan->size) {
        struct slice bytes = fetch(scan, BATCH_HEAD + 1);
        size_t step = batch_search(bytes);
        if (bytes.len <= BATCH_HEAD)
            return false;
        if (step == bytes.len)
            step -= BATCH_HEAD; /* it may begin in the last bytes */
        scan->position += step;
        if (may_begin(scan) && scan_batch(scan, ret_batch) == BATCH_WHOLE)
            return true;
    }
    return false;
}

/* ---- which segment ---- */

struct place {
    uint64_t base, size, next_base; /* next_base 0: the last one */
};

/* The segment with the offset, or the first one behind. */
static bool find_segment(struct segments *s, uint64_t offset, struct place *ret)
{
    pthread_mutex_lock(&s->lock);
    size_t low = 0, high = s->count;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (s->items[mid].base <= offset)
            low = mid;
        else
            high = mid;
    }
    bool found = s->count > 0;
    if (found)
        *ret = (struct place){.base = s->items[low].base,
                              .size = s->items[low].size,
                              .next_base = low + 1 < s->count ? s->items[low + 1].base : 0};
    pthread_mutex_unlock(&s->lock);
    return found;
}

static int open_read(struct segments *s, uint64_t base)
{
    char name[SEGMENTS_NAME];
    if (s->read_file >= 0 && s->read_base == base)
        return 0;
    if (s->read_file >= 0)
        disk_close_file(s->disk, s->read_file);
    segments_name(s, base, false, name);
    s->read_file = disk_open_file(s->disk, name, DISK_READ_ONLY);
    s->read_base = base;
    return s->read_file < 0 ? s->read_file : 0;
}

/* ---- the index ---- */

/* Whether an entry is at or before what is looked for. */
static bool is_before(const struct index_entry *e, uint64_t number, bool by_time)
{
    return by_time ? e->time_ms < number : e->offset <= number;
}

static bool look_in_memory(struct segments *s, const struct place *place, uint64_t number,
                           bool by_time, uint64_t *ret_position)
{
    pthread_mutex_lock(&s->lock);
    bool last = s->count && s->items[s->count - 1].base == place->base;
    size_t low = 0, high = last ? s->index_count : 0;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (is_before(&s->index[mid], number, by_time))
            low = mid + 1;
        else
            high = mid;
    }
    *ret_position = low ? s->index[low - 1].position : 0;
    pthread_mutex_unlock(&s->lock);
    return last;
}

static uint64_t look_in_file(struct segments *s, const struct place *place, int file,
                             uint64_t number, bool by_time)
{
    uint8_t bytes[SEGMENTS_INDEX_ENTRY];
    struct index_entry e;
    uint64_t position = 0;
    int64_t size = disk_size(s->disk, file);
    uint64_t low = 0, high = size > 0 ? (uint64_t)size / sizeof bytes : 0;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        bool good =
            disk_pread(s->disk, file, bytes, sizeof bytes, mid * sizeof bytes) == sizeof bytes &&
            segments_index_entry(bytes, &e) && e.position < place->size;
        if (good && is_before(&e, number, by_time)) {
            position = e.position;
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return position;
}

/* A batch at or before what is looked for, as far as the index knows. */
static uint64_t look_up(struct segments *s, const struct place *place, uint64_t number,
                        bool by_time)
{
    char name[SEGMENTS_NAME];
    uint64_t position;
    if (look_in_memory(s, place, number, by_time, &position))
        return position;
    segments_name(s, place->base, true, name);
    int file = disk_open_file(s->disk, name, DISK_READ_ONLY);
    if (file < 0)
        return 0;
    position = look_in_file(s, place, file, number, by_time);
    disk_close_file(s->disk, file);
    return position;
}

/* ---- going on ---- */

/* Once for each place: whoever reads from there tells it again and again. */
static void tell_damage(struct segments *s, const struct place *place, uint64_t from, uint64_t to)
{
    if (s->told && s->told_base == place->base && s->told_at == from)
        return;
    s->told = true;
    s->told_base = place->base;
    s->told_at = from;
    log_error(STORE, NULL,
              "damage in partition %" PRIu64 ": segment %" PRIu64 ", %" PRIu64 " bytes at %" PRIu64
              " cannot be read",
              s->id, place->base, to - from, from);
}

/* The scan is at something that is no batch: the end of the segment, or damage. False: the end, or
 * it cannot be read now. Zeros to the end are what a start put over a torn one. */
static bool pass(struct segments *s, const struct place *place, struct scan *scan, uint64_t limit)
{
    uint64_t from = scan->position;
    struct batch b;
    enum batch_status status = scan_batch(scan, &b);
    if (status == BATCH_WHOLE)
        return true;
    if (scan->error || scan->position >= scan->size)
        return false;
    scan->salt = s->salt;
    scan->salted = s->salted;
    bool found = scan_search(scan, &b);
    if (scan->error || (status == BATCH_END && !found))
        return false;
    if (!place->next_base && (!found || b.base >= limit))
        return false; /* nobody was told of what is behind */
    tell_damage(s, place, from, found ? scan->position : scan->size);
    return found;
}

/* Collects from one segment; true: there may be more in the next. */
static bool collect(struct segments *s, const struct place *place, struct scan *scan,
                    uint64_t offset, uint64_t limit, size_t max_bytes, struct buf *out)
{
    struct batch b;
    while (pass(s, place, scan, limit)) {
        if (scan_batch(scan, &b) != BATCH_WHOLE || b.base + b.count > limit)
            return false;
        struct slice bytes = scan_bytes(scan, &b);
        if (b.base + b.count > offset) {
            if (out->len && out->len + bytes.len > max_bytes)
                return false;
            buf_append_slice(out, bytes);
        }
        scan->position += bytes.len;
    }
    return place->next_base && !out->len;
}

int segments_read(struct segments *s, uint64_t offset, uint64_t limit, size_t max_bytes,
                  struct segments_cursor *cursor, struct buf *out)
{
    struct place place;
    bool more = true;
    while (more && offset < limit && find_segment(s, offset, &place)) {
        int status = open_read(s, place.base);
        if (status == -ENOENT) { /* it was dropped just now */
            offset = place.next_base;
            more = offset != 0;
            continue;
        }
        if (status < 0)
            return status;
        struct scan scan = {.disk = s->disk, .file = s->read_file, .size = place.size};
        scan.position = cursor->base == place.base && cursor->position <= place.size
                            ? cursor->position
                            : look_up(s, &place, offset, false);
        more = collect(s, &place, &scan, offset, limit, max_bytes, out);
        *cursor = (struct segments_cursor){place.base, scan.position};
        int error = scan.error;
        scan_fini(&scan);
        if (error < 0)
            return error;
        offset = place.next_base;
    }
    return 0;
}

/* The last segment that begins before that time, or the first. */
static bool find_time(struct segments *s, uint64_t time_ms, struct place *ret)
{
    uint64_t base = 0;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->count && (!i || s->items[i].first_ms < time_ms); i++)
        base = s->items[i].base;
    pthread_mutex_unlock(&s->lock);
    return find_segment(s, base, ret);
}

int segments_locate(struct segments *s, uint64_t time_ms, uint64_t limit, uint64_t *ret_offset)
{
    struct place place;
    struct batch b;
    *ret_offset = limit;
    bool more = find_time(s, time_ms, &place);
    while (more) {
        int status = open_read(s, place.base);
        if (status < 0 && status != -ENOENT)
            return status;
        if (status == -ENOENT) { /* it was dropped just now */
            more = place.next_base && find_segment(s, place.next_base, &place);
            continue;
        }
        struct scan scan = {.disk = s->disk, .file = s->read_file, .size = place.size};
        scan.position = look_up(s, &place, time_ms, true);
        bool found = false;
        while (!found && pass(s, &place, &scan, limit) && scan_batch(&scan, &b) == BATCH_WHOLE) {
            found = b.time_ms >= time_ms;
            scan.position += found ? 0 : BATCH_HEAD + b.length;
        }
        int error = scan.error;
        scan_fini(&scan);
        if (error < 0)
            return error;
        if (found) {
            *ret_offset = b.base < limit ? b.base : limit;
            return 0;
        }
        more =
            place.next_base && place.next_base < limit && find_segment(s, place.next_base, &place);
    }
    return 0;
}
