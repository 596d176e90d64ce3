/* explain policy: which policies there are for a queue or an exchange, which won and why, and of
 * each value that holds where it comes from and what it won against. Answered by the shard of the
 * call, whose replica has all of it. */
#include "admin/cell.h"
#include "admin/explain.h"
#include "admin/report.h"

#include "base/json.h"
#include "base/mem.h"
#include "meta/args.h"
#include "meta/routing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum source { FROM_ARGUMENT, FROM_POLICY, FROM_OPERATOR_POLICY, SOURCE_COUNT };

static const char *const source_names[SOURCE_COUNT] = {"argument", "policy", "operator policy"};

static const char *const standing_names[] = {
    [POLICY_IN_EFFECT] = "in effect",       [POLICY_OUTRANKED] = "outranked",
    [POLICY_NOT_MATCHING] = "not matching", [POLICY_NOT_MEANT] = "not meant",
    [POLICY_NOT_SUITED] = "not suited",
};
static const char *const standing_texts[] = {
    [POLICY_IN_EFFECT] = "in effect",
    [POLICY_OUTRANKED] = "matches too, but comes behind the one in effect",
    [POLICY_NOT_MATCHING] = "its pattern does not match the name",
    [POLICY_NOT_MEANT] = "is for other objects",
    [POLICY_NOT_SUITED] = "has keys that this type of queue does not know",
};

/* A queue or an exchange. */
struct subject {
    const struct vhost *vhost;
    const struct queue_def *queue; /* one of the two */
    const struct exchange_def *exchange;
    struct slice name, args;
    struct applied applied; /* borrowed */
    size_t limit;           /* policies that are told of each kind */
};

struct told {
    const struct subject *s;
    struct buf *out;
    bool operators; /* those that are told now */
    size_t count, left_out;
};

/* ---- values ---- */

struct setting {
    struct slice key;
    bool has[SOURCE_COUNT];
    struct table_value values[SOURCE_COUNT];
    enum source winner;
};

/* "max-length" for x-max-length, if policies have that key. */
static struct slice key_of_argument(struct slice name)
{
    struct slice rest = slice_of(name.data + 2, name.len > 2 ? name.len - 2 : 0);
    return slice_starts(name, SLICE("x-")) && policy_has_key(rest, false) ? rest : name;
}

static bool find_argument(struct slice args, struct slice key, struct table_value *ret_value)
{
    struct table_iter it = table_iter(args);
    struct slice name;
    struct table_value value;
    while (table_next(&it, &name, &value)) {
        if (!slice_eq(key_of_argument(name), key))
            continue;
        *ret_value = value;
        return true;
    }
    return false;
}

static bool same_value(const struct table_value *a, const struct table_value *b)
{
    if (table_is_int(a->type) && table_is_int(b->type))
        return a->integer == b->integer;
    return a->type == b->type && a->integer == b->integer && slice_eq(a->bytes, b->bytes);
}

/* Of numbers the lowest, else what was declared; between policies their rule decides. */
static void settle(struct setting *set, const struct applied *applied)
{
    struct table_value value;
    char name[256];
    memcpy(name, set->key.data, set->key.len);
    name[set->key.len] = '\0';
    bool by_policy = policy_find(applied, name, &value);
    set->winner = FROM_ARGUMENT;
    if (!by_policy)
        return;
    const struct table_value *declared = &set->values[FROM_ARGUMENT];
    if (set->has[FROM_ARGUMENT] && !policy_is_lower(&value, declared))
        return;
    set->winner =
        set->has[FROM_OPERATOR_POLICY] && same_value(&set->values[FROM_OPERATOR_POLICY], &value)
            ? FROM_OPERATOR_POLICY
            : FROM_POLICY;
}

static struct slice args_of(const struct policy_def *def)
{
    return def ? def->args : SLICE_EMPTY;
}

static struct setting read_setting(const struct subject *s, struct slice key)
{
    struct setting set = {.key = key};
    set.has[FROM_ARGUMENT] = find_argument(s->args, key, &set.values[FROM_ARGUMENT]);
    set.has[FROM_POLICY] = table_find(args_of(s->applied.policy), key, &set.values[FROM_POLICY]);
    set.has[FROM_OPERATOR_POLICY] =
        table_find(args_of(s->applied.operator_policy), key, &set.values[FROM_OPERATOR_POLICY]);
    settle(&set, &s->applied);
    return set;
}

