/* The command queues: declares N queues over one channel, several requests under way, deletes them
 * likewise, and reads the broker's RSS in between. One thread. Replies come in the order of the
 * requests: when each was sent stands in a ring. */
#include "perf/command.h"
#include "perf/proc.h"
#include "perf/progress.h"
#include "perf/report.h"

#include <stdlib.h>
#include <sysexits.h>

struct queues {
    const struct options *o;
    struct topology topology;
    struct fault fault;
    struct peer peer;
    uint64_t replies;
    uint64_t *sent_at; /* o->pipeline of them */
    struct hist declare;
    bool interrupted;
};

static void on_method(struct peer *p, uint32_t method)
{
    struct queues *qs = (struct queues *)((char *)p - offsetof(struct queues, peer));

    if (method == QUEUE_DECLARE_OK)
        hist_add(&qs->declare, now_ns() - qs->sent_at[qs->replies % qs->o->pipeline]);
    if (method == QUEUE_DECLARE_OK || method == QUEUE_DELETE_OK)
        qs->replies++;
}

static const struct peer_ops queues_ops = {.on_method = on_method};

/* Declares or deletes queues 0 to n - 1, keeping up to `pipeline` requests under way; returns how
 * many were answered. */
static uint64_t go_through(struct queues *qs, uint64_t n, bool declare)
{
    uint64_t asked = 0;
    uint64_t shown = now_ns();

    qs->replies = 0;
    while (qs->replies < n) {
        uint64_t under_way = asked - qs->replies;
        while (!qs->interrupted && asked < n && under_way < qs->o->pipeline) {
            char name[TOPOLOGY_NAME_MAX];
            qs->sent_at[asked % qs->o->pipeline] = now_ns();
            topology_queue_name(&qs->topology, asked++, name);
            under_way++;
            if (declare)
                topology_put_declare(qs->o, &qs->peer.out, name);
            else
                topology_put_delete(&qs->peer.out, name);
        }
        if (under_way == 0 || !peer_turn(&qs->peer, PEER_TIMEOUT_MS))
            break;
        /* Deleting goes on after a signal: the queues are ours. */
        if (declare && progress_wait(0))
            qs->interrupted = true;
        if (!qs->o->quiet && now_ns() - shown > 1000000000U) {
            shown = now_ns();
            progress_line("%llu queues %s", (unsigned long long)qs->replies,
                          declare ? "declared" : "deleted");
        }
    }
    progress_clear();
    return qs->replies;
}

static void snap(const struct queues *qs, struct snapshot *s)
{
    proc_sample(qs->o->pids, qs->o->npids, &s->broker);
    s->own_cpu = proc_own_cpu();
    s->time = now_ns();
}

static double rate(uint64_t n, const struct snapshot *from, const struct snapshot *to)
{
    return (double)n / ((double)(to->time - from->time) / 1e9);
}

static void settle(const struct queues *qs, struct snapshot *s)
{
    if (qs->o->npids > 0 && !qs->interrupted)
        progress_wait((uint64_t)(qs->o->hold * 1e9));
    snap(qs, s);
}

static void measure(struct queues *qs, struct report *r)
{
    const struct options *o = qs->o;
    struct snapshot s[6] = {0};

    snap(qs, &s[0]);
    uint64_t n = go_through(qs, o->queues, true);
    snap(qs, &s[1]);
    settle(qs, &s[2]);
    double count = n > 0 ? (double)n : 1;
    report_u64(r, "totals", "declared", n, "");
    report_f64(r, "rates", "declared", rate(n, &s[0], &s[1]), "/s");
    report_hist(r, "latency", &qs->declare);
    report_cpu(r, o, &s[0], &s[1], n, "per_declare");
    if (o->keep || fault_is_set(&qs->fault))
        return;
    snap(qs, &s[3]);
    uint64_t deleted = go_through(qs, n, false);
    snap(qs, &s[4]);
    settle(qs, &s[5]);
    report_f64(r, "rates", "deleted", rate(deleted, &s[3], &s[4]), "/s");
    report_cpu(r, o, &s[3], &s[4], deleted, "per_delete");
    if (o->npids == 0)
        return;
    report_rss(r, o, &s[0].broker, &s[2].broker, &s[5].broker);
    report_f64(r, "broker_rss", "per_queue",
               ((double)s[2].broker.rss - (double)s[0].broker.rss) / 1024 / count, "KiB");
    report_f64(r, "broker_rss", "kept_per_queue",
               ((double)s[5].broker.rss - (double)s[0].broker.rss) / 1024 / count, "KiB");
}

int command_queues(const struct options *o)
{
    static struct queues qs;
    static struct report r;
    struct proc_sample sample;

    qs.o = o;
    qs.sent_at = calloc(o->pipeline, sizeof *qs.sent_at);
    if (qs.sent_at == NULL)
        abort();
    topology_init(&qs.topology, o);
    report_options(&r, o);
    peer_init(&qs.peer, &o->uri, &queues_ops, &qs.fault, PEER_READ_SMALL * 4);
    if (o->npids > 0 && !proc_sample(o->pids, o->npids, &sample))
        fault_set(&qs.fault, EX_USAGE, "--pid: no such process");
    else if (peer_open(&qs.peer)) {
        measure(&qs, &r);
        peer_end(&qs.peer);
    }
    peer_fini(&qs.peer);
    free(qs.sent_at);
    report_sort(&r);
    return report_finish(&r, o, &qs.fault, true);
}
