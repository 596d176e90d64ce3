/* headers: a binding's arguments are compared with a message's headers, as x-match says: all (also
 * where there is no x-match), any, and all-with-x, any-with-x. The plain modes ignore arguments
 * whose keys start with "x-", the others only x-match itself. A void argument asks for the key
 * alone. `all` without arguments matches every message, `any` none.
 *
 * A test is one argument: "header k is there" or "header k has value v". Tests are interned. Of a
 * message, one lookup a header (two where bindings know the key) tells which tests hold. `any`
 * bindings hang on each of their tests; an `all` binding hangs on one only, the one that the fewest
 * `all` bindings had when it came, and its other tests are then looked at.
 * Cost: O(headers) lookups + the `any` bindings that match + the `all` bindings one of whose tests,
 * the rarest, holds. It is linear in the bindings only where they share all of their tests.
 *
 * A key may repeat, in a message and in a binding: as in RabbitMQ the first is compared with the
 * first, the second with the second, and so on; so a test names a key and which of its occurrences.
 *
 * Lives on the shard of its replica; seen marks and buffers are scratch of the route that runs. */
#include "base/bug.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/table.h"
#include "broker/exchange/exchange.h"
#include "broker/exchange/header_value.h"

#include <stdlib.h>

/* A key that bindings name, or a further occurrence of it. */
struct field {
    struct field *first, *next; /* occurrence */
    struct test *present;       /* the test for the key alone */
    uint32_t values;            /* tests for a value */
    size_t longest;             /* of the values asked for; never shrinks */
    /* of the first occurrence only: */
    uint32_t refs;         /* tests of all occurrences */
    uint64_t seen;         /* the pass that met it last */
    struct field **cursor; /* that pass's next occurrence */
    size_t len;
    uint8_t name[];
};

/* Where a rule hangs: place is the number of the test within the rule. */
struct hook {
    struct rule *rule;
    uint32_t place;
};

struct hooks {
    struct hook *items;
    size_t count, cap;
};

struct test {
    uint64_t held; /* the pass in which it holds */
    struct field *field;
    uint32_t refs;     /* rules that have it */
    uint32_t refs_all; /* those of them that are `all` */
    struct hooks any, all;
    size_t len;
    uint8_t id[]; /* the field's address, then the value if there is one */
};

/* A binding as understood. */
struct rule {
    struct destination to;
    uint64_t taken; /* the pass that took it */
    struct list node;
    bool any;
    uint32_t home; /* `all`: the test it hangs on */
    uint32_t count;
    struct {
        struct test *test;
        size_t at; /* in the test's hooks, where the rule hangs on it */
    } tests[];
};

struct headers {
    struct hash fields, tests; /* struct field (first occurrences), struct test */
    struct list rules, always; /* struct rule; always: `all` without tests */
    uint64_t pass;             /* the last bind or route, numbered */
    struct buf id;             /* the test looked for */
    struct test **held;
    size_t held_count, held_cap;
};

static struct slice field_name(const void *object)
{
    const struct field *field = object;
    return slice_of(field->name, field->len);
}

static struct slice test_id(const void *object)
{
    const struct test *test = object;
    return slice_of(test->id, test->len);
}

static void *headers_new(const struct exchange_type *self, struct slice args)
{
    (void)self;
    (void)args;
    struct headers *h = NEW(struct headers);
    hash_init(&h->fields, field_name);
    hash_init(&h->tests, test_id);
    list_init(&h->rules);
    list_init(&h->always);
    return h;
}

static void field_free(struct field *field)
{
    for (struct field *next; field; field = next) {
        next = field->next;
        free(field);
    }
}

static void test_free(struct test *test)
{
    free(test->any.items);
    free(test->all.items);
    free(test);
}

static void rules_free(struct list *rules)
{
    list_each_safe (it, rules)
        free(list_entry(it, struct rule, node));
}

static void headers_free(void *instance)
{
    struct headers *h = instance;
    rules_free(&h->rules);
    rules_free(&h->always);
    hash_each (it, &h->tests)
        test_free(hash_at(&h->tests, it));
    hash_each (it, &h->fields)
        field_free(hash_at(&h->fields, it));
    hash_fini(&h->tests);
    hash_fini(&h->fields);
    buf_fini(&h->id);
    free(h->held);
    free(h);
}

/* --- x-match --- */

enum match { MATCH_ALL, MATCH_ANY, MATCH_ALL_WITH_X, MATCH_ANY_WITH_X, MATCH_COUNT };

