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
#include "base/bug.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "broker/exchange/dest_list.h"
#include "broker/exchange/exchange.h"

#include <stdlib.h>

struct word {
    uint32_t refs; /* edges that bear it */
    uint32_t len;
    uint8_t text[];
};

/* A child by a plain word is found through topic.edges, by a wildcard through its parent. */
struct edge {
    struct node *parent;
    struct word *word;
};

enum node_kind { NODE_ROOT, NODE_WORD, NODE_STAR, NODE_HASH };

struct node {
    uint64_t mark;    /* the set it was last put into */
    uint64_t emitted; /* the route that last took its destinations ahead of the key's end */
    struct edge edge; /* word only of NODE_WORD */
    struct node *star, *hash;
    enum node_kind kind;
    uint32_t words; /* children by plain words */
    struct dest_list dests;
    struct list all; /* in topic.nodes */
};

struct node_set {
    struct node **nodes;
    size_t count, cap;
};

struct topic {
    struct node root;
    struct hash words, edges; /* struct word; struct node of kind NODE_WORD */
    struct list nodes;        /* all but the root */
    uint64_t mark, routes;    /* last ones given out */
    struct node_set now, next;
};

static struct slice word_text(const void *object)
{
    const struct word *word = object;
    return slice_of(word->text, word->len);
}

static struct slice edge_of(const void *object)
{
    const struct node *node = object;
    return slice_of(&node->edge, sizeof node->edge);
}

static void node_init(struct node *node, enum node_kind kind)
{
    node->kind = kind;
    dest_list_init(&node->dests);
}

static void *topic_new(struct slice args)
{
    (void)args;
    struct topic *t = NEW(struct topic);
    node_init(&t->root, NODE_ROOT);
    hash_init(&t->words, word_text);
    hash_init(&t->edges, edge_of);
    list_init(&t->nodes);
    return t;
}

static void topic_free(void *instance)
{
    struct topic *t = instance;
    list_each_safe (it, &t->nodes) {
        struct node *node = list_entry(it, struct node, all);
        dest_list_fini(&node->dests);
        free(node);
    }
    hash_each (it, &t->words)
        free(hash_at(&t->words, it));
    hash_fini(&t->words);
    hash_fini(&t->edges);
    dest_list_fini(&t->root.dests);
    free(t->now.nodes);
    free(t->next.nodes);
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

static struct node *child_of(const struct topic *t, struct node *parent, struct slice text)
{
    if (is_char(text, '*'))
        return parent->star;
    if (is_char(text, '#'))
        return parent->hash;
    struct edge edge = {parent, hash_find(&t->words, text)};
    return edge.word ? hash_find(&t->edges, slice_of(&edge, sizeof edge)) : NULL;
}

static struct word *word_ref(struct topic *t, struct slice text)
{
    struct word *word = hash_find(&t->words, text);
    if (!word) {
        word = mem_alloc(sizeof *word + text.len);
        word->refs = 0;
        word->len = (uint32_t)text.len;
        if (text.len)
            memcpy(word->text, text.data, text.len);
        hash_add(&t->words, word);
    }
    word->refs++;
    return word;
}

static struct node *child_add(struct topic *t, struct node *parent, struct slice text)
{
    struct node *node = NEW(struct node);
    node->edge.parent = parent;
    list_append(&t->nodes, &node->all);
    if (is_char(text, '*')) {
        node_init(node, NODE_STAR);
        parent->star = node;
    } else if (is_char(text, '#')) {
        node_init(node, NODE_HASH);
        parent->hash = node;
    } else {
        node_init(node, NODE_WORD);
        node->edge.word = word_ref(t, text);
        parent->words++;
        hash_add(&t->edges, node);
    }
    return node;
}

static bool has_children(const struct node *node)
{
    return node->star || node->hash || node->words;
}

/* Takes out a node without children and destinations. Returns its parent. */
static struct node *prune(struct topic *t, struct node *node)
{
    struct node *parent = node->edge.parent;
    switch (node->kind) {
    case NODE_STAR:
        parent->star = NULL;
        break;
    case NODE_HASH:
        parent->hash = NULL;
        break;
    default:
        parent->words--;
        hash_remove(&t->edges, edge_of(node));
        if (--node->edge.word->refs == 0) {
            hash_remove(&t->words, word_text(node->edge.word));
            free(node->edge.word);
        }
    }
    list_remove(&node->all);
    dest_list_fini(&node->dests);
    free(node);
    return parent;
}

static void topic_bind(void *instance, struct binding *binding)
{
    struct topic *t = instance;
    struct node *node = &t->root;
    struct words words = words_of(binding->key);
    for (struct slice text; words_next(&words, &text);) {
        struct node *child = child_of(t, node, text);
        node = child ? child : child_add(t, node, text);
    }
    dest_list_add(&node->dests, binding);
}

static void topic_unbind(void *instance, struct binding *binding)
{
    struct topic *t = instance;
    struct node *node = &t->root;
    struct words words = words_of(binding->key);
    for (struct slice text; words_next(&words, &text);) {
        node = child_of(t, node, text);
        bug_on(!node);
    }
    dest_list_remove(&node->dests, binding);
    while (node->kind != NODE_ROOT && node->dests.count == 0 && !has_children(node))
        node = prune(t, node);
    if (list_empty(&t->nodes)) {
        free(t->now.nodes);
        free(t->next.nodes);
        t->now = t->next = (struct node_set){NULL, 0, 0};
    }
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
        } else if (node->emitted != t->routes) {
            node->emitted = t->routes;
            dest_list_route(&node->dests, sink);
        }
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
    struct edge edge = {NULL, hash_find(&t->words, text)};
    for (size_t i = 0; i < t->now.count; i++) {
        struct node *node = t->now.nodes[i];
        if (node->kind == NODE_HASH && node->mark != t->mark)
            put(t, node);
        if (node->star)
            enter(t, node->star, sink);
        if (node->words && edge.word) {
            edge.parent = node;
            enter(t, hash_find(&t->edges, slice_of(&edge, sizeof edge)), sink);
        }
    }
}

static void topic_route(const void *instance, const struct route_input *input,
                        struct route_sink *sink)
{
    struct topic *t = (struct topic *)instance;
    t->routes++;
    t->mark++;
    t->next.count = 0;
    enter(t, &t->root, sink);
    flip(t);
    struct words words = words_of(input->key);
    for (struct slice text; t->now.count && words_next(&words, &text); flip(t))
        step(t, text, sink);
    for (size_t i = 0; i < t->now.count; i++)
        dest_list_route(&t->now.nodes[i]->dests, sink);
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
};
