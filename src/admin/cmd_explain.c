/* explain: why the broker does what it does. The questions are in files of their own. */
#include "admin/cell.h"
#include "admin/explain.h"
#include "admin/handlers.h"

#include <stdlib.h>
#include <sysexits.h>

void explain_put_json(struct buf *out, const char *name, struct slice text)
{
    buf_printf(out, ",\"%s\":", name);
    cell_put_string(out, text);
}

static const struct {
    const char *name;
    size_t min, max; /* words behind it */
    void (*explain)(struct call *call, const char *const *words, size_t count, size_t shown);
} subjects[] = {
    {"route", 2, CONTROL_WORDS_MAX, explain_route},
    {"queue", 1, 1, explain_queue},
    {"policy", 1, 2, explain_policy},
};

void run_explain(struct call *call)
{
    const char *limit = call_option(call, OPT_LIMIT, NULL);
    const char *const *words = call->args.words;
    size_t count = call->args.count - 1;
    uint64_t shown = EXPLAIN_SHOWN;
    if (limit && !args_number(limit, 0, 1000000, &shown)) {
        call_refuse(call, EX_USAGE, "limit must be a number up to 1000000");
        return;
    }
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        if (strcmp(subjects[i].name, words[0]))
            continue;
        if (count < subjects[i].min)
            call_refuse(call, EX_USAGE, "not enough arguments.");
        else if (count > subjects[i].max)
            call_refuse(call, EX_USAGE, "too many arguments.");
        else
            subjects[i].explain(call, words + 1, count, shown);
        return;
    }
    call_refuse(call, EX_USAGE, "what can be explained is a route, a queue or a policy");
}
