/* topic: keys are words parted by dots; in a binding key '*' stands for one word and '#' for any
 * number of them, none included. An empty key has no words; "." has two empty ones.
 *
 * The binding keys are a trie of words. Routing walks it with a set of nodes, as a finite automaton
 * does: a node is in the set at most once, so a key of w words costs at most w times the nodes that
 * are alive, however many '#' a binding key has, and nothing recurses. Where a key matches few
 * bindings the cost is a lookup a word and a lookup a live node, whatever is bound.
 * Words are interned: a word that no binding has is looked up once, not once a node.
 *
 * Lives on the shard of its replica; marks and sets are scratch of the route that runs. */
#include "base/buf.h"
#include "base/bug.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "broker/exchange/dest_list.h"
#include "broker/exchange/exchange.h"

#include <stdlib.h>

enum node_kind { NODE_ROOT, NODE_WORD, NODE_STAR, NODE_HASH };

/* A child by a plain word is found through topic.edges, by a wildcard through its parent. What
 * routing reads comes first: many bindings do not fit the caches. */
struct node {
    uint64_t mark; /* the set it was last put into, or would have been */
    struct node *parent, *star, *hash;
    uint32_t words; /* children by plain words */
    uint32_t len;
    enum node_kind kind;
    struct dest_list dests;
    struct list all; /* in topic.nodes */
    uint8_t text[];  /* of NODE_WORD */
};

/* Open addressing with linear probing; at most 2/3 full. */
struct edges {
    struct edge {
        uint64_t hash; /* 0: free */
        struct node *node;
    } * slots;
    size_t mask, count; /* mask: slots - 1, 0 while there are none */
};

struct node_set {
    struct node **nodes;
    size_t count, cap;
};

struct topic {
    struct node *root;
    struct edges edges; /* to every NODE_WORD */
    struct list nodes;  /* all but the root */
    uint64_t mark;      /* the last one given out: every set of every route has its own */
    uint64_t first;     /* of this route */
    struct node_set now, next;
};

/* --- edges --- */

static uint64_t edge_hash(const struct node *parent, uint64_t word_hash)
{
    return hash_mix(word_hash, (uintptr_t)parent);
}

static bool is_child(const struct node *node, const struct node *parent, struct slice text)
{
    return node->parent == parent && slice_eq(slice_of(node->text, node->len), text);
}

/* word_hash is hash_bytes(text). */
static struct node *edges_find(const struct edges *edges, const struct node *parent,
                               struct slice text, uint64_t word_hash)
{
    uint64_t hash = edge_hash(parent, word_hash);
    for (size_t i = hash & edges->mask; edges->slots[i].hash; i = (i + 1) & edges->mask) {
        if (edges->slots[i].hash == hash && is_child(edges->slots[i].node, parent, text))
            return edges->slots[i].node;
    }
    return NULL;
}

static void edges_place(struct edges *edges, struct edge edge)
{
    size_t i = edge.hash & edges->mask;
    while (edges->slots[i].hash)
        i = (i + 1) & edges->mask;
    edges->slots[i] = edge;
}

static void edges_resize(struct edges *edges, size_t slots)
{
    struct edges old = *edges;
    edges->slots = mem_zalloc(slots * sizeof *edges->slots);
    edges->mask = slots - 1;
    for (size_t i = 0; old.slots && i <= old.mask; i++) {
        if (old.slots[i].hash)
            edges_place(edges, old.slots[i]);
    }
    free(old.slots);
}

static void edges_add(struct edges *edges, struct node *node)
{
    if (!edges->slots)
        edges_resize(edges, 8);
    else if ((edges->count + 1) * 3 > (edges->mask + 1) * 2)
        edges_resize(edges, (edges->mask + 1) * 2);
    uint64_t word_hash = hash_bytes(slice_of(node->text, node->len));
    edges_place(edges, (struct edge){edge_hash(node->parent, word_hash), node});
    edges->count++;
}

static void edges_remove(struct edges *edges, const struct node *node)
{
    size_t mask = edges->mask;
    size_t hole = edge_hash(node->parent, hash_bytes(slice_of(node->text, node->len))) & mask;
    while (edges->slots[hole].node != node)
        hole = (hole + 1) & mask;
    for (size_t i = (hole + 1) & mask; edges->slots[i].hash; i = (i + 1) & mask) {
        size_t home = edges->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            edges->slots[hole] = edges->slots[i];
            hole = i;
        }
    }
    edges->slots[hole] = (struct edge){0, NULL};
    edges->count--;
    if (mask >= 64 && edges->count * 8 < mask)
        edges_resize(edges, (mask + 1) / 2);
}

/* --- nodes --- */

