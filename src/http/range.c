#include "http/range.h"

#include <inttypes.h>

enum { STEPS_MAX = 500 /* RabbitMQ's */ };
#define SECONDS_MAX INT64_C(1000000000)

/* A whole number, perhaps with a sign; false: none. */
static bool number(const struct target *t, const char *name, int64_t *ret_number)
{
    struct slice text = target_param(t, name);
    bool sign = text.len > 1 && (text.data[0] == '-' || text.data[0] == '+');
    uint64_t n;
    if (!slice_number(slice_of(text.data + sign, text.len - sign), &n))
        return false;
    *ret_number = sign && text.data[0] == '-' ? -(int64_t)n : (int64_t)n;
    return true;
}

/* up: to the end of the step that is not over. */
static bool parse(const struct target *t, const char *age_name, const char *step_name,
                  uint64_t wall_ms, bool up, struct range *ret_range, struct failure *why)
{
    int64_t age, step;
    *ret_range = (struct range){0, 0, 0};
    if (!number(t, age_name, &age) || !number(t, step_name, &step))
        return true;
    if (age <= 0 || step <= 0 || age / step > STEPS_MAX || age > SECONDS_MAX ||
        step > SECONDS_MAX) {
        (void)failure_set(why, ERR_PRECONDITION_FAILED,
                          "Invalid range parameters: age %" PRId64 ", incr %" PRId64, age, step);
        return false;
    }
    uint64_t ms = (uint64_t)step * 1000;
    ret_range->step = ms;
    ret_range->last = (wall_ms + (up ? ms - 1 : 0)) / ms * ms;
    ret_range->first = ret_range->last - (uint64_t)age * 1000;
    return true;
}

bool ranges_parse(const struct target *t, uint64_t wall_ms, bool lists, struct ranges *r,
                  struct failure *why)
{
    return parse(t, "lengths_age", "lengths_incr", wall_ms, lists, &r->lengths, why) &&
           parse(t, "msg_rates_age", "msg_rates_incr", wall_ms, false, &r->msg_rates, why) &&
           parse(t, "data_rates_age", "data_rates_incr", wall_ms, false, &r->data_rates, why) &&
           parse(t, "node_stats_age", "node_stats_incr", wall_ms, false, &r->node_stats, why);
}
