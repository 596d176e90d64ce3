/* A whole broker in one process without threads: queues, transactions, dead letters, pages, the
 * metadata master, shards and their rings, and the store with its threads, journal and checkpoints,
 * on a disk and tables in memory. Who goes on is drawn, time is virtual. Clients publish, consume,
 * settle, get, purge, declare, delete and commit; the power goes in any call of the disk or the
 * tables, also while starting and stopping, and what was not synced is lost in any part, torn at
 * 512 bytes. While it runs each queue must have what its effects say; after each start everything
 * that a client was promised must be there, and nothing else.
 *
 *   sim_broker [SEEDS [FIRST]]     each seed is one run
 *
 * In the environment: SIM_TRACE prints what happens, SIM_ABORT ends with a core, SIM_ALONE runs in
 * one process. */
#include "base/bug.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "broker/broker.h"
#include "broker/exchange/exchange.h"
#include "broker/queue/sequence.h"
#include "partition/partition.h"
#include "shard/shard_priv.h"
#include "store/store_priv.h"
#include "tests/sim/broker_sim.h"
#include "tests/sim/workers.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { LIVES = 3, IDLE_TURNS = 100000 };
#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 2000 };
#else
enum { SEEDS = 20000 };
#endif

struct world *sim;
static bool tracing;

_Noreturn void sim_fail(const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "seed %" PRIu64 " life %u step %u: ", sim->seed, sim->life, sim->step);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n  again: sim_broker 1 %" PRIu64 "\n", sim->seed);
    if (getenv("SIM_ABORT"))
        abort();
    exit(1);
}

void sim_trace(const char *fmt, ...)
{
    va_list ap;
    if (!tracing)
        return;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
}

static void on_panic(int fd)
{
    dprintf(fd, "seed %" PRIu64 ", life %u, step %u\n", sim->seed, sim->life, sim->step);
}

void machine_on_log(const char *text)
{
    if (sim->fills && slice_starts(slice_str(text), SLICE("no room on the disk")))
        return;
    sim_fail("the broker complains: %s", text);
}

_Noreturn void machine_on_deadlock(void)
{
    sim_fail("everybody waits");
}

/* ---- what is chosen otherwise than in a daemon ---- */

extern struct paging_limits __wrap_pager_limits;
struct paging_limits __wrap_pager_limits;

enum err __real_fold_open(const struct fold_options *options, struct fold **ret_fold,
                          struct failure *why);
enum err __wrap_fold_open(const struct fold_options *options, struct fold **ret_fold,
                          struct failure *why);
void __real_fold_pressure(struct fold *f, uint64_t *ret_journal_bytes, uint64_t *ret_live_bytes);
void __wrap_fold_pressure(struct fold *f, uint64_t *ret_journal_bytes, uint64_t *ret_live_bytes);

enum err __wrap_fold_open(const struct fold_options *options, struct fold **ret_fold,
                          struct failure *why)
{
    struct fold_options o = *options;
    o.large = sim->large;
    o.portion = one_in(3) ? 1 + rnd(20) : 0;
    return __real_fold_open(&o, ret_fold, why);
}

/* Checkpoints come often. */
void __wrap_fold_pressure(struct fold *f, uint64_t *ret_journal_bytes, uint64_t *ret_live_bytes)
{
    __real_fold_pressure(f, ret_journal_bytes, ret_live_bytes);
    if (one_in(5))
        *ret_live_bytes = STORE_LIVE_HIGH + 1;
}

/* ---- a life ---- */

static struct op_kind kinds[OP_END]; /* the node keeps a pointer to its table */

static bool is_known(uint64_t id, void *unused)
{
    static struct fold_queue found;
    (void)unused;
    return fold_get_queue(store_fold(sim->store), id, &found);
}

static void boot(void)
{
    struct node_options o = {.shards = sim->shards, .ops = kinds, .op_count = OP_END};
    struct meta_options meta = {.default_vhost = "/", .node_name = "sim"};
    struct store_options store = {.directory = ".",
                                  .segment_size = sim->segment_size,
                                  .segments_max = 8,
                                  .checkpoint_s = 1,
                                  .unit_large = sim->unit_large};
    struct failure why = {.text = ""};
    sim_trace("life %u begins\n", sim->life);
    sim->node = node_new(&o);
    enum err err = store_open(sim->node, &store, &sim->store, &why);
    sim_check(!err, "no start: %s", why.text);
    err = partitions_open(sim->node, ".", &sim->partitions, &why);
    sim_check(!err, "no start: %s", why.text);
    partitions_sweep(sim->partitions, is_known, NULL);
    meta_init(sim->node, &meta);
    node_each_shard(sim->node, broker_init, NULL);
    for (unsigned i = 0; i < sim->shards; i++)
        meta_set_queue_maker(sim->node, i, broker_addr(sim->node, i));
    err = meta_load(sim->node, sim->store, &why);
    sim_check(!err, "no start: %s", why.text);
    clients_begin();
    once_begin();
    stream_begin();
    sim->ending = false;
}