static struct node *node_new(struct node *parent, enum node_kind kind, struct slice text)
{
    struct node *node = mem_zalloc(sizeof *node + text.len);
    node->parent = parent;
    node->kind = kind;
    node->len = (uint32_t)text.len;
    if (text.len)
        memcpy(node->text, text.data, text.len);
    dest_list_init(&node->dests);
    list_init(&node->all);
    return node;
}

static void node_free(struct node *node)
{
    list_remove(&node->all);
    dest_list_fini(&node->dests);
    free(node);
}

static bool has_children(const struct node *node)
{
    return node->star || node->hash || node->words;
}

static void *topic_new(const struct exchange_type *self, struct slice args)
{
    (void)self;
    (void)args;
    struct topic *t = NEW(struct topic);
    t->root = node_new(NULL, NODE_ROOT, SLICE_EMPTY);
    list_init(&t->nodes);
    return t;
}

static void sets_free(struct topic *t)
{
    free(t->now.nodes);
    free(t->next.nodes);
    t->now = t->next = (struct node_set){NULL, 0, 0};
}

static void topic_free(void *instance)
{
    struct topic *t = instance;
    list_each_safe (it, &t->nodes)
        node_free(list_entry(it, struct node, all));
    node_free(t->root);
    free(t->edges.slots);
    sets_free(t);
    free(t);
}

/* The words of a key, one at a time. */
struct words {
    const uint8_t *pos, *end;
    bool more;
};

static struct words words_of(struct slice key)
{
    if (key.len == 0)
        return (struct words){NULL, NULL, false};
    return (struct words){key.data, key.data + key.len, true};
}

static bool words_next(struct words *words, struct slice *ret_word)
{
    if (!words->more)
        return false;
    const uint8_t *start = words->pos, *p = start;
    while (p < words->end && *p != '.')
        p++;
    *ret_word = slice_of(start, (size_t)(p - start));
    words->more = p < words->end;
    words->pos = p + words->more;
    return true;
}

static bool is_char(struct slice word, uint8_t c)
{
    return word.len == 1 && word.data[0] == c;
}

/* --- binding --- */

static struct node *child_find(const struct topic *t, const struct node *parent, struct slice text)
{
    if (is_char(text, '*'))
        return parent->star;
    if (is_char(text, '#'))
        return parent->hash;
    return parent->words ? edges_find(&t->edges, parent, text, hash_bytes(text)) : NULL;
}

static struct node *child_add(struct topic *t, struct node *parent, struct slice text)
{
    struct node *node;
    if (is_char(text, '*')) {
        node = parent->star = node_new(parent, NODE_STAR, SLICE_EMPTY);
    } else if (is_char(text, '#')) {
        node = parent->hash = node_new(parent, NODE_HASH, SLICE_EMPTY);
    } else {
        node = node_new(parent, NODE_WORD, text);
        parent->words++;
        edges_add(&t->edges, node);
    }
    list_append(&t->nodes, &node->all);
    return node;
}

/* Takes out a node without children and destinations. Returns its parent. */
static struct node *prune(struct topic *t, struct node *node)
{
    struct node *parent = node->parent;
    switch (node->kind) {
    case NODE_STAR:
        parent->star = NULL;
        break;
    case NODE_HASH:
        parent->hash = NULL;
        break;
    default:
        parent->words--;
        edges_remove(&t->edges, node);
    }
    node_free(node);
    return parent;
}

static void topic_bind(void *instance, struct binding *binding)
{
    struct topic *t = instance;
    struct node *node = t->root;
    struct words words = words_of(binding->key);
    for (struct slice text; words_next(&words, &text);) {
        struct node *child = child_find(t, node, text);
        node = child ? child : child_add(t, node, text);
    }
    dest_list_add(&node->dests, binding);
}

static void topic_unbind(void *instance, struct binding *binding)
{
    struct topic *t = instance;
    struct node *node = t->root;
    struct words words = words_of(binding->key);
    for (struct slice text; words_next(&words, &text);) {
        node = child_find(t, node, text);
        bug_on(!node);
    }
    dest_list_remove(&node->dests, binding);
    while (node->kind != NODE_ROOT && node->dests.count == 0 && !has_children(node))
        node = prune(t, node);
    if (list_empty(&t->nodes))
        sets_free(t);
}

/* --- routing --- */

static void put(struct topic *t, struct node *node)
{
    node->mark = t->mark;
    MEM_GROW(t->next.nodes, t->next.cap, t->next.count + 1);
    t->next.nodes[t->next.count++] = node;
}

/* Puts node into the next set, and the '#' that no word leads to from there. A '#' that ends its
 * binding keys matches whatever follows: its destinations are taken at once, and it needs no place
 * in the sets. */
