/* The arguments were checked when the queue was declared (meta/args.c). */
#include "broker/queue/rules.h"

#include "base/mem.h"
#include "base/table.h"

#include <stdlib.h>

static uint64_t find_limit(struct slice args, const char *name)
{
    int64_t n;
    return table_find_int(args, slice_str(name), &n) && n >= 0 ? (uint64_t)n : RULES_NONE;
}

static enum overflow find_overflow(struct slice args)
{
    struct slice word;
    if (!table_find_str(args, SLICE("x-overflow"), &word))
        return OVERFLOW_DROP_HEAD;
    if (slice_eq_str(word, "reject-publish"))
        return OVERFLOW_REJECT;
    return slice_eq_str(word, "reject-publish-dlx") ? OVERFLOW_REJECT_DEAD_LETTER
                                                    : OVERFLOW_DROP_HEAD;
}

struct rules *rules_new(const struct queue_def *def)
{
    struct slice args = def->args;
    if (!args.len)
        return NULL;
    uint64_t levels = find_limit(args, "x-max-priority");
    struct rules r = {.ttl = find_limit(args, "x-message-ttl"),
                      .expires = find_limit(args, "x-expires"),
                      .max_length = find_limit(args, "x-max-length"),
                      .max_bytes = find_limit(args, "x-max-length-bytes"),
                      .delivery_limit = find_limit(args, "x-delivery-limit"),
                      .overflow = find_overflow(args),
                      .max_priority = levels == RULES_NONE ? 0 : (unsigned)levels};
    r.dead_letters = table_find_str(args, SLICE("x-dead-letter-exchange"), &r.exchange);
    r.has_key = table_find_str(args, SLICE("x-dead-letter-routing-key"), &r.key);
    if (r.key.len > UINT8_MAX)
        r.key.len = UINT8_MAX; /* a key is a short string */
    if (r.ttl == RULES_NONE && r.expires == RULES_NONE && r.max_length == RULES_NONE &&
        r.max_bytes == RULES_NONE && r.delivery_limit == RULES_NONE && !r.max_priority &&
        !r.dead_letters)
        return NULL;
    struct rules *rules = mem_alloc(sizeof r);
    *rules = r;
    return rules;
}