/* Each key once: of the arguments, then what else the policies have. */
static void each_setting(const struct subject *s, struct buf *out,
                         void (*tell)(const struct subject *s, const struct setting *set,
                                      bool first, struct buf *out))
{
    const struct slice tables[SOURCE_COUNT] = {s->args, args_of(s->applied.policy),
                                               args_of(s->applied.operator_policy)};
    bool first = true;
    for (int from = 0; from < SOURCE_COUNT; from++) {
        struct table_iter it = table_iter(tables[from]);
        struct slice key;
        struct table_value value;
        while (table_next(&it, &key, &value)) {
            struct slice name = from == FROM_ARGUMENT ? key_of_argument(key) : key;
            struct setting set = read_setting(s, name);
            bool seen = false;
            for (int before = 0; before < from; before++)
                seen = seen || set.has[before];
            if (seen)
                continue;
            tell(s, &set, first, out);
            first = false;
        }
    }
}

static struct slice policy_name(const struct subject *s, enum source from)
{
    const struct policy_def *def =
        from == FROM_POLICY ? s->applied.policy : s->applied.operator_policy;
    return from == FROM_ARGUMENT || !def ? SLICE_EMPTY : def->name;
}

/* ---- as JSON ---- */

static void put_source(const struct subject *s, const struct setting *set, enum source from,
                       struct buf *out)
{
    buf_append_str(out, "\"value\":");
    json_put_value(out, &set->values[from]);
    explain_put_json(out, "from", slice_str(source_names[from]));
    if (from != FROM_ARGUMENT)
        explain_put_json(out, "policy", policy_name(s, from));
}

static void setting_json(const struct subject *s, const struct setting *set, bool first,
                         struct buf *out)
{
    bool any = false;
    buf_append_str(out, first ? "{\"key\":" : ",{\"key\":");
    cell_put_string(out, set->key);
    buf_append_byte(out, ',');
    put_source(s, set, set->winner, out);
    buf_append_str(out, ",\"instead_of\":[");
    for (int from = 0; from < SOURCE_COUNT; from++) {
        if (from == (int)set->winner || !set->has[from])
            continue;
        buf_append_str(out, any ? ",{" : "{");
        put_source(s, set, (enum source)from, out);
        buf_append_byte(out, '}');
        any = true;
    }
    buf_append_str(out, "]}");
}

static void policy_json(void *arg, const struct policy_def *def, enum policy_standing standing)
{
    struct told *t = arg;
    buf_append_str(t->out, t->count++ ? ",{\"name\":" : "{\"name\":");
    cell_put_string(t->out, def->name);
    buf_printf(t->out, ",\"operator\":%s", def->operator_made ? "true" : "false");
    explain_put_json(t->out, "pattern", def->pattern);
    explain_put_json(t->out, "apply-to", slice_str(policy_apply_to_name(def->apply_to)));
    buf_printf(t->out, ",\"priority\":%" PRId64, def->priority);
    explain_put_json(t->out, "standing", slice_str(standing_names[standing]));
    buf_append_byte(t->out, '}');
}

static void put_winner(struct buf *out, const char *name, const struct policy_def *def)
{
    if (def)
        explain_put_json(out, name, def->name);
    else
        buf_printf(out, ",\"%s\":null", name);
}

static void tell_json(const struct subject *s, struct buf *out)
{
    struct buf json = BUF_INIT;
    struct told t = {.s = s, .out = &json};
    buf_printf(&json, "{\"kind\":\"%s\"", s->queue ? "queue" : "exchange");
    explain_put_json(&json, "name", s->name);
    explain_put_json(&json, "vhost", vhost_name(s->vhost));
    put_winner(&json, "policy", s->applied.policy);
    put_winner(&json, "operator_policy", s->applied.operator_policy);
    buf_append_str(&json, ",\"policies\":[");
    policies_explain(s->vhost, s->queue, s->name, policy_json, &t);
    buf_append_str(&json, "],\"definition\":[");
    each_setting(s, &json, setting_json);
    buf_append_str(&json, "]}");
    report_value(out, buf_slice(&json));
    buf_fini(&json);
}

/* ---- as text ---- */

static void put_from(const struct subject *s, enum source from, struct buf *text)
{
    if (from == FROM_ARGUMENT)
        buf_append_str(text, "the argument");
    else
        buf_printf(text, "%s '%.*s'", source_names[from], SLICE_ARG(policy_name(s, from)));
}

