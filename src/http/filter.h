/* A client's filter by name: a text in any case, or a regular expression. */
#ifndef HTTP_FILTER_H
#define HTTP_FILTER_H

#include "meta/pattern.h"

struct filter {
    struct slice text;               /* owned; empty: everything passes */
    struct pattern pattern;          /* the text, if it is a regular expression, */
    struct pattern_matcher *matcher; /* with this; else NULL */
};

/* An own copy of the text. False: it is no good regular expression. */
bool filter_init(struct filter *filter, struct slice text, bool is_regex);
void filter_fini(struct filter *filter);
bool filter_passes(const struct filter *filter, struct slice name);

#endif
