/* PCRE2 behind permissions. Code is compiled once a shard, with JIT where the machine has it. */
#include "meta/pattern.h"

#include "base/bug.h"
#include "base/mem.h"

#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
    MATCH_LIMIT = 100000,
    HEAP_LIMIT_KB = 1024,
    JIT_STACK_MIN = 16 << 10,
    JIT_STACK_MAX = 1 << 20
};

struct pattern_matcher {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

struct pattern_matcher *pattern_matcher_new(void)
{
    struct pattern_matcher *m = NEW(struct pattern_matcher);
    m->data = pcre2_match_data_create(1, NULL);
    m->context = pcre2_match_context_create(NULL);
    m->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
    bug_on(!m->data || !m->context);
    pattern_matcher_limit(m, MATCH_LIMIT);
    pcre2_set_heap_limit(m->context, HEAP_LIMIT_KB);
    if (m->stack)
        pcre2_jit_stack_assign(m->context, NULL, m->stack);
    return m;
}

void pattern_matcher_limit(struct pattern_matcher *m, uint32_t steps)
{
    pcre2_set_match_limit(m->context, steps);
    pcre2_set_depth_limit(m->context, steps);
}

void pattern_matcher_free(struct pattern_matcher **matcher)
{
    struct pattern_matcher *m = *matcher;
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    pcre2_jit_stack_free(m->stack);
    free(m);
    *matcher = NULL;
}

static pcre2_code *compile(struct slice text, uint32_t options, int *ret_error, size_t *ret_offset)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    bug_on(!context);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_code *code =
        pcre2_compile(text.data, text.len, options | PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C,
                      ret_error, ret_offset, context);
    pcre2_compile_context_free(context);
    return code;
}

bool pattern_find_error(struct slice text, char *reason, size_t room, size_t *ret_offset)
{
    int error;
    if (!text.len)
        return false;
    pcre2_code *code = compile(text, 0, &error, ret_offset);
    if (!code)
        pcre2_get_error_message(error, (PCRE2_UCHAR *)reason, room);
    pcre2_code_free(code);
    return !code;
}

enum err pattern_check(struct slice text, struct failure *why)
{
    size_t offset;
    char reason[128];
    if (!pattern_find_error(text, reason, sizeof reason, &offset))
        return ERR_NONE;
    return failure_set(why, ERR_PRECONDITION_FAILED,
                       "regular expression '%.*s' is invalid: %s at offset %zu", SLICE_ARG(text),
                       reason, offset);
}

static void init(struct pattern *pattern, struct slice text, uint32_t options)
{
    int error;
    size_t offset;
    *pattern = (struct pattern){.kind = PATTERN_NOTHING};
    if (!text.len || slice_eq_str(text, "^$")) {
        pattern->kind = PATTERN_EMPTY;
    } else if (slice_eq_str(text, ".*") || slice_eq_str(text, "^.*")) {
        pattern->kind = PATTERN_ANYTHING;
    } else if ((pattern->code = compile(text, options, &error, &offset))) {
        pattern->kind = PATTERN_CODE;
        pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE); /* without it, it interprets */
    }
}

void pattern_init(struct pattern *pattern, struct slice text)
{
    init(pattern, text, 0);
}

void pattern_init_caseless(struct pattern *pattern, struct slice text)
{
    init(pattern, text, PCRE2_CASELESS);
}

void pattern_fini(struct pattern *pattern)
{
    pcre2_code_free(pattern->code);
    *pattern = (struct pattern){.kind = PATTERN_NOTHING};
}

bool pattern_matches(const struct pattern *pattern, struct pattern_matcher *matcher,
                     struct slice text)
{
    static const uint8_t none;
    switch (pattern->kind) {
    case PATTERN_NOTHING:
        return false;
    case PATTERN_ANYTHING:
        return true;
    case PATTERN_EMPTY: /* as ^$ has it: a newline at the end does not count */
        return text.len == 0 || (text.len == 1 && text.data[0] == '\n');
    case PATTERN_CODE:
        break;
    }
    return pcre2_match(pattern->code, text.data ? text.data : &none, text.len, 0, 0, matcher->data,
                       matcher->context) >= 0;
}
