/* A source is walked against the rows: what has no row is unknown, what does not fit its row is a
 * problem, and every problem names its place. */
#include "conf/conf_priv.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    STEPS_MAX = 1 << 21,    /* nodes visited in one source: what aliases may multiply to */
    ARGS_MAX = 64,          /* arguments of one definition */
    SHORT_STRING_MAX = 255, /* AMQP's bound on names */
    NAMED_MAX = 1000,       /* items of a named list */
};

/* Where keys are looked up: the root of a source, or one item of a list. */
struct scope {
    const char *path;         /* "", "listeners[]" */
    void *base;               /* the struct that is filled */
    unsigned line[ROW_COUNT]; /* where a row was set; 0: not yet */
};

/* An item of a named list: this source may give its keys one by one. */
struct named {
    struct named *next;
    const struct row *list;
    size_t index;
    char path[PATH_ROOM];
    struct scope scope;
};

void problem_add(struct problems *problems, const char *origin, const char *fmt, ...)
{
    if (problems->count++ >= PROBLEMS_MAX)
        return;
    struct buf *out = problems->out;
    size_t start = out->len;
    buf_printf(out, "%s: ", origin);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(out, fmt, ap);
    va_end(ap);
    for (size_t i = start; i < out->len; i++) {
        if (out->data[i] < 0x20 || out->data[i] == 0x7f)
            out->data[i] = '?';
    }
    buf_append_byte(out, '\n');
}

const char *walk_origin(struct loader *l, unsigned line)
{
    char text[PATH_MAX + 32];
    if (line)
        snprintf(text, sizeof text, "%s:%u", l->source, line);
    else
        snprintf(text, sizeof text, "%s", l->source);
    return arena_text(&l->full->arena, slice_str(text));
}

void walk_problem(struct loader *l, unsigned line, const char *fmt, ...)
{
    struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    if (l->problems.count < PROBLEMS_MAX)
        problem_add(&l->problems, walk_origin(l, line), "%s", buf_cstr(&text));
    else
        l->problems.count++;
    buf_fini(&text);
}

static bool given_up(const struct loader *l)
{
    return l->problems.count > PROBLEMS_MAX;
}

/* Counts n nodes; false once a source has more than is sane. A long text counts as several. */
static bool spend(struct loader *l, unsigned line, size_t n)
{
    bool before = l->steps > STEPS_MAX;
    if (!before)
        l->steps += (unsigned)n;
    if (l->steps <= STEPS_MAX)
        return true;
    if (!before)
        walk_problem(l, line, "aliases multiply to too many values");
    return false;
}

static size_t text_cost(const struct tree *tree)
{
    return 1 + tree->text.len / 64;
}

static const char *kind_name(const struct tree *tree)
{
    return tree->kind == TREE_MAPPING    ? "a mapping"
           : tree->kind == TREE_SEQUENCE ? "a list"
                                         : "a single value";
}

/* ---- one value ---- */
void walk_set_text(struct loader *l, const struct row *row, struct slice text, unsigned line,
                   void *field)
{
    struct buf problem = BUF_INIT;
    if (!scalar_parse(row, l->spelling, text, field, &l->full->arena, &problem))
        walk_problem(l, line, "%s: %s", row->path,
                     row->secret ? "is not a value this key takes" : buf_cstr(&problem));
    buf_fini(&problem);
}

static void set_scalar(struct loader *l, const struct row *row, const struct tree *tree,
                       void *field)
{
    if (tree->kind != TREE_SCALAR)
        walk_problem(l, tree->line, "%s: expected a single value, not %s", row->path,
                     kind_name(tree));
    else if (tree_is_null(tree))
        walk_problem(l, tree->line, "%s: has no value (\"\" is the empty text)", row->path);
    else if (spend(l, tree->line, text_cost(tree)))
        walk_set_text(l, row, tree->text, tree->line, field);
}

