/* The form of stored definitions: what is put is got; what is damaged is told so. */
#include "unit.h"
#include "world.h"

#include "base/crc32c.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/wire_cursor.h"
#include "meta/meta_store.h"

#include <stdlib.h>

static const char hash[] = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";

/* One of each noun; binding has its identity. */
struct samples {
    union stored of[NOUN_END];
    struct binding_def *binding;
};

static struct samples *samples_new(void)
{
    struct samples *s = NEW(struct samples);
    struct slice args = args_of("x-max-length:I=10 alternate-exchange:S=a");
    struct buf identity = BUF_INIT;
    s->of[NOUN_NODE].node.name = SLICE("seeded");
    s->of[NOUN_VHOST].vhost = (struct vhost_def){.name = SLICE("v"),
                                                 .description = SLICE("what for"),
                                                 .tags = SLICE("a,b"),
                                                 .has_queue_type = true,
                                                 .queue_type = QUEUE_QUORUM};
    s->of[NOUN_USER].user = (struct user_def){.name = SLICE("u"),
                                              .tags = SLICE("administrator,other"),
                                              .tag_bits = TAG_ADMINISTRATOR,
                                              .hash = SLICE_EMPTY,
                                              .algorithm = DIGEST_SHA256};
    s->of[NOUN_USER].user.hash = slice_str(hash);
    s->of[NOUN_PERMISSION].permission =
        (struct permission_def){.vhost = SLICE("v"),
                                .user = SLICE("u"),
                                .patterns = {SLICE("^c"), SLICE_EMPTY, SLICE(".*")}};
    s->of[NOUN_TOPIC_PERMISSION].permission =
        (struct permission_def){.topic = true,
                                .vhost = SLICE("v"),
                                .user = SLICE("u"),
                                .exchange = SLICE("x"),
                                .patterns = {SLICE_EMPTY, SLICE("w"), SLICE("r")}};
    for (enum noun noun = NOUN_POLICY; noun <= NOUN_OPERATOR_POLICY; noun++)
        s->of[noun].policy = (struct policy_def){.operator_made = noun == NOUN_OPERATOR_POLICY,
                                                 .vhost = SLICE("v"),
                                                 .name = SLICE("p"),
                                                 .pattern = SLICE("^a"),
                                                 .args = args,
                                                 .priority = -3,
                                                 .apply_to = APPLY_TO_STREAMS};
    s->of[NOUN_PARAMETER].parameter = (struct parameter_def){.kind = PARAMETER_OF_VHOST,
                                                             .vhost = SLICE("v"),
                                                             .component = SLICE("c"),
                                                             .name = SLICE("p"),
                                                             .value = args_of("value:I=1")};
    s->of[NOUN_GLOBAL_PARAMETER].parameter = (struct parameter_def){
        .kind = PARAMETER_GLOBAL, .name = SLICE("g"), .value = args_of("value:S=x")};
    s->of[NOUN_USER_LIMITS].parameter = (struct parameter_def){
        .kind = PARAMETER_USER_LIMITS, .name = SLICE("u"), .value = args_of("value:t=true")};
    s->of[NOUN_EXCHANGE].exchange = (struct exchange_def){.vhost = SLICE("v"),
                                                          .name = SLICE("x"),
                                                          .type = SLICE("topic"),
                                                          .args = args,
                                                          .user = SLICE("u"),
                                                          .durable = true,
                                                          .auto_delete = true,
                                                          .internal = true};
    s->of[NOUN_QUEUE].queue = (struct queue_def){.id = 1ull << 40,
                                                 .vhost = SLICE("v"),
                                                 .name = SLICE("q"),
                                                 .args = args,
                                                 .durable = true,
                                                 .auto_delete = true,
                                                 .type_by_default = true};
    binding_identity_put(&identity, true, SLICE("x"), SLICE("y"), SLICE("k.#"), args);
    struct binding_key key = {
        .vhost = SLICE("v"), .identity = buf_slice(&identity), .to_exchange = true, .order = 7};
    s->binding = binding_def_new(&key, 1);
    buf_fini(&identity);
    return s;
}