/* True: the power went before. */
static bool end(void)
{
    sim->ending = true;
    if (power_is_cut()) /* it is to end, whatever it is on */
        disk_memory_set_room(power_disk(), UINT64_MAX);
    node_drop_ops(sim->node);
    node_each_shard(sim->node, broker_fini, NULL);
    meta_fini(sim->node);
    partitions_close(&sim->partitions);
    store_close(&sim->store);
    node_free(&sim->node);
    clients_end();
    once_end();
    shadow_end_life();
    sim_check(machine_is_clear(), "a thread or a lock is left");
    bool cut = power_is_cut();
    power_restart();
    if (!sim->full) /* that which the process had may have been */
        operator_make_room();
    sim_trace("life %u has ended%s\n", sim->life, cut ? ", without power" : "");
    sim->life++;
    return cut;
}

/* One turn of a shard that has something to do, or does not know. */
static void turn(unsigned i)
{
    struct shard *s = node_shard(sim->node, i);
    shard_enter(s);
    ev_run(s->loop, EVRUN_NOWAIT);
    if (!power_is_cut())
        shadow_compare(s);
}

void __real_post(const struct op *op);
void __wrap_post(const struct op *op);

/* Other threads see it before the turn goes on. */
void __wrap_post(const struct op *op)
{
    struct shard *self = shard_self();
    __real_post(op);
    if (sim->ending || sim->amid || !one_in(12))
        return;
    sim->amid = true;
    bool telling = atomic_load(&sim->node->publication) & 1; /* the others wait for that */
    if (sim->shards > 1 && !telling)
        turn((shard_index(self) + 1 + (unsigned)rnd(sim->shards - 1)) % sim->shards);
    for (uint64_t n = rnd(8); n--;)
        machine_run_one();
    shard_enter(self);
    sim->amid = false;
}

/* False: no shard has anything to do. */
static bool turn_one(void)
{
    unsigned from = (unsigned)rnd(sim->shards);
    for (unsigned n = 0; n < sim->shards; n++) {
        unsigned i = (from + n) % sim->shards;
        if (!loop_has_work(node_shard(sim->node, i)->loop))
            continue;
        turn(i);
        return true;
    }
    return false;
}

/* Until somebody waits for it. */
static bool pass_to_next(void)
{
    uint64_t next = machine_next_ns();
    for (unsigned i = 0; i < sim->shards; i++) {
        uint64_t at = loop_next_ns(node_shard(sim->node, i)->loop);
        next = at < next ? at : next;
    }
    if (next == UINT64_MAX)
        return false;
    if (next > machine_now_ns())
        machine_pass(next - machine_now_ns());
    return true;
}

static void pass_some(void)
{
    static const uint64_t most_us[] = {20, 2000, 2000, 150000, 150000, 1500000};
    machine_pass(1000 * (1 + rnd(most_us[rnd(6)])));
}

/* Until all is answered and written, for ms at most. */
static void calm_down(uint64_t ms)
{
    uint64_t until = machine_now_ns() + ms * 1000000u;
    for (int n = 0; n < IDLE_TURNS && !power_is_cut(); n++) {
        if (turn_one() || machine_run_one())
            continue;
        if (machine_now_ns() >= until || !pass_to_next())
            return;
    }
}

/* What came from clients of a shard in one turn. */
static void act(void)
{
    unsigned shard = (unsigned)rnd(sim->shards);
    shard_enter(node_shard(sim->node, shard));
    for (uint64_t n = 1 + rnd(3); n--;) {
        struct client *c = &sim->clients[rnd(SIM_CLIENTS)];
        if (shard_index(c->shard) == shard)
            client_act(c);
    }
    if (shard_index(sim->once.shard) == shard && one_in(4))
        once_act();
    if (sim->stream.on && shard_index(sim->stream.shard) == shard && one_in(2))
        stream_act();
    turn(shard);
}

