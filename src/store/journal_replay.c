/* Reading the journal after a start: which frames are the log, where it ends, and what is damaged.
 *
 * Nothing that is read is believed before its crc fits: lengths are bounded by the segment, a
 * frame's generation is the segment's. Where no frame is, every 512th byte is tried. See journal.h
 * for what tells damage from the end. One thread, before any other knows the journal. */
#include "store/journal_priv.h"

#include "base/bug.h"
#include "base/crc32c.h"
#include "base/mem.h"

#include <stdlib.h>

enum { WINDOW = 1 << 20 };

/* Goes through segments in order of generation, with a window of bytes. */
struct scan {
    struct journal *j;
    struct segment **segments; /* sorted; owned */
    size_t count;
    size_t index; /* of the segment, and where in it */
    uint32_t pos;
    /* the window: bytes of one segment, zeros where they cannot be read */
    uint8_t *bytes;
    size_t cap;
    const struct segment *of;
    uint32_t from, len;
    uint64_t unreadable; /* bytes that were met */
};

/* ---- bytes ---- */

static void fill(struct scan *scan, uint32_t pos, uint32_t n)
{
    int64_t got = segment_read(scan->j, scan->of, scan->bytes, n, pos);
    if (got == (int64_t)n)
        return;
    /* page by page, to lose no more than must be; what is short is behind the end */
    memset(scan->bytes, 0, n);
    for (uint32_t done = 0; done < n; done += JOURNAL_PAGE) {
        uint32_t part = n - done < JOURNAL_PAGE ? n - done : JOURNAL_PAGE;
        got = segment_read(scan->j, scan->of, scan->bytes + done, part, pos + done);
        if (got < (int64_t)part)
            scan->unreadable += part;
    }
}

/* n bytes at pos of a segment that is long enough. */
static const uint8_t *bytes_at(struct scan *scan, const struct segment *s, uint32_t pos, uint32_t n)
{
    if (scan->of != s || pos < scan->from || pos + n > scan->from + scan->len) {
        uint32_t len = n > WINDOW ? n : WINDOW;
        if (len > s->size - pos)
            len = s->size - pos;
        if (len > scan->cap) {
            free(scan->bytes);
            scan->cap = len > WINDOW ? JOURNAL_UNIT_MAX + WINDOW : WINDOW;
            scan->bytes = mem_alloc(scan->cap);
        }
        scan->of = s;
        scan->from = pos;
        scan->len = len;
        fill(scan, pos, len);
    }
    return scan->bytes + (pos - scan->from);
}

static bool frame_at(struct scan *scan, const struct segment *s, uint32_t pos,
                     struct frame *ret_frame)
{
    if (s->size - pos < FRAME_HEAD)
        return false;
    const uint8_t *p = bytes_at(scan, s, pos, FRAME_HEAD);
    struct frame f = {.generation = get_le64(p + FRAME_GENERATION),
                      .lsn = get_le64(p + FRAME_LSN),
                      .durable = get_le64(p + FRAME_DURABLE),
                      .offset = pos,
                      .length = get_le32(p + FRAME_LENGTH)};
    if (f.length == 0 || f.length > JOURNAL_UNIT_MAX || f.length > s->size - pos - FRAME_HEAD)
        return false;
    if (f.generation == 0 || (s->generation && f.generation != s->generation))
        return false;
    if (f.durable >= f.lsn)
        return false;
    p = bytes_at(scan, s, pos, FRAME_HEAD + f.length);
    uint32_t crc = crc32c(0, p, 4);
    crc = crc32c(crc, p + FRAME_GENERATION, FRAME_HEAD - FRAME_GENERATION + f.length);
    if (crc != get_le32(p + FRAME_CRC))
        return false;
    f.payload = p + FRAME_HEAD;
    *ret_frame = f;
    return true;
}

static void scan_fini(struct scan *scan)
{
    free(scan->segments);
    free(scan->bytes);
}

/* A frame at the front decides: behind the frames of the last generation, in what is left of older
 * ones, there may be anything. */
bool segment_guess_generation(struct journal *j, struct segment *s)
{
    struct scan scan = {.j = j};
    struct frame f;
    uint64_t best = 0;
    bool zeros = true;
    for (uint32_t pos = JOURNAL_ALIGNMENT; pos < s->size;) {
        if (!frame_at(&scan, s, pos, &f)) {
            const uint8_t *p = bytes_at(&scan, s, pos, JOURNAL_ALIGNMENT);
            zeros &= p[0] == 0 && memcmp(p, p + 1, JOURNAL_ALIGNMENT - 1) == 0;
            pos += JOURNAL_ALIGNMENT;
            continue;
        }
        if (f.generation > best)
            best = f.generation;
        if (pos == JOURNAL_ALIGNMENT)
            break;
        pos = frame_end(pos, f.length);
    }
    s->generation = best;
    s->strange = !best && !zeros;
    scan_fini(&scan);
    return scan.unreadable == 0;
}