static const char *const match_names[MATCH_COUNT] = {"all", "any", "all-with-x", "any-with-x"};

static enum match match_of(struct slice text)
{
    enum match match = MATCH_ALL;
    while (match < MATCH_COUNT && !slice_eq_str(text, match_names[match]))
        match++;
    return match;
}

static enum err headers_validate_binding(const struct exchange_type *self, struct slice key,
                                         struct slice args, struct failure *why)
{
    (void)self;
    (void)key;
    struct table_value v;
    if (args.len == 0 || !table_find(args, SLICE("x-match"), &v))
        return ERR_NONE;
    if (v.type == TABLE_LONGSTR && match_of(v.bytes) != MATCH_COUNT)
        return ERR_NONE;
    struct buf term = BUF_INIT;
    table_value_print_quoted(&v, &term);
    enum err err;
    if (v.type == TABLE_LONGSTR)
        err = failure_set(why, ERR_PRECONDITION_FAILED,
                          "Invalid x-match field value %s; expected all, any, all-with-x, or "
                          "any-with-x",
                          buf_cstr(&term));
    else
        err = failure_set(why, ERR_PRECONDITION_FAILED,
                          "Invalid x-match field type %s (value %s); expected longstr",
                          table_type_name(v.type), buf_cstr(&term));
    buf_fini(&term);
    return err;
}

/* --- fields and tests --- */

static struct field *field_new(struct slice name, struct field *first)
{
    struct field *field = mem_zalloc(sizeof *field + name.len);
    field->first = first ? first : field;
    field->len = name.len;
    if (name.len)
        memcpy(field->name, name.data, name.len);
    return field;
}

/* The slot of this occurrence of first's key in this pass; NULL in it: no binding asks for it. */
static struct field **occurrence(struct headers *h, struct field **first)
{
    struct field **slot = first;
    if ((*first)->seen == h->pass)
        slot = (*first)->cursor;
    (*first)->seen = h->pass;
    if (*slot)
        (*first)->cursor = &(*slot)->next;
    return slot;
}

static struct field *field_get(struct headers *h, struct slice name)
{
    struct field *first = hash_find(&h->fields, name);
    if (!first) {
        first = field_new(name, NULL);
        hash_add(&h->fields, first);
    }
    struct field **slot = occurrence(h, &first);
    if (!*slot) {
        *slot = field_new(name, first);
        first->cursor = &(*slot)->next;
    }
    return *slot;
}

/* Into h->id. */
static struct slice id_of(struct headers *h, const struct field *field,
                          const struct table_value *value)
{
    buf_clear(&h->id);
    buf_append(&h->id, &field, sizeof field);
    if (value)
        header_value_put(&h->id, value);
    return buf_slice(&h->id);
}

/* value NULL: of the key alone. */
static struct test *test_ref(struct headers *h, struct field *field,
                             const struct table_value *value)
{
    struct slice id = id_of(h, field, value);
    struct test *test = hash_find(&h->tests, id);
    if (!test) {
        test = mem_zalloc(sizeof *test + id.len);
        test->field = field;
        test->len = id.len;
        memcpy(test->id, id.data, id.len);
        hash_add(&h->tests, test);
        field->first->refs++;
        if (!value) {
            field->present = test;
        } else {
            field->values++;
            if (header_value_size(value) > field->longest)
                field->longest = header_value_size(value);
        }
    }
    test->refs++;
    return test;
}

static void test_unref(struct headers *h, struct test *test)
{
    if (--test->refs)
        return;
    struct field *field = test->field, *first = field->first;
    if (field->present == test)
        field->present = NULL;
    else
        field->values--;
    hash_remove(&h->tests, test_id(test));
    test_free(test);
    if (--first->refs == 0) {
        hash_remove(&h->fields, field_name(first));
        field_free(first);
    }
}

/* --- binding --- */

static void hook_add(struct hooks *hooks, struct rule *rule, uint32_t place)
{
    MEM_GROW(hooks->items, hooks->cap, hooks->count + 1);
    rule->tests[place].at = hooks->count;
    hooks->items[hooks->count++] = (struct hook){rule, place};
}