/* ---- lists ---- */
/* Room for one more item at the end, zeroed; capacity is the next power of two. */
static void *list_add(struct loader *l, void *field, size_t item_size)
{
    struct any_list *list = field;
    if (!(list->count & (list->count - 1))) {
        size_t room = list->count ? list->count * 2 : 1;
        void *items = arena_alloc(&l->full->arena, room * item_size);
        if (list->count)
            memcpy(items, list->items, list->count * item_size);
        list->items = items;
    }
    return (char *)list->items + list->count++ * item_size;
}

void walk_add_text(struct loader *l, const struct row *row, struct slice text, unsigned line,
                   void *field)
{
    const char **item = list_add(l, field, sizeof *item);
    *item = "";
    walk_set_text(l, row, text, line, item);
}

static void set_texts(struct loader *l, const struct row *row, const struct tree *tree, void *field)
{
    *(struct any_list *)field = (struct any_list){NULL, 0};
    if (tree->kind == TREE_MAPPING) {
        walk_problem(l, tree->line, "%s: expected a list, not a mapping", row->path);
    } else if (tree->kind == TREE_SCALAR) {
        if (!tree_is_null(tree))
            walk_add_text(l, row, tree->text, tree->line, field);
    } else {
        for (size_t i = 0; i < tree->count && !given_up(l); i++) {
            const struct tree *kid = tree->kids[i];
            if (kid->kind != TREE_SCALAR)
                walk_problem(l, kid->line, "%s: expected a single value, not %s", row->path,
                             kind_name(kid));
            else if (spend(l, kid->line, text_cost(kid)))
                walk_add_text(l, row, kid->text, kid->line, field);
            else
                return;
        }
    }
    if (((struct any_list *)field)->count < row->min)
        walk_problem(l, tree->line, "%s: is empty", row->path);
}

/* What a plain scalar of YAML means where no row gives it a type. */
static void set_arg_value(struct loader *l, const struct tree *tree, struct conf_arg *arg)
{
    char *end;
    const char *text = (const char *)tree->text.data;
    if (tree_is_null(tree)) {
        arg->type = CONF_ARG_VOID;
        return;
    }
    bool yes = slice_eq_str(tree->text, "true");
    if (tree->plain && (yes || slice_eq_str(tree->text, "false"))) {
        arg->type = CONF_ARG_BOOL;
        arg->boolean = yes;
        return;
    }
    if (tree->plain && strspn(text, "+-0123456789.eE") == tree->text.len) {
        errno = 0;
        arg->integer = strtoll(text, &end, 10);
        arg->type = CONF_ARG_INT;
        if (!*end && !errno)
            return;
        arg->real = strtod(text, &end);
        arg->type = CONF_ARG_DOUBLE;
        if (!*end && isfinite(arg->real))
            return;
    }
    arg->type = CONF_ARG_TEXT;
    arg->text = arena_text(&l->full->arena, tree->text);
    if (strlen(arg->text) != tree->text.len)
        walk_problem(l, tree->line, "argument '%s': may not contain NUL", arg->name);
}

static void set_args(struct loader *l, const struct row *row, const struct tree *tree, void *field)
{
    struct conf_args *args = field;
    *args = (struct conf_args){NULL, 0};
    if (tree_is_null(tree))
        return;
    if (tree->kind != TREE_MAPPING || tree->count / 2 > ARGS_MAX) {
        walk_problem(l, tree->line, "%s: expected a mapping of at most %d names to values",
                     row->path, ARGS_MAX);
        return;
    }
    for (size_t i = 0; i < tree->count && !given_up(l); i += 2) {
        const struct tree *key = tree->kids[i], *value = tree->kids[i + 1];
        if (key->kind != TREE_SCALAR || !key->text.len || key->text.len > SHORT_STRING_MAX ||
            strlen((const char *)key->text.data) != key->text.len) {
            walk_problem(l, key->line, "%s: an argument's name is a text of 1 to 255 bytes",
                         row->path);
            continue;
        }
        if (value->kind != TREE_SCALAR) {
            walk_problem(l, value->line, "%s: argument '%s': expected a single value, not %s",
                         row->path, (const char *)key->text.data, kind_name(value));
            continue;
        }
        for (size_t j = 0; j < args->count; j++) {
            if (slice_eq_str(key->text, args->items[j].name))
                walk_problem(l, key->line, "%s: argument '%s' is there twice", row->path,
                             args->items[j].name);
        }
        if (!spend(l, value->line, text_cost(key) + text_cost(value)))
            return;
        struct conf_arg *arg = list_add(l, args, sizeof *arg);
        arg->name = arena_text(&l->full->arena, key->text);
        arg->text = "";
        set_arg_value(l, value, arg);
    }
}