static void samples_free(struct samples *s)
{
    binding_def_unref(&s->binding);
    free(s);
}

static const void *sample(const struct samples *s, enum noun noun)
{
    return noun == NOUN_BINDING ? (const void *)s->binding : &s->of[noun];
}

static void same(const char *what, struct slice a, struct slice b)
{
    cr_expect(slice_eq(a, b), "%s: '%.*s', '%.*s'", what, SLICE_ARG(a), SLICE_ARG(b));
}

static void same_permission(const struct permission_def *a, const struct permission_def *b)
{
    cr_expect_eq(a->topic, b->topic);
    same("vhost", a->vhost, b->vhost);
    same("user", a->user, b->user);
    same("exchange", a->exchange, b->exchange);
    for (int i = 0; i < ACCESS_RIGHTS; i++)
        same("pattern", a->patterns[i], b->patterns[i]);
}

static void same_policy(const struct policy_def *a, const struct policy_def *b)
{
    cr_expect_eq(a->operator_made, b->operator_made);
    same("vhost", a->vhost, b->vhost);
    same("name", a->name, b->name);
    same("pattern", a->pattern, b->pattern);
    same("args", a->args, b->args);
    cr_expect_eq(a->priority, b->priority);
    cr_expect_eq(a->apply_to, b->apply_to);
}

static void same_parameter(const struct parameter_def *a, const struct parameter_def *b)
{
    cr_expect_eq(a->kind, b->kind);
    same("vhost", a->vhost, b->vhost);
    same("component", a->component, b->component);
    same("name", a->name, b->name);
    same("value", a->value, b->value);
}

static void same_things(const union stored *a, const struct samples *s, enum noun noun)
{
    const union stored *b = &s->of[noun];
    switch (noun) {
    case NOUN_NODE:
        same("name", a->node.name, b->node.name);
        break;
    case NOUN_VHOST:
        same("name", a->vhost.name, b->vhost.name);
        same("description", a->vhost.description, b->vhost.description);
        same("tags", a->vhost.tags, b->vhost.tags);
        cr_expect(a->vhost.has_queue_type && a->vhost.queue_type == QUEUE_QUORUM);
        break;
    case NOUN_USER:
        same("name", a->user.name, b->user.name);
        same("tags", a->user.tags, b->user.tags);
        same("hash", a->user.hash, b->user.hash);
        cr_expect_eq(a->user.tag_bits, b->user.tag_bits);
        cr_expect_eq(a->user.algorithm, b->user.algorithm);
        break;
    case NOUN_PERMISSION:
    case NOUN_TOPIC_PERMISSION:
        same_permission(&a->permission, &b->permission);
        break;
    case NOUN_POLICY:
    case NOUN_OPERATOR_POLICY:
        same_policy(&a->policy, &b->policy);
        break;
    case NOUN_PARAMETER:
    case NOUN_GLOBAL_PARAMETER:
    case NOUN_USER_LIMITS:
        same_parameter(&a->parameter, &b->parameter);
        break;
    case NOUN_EXCHANGE:
        same("vhost", a->exchange.vhost, b->exchange.vhost);
        same("name", a->exchange.name, b->exchange.name);
        same("type", a->exchange.type, b->exchange.type);
        same("args", a->exchange.args, b->exchange.args);
        same("user", a->exchange.user, b->exchange.user);
        cr_expect(a->exchange.durable && a->exchange.auto_delete && a->exchange.internal);
        break;
    case NOUN_QUEUE:
        cr_expect_eq(a->queue.id, b->queue.id);
        same("vhost", a->queue.vhost, b->queue.vhost);
        same("name", a->queue.name, b->queue.name);
        same("args", a->queue.args, b->queue.args);
        cr_expect(a->queue.durable && a->queue.auto_delete && a->queue.type_by_default);
        break;
    case NOUN_BINDING:
        cr_expect_eq(a->binding.to_exchange, s->binding->to_exchange);
        same("vhost", a->binding.vhost, s->binding->vhost);
        same("source", a->binding.source, s->binding->source);
        same("destination", a->binding.destination, s->binding->destination);
        same("key", a->binding.key, s->binding->key);
        same("args", a->binding.args, s->binding->args);
        break;
    case NOUN_END:
        break;
    }
}

