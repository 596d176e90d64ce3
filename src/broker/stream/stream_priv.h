/* Insides of a stream, for this folder. */
#ifndef BROKER_STREAM_STREAM_PRIV_H
#define BROKER_STREAM_STREAM_PRIV_H

#include "broker/broker.h"
#include "broker/queue/consumers.h"
#include "broker/queue/face.h"
#include "broker/stream/stream_queue.h"
#include "broker/stream/stream_rules.h"
#include "broker/stream/stream_window.h"
#include "meta/ops.h"
#include "shard/timer.h"
#include "store/store.h"

/* A consumer, which reads at its own place. */
struct stream_reader {
    struct consume_request *request;
    uint32_t number, serial; /* its name in ops */
    uint64_t next;           /* what it looks at next */
    uint64_t began;
    uint32_t unacked, window;
    bool seeking;             /* next is not known yet */
    bool waiting;             /* for a page */
    bool queued;              /* which was not asked for yet, as there are many */
    bool stuck;               /* nothing could be read; tried again after a while */
    struct stream_page *page; /* it reads, or NULL */
    size_t at;                /* the entry in it */
    struct stream_filter filter;
    uint64_t delivered, acked;
};

enum { STREAM_ASKED_MAX = 16 };

/* Publishes first..last of a channel, safe once all below end is. */
struct stream_confirm {
    struct addr channel;
    uint64_t first, last, begin, end;
};

struct stream_queue {
    struct queue_face face;
    struct shard *shard;
    struct queue_def *def;
    struct routing *routing;
    struct applied applied; /* references */
    uint64_t policy_version;
    struct partition *log; /* NULL once it is deleted */
    struct partition_options options;
    struct stream_window window;
    struct stream_reader **readers; /* by number, NULL = free */
    size_t reader_cap;
    uint32_t reader_count, next_serial;
    struct stream_confirm *confirms; /* in the order of offsets, from confirm_at on */
    size_t confirm_at, confirm_count, confirm_cap;
    uint64_t asked[STREAM_ASKED_MAX]; /* offsets that pages are on their way for */
    size_t asked_count;
    uint32_t queued, turn;     /* readers that wait to ask, and whose turn it is */
    struct store_wait defined; /* under way: a crash may still leave it without its definition */
    struct op *kept;           /* until the log is open, and that is safe */
    size_t kept_count, kept_cap;
    struct timer age;   /* looks for what is too old */
    struct timer retry; /* of readers that are stuck */
    struct listed listed;
    bool dead;
    uint64_t published, delivered, acked;
};

/* ---- stream_read.c ---- */
void stream_read_init(struct stream_queue *q);
/* Sends what the reader may have. */
void stream_pump(struct stream_queue *q, struct stream_reader *r);
void stream_pump_all(struct stream_queue *q);
/* It leaves its page. */
void stream_leave_page(struct stream_reader *r);
/* Where it begins, as it asked. */
void stream_seek(struct stream_queue *q, struct stream_reader *r);
/* What was waited for cannot come any more, or may come now. */
void stream_trim(struct stream_queue *q);
/* NULL if the number is free or the serial is another's. */
struct stream_reader *stream_find_reader(const struct stream_queue *q, uint32_t number,
                                         uint32_t serial);

/* The name of a reader's deliveries, as settlements give it back. */
enum { STREAM_READERS_MAX = 0xffff };
static inline uint32_t stream_slot(const struct stream_reader *r)
{
    return r->serial << 16 | r->number;
}

/* ---- stream_listing.c ---- */
extern const struct queue_face_type stream_face_type;
/* For its type. */
void stream_keep_policies(struct queue_face *face);
void stream_queue_free(struct queue_face *face);

#endif
