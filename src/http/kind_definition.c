/* Definitions, from the rosters of shard 0. */
#include "http/kind.h"

#include "base/base64.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/table.h"
#include "http/http_priv.h"
#include "http/past.h"
#include "http/range.h"
#include "http/samples.h"
#include "http/sums.h"
#include "http/target.h"
#include "meta/access.h"

#include <string.h>

static struct value column(const struct item *item, const char *name)
{
    return meta_row_get(item->row, name);
}

static bool is_text(const struct item *item, const char *name, struct slice wanted)
{
    struct value v = column(item, name);
    bool same = v.type == VALUE_TEXT && slice_eq(v.bytes, wanted);
    value_fini(&v);
    return same;
}

/* wanted NULL: any. */
static bool fits(const struct item *item, const char *name, struct slice wanted)
{
    return !wanted.data || is_text(item, name, wanted);
}

static bool sees_vhost(const struct item *item, const struct asker *asker)
{
    if (asker->vhost.len) /* the walk is of that one alone */
        return true;
    if (asker->everywhere)
        return true;
    struct value vhost = column(item, "vhost");
    bool sees = access_vhost(routing_of(item->shard), asker->user, vhost.bytes);
    value_fini(&vhost);
    return sees;
}

static struct value name_of(const struct item *item)
{
    return column(item, "name");
}

static void row_key(const struct item *item, struct buf *key)
{
    meta_row_put_key(item->row, key);
}

static void put_entries(const struct item *item, struct view *v)
{
    struct buf table = BUF_INIT;
    if (meta_row_put_definition(item->row, &table))
        view_entries(v, buf_slice(&table));
    buf_fini(&table);
}

bool kind_in_vhost(enum meta_noun noun)
{
    return noun != META_VHOSTS && noun != META_USERS && noun != META_GLOBAL_PARAMETERS &&
           noun != META_USER_LIMITS;
}

/* ---- virtual hosts ---- */

static bool vhost_belongs(const struct item *item, const struct asker *asker)
{
    if (!fits(item, "name", asker->text))
        return false;
    if (asker->monitor)
        return true;
    struct value name = name_of(item);
    bool sees = access_vhost(routing_of(item->shard), asker->user, name.bytes);
    value_fini(&name);
    return sees;
}

/* What was counted of an object; the samples are in the order of the names. */
struct counted {
    const struct item *item;
    enum rates_kind kind;
    const struct sum_name *names;
    const struct tally_sum *sums;
};

static void put_sums(struct view *v, const struct counted *c, size_t from, size_t to,
                     const struct range *range)
{
    const struct item *item = c->item;
    struct past past =
        past_of(item, v, range, (struct sample_id){c->kind, item->vhost, item->row->number});
    for (size_t i = from; i < to; i++) {
        view_int(v, c->names[i].name, (int64_t)c->sums[i].sum);
        past_put(&past, i, v, c->names[i].details, c->sums[i].growth);
    }
}

static void put_vhost_sums(const struct item *item, struct view *v)
{
    const struct ranges *ranges = item->ranges;
    struct tally_sum sums[SUMS_OF_VHOST];
    struct counted counted = {item, RATES_VHOST, sums_of_vhost, sums};
    sums_read_vhost(meta_row_vhost(item->row), sums);
    put_sums(v, &counted, SUMS_DEPTHS, SUMS_OCTETS, &ranges->lengths);
    put_sums(v, &counted, SUMS_OCTETS, SUMS_OF_VHOST, &ranges->data_rates);
    if (item->detail.no_rates || !view_object(v, "message_stats"))
        return;
    put_sums(v, &counted, 0, SUMS_DEPTHS, &ranges->msg_rates);
    view_object_end(v);
}

static void vhost_view(const struct item *item, struct view *v)
{
    put_entries(item, v);
    if (!item->detail.no_stats)
        put_vhost_sums(item, v);
    view_value(v, "tracing", column(item, "tracing"));
    if (view_object(v, "cluster_state")) {
        view_text(v, meta_node_name(item->http->node), SLICE("running"));
        view_object_end(v);
    }
}

const struct list_kind kind_vhosts = {.noun = META_VHOSTS,
                                      .belongs = vhost_belongs,
                                      .name = name_of,
                                      .key = row_key,
                                      .view = vhost_view,
                                      .is_paged = true};

/* ---- users and rights ---- */

static struct value user_of(const struct item *item)
{
    return column(item, "user");
}

static bool user_belongs(const struct item *item, const struct asker *asker)
{
    return fits(item, "user", asker->text);
}

static bool is_without(const struct item *item, const struct asker *asker)
{
    struct value user = user_of(item);
    bool enters = access_any_vhost(routing_of(item->shard), user.bytes);
    (void)asker;
    value_fini(&user);
    return !enters;
}

