/* The journal of a node: opening, the writer's path, and what other threads may ask meanwhile.
 *
 * One thread writes and syncs. The list of segments, their states and the counters are guarded by
 * lock, which is never held while the disk works. A segment that is released is not given out
 * again before it has another generation, so a place is either readable or known to be gone. */
#include "store/journal_priv.h"

#include "base/bug.h"
#include "base/crc32c.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const uint8_t zero_page[JOURNAL_PAGE];

/* ---- trouble ---- */

enum journal_status journal_fail(struct journal *j, const char *what, const char *where, int error)
{
    pthread_mutex_lock(&j->lock);
    if (!j->failed) {
        char text[128];
        snprintf(j->error, sizeof j->error, "cannot %s %s: %s", what, where,
                 strerror_r(-error, text, sizeof text));
        __atomic_store_n(&j->failed, true, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&j->lock);
    return JOURNAL_FAILED;
}

enum journal_status journal_set_full(struct journal *j, const char *why)
{
    pthread_mutex_lock(&j->lock);
    j->full = why;
    j->at_most = false;
    pthread_mutex_unlock(&j->lock);
    return JOURNAL_FULL;
}

const char *journal_error(const struct journal *j)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&j->lock;
    pthread_mutex_lock(lock);
    const char *text = j->failed ? j->error : j->full ? j->full : "";
    pthread_mutex_unlock(lock);
    return text;
}

/* ---- opening ---- */

static bool on_name(const char *name, void *arg)
{
    struct journal *j = arg;
    unsigned number;
    char again[sizeof((struct segment *)0)->name];
    if (sscanf(name, "segment-%9u", &number) != 1)
        return true;
    snprintf(again, sizeof again, "segment-%04u", number);
    if (strcmp(name, again) != 0)
        return true;
    struct segment *s = NEW(struct segment);
    s->number = number;
    s->file = -1;
    snprintf(s->name, sizeof s->name, JOURNAL_DIRECTORY "/segment-%04u", number);
    segment_add(j, s);
    return true;
}

/* Its generation, if the head is whole. */
static enum err read_head(struct segment *s, const uint8_t *head, struct failure *why)
{
    if (memcmp(head + SEGMENT_MAGIC, JOURNAL_MAGIC, 8) != 0 ||
        get_le32(head + SEGMENT_CRC) !=
            crc32c(0, head + SEGMENT_VERSION, JOURNAL_ALIGNMENT - SEGMENT_VERSION))
        return ERR_NONE;
    uint32_t version = get_le32(head + SEGMENT_VERSION);
    if (version > JOURNAL_VERSION)
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "%s has format %u, written by a newer release; this one knows up to %u",
                           s->name, version, JOURNAL_VERSION);
    s->generation = get_le64(head + SEGMENT_GENERATION);
    return ERR_NONE;
}

static enum err err_of(int status)
{
    return status == -EACCES || status == -EPERM ? ERR_ACCESS_REFUSED : ERR_INTERNAL_ERROR;
}

static enum err open_segment(struct journal *j, struct segment *s, struct failure *why)
{
    char text[128];
    s->file = disk_open_file(j->disk, s->name, j->read_only ? DISK_READ_ONLY : 0);
    int64_t size = s->file < 0 ? s->file : disk_size(j->disk, s->file);
    if (size < 0)
        return failure_set(why, err_of((int)size), "cannot open %s: %s", s->name,
                           strerror_r((int)-size, text, sizeof text));
    s->size = size > JOURNAL_SIZE_MAX ? JOURNAL_SIZE_MAX : (uint32_t)size;
    s->size -= s->size % JOURNAL_ALIGNMENT;
    uint8_t head[JOURNAL_ALIGNMENT] = {0};
    int64_t got = segment_read(j, s, head, sizeof head, 0);
    enum err err = read_head(s, head, why);
    if (err)
        return err;
    if (s->generation == 0) {
        s->headless = true;
        bool readable = segment_guess_generation(j, s) && got >= 0;
        if (s->generation == 0 && !readable)
            s->state = SEGMENT_BAD;
    }
    segment_note_generation(j, s->generation);
    return ERR_NONE;
}

static void note_strange(struct journal *j, const struct segment *s)
{
    MEM_GROW(j->strange, j->strange_cap, j->strange_count + 1);
    struct strange *strange = &j->strange[j->strange_count++];
    memcpy(strange->name, s->name, sizeof strange->name);
    strange->bytes = s->size;
}

