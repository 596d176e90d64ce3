/* A call: one connection to the control socket and the command it carries. It lives on the shard
 * its stream was handed to; work for other shards goes out as visits and requests to the metadata
 * master, whose answers come back to the call's address. It ends when the stream is closed. */
#ifndef ADMIN_CALL_H
#define ADMIN_CALL_H

#include "admin/columns.h"
#include "admin/command.h"
#include "admin/request.h"
#include "admin/visit.h"
#include "base/err.h"
#include "base/value.h"
#include "meta/meta.h"
#include "net/stream.h"
#include "shard/timer.h"

struct aside;
struct event_stream;
struct import;
struct observer;
struct probe;
struct target_queue;
struct threads;
struct waiting_page;

struct call {
    struct shard *shard;
    struct addr addr;
    struct stream *stream;
    struct request request;
    struct args args;
    bool asked; /* a request came */
    bool ended; /* the last line was written */
    struct timer timer;
    struct visit *held; /* came back while the client was behind */
    struct buf line;    /* being built; empty between uses */
    /* what the command waits for, NULL: nothing of the kind */
    void (*on_meta)(struct call *call, const struct meta_request *request);
    void (*on_query)(struct call *call, const struct op_queue_query *answer);
    void (*on_waiting)(struct call *call, const struct waiting_page *page);
    void (*on_answer)(struct call *call, const char *answer);
    void (*on_chunk)(struct call *call, struct slice data); /* of a file; empty: it is over */
    void (*on_line)(struct call *call, char *text); /* of a traced connection; takes the text */
    void (*on_timer)(struct call *call);
    void (*on_gone)(struct call *call); /* before the call is freed */
    /* of the command */
    struct addr target;
    uint64_t lost;
    uint64_t wanted;         /* rows yet, or the place in the log */
    uint64_t next;           /* message of a queue to go on with */
    uint64_t until_ms;       /* on the shard's clock; 0: until the client leaves */
    struct import *import;   /* while it is read */
    struct probe *probe;     /* while ports are tried */
    struct threads *threads; /* at the begin of a sample */
    struct event_stream *events;
    struct observer *observer; /* but for the time of a look */
    struct aside *aside;       /* on another thread */
    struct columns columns;    /* of a listing that may come */
    unsigned shard_asked;
    bool boxed;   /* the table that comes is printed in boxes if no form was asked for */
    size_t frame; /* bytes of the client that follow as data */
};

/* For the control listener's protocol. */
void call_open(struct stream *stream, void *admin);

/* The value of an option, or what to take instead. */
const char *call_option(const struct call *call, enum option option, const char *otherwise);
const char *call_vhost(const struct call *call);
bool call_has(const struct call *call, enum option option);
/* In the call's virtual host; NULL: it has none of that name. */
const struct target_queue *call_find_queue(const struct call *call, const char *name);
struct node *call_node(const struct call *call);
/* Of --duration in seconds, 0: for ever; false: it is none, and the call is refused. */
bool call_duration(struct call *call, uint64_t *ret_seconds);

/* True: the command ends here, because nothing is to be done. */
bool call_is_dry(struct call *call);

/* ---- answers; after call_exit and call_fail nothing more is said ---- */
void call_banner(struct call *call, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void call_print(struct call *call, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void call_print_slice(struct call *call, struct slice text);
/* Output that is left out where only the exit code is asked for. */
void call_notice(struct call *call, struct slice text);
/* How far it is. */
void call_progress(struct call *call, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* JSON, as it is. */
void call_value(struct call *call, struct slice json);
/* A table: columns, then rows, each row_begin, cells, row_end. */
void call_columns(struct call *call, const char *const *names, size_t count, bool keyed);
void call_write(struct call *call, struct slice lines);
void call_ask(struct call *call, const char *prompt,
              void (*on_answer)(struct call *call, const char *answer));
/* A screen; the answer comes when wait_ms are over or a key was pressed: "rows columns key", of the
 * terminal, "0 0" where there is none; NULL: nobody looks any more. */
void call_show(struct call *call, struct slice screen, uint64_t wait_ms,
               void (*on_answer)(struct call *call, const char *answer));
/* A file of the client, "-" for its standard streams; the answer is NULL once it is open, else the
 * name of the error. */
void call_open_to_read(struct call *call, const char *path,
                       void (*on_answer)(struct call *call, const char *answer));
void call_open_to_write(struct call *call, const char *path,
                        void (*on_answer)(struct call *call, const char *answer));
/* The file that is open to be read comes in chunks. */
void call_receive(struct call *call, void (*on_chunk)(struct call *call, struct slice data));
void call_warn(struct call *call, struct slice text);
void call_wait_pid(struct call *call);
void call_exit(struct call *call);
/* The text is shown under "Error:". */
void call_fail(struct call *call, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The text is shown as it is. */
void call_fail_plain(struct call *call, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* "Error (argument validation): ..." with the usage. */
void call_refuse(struct call *call, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- work ---- */
/* A zeroed visit of size bytes (a struct that begins with struct visit), to start with call_visit.
 */
void *visit_new(size_t size, bool (*run)(struct visit *visit, struct shard *shard),
                void (*on_end)(struct call *call, struct visit *visit));
/* Every shard, the last one first. Takes the visit. */
void call_visit(struct call *call, struct visit *visit);
/* That shard alone. */
void call_visit_alone(struct call *call, struct visit *visit, unsigned shard);
/* Shard 0 alone. */
void call_visit_first(struct call *call, struct visit *visit);
/* on_end of visits that end their command. */
void call_visit_end(struct call *call, struct visit *visit);

/* A trusted request that answers to this call. */
struct meta_request *call_request(struct call *call, enum meta_verb verb);
/* Takes the request; on_meta NULL: the command is done if it was granted, else fails with its text.
 */
void call_submit(struct call *call, struct meta_request **request,
                 void (*on_meta)(struct call *call, const struct meta_request *request));
/* What on_meta does unless it knows better. */
void call_finish_request(struct call *call, const struct meta_request *request);

#endif
