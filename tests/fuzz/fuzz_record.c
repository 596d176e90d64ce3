/* Bytes as frames of a journal, into a fold over tables and a disk in memory. The first byte of the
 * input says how: bit 0: two queues are open already; bits 1-2: into how many frames the bytes are
 * cut; bit 3: the fold is checkpointed between them; bit 4: it is frozen instead; bit 5: it is
 * closed and opened again at the end. Whatever comes, nothing crashes, and once it is in the tables
 * counters equal contents. */
#include "fuzz.h"

#include "base/log.h"
#include "disk_memory.h"
#include "kv_memory.h"
#include "store/fold.h"

#include <string.h>

struct world {
    struct kv *kv;
    struct disk *disk;
    struct journal *journal;
    struct fold *fold;
};

static void on_frame(void *arg, uint64_t lsn, struct journal_place payload, struct slice bytes)
{
    fold_frame(((struct world *)arg)->fold, lsn, payload, bytes);
}

static void open_all(struct world *w)
{
    struct failure why;
    struct journal_options jo = {.disk = w->disk, .segment_size = 512 << 10, .seed = 1};
    require(journal_open(&jo, &w->journal, &why) == ERR_NONE);
    struct fold_options fo = {.kv = w->kv, .disk = w->disk, .journal = w->journal, .large = 512};
    require(fold_open(&fo, &w->fold, &why) == ERR_NONE);
    struct journal_reader reader = {.frame = on_frame, .arg = w};
    require(journal_replay(w->journal, fold_applied(w->fold), &reader, &why) == ERR_NONE);
    fold_recovered(w->fold);
}

static void close_all(struct world *w)
{
    fold_close(&w->fold);
    journal_close(&w->journal);
}

static void checkpoint(struct world *w)
{
    fold_freeze(w->fold);
    require(fold_checkpoint(w->fold) == KV_OK);
    journal_release(w->journal, fold_applied(w->fold));
}

static void feed(struct world *w, struct slice bytes)
{
    uint64_t lsn;
    struct journal_place place;
    struct iovec iov = {(void *)(uintptr_t)bytes.data, bytes.len};
    if (!bytes.len)
        return;
    require(journal_write(w->journal, &iov, 1, &lsn, &place) == JOURNAL_OK);
    require(journal_sync(w->journal) == JOURNAL_OK);
    fold_frame(w->fold, lsn, place, bytes);
}

static void read_queue(uint64_t id, bool durable, void *arg)
{
    static struct fold_queue q;
    struct world *w = arg;
    (void)durable;
    require(fold_get_queue(w->fold, id, &q));
    for (unsigned i = 0; i < q.level_count; i++) {
        struct fold_query query = {.queue = id,
                                   .to = UINT64_MAX,
                                   .level = q.levels[i].level,
                                   .max_count = 100,
                                   .max_bytes = 10000};
        struct fold_page page = {0};
        uint64_t n = 0, before = 0;
        do {
            fold_read(w->fold, &query, &page);
            for (size_t k = 0; k < page.count; k++) {
                require(n == 0 || page.entries[k].seq > before);
                before = page.entries[k].seq;
                n++;
            }
            n += page.lost;
            require(page.next > query.from);
            query.from = page.next;
        } while (query.from != UINT64_MAX);
        require(n == q.levels[i].count);
        fold_page_fini(&page);
    }
}

static void on_definition(struct slice key, struct slice value, void *arg)
{
    *(size_t *)arg += key.len + value.len;
}

static void on_line(void *arg, const char *text)
{
    *(size_t *)arg += strlen(text);
}

static void look(struct world *w)
{
    size_t sum = 0;
    fold_each_queue(w->fold, read_queue, w);
    for (unsigned noun = 0; noun < 4; noun++)
        fold_each_definition(w->fold, (uint8_t)noun, on_definition, &sum);
    fold_dump(w->fold, on_line, &sum);
}

static void run(struct world *w, const uint8_t *data, size_t size)
{
    unsigned how = data[0], pieces = (how >> 1 & 3) + 1;
    struct buf start = BUF_INIT;
    record_put_open(&start, 1, true);
    record_put_open(&start, 2, how & 4);
    if (how & 1)
        feed(w, buf_slice(&start));
    buf_fini(&start);
    data++;
    size--;
    for (; pieces; pieces--) {
        size_t n = size / pieces;
        feed(w, slice_of(data, n));
        data += n;
        size -= n;
        if (how & 8)
            checkpoint(w);
        else if (how & 16)
            fold_freeze(w->fold);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 64 * 1024)
        return 0;
    log_set_level_all(LOG_NONE_);
    struct world w = {.kv = kv_memory_new(), .disk = disk_memory_new(1)};
    open_all(&w);
    run(&w, data, size);
    if (data[0] & 32) {
        close_all(&w);
        open_all(&w);
    }
    checkpoint(&w);
    checkpoint(&w);
    look(&w);
    close_all(&w);
    disk_close(&w.disk);
    kv_close(&w.kv);
    return 0;
}
