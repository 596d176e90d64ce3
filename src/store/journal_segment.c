/* Where segments come from: made of zeros piece by piece, or given a new generation once their
 * frames were released. Runs on the thread that prepares, or on the writer's when it needs one at
 * once: make_lock is held throughout, lock only where the list or a state changes.
 *
 * A new segment is in the list, and has a head, only when all of it and its name are synced; a head
 * is synced before the writer gets the segment. Generations grow in the order of use. */
#include "store/journal_priv.h"

#include "base/bug.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const uint8_t zeros[32768];

uint64_t segment_new_generation(struct journal *j)
{
    uint64_t noise = j->seed ? (j->seed + j->counter) * 0x9e3779b97f4a7c15u >> 32 : random_u64();
    return (uint64_t)++j->counter << 32 | (uint32_t)noise;
}

void segment_note_generation(struct journal *j, uint64_t generation)
{
    uint32_t counter = (uint32_t)(generation >> 32);
    if (counter > j->counter)
        j->counter = counter;
}

void segment_add(struct journal *j, struct segment *s)
{
    MEM_GROW(j->segments, j->segment_cap, j->segment_count + 1);
    j->segments[j->segment_count++] = s;
}

void segment_free(struct journal *j, struct segment **segment)
{
    struct segment *s = *segment;
    if (s->file >= 0)
        disk_close_file(j->disk, s->file);
    free(s);
    *segment = NULL;
}

/* That the file is still there after a crash would do no harm: nothing in it is needed. */
void segment_remove(struct journal *j, struct segment *s)
{
    pthread_mutex_lock(&j->lock);
    size_t i = 0;
    while (j->segments[i] != s)
        i++;
    j->segments[i] = j->segments[--j->segment_count];
    pthread_mutex_unlock(&j->lock);
    disk_unlink(j->disk, s->name);
    segment_free(j, &s);
}

void segment_remove_odd(struct journal *j)
{
    for (;;) {
        struct segment *odd = NULL;
        pthread_mutex_lock(&j->lock);
        for (size_t i = 0; i < j->segment_count && !odd; i++)
            if (j->segments[i]->state == SEGMENT_FREE && j->segments[i]->size != j->segment_size)
                odd = j->segments[i];
        pthread_mutex_unlock(&j->lock);
        if (!odd)
            return;
        segment_remove(j, odd);
    }
}

static bool out_of_room(int error)
{
    return error == -ENOSPC || error == -EDQUOT;
}

static int write_head(struct journal *j, struct segment *s, uint64_t generation)
{
    uint8_t page[JOURNAL_PAGE] = {0};
    segment_put_head(page, generation);
    struct iovec iov = {page, sizeof page};
    int status = disk_pwritev(j->disk, s->file, &iov, 1, 0);
    return status < 0 ? status : disk_sync(j->disk, s->file);
}

void segment_put_head(uint8_t *head, uint64_t generation)
{
    memcpy(head + SEGMENT_MAGIC, JOURNAL_MAGIC, 8);
    put_le32(head + SEGMENT_VERSION, JOURNAL_VERSION);
    put_le64(head + SEGMENT_GENERATION, generation);
    put_le32(head + SEGMENT_CRC,
             crc32c(0, head + SEGMENT_VERSION, JOURNAL_ALIGNMENT - SEGMENT_VERSION));
}

/* ---- recycling ---- */

static enum journal_status renew(struct journal *j, struct segment *s)
{
    uint64_t generation = segment_new_generation(j);
    int status = write_head(j, s, generation);
    if (out_of_room(status))
        return journal_set_full(j, "the disk has no room to write a segment anew");
    if (status < 0)
        return journal_fail(j, "give a new generation to", s->name, status);
    pthread_mutex_lock(&j->lock);
    s->generation = generation;
    s->last_lsn = 0;
    s->headless = false;
    s->state = SEGMENT_READY;
    j->syncs++;
    pthread_mutex_unlock(&j->lock);
    return JOURNAL_OK;
}

/* ---- making ---- */

void segment_stop_making(struct journal *j)
{
    if (j->making) {
        disk_unlink(j->disk, j->making->name);
        segment_free(j, &j->making);
    }
}

static unsigned free_number(const struct journal *j)
{
    for (unsigned number = 0;; number++) {
        size_t i = 0;
        while (i < j->segment_count && j->segments[i]->number != number)
            i++;
        if (i == j->segment_count)
            return number;
    }
}

static enum journal_status begin_making(struct journal *j)
{
    unsigned usable = 0;
    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < j->segment_count; i++)
        usable += j->segments[i]->state != SEGMENT_BAD;
    pthread_mutex_unlock(&j->lock);
    if (usable >= j->segments_max) {
        enum journal_status status = journal_set_full(j, "as many segments as may be are in use");
        pthread_mutex_lock(&j->lock);
        j->at_most = true;
        pthread_mutex_unlock(&j->lock);
        return status;
    }
    int64_t room = disk_room(j->disk);
    if (room >= 0 && (uint64_t)room < j->segment_size)
        return journal_set_full(j, "the disk has no room for another segment");
    struct segment *s = NEW(struct segment);
    s->number = free_number(j);
    s->size = j->segment_size;
    snprintf(s->name, sizeof s->name, JOURNAL_DIRECTORY "/segment-%04u", s->number);
    s->file = disk_open_file(j->disk, s->name, DISK_CREATE);
    if (s->file < 0) {
        int status = s->file;
        enum journal_status ret =
            out_of_room(status) ? journal_set_full(j, "the disk has no room for another segment")
                                : journal_fail(j, "make", s->name, status);
        free(s);
        return ret;
    }
    j->making = s;
    j->made = 0;
    return JOURNAL_OK;
}

