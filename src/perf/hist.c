/* Merging and reading of histograms. No state. */
#include "perf/hist.h"

void hist_merge(struct hist *into, const struct hist *from)
{
    if (from->count == 0)
        return;
    if (into->count == 0 || from->min < into->min)
        into->min = from->min;
    if (from->max > into->max)
        into->max = from->max;
    into->count += from->count;
    into->sum += from->sum;
    for (uint32_t i = 0; i < HIST_BUCKETS; i++)
        into->bucket[i] += from->bucket[i];
}

static uint64_t upper_edge(uint32_t index)
{
    if (index < 2U << HIST_SUB_BITS)
        return index;
    uint32_t shift = (index >> HIST_SUB_BITS) - 1;
    uint64_t low = (uint64_t)(index - (shift << HIST_SUB_BITS)) << shift;

    return low + (UINT64_C(1) << shift) - 1;
}

uint64_t hist_quantile(const struct hist *h, double q)
{
    uint64_t want = (uint64_t)(q * (double)h->count);
    uint64_t seen = 0;

    if (h->count == 0)
        return 0;
    if ((double)want < q * (double)h->count || want == 0)
        want++;
    for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen >= want) {
            uint64_t edge = upper_edge(i);
            return edge < h->max ? edge : h->max;
        }
    }
    return h->max;
}

double hist_mean(const struct hist *h)
{
    return h->count == 0 ? 0 : (double)h->sum / (double)h->count;
}
