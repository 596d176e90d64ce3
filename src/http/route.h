/* The table of routes: what may be asked, who may, and who answers. */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include "base/buf.h"
#include "http/login.h"
#include "http/message.h"

struct session;
struct target;

struct route {
    enum http_verb verb;
    const char *pattern; /* "/api/queues/:vhost/:name" */
    enum right right;
    bool is_upload; /* run is called before the body comes, and takes it piece by piece */
    bool is_scrape; /* of the listeners of Prometheus */
    const char *text;
    void (*run)(struct session *session);
};

/* In the order of the manual; NULL behind the last. */
const struct route *route_at(size_t index);

enum route_found { ROUTE_FOUND, ROUTE_OTHER_VERB, ROUTE_NONE };
/* Sets route, args and vhost of the session. */
enum route_found route_find(struct session *session);
/* Whether a path has a pattern's form; what its names stand for goes to args, of SESSION_ARGS,
 * the rest of which is empty, and the one that is called :vhost to *ret_vhost. Pure. */
bool route_matches(const char *pattern, const struct target *target, struct slice *args,
                   struct slice *ret_vhost);

void route_put_docs(struct buf *out);

#endif
