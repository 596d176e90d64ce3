/* The ring grows with the client's window; each publish costs one count. */
#include "amqp/confirms.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define ACKED 0xffffffffu /* told the client already */

enum { FIRST_CAP = 64, KEEP_CAP = 4096 };

void confirms_fini(struct confirms *cf)
{
    free(cf->left);
    free(cf->done);
    *cf = (struct confirms){0};
}

static uint32_t *place(const struct confirms *cf, uint64_t seq)
{
    return &cf->left[seq & (cf->cap - 1)];
}

static void grow(struct confirms *cf)
{
    size_t cap = cf->cap ? cf->cap * 2 : FIRST_CAP;
    uint32_t *left = mem_alloc(cap * sizeof *left);
    for (uint64_t seq = cf->base; seq < cf->next; seq++)
        left[seq & (cap - 1)] = *place(cf, seq);
    free(cf->left);
    cf->left = left;
    cf->cap = cap;
}

static void complete(struct confirms *cf, uint64_t seq)
{
    MEM_GROW(cf->done, cf->done_cap, cf->done_count + 1);
    cf->done[cf->done_count++] = seq;
}

void confirms_open(struct confirms *cf, uint64_t seq, uint32_t n)
{
    if (!cf->base)
        cf->base = cf->next = seq;
    if (cf->next - cf->base == cf->cap)
        grow(cf);
    *place(cf, seq) = n;
    cf->next = seq + 1;
    if (!n)
        complete(cf, seq);
}

void confirms_answer(struct confirms *cf, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++) {
        if (seq < cf->base || seq >= cf->next)
            continue;
        if (--*place(cf, seq) == 0)
            complete(cf, seq);
    }
}

void confirms_flush(struct confirms *cf, void (*ack)(void *arg, uint64_t seq, bool multiple),
                    void *arg)
{
    uint64_t before = cf->base, last = 0; /* last: the highest of the run not acknowledged before */
    for (; cf->base < cf->next; cf->base++) {
        uint32_t left = *place(cf, cf->base);
        if (left != 0 && left != ACKED)
            break;
        if (left == 0)
            last = cf->base;
    }
    if (last)
        ack(arg, last, last > before);
    for (size_t i = 0; i < cf->done_count; i++) {
        uint64_t seq = cf->done[i];
        if (seq < cf->base)
            continue;
        *place(cf, seq) = ACKED;
        ack(arg, seq, false);
    }
    cf->done_count = 0;
    if (cf->base == cf->next && cf->cap > KEEP_CAP) {
        free(cf->left);
        cf->left = NULL;
        cf->cap = 0;
    }
}
