/* Counts waits by shard, each in a cell of its thread; shard 0 alone holds and lets go. */
#include "shard/awake.h"

#include "base/bug.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "shard/bell.h"
#include "shard/shard_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WINDOW_NS = 20 * 1000 * 1000,
    FRESH_NS = 5 * WINDOW_NS,       /* as long the rate of a shard's last window says something */
    LOW_NS = 200 * 1000 * 1000,     /* so long below half the rate, then it is let go */
    LOOK_MS = 50,                   /* while it is held */
    NO_REQUEST = 2000 * 1000 * 1000 /* PM_QOS_CPU_LATENCY_DEFAULT_VALUE */
};

static const uint64_t second_ns = 1000 * 1000 * 1000;

struct cell {
    _Alignas(64) uint64_t window_start_ns;
    uint64_t waits; /* in this window */
    uint64_t last;  /* a second, in the window before */
    /* the lower of the last two windows: what one command of an operator makes is no load */
    _Atomic uint64_t rate;
    _Atomic uint64_t end_ns; /* of that */
};

struct awake {
    int fd, error;
    uint32_t latency_us, wakes_per_s;
    unsigned count;
    _Atomic bool wanted; /* set by any shard, cleared by shard 0 */
    struct cell *cells;  /* one a shard */
    /* of shard 0 */
    struct bell *bell; /* it is wanted */
    struct timer look; /* set while it is held */
    bool held;
    uint64_t since_ns, held_ns; /* the one that goes on; those that are over */
    uint64_t low_since_ns;      /* 0: it is not low */
};

/* ---- the device ---- */

static void request(struct awake *a, uint32_t us)
{
    int32_t value = (int32_t)us;
    if (a->fd < 0)
        return;
    errno = 0;
    if (write(a->fd, &value, sizeof value) == sizeof value) {
        log_debug(DEFAULT, NULL, "CPU latency: %s",
                  us == NO_REQUEST ? "no request any more" : "requested");
        return;
    }
    a->error = errno ? errno : EIO;
    log_warning(DEFAULT, NULL, "CPU latency cannot be requested any more: %s", strerror(a->error));
    close(a->fd);
    a->fd = -1;
}

/* ---- rates ---- */

/* Whoever publishes none for long has waited once in that time at most. */
static uint64_t rate_of(struct cell *c, uint64_t now)
{
    uint64_t end = atomic_load_explicit(&c->end_ns, memory_order_relaxed);
    uint64_t rate = atomic_load_explicit(&c->rate, memory_order_relaxed);
    if (now <= end + FRESH_NS)
        return rate;
    uint64_t most = second_ns / (now - end);
    return rate < most ? rate : most;
}

static uint64_t rate_of_all(struct awake *a, uint64_t now)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < a->count; i++)
        sum += rate_of(&a->cells[i], now);
    return sum;
}

bool awake_count(struct awake *a, unsigned shard, uint64_t now)
{
    struct cell *c = &a->cells[shard];
    uint64_t passed = now - c->window_start_ns;
    c->waits++;
    if (passed < WINDOW_NS)
        return false;
    uint64_t rate = c->waits * second_ns / passed;
    atomic_store_explicit(&c->rate, rate < c->last ? rate : c->last, memory_order_relaxed);
    atomic_store_explicit(&c->end_ns, now, memory_order_relaxed);
    c->window_start_ns = now;
    c->last = rate;
    c->waits = 0;
    if (atomic_load_explicit(&a->wanted, memory_order_relaxed) ||
        rate_of_all(a, now) < a->wakes_per_s)
        return false;
    return !atomic_exchange(&a->wanted, true);
}

void awake_hold(struct awake *a, uint64_t now)
{
    if (a->held || a->fd < 0)
        return;
    request(a, a->latency_us);
    a->held = a->fd >= 0;
    a->since_ns = now;
    a->low_since_ns = 0;
}

bool awake_stays_held(struct awake *a, uint64_t now)
{
    if (2 * rate_of_all(a, now) >= a->wakes_per_s) {
        a->low_since_ns = 0;
        return true;
    }
    if (!a->low_since_ns)
        a->low_since_ns = now;
    if (now - a->low_since_ns < LOW_NS)
        return true;
    request(a, NO_REQUEST);
    a->held = false;
    a->held_ns += now - a->since_ns;
    atomic_store(&a->wanted, false);
    return false;
}

/* ---- on the shards ---- */

static void on_look(struct timer *t)
{
    struct awake *a = t->shard->node->awake;
    if (awake_stays_held(a, clock_mono_ns()))
        timer_set(t, LOOK_MS);
}

static void on_wanted(void *arg)
{
    struct awake *a = arg;
    awake_hold(a, clock_mono_ns());
    if (a->held)
        timer_set(&a->look, LOOK_MS);
}

void awake_on_wait_end(struct shard *s, uint64_t now)
{
    struct awake *a = s->node->awake;
    if (a && awake_count(a, s->index, now))
        bell_ring(a->bell);
}

/* ---- facts ---- */

void awake_read(const struct awake *a, uint64_t now, struct awake_facts *ret_facts)
{
    *ret_facts = (struct awake_facts){.asked = true,
                                      .error = a->error,
                                      .latency_us = a->latency_us,
                                      .held = a->held,
                                      .held_ns = a->held_ns + (a->held ? now - a->since_ns : 0)};
}

struct awake_facts awake_facts(const struct node *node)
{
    struct awake_facts facts = {.asked = false};
    if (node->awake)
        awake_read(node->awake, clock_mono_ns(), &facts);
    return facts;
}

/* ---- life ---- */

struct awake *awake_new(const struct awake_options *options, unsigned shards)
{
    struct awake *a = NEW(struct awake);
    a->latency_us = options->latency_us;
    a->wakes_per_s = options->wakes_per_s;
    a->count = shards;
    a->cells = aligned_alloc(64, shards * sizeof *a->cells);
    bug_on(!a->cells);
    memset(a->cells, 0, shards * sizeof *a->cells);
    a->fd = open(options->device, O_WRONLY | O_CLOEXEC);
    a->error = a->fd < 0 ? errno : 0;
    atomic_init(&a->wanted, a->fd < 0); /* nobody is to ask then */
    return a;
}

void awake_attach(struct awake *a, struct shard *host)
{
    a->bell = bell_new(host, on_wanted, a);
    timer_init(&a->look, host, on_look);
}

void awake_free(struct awake **awake)
{
    struct awake *a = *awake;
    if (!a)
        return;
    bell_free(&a->bell);
    if (a->look.shard)
        timer_stop(&a->look);
    if (a->fd >= 0)
        close(a->fd);
    free(a->cells);
    free(a);
    *awake = NULL;
}
