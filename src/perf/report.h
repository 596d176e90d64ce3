/* What a run found, as an ordered list of named figures: printed for people or as one JSON object.
 */
#ifndef PERF_REPORT_H
#define PERF_REPORT_H

#include "perf/bench.h"

enum { REPORT_MAX = 128 };

struct report_entry {
    const char *group; /* an object of the JSON, a paragraph of the summary */
    const char *key;
    const char *unit;
    enum { REPORT_U64, REPORT_F64, REPORT_TEXT, REPORT_BOOL } kind;
    union {
        uint64_t u64;
        double f64;
        bool yes;
    };
    char text[640];
};

struct report {
    struct report_entry entry[REPORT_MAX];
    uint32_t n;
};

void report_u64(struct report *r, const char *group, const char *key, uint64_t value,
                const char *unit);
void report_f64(struct report *r, const char *group, const char *key, double value,
                const char *unit);
void report_text(struct report *r, const char *group, const char *key, const char *value);
void report_bool(struct report *r, const char *group, const char *key, bool value);

/* min, mean, p50, p90, p99, p99.9, max in microseconds; nothing if the histogram is empty. */
void report_hist(struct report *r, const char *group, const struct hist *h);

/* The settings of the run, so that the result can be read alone. */
void report_options(struct report *r, const struct options *o);

/* CPU time a unit of work, of the broker and of this process, and the broker's RSS. */
void report_cpu(struct report *r, const struct options *o, const struct snapshot *from,
                const struct snapshot *to, uint64_t units, const char *key);
void report_rss(struct report *r, const struct options *o, const struct proc_sample *before,
                const struct proc_sample *peak, const struct proc_sample *after);

void report_verdict(struct report *r, const struct verdict *v);

/* Brings the entries of each group together, in the order of their first ones. */
void report_sort(struct report *r);

/* Prints the report, says the fault, and returns the exit code. */
int report_finish(struct report *r, const struct options *o, struct fault *fault, bool verified);

#endif
