/* x-rtopic: a topic exchange the other way round. The routing key of a message has the wildcards, *
 * for one word and # for any number of them; the keys of bindings are plain.
 *
 * Binding keys are a trie of words. A routing key walks it as an automaton: a set of the places in
 * the key that may come next goes down with the walk, so each node is visited once at most, and
 * where no wildcard may come next only the words that fit are looked up. */
#include <jackalope/plugin.h>

#include <stdlib.h>
#include <string.h>

enum {
    WORDS_MOST = 257,                       /* of a key of 255 bytes, and one more for the end */
    SET_WORDS = (WORDS_MOST + 1 + 63) / 64, /* of 64 bits */
    BUCKETS_LEAST = 4
};

static const struct jackalope_api *api;

/* ---- the trie ---- */

struct word {
    const char *data;
    size_t len;
};

struct bound {
    struct bound *next, **self; /* among those of its node */
    struct node *node;
    const struct jackalope_binding *binding;
};

struct node {
    struct node *parent, *sibling; /* the next one of its bucket */
    struct node **buckets;
    size_t bucket_count, child_count; /* a power of two, or 0 */
    struct bound *bounds;
    size_t len;
    char word[];
};

/* As in the broker, there is no going on without memory. */
static void *need(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static struct node *node_new(struct node *parent, struct word word)
{
    struct node *node = need(calloc(1, sizeof *node + word.len));
    node->parent = parent;
    node->len = word.len;
    if (word.len)
        memcpy(node->word, word.data, word.len);
    return node;
}

/* FNV-1a */
static size_t hash(const char *data, size_t len)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ h >> 32);
}

static struct node **bucket_of(const struct node *node, const char *data, size_t len)
{
    return &node->buckets[hash(data, len) & (node->bucket_count - 1)];
}

static struct node *find_child(const struct node *node, struct word word)
{
    if (!node->bucket_count)
        return NULL;
    struct node *child = *bucket_of(node, word.data, word.len);
    while (child && (child->len != word.len || memcmp(child->word, word.data, word.len)))
        child = child->sibling;
    return child;
}

static void link_child(struct node *node, struct node *child)
{
    struct node **bucket = bucket_of(node, child->word, child->len);
    child->sibling = *bucket;
    *bucket = child;
}

static void grow(struct node *node)
{
    struct node **old = node->buckets;
    size_t count = node->bucket_count;
    node->bucket_count = count ? count * 2 : BUCKETS_LEAST;
    node->buckets = need(calloc(node->bucket_count, sizeof(struct node *)));
    for (size_t i = 0; i < count; i++) {
        for (struct node *child = old[i], *next; child; child = next) {
            next = child->sibling;
            link_child(node, child);
        }
    }
    free(old);
}

static struct node *get_child(struct node *node, struct word word)
{
    struct node *child = find_child(node, word);
    if (child)
        return child;
    if (node->child_count == node->bucket_count)
        grow(node);
    node->child_count++;
    child = node_new(node, word);
    link_child(node, child);
    return child;
}

/* With those above it that are of no use any more. */
static void prune(struct node *node)
{
    while (node->parent && !node->bounds && !node->child_count) {
        struct node *parent = node->parent, **at = bucket_of(parent, node->word, node->len);
        while (*at != node)
            at = &(*at)->sibling;
        *at = node->sibling;
        parent->child_count--;
        free(node->buckets);
        free(node);
        node = parent;
    }
}

static void free_tree(struct node *node)
{
    for (size_t i = 0; i < node->bucket_count; i++) {
        for (struct node *child = node->buckets[i], *next; child; child = next) {
            next = child->sibling;
            free_tree(child);
        }
    }
    for (struct bound *bound = node->bounds, *next; bound; bound = next) {
        next = bound->next;
        free(bound);
    }
    free(node->buckets);
    free(node);
}

/* ---- keys ---- */

/* The words of a key; the empty key has none. */
static size_t split(struct jackalope_bytes key, struct word words[WORDS_MOST])
{
    const char *p = key.data, *end = p + key.len;
    size_t n = 0;
    if (!key.len)
        return 0;
    while (n < WORDS_MOST) {
        const char *dot = memchr(p, '.', (size_t)(end - p));
        words[n++] = (struct word){p, (size_t)((dot ? dot : end) - p)};
        if (!dot)
            break;
        p = dot + 1;
    }
    return n;
}

static int is_wildcard(struct word word, char c)
{
    return word.len == 1 && *word.data == c;
}

struct pattern {
    struct word words[WORDS_MOST];
    size_t count;
};

/* Places in a pattern: that of the word that comes next, or count. */
struct set {
    uint64_t bits[SET_WORDS];
};

static int set_has(const struct set *set, size_t at)
{
    return set->bits[at / 64] >> at % 64 & 1;
}

/* And what a # there may be nothing of leads to. */
static void set_add(struct set *set, const struct pattern *p, size_t at)
{
    for (;; at++) {
        set->bits[at / 64] |= UINT64_C(1) << at % 64;
        if (at == p->count || !is_wildcard(p->words[at], '#'))
            return;
    }
}

