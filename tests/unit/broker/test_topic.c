#include "exchange_rig.h"

/* Words and dots, by the definition: matched[j] says whether the pattern's words so far match the
 * first j words of the key. */
enum { WORDS_MAX = 300 };

static size_t split(struct slice key, struct slice *words)
{
    size_t n = 0, start = 0;
    if (key.len == 0)
        return 0;
    for (size_t i = 0; i <= key.len; i++) {
        if (i == key.len || key.data[i] == '.') {
            words[n++] = slice_of(key.data + start, i - start);
            start = i + 1;
        }
    }
    return n;
}

static bool topic_matches(struct slice pattern, struct slice key)
{
    struct slice p[WORDS_MAX], k[WORDS_MAX];
    size_t pn = split(pattern, p), kn = split(key, k);
    bool matched[WORDS_MAX + 1] = {true}, more[WORDS_MAX + 1];
    for (size_t i = 0; i < pn; i++) {
        bool star = slice_eq_str(p[i], "*"), hash = slice_eq_str(p[i], "#");
        more[0] = hash && matched[0];
        for (size_t j = 1; j <= kn; j++)
            more[j] = hash ? matched[j] || more[j - 1]
                           : matched[j - 1] && (star || slice_eq(p[i], k[j - 1]));
        memcpy(matched, more, sizeof matched);
    }
    return matched[kn];
}

static bool matches(const struct binding *binding, struct slice key, struct slice headers)
{
    (void)headers;
    return topic_matches(binding->key, key);
}

static void make_key(struct rig_random *random, struct buf *key, const char *const *words, size_t n,
                     size_t longest)
{
    size_t len = rig_below(random, longest + 1);
    for (size_t i = 0; i < len; i++) {
        if (i)
            buf_append_byte(key, '.');
        buf_append_str(key, words[rig_below(random, n)]);
    }
}

static void make_binding(struct rig_random *random, struct buf *key, struct buf *args)
{
    static const char *const words[] = {"#", "#", "*", "*", "a", "a", "b", "c", "ab", "", "**"};
    (void)args;
    make_key(random, key, words, sizeof words / sizeof *words, 5);
}

static void make_message(struct rig_random *random, struct buf *key, struct buf *headers)
{
    static const char *const words[] = {"a", "a", "a", "b", "b", "c", "ab", "", "d", "*", "#"};
    (void)headers;
    make_key(random, key, words, sizeof words / sizeof *words, 6);
}

static const struct rig_model model = {matches, make_binding, make_message};

static const struct {
    const char *pattern, *key;
    bool match;
} cases[] = {
    {"", "", true},
    {"", ".", false},
    {"", "a", false},
    {"#", "", true},
    {"#", "a", true},
    {"#", "..", true},
    {"*", "", false},
    {"*", "a", true},
    {"*", "a.b", false},
    {"*.*", ".", true},
    {"*", ".", false},
    {".", ".", true},
    {"..", ".", false},
    {"*.", "a.", true},
    {"a.#", "a", true},
    {"a.#", "a.b.c", true},
    {"a.#", "ab", false},
    {"#.a", "a", true},
    {"#.a", "b.c.a", true},
    {"#.a", "b.c.a.b", false},
    {"a.#.b", "a.b", true},
    {"a.#.b", "a.b.c.b", true},
    {"a.#.b", "a", false},
    {"#.#", "", true},
    {"#.*", "", false},
    {"#.*", "a", true},
    {"#.*.#", "", false},
    {"*.#", ".", true},
    {"#.a.#.a.#", "a", false},
    {"#.a.#.a.#", "b.a.b.a.b", true},
    {"a#", "a#", true},
    {"a#", "ab", false},
    {"*a", "ba", false},
    {"stock.*.nyse", "stock.usd.nyse", true},
    {"stock.*.nyse", "stock.usd.nasdaq", false},
    {"*.*.*", "a.b", false},
};

UNIT(topic, words_and_wildcards)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig *rig = rig_new(&exchange_topic, 1);
        rig_bind(rig, 0, slice_str(cases[i].pattern), SLICE_EMPTY);
        rig_route(rig, slice_str(cases[i].key), SLICE_EMPTY);
        cr_assert_eq(rig->found, cases[i].match, "'%s' '%s'", cases[i].pattern, cases[i].key);
        cr_assert_eq(topic_matches(slice_str(cases[i].pattern), slice_str(cases[i].key)),
                     cases[i].match, "the naive matcher: '%s' '%s'", cases[i].pattern,
                     cases[i].key);
        rig_free(rig);
    }
}

UNIT(topic, matches_as_the_definition_says)
{
    for (uint64_t seed = 0; seed < 60; seed++)
        rig_run(&exchange_topic, &model, seed, 1 + (unsigned)seed * 3, 300);
}

static void repeat(struct buf *key, const char *word, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (key->len)
            buf_append_byte(key, '.');
        buf_append_str(key, word);
    }
}

/* A walk that tried every split of the key over the '#' would take longer than the universe. */
UNIT(topic, many_hashes_do_not_explode)
{
    struct rig *rig = rig_new(&exchange_topic, 1);
    struct buf key = BUF_INIT;
    for (unsigned i = 1; i <= 100; i++) {
        buf_clear(&key);
        repeat(&key, "#", i);
        rig_bind(rig, i, buf_slice(&key), SLICE_EMPTY);
        repeat(&key, "z", 1);
        rig_bind(rig, 100 + i, buf_slice(&key), SLICE_EMPTY);
    }
    for (unsigned i = 1; i <= 60; i++) {
        buf_clear(&key);
        repeat(&key, "#.a", i);
        rig_bind(rig, 200 + i, buf_slice(&key), SLICE_EMPTY);
        repeat(&key, "#", 1);
        rig_bind(rig, 300 + i, buf_slice(&key), SLICE_EMPTY);
    }
    buf_clear(&key);
    repeat(&key, "a", 128);
    rig_route(rig, buf_slice(&key), SLICE_EMPTY);
    cr_assert_eq(rig->found, 220, "%u", rig->found);
    for (unsigned i = 0; i < RIG_MAX; i++)
        cr_assert_leq(rig->hits[i], 1);
    buf_clear(&key);
    repeat(&key, "", 255);
    rig_route(rig, buf_slice(&key), SLICE_EMPTY);
    cr_assert_eq(rig->found, 100, "%u", rig->found);
    buf_fini(&key);
    rig_free(rig);
}

UNIT(topic, long_keys)
{
    struct rig *rig = rig_new(&exchange_topic, 1);
    struct buf key = BUF_INIT;
    repeat(&key, "*", 128);
    rig_bind(rig, 0, buf_slice(&key), SLICE_EMPTY);
    buf_clear(&key);
    repeat(&key, "", 254);
    rig_bind(rig, 1, buf_slice(&key), SLICE_EMPTY);
    buf_clear(&key);
    repeat(&key, "w", 128);
    rig_route(rig, buf_slice(&key), SLICE_EMPTY);
    cr_assert(rig->hits[0] == 1 && rig->found == 1);
    buf_clear(&key);
    repeat(&key, "", 254);
    rig_route(rig, buf_slice(&key), SLICE_EMPTY);
    cr_assert(rig->hits[1] == 1 && rig->found == 1);
    rig_unbind(rig, 1);
    rig_unbind(rig, 0);
    rig_route(rig, buf_slice(&key), SLICE_EMPTY);
    cr_assert_eq(rig->found, 0);
    buf_fini(&key);
    rig_free(rig);
}
