/* The screen: what is known of the node, its shards, and the table. Names come from peers: control
 * characters in them do not reach a terminal. */
#include "admin/observer.h"

#include "base/buf.h"
#include "base/utf8.h"
#include "meta/meta.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    PLAIN_ROWS = 20,     /* of the table, without a terminal */
    PLAIN_COLUMNS = 120, /* of a line there */
    SHARD_LINES = 8,
    SHARD_CELL = 40,
    NUMBER_CELL = 10, /* with the blank before it */
    PLACE_WIDE = 18,
    PLACE_NARROW = 8,
    NAME_MIN = 10,
    NAME_WIDE = 22, /* then the place may be wide too */
    TEXT_MAX = 32,
};

/* ---- cells ---- */

/* "99999", "1.2M"; "-" for what is below 0. */
static void format_number(double n, bool whole, char text[TEXT_MAX])
{
    static const char units[] = "kMGTP";
    size_t unit = 0;
    if (n < 0) {
        snprintf(text, TEXT_MAX, "-");
    } else if (n < 100000) {
        snprintf(text, TEXT_MAX, "%.*f", whole || n >= 1000 ? 0 : 1, n);
    } else {
        for (n /= 1000; n >= 1000 && unit + 2 < sizeof units; unit++)
            n /= 1000;
        snprintf(text, TEXT_MAX, "%.1f%c", n, units[unit]);
    }
}

static void put_number(struct buf *out, double n, bool whole)
{
    char text[TEXT_MAX];
    format_number(n, whole, text);
    buf_printf(out, "%*s", NUMBER_CELL, text);
}

static bool is_control(const uint8_t *at, unsigned length)
{
    return length == 1 ? *at < ' ' || *at == 127 : length == 2 && at[0] == 0xc2 && at[1] < 0xa0;
}

/* At most width characters, and blanks up to as many. */
static void put_text(struct buf *out, const char *text, unsigned width)
{
    struct slice rest = slice_str(text);
    for (; rest.len && width; width--) {
        unsigned n = utf8_char_len(rest);
        if (n && !is_control(rest.data, n))
            buf_append_slice(out, slice_of(rest.data, n));
        else
            buf_append_byte(out, '?');
        n = n ? n : 1;
        rest = slice_of(rest.data + n, rest.len - n);
    }
    buf_printf(out, "%*s", (int)width, "");
}

/* Lines are cut by whoever has a terminal. */
static void end_line(struct buf *out)
{
    while (out->len && out->data[out->len - 1] == ' ')
        out->len--;
    buf_append_byte(out, '\n');
}

/* ---- the head ---- */

static void put_rate(struct buf *out, const struct observer *o, const char *name, uint64_t before,
                     uint64_t now)
{
    char text[TEXT_MAX];
    format_number(observer_rate(o, before, now), false, text);
    buf_printf(out, "  %s %s", name, text);
}

static void put_megabytes(struct buf *out, const char *name, uint64_t used, const char *between,
                          uint64_t limit)
{
    buf_printf(out, "%s %" PRIu64 " MiB (%s %" PRIu64 " MiB)  ", name, used >> 20, between,
               limit >> 20);
}

static void put_head(struct buf *out, const struct observer *o, const struct node *node,
                     uint64_t interval_s)
{
    uint64_t up = o->facts.uptime_s;
    buf_printf(out, "Node %s  up %" PRIu64 " d %02" PRIu64 ":%02" PRIu64 ":%02" PRIu64, //
               meta_node_name(node), up / 86400, up / 3600 % 24, up / 60 % 60, up % 60);
    buf_printf(out, "  every %" PRIu64 " s\n", interval_s);
    buf_printf(out, "Connections %zu  channels %zu  queues %zu  messages %" PRId64 "\n",
               o->connections, o->channels, o->queues, o->facts.messages);
    buf_append_str(out, "Messages/s");
    put_rate(out, o, "in", o->before.published, o->now.published);
    put_rate(out, o, "out", o->before.delivered, o->now.delivered);
    put_rate(out, o, "acknowledged", o->before.acked, o->now.acked);
    buf_append_byte(out, '\n');
    put_megabytes(out, "Memory", o->facts.memory, "watermark", o->facts.memory_limit);
    if (o->facts.disk_known)
        put_megabytes(out, "disk free", o->facts.disk_free, "limit", o->facts.disk_limit);
    buf_printf(out, "alarms%s%s%s\n", o->facts.memory_alarm ? " memory" : "",
               o->facts.disk_alarm ? " disk" : "",
               o->facts.memory_alarm || o->facts.disk_alarm ? "" : " none");
}

/* ---- the shards ---- */

/* The first shard's thread is the process's first, with the process's name. */
static bool is_of(const struct thread_times *thread, unsigned shard)
{
    char name[TEXT_MAX];
    snprintf(name, sizeof name, "shard-%u", shard);
    return shard ? !strcmp(thread->name, name) : thread->tid == (long)getpid();
}

