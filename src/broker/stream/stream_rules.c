/* Arguments were checked when they came (meta/args.c), policies when they were set. */
#include "broker/stream/stream_rules.h"

#include "base/props.h"
#include "broker/msg.h"
#include "meta/args.h"

enum { SEGMENT_BYTES = 500000000, SEGMENT_MIN = 64 << 10 };

static bool find_number(const struct queue_def *def, const struct applied *applied,
                        const char *argument, uint64_t *ret)
{
    struct table_value value;
    int64_t n;
    bool found = table_find_int(def->args, slice_str(argument), &n);
    if (policy_find(applied, argument + 2, &value) && table_is_int(value.type)) {
        n = value.integer;
        found = true;
    }
    if (!found || n < 0)
        return false;
    *ret = (uint64_t)n;
    return true;
}

static uint64_t find_age(const struct queue_def *def, const struct applied *applied)
{
    struct table_value value;
    struct slice text;
    uint64_t ms;
    bool found = table_find_str(def->args, SLICE("x-max-age"), &text);
    if (policy_find(applied, "max-age", &value) && value.type == TABLE_LONGSTR) {
        text = value.bytes;
        found = true;
    }
    return found && args_age_ms(text, &ms) ? ms : UINT64_MAX;
}

struct partition_options stream_options(const struct queue_def *def, const struct applied *applied)
{
    uint64_t filter = BATCH_FILTER_MIN;
    struct partition_options o = {.max_bytes = UINT64_MAX, .segment_bytes = SEGMENT_BYTES};
    find_number(def, applied, "x-max-length-bytes", &o.max_bytes);
    find_number(def, applied, "x-stream-max-segment-size-bytes", &o.segment_bytes);
    find_number(def, applied, "x-stream-filter-size-bytes", &filter);
    o.max_age_ms = find_age(def, applied);
    if (o.segment_bytes < SEGMENT_MIN)
        o.segment_bytes = SEGMENT_MIN;
    filter = filter < BATCH_FILTER_MIN ? BATCH_FILTER_MIN : filter;
    o.filter_bytes = (uint8_t)(filter > BATCH_FILTER_MAX ? BATCH_FILTER_MAX : filter);
    return o;
}

enum stream_start stream_start(struct slice args, uint64_t now_ms, uint64_t *ret_number)
{
    struct table_value value;
    uint64_t ms = 0;
    *ret_number = 0;
    if (!table_find(args, SLICE("x-stream-offset"), &value))
        return START_NEXT;
    if (value.type == TABLE_TIMESTAMP) {
        *ret_number = value.timestamp > UINT64_MAX / 1000 ? UINT64_MAX : value.timestamp * 1000;
        return START_TIME;
    }
    if (value.type != TABLE_LONGSTR) {
        *ret_number = value.integer > 0 ? (uint64_t)value.integer : 0;
        return START_OFFSET;
    }
    if (slice_eq_str(value.bytes, "first"))
        return START_FIRST;
    if (slice_eq_str(value.bytes, "last"))
        return START_LAST;
    if (!args_age_ms(value.bytes, &ms))
        return START_NEXT;
    *ret_number = now_ms > ms ? now_ms - ms : 0;
    return START_TIME;
}

/* ---- filters ---- */

struct stream_filter stream_filter(struct slice args)
{
    struct stream_filter f = {.values = SLICE_EMPTY};
    struct table_value value;
    if (!table_find(args, SLICE("x-stream-filter"), &value))
        return f;
    f.on = value.type == TABLE_LONGSTR || value.type == TABLE_ARRAY;
    if (value.type == TABLE_ARRAY)
        f.values = value.bytes;
    else if (f.on)
        f.value = value.bytes;
    table_find_bool(args, SLICE("x-stream-match-unfiltered"), &f.unfiltered);
    return f;
}

/* The next of an array that is a string. */
static bool next_value(struct table_iter *it, struct slice *ret)
{
    struct table_value value;
    while (array_next(it, &value)) {
        if (value.type == TABLE_LONGSTR) {
            *ret = value.bytes;
            return true;
        }
    }
    return false;
}

bool stream_filter_takes(const struct stream_filter *f, bool has_value, struct slice value)
{
    struct table_iter it = table_iter(f->values);
    struct slice wanted;
    if (!f->on)
        return true;
    if (!has_value)
        return f->unfiltered;
    if (f->value.data && slice_eq(f->value, value))
        return true;
    while (next_value(&it, &wanted)) {
        if (slice_eq(wanted, value))
            return true;
    }
    return false;
}

bool stream_filter_may_take(const struct stream_filter *f, struct slice bloom, bool unfiltered)
{
    struct table_iter it = table_iter(f->values);
    struct slice wanted;
    if (!f->on || (unfiltered && f->unfiltered))
        return true;
    if (f->value.data && filter_may_have(bloom, f->value))
        return true;
    while (next_value(&it, &wanted)) {
        if (filter_may_have(bloom, wanted))
            return true;
    }
    return false;
}

bool stream_filter_value(const struct msg *msg, struct slice *ret_value)
{
    struct slice props = msg_properties(msg);
    return props_flags(props) & AMQP_PROP_HEADERS &&
           table_find_str(props_headers(props), SLICE("x-stream-filter-value"), ret_value);
}