static void one_step(void)
{
    uint64_t what = rnd(100);
    operator_stay_full();
    if (sim->fills && one_in(25)) {
        if (sim->full)
            operator_make_room();
        else
            operator_fill();
    }
    if (what < 40 && turn_one())
        return;
    if (what < 75 && machine_run_one())
        return;
    if (what < 93)
        act();
    else
        pass_some();
}

static void for_each_client(void (*fn)(struct client *c))
{
    for (unsigned i = 0; i < SIM_CLIENTS; i++) {
        shard_enter(sim->clients[i].shard);
        fn(&sim->clients[i]);
        turn(shard_index(sim->clients[i].shard));
    }
}

static void declare_all(struct client *c)
{
    for (unsigned name = 0; name < sim->queue_count && c->index == 0; name++)
        client_declare(c, name);
}

/* Clients give back what they have, then the process stops; the power may go meanwhile. */
static void stop(void)
{
    for (int n = 0; n < 3 && !power_is_cut(); n++) {
        for_each_client(client_leave);
        calm_down(400);
    }
    bool quiet = !sim->once.publish_waits;
    for (unsigned i = 0; i < SIM_CLIENTS; i++)
        quiet &=
            !sim->clients[i].asked && !sim->clients[i].held_count && !sim->clients[i].publish_waits;
    sim_check(quiet || power_is_cut(), "a question is not answered");
}

static bool start_once(void)
{
    if (one_in(4))
        power_arm(1 + rnd(40));
    operator_stay_full();
    boot();
    if (power_is_cut()) {
        end();
        return false;
    }
    power_arm(0);
    check_recovery();
    once_check();
    return true;
}

static void start(void)
{
    while (!start_once())
        sim->ended_well = false;
    for_each_client(declare_all);
    once_declare();
    if (sim->stream.on)
        stream_declare();
    calm_down(200);
}

static void finish(bool in_order)
{
    if (in_order && one_in(3))
        power_arm(1 + rnd(60));
    if (in_order)
        stop();
    else
        power_cut();
    sim->ended_well = !end();
    if (!sim->ended_well)
        return;
    for (unsigned i = 0; i < SIM_SHARDS; i++)
        sim->safe[i] = sim->effects[i];
}

static void live(void)
{
    start();
    if (rnd(4))
        power_arm(1 + rnd(250));
    unsigned steps = 40 + (unsigned)rnd(120);
    for (sim->step = 0; sim->step < steps && !power_is_cut(); sim->step++)
        one_step();
    power_arm(0);
    bool in_order = !power_is_cut() && one_in(3);
    if (in_order || rnd(4))
        operator_make_room();
    finish(in_order);
    machine_pass(rnd(3000) * 1000000u);
    if (one_in(4))
        machine_set_clock((int64_t)rnd(20000) - 10000);
}

static uint64_t count_live(void)
{
    uint64_t live = 0;
    for (size_t i = 0; i < sim->shadow_count; i++)
        live += sim->shadows[i].deleting ? 0 : sim->shadows[i].live; /* gone by itself */
    return live;
}

/* Everything is taken out: nothing may be left of it. */
static void drain(void)
{
    operator_make_room();
    __wrap_pager_limits.letters = 1 << 30; /* none waits for another that nobody takes */
    start();
    for (int n = 0; n < 300 && count_live(); n++) {
        for_each_client(client_drain);
        calm_down(n < 100 ? 100 : 1000); /* letters are tried again, at last every three minutes */
    }
    sim_check(!count_live(), "%" PRIu64 " messages cannot be had", count_live());
    bool read = !sim->stream.on;
    for (int n = 0; n < 300 && !read; n++) {
        shard_enter(sim->stream.shard);
        read = stream_drain();
        turn(shard_index(sim->stream.shard));
        calm_down(20);
    }
    sim_check(read, "the stream cannot be read to its end");
    stop();
    shard_enter(sim->clients[0].shard);
    client_delete_all(&sim->clients[0]);
    once_delete();
    stream_delete();
    turn(0);
    calm_down(400);
    sim->ended_well = !end();
    for (unsigned i = 0; i < SIM_SHARDS; i++)
        sim->safe[i] = sim->effects[i];
    boot();
    check_recovery();
    sim_check(!sim->shadow_count, "a queue is left");
    power_spare();
    sim_check(!end(), "the power is gone");
    check_empty();
    stream_check_gone();
}

/* ---- a run ---- */

