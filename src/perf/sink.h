/* The sink's objects: a server of one thread that only hands octets on. Everything belongs to that
 * thread. A message is taken from the input when it is there as a whole and copied once for each
 * consumer, or into the queue's backlog if it has none. */
#ifndef PERF_SINK_H
#define PERF_SINK_H

#include "perf/proto.h"

struct sink_conn;
struct sink_queue;
struct sink_log;

struct sink_consumer {
    struct sink_conn *conn;
    struct sink_queue *queue;
    uint16_t channel;
    uint8_t head[7 + 4 + 1 + SHORTSTR_MAX]; /* deliver frame up to the delivery tag */
    uint32_t head_len;
};

struct sink_queue {
    struct sink_queue *next; /* in its bucket */
    struct sink_consumer **consumers;
    uint32_t nconsumers;
    uint32_t turn;
    uint64_t ready; /* messages in backlog */
    struct octets backlog;
    uint8_t name_len;
    char name[SHORTSTR_MAX + 1];
};

/* Any exchange but the default one: hands on to all its queues. */
struct sink_exchange {
    struct sink_exchange *next;
    struct sink_queue **queues;
    uint32_t nqueues;
    uint8_t name_len;
    char name[SHORTSTR_MAX + 1];
};

struct sink_channel {
    uint64_t delivery_tag;
    uint64_t publish_tag;
    uint64_t confirmed;
    bool confirms;
};

struct sink_conn {
    struct sink *sink;
    int fd;
    uint32_t events; /* registered with epoll, if watched */
    bool watched;
    struct octets in; /* what a read left over */
    struct octets out;
    struct sink_channel *channels; /* by number */
    uint32_t nchannels;
    bool greeted;
    bool publisher;
    bool confirms;
    bool full;    /* counted in sink->nfull */
    bool dirty;   /* in sink->dirty */
    bool parked;  /* in sink->parked: not read while consumers are full */
    bool closing; /* close-ok goes out, then the socket closes */
    bool dead;
    struct sink_consumer **consumers;
    uint32_t nconsumers;
    struct sink_queue *last_queue; /* of queue methods without a name */
    /* the last route: exchange and key as they came, and where they led */
    uint8_t route[2 * (SHORTSTR_MAX + 1)];
    uint32_t route_len;
    uint32_t route_version;
    struct sink_queue *route_queue;
    struct sink_exchange *route_exchange;
};

enum { SINK_BUCKETS = 1 << 16 };

struct conn_list {
    struct sink_conn **at;
    uint32_t n;
    uint32_t cap;
};

struct sink {
    int epoll;
    int listener;
    struct sink_log *log; /* NULL: nothing is written */
    uint8_t *input;       /* one buffer for all reads */
    size_t input_cap;
    uint32_t nfull;   /* connections whose output is above the mark */
    uint32_t version; /* of queues and exchanges: remembered routes of an older one are void */
    uint32_t nexchanges;
    uint64_t named; /* names made for clients */
    struct conn_list dirty;
    struct conn_list parked;
    struct conn_list dead;
    struct sink_queue *queues[SINK_BUCKETS];
    struct sink_exchange *exchanges[SINK_BUCKETS];
};

/* A message in the input. */
struct sink_message {
    const uint8_t *route; /* exchange and routing key, two short strings side by side */
    uint32_t route_len;
    const uint8_t *content; /* header and body frames */
    size_t content_len;
};

/* sink_queue.c */
struct sink_queue *sink_queue_find(struct sink *s, const uint8_t *name, uint8_t len);
struct sink_queue *sink_queue_declare(struct sink *s, const uint8_t *name, uint8_t len);
void sink_queue_delete(struct sink *s, struct sink_queue *q);
struct sink_exchange *sink_exchange_find(struct sink *s, const uint8_t *name, uint8_t len);
void sink_exchange_declare(struct sink *s, const uint8_t *name, uint8_t len);
void sink_exchange_delete(struct sink *s, const uint8_t *name, uint8_t len);
void sink_exchange_bind(struct sink *s, struct sink_exchange *x, struct sink_queue *q);
void sink_publish(struct sink_conn *c, const struct sink_message *m);
/* Hands the backlog to consumers until it is empty or they are full. */
void sink_queue_pump(struct sink_queue *q);
/* Answers a basic.get. */
void sink_queue_get(struct sink_conn *c, uint16_t channel, struct sink_queue *q);
void sink_consume(struct sink_conn *c, struct sink_queue *q, uint16_t channel, const uint8_t *tag,
                  uint8_t tag_len);
void sink_cancel(struct sink_conn *c, const uint8_t *tag, uint8_t tag_len);
void sink_cancel_all(struct sink_conn *c);
void sink_free_all(struct sink *s);

/* sink_method.c: any method but basic.publish; false ends the connection. */
bool sink_method(struct sink_conn *c, uint16_t channel, const uint8_t *payload, size_t len);
void sink_greet(struct sink_conn *c);
struct sink_channel *sink_channel(struct sink_conn *c, uint16_t number);

/* sink_log.c: a file that holds what a broker would have to keep. NULL, with errno, if it cannot be
 * made. The functions that take what is added do nothing for a NULL. */
struct sink_log *sink_log_open(const char *path);
void sink_log_close(struct sink_log *l);
/* due: an answer waits for all that was added up to now. */
void sink_log_add(struct sink_log *l, size_t octets, bool due);
bool sink_log_due(const struct sink_log *l);
/* Writes what was added and syncs it; an error ends the process. */
void sink_log_sync(struct sink_log *l);

/* sink.c: the output has grown; it is written at the end of the turn, or now if there is much. */
void sink_touch(struct sink_conn *c);
void *sink_must(void *p);

#endif
