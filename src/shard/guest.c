/* Guests: while there is little to do, the thread of shard 0, the host, runs the loops of other
 * shards too. What goes from one to another then waits for no thread to wake up.
 *
 * A shard's own thread offers it between two turns and waits; the host takes it in, watches the
 * descriptor of its loop, and runs turns of it at the end of its own. The host sends it home when
 * it has too much to do itself, and at the end. So at any time one thread runs a shard, and the
 * node's lock is between two. */
#include "base/bug.h"
#include "base/clock.h"
#include "shard/shard_priv.h"

enum {
    LOW_SHARE = 400, /* thousandths that a shard and the host are busy together: it may go */
    HIGH_SHARE = 700,
    LOW_WINDOWS = 4, /* in a row */
    HIGH_WINDOWS = 2,
    STALE_WINDOWS = 20, /* then a share that is known says nothing */
    ROUNDS = 4,         /* at the end of a turn of the host */
    TURNS = 4,          /* of a guest in a round */
    LONG_TURN_NS = 50 * 1000,
    LONG_STINT_NS = 100 * 1000, /* then the host looks at its own sockets */
    PAUSE_WINDOWS = 10, /* from the way home to the next offer; doubled if the stay was short */
    PAUSE_WINDOWS_MAX = 1000,
    LONG_STAY_WINDOWS = 200,
};

static struct guest_house *house_of(const struct shard *s)
{
    return &s->node->house;
}

static uint64_t bit_of(const struct shard *s)
{
    return 1ull << s->index;
}

static struct shard *first_of(const struct shard *s, uint64_t bits)
{
    return &s->node->shards[__builtin_ctzll(bits)];
}

static struct shard *host_of(const struct shard *s)
{
    return atomic_load(&s->guest.host);
}

/* ---- wake-ups ---- */

bool guest_is_near(const struct shard *s)
{
    const struct shard *me = shard_self();
    if (!me || me == s)
        return false;
    const struct shard *mine = host_of(me), *its = host_of(s);
    return (mine ? mine : me) == (its ? its : s);
}

/* The host looks at rung after it made itself known; whoever does not see it yet has left a mark in
 * the loop, which the host runs once first. */
void guest_ring(struct shard *s)
{
    struct shard *host = host_of(s);
    if (!host)
        return;
    if (guest_is_near(s)) {
        s->guest.ready = true;
        return;
    }
    atomic_store(&s->guest.rung, 1);
    ev_async_send(host->loop, &host->wake);
}

static void on_polled(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)loop;
    (void)revents;
    struct shard *s = w->data;
    s->guest.ready = true;
}

/* ---- coming and going ---- */

void guest_offer(struct shard *s)
{
    struct guest_house *house = house_of(s);
    struct guest *g = &s->guest;
    pthread_mutex_lock(&house->lock);
    if (!house->closed) {
        g->away = true;
        atomic_store(&house->offered_ns, clock_mono_ns());
        atomic_fetch_or(&house->offered, bit_of(s));
        shard_wake(&s->node->shards[0]); /* under the lock: it is not near yet */
    }
    while (g->away)
        pthread_cond_wait(&g->back, &house->lock);
    pthread_mutex_unlock(&house->lock);
    g->in_a_row = 0;
    g->busy_ns = 0;
    g->window_start_ns = clock_mono_ns();
}

static void take_in(struct shard *host)
{
    struct guest_house *house = house_of(host);
    pthread_mutex_lock(&house->lock);
    uint64_t bits = atomic_exchange(&house->offered, 0);
    pthread_mutex_unlock(&house->lock);
    for (; bits; bits &= bits - 1) {
        struct shard *s = first_of(host, bits);
        s->guest.since_ns = clock_mono_ns();
        s->guest.ran_ns = 0;
        s->stats.gathered++;
        s->guest.ready = true;
        house->guests |= bit_of(s);
        atomic_store(&s->guest.host, host);
        ev_io_start(host->loop, &s->guest.polled);
    }
}

static void send_home(struct shard *host, struct shard *s)
{
    struct guest_house *house = house_of(host);
    struct guest *g = &s->guest;
    uint64_t now = clock_mono_ns();
    bool long_stay = now - g->since_ns > LONG_STAY_WINDOWS * house->window_ns;
    g->pause_windows = long_stay || !g->pause_windows ? PAUSE_WINDOWS : 2 * g->pause_windows;
    if (g->pause_windows > PAUSE_WINDOWS_MAX)
        g->pause_windows = PAUSE_WINDOWS_MAX;
    g->not_before_ns = now + g->pause_windows * house->window_ns;
    ev_io_stop(host->loop, &g->polled);
    house->guests &= ~bit_of(s);
    atomic_store(&g->host, NULL);
    pthread_mutex_lock(&house->lock);
    g->away = false;
    pthread_cond_signal(&g->back);
    pthread_mutex_unlock(&house->lock);
}

void guests_close(struct shard *host)
{
    struct guest_house *house = house_of(host);
    if (!house->window_ns)
        return;
    pthread_mutex_lock(&house->lock);
    house->closed = true;
    pthread_mutex_unlock(&house->lock);
    take_in(host);
    while (house->guests)
        send_home(host, first_of(host, house->guests));
}

/* ---- running ---- */

