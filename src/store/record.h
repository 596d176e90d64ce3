/* Records: what the journal, and the blocks of the database, consist of. Each says what happened to
 * contents or definitions, never why. Integers are varints (7 bits a byte, lowest first) unless a
 * width is given; a record has no length of its own, it is parsed.
 *
 * An entry is one message of a queue; it has the same bytes in an ENQ record and in a block:
 *   flags u8 | seq | level u8 if ENTRY_LEVEL (of RECORD_TOP_LEVEL there is ENTRY_TOP instead)
 *   | expiry if ENTRY_EXPIRES | count if ENTRY_RETURNED
 *   | ENTRY_BY_ID: message id, body length (for counters)
 *   | else content: lengths of names, properties, hidden if ENTRY_HIDDEN, body; flags u8; then
 *     these bytes in that order (struct content). */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "base/buf.h"

enum record_kind {
    RECORD_OPEN = 1, /* queue, durable u8: contents of this id are kept from here on */
    RECORD_DROP,     /* queue: and are not any more */
    RECORD_ENQ,      /* queue, entry */
    RECORD_SETTLE,   /* queue, level u8, first, last - first: gone for good */
    RECORD_RETURN,   /* queue, level u8, seq, count: given back by a consumer count times */
    RECORD_PURGE,    /* queue, below, n, n seqs: all below are gone but these; read only */
    RECORD_ATTACH,   /* queue: from here on its messages may have been delivered */
    RECORD_MESSAGE,  /* id, flags u8, entries if ENTRY_RETURNED, content without its body bytes:
                        parts follow */
    RECORD_PART,     /* id, offset, n, bytes: of a body */
    RECORD_DEFINE,   /* noun u8, key length, key, value length, value */
    RECORD_UNDEFINE, /* noun u8, key length, key */
    RECORD_PENDING,  /* transaction: the next record acts only if its COMMIT is in the log */
    RECORD_COMMIT,   /* transaction */
    RECORD_CLEAR, /* queue, from, below - from, n, n times {distance from the end of the one before
                     (the first: from `from`), length - 1}: what is in between is gone but these */
    RECORD_NEXT,  /* n, n bytes of body: an ENQ of the same queue, level and persistence, numbered
                     one above, with names, properties and flags of the same bytes as the last
                     plain ENQ before it in the unit. Plain is one of a message in full that has no
                     expiry, count or hidden keys, is below RECORD_TOP_LEVEL, and is not behind a
                     PENDING */
    /* SETTLE and RETURN of RECORD_TOP_LEVEL, without the level; as parsed they are those */
    RECORD_SETTLE_TOP,
    RECORD_RETURN_TOP,
    RECORD_KIND_END
};

enum {
    ENTRY_TRANSIENT = 1, /* forgotten at the next start */
    ENTRY_LEVEL = 2,
    ENTRY_EXPIRES = 4,
    ENTRY_RETURNED = 8, /* given back by consumers; redelivered */
    ENTRY_BY_ID = 16,
    ENTRY_HIDDEN = 32, /* the content has hidden keys */
    ENTRY_MOVED = 64,  /* by id: the queue had it under another number, which is settled */
    ENTRY_TOP = 128    /* level RECORD_TOP_LEVEL */
};

/* Levels are 0 to this: one more than an octet has. */
enum { RECORD_TOP_LEVEL = 256 };

/* A message as the store sees it: all borrowed. */
struct content {
    struct slice names;      /* exchange and routing key as two short strings */
    struct slice properties; /* flags word and property list */
    struct slice hidden;     /* keys of a BCC header that was taken off */
    struct slice body;
    uint8_t flags; /* MSG_ flags worth keeping, opaque here */
};

struct entry {
    uint64_t seq;
    uint64_t expiry; /* ms since the epoch, 0 = never */
    uint64_t id;     /* of a message stored once for several queues, or in parts; 0: content */
    uint64_t body_len;
    uint32_t count; /* times given back */
    uint16_t level;
    bool transient;
    bool moved;             /* with an id: it is no further entry of the message */
    struct content content; /* id 0 */
};

