/* libyaml's events as a tree. Depth, nodes and bytes are bounded; an alias shares the node of its
 * anchor, so it costs nothing here, and who walks the tree counts his steps. */
#include "conf/conf_priv.h"

#include "base/mem.h"

#include <stdlib.h>
#include <yaml.h>

struct anchor {
    const char *name;
    struct tree *node;
};

struct builder {
    yaml_parser_t parser;
    struct arena *arena;
    struct tree *root;
    struct tree *open[TREE_DEPTH_MAX]; /* containers begun and not ended */
    unsigned depth;
    unsigned nodes;
    struct anchor *anchors;
    size_t anchor_count, anchor_cap;
    unsigned line;
    struct buf *problem;
};

static bool refuse(struct builder *b, unsigned line, const char *what)
{
    b->line = line;
    buf_append_str(b->problem, what);
    return false;
}

static void add_kid(struct builder *b, struct tree *parent, struct tree *kid)
{
    if (parent->count == parent->room) {
        size_t room = parent->room ? parent->room * 2 : 4;
        struct tree **kids = arena_alloc(b->arena, room * sizeof *kids);
        if (parent->count)
            memcpy(kids, parent->kids, parent->count * sizeof *kids);
        parent->kids = kids;
        parent->room = room;
    }
    parent->kids[parent->count++] = kid;
}

static void place(struct builder *b, struct tree *node)
{
    if (b->depth)
        add_kid(b, b->open[b->depth - 1], node);
    else
        b->root = node;
}

static bool remember(struct builder *b, const yaml_char_t *name, struct tree *node)
{
    enum { ANCHORS_MAX = 1000 };
    if (!name)
        return true;
    if (b->anchor_count == ANCHORS_MAX)
        return refuse(b, node->line, "too many anchors");
    MEM_GROW(b->anchors, b->anchor_cap, b->anchor_count + 1);
    b->anchors[b->anchor_count++] =
        (struct anchor){arena_text(b->arena, slice_str((const char *)name)), node};
    return true;
}

static bool on_alias(struct builder *b, const char *name, unsigned line)
{
    for (size_t i = b->anchor_count; i > 0; i--) {
        if (strcmp(b->anchors[i - 1].name, name) != 0)
            continue;
        for (unsigned d = 0; d < b->depth; d++) {
            if (b->open[d] == b->anchors[i - 1].node)
                return refuse(b, line, "an alias inside of what it stands for");
        }
        place(b, b->anchors[i - 1].node);
        return true;
    }
    return refuse(b, line, "an alias without an anchor");
}

static struct tree *add_node(struct builder *b, enum tree_kind kind, unsigned line)
{
    if (++b->nodes > TREE_NODES_MAX) {
        refuse(b, line, "too many values");
        return NULL;
    }
    struct tree *node = arena_alloc(b->arena, sizeof *node);
    node->kind = kind;
    node->line = line;
    return node;
}

static bool on_scalar(struct builder *b, const yaml_event_t *event, unsigned line)
{
    if (event->data.scalar.length > TREE_TEXT_MAX)
        return refuse(b, line, "a value is too long");
    struct tree *node = add_node(b, TREE_SCALAR, line);
    if (!node)
        return false;
    size_t len = event->data.scalar.length;
    node->text = slice_of(arena_text(b->arena, slice_of(event->data.scalar.value, len)), len);
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    place(b, node);
    return remember(b, event->data.scalar.anchor, node);
}

static bool on_begin(struct builder *b, enum tree_kind kind, const yaml_char_t *anchor,
                     unsigned line)
{
    if (b->depth == TREE_DEPTH_MAX)
        return refuse(b, line, "nested too deeply");
    struct tree *node = add_node(b, kind, line);
    if (!node)
        return false;
    place(b, node);
    b->open[b->depth++] = node;
    return remember(b, anchor, node);
}

/* False on a problem; *ret_end is set after the last event. */
static bool on_event(struct builder *b, const yaml_event_t *event, bool *ret_end)
{
    unsigned line = (unsigned)event->start_mark.line + 1;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event, line);
    case YAML_ALIAS_EVENT:
        return on_alias(b, (const char *)event->data.alias.anchor, line);
    case YAML_SEQUENCE_START_EVENT:
        return on_begin(b, TREE_SEQUENCE, event->data.sequence_start.anchor, line);
    case YAML_MAPPING_START_EVENT:
        return on_begin(b, TREE_MAPPING, event->data.mapping_start.anchor, line);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return true;
    case YAML_DOCUMENT_START_EVENT:
        return !b->root || refuse(b, line, "more than one document");
    case YAML_STREAM_END_EVENT:
        *ret_end = true;
        return true;
    default:
        return true;
    }
}

static bool build(struct builder *b)
{
    bool end = false;
    while (!end) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b->parser, &event)) {
            const yaml_parser_t *p = &b->parser;
            b->line = (unsigned)p->problem_mark.line + 1;
            buf_printf(b->problem, "not YAML: %s%s%s", p->context ? p->context : "",
                       p->context ? ", " : "", p->problem ? p->problem : "cannot be read");
            return false;
        }
        bool ok = on_event(b, &event, &end);
        yaml_event_delete(&event);
        if (!ok)
            return false;
    }
    return true;
}

bool tree_parse(struct slice text, struct arena *arena, struct tree **ret_tree, unsigned *ret_line,
                struct buf *problem)
{
    struct builder b = {.arena = arena, .problem = problem, .line = 1};
    bool ok = false;
    if (text.len > TREE_BYTES_MAX)
        refuse(&b, 1, "the file is too large");
    else if (!yaml_parser_initialize(&b.parser))
        refuse(&b, 1, "out of memory");
    else {
        static const unsigned char nothing[1];
        yaml_parser_set_input_string(&b.parser, text.data ? text.data : nothing, text.len);
        ok = build(&b);
        yaml_parser_delete(&b.parser);
    }
    free(b.anchors);
    if (ok)
        *ret_tree = b.root && !tree_is_null(b.root) ? b.root : NULL;
    else
        *ret_line = b.line;
    return ok;
}

bool tree_is_null(const struct tree *tree)
{
    return tree->kind == TREE_SCALAR && tree->plain &&
           (!tree->text.len || slice_eq_str(tree->text, "~") || slice_eq_str(tree->text, "null"));
}
