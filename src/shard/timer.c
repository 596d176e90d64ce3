/* A binary heap of due times under one ev_timer a shard. */
#include "shard/timer.h"

#include "base/bug.h"
#include "base/clock.h"
#include "base/mem.h"
#include "shard/shard_priv.h"

static void put(struct shard *s, size_t i, struct timer *t)
{
    s->heap[i] = t;
    t->index = (uint32_t)i + 1;
}

static void sift_up(struct shard *s, size_t i, struct timer *t)
{
    while (i) {
        size_t parent = (i - 1) / 2;
        if (s->heap[parent]->due_ns <= t->due_ns)
            break;
        put(s, i, s->heap[parent]);
        i = parent;
    }
    put(s, i, t);
}

static void sift_down(struct shard *s, size_t i, struct timer *t)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= s->heap_count)
            break;
        if (child + 1 < s->heap_count && s->heap[child + 1]->due_ns < s->heap[child]->due_ns)
            child++;
        if (t->due_ns <= s->heap[child]->due_ns)
            break;
        put(s, i, s->heap[child]);
        i = child;
    }
    put(s, i, t);
}

static void settle(struct shard *s, size_t i, struct timer *t)
{
    if (i && s->heap[(i - 1) / 2]->due_ns > t->due_ns)
        sift_up(s, i, t);
    else
        sift_down(s, i, t);
}

void timer_set(struct timer *t, uint64_t delay_ms)
{
    struct shard *s = t->shard;
    t->due_ns = s->now_ns + delay_ms * 1000000u;
    if (t->index) {
        settle(s, t->index - 1, t);
        return;
    }
    MEM_GROW(s->heap, s->heap_cap, s->heap_count + 1);
    sift_up(s, s->heap_count++, t);
}

void timer_stop(struct timer *t)
{
    if (!t->index)
        return;
    struct shard *s = t->shard;
    size_t i = t->index - 1;
    bug_on(s->heap[i] != t);
    t->index = 0;
    struct timer *last = s->heap[--s->heap_count];
    if (last != t)
        settle(s, i, last);
}

void timer_run_due(struct shard *s)
{
    while (s->heap_count && s->heap[0]->due_ns <= s->now_ns) {
        struct timer *t = s->heap[0];
        timer_stop(t);
        t->fn(t);
    }
}

void timer_arm(struct shard *s)
{
    uint64_t due = guests_due(s, s->heap_count ? s->heap[0]->due_ns : 0);
    if (due == s->alarm_due_ns)
        return;
    s->alarm_due_ns = due;
    ev_timer_stop(s->loop, &s->alarm);
    if (!due)
        return;
    uint64_t now = clock_mono_ns();
    double wait = due > now ? (double)(due - now) / 1e9 : 0.;
    ev_now_update(s->loop);
    ev_timer_set(&s->alarm, wait, 0.);
    ev_timer_start(s->loop, &s->alarm);
}
