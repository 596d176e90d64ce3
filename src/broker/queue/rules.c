/* Arguments were checked when the queue was declared (meta/args.c), policies when they were set
 * (meta/policy_check.c). */
#include "broker/queue/rules.h"

#include "base/mem.h"
#include "base/table.h"
#include "broker/exchange/deduplication.h"

#include <stdlib.h>

#define EXPIRY_MAX UINT64_C(315360000000) /* ten years of milliseconds, as of arguments */
#define RETRY_MAX  UINT64_C(86400000)     /* to which delays double if there is no other limit */

/* Of an argument and the key of policies that means the same. */
struct sources {
    struct slice args;
    const struct applied *applied;
};

/* key: x-max-length; policies have it without the x-. */
static uint64_t find_limit(const struct sources *from, const char *key)
{
    struct table_value value;
    int64_t n;
    uint64_t limit = RULES_NONE;
    if (table_find_int(from->args, slice_str(key), &n) && n >= 0)
        limit = (uint64_t)n;
    if (policy_find(from->applied, key + 2, &value) && table_is_int(value.type) &&
        value.integer >= 0 && (uint64_t)value.integer < limit)
        limit = (uint64_t)value.integer;
    return limit;
}

static bool find_text(const struct sources *from, const char *key, struct slice *ret_text)
{
    struct table_value value;
    if (table_find_str(from->args, slice_str(key), ret_text))
        return true;
    if (!policy_find(from->applied, key + 2, &value) || value.type != TABLE_LONGSTR)
        return false;
    *ret_text = value.bytes;
    return true;
}

static enum overflow find_overflow(const struct sources *from)
{
    struct slice word;
    if (!find_text(from, "x-overflow", &word))
        return OVERFLOW_DROP_HEAD;
    if (slice_eq_str(word, "reject-publish"))
        return OVERFLOW_REJECT;
    return slice_eq_str(word, "reject-publish-dlx") ? OVERFLOW_REJECT_DEAD_LETTER
                                                    : OVERFLOW_DROP_HEAD;
}

static unsigned find_levels(struct slice args)
{
    int64_t n;
    return table_find_int(args, SLICE("x-max-priority"), &n) && n > 0 ? (unsigned)n : 0;
}

static bool finds_duplicates(struct slice args)
{
    struct table_value value;
    return args.len && table_find(args, SLICE("x-message-deduplication"), &value) &&
           value.type == TABLE_BOOL && value.boolean;
}

static uint64_t at_most(uint64_t ms)
{
    return ms == RULES_NONE || ms <= EXPIRY_MAX ? ms : EXPIRY_MAX;
}

static enum retry_type find_retry_type(const struct sources *from)
{
    static const char *const words[] = {
        [RETRY_ALL] = "all", [RETRY_FAILED] = "failed", [RETRY_RETURNED] = "returned"};
    struct slice word;
    if (!find_text(from, "x-delayed-retry-type", &word))
        return RETRY_DISABLED;
    for (unsigned i = RETRY_ALL; i < sizeof words / sizeof *words; i++) {
        if (slice_eq_str(word, words[i]))
            return (enum retry_type)i;
    }
    return RETRY_DISABLED;
}

/* As in RabbitMQ, delays do not grow if there is no limit to them; those that double do. */
static struct retry find_retry(const struct sources *from)
{
    struct slice word;
    struct retry r = {.type = find_retry_type(from)};
    uint64_t min = find_limit(from, "x-delayed-retry-min");
    uint64_t max = find_limit(from, "x-delayed-retry-max");
    if (r.type == RETRY_DISABLED || min == RULES_NONE || !min)
        return (struct retry){RETRY_DISABLED};
    r.exponential =
        find_text(from, "x-delayed-retry-schedule", &word) && slice_eq_str(word, "exponential");
    r.min = at_most(min);
    if (max == RULES_NONE)
        max = r.exponential && r.min < RETRY_MAX ? RETRY_MAX : r.min;
    r.max = at_most(max);
    return r;
}

/* As in RabbitMQ, at-least-once is for queues that refuse what is too much: else what drops at the
 * head would be there for ever. */
static bool keeps_letters(const struct rules *r, const struct sources *from)
{
    struct slice word;
    return r->dead_letters && r->overflow != OVERFLOW_DROP_HEAD &&
           find_text(from, "x-dead-letter-strategy", &word) && slice_eq_str(word, "at-least-once");
}

/* A queue that has a line delays by that. */
static void add_waiting(struct rules *r, const struct queue_def *def, const struct sources *from)
{
    uint64_t delay = at_most(find_limit(from, "x-delay"));
    if (!def->line && delay != RULES_NONE)
        r->delay = delay;
    r->retry = find_retry(from);
    r->keeps_letters = keeps_letters(r, from);
}

/* Of a delay line. */
static struct rules *line_rules(const struct queue_def *def)
{
    struct rules *r = NEW(struct rules);
    int64_t delay = 0;
    if (def->line_of == LINE_OF_QUEUE)
        table_find_int(def->args, SLICE("x-delay"), &delay);
    *r = (struct rules){.ttl = RULES_NONE,
                        .expires = RULES_NONE,
                        .max_length = RULES_NONE,
                        .max_bytes = RULES_NONE,
                        .delivery_limit = RULES_NONE,
                        .line = true,
                        .delay = (uint64_t)delay,
                        .dead_letters = true};
    return r;
}

/* Of the values that an exchange has let in: the oldest goes for the newest. */
static struct rules *value_rules(const struct queue_def *def)
{
    struct rules *r = NEW(struct rules);
    *r = (struct rules){.ttl = RULES_NONE,
                        .expires = RULES_NONE,
                        .max_length = RULES_NONE,
                        .max_bytes = RULES_NONE,
                        .delivery_limit = RULES_NONE,
                        .deduplicates = true};
    deduplication_number(def->args, "x-cache-size", &r->max_length);
    return r;
}

struct rules *rules_new(const struct queue_def *def, const struct applied *applied)
{
    if (def->line_of == LINE_OF_VALUES)
        return value_rules(def);
    if (def->line_of)
        return line_rules(def);
    const struct sources from = {def->args, applied};
    if (!def->args.len && !applied->policy && !applied->operator_policy)
        return NULL;
    struct rules r = {.ttl = at_most(find_limit(&from, "x-message-ttl")),
                      .expires = at_most(find_limit(&from, "x-expires")),
                      .max_length = find_limit(&from, "x-max-length"),
                      .max_bytes = find_limit(&from, "x-max-length-bytes"),
                      .delivery_limit = find_limit(&from, "x-delivery-limit"),
                      .overflow = find_overflow(&from),
                      .max_priority = find_levels(def->args)};
    r.deduplicates = finds_duplicates(def->args);
    r.dead_letters = find_text(&from, "x-dead-letter-exchange", &r.exchange);
    add_waiting(&r, def, &from);
    r.has_key = find_text(&from, "x-dead-letter-routing-key", &r.key);
    if (r.exchange.len > UINT8_MAX)
        r.exchange.len = UINT8_MAX;
    if (r.key.len > UINT8_MAX)
        r.key.len = UINT8_MAX; /* a key is a short string */
    if (r.ttl == RULES_NONE && r.expires == RULES_NONE && r.max_length == RULES_NONE &&
        r.max_bytes == RULES_NONE && r.delivery_limit == RULES_NONE && !r.max_priority &&
        !r.dead_letters && !r.deduplicates && !r.delay && !r.retry.type)
        return NULL;
    struct rules *rules = mem_alloc(sizeof r);
    *rules = r;
    return rules;
}
