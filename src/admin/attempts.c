/* Totals only grow, for Prometheus: what is forgotten is subtracted. */
#include "admin/attempts.h"

#include "admin/admin_priv.h"
#include "base/mem.h"
#include "broker/broker.h"

#include <stdlib.h>

static const enum broker_total totals_right[LOGIN_FRONTS] = {
    [LOGIN_FRONT_AMQP] = TOTAL_LOGINS, [LOGIN_FRONT_HTTP] = TOTAL_HTTP_LOGINS};
static const enum broker_total totals_wrong[LOGIN_FRONTS] = {
    [LOGIN_FRONT_AMQP] = TOTAL_LOGINS_REFUSED, [LOGIN_FRONT_HTTP] = TOTAL_HTTP_LOGINS_REFUSED};

static bool add_row(const struct login_source *source, void *arg)
{
    struct attempts *a = arg;
    MEM_GROW(a->rows, a->cap, a->count + 1);
    struct login_source *copy = &a->rows[a->count++];
    *copy = *source;
    copy->address = slice_dup(source->address);
    copy->user = slice_dup(source->user);
    return true;
}

static struct admin_forgotten *forgotten(struct shard *shard)
{
    return &admin_of(shard_node(shard))->forgotten[shard_index(shard)];
}

bool attempts_count(struct visit *visit, struct shard *shard)
{
    struct attempts *a = (struct attempts *)visit;
    const uint64_t *totals = broker_totals(shard);
    const struct admin_forgotten *past = forgotten(shard);
    if (a->by_source)
        login_each_source(routing_of(shard), add_row, a);
    for (int front = 0; front < LOGIN_FRONTS && !a->by_source; front++) {
        struct login_source row = {.front = (enum login_front)front,
                                   .address = SLICE_EMPTY,
                                   .user = SLICE_EMPTY,
                                   .right = totals[totals_right[front]] - past->right[front],
                                   .wrong = totals[totals_wrong[front]] - past->wrong[front]};
        if (row.right || row.wrong)
            add_row(&row, a);
    }
    return true;
}

static int compare(const void *one, const void *two)
{
    const struct login_source *a = one, *b = two;
    int c = slice_cmp(a->address, b->address);
    if (!c)
        c = slice_cmp(a->user, b->user);
    return c ? c : (int)a->front - (int)b->front;
}

void attempts_merge(struct attempts *a)
{
    size_t kept = 0;
    if (a->count)
        qsort(a->rows, a->count, sizeof *a->rows, compare);
    for (size_t i = 0; i < a->count; i++) {
        struct login_source *row = &a->rows[i];
        if (!kept || compare(&a->rows[kept - 1], row) != 0) {
            a->rows[kept++] = *row;
            continue;
        }
        a->rows[kept - 1].right += row->right;
        a->rows[kept - 1].wrong += row->wrong;
        slice_free(&row->address);
        slice_free(&row->user);
    }
    a->count = kept;
}

void attempts_fini(struct visit *visit)
{
    struct attempts *a = (struct attempts *)visit;
    for (size_t i = 0; i < a->count; i++) {
        slice_free(&a->rows[i].address);
        slice_free(&a->rows[i].user);
    }
    free(a->rows);
}

bool attempts_forget(struct visit *visit, struct shard *shard)
{
    const uint64_t *totals = broker_totals(shard);
    struct admin_forgotten *past = forgotten(shard);
    (void)visit;
    for (int front = 0; front < LOGIN_FRONTS; front++) {
        past->right[front] = totals[totals_right[front]];
        past->wrong[front] = totals[totals_wrong[front]];
    }
    login_reset_sources(routing_of(shard));
    return true;
}
