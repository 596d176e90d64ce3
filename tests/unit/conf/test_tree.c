#include "rig.h"

static bool parses(const char *yaml, struct buf *problem, unsigned *ret_line)
{
    struct arena arena = {NULL};
    struct tree *tree = NULL;
    buf_clear(problem);
    *ret_line = 0;
    bool ok = tree_parse(slice_str(yaml), &arena, &tree, ret_line, problem);
    buf_cstr(problem);
    arena_fini(&arena);
    return ok;
}

UNIT(tree, shape_and_lines)
{
    struct arena arena = {NULL};
    struct tree *tree = NULL;
    unsigned line = 0;
    struct buf problem = BUF_INIT;
    cr_assert(tree_parse(SLICE("# comment\na: 1\nb:\n  - x\n  - 'y'\n  - {}\n"), &arena, &tree,
                         &line, &problem));
    cr_assert_eq(tree->kind, TREE_MAPPING);
    cr_assert_eq(tree->count, 4);
    cr_assert(slice_eq_str(tree->kids[0]->text, "a"));
    cr_assert_eq(tree->kids[0]->line, 2);
    const struct tree *list = tree->kids[3];
    cr_assert_eq(list->kind, TREE_SEQUENCE);
    cr_assert_eq(list->count, 3);
    cr_assert(list->kids[0]->plain);
    cr_assert_not(list->kids[1]->plain);
    cr_assert_eq(list->kids[1]->line, 5);
    cr_assert_eq(list->kids[2]->count, 0);
    arena_fini(&arena);
    buf_fini(&problem);
}

UNIT(tree, nothing)
{
    static const char *const empty[] = {"", "\n", "# only a comment\n", "~", "null", "---\n...\n"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        struct arena arena = {NULL};
        struct tree *tree = (struct tree *)&arena;
        unsigned line = 0;
        struct buf problem = BUF_INIT;
        cr_assert(tree_parse(slice_str(empty[i]), &arena, &tree, &line, &problem));
        cr_assert_null(tree, "case %zu", i);
        arena_fini(&arena);
        buf_fini(&problem);
    }
}

UNIT(tree, refuses_with_a_line)
{
    static const struct {
        const char *yaml, *problem;
        unsigned line;
    } cases[] = {
        {"a: 1\nb: [1, 2\nc: 3\n", "not YAML: ", 3},
        {"a: 1\n\tb: 2\n", "not YAML: ", 2},
        {"a: 1\n---\nb: 2\n", "more than one document", 2},
        {"a: *x\n", "an alias without an anchor", 1},
        {"a: &x\n  b: *x\n", "an alias inside of what it stands for", 2},
        {"a: \"unfinished\n", "not YAML: ", 2},
    };
    struct buf problem = BUF_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned line;
        cr_assert_not(parses(cases[i].yaml, &problem, &line), "case %zu", i);
        cr_assert_eq(line, cases[i].line, "case %zu: %u", i, line);
        cr_assert_eq(strncmp(buf_cstr(&problem), cases[i].problem, strlen(cases[i].problem)), 0,
                     "case %zu: %s", i, buf_cstr(&problem));
    }
    buf_fini(&problem);
}

UNIT(tree, bounds)
{
    struct buf yaml = BUF_INIT, problem = BUF_INIT;
    unsigned line;
    for (int i = 0; i < TREE_DEPTH_MAX; i++)
        buf_append_byte(&yaml, '[');
    for (int i = 0; i < TREE_DEPTH_MAX; i++)
        buf_append_byte(&yaml, ']');
    cr_assert(parses(buf_cstr(&yaml), &problem, &line));
    buf_clear(&yaml);
    for (int i = 0; i < 18000; i++)
        buf_append_byte(&yaml, '[');
    cr_assert_not(parses(buf_cstr(&yaml), &problem, &line));
    cr_assert_str_eq(buf_cstr(&problem), "nested too deeply");
    buf_clear(&yaml);
    buf_append_str(&yaml, "a: ");
    memset(buf_reserve(&yaml, TREE_TEXT_MAX + 1), 'x', TREE_TEXT_MAX + 1);
    yaml.len += TREE_TEXT_MAX + 1;
    cr_assert_not(parses(buf_cstr(&yaml), &problem, &line));
    cr_assert_str_eq(buf_cstr(&problem), "a value is too long");
    buf_fini(&yaml);
    buf_fini(&problem);
}

UNIT(tree, aliases_share)
{
    struct arena arena = {NULL};
    struct tree *tree = NULL;
    unsigned line = 0;
    struct buf problem = BUF_INIT;
    cr_assert(tree_parse(SLICE("a: &x [1, 2]\nb: *x\n"), &arena, &tree, &line, &problem));
    cr_assert_eq(tree->kids[1], tree->kids[3]);
    arena_fini(&arena);
    buf_fini(&problem);
}