/* False: nothing can follow. */
static int step(const struct pattern *p, const struct set *from, struct word word, struct set *to)
{
    int some = 0;
    memset(to, 0, sizeof *to);
    for (size_t i = 0; i < p->count; i++) {
        if (!set_has(from, i))
            continue;
        if (is_wildcard(p->words[i], '#'))
            set_add(to, p, i);
        else if (is_wildcard(p->words[i], '*') ||
                 (p->words[i].len == word.len && !memcmp(p->words[i].data, word.data, word.len)))
            set_add(to, p, i + 1);
        else
            continue;
        some = 1;
    }
    return some;
}

static int has_wildcard(const struct pattern *p, const struct set *set)
{
    for (size_t i = 0; i < p->count; i++) {
        if (set_has(set, i) && (is_wildcard(p->words[i], '#') || is_wildcard(p->words[i], '*')))
            return 1;
    }
    return 0;
}

/* ---- routing ---- */

static void walk(const struct node *node, const struct pattern *p, const struct set *set,
                 struct jackalope_sink *sink);

static void walk_child(const struct node *child, const struct pattern *p, const struct set *set,
                       struct jackalope_sink *sink)
{
    struct set next;
    if (step(p, set, (struct word){child->word, child->len}, &next))
        walk(child, p, &next, sink);
}

/* Words that several places want are looked up once: the step of the first takes all of them. */
static void walk_words(const struct node *node, const struct pattern *p, const struct set *set,
                       struct jackalope_sink *sink)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct node *child = set_has(set, i) ? find_child(node, p->words[i]) : NULL;
        int seen = 0;
        for (size_t j = 0; child && j < i && !seen; j++)
            seen = set_has(set, j) && p->words[j].len == child->len &&
                   !memcmp(p->words[j].data, child->word, child->len);
        if (child && !seen)
            walk_child(child, p, set, sink);
    }
}

static void walk(const struct node *node, const struct pattern *p, const struct set *set,
                 struct jackalope_sink *sink)
{
    if (set_has(set, p->count)) {
        for (const struct bound *bound = node->bounds; bound; bound = bound->next)
            api->found(sink, bound->binding);
    }
    if (!has_wildcard(p, set)) {
        walk_words(node, p, set, sink);
        return;
    }
    for (size_t i = 0; i < node->bucket_count; i++) {
        for (const struct node *child = node->buckets[i]; child; child = child->sibling)
            walk_child(child, p, set, sink);
    }
}

static void begin(struct pattern *p, struct jackalope_bytes key, struct set *set)
{
    p->count = split(key, p->words);
    memset(set, 0, sizeof *set);
    set_add(set, p, 0);
}

/* ---- the exchange type ---- */

static void *create(struct jackalope_bytes arguments)
{
    (void)arguments;
    return node_new(NULL, (struct word){"", 0});
}

static void destroy(void *instance)
{
    free_tree(instance);
}

static void bind_key(void *instance, struct jackalope_binding *binding)
{
    struct word words[WORDS_MOST];
    struct node *node = instance;
    size_t count = split(binding->key, words);
    for (size_t i = 0; i < count; i++)
        node = get_child(node, words[i]);
    struct bound *bound = need(calloc(1, sizeof *bound));
    bound->node = node;
    bound->binding = binding;
    bound->next = node->bounds;
    bound->self = &node->bounds;
    if (bound->next)
        bound->next->self = &bound->next;
    node->bounds = bound;
    binding->own = bound;
}

static void unbind_key(void *instance, struct jackalope_binding *binding)
{
    struct bound *bound = binding->own;
    (void)instance;
    *bound->self = bound->next;
    if (bound->next)
        bound->next->self = bound->self;
    prune(bound->node);
    free(bound);
}

static void route(const void *instance, const struct jackalope_message_keys *message,
                  struct jackalope_sink *sink)
{
    struct pattern pattern;
    struct set set;
    begin(&pattern, message->routing_key, &set);
    walk(instance, &pattern, &set, sink);
}

static int matches(const struct jackalope_binding *binding,
                   const struct jackalope_message_keys *message)
{
    struct word words[WORDS_MOST];
    struct pattern pattern;
    struct set set, next;
    size_t count = split(binding->key, words);
    begin(&pattern, message->routing_key, &set);
    for (size_t i = 0; i < count; i++) {
        if (!step(&pattern, &set, words[i], &next))
            return 0;
        set = next;
    }
    return set_has(&set, pattern.count);
}

static const struct jackalope_exchange_type type = {
    .size = sizeof type,
    .name = "x-rtopic",
    .text = "a message goes to the bindings whose keys its routing key matches: in that, * stands "
            "for one word and # for any number of them",
    .create = create,
    .destroy = destroy,
    .bind = bind_key,
    .unbind = unbind_key,
    .route = route,
    .matches = matches,
};

static int start(const struct jackalope_api *table, struct jackalope_host *host,
                 struct jackalope_why *why)
{
    (void)why;
    api = table;
    return api->add_exchange_type(host, &type);
}

JACKALOPE_PLUGIN(rtopic) = {
    JACKALOPE_PLUGIN_HEAD(rtopic),
    .version = "1.0",
    .text = "Reverse topic exchanges, x-rtopic: wildcards in the routing key of the message",
    .start = start,
};
