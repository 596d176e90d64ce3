/* See report.h. */
#include "perf/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <sysexits.h>
#include <time.h>

static struct report_entry *add(struct report *r, const char *group, const char *key)
{
    if (r->n == REPORT_MAX)
        r->n--;
    struct report_entry *e = &r->entry[r->n++];
    *e = (struct report_entry){.group = group, .key = key, .unit = ""};
    return e;
}

void report_u64(struct report *r, const char *group, const char *key, uint64_t value,
                const char *unit)
{
    struct report_entry *e = add(r, group, key);

    e->kind = REPORT_U64;
    e->u64 = value;
    e->unit = unit;
}

void report_f64(struct report *r, const char *group, const char *key, double value,
                const char *unit)
{
    struct report_entry *e = add(r, group, key);

    e->kind = REPORT_F64;
    e->f64 = isfinite(value) ? value : 0;
    e->unit = unit;
}

void report_text(struct report *r, const char *group, const char *key, const char *value)
{
    struct report_entry *e = add(r, group, key);

    e->kind = REPORT_TEXT;
    snprintf(e->text, sizeof e->text, "%s", value);
}

void report_bool(struct report *r, const char *group, const char *key, bool value)
{
    struct report_entry *e = add(r, group, key);

    e->kind = REPORT_BOOL;
    e->yes = value;
}

void report_hist(struct report *r, const char *group, const struct hist *h)
{
    if (h->count == 0)
        return;
    report_u64(r, group, "samples", h->count, "");
    report_f64(r, group, "min", (double)h->min / 1e3, "us");
    report_f64(r, group, "mean", hist_mean(h) / 1e3, "us");
    report_f64(r, group, "p50", (double)hist_quantile(h, 0.50) / 1e3, "us");
    report_f64(r, group, "p90", (double)hist_quantile(h, 0.90) / 1e3, "us");
    report_f64(r, group, "p99", (double)hist_quantile(h, 0.99) / 1e3, "us");
    report_f64(r, group, "p99.9", (double)hist_quantile(h, 0.999) / 1e3, "us");
    report_f64(r, group, "max", (double)h->max / 1e3, "us");
}

static void option_number(struct report *r, const char *key, uint64_t value, bool show)
{
    if (show)
        report_u64(r, "options", key, value, "");
}

static void flow_options(struct report *r, const struct options *o)
{
    bool matching = o->type == EXCHANGE_TOPIC || o->type == EXCHANGE_HEADERS;

    option_number(r, "producers", o->producers, true);
    option_number(r, "consumers", o->consumers, true);
    option_number(r, "queues", o->queues, true);
    option_number(r, "threads", o->threads, true);
    report_text(r, "options", "type", options_type_name(o->type));
    option_number(r, "size", o->size_min, true);
    option_number(r, "size_max", o->size_max, o->size_max != o->size_min);
    option_number(r, "bindings", o->bindings, matching);
    option_number(r, "match", o->match, matching);
    option_number(r, "rate", o->rate, o->rate > 0);
    option_number(r, "confirm", o->confirm, o->confirm > 0);
    option_number(r, "tx", o->tx, o->tx > 0);
    option_number(r, "prefetch", o->prefetch, o->prefetch > 0);
    option_number(r, "ack", o->ack, true);
    option_number(r, "inflight", o->inflight, o->inflight > 0);
    if (o->pin)
        report_bool(r, "options", "pin", true);
    if (o->persistent)
        report_bool(r, "options", "persistent", true);
    if (o->durable)
        report_bool(r, "options", "durable", true);
}

