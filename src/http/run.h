/* Sorted runs of keys, each with the place of its object, and their merge: so that sorting many
 * keys is done bit by bit. Keys compare as bytes, equal ones by their place. Pure. */
#ifndef HTTP_RUN_H
#define HTTP_RUN_H

#include "base/buf.h"
#include "shard/op.h"

/* Where an object is found again. */
struct place {
    struct addr addr;       /* of a listing */
    uint64_t vhost, number; /* of definitions */
    bool explicit;
    unsigned shard;
};

struct run;

struct runs {
    struct run *list;
    size_t count, cap;
    size_t *heap; /* of those with keys left, the first one's on top */
    size_t heap_count;
    bool reverse;
    size_t key_at;    /* of the key being made */
    struct buf last;  /* the key that was popped last; data NULL: none */
    bool only_beyond; /* keys that come before it are left out */
    size_t keep;      /* the first so many are wanted; 0: all */
    size_t held;      /* entries of the runs */
    struct buf bound; /* the last of so many: what comes behind is left out; data NULL: none yet */
};

void runs_fini(struct runs *runs);
/* Frees so many runs, the last ones: nothing is popped any more. False: some are left. */
bool runs_sweep(struct runs *runs, size_t count);
/* Forgets all keys: those that are put from now on go on where the last one was. */
void runs_restart(struct runs *runs);
/* Only the first so many keys are popped: others are left out as soon as that is known. 0: all are.
 * Before the first run. */
void runs_keep(struct runs *runs, size_t count);
/* A run is begun, gets its keys, and is ended. */
void runs_begin(struct runs *runs, bool reverse);
struct buf *runs_begin_key(struct runs *runs); /* to be appended to */
/* What there is of the key lets it be one that is wanted; false: it is not put, nor ended. */
bool runs_wants_key(struct runs *runs);
/* False: it was left out. */
bool runs_end_key(struct runs *runs, struct place place);
void runs_end(struct runs *runs);
/* No run is added any more. */
void runs_merge(struct runs *runs);
/* The place of the next key; false: there is none. */
bool runs_pop(struct runs *runs, struct place *ret_place);

#endif
