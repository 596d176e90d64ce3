/* What the files of this folder share: the rows of conf.def, the arena a configuration lives in,
 * the parsed YAML. */
#ifndef CONF_CONF_PRIV_H
#define CONF_CONF_PRIV_H

#include "conf/conf.h"

#include <stdatomic.h>

/* ---- arena.c: memory that is freed all at once ---- */
struct arena {
    struct arena_chunk *chunks;
};
void *arena_alloc(struct arena *arena, size_t size); /* zeroed, aligned for anything */
const char *arena_text(struct arena *arena, struct slice text);
void arena_fini(struct arena *arena);

/* ---- row.c: conf.def as an array ---- */
enum row_type {
    ROW_TEXT,
    ROW_PATH,
    ROW_BOOL,
    ROW_UINT,
    ROW_SIZE,
    ROW_SECONDS,
    ROW_MILLIS,
    ROW_MODE,
    ROW_ENUM,
    ROW_MEMORY,
    ROW_TEXTS,
    ROW_ARGS,
    ROW_LIST
};

struct row {
    const char *path;
    enum row_type type;
    size_t offset, size; /* of the field in its struct */
    size_t item_size;    /* of a LIST */
    const char *def;
    uint64_t min, max;
    const char *names;
    int first;
    const char *flag;
    enum conf_reload reload;
    bool secret, required, primary, append, infinite, named;
    const char *alias;
    const char *text;
};

enum {
/* clang-format off */
#define ROW(...) +1
    ROW_COUNT = 0
#include "conf/conf.def"
#undef ROW
    /* clang-format on */
};
extern const struct row row_table[ROW_COUNT];

/* All lists have this shape. */
struct any_list {
    void *items;
    size_t count;
};

static inline unsigned row_index(const struct row *row)
{
    return (unsigned)(row - row_table);
}
/* The field of row in the struct at base. */
static inline void *row_field(const struct row *row, void *base)
{
    return (char *)base + row->offset;
}
static inline const void *row_field_const(const struct row *row, const void *base)
{
    return (const char *)base + row->offset;
}
/* By its path or an alias; NULL if there is none. */
const struct row *row_find(struct slice path);
const struct row *row_find_flag(const char *flag);
/* "disk_free_limit", "disk_free_limit.absolute", "disk_free_limit.relative" */
enum spelling { SPELLED_PLAIN, SPELLED_ABSOLUTE, SPELLED_RELATIVE };
/* The same as row_find, for a MEMORY in any of these ways. */
const struct row *row_find_spelled(struct slice path, enum spelling *ret_spelling);
/* The named list that a path leads into, and what follows its name and a dot; NULL: none. */
const struct row *row_find_named(struct slice path, struct slice *ret_rest);
/* The rows directly in scope: "" or a list's path and "[]". NULL starts, NULL ends. */
const struct row *row_next(const char *scope, const struct row *after);
/* What follows the scope and its dot in the row's path. */
const char *row_key(const struct row *row, const char *scope);
/* The scope of a list's items. */
void row_scope(const struct row *list, char *room, size_t size);
/* Some row lies beneath this path, so it is a section. */
bool row_is_section(struct slice path);
/* The known key or section nearest to a wrong one beneath section, empty if none is near. */
struct slice row_nearest(const char *scope, const char *section, const char *key);
/* Whether an environment variable stands for the row, and its name. */
bool row_has_environment(const struct row *row);
void row_environment(const struct row *row, struct buf *out);
/* The primary row of a list's items, NULL if it has none. */
const struct row *row_primary(const struct row *list);
/* The first row of a named list's items, its key. */
const struct row *row_of_name(const struct row *list);
/* The word at index of a list of words parted by spaces, empty past the end. */
struct slice word_at(const char *words, unsigned index);
/* Its index, or -1. */
int word_find(const char *words, struct slice word);

