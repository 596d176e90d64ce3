#include "http/trend.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* RabbitMQ's own: some seconds more than an hour, so that an hour is there. */
const struct trend_span trend_of_node[TREND_SPANS] = {
    {605, 5}, {3660, 60}, {29400, 600}, {86400, 1800}};
const struct trend_span trend_of_object[2] = {{605, 5}, {3600, 60}};

enum { FIRST_ROOM = 8 };

/* The samples of a span: rows of a time and the counters, the oldest one is overwritten. */
struct ring {
    uint64_t span_ms, step_ms;
    uint64_t step; /* the number of the last one's step in the time of day */
    uint64_t *rows;
    size_t max, room, count, next;
    bool lost; /* one was overwritten */
};

struct trend {
    size_t width; /* counters */
    bool whole;
    struct ring rings[TREND_SPANS];
    size_t ring_count;
};

struct trend *trend_new(const struct trend_span *spans, size_t span_count, size_t counters,
                        bool whole)
{
    struct trend *t = NEW(struct trend);
    t->width = counters;
    t->whole = whole;
    t->ring_count = span_count;
    for (size_t i = 0; i < span_count; i++)
        t->rings[i] = (struct ring){.span_ms = spans[i].seconds * 1000ull,
                                    .step_ms = spans[i].step * 1000ull,
                                    .max = spans[i].seconds / spans[i].step + 2};
    return t;
}

void trend_free(struct trend **trend)
{
    struct trend *t = *trend;
    if (!t)
        return;
    for (size_t i = 0; i < t->ring_count; i++)
        free(t->rings[i].rows);
    free(t);
    *trend = NULL;
}

/* n: 0 is the oldest. */
static const uint64_t *row_at(const struct trend *t, const struct ring *r, size_t n)
{
    size_t oldest = r->lost ? r->next : 0;
    return r->rows + (oldest + n) % r->max * (t->width + 1);
}

static void put_row(struct trend *t, struct ring *r, uint64_t now_ms, const uint64_t *counters)
{
    size_t row = t->width + 1;
    if (r->count == r->room && r->room < r->max) {
        r->room = r->room ? 2 * r->room : FIRST_ROOM;
        r->room = r->room < r->max ? r->room : r->max;
        r->rows = mem_realloc(r->rows, r->room * row * sizeof *r->rows);
    }
    uint64_t *at = r->rows + r->next * row;
    at[0] = now_ms;
    memcpy(at + 1, counters, t->width * sizeof *counters);
    r->next = (r->next + 1) % r->max;
    r->lost = r->lost || r->count == r->max;
    r->count += r->count < r->max;
}

void trend_add(struct trend *t, uint64_t now_ms, uint64_t wall_offset, const uint64_t *counters)
{
    for (size_t i = 0; i < t->ring_count; i++) {
        struct ring *r = &t->rings[i];
        uint64_t step = (now_ms + wall_offset) / r->step_ms;
        if (r->count && step == r->step)
            continue;
        r->step = step;
        put_row(t, r, now_ms, counters);
    }
}

double trend_rate(const struct trend *t, uint64_t now_ms, size_t counter)
{
    const struct ring *r = &t->rings[0];
    if (r->count < 2)
        return 0;
    const uint64_t *former = row_at(t, r, r->count - 2), *last = row_at(t, r, r->count - 1);
    if (now_ms > last[0] + 2 * r->step_ms || last[0] <= former[0])
        return 0;
    return ((double)last[counter + 1] - (double)former[counter + 1]) * 1000.0 /
           (double)(last[0] - former[0]);
}

static const struct ring *ring_for(const struct trend *t, const struct range *range)
{
    for (size_t i = 0; i + 1 < t->ring_count; i++) {
        if (t->rings[i].span_ms > range->last - range->first)
            return &t->rings[i];
    }
    return &t->rings[t->ring_count - 1];
}

static void reverse(uint64_t *values, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        uint64_t v = values[i];
        values[i] = values[count - 1 - i];
        values[count - 1 - i] = v;
    }
}

/* A sample is that of the next time of the range, and of those after it until there is another. */
size_t trend_read(const struct trend *t, const struct range *range, uint64_t wall_offset,
                  size_t counter, uint64_t *ret_values)
{
    const struct ring *r = ring_for(t, range);
    size_t times = (size_t)((range->last - range->first) / range->step) + 1, at = 0, count = 0;
    bool known = t->whole && !r->lost;
    uint64_t value = 0;
    if (times > TREND_READ_MAX)
        times = TREND_READ_MAX;
    for (size_t i = 0; i < r->count; i++) {
        const uint64_t *row = row_at(t, r, i);
        int64_t since = (int64_t)(row[0] + wall_offset - range->first) - TREND_ROUNDING_MS;
        size_t time = since <= 0 ? 0 : (size_t)(((uint64_t)since + range->step - 1) / range->step);
        for (; at < time && at < times; at++) {
            if (known)
                ret_values[count++] = value;
        }
        if (time >= times)
            break;
        value = row[counter + 1];
        known = true;
    }
    for (; at < times && known; at++)
        ret_values[count++] = value;
    reverse(ret_values, count);
    return count;
}
