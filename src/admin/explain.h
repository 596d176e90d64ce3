/* What `explain` is made of: one visit a question. */
#ifndef ADMIN_EXPLAIN_H
#define ADMIN_EXPLAIN_H

#include "admin/call.h"

enum { EXPLAIN_SHOWN = 20 }; /* objects of a kind that are named unless --limit says otherwise */

/* words behind "route", "queue" and "policy". */
void explain_route(struct call *call, const char *const *words, size_t count, size_t shown);
void explain_queue(struct call *call, const char *const *words, size_t count, size_t shown);
void explain_policy(struct call *call, const char *const *words, size_t count, size_t shown);

/* ,"name":"text" */
void explain_put_json(struct buf *out, const char *name, struct slice text);

#endif