/* All that are there; of one that was being made when the process ended nothing is kept. */
static enum err find_segments(struct journal *j, struct failure *why)
{
    char text[128];
    int status = disk_list(j->disk, JOURNAL_DIRECTORY, on_name, j);
    if (status < 0 && !(j->read_only && status == -ENOENT))
        return failure_set(why, err_of(status), "cannot read the directory %s: %s",
                           JOURNAL_DIRECTORY, strerror_r(-status, text, sizeof text));
    for (size_t i = 0; i < j->segment_count; i++) {
        enum err err = open_segment(j, j->segments[i], why);
        if (err)
            return err;
        if (j->segments[i]->strange)
            note_strange(j, j->segments[i]);
    }
    for (size_t i = j->segment_count; i-- > 0 && !j->read_only;) {
        struct segment *s = j->segments[i];
        if (s->generation == 0 && s->state != SEGMENT_BAD)
            segment_remove(j, s);
    }
    /* a process that was killed may not have got to that */
    status = j->read_only ? 0 : disk_sync_directory(j->disk, JOURNAL_DIRECTORY);
    if (status < 0)
        return failure_set(why, ERR_INTERNAL_ERROR, "cannot sync the directory %s: %s",
                           JOURNAL_DIRECTORY, strerror_r(-status, text, sizeof text));
    return ERR_NONE;
}

static enum err make_directory(struct journal *j, struct failure *why)
{
    char text[128];
    int status = disk_make_directory(j->disk, JOURNAL_DIRECTORY);
    if (status >= 0)
        status = disk_sync_directory(j->disk, ".");
    if (status < 0)
        return failure_set(why, err_of(status), "cannot make the directory %s: %s",
                           JOURNAL_DIRECTORY, strerror_r(-status, text, sizeof text));
    return ERR_NONE;
}

/* So that a disk that cannot be written says so now. */
static enum err make_first(struct journal *j, struct failure *why)
{
    struct segment *s;
    enum journal_status status = segment_take(j, &s);
    if (status != JOURNAL_OK)
        return failure_set(why, status == JOURNAL_FULL ? ERR_RESOURCE_ERROR : ERR_INTERNAL_ERROR,
                           "no journal: %s", journal_error(j));
    s->state = SEGMENT_READY;
    return ERR_NONE;
}

enum err journal_open(const struct journal_options *options, struct journal **ret_journal,
                      struct failure *why)
{
    struct journal *j = NEW(struct journal);
    j->disk = options->disk;
    j->segment_size = options->segment_size ? options->segment_size : JOURNAL_SEGMENT;
    j->segments_max = options->segments_max ? options->segments_max : 16;
    if (j->segments_max < JOURNAL_SPARES + 1)
        j->segments_max = JOURNAL_SPARES + 1;
    j->read_only = options->read_only;
    j->seed = options->seed;
    bug_on(j->segment_size % JOURNAL_PAGE || j->segment_size < 2 * JOURNAL_PAGE ||
           j->segment_size > JOURNAL_SIZE_MAX);
    pthread_mutex_init(&j->lock, NULL);
    pthread_mutex_init(&j->make_lock, NULL);
    enum err err = j->read_only ? ERR_NONE : make_directory(j, why);
    if (!err)
        err = find_segments(j, why);
    if (!err && !j->read_only && j->segment_count == 0)
        err = make_first(j, why);
    if (err)
        journal_close(&j);
    else
        *ret_journal = j;
    return err;
}

void journal_close(struct journal **journal)
{
    struct journal *j = *journal;
    if (!j)
        return;
    segment_stop_making(j);
    for (size_t i = 0; i < j->segment_count; i++)
        segment_free(j, &j->segments[i]);
    free(j->segments);
    free(j->strange);
    free(j->staging);
    free(j->iov);
    pthread_mutex_destroy(&j->lock);
    pthread_mutex_destroy(&j->make_lock);
    free(j);
    *journal = NULL;
}

/* ---- writing ---- */

bool journal_at_most(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    bool at_most = j->at_most;
    pthread_mutex_unlock(&j->lock);
    return at_most;
}

size_t journal_frame_max(const struct journal *j)
{
    size_t room = j->segment_size - JOURNAL_PAGE - FRAME_HEAD;
    return room < JOURNAL_UNIT_MAX ? room : JOURNAL_UNIT_MAX;
}

