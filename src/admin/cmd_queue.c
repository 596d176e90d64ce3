/* Purging and deleting one queue: a question to the queue's actor. */
#include "admin/call.h"
#include "admin/handlers.h"

#include "meta/routing.h"

#include <sysexits.h>

static const char *name_of(const struct call *call)
{
    return call->args.words[0];
}

/* The answer comes as on_query. False if there is no such queue. */
static bool ask(struct call *call, uint16_t kind, uint16_t flags,
                void (*on_query)(struct call *call, const struct op_queue_query *answer))
{
    const struct target_queue *queue = call_find_queue(call, name_of(call));
    if (!queue)
        return false;
    if (call_is_dry(call))
        return true;
    struct op op = {.to = queue->def->addr, .kind = kind, .flags = flags};
    op_body(&op, struct op_queue_query)->reply_to = call->addr;
    call->on_query = on_query;
    post(&op);
    return true;
}

static void fail_no_queue(struct call *call)
{
    call_fail(call, EX_UNAVAILABLE, "no queue '%s' in vhost '%s'", name_of(call), call_vhost(call));
}

static void on_purged(struct call *call, const struct op_queue_query *answer)
{
    if (answer->code)
        fail_no_queue(call);
    else
        call_exit(call);
}

void run_purge_queue(struct call *call)
{
    call_banner(call, "Purging queue '%s' in vhost '%s' ...", name_of(call), call_vhost(call));
    if (!ask(call, OP_PURGE, 0, on_purged))
        fail_no_queue(call);
}

static void on_deleted(struct call *call, const struct op_queue_query *answer)
{
    if (!answer->code) {
        call_banner(call, "Queue was successfully deleted with %u ready messages",
                    answer->messages);
        call_exit(call);
    } else if (answer->why == QUEUE_REFUSED_IN_USE) {
        call_fail(call, EX_USAGE, "Queue is in use");
    } else if (answer->why == QUEUE_REFUSED_NOT_EMPTY) {
        call_fail(call, EX_USAGE, "Queue is not empty");
    } else {
        call_fail(call, EX_USAGE, "Queue not found");
    }
}

void run_delete_queue(struct call *call)
{
    bool if_empty = call_has(call, OPT_IF_EMPTY), if_unused = call_has(call, OPT_IF_UNUSED);
    call_banner(call, "Deleting queue '%s' on vhost '%s'%s%s%s ...", name_of(call),
                call_vhost(call), if_empty ? " if queue is empty" : "",
                if_empty && if_unused ? " and" : "", if_unused ? " if queue is unused" : "");
    uint16_t flags =
        (uint16_t)((if_empty ? OP_DELETE_IF_EMPTY : 0) | (if_unused ? OP_DELETE_IF_UNUSED : 0));
    if (!ask(call, OP_DELETE, flags, on_deleted))
        call_fail(call, EX_USAGE, "Queue not found");
}