/* ---- frames ---- */

static int by_generation(const void *a, const void *b)
{
    const struct segment *x = *(struct segment *const *)a, *y = *(struct segment *const *)b;
    return (x->generation > y->generation) - (x->generation < y->generation);
}

/* Starts with the segment that the first frame above applied may be in: one whose successor begins
 * at or below that has none. Where a segment begins, what is in the ones before it ends: they may
 * have frames that could not be read when it was begun. */
static void scan_init(struct scan *scan, struct journal *j, uint64_t applied)
{
    *scan = (struct scan){.j = j, .pos = JOURNAL_ALIGNMENT};
    scan->segments = mem_alloc((j->segment_count + 1) * sizeof *scan->segments);
    for (size_t i = 0; i < j->segment_count; i++)
        if (j->segments[i]->state == SEGMENT_FOUND && j->segments[i]->generation)
            scan->segments[scan->count++] = j->segments[i];
    if (scan->count)
        qsort(scan->segments, scan->count, sizeof *scan->segments, by_generation);
    uint64_t limit = UINT64_MAX;
    for (size_t i = scan->count; i-- > 0;) {
        struct frame f;
        scan->segments[i]->limit = limit;
        if (!frame_at(scan, scan->segments[i], JOURNAL_ALIGNMENT, &f) || f.lsn >= limit)
            continue;
        limit = f.lsn;
        if (scan->index == 0 && limit <= applied + 1)
            scan->index = i;
    }
}

/* The next frame above an lsn, here or later. The scan stands on it then; false: at the end. */
static bool next_frame(struct scan *scan, uint64_t above, struct frame *ret_frame)
{
    for (; scan->index < scan->count; scan->index++, scan->pos = JOURNAL_ALIGNMENT) {
        const struct segment *s = scan->segments[scan->index];
        while (scan->pos < s->size) {
            if (!frame_at(scan, s, scan->pos, ret_frame))
                scan->pos += JOURNAL_ALIGNMENT;
            else if (ret_frame->lsn > above && ret_frame->lsn < s->limit)
                return true;
            else
                scan->pos = frame_end(scan->pos, ret_frame->length);
        }
    }
    return false;
}

/* The highest lsn that frames from here on know to be synced. The scan stays where it is. */
static uint64_t last_durable(struct scan *scan)
{
    size_t index = scan->index;
    uint32_t pos = scan->pos;
    uint64_t durable = 0;
    struct frame f;
    while (next_frame(scan, 0, &f)) {
        if (f.durable > durable)
            durable = f.durable;
        scan->pos = frame_end(scan->pos, f.length);
    }
    scan->index = index;
    scan->pos = pos;
    return durable;
}

/* ---- the log ---- */

struct replay {
    struct scan scan;
    const struct journal_reader *reader;
    uint64_t last; /* lsn of the frame before */
    bool durable_known;
    uint64_t durable; /* what frames behind the first gap say */
    /* where the frame behind the last one should be */
    size_t index;
    uint32_t pos;
};

static void report_in(const struct replay *r, const char *segment, uint64_t offset, uint64_t bytes,
                      uint64_t before)
{
    struct journal_damage damage = {.segment = segment,
                                    .offset = offset,
                                    .bytes = bytes,
                                    .after_lsn = r->last,
                                    .before_lsn = before};
    if (r->reader->damage)
        r->reader->damage(r->reader->arg, &damage);
}

static void report(const struct replay *r, uint64_t offset, uint64_t bytes, size_t index,
                   uint64_t before)
{
    report_in(r, r->scan.segments[index]->name, offset, bytes, before);
}

/* Segments that are none, and are gone unless the journal is only read. */
static void report_strange(const struct replay *r)
{
    struct journal *j = r->scan.j;
    for (size_t i = 0; i < j->strange_count; i++)
        report_in(r, j->strange[i].name, 0, j->strange[i].bytes, 0);
}

/* From where the next frame should be to where the scan is, or to the end of that segment. */
static void report_gap(const struct replay *r, uint64_t before)
{
    const struct segment *s = r->scan.segments[r->index];
    uint32_t end = r->scan.index == r->index ? r->scan.pos : s->size;
    report(r, r->pos, end - r->pos, r->index, before);
}

