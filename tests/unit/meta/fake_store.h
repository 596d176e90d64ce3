/* A store for the master alone: what is appended becomes safe when the test says so, and then
 * changes definitions and contents as the real one's fold does. Off: there is no store. It outlives
 * worlds, as a data directory does. */
#ifndef TESTS_UNIT_META_FAKE_STORE_H
#define TESTS_UNIT_META_FAKE_STORE_H

#include "store/store.h"

struct kept {
    uint8_t noun;
    struct slice key, value; /* owned */
};

struct fake_store {
    bool on;
    struct buf open;   /* the turn's */
    struct buf handed; /* over, not safe */
    struct list waits;
    unsigned hand_overs, syncs;
    struct kept *kept; /* what is safe; in order of noun and key */
    size_t kept_count, kept_cap;
    uint64_t queues[4096]; /* that have contents */
    size_t queue_count;
    uint64_t last_queue_id;
};
extern struct fake_store fake_store;

/* Everything appended is safe: it acts, and who waited hears of it. */
void fake_store_settle(void);
/* What is not safe is lost, and nobody waits any more. */
void fake_store_crash(void);
void fake_store_fini(void);
/* Puts a value in place of what is kept, or adds one. */
void fake_store_put(uint8_t noun, struct slice key, struct slice value);
size_t fake_store_count(uint8_t noun);
bool fake_store_has_queue(uint64_t id);

#endif
