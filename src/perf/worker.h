/* A thread that carries load: one epoll set and the actors dealt to it. */
#ifndef PERF_WORKER_H
#define PERF_WORKER_H

#include "perf/bench.h"

bool worker_init(struct worker *w, struct bench *b);
void worker_fini(struct worker *w);

/* The actor's socket must be open. */
void worker_add(struct worker *w, struct actor *a);

/* Forgets all actors; the thread must have ended. */
void worker_clear(struct worker *w);

bool worker_start(struct worker *w);
void worker_join(struct worker *w);

#endif