static void set_mapping(struct loader *l, struct scope *scope, const char *section,
                        const struct tree *tree);

static void set_default(struct loader *l, const struct row *row, void *base)
{
    void *field = row_field(row, base);
    const char *def = row->def ? row->def : "";
    if (row->type == ROW_ARGS)
        return;
    if (row->type != ROW_LIST && row->type != ROW_TEXTS) {
        if (row->type == ROW_TEXT || row->type == ROW_PATH)
            *(const char **)field = def;
        else if (row->def)
            walk_set_text(l, row, slice_str(def), 0, field);
        return;
    }
    for (const char *p = def; *p;) {
        size_t n = strcspn(p, ",");
        struct slice one = slice_of(p, n);
        if (row->type == ROW_TEXTS) {
            walk_add_text(l, row, one, 0, field);
        } else {
            char scope[PATH_ROOM];
            snprintf(scope, sizeof scope, "%s[]", row->path);
            void *item = list_add(l, field, row->item_size);
            walk_set_defaults(l, scope, item);
            *(const char **)item = "default";
            const struct row *primary = row_primary(row);
            walk_set_text(l, primary, one, 0, row_field(primary, item));
        }
        p += n + (p[n] == ',');
    }
}

void walk_set_defaults(struct loader *l, const char *scope, void *base)
{
    for (const struct row *row = row_next(scope, NULL); row; row = row_next(scope, row))
        set_default(l, row, base);
}

/* The first member of every item is its origin. */
void walk_add_item(struct loader *l, const struct row *row, const struct tree *tree, void *field)
{
    char path[PATH_ROOM];
    struct scope scope = {.path = path};
    const struct row *primary = row_primary(row);
    snprintf(path, sizeof path, "%s[]", row->path);
    scope.base = list_add(l, field, row->item_size);
    walk_set_defaults(l, path, scope.base);
    *(const char **)scope.base = walk_origin(l, tree->line);
    if (tree->kind == TREE_SCALAR && primary) {
        scope.line[row_index(primary)] = tree->line ? tree->line : 1;
        set_scalar(l, primary, tree, row_field(primary, scope.base));
    } else if (tree->kind == TREE_MAPPING) {
        set_mapping(l, &scope, "", tree);
    } else {
        walk_problem(l, tree->line, "%s: expected a mapping, not %s", path, kind_name(tree));
        return;
    }
    for (const struct row *r = row_next(path, NULL); r; r = row_next(path, r)) {
        if (r->required && !scope.line[row_index(r)])
            walk_problem(l, tree->line, "%s: '%s' is missing", path, row_key(r, path));
    }
}

/* ---- named lists ---- */
static size_t find_item(const struct row *list, const struct any_list *field, const struct row *key,
                        struct slice name)
{
    size_t i = 0;
    for (; i < field->count; i++) {
        const char *item = (const char *)field->items + i * list->item_size;
        if (slice_eq_str(name, *(const char *const *)row_field_const(key, item)))
            break;
    }
    return i;
}

/* What this source has of an item so far. */
static struct named *get_scope(struct loader *l, const struct row *list, size_t index)
{
    struct named *item = l->named;
    while (item && (item->list != list || item->index != index))
        item = item->next;
    if (item)
        return item;
    item = arena_alloc(l->arena, sizeof *item);
    item->list = list;
    item->index = index;
    snprintf(item->path, sizeof item->path, "%s[]", list->path);
    item->scope.path = item->path;
    item->next = l->named;
    return l->named = item;
}