enum journal_status journal_sync(struct journal *j)
{
    if (journal_failed(j))
        return JOURNAL_FAILED;
    if (!j->dirty)
        return JOURNAL_OK;
    int status = disk_sync(j->disk, j->active->file);
    if (status < 0)
        return journal_fail(j, "sync", j->active->name, status);
    j->dirty = false;
    pthread_mutex_lock(&j->lock);
    j->durable = j->lsn;
    j->syncs++;
    pthread_mutex_unlock(&j->lock);
    return JOURNAL_OK;
}

/* Goes on in another segment. What is in the old one is synced first: frames behind a gap are
 * never those of another segment. */
static enum journal_status roll(struct journal *j)
{
    struct segment *next;
    enum journal_status status = segment_take(j, &next);
    if (status != JOURNAL_OK)
        return status;
    status = journal_sync(j);
    if (status != JOURNAL_OK)
        return status;
    pthread_mutex_lock(&j->lock);
    j->active = next;
    pthread_mutex_unlock(&j->lock);
    j->offset = JOURNAL_ALIGNMENT;
    j->clean = JOURNAL_PAGE; /* by its head */
    return JOURNAL_OK;
}

/* Room for what is put side by side; much of it only as long as it is needed. */
static void reserve(struct journal *j, size_t small, int n)
{
    if (small > j->staging_cap || (j->staging_cap > JOURNAL_STAGING && small <= JOURNAL_STAGING &&
                                   ++j->staging_unneeded > 1000)) {
        free(j->staging);
        j->staging_cap =
            small > JOURNAL_STAGING ? JOURNAL_UNIT_MAX + JOURNAL_PAGE : JOURNAL_STAGING;
        j->staging = mem_alloc(j->staging_cap);
    }
    if (small > JOURNAL_STAGING || j->staging_cap == JOURNAL_STAGING)
        j->staging_unneeded = 0;
    MEM_GROW(j->iov, j->iov_cap, (size_t)n + 2);
}

/* The frame in as few pieces as can be: what is small is copied, which costs less than a piece.
 * Returns how many. */
static int gather(struct journal *j, const struct iovec *units, int n)
{
    struct iovec *last = j->iov;
    uint8_t *p = j->staging + FRAME_HEAD;
    *last = (struct iovec){j->staging, FRAME_HEAD};
    for (int i = 0; i < n; i++) {
        if (units[i].iov_len > JOURNAL_SMALL) {
            *++last = units[i];
            continue;
        }
        if (units[i].iov_len == 0)
            continue;
        if ((uint8_t *)last->iov_base + last->iov_len != p)
            *++last = (struct iovec){p, 0};
        memcpy(p, units[i].iov_base, units[i].iov_len);
        p += units[i].iov_len;
        last->iov_len += units[i].iov_len;
    }
    return (int)(last - j->iov) + 1;
}

static void put_head(struct journal *j, uint32_t length, int pieces)
{
    uint8_t *head = j->staging;
    put_le32(head + FRAME_LENGTH, length);
    put_le64(head + FRAME_GENERATION, j->active->generation);
    put_le64(head + FRAME_LSN, j->lsn + 1);
    put_le64(head + FRAME_DURABLE, j->durable);
    uint32_t crc = crc32c(0, head, 4);
    crc = crc32c(crc, head + FRAME_GENERATION, j->iov[0].iov_len - FRAME_GENERATION);
    for (int i = 1; i < pieces; i++)
        crc = crc32c(crc, j->iov[i].iov_base, j->iov[i].iov_len);
    put_le32(head + FRAME_CRC, crc);
}

/* A page that is not in the cache is written whole, or the kernel would have to read it. Returns
 * up to where pages are then. */
static uint32_t pad(struct journal *j, uint32_t end, int *pieces)
{
    if (end <= j->clean)
        return j->clean;
    uint32_t clean = (end + JOURNAL_PAGE - 1) / JOURNAL_PAGE * JOURNAL_PAGE;
    if (clean > end)
        j->iov[(*pieces)++] = (struct iovec){(void *)(uintptr_t)zero_page, clean - end};
    return clean;
}