UNIT(store, what_is_put_is_got)
{
    struct samples *s = samples_new();
    for (enum noun noun = NOUN_NODE; noun < NOUN_END; noun++) {
        struct buf value = BUF_INIT;
        union stored got;
        meta_store_put_value(noun, sample(s, noun), &value);
        cr_assert_eq(meta_store_get(noun, buf_slice(&value), &got), STORED_FINE, "noun %d", noun);
        same_things(&got, s, noun);
        buf_fini(&value);
    }
    samples_free(s);
}

/* The checksum of a value that was tampered with. */
static void set_crc(struct buf *value)
{
    if (value->len >= 5)
        wire_store_u32(value->data + 1,
                       crc32c(crc32c(0, value->data, 1), value->data + 5, value->len - 5));
}

UNIT(store, damage_is_told)
{
    struct samples *s = samples_new();
    for (enum noun noun = NOUN_NODE; noun < NOUN_END; noun++) {
        struct buf whole = BUF_INIT, part = BUF_INIT;
        union stored got;
        meta_store_put_value(noun, sample(s, noun), &whole);
        for (size_t n = 0; n < whole.len; n++) {
            buf_clear(&part);
            buf_append(&part, whole.data, n);
            cr_expect_eq(meta_store_get(noun, buf_slice(&part), &got), STORED_DAMAGED);
            set_crc(&part);
            cr_expect_eq(meta_store_get(noun, buf_slice(&part), &got), STORED_DAMAGED);
            buf_clear(&part);
            buf_append_slice(&part, buf_slice(&whole));
            part.data[n] ^= (uint8_t)(1 << n % 8);
            cr_expect_eq(meta_store_get(noun, buf_slice(&part), &got), STORED_DAMAGED);
        }
        for (int i = 0; i < 20000; i++) { /* nonsense that looks right is got, or not */
            buf_clear(&part);
            buf_append_slice(&part, buf_slice(&whole));
            for (int k = 0; k <= i % 4; k++)
                part.data[5 + world_random((unsigned)part.len - 5)] = (uint8_t)world_random(256);
            part.len -= world_random(3) == 0;
            set_crc(&part);
            if (meta_store_get(noun, buf_slice(&part), &got) == STORED_FINE) {
                struct buf text = BUF_INIT;
                meta_describe_stored((uint8_t)noun, SLICE("key"), buf_slice(&part), &text);
                buf_fini(&text);
            }
        }
        buf_append_byte(&whole, 0);
        set_crc(&whole);
        cr_expect_eq(meta_store_get(noun, buf_slice(&whole), &got), STORED_DAMAGED);
        whole.len--;
        whole.data[0] = (uint8_t)(meta_store_version(noun) + 1);
        set_crc(&whole);
        cr_expect_eq(meta_store_get(noun, buf_slice(&whole), &got), STORED_NEWER);
        buf_fini(&whole);
        buf_fini(&part);
    }
    samples_free(s);
}

static void put_queue_key(struct slice vhost, struct slice name, struct buf *out)
{
    struct queue_def def = {.vhost = vhost, .name = name};
    buf_clear(out);
    meta_store_put_key(NOUN_QUEUE, &def, out);
}

