/* Checks of the node's health: what health.c finds, with exit code 69 if it is not well. */
#include "admin/cell.h"
#include "admin/handlers.h"
#include "admin/health.h"
#include "admin/listing.h"
#include "admin/probe.h"

#include "broker/broker.h"
#include "broker/queue/face.h"
#include "meta/def.h"
#include "meta/pattern.h"
#include "meta/routing.h"
#include "net/listener.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct check {
    struct visit visit;
    void (*look)(struct node *node, const struct check *check, struct health *health);
    struct health health;
    char text[64];
    uint64_t number;
    bool asks;   /* the answer is no failure, whatever it is */
    bool headed; /* a failure is shown under "Error:" */
};

static void check_fini(struct visit *visit)
{
    health_fini(&((struct check *)visit)->health);
}

static bool check_run(struct visit *visit, struct shard *shard)
{
    struct check *c = (struct check *)visit;
    c->look(shard_node(shard), c, &c->health);
    return true;
}

/* {"result":"ok","message":"...", the facts} */
static void put_json(struct buf *out, const struct health *h, bool asks)
{
    const char *results[2][2] = {{"\"error\"", "\"ok\""}, {"false", "true"}};
    buf_printf(out, "{\"result\":%s,\"message\":", results[asks][h->ok]);
    cell_put_string(out, buf_slice(&h->text));
    buf_append_slice(out, buf_slice(&h->fields));
    buf_append_byte(out, '}');
}

void health_answer(struct call *call, const struct health *h, bool asks, bool headed)
{
    struct buf json = BUF_INIT;
    bool as_json = call->request.json;
    put_json(&json, h, asks);
    if (h->ok || asks) {
        if (as_json)
            call_value(call, buf_slice(&json));
        else if (asks)
            call_print_slice(call, buf_slice(&h->text));
        else
            call_notice(call, buf_slice(&h->text));
        call_exit(call);
    } else {
        struct slice text = buf_slice(as_json ? &json : &h->text);
        call_fail_plain(call, EX_UNAVAILABLE, "%s%.*s", headed && !as_json ? "Error:\n" : "",
                        SLICE_ARG(text));
    }
    buf_fini(&json);
}

static void on_checked(struct call *call, struct visit *visit)
{
    struct check *c = (struct check *)visit;
    health_answer(call, &c->health, c->asks, c->headed);
}

static struct check *check_new(void (*look)(struct node *node, const struct check *check,
                                            struct health *health))
{
    struct check *c = visit_new(sizeof *c, check_run, on_checked);
    c->visit.fini = check_fini;
    c->look = look;
    return c;
}

static void start(struct call *call, struct check *c)
{
    call_visit_first(call, &c->visit);
}

static const char *name_of(const struct call *call)
{
    return meta_node_name(call_node(call));
}

/* ---- up, alarms, virtual hosts ---- */

static void look_running(struct node *node, const struct check *c, struct health *h)
{
    (void)c;
    health_running(node, h);
}

void run_check_running(struct call *call)
{
    call_banner(call, "Checking if Jackalope is running on node %s ...", name_of(call));
    start(call, check_new(look_running));
}

void run_is_running(struct call *call)
{
    struct check *c = check_new(look_running);
    c->asks = true;
    call_banner(call, "Asking node %s for its status ...", name_of(call));
    start(call, c);
}

void run_is_booting(struct call *call)
{
    struct health h = {.ok = false};
    call_banner(call, "Asking node %s for its boot status ...", name_of(call));
    buf_printf(&h.text, "Jackalope on node %s is fully booted (check with is_running)",
               name_of(call));
    health_answer(call, &h, true, false);
    health_fini(&h);
}

static void look_alarms(struct node *node, const struct check *c, struct health *h)
{
    health_alarms(node, c->text, h);
}

static void check_alarms(struct call *call, const char *what)
{
    struct check *c = check_new(look_alarms);
    strncat(c->text, what, sizeof c->text - 1);
    c->headed = true;
    call_banner(call, "Asking node %s to report any local resource alarms ...", name_of(call));
    start(call, c);
}

void run_check_alarms(struct call *call)
{
    check_alarms(call, "");
}

void run_check_local_alarms(struct call *call)
{
    check_alarms(call, "local ");
}

static void look_vhosts(struct node *node, const struct check *c, struct health *h)
{
    (void)c;
    health_virtual_hosts(node, h);
}

void run_check_virtual_hosts(struct call *call)
{
    call_banner(call, "Checking if all vhosts are running on node %s ...", name_of(call));
    start(call, check_new(look_vhosts));
}

static void look_all(struct node *node, const struct check *c, struct health *h)
{
    (void)c;
    health_virtual_hosts(node, h);
    if (!h->ok)
        return;
    health_fini(h);
    health_alarms(node, "", h);
    if (!h->ok)
        return;
    buf_clear(&h->text);
    buf_append_str(&h->text, "Health check passed");
}