/* The item of that name in the list, which is made if there is none; NULL: with a problem. */
static struct named *get_named(struct loader *l, const struct row *list, struct slice name,
                               unsigned line)
{
    struct any_list *field = row_field(list, &l->full->conf);
    const struct row *key = row_of_name(list);
    size_t index = find_item(list, field, key, name);
    if (index == NAMED_MAX) {
        walk_problem(l, line, "%s: has more than %d items", list->path, NAMED_MAX);
        return NULL;
    }
    struct named *item = get_scope(l, list, index);
    if (index == field->count) {
        void *fresh = list_add(l, field, list->item_size);
        walk_set_defaults(l, item->path, fresh);
        *(const char **)fresh = walk_origin(l, line);
        walk_set_text(l, key, name, line, row_field(key, fresh));
    }
    item->scope.base = (char *)field->items + index * list->item_size;
    item->scope.line[row_index(key)] = line ? line : 1;
    return item;
}

static void set_named(struct loader *l, const struct row *list, struct slice name,
                      const struct tree *value)
{
    struct named *item = get_named(l, list, name, value->line);
    if (item && value->kind == TREE_MAPPING)
        set_mapping(l, &item->scope, "", value);
    else if (item && !tree_is_null(value))
        walk_problem(l, value->line, "%s.%.*s: expected a mapping, not %s", list->path,
                     SLICE_ARG(utf8_cut(name, SHORT_STRING_MAX)), kind_name(value));
}

static void set_all_named(struct loader *l, const struct row *list, const struct tree *tree)
{
    for (size_t i = 0; i + 1 < tree->count && !given_up(l); i += 2) {
        const struct tree *name = tree->kids[i];
        if (!spend(l, tree->line, 2))
            return;
        if (name->kind != TREE_SCALAR)
            walk_problem(l, name->line, "%s: a name is a single value, not %s", list->path,
                         kind_name(name));
        else
            set_named(l, list, name->text, tree->kids[i + 1]);
    }
}

static void set_list(struct loader *l, const struct row *row, const struct tree *tree, void *field)
{
    struct any_list *list = field;
    if (!row->append || strchr(row->path, '['))
        *list = (struct any_list){NULL, 0};
    if (tree_is_null(tree))
        return;
    if (row->named && tree->kind == TREE_MAPPING) {
        set_all_named(l, row, tree);
        return;
    }
    if (tree->kind != TREE_SEQUENCE) {
        walk_problem(l, tree->line, "%s: expected a list, not %s", row->path, kind_name(tree));
        return;
    }
    for (size_t i = 0; i < tree->count && !given_up(l); i++) {
        if (!spend(l, tree->line, 2))
            return;
        walk_add_item(l, row, tree->kids[i], field);
    }
}

/* ---- keys ---- */
static void set_row(struct loader *l, struct scope *scope, const struct row *row,
                    const struct tree *tree, unsigned line)
{
    unsigned i = row_index(row);
    void *field = row_field(row, scope->base);
    if (scope->line[i]) {
        walk_problem(l, line, "'%s' is there twice, first on line %u", row->path, scope->line[i]);
        return;
    }
    scope->line[i] = line;
    if (!*scope->path)
        l->full->origins[i] = walk_origin(l, line);
    if (row->type == ROW_LIST)
        set_list(l, row, tree, field);
    else if (row->type == ROW_TEXTS)
        set_texts(l, row, tree, field);
    else if (row->type == ROW_ARGS)
        set_args(l, row, tree, field);
    else
        set_scalar(l, row, tree, field);
}

