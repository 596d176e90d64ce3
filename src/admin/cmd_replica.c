/* What RabbitMQ's tools ask of queues that have replicas there. Here the node leads all of them. */
#include "admin/call.h"
#include "admin/handlers.h"
#include "admin/listing.h"

#include "base/mem.h"
#include "broker/queue/face.h"
#include "meta/def.h"
#include "meta/meta.h"
#include "meta/routing.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const char *node_of(const struct call *call)
{
    return meta_node_name(call_node(call));
}

static const char *kind_of(const struct target_queue *queue)
{
    return queue->def->type == QUEUE_STREAM   ? "stream"
           : queue->def->type == QUEUE_QUORUM ? "quorum queue"
                                              : "classic queue";
}

static void fail_no_queue(struct call *call)
{
    call_fail(call, EX_UNAVAILABLE, "Target queue was not found in virtual host '%s'",
              call_vhost(call));
}

/* NULL: the call has failed; for a queue of another type with its kind between two texts. */
static const struct target_queue *find_queue(struct call *call, enum queue_type type,
                                             const char *before, const char *after)
{
    const struct target_queue *queue = call_find_queue(call, call->args.words[0]);
    if (queue && queue->def->type == type)
        return queue;
    if (queue)
        call_fail(call, EX_UNAVAILABLE, "%s%s%s", before, kind_of(queue), after);
    else
        fail_no_queue(call);
    return NULL;
}

/* ---- quorum queues ---- */

void run_quorum_status(struct call *call)
{
    call_banner(call, "Status of quorum queue %s on node %s ...", call->args.words[0],
                node_of(call));
    if (!find_queue(call, QUEUE_QUORUM, "Cannot get quorum status of a ", ""))
        return;
    rows_put_member(call);
    call_exit(call);
}

void run_reclaim_quorum_memory(struct call *call)
{
    call_banner(call, "Will flush Raft WAL of quorum queue %s ...", call->args.words[0]);
    if (find_queue(call, QUEUE_QUORUM, "This operation is not applicable to ", "s"))
        run_force_gc(call);
}

/* ---- streams ---- */

struct stream_visit {
    struct visit visit;
    struct rows rows;
    struct addr stream;
    char *node; /* owned */
    bool gone;
};

static void stream_fini(struct visit *visit)
{
    free(((struct stream_visit *)visit)->node);
}

static bool stream_run(struct visit *visit, struct shard *shard)
{
    static const char *const columns[] = {"last_offset", "committed_offset", "first_offset",
                                          "readers", "segments"};
    struct stream_visit *v = (struct stream_visit *)visit;
    const struct queue_face *face = queue_face_find(shard, v->stream);
    v->gone = !face;
    if (v->gone)
        return true;
    row_begin(&visit->out);
    row_put_text(&visit->out, &v->rows, "writer");
    row_put_text(&visit->out, &v->rows, v->node);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        row_put(&visit->out, &v->rows, columns[i], face->type->column(face, columns[i]));
    row_end(&visit->out);
    return true;
}

static void on_stream(struct call *call, struct visit *visit)
{
    if (((struct stream_visit *)visit)->gone)
        fail_no_queue(call);
    else
        call_exit(call);
}

/* Nothing is tracked: AMQP's consumers keep their offsets themselves. */
static void show_tracking(struct call *call)
{
    static const char *const names[] = {"type", "reference", "value"};
    struct rows rows;
    rows_begin_boxed(call, &rows, names, 3);
    call_exit(call);
}

void run_stream_status(struct call *call)
{
    static const char *const names[] = {"role",         "node",    "offset",  "committed_offset",
                                        "first_offset", "readers", "segments"};
    call_banner(call, "Status of stream %s on node %s ...", call->args.words[0], node_of(call));
    const struct target_queue *queue =
        find_queue(call, QUEUE_STREAM, "Cannot get stream status of a ", "");
    if (!queue)
        return;
    if (call_has(call, OPT_TRACKING)) {
        show_tracking(call);
        return;
    }
    struct stream_visit *v = visit_new(sizeof *v, stream_run, on_stream);
    v->visit.fini = stream_fini;
    v->stream = queue->def->addr;
    v->node = mem_strdup(node_of(call));
    rows_begin_boxed(call, &v->rows, names, sizeof names / sizeof *names);
    call_visit_alone(call, &v->visit, v->stream.shard);
}

void run_coordinator_status(struct call *call)
{
    call_banner(call, "Status of stream coordinator on node %s ...", node_of(call));
    rows_put_member(call);
    call_exit(call);
}
