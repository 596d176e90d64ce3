#include "http/filter.h"

#include "base/err.h"
#include "http/bounds.h"

#include <ctype.h>
#include <strings.h>

bool filter_init(struct filter *f, struct slice text, bool is_regex)
{
    struct failure why;
    *f = (struct filter){.matcher = NULL};
    if (is_regex && pattern_check(text, &why))
        return false;
    f->text = slice_dup(text);
    if (!is_regex)
        return true;
    pattern_init_caseless(&f->pattern, text);
    f->matcher = pattern_matcher_new();
    pattern_matcher_limit(f->matcher, HTTP_FILTER_STEPS);
    return true;
}

void filter_fini(struct filter *f)
{
    slice_free(&f->text);
    if (!f->matcher)
        return;
    pattern_fini(&f->pattern);
    pattern_matcher_free(&f->matcher);
}

static bool has_part(struct slice text, struct slice part)
{
    int lower = tolower(part.data[0]), upper = toupper(part.data[0]);
    for (size_t at = 0; at + part.len <= text.len; at++) {
        if ((text.data[at] == lower || text.data[at] == upper) &&
            !strncasecmp((const char *)text.data + at, (const char *)part.data, part.len))
            return true;
    }
    return false;
}

bool filter_passes(const struct filter *f, struct slice name)
{
    if (!f->text.len)
        return true;
    return f->matcher ? pattern_matches(&f->pattern, f->matcher, name) : has_part(name, f->text);
}