/* By small writes: the kernel keeps what one large write brought in large folios, and each sync of
 * a frame then looks through a whole one (a tenth of the syncs a second, measured on Linux 6.18).
 */
static int write_zeros(struct journal *j, uint32_t n)
{
    int status = 0;
    for (uint32_t done = 0; done < n && status >= 0; done += (uint32_t)sizeof zeros) {
        uint32_t left = n - done;
        struct iovec iov = {(void *)(uintptr_t)zeros, left < sizeof zeros ? left : sizeof zeros};
        status = disk_pwritev(j->disk, j->making->file, &iov, 1, j->made + done);
    }
    return status < 0 ? status : disk_sync(j->disk, j->making->file);
}

static int finish_making(struct journal *j)
{
    struct segment *s = j->making;
    uint64_t generation = segment_new_generation(j);
    int status = write_head(j, s, generation);
    if (status >= 0)
        status = disk_sync_directory(j->disk, JOURNAL_DIRECTORY);
    if (status < 0)
        return status;
    pthread_mutex_lock(&j->lock);
    s->generation = generation;
    s->state = SEGMENT_READY;
    segment_add(j, s);
    pthread_mutex_unlock(&j->lock);
    j->making = NULL;
    return 0;
}

/* The next piece. Nothing is left of one that cannot be finished. */
static enum journal_status make_piece(struct journal *j)
{
    if (!j->making) {
        enum journal_status status = begin_making(j);
        if (status != JOURNAL_OK)
            return status;
    }
    uint32_t n = j->segment_size - j->made;
    if (n > JOURNAL_PIECE)
        n = JOURNAL_PIECE;
    int status = write_zeros(j, n);
    if (status >= 0) {
        j->made += n;
        if (j->made == j->segment_size)
            status = finish_making(j);
    }
    if (status >= 0)
        return JOURNAL_OK;
    enum journal_status ret = out_of_room(status)
                                  ? journal_set_full(j, "the disk has no room for another segment")
                                  : journal_fail(j, "make", j->making->name, status);
    segment_stop_making(j);
    return ret;
}

/* ---- who needs them ---- */

/* The one of this state that has the lowest generation. */
static struct segment *find_segment(const struct journal *j, enum segment_state state)
{
    struct segment *found = NULL;
    for (size_t i = 0; i < j->segment_count; i++) {
        struct segment *s = j->segments[i];
        if (s->state == state && (!found || s->generation < found->generation))
            found = s;
    }
    return found;
}

static bool take_ready(struct journal *j, struct segment **ret_segment)
{
    pthread_mutex_lock(&j->lock);
    struct segment *s = find_segment(j, SEGMENT_READY);
    if (s)
        s->state = SEGMENT_USED;
    pthread_mutex_unlock(&j->lock);
    if (s)
        *ret_segment = s;
    return s != NULL;
}

enum journal_status segment_take(struct journal *j, struct segment **ret_segment)
{
    enum journal_status status = JOURNAL_OK;
    if (take_ready(j, ret_segment))
        return status;
    pthread_mutex_lock(&j->make_lock);
    while (status == JOURNAL_OK && !take_ready(j, ret_segment)) {
        pthread_mutex_lock(&j->lock);
        struct segment *s = find_segment(j, SEGMENT_FREE);
        pthread_mutex_unlock(&j->lock);
        status = s ? renew(j, s) : make_piece(j);
    }
    pthread_mutex_unlock(&j->make_lock);
    return status;
}

static void count_free(const struct journal *j, unsigned *ret_ready, unsigned *ret_free)
{
    *ret_ready = *ret_free = 0;
    for (size_t i = 0; i < j->segment_count; i++) {
        *ret_ready += j->segments[i]->state == SEGMENT_READY;
        *ret_free += j->segments[i]->state == SEGMENT_FREE;
    }
}

enum journal_status journal_prepare(struct journal *j)
{
    enum journal_status status = JOURNAL_OK;
    bug_on(j->read_only || !j->replayed);
    pthread_mutex_lock(&j->make_lock);
    pthread_mutex_lock(&j->lock);
    unsigned ready, unused;
    count_free(j, &ready, &unused);
    struct segment *s = find_segment(j, SEGMENT_FREE);
    pthread_mutex_unlock(&j->lock);
    if (journal_failed(j))
        status = JOURNAL_FAILED;
    else if (ready < JOURNAL_SPARES)
        status = s ? renew(j, s) : make_piece(j);
    else if (s && ready + unused > JOURNAL_KEEP)
        segment_remove(j, s);
    pthread_mutex_unlock(&j->make_lock);
    return status;
}

bool journal_prepared(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    unsigned ready, unused;
    count_free(j, &ready, &unused);
    pthread_mutex_unlock(&j->lock);
    return ready >= JOURNAL_SPARES && ready + unused <= JOURNAL_KEEP;
}
