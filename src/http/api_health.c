/* Health checks, those of admin/health.h: 200 with {"status":"ok"}, or 503 with a reason. */
#include "http/handlers.h"
#include "http/session.h"

#include "admin/health.h"
#include "base/json.h"

#include <stdlib.h>

static const struct slice ok = {(const uint8_t *)"{\"status\":\"ok\"}", 15};

void api_aliveness(struct session *s)
{
    reply_json(s, 200, ok);
}

void api_health_ok(struct session *s)
{
    reply_json(s, 200, ok);
}

void api_health_single(struct session *s)
{
    reply_json(s, 200, SLICE("{\"status\":\"ok\",\"reason\":\"single node cluster\"}"));
}

/* ---- what only shard 0 knows ---- */

struct check {
    struct visit visit;
    void (*look)(const struct check *check, struct node *node, struct health *ret_health);
    struct slice word; /* owned: of the path */
    uint64_t number;   /* of the path */
    bool ok;
};

static void check_fini(struct visit *visit)
{
    slice_free(&((struct check *)visit)->word);
}

static bool check_run(struct visit *visit, struct shard *shard)
{
    struct check *c = (struct check *)visit;
    struct health health;
    struct buf *out = &visit->out;
    c->look(c, shard_node(shard), &health);
    c->ok = health.ok;
    buf_printf(out, "{\"status\":\"%s\"", health.ok ? "ok" : "failed");
    if (!health.ok) {
        buf_append_str(out, ",\"reason\":");
        json_put_string(out, slice_str(health.reason));
    }
    buf_append_slice(out, buf_slice(&health.fields));
    buf_append_byte(out, '}');
    health_fini(&health);
    return true;
}

static void on_checked(struct session *s, struct visit *visit)
{
    if (session_visit_on(s, visit))
        return;
    reply_json(s, ((const struct check *)visit)->ok ? 200 : 503, buf_slice(&visit->out));
    visit_free(visit);
}

static void start(struct session *s, struct slice word, uint64_t number,
                  void (*look)(const struct check *check, struct node *node,
                               struct health *ret_health))
{
    struct check *c = session_visit_new(sizeof *c, check_run);
    c->visit.fini = check_fini;
    c->look = look;
    c->word = slice_dup(word);
    c->number = number;
    session_visit(s, &c->visit, 0, on_checked);
}

/* A number of at most that many digits; false: it is none. */
static bool read_number(struct slice text, size_t digits, uint64_t *ret_number)
{
    uint64_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(text.data[i] - '0');
    }
    *ret_number = n;
    return text.len && text.len <= digits;
}

/* ---- the checks ---- */

static void look_at_node(const struct check *c, struct node *node, struct health *health)
{
    (void)c;
    health_running(node, health);
}

void api_health_running(struct session *s)
{
    start(s, SLICE_EMPTY, 0, look_at_node);
}

static void look_at_alarms(const struct check *c, struct node *node, struct health *health)
{
    (void)c;
    health_alarms(node, "", health);
}

void api_health_alarms(struct session *s)
{
    start(s, SLICE_EMPTY, 0, look_at_alarms);
}

static void look_at_store(const struct check *c, struct node *node, struct health *health)
{
    health_metadata(node, c->number, health);
}

void api_health_store(struct session *s)
{
    start(s, SLICE_EMPTY, false, look_at_store);
}

void api_health_data(struct session *s)
{
    start(s, SLICE_EMPTY, true, look_at_store);
}

static void look_at_connections(const struct check *c, struct node *node, struct health *health)
{
    (void)c;
    health_connections(node, health);
}

void api_health_connections(struct session *s)
{
    start(s, SLICE_EMPTY, 0, look_at_connections);
}

static void look_at_vhosts(const struct check *c, struct node *node, struct health *health)
{
    (void)c;
    health_virtual_hosts(node, health);
}

void api_health_vhosts(struct session *s)
{
    start(s, SLICE_EMPTY, 0, look_at_vhosts);
}

static void look_at_port(const struct check *c, struct node *node, struct health *health)
{
    health_port_listener(node, (unsigned)c->number, health);
}

void api_health_port(struct session *s)
{
    uint64_t port;
    if (read_number(s->args[0], 5, &port))
        start(s, SLICE_EMPTY, port, look_at_port);
    else
        reply_bad(s, "Invalid port");
}

static void look_at_protocol(const struct check *c, struct node *node, struct health *health)
{
    health_protocol_listener(node, (const char *)c->word.data, health);
}

void api_health_protocol(struct session *s)
{
    start(s, s->args[0], 0, look_at_protocol);
}

static void look_at_certificates(const struct check *c, struct node *node, struct health *health)
{
    health_certificates(node, c->number, (const char *)c->word.data, health);
}

void api_health_certificates(struct session *s)
{
    uint64_t within;
    char *unit = slice_cstr(s->args[1]);
    bool known = health_unit_seconds(unit) != 0;
    free(unit);
    if (!read_number(s->args[0], 6, &within))
        reply_bad(s, "Invalid expiration value.");
    else if (!known)
        reply_bad(s, "Time unit not recognised. Supported units: days, weeks, months, years.");
    else
        start(s, s->args[1], within, look_at_certificates);
}
