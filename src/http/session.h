/* A session: one connection of an HTTP client, and the request it is at. It lives on the shard its
 * stream was handed to; work for other shards goes out as visits, requests to the metadata master
 * and ops to queues, whose answers come back to the session's address. One request at a time: the
 * next one is looked at once the answer was written, so answers never mix. */
#ifndef HTTP_SESSION_H
#define HTTP_SESSION_H

#include "admin/visit.h"
#include "http/login.h"
#include "http/message.h"
#include "http/reply.h"
#include "http/target.h"
#include "meta/meta.h"
#include "net/stream.h"
#include "shard/timer.h"

struct gauge;
struct http;
struct job;
struct parsed;
struct route;
struct waiting_page;

enum { SESSION_ARGS = 6 };

struct session {
    struct shard *shard;
    struct http *http;
    struct addr addr;
    struct stream *stream;
    bool scrape; /* of a listener of Prometheus */
    struct message_parser *parser;
    struct timer timer;
    enum { SESSION_IDLE, SESSION_HEAD, SESSION_BODY, SESSION_ANSWERING, SESSION_LEAVING } phase;
    bool paused;        /* the stream, until the answer is written */
    bool behind;        /* the client, with answers to read: the stream is paused until it read */
    uint64_t counted;   /* bytes of the body when the timer was set */
    struct visit *held; /* came back while the client was behind */
    struct deferred turn;
    struct timer reader; /* while output is pending: the client reads some of it, or is cut off */
    bool closing;        /* nothing is written any more */
    uint64_t taken;      /* bytes out when it was set */
    uint64_t silent_ms;  /* at the end: since when nothing was taken, or nothing is pending */

    /* of the request; gone when it is answered */
    enum http_verb verb;
    struct target target;
    const struct route *route;
    struct slice args[SESSION_ARGS]; /* what the pattern's names stand for; borrowed from target */
    struct slice vhost;              /* the one that is called :vhost; data NULL: none */
    struct slice user;               /* owned */
    unsigned tags;                   /* enum user_tag */
    struct buf body;
    uint64_t body_bytes;
    struct job *job;      /* that it waits for; NULL: none */
    struct parsed *read;  /* what a large body says, body.c's; NULL: it was not parsed yet */
    uint64_t publish_seq; /* of all that the session publishes */
    struct reply reply;
    bool refused_login;

    /* what the handler waits for, NULL: nothing of the kind */
    void (*on_meta)(struct session *session, const struct meta_request *request);
    void (*on_query)(struct session *session, const struct op_queue_query *answer);
    void (*on_visit)(struct session *session, struct visit *visit); /* takes it */
    void (*on_message)(struct session *session, struct op *op);     /* GET_OK, GET_EMPTY, CONFIRM */
    void (*on_piece)(struct session *session, struct slice piece);  /* of an upload's body */
    void (*on_body)(struct session *session);                       /* it is complete */
    void (*on_page)(struct session *session, const struct waiting_page *page);
    void (*on_gauge)(struct session *session, struct gauge *gauge); /* takes it */
    void (*on_time)(struct session *session);
    void (*on_taken)(struct session *session); /* it is another turn, and the client not behind */
    void *state;                               /* of the handler; freed by free_state */
    void (*free_state)(void *state);
};

/* For listeners; http is the node's. */
void session_open(struct stream *stream, void *http);
void session_open_scrape(struct stream *stream, void *http);

struct node *session_node(const struct session *session);
struct routing *session_routing(const struct session *session);

/* The first name of the path is the node's; false: it is not, and that was answered. */
bool session_names_node(struct session *session);

/* ---- work ---- */
/* Goes on in the next turn, or when the client, who is behind, has read. */
void session_when_taken(struct session *session, void (*on_taken)(struct session *session));
/* If the client is behind, so that the visit waits: on_time is called unless it reads by then. */
void session_while_held(struct session *session, unsigned ms, void (*on_time)(struct session *s));
/* The visit that waits for the client, NULL: none does. The caller's. */
struct visit *session_take_held(struct session *session);
/* A zeroed visit of size bytes that begins with struct visit. */
void *session_visit_new(size_t size, bool (*run)(struct visit *visit, struct shard *shard));
/* Sends it to one shard, once the client is not behind; on_visit gets it when it is back, done or
 * not. Takes the visit. */
void session_visit(struct session *session, struct visit *visit, unsigned shard,
                   void (*on_visit)(struct session *session, struct visit *visit));
/* Goes on where the visit is not done, or on the next shard (downwards). False: it was everywhere.
 * While the client is behind, the visit waits. */
bool session_visit_on(struct session *session, struct visit *visit);

/* The request acts for the session's user. trusted: the tags were checked, rights don't count. */
struct meta_request *session_request(struct session *session, enum meta_verb verb, bool trusted);
/* Takes the request. on_meta NULL: 204, or the refusal. */
void session_submit(struct session *session, struct meta_request **request,
                    void (*on_meta)(struct session *session, const struct meta_request *request));
/* The answer to a login that was not right; a wrong one is answered later. */
void session_refuse_login(struct session *session, enum login login, const char *reason);
/* The answer to a refusal of the metadata master. */
void session_fail(struct session *session, const struct failure *why);

/* The connection ends with this answer. */
bool session_is_last(const struct session *session);
/* The request was answered: the next one may come. For reply.c. */
void session_done(struct session *session);

#endif