enum journal_status journal_write(struct journal *j, const struct iovec *units, int n,
                                  uint64_t *ret_lsn, struct journal_place *ret_payload)
{
    size_t total = 0, small = FRAME_HEAD;
    for (int i = 0; i < n; i++) {
        total += units[i].iov_len;
        small += units[i].iov_len <= JOURNAL_SMALL ? units[i].iov_len : 0;
    }
    bug_on(!j->replayed || j->read_only || total == 0 || total > journal_frame_max(j));
    if (journal_failed(j))
        return JOURNAL_FAILED;
    if (!j->active || frame_end(j->offset, (uint32_t)total) > j->active->size) {
        enum journal_status status = roll(j);
        if (status != JOURNAL_OK)
            return status;
    }
    reserve(j, small, n);
    int pieces = gather(j, units, n);
    put_head(j, (uint32_t)total, pieces);
    uint32_t end = j->offset + FRAME_HEAD + (uint32_t)total;
    uint32_t clean = pad(j, end, &pieces);
    int status = disk_pwritev(j->disk, j->active->file, j->iov, pieces, j->offset);
    if (status == -ENOSPC || status == -EDQUOT)
        return journal_set_full(j, "the disk has no room to write a segment anew");
    if (status < 0)
        return journal_fail(j, "write", j->active->name, status);
    j->dirty = true;
    *ret_payload = (struct journal_place){j->active->generation, j->offset + FRAME_HEAD};
    pthread_mutex_lock(&j->lock);
    *ret_lsn = j->active->last_lsn = ++j->lsn;
    j->frames++;
    j->bytes += (clean > j->clean ? clean : end) - j->offset;
    pthread_mutex_unlock(&j->lock);
    j->clean = clean;
    j->offset = frame_end(j->offset, (uint32_t)total);
    return JOURNAL_OK;
}

/* ---- other threads ---- */

void journal_release(struct journal *j, uint64_t lsn)
{
    pthread_mutex_lock(&j->make_lock);
    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < j->segment_count; i++) {
        struct segment *s = j->segments[i];
        if (s->state == SEGMENT_USED && s != j->active && s->last_lsn && s->last_lsn <= lsn)
            s->state = SEGMENT_FREE;
    }
    pthread_mutex_unlock(&j->lock);
    segment_remove_odd(j);
    pthread_mutex_unlock(&j->make_lock);
}

int64_t segment_read(struct journal *j, const struct segment *s, void *data, size_t n,
                     uint64_t offset)
{
    size_t got = 0;
    while (got < n) {
        int64_t done = disk_pread(j->disk, s->file, (uint8_t *)data + got, n - got, offset + got);
        if (done < 0)
            return got ? (int64_t)got : done;
        if (done == 0)
            break;
        got += (size_t)done;
    }
    return (int64_t)got;
}

bool journal_read(struct journal *j, struct journal_place place, void *data, size_t n)
{
    struct segment *found = NULL;
    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < j->segment_count && !found; i++) {
        struct segment *s = j->segments[i];
        /* while a replay is on, what it has read is in segments that are only found */
        bool holds = s->state == SEGMENT_USED || s->state == SEGMENT_FOUND;
        if (holds && s->generation == place.segment)
            found = s;
    }
    pthread_mutex_unlock(&j->lock);
    if (!found || place.offset > found->size || n > found->size - place.offset)
        return false;
    return segment_read(j, found, data, n, place.offset) == (int64_t)n;
}

size_t journal_get_extents(struct journal *j, struct journal_extent **ret_extents)
{
    size_t count = 0;
    pthread_mutex_lock(&j->lock);
    struct journal_extent *extents = mem_alloc((j->segment_count + 1) * sizeof *extents);
    for (size_t i = 0; i < j->segment_count; i++) {
        const struct segment *s = j->segments[i];
        if (s->state != SEGMENT_USED)
            continue;
        memcpy(extents[count].name, s->name, sizeof s->name);
        extents[count++].end = s == j->active ? j->offset : s->size;
    }
    pthread_mutex_unlock(&j->lock);
    *ret_extents = extents;
    return count;
}

void journal_read_stats(struct journal *j, struct journal_stats *ret_stats)
{
    pthread_mutex_lock(&j->lock);
    *ret_stats = (struct journal_stats){.lsn = j->lsn,
                                        .frames = j->frames,
                                        .bytes = j->bytes,
                                        .syncs = j->syncs,
                                        .durable = j->durable,
                                        .segments = (unsigned)j->segment_count};
    for (size_t i = 0; i < j->segment_count; i++)
        ret_stats->segments_free +=
            j->segments[i]->state == SEGMENT_READY || j->segments[i]->state == SEGMENT_FREE;
    pthread_mutex_unlock(&j->lock);
}
