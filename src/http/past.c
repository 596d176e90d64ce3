#include "http/past.h"

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