static void hook_remove(struct hooks *hooks, const struct rule *rule, uint32_t place)
{
    size_t at = rule->tests[place].at;
    bug_on(at >= hooks->count || hooks->items[at].rule != rule);
    struct hook last = hooks->items[--hooks->count];
    hooks->items[at] = last;
    last.rule->tests[last.place].at = at;
    if (hooks->cap > 16 && hooks->count < hooks->cap / 4) {
        hooks->cap /= 2;
        hooks->items = mem_realloc(hooks->items, hooks->cap * sizeof *hooks->items);
    }
}

struct arguments {
    struct table_iter it;
    bool with_x;
};

/* The next one that counts. */
static bool arguments_next(struct arguments *arguments, struct slice *ret_key,
                           struct table_value *ret_value)
{
    while (table_next(&arguments->it, ret_key, ret_value)) {
        if (!slice_starts(*ret_key, SLICE("x-")))
            return true;
        if (arguments->with_x && !slice_eq(*ret_key, SLICE("x-match")))
            return true;
    }
    return false;
}

static uint32_t arguments_count(struct arguments arguments)
{
    uint32_t n = 0;
    struct slice key;
    struct table_value value;
    while (arguments_next(&arguments, &key, &value))
        n++;
    return n;
}

/* On every test, or on the one that the fewest others have; of those, a value rather than a key
 * alone. */
static void hang(struct headers *h, struct rule *rule)
{
    list_append(rule->any || rule->count ? &h->rules : &h->always, &rule->node);
    for (uint32_t i = 0; i < rule->count; i++) {
        struct test *test = rule->tests[i].test, *home = rule->tests[rule->home].test;
        if (rule->any) {
            hook_add(&test->any, rule, i);
        } else if (test->refs_all < home->refs_all ||
                   (test->refs_all == home->refs_all && home->field->present == home)) {
            rule->home = i;
        }
    }
    if (rule->any)
        return;
    for (uint32_t i = 0; i < rule->count; i++)
        rule->tests[i].test->refs_all++;
    if (rule->count)
        hook_add(&rule->tests[rule->home].test->all, rule, rule->home);
}

static void headers_bind(void *instance, struct binding *binding)
{
    struct headers *h = instance;
    struct slice text = SLICE("all"), key;
    struct table_value value;
    struct arguments arguments = {.it = table_iter(slice_of("", 0))};
    if (binding->args.len) {
        table_find_str(binding->args, SLICE("x-match"), &text);
        arguments.it = table_iter(binding->args);
    }
    enum match match = match_of(text);
    arguments.with_x = match == MATCH_ALL_WITH_X || match == MATCH_ANY_WITH_X;
    uint32_t count = arguments_count(arguments);
    struct rule *rule = mem_zalloc(sizeof *rule + count * sizeof rule->tests[0]);
    rule->to = binding->to;
    rule->any = match == MATCH_ANY || match == MATCH_ANY_WITH_X;
    h->pass++;
    while (rule->count < count && arguments_next(&arguments, &key, &value))
        rule->tests[rule->count++].test =
            test_ref(h, field_get(h, key), value.type == TABLE_VOID ? NULL : &value);
    hang(h, rule);
    binding->own = rule;
}

static void headers_unbind(void *instance, struct binding *binding)
{
    struct headers *h = instance;
    struct rule *rule = binding->own;
    for (uint32_t i = 0; i < rule->count; i++) {
        struct test *test = rule->tests[i].test;
        if (rule->any)
            hook_remove(&test->any, rule, i);
        else
            test->refs_all--;
    }
    if (!rule->any && rule->count)
        hook_remove(&rule->tests[rule->home].test->all, rule, rule->home);
    for (uint32_t i = 0; i < rule->count; i++)
        test_unref(h, rule->tests[i].test);
    list_remove(&rule->node);
    free(rule);
    binding->own = NULL;
}

/* --- routing --- */

static void hold(struct headers *h, struct test *test)
{
    test->held = h->pass;
    MEM_GROW(h->held, h->held_cap, h->held_count + 1);
    h->held[h->held_count++] = test;
}

/* Finds the tests that hold. */
static void look(struct headers *h, struct slice headers)
{
    struct slice key;
    struct table_value value;
    for (struct table_iter it = table_iter(headers); table_next(&it, &key, &value);) {
        struct field *field = hash_find(&h->fields, key);
        if (field)
            field = *occurrence(h, &field);
        if (!field)
            continue;
        if (field->present)
            hold(h, field->present);
        if (!field->values || value.type == TABLE_VOID ||
            header_value_size(&value) > field->longest)
            continue;
        struct test *test = hash_find(&h->tests, id_of(h, field, &value));
        if (test)
            hold(h, test);
    }
}

