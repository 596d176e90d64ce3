/* Policies that are to be set: keys, values, pattern, with RabbitMQ's texts, in which a value is
 * printed as an Erlang term. */
#include "base/bug.h"
#include "meta/args.h"
#include "meta/pattern.h"
#include "meta/policy_priv.h"
#include "meta/term.h"

#include <string.h>

enum { C = 1 << QUEUE_CLASSIC, Q = 1 << QUEUE_QUORUM, S = 1 << QUEUE_STREAM };
/* what RabbitMQ's queues of these types lack, so that its policies for all do not mean them */
#define NAMED(types) ((types) << QUEUE_TYPE_COUNT)

enum check { INTEGER, NATURAL, POSITIVE, STRING, WORD, ONE_OR_TWO, AGE, HA };

static const struct key {
    struct policy_key info;
    enum check check;
    enum policy_rule rule;
    const char *words, *error;
} keys[] = {
#define POLICY_KEY(name, check, types, rule, words, error, text) \
    {{name, types, POLICY_##rule != POLICY_NO, text}, check, POLICY_##rule, words, error},
#include "meta/args.def"
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const struct policy_key *policy_key_at(size_t index)
{
    return index < COUNT(keys) ? &keys[index].info : NULL;
}

static const struct key *find_key(struct slice name)
{
    for (size_t i = 0; i < COUNT(keys); i++) {
        if (slice_eq_str(name, keys[i].info.name))
            return &keys[i];
    }
    return NULL;
}

bool policy_has_key(struct slice key, bool operator_made)
{
    const struct key *k = find_key(key);
    return k && (!operator_made || k->info.for_operators);
}

enum policy_rule policy_rule(struct slice key)
{
    const struct key *k = find_key(key);
    return k ? k->rule : POLICY_NO;
}

bool policy_suits(const struct policy_def *def, enum queue_type type)
{
    struct slice key;
    struct table_value value;
    unsigned suiting = 1u << type;
    if (def->apply_to == APPLY_TO_CLASSIC_QUEUES)
        suiting |= NAMED(C);
    for (struct table_iter it = table_iter(def->args); table_next(&it, &key, &value);) {
        const struct key *k = find_key(key);
        if (k && !(k->info.types & suiting))
            return false;
    }
    return true;
}

/* --- values --- */

static bool is_text(const struct table_value *value, const char *text)
{
    return value->type == TABLE_LONGSTR && slice_eq_str(value->bytes, text);
}

static bool is_number(const struct table_value *value, int64_t least)
{
    return table_is_int(value->type) && value->integer >= least;
}

static bool is_valid(const struct key *key, const struct table_value *value)
{
    switch (key->check) {
    case INTEGER:
        return table_is_int(value->type);
    case NATURAL:
        return is_number(value, 0);
    case POSITIVE:
        return is_number(value, 1);
    case STRING:
        return value->type == TABLE_LONGSTR;
    case WORD:
        return value->type == TABLE_LONGSTR && args_is_word(value->bytes, key->words);
    case ONE_OR_TWO:
        return is_number(value, 1) && value->integer <= 2;
    case AGE:
        return value->type == TABLE_LONGSTR && args_is_age(value->bytes);
    case HA:
        return true;
    }
    return false;
}

static bool check_values(struct slice definition, bool operator_made, struct buf *errors)
{
    struct slice name;
    struct table_value value;
    for (struct table_iter it = table_iter(definition); table_next(&it, &name, &value);) {
        const struct key *key = find_key(name);
        if (!policy_has_key(name, operator_made) || is_valid(key, &value))
            continue;
        term_print(&value, errors);
        buf_printf(errors, " %s\n", key->error);
        return false;
    }
    return true;
}

/* --- mirroring: what goes together --- */

static bool refuse_value(struct buf *errors, const char *before, const struct table_value *value,
                         const char *after)
{
    buf_append_str(errors, before);
    if (value)
        term_print(value, errors);
    else
        buf_append_str(errors, "none");
    buf_printf(errors, "%s\n", after);
    return false;
}

static bool check_ha_params(const struct table_value *mode, const struct table_value *params,
                            struct buf *errors)
{
    if (is_text(mode, "all")) {
        if (params)
            buf_append_str(errors, "ha-mode=\"all\" does not take parameters\n");
        return !params;
    }
    if (is_text(mode, "exactly"))
        return (params && is_number(params, 1)) ||
               refuse_value(errors, "ha-mode=\"exactly\" takes an integer, ", params, " given");
    if (!is_text(mode, "nodes"))
        return refuse_value(errors, "", mode, " is not a valid ha-mode value");
    if (!params || params->type != TABLE_ARRAY)
        return refuse_value(errors, "ha-mode=\"nodes\" takes a list, ", params, " given");
    if (!params->bytes.len)
        buf_append_str(errors, "ha-mode=\"nodes\" list must be non-empty\n");
    return params->bytes.len != 0;
}

static bool check_ha_word(struct slice definition, const char *key, const char *first,
                          const char *second, struct buf *errors)
{
    struct table_value value;
    if (!table_find(definition, slice_str(key), &value) || is_text(&value, first) ||
        is_text(&value, second))
        return true;
    buf_printf(errors, "%s must be \"%s\" or \"%s\", got ", key, first, second);
    return refuse_value(errors, "", &value, "");
}

static bool has_ha(struct slice definition)
{
    struct slice name;
    struct table_value value;
    for (struct table_iter it = table_iter(definition); table_next(&it, &name, &value);) {
        const struct key *key = find_key(name);
        if (key && key->check == HA)
            return true;
    }
    return false;
}

static bool check_ha(struct slice definition, struct buf *errors)
{
    struct table_value mode, params, batch;
    if (!has_ha(definition))
        return true;
    if (!table_find(definition, SLICE("ha-mode"), &mode)) {
        buf_append_str(errors, "ha-mode must be specified to specify ha-params, ha-sync-mode or "
                               "ha-promote-on-shutdown\n");
        return false;
    }
    bool has_params = table_find(definition, SLICE("ha-params"), &params);
    if (!check_ha_params(&mode, has_params ? &params : NULL, errors))
        return false;
    if (table_find(definition, SLICE("ha-sync-batch-size"), &batch) && !is_number(&batch, 1))
        return refuse_value(errors, "ha-sync-batch-size takes an integer greater than 0, ", &batch,
                            " given");
    return check_ha_word(definition, "ha-sync-mode", "manual", "automatic", errors) &&
           check_ha_word(definition, "ha-promote-on-shutdown", "always", "when-synced", errors) &&
           check_ha_word(definition, "ha-promote-on-failure", "always", "when-synced", errors);
}

/* --- federation: which upstreams --- */

static bool check_federation(struct slice definition, struct buf *errors)
{
    static const char *const names[] = {"federation-upstream", "federation-upstream-set",
                                        "federation-upstream-pattern"};
    struct table_value value;
    char reason[128];
    size_t offset;
    unsigned count = 0;
    for (size_t i = 0; i < COUNT(names); i++)
        count += table_find(definition, slice_str(names[i]), &value);
    if (count > 1) {
        buf_append_str(errors, "cannot specify federation-upstream, federation-upstream-set or "
                               "federation-upstream-pattern together\n");
        return false;
    }
    if (!table_find(definition, slice_str(names[2]), &value) ||
        !pattern_find_error(value.bytes, reason, sizeof reason, &offset))
        return true;
    buf_printf(errors,
               "could not compile pattern %.*s to a regular expression. Error: {\"%s\",%zu}\n",
               SLICE_ARG(value.bytes), reason, offset);
    return false;
}

/* --- all of it --- */

static void check_known(struct slice definition, bool operator_made, struct buf *errors)
{
    struct buf unknown = BUF_INIT;
    struct slice name;
    struct table_value value;
    for (struct table_iter it = table_iter(definition); table_next(&it, &name, &value);) {
        if (!policy_has_key(name, operator_made))
            table_put(&unknown, name, &value);
    }
    if (unknown.len) {
        term_print_pairs(buf_slice(&unknown), errors);
        buf_append_str(errors, " are not recognised policy settings\n");
    }
    buf_fini(&unknown);
}

static void check_definition(const struct table_value *definition, bool operator_made,
                             struct buf *errors)
{
    struct slice table = definition->bytes;
    if (definition->type != TABLE_TABLE)
        refuse_value(errors, "definition must be a dictionary: ", definition, "");
    else if (!table.len)
        buf_append_str(errors, "no policy provided\n");
    else if (check_values(table, operator_made, errors) &&
             (operator_made || (check_ha(table, errors) && check_federation(table, errors))))
        check_known(table, operator_made, errors);
}

enum err policy_check(const struct policy_def *like, const struct table_value *definition,
                      struct slice apply_to, struct failure *why)
{
    struct buf errors = BUF_INIT;
    enum apply_to ignored;
    char reason[128];
    size_t offset;
    enum err err = ERR_NONE;
    check_definition(definition, like->operator_made, &errors);
    if (apply_to.data && !policy_apply_to_parse(apply_to, &ignored))
        buf_printf(&errors,
                   "apply-to '%.*s' unrecognised; should be one of: 'queues', 'classic_queues', "
                   "'quorum_queues', 'streams', 'exchanges', or 'all'\n",
                   SLICE_ARG(apply_to));
    if (pattern_find_error(like->pattern, reason, sizeof reason, &offset))
        buf_printf(&errors, "pattern should be regular expression but is invalid: {\"%s\",%zu}\n",
                   reason, offset);
    if (errors.len)
        err = failure_set(why, ERR_PRECONDITION_FAILED, "Validation failed\n\n%.*s",
                          SLICE_ARG(buf_slice(&errors)));
    buf_fini(&errors);
    return err;
}
