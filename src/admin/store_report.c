/* Journal and database in numbers. Pure. */
#include "admin/store_report.h"

#include <inttypes.h>

/* "label: 0.1 gb" and, if there is a second label, ", label 0.2 gb" */
static void put_sizes(struct buf *out, enum report_unit unit, const char *label, uint64_t bytes,
                      const char *second, uint64_t second_bytes)
{
    struct buf text = BUF_INIT;
    buf_printf(&text, "%s: ", label);
    report_put_size(&text, bytes, unit);
    if (second) {
        buf_printf(&text, ", %s: ", second);
        report_put_size(&text, second_bytes, unit);
    }
    report_print_slice(out, buf_slice(&text));
    buf_fini(&text);
}

void store_report_put(struct buf *out, const struct store_stats *s, enum report_unit unit)
{
    const struct journal_stats *j = &s->journal;
    report_print(out, "\nStore\n");
    report_print(out, "Journal: frame %" PRIu64 ", on the disk up to %" PRIu64, j->lsn, j->durable);
    report_print(out, "Journal segments: %u, free: %u", j->segments, j->segments_free);
    put_sizes(out, unit, "Journal written since the start", j->bytes, NULL, 0);
    report_print(out, "Journal frames since the start: %" PRIu64 ", syncs: %" PRIu64, j->frames,
                 j->syncs);
    report_print(out, "Last sync (milliseconds): %.3f", (double)s->last_sync_us / 1e3);
    put_sizes(out, unit, "Waiting to be written", s->pending_bytes, NULL, 0);
    put_sizes(out, unit, "Database", s->database_bytes, "free in it", s->database_free);
    report_print(out,
                 "Checkpoints since the start: %" PRIu64 ", the last took (milliseconds): %.3f",
                 s->checkpoints, (double)s->last_checkpoint_us / 1e3);
}

void store_report_put_json(struct buf *json, const struct store_stats *s)
{
    const struct journal_stats *j = &s->journal;
    buf_printf(json,
               ",\"store\":{\"journal_lsn\":%" PRIu64 ",\"journal_durable_lsn\":%" PRIu64
               ",\"journal_frames\":%" PRIu64 ",\"journal_bytes\":%" PRIu64
               ",\"journal_syncs\":%" PRIu64
               ",\"journal_segments\":%u,\"journal_segments_free\":%u",
               j->lsn, j->durable, j->frames, j->bytes, j->syncs, j->segments, j->segments_free);
    buf_printf(json,
               ",\"last_sync_us\":%" PRIu64 ",\"pending_bytes\":%" PRIu64
               ",\"database_bytes\":%" PRIu64 ",\"database_free_bytes\":%" PRIu64
               ",\"checkpoints\":%" PRIu64 ",\"last_checkpoint_us\":%" PRIu64 "}",
               s->last_sync_us, s->pending_bytes, s->database_bytes, s->database_free,
               s->checkpoints, s->last_checkpoint_us);
}
