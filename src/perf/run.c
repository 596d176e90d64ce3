/* The commands that publish and consume messages: run, latency, tx, backlog, get. */
#include "perf/bench.h"
#include "perf/command.h"
#include "perf/report.h"

static double between(uint64_t from, uint64_t to)
{
    return to > from ? (double)(to - from) / 1e9 : 0;
}

static double per_second(uint64_t n, double s)
{
    return s > 0 ? (double)n / s : 0;
}

/* The moments between which the stage's rates count: its fixed span, or until the last message. */
static double publish_seconds(const struct options *o, const struct stage *s)
{
    uint64_t to = o->count > 0 && s->last_tx != 0 ? s->last_tx : s->end.time;

    return between(s->begin.time, to);
}

static double deliver_seconds(const struct options *o, const struct stage *s)
{
    uint64_t to = o->count > 0 && s->last_rx != 0 ? s->last_rx : s->end.time;

    return between(s->begin.time, to);
}

static bool good(const struct verdict *v)
{
    return v->lost == 0 && v->duplicates == 0 && v->late == 0 && v->corrupt == 0;
}

static void report_rates(struct report *r, const struct bench *b, const struct stage *s)
{
    const struct options *o = b->o;
    const struct counters *from = &s->begin.sum;
    const struct counters *to = o->count > 0 ? &s->quiet.sum : &s->end.sum;
    double tx = publish_seconds(o, s);
    double rx = deliver_seconds(o, s);

    report_f64(r, "rates", "seconds", between(s->begin.time, s->end.time), "s");
    if (o->producers > 0)
        report_f64(r, "rates", "published", per_second(to->published - from->published, tx), "/s");
    if (o->consumers > 0) {
        report_f64(r, "rates", "delivered", per_second(to->delivered - from->delivered, rx), "/s");
        report_f64(r, "rates", "delivered_mib", per_second(to->octets - from->octets, rx) / 1048576,
                   "MiB/s");
    }
    if (o->confirm > 0)
        report_f64(r, "rates", "confirmed", per_second(to->confirmed - from->confirmed, tx), "/s");
    if (o->tx > 0)
        report_f64(r, "rates", "commits", per_second(to->commits - from->commits, tx), "/s");
}

static void report_totals(struct report *r, const struct bench *b, const struct stage *s)
{
    const struct counters *sum = &s->quiet.sum;

    report_u64(r, "totals", "published", sum->published, "");
    report_u64(r, "totals", "delivered", sum->delivered, "");
    if (b->o->confirm > 0)
        report_u64(r, "totals", "confirmed", sum->confirmed, "");
    if (sum->nacked > 0)
        report_u64(r, "totals", "nacked", sum->nacked, "");
    if (sum->returned > 0)
        report_u64(r, "totals", "returned", sum->returned, "");
    report_f64(r, "totals", "drain", between(s->end.time, s->quiet.time), "s");
    if (b->blocked_ns > 0)
        report_f64(r, "totals", "blocked", (double)b->blocked_ns / 1e9, "s");
    if (b->interrupted)
        report_bool(r, "totals", "interrupted", true);
}

/* CPU from the end of the warm-up until everything had arrived, over all that arrived meanwhile (or
 * was published, if nobody consumes). */
static void report_costs(struct report *r, const struct bench *b, const struct stage *s)
{
    uint64_t delivered = s->quiet.sum.delivered - s->begin.sum.delivered;
    uint64_t messages = delivered / b->topology.reach;

    if (b->o->consumers == 0)
        messages = s->quiet.sum.published - s->begin.sum.published;
    if (messages > 0)
        report_cpu(r, b->o, &s->begin, &s->quiet, messages, "per_message");
    if (b->o->npids > 0 && b->o->consumers > 0 && delivered > 0)
        report_f64(r, "broker_cpu", "per_delivery",
                   (double)(s->quiet.broker.cpu_ns - s->begin.broker.cpu_ns) / 1e3 /
                       (double)delivered,
                   "us");
    if (b->o->npids > 0)
        report_f64(r, "broker_cpu", "cores",
                   (double)(s->end.broker.cpu_ns - s->begin.broker.cpu_ns) /
                       (double)(s->end.time - s->begin.time + 1),
                   "");
}

static int finish(struct bench *b, struct report *r, bool verify)
{
    const struct options *o = b->o;
    struct verdict v;
    bool verified = true;

    if (verify) {
        bench_verify(b, &v);
        report_verdict(r, &v);
        verified = good(&v) || b->nproducers == 0;
    }
    bench_close(b);
    report_sort(r);
    return report_finish(r, o, &b->fault, verified);
}

int command_run(const struct options *o)
{
    static struct bench b;
    static struct report r;
    struct stage s;

    report_options(&r, o);
    if (!bench_open(&b, o))
        return finish(&b, &r, false);
    bench_stage(&b, STAGE_PRODUCE | STAGE_CONSUME, &s);
    if (s.begin.time != 0) {
        report_rates(&r, &b, &s);
        report_totals(&r, &b, &s);
        report_hist(&r, "latency", &b.latency);
        report_hist(&r, o->tx > 0 ? "commit" : "confirm", &b.confirm);
        report_costs(&r, &b, &s);
        report_rss(&r, o, &b.before, &s.peak, &s.quiet.broker);
    }
    return finish(&b, &r, s.begin.time != 0 && o->consumers > 0);
}

int command_backlog(const struct options *o)
{
    static struct bench b;
    static struct report r;
    struct stage fill;
    struct stage empty;

    report_options(&r, o);
    if (!bench_open(&b, o) || !bench_stage(&b, STAGE_PRODUCE, &fill))
        return finish(&b, &r, false);

    uint64_t published = fill.quiet.sum.published;
    report_f64(&r, "fill", "published", per_second(published, publish_seconds(o, &fill)), "/s");
    report_cpu(&r, o, &fill.begin, &fill.quiet, published, "fill_per_message");
    uint64_t grown =
        fill.quiet.broker.rss > b.before.rss ? fill.quiet.broker.rss - b.before.rss : 0;
    if (o->npids > 0 && published > 0)
        report_f64(&r, "broker_rss", "per_message",
                   (double)grown / (double)(published * b.topology.reach), "B");

    bench_stage(&b, STAGE_CONSUME, &empty);
    uint64_t delivered = empty.quiet.sum.delivered;
    double rx = empty.last_rx != 0 ? between(b.start, empty.last_rx) : 0;
    report_f64(&r, "drain", "delivered", per_second(delivered, rx), "/s");
    report_cpu(&r, o, &empty.begin, &empty.quiet, delivered, "drain_per_message");
    proc_peak(&empty.peak, &fill.peak);
    report_rss(&r, o, &b.before, &empty.peak, &empty.quiet.broker);
    return finish(&b, &r, true);
}

int command_get(const struct options *o)
{
    static struct bench b;
    static struct report r;
    struct stage fill;
    struct stage get;

    report_options(&r, o);
    if (!bench_open(&b, o) || !bench_stage(&b, STAGE_PRODUCE, &fill))
        return finish(&b, &r, false);
    b.confirm = (struct hist){0};
    bench_stage(&b, STAGE_GET, &get);

    uint64_t got = get.quiet.sum.delivered;
    report_f64(&r, "rates", "got", per_second(got, between(b.start, get.last_rx)), "/s");
    report_hist(&r, "latency", &b.latency);
    report_cpu(&r, o, &get.begin, &get.quiet, got, "per_message");
    report_rss(&r, o, &b.before, &get.peak, &get.quiet.broker);
    return finish(&b, &r, !o->duration_set);
}