void run_node_health_check(struct call *call)
{
    struct check *c = check_new(look_all);
    c->headed = true;
    call_banner(call, "Checking health of node %s ...", name_of(call));
    start(call, c);
}

/* ---- listeners ---- */

static void look_port(struct node *node, const struct check *c, struct health *h)
{
    health_port_listener(node, (unsigned)c->number, h);
}

void run_check_port_listener(struct call *call)
{
    const char *text = call->args.words[0];
    uint64_t port;
    if (!args_number(text, 1, UINT16_MAX, &port)) {
        call_refuse(call, EX_DATAERR, "Bad argument: Argument must be a positive integer");
        return;
    }
    struct check *c = check_new(look_port);
    c->number = port;
    call_banner(call, "Asking node %s if there's an active listener on port %" PRIu64 " ...",
                name_of(call), port);
    start(call, c);
}

static void look_protocol(struct node *node, const struct check *c, struct health *h)
{
    health_protocol_listener(node, c->text, h);
}

void run_check_protocol_listener(struct call *call)
{
    struct check *c = check_new(look_protocol);
    strncat(c->text, call->args.words[0], sizeof c->text - 1);
    c->headed = true;
    call_banner(call, "Asking node %s if there's an active listener for protocol %s ...",
                name_of(call), call->args.words[0]);
    start(call, c);
}

/* ---- connecting ---- */

enum { PROBE_LOOK_MS = 5, PROBE_LOOKS = 1000 };

static bool addresses_run(struct visit *visit, struct shard *shard)
{
    struct health *h = &((struct check *)visit)->health;
    struct listener *l = NULL;
    h->ok = true;
    while ((l = listener_next(shard_node(shard), l)))
        buf_printf(&h->text, "%s%s", h->text.len ? " " : "", listener_address(l));
    return true;
}

static void end_probe(struct call *call)
{
    struct buf failed = BUF_INIT;
    probe_put_failed(call->probe, &failed);
    struct health h = {.ok = !failed.len};
    if (h.ok)
        buf_printf(&h.text, "Successfully connected to all listeners on node %s.", name_of(call));
    else
        buf_printf(&h.text, "Connection to these listeners on node %s failed: %s", name_of(call),
                   buf_cstr(&failed));
    if (!h.ok) {
        buf_append_str(&h.fields, ",\"failures\":");
        cell_put_string(&h.fields, buf_slice(&failed));
    }
    health_answer(call, &h, false, true);
    health_fini(&h);
    buf_fini(&failed);
}

static void look_probe(struct call *call)
{
    if (!probe_look(call->probe) && call->lost++ < PROBE_LOOKS)
        timer_set(&call->timer, PROBE_LOOK_MS);
    else
        end_probe(call);
}

static void drop_probe(struct call *call)
{
    probe_free(&call->probe);
}

static void on_addresses(struct call *call, struct visit *visit)
{
    struct check *c = (struct check *)visit;
    call->probe = probe_new(buf_slice(&c->health.text));
    call->on_gone = drop_probe;
    call->on_timer = look_probe;
    look_probe(call);
}

void run_check_port_connectivity(struct call *call)
{
    struct check *c = visit_new(sizeof *c, addresses_run, on_addresses);
    c->visit.fini = check_fini;
    call_banner(call, "Testing connections to all active listeners on node %s ...", name_of(call));
    start(call, c);
}

/* ---- certificates ---- */

static void look_certificates(struct node *node, const struct check *c, struct health *h)
{
    health_certificates(node, c->number, c->text, h);
}

void run_check_certificate_expiration(struct call *call)
{
    const char *within = call_option(call, OPT_WITHIN, "4");
    const char *unit = call_option(call, OPT_UNIT, "weeks");
    uint64_t number;
    if (!health_unit_seconds(unit)) {
        call_refuse(call, EX_USAGE,
                    "\"unit '%s' is not supported. Please use one of: days, weeks, months, years\"",
                    unit);
    } else if (!args_number(within, 0, UINT64_MAX, &number)) {
        call_refuse(call, EX_USAGE, "Invalid options for this command:\n--within : not a number");
    } else {
        struct check *c = check_new(look_certificates);
        c->number = number;
        strncat(c->text, unit, sizeof c->text - 1);
        call_banner(call, "Checking certificate expiration on node %s ...", name_of(call));
        start(call, c);
    }
}

/* ---- leaders ---- */

struct leaders {
    struct visit visit;
    struct slice vhost; /* owned; NULL data: all */
    struct pattern pattern;
    struct buf lines, json;
};

static void leaders_fini(struct visit *visit)
{
    struct leaders *l = (struct leaders *)visit;
    slice_free(&l->vhost);
    pattern_fini(&l->pattern);
    buf_fini(&l->lines);
    buf_fini(&l->json);
}

static bool has(const struct queue_face *queue, const char *column, const char *text)
{
    struct value v = listing_get(LISTING_QUEUES, queue, column);
    bool same = v.type == VALUE_TEXT && slice_eq_str(v.bytes, text);
    value_fini(&v);
    return same;
}

