/* The journal's threads under TSan: one writes and syncs, one reads what was written and releases
 * it, one prepares segments and looks at the counters. Segments are small, so that they go round
 * all the time. Ends with "N passed, N failed". */
#include "disk_memory.h"
#include "store/journal.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum { FRAMES = 20000, SIZE = 1000, RING = 64 };

struct race {
    struct journal *journal;
    pthread_mutex_t lock;
    struct {
        uint64_t lsn;
        struct journal_place place;
    } ring[RING];
    uint64_t written, read;
    bool end;
    unsigned passed;
};

/* The other threads would wait for the one that gave up: a wrong answer ends the program. */
static void expect(struct race *race, bool right, const char *what)
{
    if (!right) {
        printf("not so: %s\n0 passed, 1 failed\n", what);
        exit(1);
    }
    pthread_mutex_lock(&race->lock);
    race->passed++;
    pthread_mutex_unlock(&race->lock);
}

static void no_frame(void *arg, uint64_t lsn, struct journal_place place, struct slice bytes)
{
    (void)lsn;
    (void)place;
    (void)bytes;
    ++*(unsigned *)arg;
}

static void *read_and_release(void *arg)
{
    struct race *race = arg;
    uint8_t back[SIZE];
    bool right = true;
    for (uint64_t n = 0; n < FRAMES && right;) {
        pthread_mutex_lock(&race->lock);
        bool idle = race->read == race->written;
        uint64_t lsn = race->ring[n % RING].lsn;
        struct journal_place place = race->ring[n % RING].place;
        pthread_mutex_unlock(&race->lock);
        if (idle) {
            sched_yield();
            continue;
        }
        right = journal_read(race->journal, place, back, SIZE);
        for (int i = 0; i < SIZE && right; i++)
            right = back[i] == (uint8_t)(lsn + (unsigned)i);
        if (lsn % 5 == 0)
            journal_release(race->journal, lsn);
        n++;
        pthread_mutex_lock(&race->lock);
        race->read = n;
        pthread_mutex_unlock(&race->lock);
    }
    expect(race, right, "a frame is read as it was written");
    return NULL;
}

static void *prepare(void *arg)
{
    struct race *race = arg;
    bool end = false, right = true;
    while (!end && right) {
        struct journal_stats stats;
        if (!journal_prepared(race->journal))
            right = journal_prepare(race->journal) != JOURNAL_FAILED;
        journal_read_stats(race->journal, &stats);
        right = right && stats.durable <= stats.lsn && stats.segments_free <= stats.segments;
        sched_yield();
        pthread_mutex_lock(&race->lock);
        end = race->end;
        pthread_mutex_unlock(&race->lock);
    }
    expect(race, right, "segments are prepared");
    return NULL;
}

static void write_all(struct race *race)
{
    uint8_t bytes[SIZE];
    bool right = true;
    for (uint64_t n = 1; n <= FRAMES && right;) {
        pthread_mutex_lock(&race->lock);
        bool full = race->written - race->read == RING;
        pthread_mutex_unlock(&race->lock);
        if (full) {
            sched_yield();
            continue;
        }
        for (int i = 0; i < SIZE; i++)
            bytes[i] = (uint8_t)(n + (unsigned)i);
        struct iovec units[2] = {{bytes, SIZE / 3}, {bytes + SIZE / 3, SIZE - SIZE / 3}};
        uint64_t lsn = 0;
        struct journal_place place;
        enum journal_status status = journal_write(race->journal, units, 2, &lsn, &place);
        if (status == JOURNAL_FULL)
            continue;
        right = status == JOURNAL_OK && lsn == n;
        if (n % 8 == 0)
            right = right && journal_sync(race->journal) == JOURNAL_OK;
        pthread_mutex_lock(&race->lock);
        race->ring[(n - 1) % RING].lsn = lsn;
        race->ring[(n - 1) % RING].place = place;
        race->written = n++;
        pthread_mutex_unlock(&race->lock);
    }
    expect(race, right, "every frame is written");
}

int main(void)
{
    struct race race = {.passed = 0};
    struct disk *disk = disk_memory_new(1);
    struct failure why;
    unsigned frames = 0;
    struct journal_options options = {.disk = disk, .segment_size = 32768};
    struct journal_reader reader = {no_frame, NULL, &frames};
    if (journal_open(&options, &race.journal, &why) ||
        journal_replay(race.journal, 0, &reader, &why)) {
        fprintf(stderr, "%s\n", why.text);
        return 1;
    }
    pthread_mutex_init(&race.lock, NULL);
    pthread_t threads[2];
    if (pthread_create(&threads[0], NULL, read_and_release, &race) ||
        pthread_create(&threads[1], NULL, prepare, &race))
        return 1;
    write_all(&race);
    pthread_join(threads[0], NULL);
    pthread_mutex_lock(&race.lock);
    race.end = true;
    pthread_mutex_unlock(&race.lock);
    pthread_join(threads[1], NULL);
    journal_close(&race.journal);
    disk_close(&disk);
    pthread_mutex_destroy(&race.lock);
    printf("%u passed, 0 failed\n", race.passed);
    return 0;
}
