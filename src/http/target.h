/* The path and query of a request, taken apart and decoded. Pure. */
#ifndef HTTP_TARGET_H
#define HTTP_TARGET_H

#include "base/buf.h"
#include "http/bounds.h"

struct param {
    struct slice name, value;
};

struct target {
    struct buf text; /* owned; the rest points into it */
    struct slice segments[HTTP_SEGMENTS_MAX];
    size_t segment_count;
    struct param params[HTTP_PARAMS_MAX];
    size_t param_count;
};

/* False: it is malformed, or has too many parts. "/api//x/" has the segments "api", "" and "x"; a
 * %2F does not part segments. */
bool target_parse(struct slice text, struct target *ret_target);
/* The body of a form, which is as a query: there are params alone. */
bool target_parse_form(struct slice text, struct target *ret_target);
void target_fini(struct target *target);
/* The first of that name; data NULL: not there. */
struct slice target_param(const struct target *target, const char *name);
/* A whole number that is not negative; false: there is none of that name, or it is none. */
bool target_number(const struct target *target, const char *name, uint64_t *ret_number);
/* The exchange that a segment names: "amq.default" is the default one, whose name is empty. */
struct slice target_exchange(struct slice segment);

/* Appends text with what is no letter, digit or one of -._~ as %XX. */
void target_encode(struct buf *out, struct slice text);

#endif
