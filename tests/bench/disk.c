/* What the journal makes of a disk: JSON on stdout.
 *
 *   tests/bench/disk [DIRECTORY [SECONDS]]     the working directory and 2 seconds a row
 *   tests/bench/disk --sync [DIRECTORY [SECONDS [RATE]]]     the baseline, with how long each took
 *
 * "baseline_per_s" and, over all rows, "fdatasyncs_per_s" is the disk's own rate: writes of one
 * page, each with an fdatasync, to a file that was written before, one behind the other, or, with
 * a RATE, so many a second: then "due_" figures count from when each was to begin, as for who
 * waits for an answer. "group" rows: frames of so many units of 150 bytes, each frame synced; the
 * ratio is to the baseline, which is measured in turn with each row, since other programs use the
 * disk too. "cpu" rows: frames to a disk that does nothing, for what a unit costs besides the copy
 * to the page cache; "crc32c": the checksum alone. */
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "store/journal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { UNIT = 150, PAGE = 4096, FILE_PAGES = 4096, UNITS_MAX = 16384 };

static uint8_t bytes[1 << 20];

static double seconds_since(uint64_t start)
{
    return (double)(clock_mono_ns() - start) / 1e9;
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static _Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- baseline ---- */

static int make_file(const char *name)
{
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        fail(name);
    unlink(name);
    for (int i = 0; i < FILE_PAGES; i++)
        if (pwrite(fd, bytes, PAGE, (off_t)i * PAGE) != PAGE)
            fail("write");
    if (fsync(fd) != 0)
        fail("fsync");
    return fd;
}

/* fdatasyncs a second. */
static double baseline(int fd, double seconds)
{
    uint64_t start = clock_mono_ns();
    unsigned n = 0;
    do {
        if (pwrite(fd, bytes + n % 4096, PAGE, (off_t)(n % FILE_PAGES) * PAGE) != PAGE ||
            fdatasync(fd) != 0)
            fail("fdatasync");
        n++;
    } while (seconds_since(start) < seconds);
    return n / seconds_since(start);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void sleep_until(uint64_t ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static double percentile(const uint32_t *times, unsigned n, unsigned percent)
{
    return times[(uint64_t)n * percent / 100] / 100.0;
}

/* rate: a second; 0: one behind the other. */
static void print_baseline(int fd, double seconds, double rate)
{
    enum { TIMES_MAX = 1 << 20 };
    uint32_t *times = mem_alloc(TIMES_MAX * sizeof *times);
    uint32_t *since_due = mem_alloc(TIMES_MAX * sizeof *since_due);
    uint64_t start = clock_mono_ns(), due = start;
    unsigned n = 0;
    do {
        if (rate > 0) {
            due = start + (uint64_t)(1e9 * n / rate);
            sleep_until(due);
        }
        uint64_t from = clock_mono_ns();
        if (pwrite(fd, bytes + n % 4096, PAGE, (off_t)(n % FILE_PAGES) * PAGE) != PAGE ||
            fdatasync(fd) != 0)
            fail("fdatasync");
        uint64_t done = clock_mono_ns();
        since_due[n] = (uint32_t)((done - (rate > 0 ? due : from)) / 10);
        times[n++] = (uint32_t)((done - from) / 10);
    } while (seconds_since(start) < seconds && n < TIMES_MAX);
    double done_per_s = n / seconds_since(start);
    qsort(times, n, sizeof *times, by_size);
    qsort(since_due, n, sizeof *since_due, by_size);
    printf("{\"fdatasyncs_per_s\": %.0f, \"samples\": %u, \"p50_us\": %.2f, \"p99_us\": %.2f, "
           "\"max_us\": %.2f, \"due_p50_us\": %.2f, \"due_p99_us\": %.2f}\n",
           done_per_s, n, percentile(times, n, 50), percentile(times, n, 99), times[n - 1] / 100.0,
           percentile(since_due, n, 50), percentile(since_due, n, 99));
    free(times);
    free(since_due);
}

/* ---- the journal ---- */

static void no_frame(void *arg, uint64_t lsn, struct journal_place place, struct slice frame)
{
    (void)arg;
    (void)lsn;
    (void)place;
    (void)frame;
}

static struct journal *open_journal(struct disk *disk)
{
    struct journal *j;
    struct failure why;
    struct journal_options options = {.disk = disk};
    struct journal_reader reader = {.frame = no_frame};
    if (journal_open(&options, &j, &why) || journal_replay(j, 0, &reader, &why)) {
        fprintf(stderr, "%s\n", why.text);
        exit(1);
    }
    while (!journal_prepared(j))
        if (journal_prepare(j) != JOURNAL_OK)
            fail(journal_error(j));
    return j;
}

struct result {
    double seconds, cpu;
    uint64_t frames, bytes;
};

/* Frames of so many units, synced or not. */
static struct result run(struct journal *j, int units, size_t size, bool synced, double seconds)
{
    static struct iovec iov[UNITS_MAX];
    struct journal_stats before, after;
    for (int i = 0; i < units; i++)
        iov[i] = (struct iovec){bytes + (size_t)i * 97 % (sizeof bytes - size), size};
    journal_read_stats(j, &before);
    uint64_t start = clock_mono_ns();
    double cpu = cpu_seconds();
    do {
        uint64_t lsn;
        struct journal_place place;
        if (journal_write(j, iov, units, &lsn, &place) != JOURNAL_OK ||
            (synced && journal_sync(j) != JOURNAL_OK))
            fail(journal_error(j));
        journal_release(j, lsn);
    } while (seconds_since(start) < seconds);
    struct result r = {.seconds = seconds_since(start), .cpu = cpu_seconds() - cpu};
    journal_read_stats(j, &after);
    r.frames = after.frames - before.frames;
    r.bytes = after.bytes - before.bytes;
    return r;
}

/* ---- a disk that does nothing ---- */

struct disk {
    struct disk_base base;
};
static int null_open(struct disk *d, const char *name, unsigned flags)
{
    (void)d;
    (void)name;
    (void)flags;
    return 0;
}
static int null_file(struct disk *d, int file)
{
    (void)d;
    (void)file;
    return 0;
}
static int null_write(struct disk *d, int file, const struct iovec *iov, int n, uint64_t offset)
{
    (void)iov;
    (void)n;
    (void)offset;
    return null_file(d, file);
}
static int64_t null_size(struct disk *d, int file)
{
    return null_file(d, file);
}
static int null_name(struct disk *d, const char *name)
{
    return null_open(d, name, 0);
}
static int null_list(struct disk *d, const char *name, bool (*fn)(const char *name, void *arg),
                     void *arg)
{
    (void)fn;
    (void)arg;
    return null_name(d, name);
}
static int64_t null_room(struct disk *d)
{
    (void)d;
    return INT64_MAX;
}
static const struct disk_type nothing = {.open = null_open,
                                         .close = null_file,
                                         .pwritev = null_write,
                                         .sync = null_file,
                                         .size = null_size,
                                         .unlink = null_name,
                                         .make_directory = null_name,
                                         .sync_directory = null_name,
                                         .list = null_list,
                                         .room = null_room};

/* ---- rows ---- */

static void print_groups(struct journal *j, int fd, double seconds)
{
    static const int groups[] = {1, 16, 128, 1024, 8192};
    enum { SLICES = 32, ROWS = sizeof groups / sizeof *groups };
    double all = 0;
    printf("  \"group\": [\n");
    for (int i = 0; i < ROWS; i++) {
        struct result sum = {0};
        double base = 0;
        for (int k = 0; k < SLICES; k++) {
            base += baseline(fd, seconds / SLICES) / SLICES;
            struct result r = run(j, groups[i], UNIT, true, seconds / SLICES);
            sum.seconds += r.seconds;
            sum.cpu += r.cpu;
            sum.frames += r.frames;
            sum.bytes += r.bytes;
        }
        double rate = (double)sum.frames / sum.seconds;
        all += base / ROWS;
        printf("    {\"units\": %d, \"frames_per_s\": %.0f, \"baseline_per_s\": %.0f, "
               "\"ratio\": %.2f, \"units_per_s\": %.0f, \"MB_per_s\": %.1f, "
               "\"cpu_ns_per_unit\": %.0f}%s\n",
               groups[i], rate, base, rate / base, rate * groups[i],
               (double)sum.bytes / sum.seconds / 1e6,
               sum.cpu * 1e9 / ((double)sum.frames * groups[i]), i + 1 < ROWS ? "," : "");
    }
    printf("  ],\n  \"fdatasyncs_per_s\": %.0f,\n", all);
}

static void print_cpu(double seconds)
{
    static const struct {
        int units;
        size_t size;
    } rows[] = {{1, 150}, {16, 150}, {128, 150}, {1024, 150}, {8192, 150}, {1, 65536}, {16, 65536}};
    struct disk null = {{&nothing}};
    struct journal *j = open_journal(&null);
    printf("  \"cpu\": [\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct result r = run(j, rows[i].units, rows[i].size, false, seconds / 4);
        double per_unit = r.cpu * 1e9 / ((double)r.frames * rows[i].units);
        printf("    {\"units\": %d, \"bytes\": %zu, \"ns_per_unit\": %.1f, \"GB_per_s\": %.1f}%s\n",
               rows[i].units, rows[i].size, per_unit, (double)rows[i].size / per_unit,
               i + 1 < sizeof rows / sizeof *rows ? "," : "");
    }
    printf("  ],\n");
    journal_close(&j);
}

static void print_crc(double seconds)
{
    static const size_t sizes[] = {150, 1024, 65536};
    printf("  \"crc32c\": {\"by\": \"%s\"", crc32c_name());
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t start = clock_mono_ns(), total = 0;
        volatile uint32_t crc = 0;
        do {
            for (int k = 0; k < 100; k++)
                crc = crc32c(crc, bytes + k, sizes[i]);
            total += 100 * sizes[i];
        } while (seconds_since(start) < seconds / 8);
        printf(", \"GB_per_s_of_%zu\": %.1f", sizes[i], (double)total / seconds_since(start) / 1e9);
    }
    printf("}\n");
}

static void print_all(struct disk *disk, int fd, double seconds)
{
    struct journal *j = open_journal(disk);
    printf("{\n  \"unit_bytes\": %d,\n", UNIT);
    print_groups(j, fd, seconds);
    print_cpu(seconds);
    print_crc(seconds);
    printf("}\n");
    journal_close(&j);
    for (unsigned i = 0; i < 32; i++) {
        char *segment = mem_printf("journal/segment-%04u", i);
        disk_unlink(disk, segment);
        free(segment);
    }
}

int main(int argc, char **argv)
{
    bool sync_only = argc > 1 && strcmp(argv[1], "--sync") == 0;
    argc -= sync_only;
    argv += sync_only;
    const char *directory = argc > 1 ? argv[1] : ".";
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 2;
    double rate = argc > 3 ? strtod(argv[3], NULL) : 0;
    if (argc > 3 + sync_only || !(seconds > 0) || !(rate >= 0)) {
        fprintf(stderr, "usage: disk [--sync] [DIRECTORY [SECONDS [RATE]]]\n");
        return 64;
    }
    char *scratch = mem_printf("%s/bench-disk-XXXXXX", directory);
    if (!mkdtemp(scratch))
        fail(scratch);
    char *name = mem_printf("%s/baseline", scratch), *journal = mem_printf("%s/journal", scratch);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 131 >> 3);
    int fd = make_file(name);
    struct disk *disk = disk_open(scratch);
    if (!disk)
        fail(scratch);
    if (sync_only)
        print_baseline(fd, seconds, rate);
    else
        print_all(disk, fd, seconds);
    disk_close(&disk);
    close(fd);
    if ((!sync_only && rmdir(journal) != 0) || rmdir(scratch) != 0)
        fail(scratch);
    free(name);
    free(journal);
    free(scratch);
    return 0;
}
