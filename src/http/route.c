#include "http/route.h"

#include "http/handlers.h"
#include "http/session.h"

static const struct route routes[] = {
#define ROUTE(verb, pattern, right, handler, text) \
    {VERB_##verb, pattern, RIGHT_##right, false, false, text, api_##handler},
#define UPLOAD(verb, pattern, right, handler, text) \
    {VERB_##verb, pattern, RIGHT_##right, true, false, text, api_##handler},
#define SCRAPE(pattern, handler, text) \
    {VERB_GET, pattern, RIGHT_NONE, false, true, text, api_##handler},
#include "http/routes.def"
#undef ROUTE
#undef UPLOAD
#undef SCRAPE
};
enum { ROUTE_COUNT = sizeof routes / sizeof *routes };

const struct route *route_at(size_t index)
{
    return index < ROUTE_COUNT ? &routes[index] : NULL;
}

bool route_matches(const char *pattern, const struct target *target, struct slice *args,
                   struct slice *ret_vhost)
{
    size_t segment = 0, arg = 0;
    *ret_vhost = SLICE_EMPTY;
    memset(args, 0, SESSION_ARGS * sizeof *args);
    while (*pattern) {
        const char *part = pattern + 1;
        size_t length = strcspn(part, "/");
        pattern = part + length;
        if (!length)
            break;
        if (segment == target->segment_count)
            return false;
        struct slice given = target->segments[segment++];
        if (*part != ':' && !slice_eq(given, slice_of(part, length)))
            return false;
        if (*part != ':')
            continue;
        if (length == 6 && !strncmp(part, ":vhost", 6))
            *ret_vhost = given;
        args[arg++] = given;
    }
    return segment == target->segment_count;
}

enum route_found route_find(struct session *s)
{
    enum http_verb verb = s->verb == VERB_HEAD ? VERB_GET : s->verb;
    enum route_found found = ROUTE_NONE;
    for (const struct route *r = routes; r < routes + ROUTE_COUNT; r++) {
        if (r->is_scrape != s->scrape || !route_matches(r->pattern, &s->target, s->args, &s->vhost))
            continue;
        found = ROUTE_OTHER_VERB;
        if (r->verb != verb)
            continue;
        s->route = r;
        return ROUTE_FOUND;
    }
    s->vhost = SLICE_EMPTY;
    memset(s->args, 0, sizeof s->args);
    return found;
}

static const char *const verb_names[] = {"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", ""};

void route_put_docs(struct buf *out)
{
    buf_append_str(
        out,
        "# HTTP API\n\n"
        "Printed by `jackaloped --dump-docs`. What `management.listeners` serve, and, where "
        "it is for nobody in particular and begins with `/metrics`, `prometheus.listeners`. "
        "Names with a colon stand for one part of the path, percent-encoded (`/` is `%2F`). "
        "Users log in by basic authentication; a route is for users with the tag it names or "
        "a higher one, and `management` is any. Lists take `columns`, `sort` and "
        "`sort_reverse`; those of queues, exchanges, connections, channels, users and "
        "virtual hosts also `page`, and with it `page_size`, `name` and `use_regex`. Errors are "
        "`{\"error\": ..., \"reason\": ...}`.\n\n");
    buf_append_str(out, "| method | path | for | what |\n|---|---|---|---|\n");
    for (const struct route *r = routes; r < routes + ROUTE_COUNT; r++)
        buf_printf(out, "| %s | `%s` | %s | %s |\n", verb_names[r->verb], r->pattern,
                   login_right_name(r->right), r->text);
}