UNIT(store, keys)
{
    struct buf a = BUF_INIT, b = BUF_INIT;
    uint8_t text[255];
    put_queue_key(SLICE("v"), SLICE("q"), &a);
    same("key", buf_slice(&a), SLICE("\1v\1q"));
    put_queue_key(SLICE("vq"), SLICE(""), &b);
    cr_expect(!slice_eq(buf_slice(&a), buf_slice(&b)));
    memset(text, 'x', sizeof text);
    put_queue_key(slice_of(text, 255), slice_of(text, 255), &a);
    cr_expect_eq(a.len, STORED_KEY_MAX);
    put_queue_key(slice_of(text, 255), slice_of(text, 254), &b);
    cr_expect_eq(b.len, STORED_KEY_MAX);
    cr_expect(!slice_eq(buf_slice(&a), buf_slice(&b)));
    text[254] = 'y';
    put_queue_key(slice_of(text, 255), slice_of(text, 254), &a);
    cr_expect(!slice_eq(buf_slice(&a), buf_slice(&b)));
    buf_clear(&a);
    meta_store_put_key(NOUN_VHOST, &(struct vhost_def){.name = slice_of(text, 255)}, &a);
    cr_expect_eq(a.len, STORED_KEY_MAX);
    buf_fini(&a);
    buf_fini(&b);
}

UNIT(store, says_what_it_holds)
{
    static const char *const texts[NOUN_END] = {
        [NOUN_NODE] = "fact of the node seeded",
        [NOUN_VHOST] = "virtual host 'v'",
        [NOUN_USER] = "user 'u', tags [administrator,other]",
        [NOUN_PERMISSION] = "permission of user 'u' in vhost 'v': '^c' '' '.*'",
        [NOUN_TOPIC_PERMISSION] =
            "topic permission of user 'u' in vhost 'v' for exchange 'x': '' 'w' 'r'",
        [NOUN_EXCHANGE] = "exchange 'x' in vhost 'v', type topic, auto-delete, internal, arguments "
                          "x-max-length 10, alternate-exchange 'a'",
        [NOUN_POLICY] = "policy 'p' in vhost 'v', pattern '^a', applies to streams, priority -3: "
                        "x-max-length 10, alternate-exchange 'a'",
        [NOUN_OPERATOR_POLICY] = "operator policy 'p' in vhost 'v', pattern '^a', applies to "
                                 "streams, priority -3: x-max-length 10, alternate-exchange 'a'",
        [NOUN_PARAMETER] = "parameter 'p' of component 'c' in vhost 'v'",
        [NOUN_GLOBAL_PARAMETER] = "global parameter 'g'",
        [NOUN_USER_LIMITS] = "limits of a user 'u'",
        [NOUN_QUEUE] = "queue 'q' in vhost 'v', id 1099511627776, auto-delete, arguments "
                       "x-max-length 10, alternate-exchange 'a'",
        [NOUN_BINDING] = "binding from 'x' to exchange 'y' with key 'k.#' in vhost 'v', arguments "
                         "alternate-exchange 'a', x-max-length 10",
    };
    struct samples *s = samples_new();
    for (enum noun noun = NOUN_NODE; noun < NOUN_END; noun++) {
        struct buf value = BUF_INIT, text = BUF_INIT;
        meta_store_put_value(noun, sample(s, noun), &value);
        meta_describe_stored((uint8_t)noun, SLICE("\1k"), buf_slice(&value), &text);
        cr_expect_str_eq(buf_cstr(&text), texts[noun]);
        buf_clear(&text);
        meta_describe_stored((uint8_t)noun, SLICE("\1k"), SLICE("\1xx"), &text);
        cr_expect(strstr(buf_cstr(&text), " with the key .k (damaged)") != NULL);
        buf_fini(&value);
        buf_fini(&text);
    }
    struct buf text = BUF_INIT;
    meta_describe_stored(200, SLICE("k"), SLICE(""), &text);
    cr_expect_str_eq(buf_cstr(&text), "definition of the unknown kind 200 with the key k");
    buf_fini(&text);
    samples_free(s);
}
