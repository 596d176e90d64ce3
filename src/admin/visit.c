/* Visits travel between the call and the agents of the shards. */
#include "admin/visit.h"

#include "admin/admin_priv.h"
#include "base/clock.h"

#include <stdlib.h>

struct op_visit {
    struct visit *visit;
};

struct visit *visit_of(struct op *op)
{
    return op_body(op, struct op_visit)->visit;
}

void visit_free(struct visit *visit)
{
    if (visit->fini)
        visit->fini(visit);
    buf_fini(&visit->out);
    free(visit);
}

void visit_release(struct op *op)
{
    visit_free(visit_of(op));
}

static void send(struct visit *visit, struct addr to, uint16_t kind)
{
    struct op op = {.to = to, .kind = kind};
    op_body(&op, struct op_visit)->visit = visit;
    post(&op);
}

void visit_go(struct visit *visit)
{
    struct node *node = shard_node(shard_self());
    send(visit, admin_agent(node, visit->shard), ADMIN_OP_VISIT);
}

bool visit_step(struct visit *visit)
{
    if (!visit->done)
        return true;
    if (visit->alone || !visit->shard)
        return false;
    visit->shard--;
    visit->begun = visit->done = false;
    return true;
}

bool visit_arrive(struct visit *visit, struct shard *shard)
{
    visit->looked = 0;
    visit->until_ns = clock_mono_ns() + VISIT_US * 1000;
    visit->done = visit->run(visit, shard);
    if (visit->stays && !visit->done)
        return false;
    if (visit->goes_on && visit->done && visit_step(visit))
        visit_go(visit);
    else
        send(visit, visit->home, ADMIN_OP_BACK);
    return true;
}

bool visit_is_late(const struct visit *visit)
{
    return visit->looked && clock_mono_ns() >= visit->until_ns;
}

bool visit_next(struct visit *visit, size_t count, size_t *budget, size_t *ret_index)
{
    enum { LOOKS = 4 /* at the clock: one of so many objects */ };
    if (!visit->begun || visit->left > count) {
        visit->left = count;
        visit->begun = true;
    }
    if (!visit->left || !*budget || visit->out.len >= VISIT_BYTES)
        return false;
    if (visit->looked % LOOKS == 0 && visit_is_late(visit))
        return false;
    visit->looked++;
    --*budget;
    *ret_index = --visit->left;
    return true;
}
