/* consume_event_stream: what happens in the broker, as it happens. Every shard has a watch that
 * turns its events into lines and sends them to the call. Call and watches share a stream, by which
 * the watches learn that the call is gone. */
#include "admin/call.h"
#include "admin/handlers.h"

#include "base/json.h"
#include "base/mem.h"
#include "broker/events.h"
#include "meta/pattern.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sysexits.h>

struct event_stream {
    _Atomic unsigned refs;
    _Atomic bool over;
    struct addr to;
    struct pattern pattern; /* of keys */
};

struct event_watch {
    struct events_watch is;
    struct event_stream *stream; /* one reference */
    struct pattern_matcher *matcher;
};

static struct event_stream *event_stream_ref(struct event_stream *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

static void event_stream_unref(struct event_stream *s)
{
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
        return;
    pattern_fini(&s->pattern);
    free(s);
}

/* ---- on a shard ---- */

static struct event_watch *of(struct events_watch *watch)
{
    return list_entry(watch, struct event_watch, is);
}

static bool watch_wants(const struct events_watch *watch)
{
    const struct event_watch *w = list_entry(watch, const struct event_watch, is);
    return !atomic_load_explicit(&w->stream->over, memory_order_relaxed);
}

static void watch_free(struct events_watch *watch)
{
    struct event_watch *w = of(watch);
    event_stream_unref(w->stream);
    pattern_matcher_free(&w->matcher);
    free(w);
}

/* {"event":"queue.created","timestamp_in_ms":...,"name":"q",...} */
static void watch_on_event(struct events_watch *watch, const char *key, struct slice table)
{
    const struct event_watch *w = of(watch);
    struct buf line = BUF_INIT, headers = BUF_INIT;
    struct slice name = slice_str(key);
    if (!pattern_matches(&w->stream->pattern, w->matcher, name))
        return;
    buf_append_str(&line, "{\"event\":");
    json_put_string(&line, name);
    buf_append_byte(&line, ',');
    json_put_table(&headers, table); /* what is no text stands there as RabbitMQ writes it */
    buf_append_slice(&line, slice_of(headers.data + 1, headers.len - 1));
    struct op op = {.to = w->stream->to, .kind = OP_TRACE_LINE};
    op_body(&op, struct op_text)->text = slice_cstr(buf_slice(&line));
    buf_fini(&line);
    buf_fini(&headers);
    post(&op);
}

struct watch_visit {
    struct visit visit;
    struct event_stream *stream; /* one reference */
};

static void watch_visit_fini(struct visit *visit)
{
    event_stream_unref(((struct watch_visit *)visit)->stream);
}

static bool watch_run(struct visit *visit, struct shard *shard)
{
    struct event_watch *w = NEW(struct event_watch);
    w->is.wants = watch_wants;
    w->is.on_event = watch_on_event;
    w->is.free = watch_free;
    w->stream = event_stream_ref(((struct watch_visit *)visit)->stream);
    w->matcher = pattern_matcher_new();
    events_watch(shard, &w->is);
    return true;
}

/* ---- the call ---- */

/* A client that does not read loses lines, and is told how many. */
static void on_line(struct call *call, char *text)
{
    if (stream_is_full(call->stream)) {
        call->lost++;
    } else {
        if (call->lost) {
            struct buf warning = BUF_INIT;
            buf_printf(&warning, "%llu events were not shown", (unsigned long long)call->lost);
            call_warn(call, buf_slice(&warning));
            buf_fini(&warning);
        }
        call->lost = 0;
        call_print_slice(call, slice_str(text));
    }
    free(text);
}

static void end_stream(struct call *call)
{
    atomic_store_explicit(&call->events->over, true, memory_order_relaxed);
    event_stream_unref(call->events);
    call->events = NULL;
}

static void on_watching(struct call *call, struct visit *visit)
{
    (void)call;
    (void)visit;
}

void run_consume_event_stream(struct call *call)
{
    const char *pattern = call_option(call, OPT_PATTERN, ".*");
    uint64_t seconds;
    struct failure why;
    if (!call_duration(call, &seconds))
        return;
    if (pattern_check(slice_str(pattern), &why)) {
        call_fail(call, EX_DATAERR, "%s", why.text);
        return;
    }
    if (call_is_dry(call))
        return;
    struct event_stream *s = NEW(struct event_stream);
    atomic_init(&s->refs, 1);
    s->to = call->addr;
    pattern_init(&s->pattern, slice_str(pattern));
    call->events = s;
    call->on_line = on_line;
    call->on_gone = end_stream;
    call->on_timer = call_exit;
    if (seconds)
        timer_set(&call->timer, seconds * 1000);
    struct watch_visit *v = visit_new(sizeof *v, watch_run, on_watching);
    v->visit.fini = watch_visit_fini;
    v->stream = event_stream_ref(s);
    call_visit(call, &v->visit);
}