const struct list_kind kind_users = {.noun = META_USERS,
                                     .belongs = user_belongs,
                                     .name = user_of,
                                     .key = row_key,
                                     .view = put_entries,
                                     .is_paged = true};
const struct list_kind kind_users_without = {.noun = META_USERS,
                                             .belongs = is_without,
                                             .name = user_of,
                                             .key = row_key,
                                             .view = put_entries};

static bool permission_belongs(const struct item *item, const struct asker *asker)
{
    return fits(item, "user", asker->text);
}

const struct list_kind kind_permissions = {.noun = META_PERMISSIONS,
                                           .belongs = permission_belongs,
                                           .name = user_of,
                                           .key = row_key,
                                           .view = put_entries};
const struct list_kind kind_topic_permissions = {.noun = META_TOPIC_PERMISSIONS,
                                                 .belongs = permission_belongs,
                                                 .name = user_of,
                                                 .key = row_key,
                                                 .view = put_entries};

/* ---- exchanges ---- */

static bool exchange_belongs(const struct item *item, const struct asker *asker)
{
    return fits(item, "name", asker->text) && sees_vhost(item, asker);
}

static void put_exchange_stats(const struct item *item, struct view *v)
{
    struct tally_sum sums[SUMS_OF_EXCHANGE];
    struct counted counted = {item, RATES_EXCHANGE, sums_of_exchange, sums};
    sums_read_exchange(meta_row_exchange(item->row), sums);
    if (!sums[EXCHANGE_IN].sum || !view_object(v, "message_stats"))
        return;
    put_sums(v, &counted, 0, SUMS_OF_EXCHANGE, &item->ranges->msg_rates);
    view_object_end(v);
}

static void exchange_view(const struct item *item, struct view *v)
{
    static const char *const columns[] = {
        "arguments", "auto_delete", "durable", "internal",
        "name",      "policy",      "type",    "user_who_performed_action",
        "vhost"};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        if (view_wants(v, columns[i]))
            view_value(v, columns[i], column(item, columns[i]));
    }
    if (!item->detail.no_stats && !item->detail.no_rates)
        put_exchange_stats(item, v);
}

const struct list_kind kind_exchanges = {.noun = META_EXCHANGES,
                                         .belongs = exchange_belongs,
                                         .name = name_of,
                                         .key = row_key,
                                         .view = exchange_view,
                                         .is_paged = true};

/* What of whom it gets and to whom it gives is counted with rates_mode detailed alone. */
static void exchange_details_view(const struct item *item, struct view *v)
{
    exchange_view(item, v);
    if (item->detail.no_stats)
        return;
    view_json(v, "incoming", SLICE("[]"));
    view_json(v, "outgoing", SLICE("[]"));
}

const struct list_kind kind_exchange_details = {.noun = META_EXCHANGES,
                                                .belongs = exchange_belongs,
                                                .name = name_of,
                                                .key = row_key,
                                                .view = exchange_details_view};

/* ---- bindings ---- */

void kind_put_properties_key(struct buf *out, struct slice key, struct slice args)
{
    uint64_t hash = hash_stable(args);
    char text[16];
    if (!key.len && !args.len)
        buf_append_byte(out, '~');
    target_encode(out, key);
    if (!args.len)
        return;
    base64_encode_url(slice_of(&hash, 4), text);
    buf_append_byte(out, '~');
    buf_append_str(out, text);
}

static void put_binding_key(const struct item *item, struct buf *out)
{
    struct value key = column(item, "routing_key"), args = column(item, "arguments");
    kind_put_properties_key(out, key.bytes, args.bytes);
    value_fini(&key);
    value_fini(&args);
}

static bool has_key(const struct item *item, struct slice wanted)
{
    struct buf key = BUF_INIT;
    put_binding_key(item, &key);
    bool same = slice_eq(buf_slice(&key), wanted);
    buf_fini(&key);
    if (same)
        return true;
    /* the path was decoded once */
    struct value routing = column(item, "routing_key"), args = column(item, "arguments");
    same = routing.bytes.len && !args.bytes.len && slice_eq(routing.bytes, wanted);
    value_fini(&routing);
    value_fini(&args);
    return same;
}

static bool binding_belongs(const struct item *item, const struct asker *asker)
{
    struct slice kind = asker->text3;
    if (!fits(item, "source_name", asker->text) || !fits(item, "destination_name", asker->text2) ||
        !sees_vhost(item, asker))
        return false;
    if (!kind.len)
        return true;
    if (!is_text(item, "destination_kind", *kind.data == 'e' ? SLICE("exchange") : SLICE("queue")))
        return false;
    return kind.len == 1 || has_key(item, slice_of(kind.data + 1, kind.len - 1));
}

