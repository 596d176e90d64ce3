/* What a store should contain, naively: queues, messages, definitions as records tell them. */
#ifndef SIM_STORE_MODEL_H
#define SIM_STORE_MODEL_H

#include "store/record.h"

enum {
    MODEL_QUEUES = 5,
    MODEL_SEQS = 240, /* of one queue */
    MODEL_NOUNS = 2,
    MODEL_KEYS = 8,
    MODEL_PENDING = 64,
    MODEL_LEVELS = 4,
    MODEL_KEPT = 8
};

/* The levels that are used. */
extern const uint16_t model_levels[MODEL_LEVELS];

/* Something that happened, as a record and as the model takes it. */
struct op {
    enum record_kind kind;
    uint8_t queue;  /* index; or noun */
    uint16_t level; /* or key */
    bool durable, transient;
    uint32_t uid;    /* of a content: model_content; or of a definition's value */
    uint32_t tx;     /* PENDING before it */
    uint64_t number; /* id of the queue, message or transaction */
    uint64_t first, last, expiry;
    uint32_t count;
    uint64_t kept[MODEL_KEPT];
};

enum model_state { MODEL_NONE, MODEL_WAITING, MODEL_LIVE, MODEL_GONE }; /* waits for a COMMIT */

struct model_message {
    uint8_t state;
    uint16_t level;
    bool transient, settled; /* settled: while it waited */
    uint32_t uid, count;
    uint64_t id, expiry;
};

struct model_queue {
    uint64_t id; /* 0: none */
    bool durable, attached;
    uint64_t next_seq; /* above every message, waiting ones too */
    uint64_t last_seq; /* the last that was not waiting */
    uint64_t redelivered_below;
    struct model_message messages[MODEL_SEQS + 1];
};

struct model {
    struct model_queue queues[MODEL_QUEUES];
    uint32_t definitions[MODEL_NOUNS][MODEL_KEYS]; /* uid of the value, 0 = none */
    struct op pending[MODEL_PENDING];
    size_t pending_count;
    uint64_t last_queue_id, last_message_id;
};

void model_apply(struct model *m, const struct op *op);
/* A start: of what was written up to here, after a crash or after a clean stop. */
void model_start(struct model *m, bool clean);
void model_stop(struct model *m);
uint64_t model_oldest(const struct model_queue *q); /* live message; 0: none */

/* ---- contents: everything about one follows from its number ---- */
struct model_bytes {
    struct content content;
    uint8_t bytes[24 << 10];
};
/* Borrowed from room. */
void model_content(uint32_t uid, struct model_bytes *room);
size_t model_body_len(uint32_t uid);
/* A definition's key and value. */
struct slice model_key(unsigned noun, unsigned key, char room[64]);
struct slice model_value(uint32_t uid, struct model_bytes *room);

/* Appends it as a record (a MESSAGE without its PARTs). */
void model_write(const struct op *op, struct buf *out, struct record_base *base,
                 struct model_bytes *room);

#endif