static void unknown_key(struct loader *l, const struct scope *scope, const char *section,
                        const char *key, unsigned line)
{
    struct slice near = row_nearest(scope->path, section, key);
    if (!near.len && *scope->path)
        near = row_nearest("", "", key);
    walk_problem(l, line, "unknown key '%.80s'%s%s%s%s%.*s%s", key, *section ? " in '" : "",
                 section, *section ? "'" : "", near.len ? "; did you mean '" : "", SLICE_ARG(near),
                 near.len ? "'?" : "");
}

static void set_key(struct loader *l, struct scope *scope, const char *section,
                    const struct tree *key, const struct tree *value);

/* "default_users.NAME" and "default_users.NAME.KEY". */
static void set_in_named(struct loader *l, const struct row *list, struct slice rest,
                         const struct tree *key, const struct tree *value)
{
    const uint8_t *dot = memchr(rest.data, '.', rest.len);
    struct slice name = slice_of(rest.data, dot ? (size_t)(dot - rest.data) : rest.len);
    l->full->origins[row_index(list)] = walk_origin(l, key->line);
    if (!dot) {
        set_named(l, list, name, value);
        return;
    }
    struct named *item = get_named(l, list, name, key->line);
    struct tree last = *key;
    last.text = slice_of(dot + 1, rest.len - name.len - 1);
    if (item)
        set_key(l, &item->scope, "", &last, value);
}

/* section: beneath the scope, "" or "amqp". */
static void set_key(struct loader *l, struct scope *scope, const char *section,
                    const struct tree *key, const struct tree *value)
{
    char path[PATH_ROOM];
    if (key->kind != TREE_SCALAR) {
        walk_problem(l, key->line, "a key is a single value, not %s", kind_name(key));
        return;
    }
    const char *name = (const char *)key->text.data;
    int n = snprintf(path, sizeof path, "%s%s%s%s%s", scope->path, *scope->path ? "." : "", section,
                     *section ? "." : "", name);
    struct slice full = slice_of(path, n > 0 ? (size_t)n : 0);
    const struct row *row = NULL, *list = NULL;
    struct slice rest;
    bool sane = key->text.len && strlen(name) == key->text.len && full.len < sizeof path &&
                !strchr(name, '[');
    if (sane)
        row = row_find_spelled(full, &l->spelling);
    if (sane && !row && !*scope->path)
        list = row_find_named(full, &rest);
    if (row && row->type == ROW_MEMORY && value->kind == TREE_MAPPING && !l->spelling)
        set_mapping(l, scope, row_key(row, scope->path), value);
    else if (row)
        set_row(l, scope, row, value, key->line);
    else if (list)
        set_in_named(l, list, rest, key, value);
    else if (!sane || !row_is_section(full))
        unknown_key(l, scope, section, name, key->line);
    else if (value->kind == TREE_MAPPING)
        set_mapping(l, scope, row_key(&(struct row){.path = path}, scope->path), value);
    else if (!tree_is_null(value))
        walk_problem(l, value->line, "%s: expected a mapping, not %s", path, kind_name(value));
}

static void set_mapping(struct loader *l, struct scope *scope, const char *section,
                        const struct tree *tree)
{
    for (size_t i = 0; i + 1 < tree->count && !given_up(l); i += 2) {
        if (!spend(l, tree->line, 1))
            return;
        set_key(l, scope, section, tree->kids[i], tree->kids[i + 1]);
    }
}

void walk_text(struct loader *l, struct slice text)
{
    struct arena arena = {NULL};
    struct tree *tree;
    unsigned line = 0;
    struct buf problem = BUF_INIT;
    struct scope root = {.path = "", .base = &l->full->conf};
    l->steps = 0;
    l->arena = &arena;
    l->named = NULL;
    if (!tree_parse(text, &arena, &tree, &line, &problem))
        walk_problem(l, line, "%s", buf_cstr(&problem));
    else if (tree && tree->kind != TREE_MAPPING)
        walk_problem(l, tree->line, "expected a mapping of keys, not %s", kind_name(tree));
    else if (tree)
        set_mapping(l, &root, "", tree);
    buf_fini(&problem);
    arena_fini(&arena);
}
