/* observer: a live view of the node. The client shows a screen and asks for the next one when it is
 * time or a key was pressed; nothing is done meanwhile, and a client that went away is forgotten.
 */
#include "admin/call.h"
#include "admin/handlers.h"
#include "admin/observer.h"

#include <stdio.h>
#include <sysexits.h>

enum { INTERVAL_MAX_S = 3600, ROWS_MAX = 1000, WIDTH_MAX = 1000 };

static uint64_t interval_s(const struct call *call)
{
    uint64_t seconds = 5;
    return args_number(call_option(call, OPT_EVERY, "5"), 1, INTERVAL_MAX_S, &seconds) ? seconds
                                                                                       : 0;
}

static void drop_observer(struct call *call)
{
    observer_free(&call->observer);
}

static bool is_over(const struct call *call)
{
    return call->until_ms && shard_now_ms(call->shard) >= call->until_ms;
}

static void leave(struct call *call)
{
    call_print(call, "Disconnected from %s.", meta_node_name(call_node(call)));
    call_exit(call);
}

static void on_looked(struct call *call, struct visit *visit);

/* "40 120 key": rows and columns of the terminal, 0 if there is none, and what was pressed. */
static void on_answer(struct call *call, const char *answer)
{
    char key[16] = "";
    struct observer *o = call->observer;
    if (!answer || is_over(call) || sscanf(answer, "%u %u %15s", &o->rows, &o->columns, key) < 2) {
        leave(call);
        return;
    }
    o->rows = o->rows < ROWS_MAX ? o->rows : ROWS_MAX;
    o->columns = o->columns < WIDTH_MAX ? o->columns : WIDTH_MAX;
    observer_press(o, key);
    call_visit(call, observer_look(&call->observer, on_looked));
}

static void on_looked(struct call *call, struct visit *visit)
{
    struct buf screen = BUF_INIT;
    uint64_t wait_ms = interval_s(call) * 1000, now_ms = shard_now_ms(call->shard);
    call->observer = observer_take(visit);
    observer_draw(call->observer, call_node(call), interval_s(call), &screen);
    if (call->until_ms && call->until_ms < now_ms + wait_ms)
        wait_ms = call->until_ms > now_ms ? call->until_ms - now_ms : 0;
    call_show(call, buf_slice(&screen), wait_ms, on_answer);
    buf_fini(&screen);
}

void run_observer(struct call *call)
{
    uint64_t seconds;
    if (!call_duration(call, &seconds))
        return;
    if (!interval_s(call)) {
        call_refuse(call, EX_USAGE, "Invalid options for this command:\n--interval : 1 to 3600");
        return;
    }
    call->observer = observer_new(call->args.count ? call->args.words[0] : NULL);
    if (!call->observer) {
        call_refuse(call, EX_USAGE, "what can be observed are queues, connections and channels");
        return;
    }
    call->on_gone = drop_observer;
    call_banner(call, "Starting a CLI observer interface on node %s...",
                meta_node_name(call_node(call)));
    call->until_ms = seconds ? shard_now_ms(call->shard) + seconds * 1000 : 0;
    call_show(call, SLICE_EMPTY, 0, on_answer);
}
