#include "../broker/exchange_rig.h"
#include "host.h"

extern const struct jackalope_plugin jackalope_plugin_rtopic;

static const struct exchange_type *type;
static struct jackalope_host host;
static struct plugins plugins;
static struct conf conf;

static void setup(void)
{
    host_start(&host, &conf, &plugins, &jackalope_plugin_rtopic);
    type = exchange_type_find(SLICE("x-rtopic"));
}

static void teardown(void)
{
    host_stop(&host);
}

TestSuite(rtopic, .init = setup, .fini = teardown);

/* ---- the naive model: pattern and words from their ends, each # tried for any length ---- */

static bool cut(struct slice *key, bool *over, struct slice *ret_word)
{
    if (*over)
        return false;
    const uint8_t *dot = key->len ? memchr(key->data, '.', key->len) : NULL;
    *ret_word = slice_of(key->data, dot ? (size_t)(dot - key->data) : key->len);
    *over = !dot;
    if (dot)
        *key = slice_of(dot + 1, key->len - ret_word->len - 1);
    return true;
}

static bool fits(struct slice pattern, bool pattern_over, struct slice key, bool key_over)
{
    struct slice want, word, rest = key;
    bool rest_over = key_over;
    if (!cut(&pattern, &pattern_over, &want))
        return key_over;
    if (slice_eq_str(want, "#")) {
        if (fits(pattern, pattern_over, rest, rest_over))
            return true;
        while (cut(&rest, &rest_over, &word)) {
            if (fits(pattern, pattern_over, rest, rest_over))
                return true;
        }
        return false;
    }
    return cut(&rest, &rest_over, &word) && (slice_eq_str(want, "*") || slice_eq(want, word)) &&
           fits(pattern, pattern_over, rest, rest_over);
}

static bool matches(const struct binding *binding, struct slice key, struct slice headers)
{
    (void)headers;
    return fits(key, !key.len, binding->key, !binding->key.len);
}

static void make_key(struct rig_random *random, struct buf *key, size_t words)
{
    static const char *const all[] = {"a", "b", "", "cc", "*", "#", "#", "*"};
    for (size_t i = 0, n = rig_below(random, 6); i < n; i++) {
        if (i)
            buf_append_byte(key, '.');
        buf_append_str(key, all[rig_below(random, words)]);
    }
}

static void make_binding(struct rig_random *random, struct buf *key, struct buf *args)
{
    (void)args;
    make_key(random, key, rig_below(random, 8) ? 4 : 8);
}

static void make_message(struct rig_random *random, struct buf *key, struct buf *headers)
{
    (void)headers;
    make_key(random, key, 8);
}

static const struct rig_model model = {matches, make_binding, make_message};

UNIT(rtopic, matches_as_the_model_says)
{
    cr_assert_not_null(type);
    for (uint64_t seed = 1; seed <= 40; seed++)
        rig_run(type, &model, seed, 60, 150);
}

/* Both go by the squares of their lengths, not by the ways to fit one into the other. */
UNIT(rtopic, bears_keys_made_to_be_hard)
{
    struct rig *rig = rig_new(type, 1);
    struct buf key = BUF_INIT;
    for (unsigned i = 0; i < 127; i++)
        buf_append_str(&key, i ? ".a" : "a");
    rig_bind(rig, 0, buf_slice(&key), SLICE_EMPTY);
    buf_append_str(&key, ".b");
    rig_bind(rig, 1, buf_slice(&key), SLICE_EMPTY);
    buf_clear(&key);
    for (unsigned i = 0; i < 60; i++)
        buf_append_str(&key, i ? ".#.a" : "#.a");
    rig_route(rig, buf_slice(&key), SLICE_EMPTY);
    cr_assert_eq(rig->hits[0], 1);
    cr_assert_eq(rig->hits[1], 0);
    buf_append_str(&key, ".#");
    rig_route(rig, buf_slice(&key), SLICE_EMPTY);
    cr_assert_eq(rig->found, 2);
    buf_clear(&key);
    for (unsigned i = 0; i < 255; i++)
        buf_append_byte(&key, '.');
    rig_bind(rig, 2, buf_slice(&key), SLICE_EMPTY);
    rig_route(rig, buf_slice(&key), SLICE_EMPTY);
    cr_assert_eq(rig->hits[2], 1);
    cr_assert_eq(rig->found, 1);
    buf_fini(&key);
    rig_free(rig);
}
