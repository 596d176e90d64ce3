/* Ops: the only things that cross between objects. An op is 64 bytes, copied by value.
 *
 * An address names an object by {node, shard, slot, generation}. Posting to an address whose object
 * is gone releases what the op carries (its kind's release function), it never touches the
 * successor. Order: ops from one shard to one address arrive in the order posted. Ops posted by the
 * shard of the metadata master (shard 0) are seen before any op that was posted in knowledge of
 * them. */
#ifndef SHARD_OP_H
#define SHARD_OP_H

#include <stdbool.h>
#include <stdint.h>

struct addr {
    uint32_t slot; /* high bit: assigned by the metadata master, see slot.h */
    uint16_t gen;  /* never 0 for a live object */
    uint8_t shard;
    uint8_t node;
};

#define ADDR_NONE ((struct addr){0, 0, 0, 0})

static inline bool addr_is_none(struct addr a)
{
    return a.gen == 0;
}

static inline bool addr_eq(struct addr a, struct addr b)
{
    return a.slot == b.slot && a.gen == b.gen && a.shard == b.shard && a.node == b.node;
}

static inline uint64_t addr_u64(struct addr a)
{
    return (uint64_t)a.node << 56 | (uint64_t)a.shard << 48 | (uint64_t)a.gen << 32 | a.slot;
}

static inline struct addr addr_from_u64(uint64_t n)
{
    return (struct addr){.slot = (uint32_t)n,
                         .gen = (uint16_t)(n >> 32),
                         .shard = (uint8_t)(n >> 48),
                         .node = (uint8_t)(n >> 56)};
}

enum { OP_BODY_SIZE = 48 };

struct op {
    struct addr to;
    uint16_t kind;  /* index into the node's op table */
    uint16_t flags; /* of the kind */
    uint32_t n;     /* of the kind */
    _Alignas(8) unsigned char body[OP_BODY_SIZE];
};

_Static_assert(sizeof(struct op) == 64, "an op is one cache line");

/* The body seen as the kind's own struct (at most OP_BODY_SIZE bytes). */
#define op_body(op, type) ((type *)(void *)(op)->body)

/* One row a kind; the table is given to node_new. */
struct op_kind {
    const char *label; /* for traces: "channel -> queue: enqueue" */
    /* Called instead of delivery when the target is gone or the shard stops; NULL if nothing is
     * carried. It runs on the target's shard and may post (an answer such as "gone"). */
    void (*release)(struct op *op);
};

#endif