/* Turns until nothing happens any more: what a turn finds is finished in the next. */
static void run(struct shard *host, struct shard *s)
{
    uint64_t start = clock_mono_ns(), now = start;
    struct guest *g = &s->guest;
    g->ready = false;
    atomic_store(&g->rung, 0);
    shard_enter(s);
    for (int i = 0; i < TURNS; i++) {
        s->now_ns = s->turn_start_ns = now;
        ev_run(s->loop, EVRUN_NOWAIT);
        g->left |= s->busy || shard_has_work(s);
        now = clock_mono_ns();
        if (!g->left || now - start > LONG_STINT_NS)
            break;
    }
    shard_enter(host);
    g->ran_ns += now - start;
    host->busy = true;
}

static bool wants_turn(struct shard *s, uint64_t now)
{
    const struct guest *g = &s->guest;
    return g->ready || g->left || atomic_load(&g->rung) || shard_inbound_pending(s) ||
           (s->heap_count && s->heap[0]->due_ns <= now);
}

bool guests_run(struct shard *host)
{
    struct guest_house *house = house_of(host);
    if (atomic_load_explicit(&house->offered, memory_order_relaxed))
        take_in(host);
    if (!house->guests)
        return false;
    uint64_t start = clock_mono_ns(), now = start;
    for (int round = 0; house->guests && round < ROUNDS; round++, now = clock_mono_ns()) {
        bool any = false;
        if (now - start > LONG_STINT_NS)
            break;
        for (uint64_t bits = house->guests; bits; bits &= bits - 1) {
            struct shard *s = first_of(host, bits);
            if (!wants_turn(s, now))
                continue;
            run(host, s);
            any = true;
        }
        if (host->guest.ready || shard_inbound_pending(host)) {
            host->guest.ready = false;
            shard_finish_turn(host);
            any = true;
        }
        if (!any)
            return false;
    }
    return house->guests != 0;
}

uint64_t guests_due(const struct shard *host, uint64_t due)
{
    if (host->index != 0)
        return due;
    for (uint64_t bits = house_of(host)->guests; bits; bits &= bits - 1) {
        const struct shard *s = first_of(host, bits);
        if (s->heap_count && (!due || s->heap[0]->due_ns < due))
            due = s->heap[0]->due_ns;
    }
    return due;
}

/* ---- who goes, who returns ---- */

/* The guest that took most returns, one a window. */
static void judge_host(struct shard *host, uint32_t share)
{
    struct guest *g = &host->guest;
    struct shard *busiest = NULL;
    g->in_a_row = share >= HIGH_SHARE ? g->in_a_row + 1 : 0;
    for (uint64_t bits = house_of(host)->guests; bits; bits &= bits - 1) {
        struct shard *s = first_of(host, bits);
        if (s->guest.ran_ns && (!busiest || s->guest.ran_ns > busiest->guest.ran_ns))
            busiest = s;
    }
    if (busiest && g->in_a_row >= HIGH_WINDOWS)
        send_home(host, busiest);
    for (uint64_t bits = house_of(host)->guests; bits; bits &= bits - 1)
        first_of(host, bits)->guest.ran_ns = 0;
}

static uint32_t share_of_host(const struct shard *s, uint64_t now)
{
    const struct guest *host = &s->node->shards[0].guest;
    uint64_t at = atomic_load(&host->share_ns);
    return now > at + STALE_WINDOWS * house_of(s)->window_ns ? 0 : atomic_load(&host->share);
}

/* One shard goes at a time, so that the host's share tells of the last. */
static bool judge_own(struct shard *s, uint64_t now, uint32_t share)
{
    struct guest *g = &s->guest;
    const struct guest_house *house = house_of(s);
    g->in_a_row = share + share_of_host(s, now) <= LOW_SHARE ? g->in_a_row + 1 : 0;
    return g->in_a_row >= LOW_WINDOWS && now >= g->not_before_ns &&
           now >= atomic_load(&house->offered_ns) + LOW_WINDOWS * house->window_ns;
}

bool guest_count_turn(struct shard *s, uint64_t now, uint64_t took_ns, bool left)
{
    struct guest *g = &s->guest;
    uint64_t window_ns = house_of(s)->window_ns, passed = now - g->window_start_ns;
    if (!window_ns)
        return false;
    if (s->busy || left || took_ns > LONG_TURN_NS)
        g->busy_ns += took_ns;
    if (passed < window_ns)
        return false;
    uint32_t share = (uint32_t)(g->busy_ns * 1000 / passed);
    g->window_start_ns = now;
    g->busy_ns = 0;
    if (s->index != 0)
        return judge_own(s, now, share) && !left;
    atomic_store(&g->share, share);
    atomic_store(&g->share_ns, now);
    judge_host(s, share);
    return false;
}

/* ---- life ---- */

/* libev does not tell a loop's descriptor but to its own watcher of loops. */
static int descriptor_of(struct shard *s)
{
    struct ev_loop *outer = s->node->shards[0].loop;
    ev_embed e;
    ev_embed_init(&e, NULL, s->loop);
    ev_embed_start(outer, &e);
    int fd = e.io.fd;
    ev_embed_stop(outer, &e);
    return fd;
}

void guest_init(struct shard *s)
{
    struct guest *g = &s->guest;
    pthread_cond_init(&g->back, NULL);
    g->window_start_ns = clock_mono_ns();
    if (s->index == 0 || !house_of(s)->window_ns)
        return;
    if (!(ev_backend(s->loop) & ev_embeddable_backends())) {
        house_of(s)->window_ns = 0;
        return;
    }
    ev_io_init(&g->polled, on_polled, descriptor_of(s), EV_READ);
    g->polled.data = s;
}

void guest_fini(struct shard *s)
{
    pthread_cond_destroy(&s->guest.back);
}