static uint64_t choose(struct plan *p, unsigned n, const char *name, uint64_t below)
{
    if (rnd(n))
        return RULES_NONE;
    uint64_t value = rnd(below);
    table_put_i64(&p->args, slice_str(name), (int64_t)value);
    return value;
}

static void choose_overflow(struct plan *p)
{
    static const char *const words[] = {"drop-head", "reject-publish", "reject-publish-dlx"};
    struct rules *r = &p->rules;
    r->max_length = choose(p, 2, "x-max-length", 20);
    r->max_bytes = choose(p, 4, "x-max-length-bytes", 3000);
    r->overflow = (enum overflow)rnd(3);
    if (r->max_length != RULES_NONE || r->max_bytes != RULES_NONE)
        table_put_str(&p->args, SLICE("x-overflow"), slice_str(words[r->overflow]));
}

/* When nobody uses it, by its arguments or by a policy. */
static void choose_leaving(struct plan *p)
{
    if (rnd(8))
        return;
    p->leaves = true;
    p->rules.expires = 1 + rnd(3000);
    if (!p->policies || one_in(2))
        table_put_i64(&p->args, SLICE("x-expires"), (int64_t)p->rules.expires);
}

/* Dead letters go to a queue with a higher number: none goes round. */
static void choose_letters(unsigned i)
{
    struct plan *p = &sim->plans[i];
    bool by_policy = p->policies && one_in(2);
    if (i + 1 >= sim->queue_count || rnd(2))
        return;
    p->letters_to = i + 2 + (unsigned)rnd(sim->queue_count - i - 1);
    sim->plans[p->letters_to - 1].letters_come = p->rules.dead_letters = true;
    unsigned also = i + 2 + (unsigned)rnd(sim->queue_count - i - 1);
    if (also != p->letters_to && one_in(2)) {
        p->letters_also = also;
        sim->plans[also - 1].letters_come = true;
    }
    if (!by_policy)
        operator_put_letters(p, "x-", &p->args);
}

/* What comes to it may be refused until the end, or find nothing there. */
static bool refuses_for_ever(unsigned name)
{
    const struct plan *p = name ? &sim->plans[name - 1] : NULL;
    return p && (p->leaves ||
                 (p->rules.overflow != OVERFLOW_DROP_HEAD &&
                  (p->policies || !p->rules.max_length || p->rules.max_bytes != RULES_NONE)));
}

/* Some keep dead letters until every queue has them. */
static void choose_keeping(struct plan *p)
{
    struct slice there;
    p->may_keep =
        p->letters_to && !refuses_for_ever(p->letters_to) && !refuses_for_ever(p->letters_also);
    if (!p->may_keep || p->rules.overflow == OVERFLOW_DROP_HEAD || one_in(3) ||
        !table_find_str(buf_slice(&p->args), SLICE("x-overflow"), &there) ||
        !table_find_str(buf_slice(&p->args), SLICE("x-dead-letter-exchange"), &there))
        return;
    p->rules.keeps_letters = true;
    table_put_str(&p->args, SLICE("x-dead-letter-strategy"), SLICE("at-least-once"));
}

/* What comes, and what is given back, is ready later. */
static void choose_waiting(struct plan *p)
{
    static const char *const types[] = {"all", "failed", "returned"};
    bool delay = one_in(3);
    if (delay)
        choose(p, 1, "x-delay", 600);
    p->delays = delay && one_in(3);
    if (p->delays || one_in(4))
        return;
    table_put_str(&p->args, SLICE("x-delayed-retry-type"), slice_str(types[rnd(3)]));
    choose(p, 1, "x-delayed-retry-min", 300);
    choose(p, 2, "x-delayed-retry-max", 800);
    if (one_in(2))
        table_put_str(&p->args, SLICE("x-delayed-retry-schedule"), SLICE("exponential"));
}