/* The next frame; where some are missing, it is known then what those behind say. */
static bool find_frame(struct replay *r, struct frame *ret_frame)
{
    if (!next_frame(&r->scan, r->last, ret_frame))
        return false;
    if (ret_frame->lsn == r->last + 1 || r->durable_known)
        return true;
    r->durable = last_durable(&r->scan);
    r->durable_known = true;
    return next_frame(&r->scan, r->last, ret_frame); /* the window has moved */
}

/* Whether the log goes on with this frame. */
static bool accept_frame(const struct replay *r, const struct frame *f)
{
    if (f->lsn == r->last + 1)
        return true;
    if (r->durable <= r->last)
        return false;
    bool goes_on = f->lsn <= r->durable + 1;
    report_gap(r, goes_on ? f->lsn : 0);
    return goes_on;
}

static void deliver(struct replay *r, const struct frame *f)
{
    struct scan *scan = &r->scan;
    struct segment *s = scan->segments[scan->index];
    if (s->headless && s->last_lsn == 0) {
        r->last = f->lsn - 1;
        report(r, 0, JOURNAL_ALIGNMENT, scan->index, f->lsn);
    }
    r->reader->frame(r->reader->arg, f->lsn,
                     (struct journal_place){s->generation, f->offset + FRAME_HEAD},
                     slice_of(f->payload, f->length));
    r->last = s->last_lsn = f->lsn;
    scan->pos = frame_end(f->offset, f->length);
    r->index = scan->index;
    r->pos = scan->pos;
}

/* What the disk cannot read behind the last frame may have been more of them. */
static void report_unreadable(struct replay *r)
{
    struct frame f;
    if (r->scan.unreadable == 0)
        return;
    r->scan.unreadable = 0;
    r->scan.of = NULL;
    r->scan.index = r->index;
    r->scan.pos = r->pos;
    if (!next_frame(&r->scan, r->last, &f) && r->scan.unreadable)
        report(r, r->pos, r->scan.unreadable, r->index, 0);
}

/* Frames behind the end are of no use, but could be taken for part of the log once it has grown to
 * their lsns. */
static int wipe(struct replay *r)
{
    static const uint8_t zeros[JOURNAL_ALIGNMENT];
    struct scan *scan = &r->scan;
    const struct segment *dirty = NULL;
    struct frame f;
    int status = 0;
    while (status >= 0 && next_frame(scan, r->last, &f)) {
        const struct segment *s = scan->segments[scan->index];
        struct iovec iov = {(void *)(uintptr_t)zeros, sizeof zeros};
        if (dirty && dirty != s)
            status = disk_sync(scan->j->disk, dirty->file);
        dirty = s;
        if (status >= 0)
            status = disk_pwritev(scan->j->disk, s->file, &iov, 1, f.offset);
        scan->pos = frame_end(f.offset, f.length);
    }
    if (status >= 0 && dirty)
        status = disk_sync(scan->j->disk, dirty->file);
    return status;
}

/* A process that was killed may have left frames in the page cache alone: they count as durable
 * from now on, so they have to be. */
static int settle_states(struct journal *j, uint64_t last)
{
    int status = 0;
    for (size_t i = 0; i < j->segment_count; i++) {
        struct segment *s = j->segments[i];
        if (s->state != SEGMENT_FOUND)
            continue;
        s->state = s->last_lsn ? SEGMENT_USED : SEGMENT_FREE;
        if (s->last_lsn && status >= 0 && !j->read_only)
            status = disk_sync(j->disk, s->file);
    }
    j->lsn = j->durable = last;
    j->replayed = true;
    if (status >= 0 && !j->read_only)
        segment_remove_odd(j);
    return status;
}

enum err journal_replay(struct journal *j, uint64_t applied, const struct journal_reader *reader,
                        struct failure *why)
{
    struct replay r = {.reader = reader, .last = applied};
    struct frame f;
    int status = 0;
    bug_on(j->replayed);
    scan_init(&r.scan, j, applied);
    r.index = r.scan.index;
    r.pos = r.scan.pos;
    bool found;
    while ((found = find_frame(&r, &f)) && accept_frame(&r, &f))
        deliver(&r, &f);
    if (!found)
        report_unreadable(&r);
    report_strange(&r);
    if (found && !j->read_only) {
        r.scan.index = r.index;
        r.scan.pos = r.pos;
        status = wipe(&r);
    }
    scan_fini(&r.scan);
    if (status >= 0)
        status = settle_states(j, r.last);
    if (status < 0) {
        char text[128];
        return failure_set(why, ERR_INTERNAL_ERROR, "cannot sync what is left of the journal: %s",
                           strerror_r(-status, text, sizeof text));
    }
    return ERR_NONE;
}
