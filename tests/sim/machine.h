/* The machine that a simulated process runs on, instead of threads, clocks and libev: the threads
 * of the store are fibers that take turns, locks and conditions are theirs, time is virtual, loops
 * of shards run when they are told to. What happens when follows from a seed alone.
 *
 * The program is linked with --wrap for the calls that machine.c stands in for (MACHINE_WRAPPED in
 * Makefile.inc); loop.c stands in for libev. */
#ifndef SIM_MACHINE_H
#define SIM_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

struct ev_loop;

/* Forgets everything of the run before: no fiber may be left. */
void machine_begin(uint64_t seed);
uint64_t machine_rnd(uint64_t below);
static inline bool machine_one_in(uint64_t n)
{
    return machine_rnd(n) == 0;
}

/* ---- time ---- */
uint64_t machine_now_ns(void);
void machine_pass(uint64_t ns);
/* Changes the time of day alone. */
void machine_set_clock(int64_t by_ms);

/* ---- fibers ---- */
/* Runs one that can go on, until it waits or gives way; false: none can. */
bool machine_run_one(void);
/* The current fiber, if it is one, may give way to others here. */
void machine_give_way(void);
/* When the first of those that wait for a time can go on; UINT64_MAX: never. */
uint64_t machine_next_ns(void);
/* Nobody holds a lock or is left. */
bool machine_is_clear(void);

/* ---- loops (loop.c) ---- */
/* Something is to be done in a turn of it now. */
bool loop_has_work(const struct ev_loop *loop);
/* When its timer fires; UINT64_MAX: never. */
uint64_t loop_next_ns(const struct ev_loop *loop);

/* ---- for the simulation to define ---- */
/* A line of the log from warnings on. */
void machine_on_log(const char *text);
_Noreturn void machine_on_deadlock(void);

#endif