static void choose_plan(unsigned i)
{
    struct plan *p = &sim->plans[i];
    p->durable = rnd(5) != 0;
    p->quorum = p->durable && one_in(4);
    p->plain = one_in(3);
    p->rules = (struct rules){.delivery_limit = RULES_NONE,
                              .expires = RULES_NONE,
                              .max_length = RULES_NONE,
                              .max_bytes = RULES_NONE};
    p->auto_delete = p->leaves = !p->quorum && one_in(10);
    if (p->quorum)
        table_put_str(&p->args, SLICE("x-queue-type"), SLICE("quorum"));
    if (one_in(5))
        table_put_bool(&p->args, SLICE("x-single-active-consumer"), true);
    if (p->plain)
        return;
    p->policies = one_in(3);
    choose_leaving(p);
    if (one_in(2))
        choose_overflow(p);
    p->rules.deduplicates = one_in(4);
    if (p->rules.deduplicates)
        table_put_bool(&p->args, SLICE("x-message-deduplication"), true);
    p->rules.ttl = choose(p, 4, "x-message-ttl", 1500);
    p->rules.delivery_limit = choose(p, p->quorum ? 2 : 4, "x-delivery-limit", 4);
    if (one_in(3))
        p->rules.max_priority = one_in(3) ? 254 + (unsigned)rnd(2) : 3;
    if (p->rules.max_priority)
        table_put_i64(&p->args, SLICE("x-max-priority"), p->rules.max_priority);
    if (one_in(4))
        choose_waiting(p);
    choose_letters(i);
}

/* Half keep all in memory. */
static void choose_limits(void)
{
    static const struct paging_limits all = {.window = 4096,
                                             .window_bytes = 1 << 24,
                                             .chunk_bytes = 1 << 20,
                                             .portion = 100,
                                             .portion_bytes = 1 << 20,
                                             .extent = 100,
                                             .shard_bytes = 1 << 30,
                                             .letters = 1 << 30,
                                             .passing_bytes = 1 << 30,
                                             .recall_bytes = 1 << 30,
                                             .pace_bytes = 1 << 30};
    __wrap_pager_limits = all;
    if (one_in(3))
        return;
    __wrap_pager_limits = (struct paging_limits){.window = 1 + (uint32_t)rnd(8),
                                                 .window_bytes = 1 + rnd(1000),
                                                 .chunk_bytes = 1 + rnd(200),
                                                 .portion = 1 + (uint32_t)rnd(10),
                                                 .portion_bytes = 1 + rnd(1000),
                                                 .extent = 1 + (uint32_t)rnd(20),
                                                 .shard_bytes = rnd(100000),
                                                 .transient_bytes = one_in(2) ? 0 : rnd(100000),
                                                 .letters = one_in(2) ? 1000 : 1 + (uint32_t)rnd(4),
                                                 .passing_bytes = rnd(2000),
                                                 .recall_bytes = rnd(3000),
                                                 .pace_bytes = rnd(4000),
                                                 .pace_ahead = (uint32_t)rnd(3)};
}

static void world_init(uint64_t seed)
{
    static const size_t large[] = {0, 0, 100, 600};
    sim->seed = seed;
    machine_begin(seed);
    power_begin(seed);
    list_init(&sim->probes);
    sim->shards = 1 + (unsigned)rnd(SIM_SHARDS);
    sim->segment_size = one_in(200) ? 4 << 20 : 64 << 10;
    sim->large = large[rnd(4)];
    sim->unit_large = one_in(2) ? 0 : 1 + rnd(4000);
    sim->purges = seed % 5 == 0;
    sim->fills = one_in(10) || sim->purges;
    sim->message_count = 1;
    MEM_GROW(sim->messages, sim->message_cap, 1);
    choose_limits();
    sim->queue_count = 2 + (unsigned)rnd(SIM_QUEUES - 1);
    for (unsigned i = 0; i < sim->queue_count; i++)
        snprintf(sim->plans[i].name, sizeof sim->plans[i].name, "q%u", i);
    for (unsigned i = 0; i < sim->queue_count; i++)
        choose_plan(i);
    for (unsigned i = 0; i < sim->queue_count; i++)
        choose_keeping(&sim->plans[i]);
    stream_choose();
}

static void world_fini(void)
{
    power_fini();
    shadow_fini();
    for (unsigned i = 0; i < SIM_QUEUES; i++)
        buf_fini(&sim->plans[i].args);
    buf_fini(&sim->room);
    stream_fini();
    free(sim->messages);
}

static void run(uint64_t seed)
{
    sim = NEW(struct world);
    world_init(seed);
    for (uint64_t lives = 1 + rnd(LIVES); lives--;)
        live();
    drain();
    world_fini();
    free(sim);
}

int main(int argc, char **argv)
{
    memcpy(&kinds[OP_FIRST], broker_op_kinds(), (OP_END - OP_FIRST) * sizeof *kinds);
    exchange_types_register();
    bug_on_panic(on_panic);
    tracing = getenv("SIM_TRACE");
    mallopt(M_MMAP_THRESHOLD, 64 << 20); /* disks come and go: their memory is to stay */
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    return workers_main(argc, argv, SEEDS, run);
}
