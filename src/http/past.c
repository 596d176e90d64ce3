#include "http/past.h"

#include "http/http_priv.h"
#include "http/list.h"
#include "http/range.h"

struct past past_of(const struct item *item, const struct view *v, const struct range *range,
                    struct sample_id id)
{
    struct past past = {.range = range, .wall_offset = item->wall_offset};
    if (range->step && !v->sort.data)
        past.trend = samples_ask(item->http->samples[shard_index(item->shard)], id,
                                 shard_now_ms(item->shard));
    return past;
}

void past_put(const struct past *past, size_t counter, struct view *v, const char *details,
              double rate)
{
    const struct range *range = past->range;
    uint64_t values[TREND_READ_MAX];
    struct view_samples samples = {values, 0, range->last, range->step};
    if (!range->step) {
        view_rate(v, details, rate);
        return;
    }
    if (past->trend && view_wants(v, details))
        samples.count = trend_read(past->trend, range, past->wall_offset, counter, values);
    view_sampled_rate(v, details, rate, &samples);
}