static bool all_hold(const struct headers *h, const struct rule *rule)
{
    for (uint32_t i = 0; i < rule->count; i++) {
        if (rule->tests[i].test->held != h->pass)
            return false;
    }
    return true;
}

static void headers_route(const void *instance, const struct route_input *input,
                          struct route_sink *sink)
{
    struct headers *h = (struct headers *)instance;
    list_each (it, &h->always)
        sink->found(sink, &list_entry(it, struct rule, node)->to);
    if (input->headers.len == 0)
        return;
    h->pass++;
    h->held_count = 0;
    look(h, input->headers);
    for (size_t i = 0; i < h->held_count; i++) {
        const struct hooks *any = &h->held[i]->any, *all = &h->held[i]->all;
        for (size_t j = 0; j < any->count; j++) {
            struct rule *rule = any->items[j].rule;
            if (rule->taken != h->pass)
                sink->found(sink, &rule->to);
            rule->taken = h->pass;
        }
        for (size_t j = 0; j < all->count; j++) {
            if (all_hold(h, all->items[j].rule))
                sink->found(sink, &all->items[j].rule->to);
        }
    }
}

/* --- judging one binding --- */

/* Which of the entries with that key up to and with at this one is. */
static unsigned occurrence_at(struct slice table, struct slice key, const uint8_t *at)
{
    unsigned n = 0;
    struct slice k;
    struct table_value v;
    for (struct table_iter it = table_iter(table); it.pos <= at && table_next(&it, &k, &v);)
        n += slice_eq(k, key);
    return n;
}

static bool find_occurrence(struct slice table, struct slice key, unsigned n,
                            struct table_value *ret_value)
{
    struct slice k;
    for (struct table_iter it = table_iter(table); table_next(&it, &k, ret_value);) {
        if (slice_eq(k, key) && --n == 0)
            return true;
    }
    return false;
}

/* As the route compares them. */
static bool is_same(const struct table_value *a, const struct table_value *b)
{
    struct buf both = BUF_INIT;
    header_value_put(&both, a);
    size_t len = both.len;
    header_value_put(&both, b);
    bool same = slice_eq(slice_of(both.data, len), slice_of(both.data + len, both.len - len));
    buf_fini(&both);
    return same;
}

/* False: why says what the message has instead. */
static bool argument_holds(struct slice args, struct slice headers, struct slice key,
                           const struct table_value *value, struct buf *why)
{
    struct table_value got;
    unsigned n = occurrence_at(args, key, key.data);
    if (!find_occurrence(headers, key, n, &got)) {
        buf_printf(why, "the header '%.*s' is missing", SLICE_ARG(key));
        return false;
    }
    if (value->type == TABLE_VOID || (got.type != TABLE_VOID && is_same(value, &got)))
        return true;
    buf_printf(why, "the header '%.*s' is ", SLICE_ARG(key));
    table_value_print(&got, why);
    buf_append_str(why, ", not ");
    table_value_print(value, why);
    return false;
}

static bool headers_judge(const struct binding *binding, const struct route_input *input,
                          struct buf *why)
{
    struct slice text = SLICE("all"), key;
    struct table_value value;
    struct arguments arguments = {.it = table_iter(binding->args)};
    size_t start = why->len;
    if (binding->args.len)
        table_find_str(binding->args, SLICE("x-match"), &text);
    enum match match = match_of(text);
    bool any = match == MATCH_ANY || match == MATCH_ANY_WITH_X, one = false;
    arguments.with_x = match == MATCH_ALL_WITH_X || match == MATCH_ANY_WITH_X;
    while (arguments_next(&arguments, &key, &value)) {
        one = true;
        if (argument_holds(binding->args, input->headers, key, &value, why) != any)
            continue;
        why->len = any ? start : why->len;
        return any;
    }
    if (!any)
        return true;
    why->len = start;
    buf_append_str(why, one ? "none of the headers asked for is there with its value"
                            : "x-match is any, and no header is asked for");
    return false;
}

const struct exchange_type exchange_headers = {
    .name = "headers",
    .text = "a message goes where its headers match the binding's arguments: all of them or any of "
            "them, as x-match says",
    .keyless = true,
    .validate_binding = headers_validate_binding,
    .new = headers_new,
    .free = headers_free,
    .bind = headers_bind,
    .unbind = headers_unbind,
    .route = headers_route,
    .judge = headers_judge,
};
