/* Opens everything for reading only and feeds the journal's tail to a fold that nobody writes down.
 * Values of users, which have the hashes of passwords, are not shown. */
#include "daemon/dump.h"

#include "base/log.h"
#include "base/mem.h"
#include "daemon/datadir.h"
#include "meta/meta.h"
#include "store/fold.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct dump {
    int lock_fd;
    struct kv *kv;
    struct disk *disk;
    struct journal *journal;
    struct fold *fold;
    uint64_t frames, bytes; /* of the journal beyond the database */
    uint8_t noun;
};

/* What a name may have that a terminal takes for an order is '?'. */
static void print(const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        putchar(c < ' ' || c == 0x7f ? '?' : c);
    }
    putchar('\n');
}

static void print_buf(struct buf *text)
{
    print(buf_cstr(text));
    buf_fini(text);
}

/* ---- opening ---- */

static void on_frame(void *arg, uint64_t lsn, struct journal_place place, struct slice bytes)
{
    struct dump *d = arg;
    fold_frame(d->fold, lsn, place, bytes);
    d->frames++;
    d->bytes += bytes.len;
}

static void on_journal_damage(void *arg, const struct journal_damage *damage)
{
    struct buf text = BUF_INIT;
    (void)arg;
    buf_printf(&text, "damaged: %s, %" PRIu64 " bytes at %" PRIu64 ", ", damage->segment,
               damage->bytes, damage->offset);
    if (damage->before_lsn)
        buf_printf(&text, "between frames %" PRIu64 " and %" PRIu64, damage->after_lsn,
                   damage->before_lsn);
    else
        buf_printf(&text, "perhaps behind frame %" PRIu64, damage->after_lsn);
    print_buf(&text);
}

static void on_damage(void *arg, uint64_t queue, const char *what)
{
    struct buf text = BUF_INIT;
    (void)arg;
    buf_printf(&text, "damaged: queue %" PRIu64 ": %s", queue, what);
    print_buf(&text);
}

static enum err open_all(struct dump *d, const char *directory, struct failure *why)
{
    char *db = mem_printf("%s/db", directory);
    struct kv_options kv = {.directory = db, .read_only = true};
    enum err err = kv_lmdb_open(&kv, &d->kv, why);
    free(db);
    if (err)
        return err;
    d->disk = disk_open(directory);
    if (!d->disk)
        return failure_set(why, ERR_INTERNAL_ERROR, "cannot open %s: %s", directory,
                           strerror(errno));
    struct journal_options journal = {.disk = d->disk, .read_only = true};
    err = journal_open(&journal, &d->journal, why);
    if (err)
        return err;
    struct fold_options fold = {
        .kv = d->kv, .disk = d->disk, .journal = d->journal, .damage = on_damage, .arg = d};
    err = fold_open(&fold, &d->fold, why);
    if (err)
        return err;
    struct journal_reader reader = {.frame = on_frame, .damage = on_journal_damage, .arg = d};
    return journal_replay(d->journal, fold_applied(d->fold), &reader, why);
}

static void close_all(struct dump *d)
{
    fold_close(&d->fold);
    journal_close(&d->journal);
    disk_close(&d->disk);
    kv_close(&d->kv);
    datadir_close(&d->lock_fd);
}

/* ---- printing ---- */

static void on_definition(struct slice key, struct slice value, void *arg)
{
    const struct dump *d = arg;
    struct buf text = BUF_INIT;
    meta_describe_stored(d->noun, key, value, &text);
    print_buf(&text);
}

static void on_line(void *arg, const char *text)
{
    (void)arg;
    print(text);
}

static void put_journal(const struct dump *d)
{
    struct journal_stats stats;
    struct buf text = BUF_INIT;
    journal_read_stats(d->journal, &stats);
    buf_printf(&text,
               "journal: %u segments, %" PRIu64 " frames beyond the database with %" PRIu64
               " bytes",
               stats.segments, d->frames, d->bytes);
    print_buf(&text);
}

static void put_database(const struct dump *d)
{
    struct buf text = BUF_INIT;
    uint64_t file, unused;
    kv_lmdb_space(d->kv, &file, &unused);
    buf_printf(&text, "database: %" PRIu64 " bytes, %" PRIu64 " of them free for reuse", file,
               unused);
    print_buf(&text);
}

int dump_data(const char *directory)
{
    struct dump d = {.lock_fd = -1};
    struct failure why = {.text = ""};
    log_set_level_all(LOG_WARNING_);
    int code = datadir_open_for_reading(directory, &d.lock_fd, &why);
    if (!code)
        code = datadir_exit_code(open_all(&d, directory, &why));
    if (!code) {
        put_database(&d);
        put_journal(&d);
        for (unsigned noun = 0; noun <= UINT8_MAX; noun++) {
            d.noun = (uint8_t)noun;
            fold_each_definition(d.fold, d.noun, on_definition, &d);
        }
        fold_dump(d.fold, on_line, NULL);
    } else {
        fprintf(stderr, "jackaloped: %s\n", why.text);
    }
    close_all(&d);
    return code;
}