/* ---- scalar.c: one value, text to field and back ---- */
/* False with a text about what is wrong ("is not a whole number") in problem. */
bool scalar_parse(const struct row *row, enum spelling spelling, struct slice text, void *field,
                  struct arena *arena, struct buf *problem);
void scalar_print(const struct row *row, const void *field, struct buf *out);
/* "whole number, 0 to 65535", for the manual. */
void scalar_describe(const struct row *row, struct buf *out);
/* A double-quoted YAML scalar. */
void scalar_quote(struct slice text, struct buf *out);

/* ---- tree.c: YAML, parsed within bounds ---- */
enum tree_kind { TREE_SCALAR, TREE_SEQUENCE, TREE_MAPPING };
struct tree {
    enum tree_kind kind;
    unsigned line;
    bool plain;         /* a scalar without quotes */
    struct slice text;  /* of a scalar; a NUL behind its end */
    struct tree **kids; /* of a mapping: key, value, key, value, ... */
    size_t count, room;
};
enum {
    TREE_DEPTH_MAX = 32,
    TREE_NODES_MAX = 1 << 20,
    TREE_BYTES_MAX = 16 * 1024 * 1024,
    TREE_TEXT_MAX = 64 * 1024
};
/* *ret_tree is NULL for an empty document. On failure *ret_line and problem say where and what. */
bool tree_parse(struct slice text, struct arena *arena, struct tree **ret_tree, unsigned *ret_line,
                struct buf *problem);
/* A plain scalar that says "nothing": empty, ~, null. */
bool tree_is_null(const struct tree *tree);

/* ---- the whole ---- */
struct conf_full {
    struct conf conf; /* first: what the others see is this */
    atomic_uint refs;
    struct arena arena;
    const char *origins[ROW_COUNT]; /* of rows outside of lists; NULL: default */
};
static inline const struct conf_full *conf_full(const struct conf *conf)
{
    return (const struct conf_full *)(const void *)conf;
}

/* Problems of one load; the first PROBLEMS_MAX are told. */
enum { PROBLEMS_MAX = 20 };
struct problems {
    struct buf *out;
    unsigned count;
};
void problem_add(struct problems *problems, const char *origin, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- walk.c: one source against the rows ---- */
enum { PATH_ROOM = 256 }; /* of a key with its sections */

struct named;

struct loader {
    struct conf_full *full;
    struct problems problems;
    const char *source;       /* file name, "environment NAME", "--flag" */
    unsigned steps;           /* nodes of this source that were visited */
    enum spelling spelling;   /* of the key that is being set */
    bool replaced[ROW_COUNT]; /* lists that this source has begun anew */
    struct arena *arena;      /* of this source */
    struct named *named;      /* items of named lists that it has */
};

/* The place of what is read now, for origin; line 0: the source has none. */
const char *walk_origin(struct loader *l, unsigned line);
void walk_problem(struct loader *l, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Reads the YAML of a source. */
void walk_text(struct loader *l, struct slice text);
/* Sets the field of a row that is a single value. */
void walk_set_text(struct loader *l, const struct row *row, struct slice text, unsigned line,
                   void *field);
/* Adds to a list of texts, to a list of items. */
void walk_add_text(struct loader *l, const struct row *row, struct slice text, unsigned line,
                   void *field);
void walk_add_item(struct loader *l, const struct row *row, const struct tree *tree, void *field);
/* Gives every field of a scope its default. */
void walk_set_defaults(struct loader *l, const char *scope, void *base);

/* ---- memory.c ---- */
/* The least of limit and of those that the cgroups set which the file groups names, as
 * /proc/self/cgroup does, in the trees below mount: version 2, or the memory controller's of
 * version 1. What cannot be read limits nothing. */
uint64_t memory_cgroup_limit(uint64_t limit, const char *groups, const char *mount);

/* ---- check.c: what no single row can say; fills in what is derived ---- */
void check_all(struct conf_full *full, struct problems *problems);

#endif
