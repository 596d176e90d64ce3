/* Insides of a connection, for this folder. */
#ifndef AMQP_CONNECTION_PRIV_H
#define AMQP_CONNECTION_PRIV_H

#include "amqp/amqp_priv.h"
#include "amqp/connection.h"
#include "meta/access.h"
#include "meta/ops.h"
#include "shard/timer.h"

enum connection_state {
    CONN_HEADER,  /* waits for the protocol header */
    CONN_START,   /* start sent, waits for start-ok */
    CONN_SECURE,  /* secure sent, waits for secure-ok */
    CONN_TUNE,    /* tune sent, waits for tune-ok */
    CONN_OPENING, /* waits for open */
    CONN_RUNNING,
    CONN_CLOSING, /* close sent, waits for close-ok */
    CONN_LEAVING, /* the client sent close; waits for its exclusive queues to be gone */
    CONN_CLOSED,  /* nothing more is read or sent */
};

enum connection_capability {
    CAP_AUTH_FAILURE_CLOSE = 1,
    CAP_CONSUMER_CANCEL_NOTIFY = 2,
    CAP_BLOCKED = 4,
    CAP_BASIC_NACK = 8,
};

/* Channels by number: the first ones in a small array, others in pages. */
struct channel_table {
    struct channel **low;
    unsigned low_count;
    struct channel ***pages; /* 256 of 256, made when needed */
    unsigned count;
};

struct connection {
    struct stream *stream;
    struct amqp_shard *amqp;
    struct list link; /* amqp_shard.connections */
    struct addr addr;
    uint64_t id;
    enum connection_state state;
    unsigned capabilities;
    bool waiting;   /* a channel said STEP_WAIT: the stream is paused */
    bool blocked;   /* by an alarm: the stream is paused */
    bool published; /* an alarm blocks only those that publish */
    bool has_exclusive;
    bool legacy;     /* a 0-8 client: it gets version 8-0 and no capabilities */
    bool unreadable; /* broken framing: the rest of the input is dropped */
    uint32_t frame_max;
    uint16_t channel_max, heartbeat_s;
    struct channel_table channels;
    /* a body frame that has come in part */
    struct channel *body_channel;
    uint32_t body_left; /* payload bytes still to come + 1 for the frame end; 0 = none */
    struct slice user, vhost, mechanism, client_properties;
    struct slice name_given; /* client property connection_name */
    struct timer timer;      /* handshake, heartbeat, close: whichever the state needs */
    struct log_context log;
    struct listed listed;
    struct alarm_listener alarm;
    struct addr trace_to;   /* who wants to see the methods */
    struct tenancy tenancy; /* from open to the end of its channels */
    uint64_t connected_at_ms;
    uint64_t resumed_ms; /* when it was last read again: heartbeats lie in the socket until then */
    uint64_t frames_in, frames_out;
    uint64_t told_in, told_out; /* octets that its virtual host knows of */
};

enum { CLOSE_WAIT_MS = 30000 };

struct channel *channel_table_find(const struct channel_table *t, unsigned number);
void channel_table_set(struct channel_table *t, unsigned number, struct channel *ch);
void channel_table_fini(struct channel_table *t);
/* Heap bytes, without the channels. */
size_t channel_table_memory(const struct channel_table *t);
/* The lowest-numbered channel from this number on, NULL if none. */
struct channel *channel_table_next(const struct channel_table *t, unsigned from);

/* handshake.c: methods of class connection, and the protocol header */
size_t handshake_header(struct connection *c, struct slice data);
void handshake_method(struct connection *c, const struct wire_method *m, struct slice args);
/* After tune-ok: heartbeats. */
void connection_arm_heartbeat(struct connection *c);

/* Takes channels down and ends the stream after what is pending was written. */
void connection_leave(struct connection *c);
void connection_finish(struct connection *c, unsigned linger_ms);
/* After close-ok: the client closes the socket. */
void connection_part(struct connection *c);
void connection_trace(struct connection *c, bool in, unsigned channel, const struct wire_method *m,
                      const void *args);
/* The client publishes: true if an alarm holds it, from now until the alarm is over. */
bool connection_is_held(struct connection *c);
/* NULL: it is gone. */
const void *connection_at(struct shard *shard, struct addr addr);
struct value connection_column(const void *object, const char *column);
/* Counts for its virtual host the octets that came and went since the last time. */
void connection_tell(void *connection);

/* events.c: as in channel_priv.h. error NULL: the login went well */
void event_login(const struct connection *c, struct slice user, const char *error);
void event_connection(const struct connection *c, bool created);

/* sasl.c */
enum sasl_result { SASL_OK, SASL_MORE, SASL_REFUSED, SASL_MALFORMED };
struct sasl {
    struct slice user; /* owned, set on OK; on REFUSED who it was, if that is known */
    struct buf challenge;
    struct failure why;
};
/* mechanism as the client named it; step 0 is start-ok's response, step 1 secure-ok's. */
enum sasl_result sasl_step(struct connection *c, unsigned step, struct slice response,
                           struct sasl *s);
bool sasl_offered(const struct connection *c, struct slice mechanism);
void sasl_list(const struct connection *c, struct buf *out);

#endif