static void enter(struct topic *t, struct node *node, struct route_sink *sink)
{
    for (; node && node->mark != t->mark; node = node->hash) {
        if (node->kind != NODE_HASH || has_children(node)) {
            put(t, node);
            continue;
        }
        if (node->mark < t->first)
            dest_list_route(&node->dests, sink);
        node->mark = t->mark;
    }
}

static void flip(struct topic *t)
{
    struct node_set done = t->now;
    t->now = t->next;
    t->next = done;
    t->next.count = 0;
    t->mark++;
}

static void step(struct topic *t, struct slice text, struct route_sink *sink)
{
    uint64_t word_hash = hash_bytes(text);
    for (size_t i = 0; i < t->now.count; i++) {
        struct node *node = t->now.nodes[i];
        if (node->kind == NODE_HASH && node->mark != t->mark)
            put(t, node);
        if (node->star)
            enter(t, node->star, sink);
        if (node->words)
            enter(t, edges_find(&t->edges, node, text, word_hash), sink);
    }
}

static void topic_route(const void *instance, const struct route_input *input,
                        struct route_sink *sink)
{
    struct topic *t = (struct topic *)instance;
    t->first = ++t->mark;
    t->next.count = 0;
    enter(t, t->root, sink);
    flip(t);
    struct words words = words_of(input->key);
    for (struct slice text; t->now.count && words_next(&words, &text); flip(t))
        step(t, text, sink);
    for (size_t i = 0; i < t->now.count; i++)
        dest_list_route(&t->now.nodes[i]->dests, sink);
}

/* --- judging one binding --- */

static struct slice *split(struct slice key, size_t *ret_count)
{
    struct slice *texts = mem_alloc((key.len + 1) * sizeof *texts);
    size_t n = 0;
    for (struct words words = words_of(key); words_next(&words, &texts[n]);)
        n++;
    *ret_count = n;
    return texts;
}

static bool word_fits(struct slice pattern, struct slice word)
{
    return is_char(pattern, '*') || slice_eq(pattern, word);
}

/* Word by word; a '#' takes one word more whenever what follows it does not fit. */
static bool words_fit(const struct slice *pattern, size_t pattern_count, const struct slice *key,
                      size_t key_count)
{
    size_t p = 0, k = 0, hash = SIZE_MAX, taken = 0;
    while (k < key_count) {
        if (p < pattern_count && is_char(pattern[p], '#')) {
            hash = p++;
            taken = k;
        } else if (p < pattern_count && word_fits(pattern[p], key[k])) {
            p++;
            k++;
        } else if (hash != SIZE_MAX) {
            p = hash + 1;
            k = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern_count && is_char(pattern[p], '#'))
        p++;
    return p == pattern_count;
}

static void explain_misfit(const struct slice *pattern, size_t pattern_count,
                           const struct slice *key, size_t key_count, struct buf *why)
{
    size_t hashes = 0;
    for (size_t i = 0; i < pattern_count; i++)
        hashes += is_char(pattern[i], '#');
    for (size_t i = 0; i < pattern_count && i < key_count && !is_char(pattern[i], '#'); i++) {
        if (word_fits(pattern[i], key[i]))
            continue;
        buf_printf(why, "word %zu of the key is '%.*s', not '%.*s'", i + 1, SLICE_ARG(key[i]),
                   SLICE_ARG(pattern[i]));
        return;
    }
    if (!hashes)
        buf_printf(why, "the key has %zu word%s, not %zu", key_count, key_count == 1 ? "" : "s",
                   pattern_count);
    else if (key_count < pattern_count - hashes)
        buf_printf(why, "the key has %zu word%s, fewer than %zu", key_count,
                   key_count == 1 ? "" : "s", pattern_count - hashes);
    else
        buf_append_str(why, "what follows # is not in the key");
}

static bool topic_judge(const struct binding *binding, const struct route_input *input,
                        struct buf *why)
{
    size_t pattern_count, key_count;
    struct slice *pattern = split(binding->key, &pattern_count);
    struct slice *key = split(input->key, &key_count);
    bool fits = words_fit(pattern, pattern_count, key, key_count);
    if (!fits)
        explain_misfit(pattern, pattern_count, key, key_count, why);
    free(pattern);
    free(key);
    return fits;
}

const struct exchange_type exchange_topic = {
    .name = "topic",
    .text = "a message goes where the binding key matches its routing key word by word: * stands "
            "for one word, # for any number of words",
    .new = topic_new,
    .free = topic_free,
    .bind = topic_bind,
    .unbind = topic_unbind,
    .route = topic_route,
    .judge = topic_judge,
};
