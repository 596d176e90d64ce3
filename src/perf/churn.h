/* Connections that come, publish one message and go, again and again. */
#ifndef PERF_CHURN_H
#define PERF_CHURN_H

#include "perf/bench.h"

struct churner {
    struct actor actor;
    uint64_t begun; /* clock at the connect */
    bool busy;
};

/* b->nchurners of them, dealt to the workers. */
struct churner *churner_new_all(struct bench *b);
void churner_free_all(struct bench *b);

#endif