static void binding_view(const struct item *item, struct view *v)
{
    static const char *const members[][2] = {
        {"source", "source_name"},           {"vhost", "vhost"},
        {"destination", "destination_name"}, {"destination_type", "destination_kind"},
        {"routing_key", "routing_key"},      {"arguments", "arguments"}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (view_wants(v, members[i][0]))
            view_value(v, members[i][0], column(item, members[i][1]));
    }
    struct buf key = BUF_INIT;
    put_binding_key(item, &key);
    view_text(v, "properties_key", buf_slice(&key));
    buf_fini(&key);
}

static struct value source_of(const struct item *item)
{
    return column(item, "source_name");
}

const struct list_kind kind_bindings = {.noun = META_BINDINGS,
                                        .belongs = binding_belongs,
                                        .name = source_of,
                                        .key = row_key,
                                        .view = binding_view};

static bool explicit_belongs(const struct item *item, const struct asker *asker)
{
    return !is_text(item, "source_name", SLICE("")) && binding_belongs(item, asker);
}

const struct list_kind kind_explicit_bindings = {.noun = META_BINDINGS,
                                                 .belongs = explicit_belongs,
                                                 .name = source_of,
                                                 .key = row_key,
                                                 .view = binding_view};

/* ---- policies, parameters, limits ---- */

static bool named_belongs(const struct item *item, const struct asker *asker)
{
    return fits(item, "name", asker->text) && sees_vhost(item, asker);
}

static void operator_policy_view(const struct item *item, struct view *v)
{
    struct buf table = BUF_INIT;
    struct slice rule;
    view_value(v, "vhost", column(item, "vhost"));
    view_value(v, "name", column(item, "name"));
    if (meta_row_put_definition(item->row, &table) &&
        table_find_table(buf_slice(&table), SLICE("value"), &rule))
        view_entries(v, rule);
    buf_fini(&table);
}

const struct list_kind kind_policies = {.noun = META_POLICIES,
                                        .belongs = named_belongs,
                                        .name = name_of,
                                        .key = row_key,
                                        .view = put_entries};
const struct list_kind kind_operator_policies = {.noun = META_OPERATOR_POLICIES,
                                                 .belongs = named_belongs,
                                                 .name = name_of,
                                                 .key = row_key,
                                                 .view = operator_policy_view};

static bool parameter_belongs(const struct item *item, const struct asker *asker)
{
    return fits(item, "component", asker->text) && fits(item, "name", asker->text2) &&
           sees_vhost(item, asker);
}

const struct list_kind kind_parameters = {.noun = META_PARAMETERS,
                                          .belongs = parameter_belongs,
                                          .name = name_of,
                                          .key = row_key,
                                          .view = put_entries};

static bool global_belongs(const struct item *item, const struct asker *asker)
{
    return fits(item, "name", asker->text);
}

static void global_view(const struct item *item, struct view *v)
{
    struct value value = column(item, "value");
    view_value(v, "name", column(item, "name"));
    view_json(v, "value", value.bytes);
    value_fini(&value);
}

const struct list_kind kind_global_parameters = {.noun = META_GLOBAL_PARAMETERS,
                                                 .belongs = global_belongs,
                                                 .name = name_of,
                                                 .key = row_key,
                                                 .view = global_view};

static bool vhost_limits_belong(const struct item *item, const struct asker *asker)
{
    return sees_vhost(item, asker);
}

static void vhost_limits_view(const struct item *item, struct view *v)
{
    struct value limits = column(item, "limits");
    view_value(v, "vhost", column(item, "vhost"));
    view_json(v, "value", limits.bytes);
    value_fini(&limits);
}

const struct list_kind kind_vhost_limits = {.noun = META_VHOST_LIMITS,
                                            .belongs = vhost_limits_belong,
                                            .name = name_of,
                                            .key = row_key,
                                            .view = vhost_limits_view};

static bool user_limits_belong(const struct item *item, const struct asker *asker)
{
    if (!asker->everywhere && !is_text(item, "user", asker->user))
        return false;
    return fits(item, "user", asker->text);
}

static void user_limits_view(const struct item *item, struct view *v)
{
    struct value limits = column(item, "limits");
    view_value(v, "user", column(item, "user"));
    view_json(v, "value", limits.bytes);
    value_fini(&limits);
}

const struct list_kind kind_user_limits = {.noun = META_USER_LIMITS,
                                           .belongs = user_limits_belong,
                                           .name = user_of,
                                           .key = row_key,
                                           .view = user_limits_view};
