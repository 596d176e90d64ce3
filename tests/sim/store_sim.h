/* Inside the simulation of the store: the world of one seed. */
#ifndef SIM_STORE_SIM_H
#define SIM_STORE_SIM_H

#include "disk_memory.h"
#include "kv_memory.h"
#include "store/fold.h"
#include "store_model.h"

enum {
    SIM_UNIT_OPS = 24,
    SIM_FRAME_UNITS = 6,
    SIM_FRAME_OPS = SIM_UNIT_OPS * SIM_FRAME_UNITS,
    SIM_FRAMES = 64,
    SIM_HELD = 16,
    SIM_UPLOADS = 4,
    SIM_TXS = 4
};

struct sim_unit {
    struct buf bytes;
    struct record_base base;
    struct op ops[SIM_UNIT_OPS];
    size_t count;
};

/* A frame that is written, and not fed to the fold yet. */
struct sim_frame {
    uint64_t lsn;
    struct journal_place place;
    struct buf bytes;
    struct op *ops;
    size_t op_count;
    size_t unit_len[SIM_FRAME_UNITS];
    unsigned units;
};

/* A message that is stored once: its parts are on their way, then its entries. */
struct sim_upload {
    uint64_t id; /* 0: free */
    uint32_t uid;
    size_t sent;
    unsigned entries; /* to come */
};

struct world {
    uint64_t seed, random;
    unsigned step;
    struct disk *disk;
    struct kv *kv;
    struct journal *journal;
    struct fold *fold;
    uint32_t segment_size, large;
    size_t frame_max;
    bool damaged; /* by purpose: some may be lost */

    struct model live, fed; /* what was appended; what the fold was given */
    struct sim_unit units[SIM_FRAME_UNITS];
    unsigned unit_count; /* the last one is being filled */
    struct sim_frame frames[SIM_FRAMES];
    size_t frame_count;
    uint64_t written, synced, fed_lsn;

    struct op held[SIM_HELD]; /* transient, in memory of their queue alone */
    size_t held_count;
    struct sim_upload uploads[SIM_UPLOADS];
    uint64_t txs[SIM_TXS];
    uint64_t last_tx;
    uint32_t last_uid;
    bool release_due, in_hook, starting;
    uint64_t damages;   /* reported */
    struct op *history; /* every ENQ */
    size_t history_count, history_cap;
    struct model_bytes room, other;
};

_Noreturn void sim_fail(const struct world *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* What happens, for a look at one seed (with SIM_TRACE in the environment). */
void sim_trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#define sim_check(w, cond, ...)           \
    do {                                  \
        if (__builtin_expect(!(cond), 0)) \
            sim_fail((w), __VA_ARGS__);   \
    } while (0)

static inline uint64_t rnd(struct world *w, uint64_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (w->random >> 11) % below;
}
static inline bool one_in(struct world *w, uint64_t n)
{
    return rnd(w, n) == 0;
}
/* The process or the machine is down: results mean nothing. */
static inline bool is_dead(const struct world *w)
{
    return disk_memory_is_cut(w->disk) || kv_memory_failed(w->kv);
}

/* ---- sim_store.c ---- */
/* What is pending becomes a frame. When the power goes in it, it may be there all the same. */
void write_frame(struct world *w);

/* ---- store_steps.c ---- */
/* One of the things that happen to queues and definitions. */
void queue_step(struct world *w);
void append(struct world *w, const struct op *op);
void end_unit(struct world *w);
size_t pending_bytes(const struct world *w);

/* ---- store_damage.c ---- */
void damage_something(struct world *w);

/* ---- store_check.c ---- */
/* The fold against what it was given. */
void check_all(struct world *w);
/* One page of one queue. */
void check_page(struct world *w);
/* With damage: whatever is there was once there, and is itself. */
void check_lenient(struct world *w);
/* Nothing is left of anything. */
void check_empty(struct world *w);

#endif