static void look_at_queue(struct leaders *l, const struct queue_face *queue)
{
    const struct queue_def *def = queue->type->def(queue);
    if (l->vhost.data && !slice_eq(def->vhost, l->vhost))
        return;
    if (!has(queue, "type", "quorum") || has(queue, "state", "running"))
        return;
    struct pattern_matcher *matcher = pattern_matcher_new();
    bool meant = pattern_matches(&l->pattern, matcher, def->name);
    pattern_matcher_free(&matcher);
    if (!meant)
        return;
    buf_printf(&l->lines,
               "%squeue '%.*s' in vhost '%.*s' does not have an elected leader replica or the "
               "replica was unresponsive",
               l->lines.len ? "\n" : "", SLICE_ARG(def->name), SLICE_ARG(def->vhost));
    buf_append_str(&l->json, l->json.len ? ",{\"name\":" : "{\"name\":");
    cell_put_string(&l->json, def->name);
    buf_append_str(&l->json, ",\"virtual_host\":");
    cell_put_string(&l->json, def->vhost);
    buf_append_str(&l->json, ",\"type\":\"quorum\"}");
}

static bool leaders_run(struct visit *visit, struct shard *shard)
{
    size_t budget = VISIT_OBJECTS, index;
    while (visit_next(visit, listing_count(shard, LISTING_QUEUES), &budget, &index))
        look_at_queue((struct leaders *)visit, listing_at(shard, LISTING_QUEUES, index));
    return !visit->left;
}

static void on_leaders(struct call *call, struct visit *visit)
{
    const struct leaders *l = (struct leaders *)visit;
    struct health h = {.ok = !l->lines.len};
    if (h.ok) {
        buf_printf(&h.text, "Node %s reported all quorum queue leaders as healthy", name_of(call));
    } else {
        buf_append_slice(&h.text, buf_slice(&l->lines));
        buf_append_str(&h.fields, ",\"queues\":[");
        buf_append_slice(&h.fields, buf_slice(&l->json));
        buf_append_byte(&h.fields, ']');
    }
    health_answer(call, &h, false, false);
    health_fini(&h);
}

void run_check_for_quorum_queues_without_an_elected_leader(struct call *call)
{
    const char *text = call->args.count ? call->args.words[0] : ".*";
    bool everywhere = call_has(call, OPT_ACROSS);
    struct failure why;
    if (pattern_check(slice_str(text), &why)) {
        call_fail(call, EX_DATAERR, "%s", why.text);
        return;
    }
    if (!everywhere && !routing_find_vhost(routing_of(call->shard), slice_str(call_vhost(call)))) {
        call_fail_plain(call, EX_DATAERR, "Virtual host '%s' does not exist", call_vhost(call));
        return;
    }
    struct leaders *l = visit_new(sizeof *l, leaders_run, on_leaders);
    l->visit.fini = leaders_fini;
    pattern_init(&l->pattern, slice_str(text));
    if (!everywhere)
        l->vhost = slice_dup(slice_str(call_vhost(call)));
    call_banner(call, "Checking leader replicas of quorum queues matching '%s' in %s%s ...", text,
                everywhere ? "all vhosts" : "vhost ", everywhere ? "" : call_vhost(call));
    call_visit(call, &l->visit);
}

/* ---- the rest ---- */

static void look_deprecated(struct node *node, const struct check *c, struct health *h)
{
    (void)c;
    health_deprecated_features(node, h);
}

void run_check_if_any_deprecated_features_are_used(struct call *call)
{
    call_banner(call, "Checking if any deprecated features are used ...");
    start(call, check_new(look_deprecated));
}

static void look_metadata(struct node *node, const struct check *c, struct health *h)
{
    health_metadata(node, c->number, h);
}

static void check_metadata(struct call *call, bool data)
{
    struct check *c = check_new(look_metadata);
    c->number = data;
    c->headed = true;
    call_banner(call, "Checking if metadata store on node %s has finished initializing%s ...",
                name_of(call), data ? " with data" : "");
    start(call, c);
}

void run_check_if_metadata_store_is_initialized(struct call *call)
{
    check_metadata(call, false);
}

void run_check_if_metadata_store_is_initialized_with_data(struct call *call)
{
    check_metadata(call, true);
}

static void look_single(struct node *node, const struct check *c, struct health *h)
{
    (void)c;
    health_single_node(node, h);
}

void run_check_if_node_is_quorum_critical(struct call *call)
{
    call_banner(call, "Checking if node %s is critical for quorum of any quorum queues ...",
                name_of(call));
    start(call, check_new(look_single));
}

void run_check_if_node_is_mirror_sync_critical(struct call *call)
{
    call_banner(call, "Checking if node %s is critical for data safety of any mirrored queues ...",
                name_of(call));
    start(call, check_new(look_single));
}
