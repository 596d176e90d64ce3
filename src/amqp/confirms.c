/* The ring grows with the client's window; each publish costs one count. */
#include "amqp/confirms.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define TOLD    0xffffffffu /* the client knows */
#define REFUSED 0x80000000u /* beside the count: a queue refused it */

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

void confirms_answer(struct confirms *cf, uint64_t first, uint64_t last, bool refused)
{
    for (uint64_t seq = first; seq <= last; seq++) {
        if (seq < cf->base || seq >= cf->next)
            continue;
        uint32_t *left = place(cf, seq);
        if (refused)
            *left |= REFUSED;
        --*left;
        if ((*left & ~REFUSED) == 0)
            complete(cf, seq);
    }
}

/* What is answered without a gap: each run of one kind is told by its last number, as all before
 * it is known. */
static void tell_prefix(struct confirms *cf,
                        void (*tell)(void *arg, uint64_t seq, bool multiple, bool refused),
                        void *arg)
{
    uint64_t from = cf->base, last = 0;
    uint32_t kind = 0;
    for (; cf->base < cf->next; cf->base++) {
        uint32_t left = *place(cf, cf->base);
        if (left == TOLD)
            continue;
        if (left & ~REFUSED)
            break;
        if (last && left != kind) {
            tell(arg, last, last > from, kind != 0);
            from = cf->base;
        }
        kind = left;
        last = cf->base;
    }
    if (last)
        tell(arg, last, last > from, kind != 0);
}

void confirms_flush(struct confirms *cf,
                    void (*tell)(void *arg, uint64_t seq, bool multiple, bool refused), void *arg)
{
    tell_prefix(cf, tell, arg);
    for (size_t i = 0; i < cf->done_count; i++) {
        uint64_t seq = cf->done[i];
        if (seq < cf->base)
            continue;
        bool refused = *place(cf, seq) & REFUSED;
        *place(cf, seq) = TOLD;
        tell(arg, seq, false, refused);
    }
    cf->done_count = 0;
    if (cf->base == cf->next && cf->cap > KEEP_CAP) {
        free(cf->left);
        cf->left = NULL;
        cf->cap = 0;
    }
}
