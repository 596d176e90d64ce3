/* Delivery tags that the client has not settled: a deque of entries in the order of their tags.
 * Those that are gone are dropped from the front, and all of them once they are the most, so that
 * one message held for long costs no memory for those that came after. */
#ifndef AMQP_UNACKED_H
#define AMQP_UNACKED_H

#include "shard/op.h"

#include <stddef.h>

struct unacked_tag {
    uint64_t tag;
    struct addr queue;
    uint32_t slot;
    uint32_t due : 24; /* timeout.c's: when it is to be acknowledged; 0: whenever */
    uint32_t state : 2;
    uint32_t fetched : 1; /* by basic.get: no prefetch counts it */
    uint32_t stored : 1;  /* its settlement will be in the log */
};
enum unacked_tag_state {
    TAG_GONE,
    TAG_LIVE,
    TAG_IN_TX /* settled in a transaction that is open */
};

struct unacked_tags {
    struct unacked_tag *entries; /* ring */
    size_t head, count, cap;     /* cap: power of two or 0 */
    uint64_t live;               /* entries that are LIVE or IN_TX */
    uint64_t fetched;            /* of these, by basic.get */
};

void unacked_tags_fini(struct unacked_tags *u);
enum unacked_tag_kind { TAG_FETCHED = 1, TAG_STORED = 2 };
/* tag must be above all before it; kind: bits of enum unacked_tag_kind. The entry stays there until
 * the next one is added. */
struct unacked_tag *unacked_tags_add(struct unacked_tags *u, uint64_t tag, struct addr queue,
                                     uint32_t slot, unsigned kind);
/* NULL if the tag is not LIVE. */
struct unacked_tag *unacked_tags_find(struct unacked_tags *u, uint64_t tag);
/* The entry of a tag that is LIVE or IN_TX. */
struct unacked_tag *unacked_tags_get(struct unacked_tags *u, uint64_t tag);
/* How many entries have tags up to this one. */
size_t unacked_tags_upto(const struct unacked_tags *u, uint64_t tag);
/* The entry is settled; entries stay where they are. */
void unacked_tags_remove(struct unacked_tags *u, struct unacked_tag *entry);
/* Drops what is gone; to be called after a run of removals. */
void unacked_tags_trim(struct unacked_tags *u);
static inline struct unacked_tag *unacked_tags_at(const struct unacked_tags *u, size_t n)
{
    return &u->entries[(u->head + n) & (u->cap - 1)];
}

#endif