/* A record as parsed: slices are borrowed from the input. */
struct record {
    enum record_kind kind;
    uint64_t queue;       /* or the message's id, or the transaction's */
    uint64_t first, last; /* SETTLE; RETURN: first; PURGE, CLEAR: last = below; PART: first =
                             offset */
    uint32_t count;       /* RETURN; MESSAGE: entries, 0: unknown */
    uint16_t level;
    uint8_t noun;
    bool durable;
    uint64_t total;          /* MESSAGE: length of the body */
    struct slice key, value; /* definitions; PART: value = bytes; PURGE, CLEAR: value = the kept */
    struct entry entry;      /* ENQ; MESSAGE: its content */
    struct slice raw_entry;  /* ENQ: as it goes into a block; NEXT: its n and bytes */
    struct slice head; /* plain ENQ, by record_get_brief: from the length of names to the end of
                          properties */
};

/* ---- writing ---- */
static inline uint8_t *record_varint(uint8_t *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}
/* The largest varint. */
enum { RECORD_VARINT = 10 };

void record_put_open(struct buf *out, uint64_t queue, bool durable);
void record_put_drop(struct buf *out, uint64_t queue);
void record_put_enq(struct buf *out, uint64_t queue, const struct entry *entry);
/* The last plain ENQ of a unit and what followed it: {0} where a unit begins. */
struct record_base {
    uint64_t queue, seq;              /* of the last of them */
    size_t from, names;               /* in the buffer */
    size_t names_len, properties_len; /* the first 0: there is none */
    uint8_t level, flags;
    bool transient;
};
/* The same as record_put_enq, as NEXT where it can be: not behind a PENDING. */
void record_put_next(struct buf *out, struct record_base *base, uint64_t queue,
                     const struct entry *entry);
void record_put_settle(struct buf *out, uint64_t queue, uint16_t level, uint64_t first,
                       uint64_t last);
void record_put_return(struct buf *out, uint64_t queue, uint16_t level, uint64_t seq,
                       uint32_t count);
/* kept: n ascending sequence numbers below the limit. */
void record_put_purge(struct buf *out, uint64_t queue, uint64_t below, const uint64_t *kept,
                      size_t n);
/* A portion of the same, one record of at most RECORD_PORTION bytes: from *from on (0 at first),
 * which moves on; at below all is written. Returns how many of the kept it took. */
size_t record_put_purge_some(struct buf *out, uint64_t queue, uint64_t *from, uint64_t below,
                             const uint64_t *kept, size_t n);
enum { RECORD_PORTION = 256 << 10 };
void record_put_attach(struct buf *out, uint64_t queue);
/* entries: how many will name it at most: then the message goes with the last of them; 0: unknown,
 * it is kept for a while for those that may come. */
void record_put_message(struct buf *out, uint64_t id, uint32_t entries,
                        const struct content *content);
void record_put_part(struct buf *out, uint64_t id, uint64_t offset, struct slice bytes);
void record_put_define(struct buf *out, uint8_t noun, struct slice key, struct slice value);
void record_put_undefine(struct buf *out, uint8_t noun, struct slice key);
void record_put_pending(struct buf *out, uint64_t transaction);
void record_put_commit(struct buf *out, uint64_t transaction);

/* ---- reading ---- */
/* The record at the front of *input, which moves behind it. False: it is malformed (input is not
 * moved). */
bool record_get(struct slice *input, struct record *ret_record);
/* The same, faster, for one who wants no contents: of an ENQ or SETTLE only the kind, the queue and
 * what else the record says of itself are set, the entry's content perhaps not. */
bool record_get_brief(struct slice *input, struct record *ret_record);
/* The same for an entry of a block. */
bool record_get_entry(struct slice *input, struct entry *ret_entry);
/* The entry that a NEXT stands for, as it goes into a block: of the head of its ENQ and its own n
 * and bytes. out has room for both and RECORD_EXPAND bytes more. Returns its length; 0: malformed.
 */
size_t record_expand(uint8_t *out, uint64_t seq, uint16_t level, bool transient, struct slice head,
                     struct slice tail);
enum { RECORD_EXPAND = 2 + 2 * RECORD_VARINT };
/* One varint; false: the input ends within it. */
bool record_get_varint(struct slice *input, uint64_t *ret_value);
/* What a PURGE or CLEAR keeps, range by range; start with record_kept(). */
struct record_kept {
    struct slice rest;
    uint64_t at;
    bool ranges;
};
static inline struct record_kept record_kept(const struct record *r)
{
    return (struct record_kept){r->value, r->first, r->kind == RECORD_CLEAR};
}
bool record_next_kept(struct record_kept *k, uint64_t *ret_first, uint64_t *ret_last);
/* For dumps: "ENQ". */
const char *record_kind_name(enum record_kind kind);

#endif