/* Percent of a processor that its thread used; below 0: not known. */
static double share_of(const struct observer *o, unsigned shard)
{
    const struct threads *now = o->now.threads, *before = o->before.threads;
    for (size_t i = 0; before && now && i < now->count; i++) {
        if (!is_of(&now->list[i], shard))
            continue;
        struct thread_share share = threads_share(before, now, &now->list[i]);
        return share.user + share.system;
    }
    return -1;
}

static uint64_t ops_of(const struct shard_stats *s)
{
    return s->ops_local + s->ops_in;
}

static void put_shards(struct buf *out, const struct observer *o, const struct node *node,
                       unsigned width)
{
    unsigned shards = node_shard_count(node), cells = width / SHARD_CELL ? width / SHARD_CELL : 1;
    unsigned shown = shards < cells * SHARD_LINES ? shards : cells * SHARD_LINES;
    for (unsigned i = 0; i < shown; i++) {
        const struct shard_stats *was = &o->before.shards[i], *is = &o->now.shards[i];
        char share[TEXT_MAX], turns[TEXT_MAX], ops[TEXT_MAX], cell[5 * TEXT_MAX];
        format_number(share_of(o, i), false, share);
        format_number(observer_rate(o, was->turns, is->turns), false, turns);
        format_number(observer_rate(o, ops_of(was), ops_of(is)), false, ops);
        snprintf(cell, sizeof cell, "Shard %u %s %% turns/s %s ops/s %s", i, share, turns, ops);
        put_text(out, cell, SHARD_CELL);
        if ((i + 1) % cells == 0 || i + 1 == shown)
            end_line(out);
    }
    if (shown < shards)
        buf_printf(out, "and %u more\n", shards - shown);
}

/* ---- the table ---- */

static const struct observer_column *column_of(const struct observer_kind *kind, unsigned column)
{
    unsigned number = column - 1;
    return number < OBSERVER_NUMBERS ? &kind->numbers[number]
                                     : &kind->rates[number - OBSERVER_NUMBERS];
}

static const char *mark_of(const struct observer *o, unsigned column)
{
    return o->column != column ? "" : o->reverse ? "^" : "*";
}

/* Characters of the cells of text. */
struct widths {
    unsigned name, place;
};

static struct widths widths_of(unsigned width)
{
    enum { NUMBERS = 1 + NUMBER_CELL * (OBSERVER_COLUMNS - 1) };
    bool wide = width >= NUMBERS + PLACE_WIDE + NAME_WIDE;
    struct widths w = {.place = wide ? PLACE_WIDE : PLACE_NARROW};
    unsigned rest = NUMBERS + w.place;
    w.name = width > rest + NAME_MIN ? width - rest : NAME_MIN;
    return w;
}

static void put_titles(struct buf *out, const struct observer *o, struct widths w)
{
    char text[TEXT_MAX];
    snprintf(text, sizeof text, "%sname", mark_of(o, 0));
    put_text(out, text, w.name);
    buf_append_byte(out, ' ');
    put_text(out, o->kind->place.title, w.place);
    for (unsigned i = 1; i < OBSERVER_COLUMNS; i++) {
        snprintf(text, sizeof text, "%s%s", mark_of(o, i), column_of(o->kind, i)->title);
        buf_printf(out, "%*s", NUMBER_CELL, text);
    }
    buf_append_byte(out, '\n');
}

static void put_row(struct buf *out, const struct observed *object, struct widths w)
{
    put_text(out, object->name, w.name);
    buf_append_byte(out, ' ');
    put_text(out, object->place, w.place);
    for (unsigned i = 1; i < OBSERVER_COLUMNS; i++)
        put_number(out, object->values[i], i <= OBSERVER_NUMBERS);
    end_line(out);
}

static size_t count_lines(const struct buf *out)
{
    size_t n = 0;
    for (size_t i = 0; i < out->len; i++)
        n += out->data[i] == '\n';
    return n;
}

static void put_table(struct buf *out, const struct observer *o, unsigned width, size_t rows)
{
    struct widths w = widths_of(width);
    size_t end = o->skipped + rows < o->count ? o->skipped + rows : o->count;
    buf_printf(out, "\n%zu %s", o->objects, o->kind->name);
    if (o->skipped)
        buf_printf(out, ", from the %zu.", o->skipped + 1);
    buf_append_byte(out, '\n');
    put_titles(out, o, w);
    for (size_t i = o->skipped; i < end; i++)
        put_row(out, o->top[i], w);
}

void observer_draw(const struct observer *o, const struct node *node, uint64_t interval_s,
                   struct buf *out)
{
    static const char keys[] = "q quit  1 queues  2 connections  3 channels  < > sort by  "
                               "r reverse  arrows scroll";
    unsigned width = o->columns ? o->columns : PLAIN_COLUMNS;
    put_head(out, o, node, interval_s);
    put_shards(out, o, node, width);
    size_t used = count_lines(out) + 4; /* a blank, what the table is, its titles, the keys */
    size_t rows = !o->rows ? PLAIN_ROWS : o->rows > used ? o->rows - used : 0;
    size_t before = count_lines(out);
    put_table(out, o, width, rows);
    if (!o->rows)
        return;
    for (size_t drawn = count_lines(out) - before - 3; drawn < rows; drawn++)
        buf_append_byte(out, '\n');
    buf_append_str(out, keys);
}