static void setting_text(const struct subject *s, const struct setting *set, bool first,
                         struct buf *out)
{
    struct buf text = BUF_INIT;
    bool any = false;
    (void)first;
    buf_printf(&text, "  %.*s = ", SLICE_ARG(set->key));
    json_put_value(&text, &set->values[set->winner]);
    buf_append_str(&text, " by ");
    put_from(s, set->winner, &text);
    for (int from = 0; from < SOURCE_COUNT; from++) {
        if (from == (int)set->winner || !set->has[from])
            continue;
        buf_append_str(&text, any ? ", " : "; not ");
        json_put_value(&text, &set->values[from]);
        buf_append_str(&text, " by ");
        put_from(s, (enum source)from, &text);
        any = true;
    }
    report_print_slice(out, buf_slice(&text));
    buf_fini(&text);
}

static void policy_text(void *arg, const struct policy_def *def, enum policy_standing standing)
{
    struct told *t = arg;
    if (def->operator_made != t->operators)
        return;
    if (t->count++ >= t->s->limit && standing != POLICY_IN_EFFECT) {
        t->left_out++;
        return;
    }
    report_print(t->out, "  '%.*s', priority %" PRId64 ", for %s \"%.*s\": %s",
                 SLICE_ARG(def->name), def->priority, policy_apply_to_name(def->apply_to),
                 SLICE_ARG(def->pattern), standing_texts[standing]);
}

static void tell_policies(const struct subject *s, bool operators, struct buf *out)
{
    struct told t = {.s = s, .out = out, .operators = operators};
    report_print(out, operators ? "Operator policies:" : "Policies:");
    policies_explain(s->vhost, s->queue, s->name, policy_text, &t);
    if (!t.count)
        report_print(out, "  (none)");
    if (t.left_out)
        report_print(out, "  and %zu more", t.left_out);
}

static void tell_text(const struct subject *s, struct buf *out)
{
    if (s->queue)
        report_print(out, "Queue '%.*s' in vhost '%.*s' (%s)", SLICE_ARG(s->name),
                     SLICE_ARG(vhost_name(s->vhost)), args_queue_type_name(s->queue->type));
    else
        report_print(out, "Exchange '%.*s' in vhost '%.*s' (%.*s)", SLICE_ARG(s->name),
                     SLICE_ARG(vhost_name(s->vhost)), SLICE_ARG(s->exchange->type));
    tell_policies(s, false, out);
    tell_policies(s, true, out);
    report_print(out, "In effect:");
    size_t before = out->len;
    each_setting(s, out, setting_text);
    if (out->len == before)
        report_print(out, "  (nothing)");
}

/* ---- the question ---- */

static bool find_subject(struct call *call, const char *kind, const char *name,
                         struct subject *ret_subject)
{
    const struct routing *routing = routing_of(call->shard);
    struct subject s = {.vhost = routing_find_vhost(routing, slice_str(call_vhost(call)))};
    if (!s.vhost)
        return false;
    if (!kind || !strcmp(kind, "queue")) {
        const struct target_queue *queue = vhost_find_queue(s.vhost, slice_str(name));
        s.queue = queue ? queue->def : NULL;
    }
    if (!s.queue && (!kind || !strcmp(kind, "exchange"))) {
        bool is_default = !strcmp(name, "amq.default");
        struct exchange *x =
            vhost_find_exchange(s.vhost, is_default ? SLICE_EMPTY : slice_str(name));
        s.exchange = x ? exchange_get_def(x) : NULL;
        if (x)
            s.applied = *exchange_get_policies(x);
    }
    if (s.queue)
        s.applied = routing_match_queue(routing, s.queue);
    s.name = s.queue ? s.queue->name : s.exchange ? s.exchange->name : SLICE_EMPTY;
    s.args = s.queue ? s.queue->args : s.exchange ? s.exchange->args : SLICE_EMPTY;
    *ret_subject = s;
    return s.queue || s.exchange;
}

void explain_policy(struct call *call, const char *const *words, size_t count, size_t shown)
{
    const char *kind = count > 1 ? words[0] : NULL, *name = words[count - 1];
    struct subject s;
    if (kind && strcmp(kind, "queue") != 0 && strcmp(kind, "exchange") != 0) {
        call_refuse(call, EX_USAGE, "a policy is explained for a queue or an exchange");
        return;
    }
    call_banner(call, "Explaining the policies of '%s' in vhost '%s' ...", name, call_vhost(call));
    if (!find_subject(call, kind, name, &s)) {
        call_fail(call, EX_UNAVAILABLE, "no %s '%s' in vhost '%s'",
                  kind ? kind : "queue or exchange", name, call_vhost(call));
        return;
    }
    struct buf out = BUF_INIT;
    s.limit = shown;
    if (call->request.json)
        tell_json(&s, &out);
    else
        tell_text(&s, &out);
    call_write(call, buf_slice(&out));
    buf_fini(&out);
    call_exit(call);
}
