/* What observer shows: one look at the node after the other, for as long as its client asks for the
 * next. A look is a visit to every shard, which has the observer meanwhile; between two looks the
 * call has it. It remembers what the next look is compared with, and no more objects than a screen
 * can show and rates are told of. */
#ifndef ADMIN_OBSERVER_H
#define ADMIN_OBSERVER_H

#include "admin/threads.h"
#include "admin/visit.h"
#include "base/hash.h"
#include "broker/broker.h"

enum {
    OBSERVER_ROWS = 200,   /* of a table, at most */
    OBSERVER_PAST = 16384, /* objects that rates are told of */
    OBSERVER_NUMBERS = 4,
    OBSERVER_RATES = 2,
    OBSERVER_COLUMNS = 1 + OBSERVER_NUMBERS + OBSERVER_RATES, /* that can be sorted by: the name */
};

/* A table that can be shown. */
struct observer_kind {
    const char *name;
    enum listing what;
    struct observer_column {
        const char *title, *column; /* column as listings have it; of a rate what is counted */
    } place, numbers[OBSERVER_NUMBERS], rates[OBSERVER_RATES];
};

/* An object that is shown. */
struct observed {
    uint64_t id;
    double values[OBSERVER_COLUMNS]; /* of the name: none; a rate below 0 is not known */
    char *name, *place;              /* owned */
};

/* What was counted at one time. */
struct observer_counts {
    uint64_t ns; /* of CLOCK_MONOTONIC; 0: never */
    uint64_t published, delivered, acked;
    struct shard_stats shards[SHARDS_MAX];
    struct threads *threads; /* owned */
    struct hash objects;     /* of struct observer_past, which it owns */
};

struct observer {
    const struct observer_kind *kind;
    unsigned column; /* that the table is sorted by, largest first, the name: smallest */
    bool reverse;
    size_t skipped;         /* rows */
    unsigned rows, columns; /* of the terminal; 0: there is none */
    struct observer_counts before, now;
    size_t connections, channels, queues, objects; /* objects: of the kind */
    struct observed *top[OBSERVER_ROWS];           /* sorted */
    size_t count;
    struct {
        uint64_t uptime_s, memory, memory_limit, disk_free, disk_limit;
        bool memory_alarm, disk_alarm, disk_known;
        int64_t messages;
    } facts;
};

/* kind: a name of one, or NULL; NULL if it has none of that name. */
struct observer *observer_new(const char *kind);
/* NULL is fine. */
void observer_free(struct observer **observer);
/* What a key of the terminal asks for: a character, or a name such as "up". */
void observer_press(struct observer *observer, const char *key);
/* A visit to be started with call_visit; on_end finds the observer with observer_take. */
struct visit *observer_look(struct observer **observer,
                            void (*on_end)(struct call *call, struct visit *visit));
struct observer *observer_take(struct visit *visit);
/* A second's growth of a counter; below 0: not known. */
double observer_rate(const struct observer *observer, uint64_t before, uint64_t now);
/* The screen. interval_s: as it was asked for. */
void observer_draw(const struct observer *observer, const struct node *node, uint64_t interval_s,
                   struct buf *out);

#endif
