/* Patterns of permissions: PCRE2 over bytes, unanchored as RabbitMQ's re:run. The empty pattern
 * matches the empty text only. Those that match everything cost nothing. */
#ifndef META_PATTERN_H
#define META_PATTERN_H

#include "base/err.h"
#include "base/slice.h"

/* What one thread needs to match: limits, room, the stack of compiled code. */
struct pattern_matcher;
struct pattern_matcher *pattern_matcher_new(void);
void pattern_matcher_free(struct pattern_matcher **matcher);
/* It gives up that early; far fewer steps than by itself. */
void pattern_matcher_limit(struct pattern_matcher *matcher, uint32_t steps);

enum pattern_kind { PATTERN_NOTHING, PATTERN_ANYTHING, PATTERN_EMPTY, PATTERN_CODE };

struct pattern {
    enum pattern_kind kind;
    void *code;
};

/* PRECONDITION_FAILED with what is wrong and where. */
enum err pattern_check(struct slice text, struct failure *why);
/* What is wrong with it, and where; false: nothing. */
bool pattern_find_error(struct slice text, char *reason, size_t room, size_t *ret_offset);
/* A text that pattern_check refuses makes a pattern that matches nothing. */
void pattern_init(struct pattern *pattern, struct slice text);
/* The same, blind for the case of ASCII letters. */
void pattern_init_caseless(struct pattern *pattern, struct slice text);
void pattern_fini(struct pattern *pattern);
/* Gives up, without a match, on texts that take too long. */
bool pattern_matches(const struct pattern *pattern, struct pattern_matcher *matcher,
                     struct slice text);

#endif