void report_options(struct report *r, const struct options *o)
{
    char when[64];
    struct tm tm;
    time_t now = time(NULL);

    report_text(r, "", "tool", "jackalope-perf " PACKAGE_VERSION);
    report_text(r, "", "command", options_command_name(o->command));
    gmtime_r(&now, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    report_text(r, "", "finished", when);
    if (o->command <= COMMAND_GET)
        flow_options(r, o);
    option_number(r, "count", o->count, o->count > 0);
    option_number(r, "pipeline", o->pipeline,
                  o->command == COMMAND_GET || o->command == COMMAND_QUEUES);
    option_number(r, "parallel", o->parallel,
                  o->command == COMMAND_CHURN || o->command == COMMAND_IDLE);
    option_number(r, "connections", o->connections, o->command == COMMAND_IDLE);
    option_number(r, "queues", o->queues, o->command == COMMAND_QUEUES);
}

void report_cpu(struct report *r, const struct options *o, const struct snapshot *from,
                const struct snapshot *to, uint64_t units, const char *key)
{
    double n = units > 0 ? (double)units : 1;

    if (o->npids > 0)
        report_f64(r, "broker_cpu", key,
                   (double)(to->broker.cpu_ns - from->broker.cpu_ns) / 1e3 / n, "us");
    report_f64(r, "generator_cpu", key, (double)(to->own_cpu - from->own_cpu) / 1e3 / n, "us");
}

void report_rss(struct report *r, const struct options *o, const struct proc_sample *before,
                const struct proc_sample *peak, const struct proc_sample *after)
{
    if (o->npids == 0)
        return;
    report_u64(r, "broker_rss", "before", before->rss >> 10, "KiB");
    report_u64(r, "broker_rss", "peak", peak->rss >> 10, "KiB");
    report_u64(r, "broker_rss", "after", after->rss >> 10, "KiB");
    report_u64(r, "broker_rss", "anon_before", before->anon >> 10, "KiB");
    report_u64(r, "broker_rss", "anon_peak", peak->anon >> 10, "KiB");
    report_u64(r, "broker_rss", "anon_after", after->anon >> 10, "KiB");
}

void report_verdict(struct report *r, const struct verdict *v)
{
    report_u64(r, "verify", "expected", v->expected, "");
    report_u64(r, "verify", "received", v->fresh, "");
    report_u64(r, "verify", "lost", v->lost, "");
    report_u64(r, "verify", "duplicates", v->duplicates, "");
    report_u64(r, "verify", "out_of_order", v->late, "");
    report_u64(r, "verify", "corrupt", v->corrupt, "");
    report_u64(r, "verify", "redelivered", v->redelivered, "");
    report_u64(r, "verify", "foreign", v->foreign, "");
}

static void json_string(const char *s)
{
    putchar('"');
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void json_value(const struct report_entry *e)
{
    switch (e->kind) {
    case REPORT_U64:
        printf("%" PRIu64, e->u64);
        break;
    case REPORT_F64:
        printf("%.6g", e->f64);
        break;
    case REPORT_BOOL:
        printf(e->yes ? "true" : "false");
        break;
    default:
        json_string(e->text);
    }
}

static void print_json(const struct report *r)
{
    const char *group = "";

    putchar('{');
    for (uint32_t i = 0; i < r->n; i++) {
        const struct report_entry *e = &r->entry[i];
        if (strcmp(e->group, group) != 0) {
            if (group[0] != '\0')
                putchar('}');
            if (i > 0)
                putchar(',');
            if (e->group[0] != '\0') {
                json_string(e->group);
                printf(":{");
            }
            group = e->group;
        } else if (i > 0) {
            putchar(',');
        }
        json_string(e->key);
        putchar(':');
        json_value(e);
    }
    printf(group[0] != '\0' ? "}}\n" : "}\n");
}

static void print_value(const struct report_entry *e)
{
    switch (e->kind) {
    case REPORT_U64:
        printf("%" PRIu64, e->u64);
        break;
    case REPORT_F64:
        printf(fabs(e->f64) >= 1000 ? "%.0f" : fabs(e->f64) >= 10 ? "%.1f" : "%.3f", e->f64);
        break;
    case REPORT_BOOL:
        printf(e->yes ? "yes" : "no");
        break;
    default:
        printf("%s", e->text);
    }
    if (e->unit[0] != '\0')
        printf(" %s", e->unit);
}

/* A line a group: "latency: p50 81.2 us, p90 ...". */
static void print_summary(const struct report *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        const struct report_entry *e = &r->entry[i];
        bool first = i == 0 || strcmp(e->group, r->entry[i - 1].group) != 0;
        if (e->group[0] == '\0')
            continue;
        if (first)
            printf("%-14s ", e->group);
        else
            printf(", ");
        printf("%s ", e->key);
        print_value(e);
        if (i + 1 == r->n || strcmp(r->entry[i + 1].group, e->group) != 0)
            putchar('\n');
    }
}

void report_sort(struct report *r)
{
    for (uint32_t i = 1; i < r->n; i++) {
        uint32_t at = i;
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(r->entry[k].group, r->entry[i].group) == 0)
                at = k + 1;
        struct report_entry e = r->entry[i];
        for (uint32_t k = i; k > at; k--)
            r->entry[k] = r->entry[k - 1];
        r->entry[at] = e;
    }
}

int report_finish(struct report *r, const struct options *o, struct fault *fault, bool verified)
{
    int code = EX_OK;

    if (fault_is_set(fault))
        code = fault->code;
    else if (!verified)
        code = EX_DATAERR;
    if (fault_is_set(fault))
        report_text(r, "", "error", fault->text);
    report_u64(r, "", "exit_code", (uint64_t)code, "");
    if (o->json)
        print_json(r);
    else
        print_summary(r);
    fflush(stdout);
    if (fault_is_set(fault))
        fprintf(stderr, "jackalope-perf: %s\n", fault->text);
    else if (!verified)
        fprintf(stderr, "jackalope-perf: what was received is not what was sent\n");
    return code;
}
