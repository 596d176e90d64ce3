/* A visit: work of a command on the shards, one after the other from the last to shard 0, in
 * portions, so that no shard stalls and what is found goes out at the client's pace.
 *
 * A visit travels as an op and is owned by whoever has it; only the shard it is on touches it. When
 * its command is gone meanwhile (the client left), it frees itself, unless it stays to its end on
 * that shard, or goes to all of them. */
#ifndef ADMIN_VISIT_H
#define ADMIN_VISIT_H

#include "base/buf.h"
#include "base/list.h"
#include "shard/shard.h"

struct call;

enum {
    VISIT_OBJECTS = 500,     /* objects looked at in one portion */
    VISIT_BYTES = 64 * 1024, /* output after which a portion ends early */
    VISIT_US = 80,           /* time after which it does, once it has looked at something */
};

struct visit {
    /* On the visited shard; what it puts into out is sent to the client. True: done here. */
    bool (*run)(struct visit *visit, struct shard *shard);
    /* At home, after the last shard. */
    void (*on_end)(struct call *call, struct visit *visit);
    /* Frees what the whole struct owns, not the struct; may be NULL. */
    void (*fini)(struct visit *visit);
    struct addr home;
    unsigned shard;    /* being visited */
    bool alone;        /* no other one after it */
    bool stays;        /* there until it is done, whether or not home waits */
    bool goes_on;      /* to the next one whether or not home waits, which gets no portions */
    bool done;         /* with that one */
    bool begun;        /* left is set */
    size_t left;       /* of run: objects not yet seen on this shard */
    uint64_t until_ns; /* of CLOCK_MONOTONIC: the portion ends */
    size_t looked;     /* objects of this portion */
    unsigned pause_ms; /* before the next portion */
    struct buf out;
    struct list waiting; /* of a shard's visits, for the next portion */
};

struct op;

/* Sends it to its shard. Takes it. */
void visit_go(struct visit *visit);
void visit_free(struct visit *visit);
/* The visit an op carries. */
struct visit *visit_of(struct op *op);
void visit_release(struct op *op);
/* What its next visit_go is for: another portion here, or the next shard. False: it is over. */
bool visit_step(struct visit *visit);
/* Runs a portion and sends it back home. False: it stays for another one. */
bool visit_arrive(struct visit *visit, struct shard *shard);

/* The portion took long enough. An object counts as looked at before. */
bool visit_is_late(const struct visit *visit);

/* Walks a dense array of objects downwards, a portion a call: the number of the next one to look at
 * is *ret_index. False: the portion is over; left is then 0 if nothing is left. What leaves the
 * array meanwhile may bring an object up twice, never hide one. */
bool visit_next(struct visit *visit, size_t count, size_t *budget, size_t *ret_index);

#endif
