/* Definitions in and out, over src/definitions: what comes in is read as it arrives, then checked
 * and put on shard 0 in portions; what goes out is written there, at the client's pace. */
#include "http/bounds.h"
#include "http/handlers.h"
#include "http/multipart.h"
#include "http/session.h"
#include "http/target.h"

#include "base/log.h"
#include "base/mem.h"
#include "definitions/export.h"
#include "definitions/import.h"
#include "meta/routing.h"

#include <stdlib.h>

enum { IMPORT_ITEMS = 50 /* put in one portion */ };

/* False: it was answered. */
static bool check_vhost(struct session *s)
{
    if (!s->vhost.data || routing_find_vhost(session_routing(s), s->vhost))
        return true;
    reply_not_found(s);
    return false;
}

/* ---- out ---- */

struct export_visit {
    struct visit visit;
    struct export *export;
};

static void export_fini(struct visit *visit)
{
    export_free(&((struct export_visit *)visit)->export);
}

static bool export_run(struct visit *visit, struct shard *shard)
{
    struct export_visit *v = (struct export_visit *)visit;
    return !export_next(v->export, shard_node(shard), VISIT_OBJECTS, &visit->out);
}

static void on_exported(struct session *s, struct visit *visit)
{
    reply_write(s, buf_slice(&visit->out));
    buf_clear(&visit->out);
    if (session_visit_on(s, visit))
        return;
    visit_free(visit);
    reply_close(s);
}

void api_definitions(struct session *s)
{
    if (!check_vhost(s))
        return;
    struct export_visit *v = session_visit_new(sizeof *v, export_run);
    v->visit.fini = export_fini;
    v->export = export_new(s->vhost);
    reply_open(s, 200, "application/json");
    session_visit(s, &v->visit, 0, on_exported);
}

/* ---- in ---- */

struct import_visit {
    struct visit visit;
    struct import *import;
    bool failed;
    struct failure why;
};

static void import_fini(struct visit *visit)
{
    import_free(&((struct import_visit *)visit)->import);
}

static bool import_run(struct visit *visit, struct shard *shard)
{
    struct import_visit *v = (struct import_visit *)visit;
    v->failed =
        import_step(v->import, shard_node(shard), meta_put, IMPORT_ITEMS, &v->why) != ERR_NONE;
    struct slice warnings = import_take_warnings(v->import);
    if (warnings.len)
        log_warning(ADMIN, NULL, "import of definitions: %.*s", SLICE_ARG(warnings));
    slice_free(&warnings);
    return v->failed || import_is_done(v->import);
}

static void on_imported(struct session *s, struct visit *visit)
{
    struct import_visit *v = (struct import_visit *)visit;
    struct buf text = BUF_INIT;
    if (session_visit_on(s, visit))
        return;
    import_put_summary(v->import, &text);
    if (v->failed) {
        log_error(ADMIN, NULL, "import of definitions by '%.*s': %s", SLICE_ARG(s->user),
                  v->why.text);
        reply_bad(s, "%s", v->why.text);
    } else {
        log_info(ADMIN, NULL, "definitions imported by '%.*s': %s", SLICE_ARG(s->user),
                 buf_cstr(&text));
        struct meta_request *rq = session_request(s, META_SYNC, true);
        session_submit(s, &rq, NULL);
    }
    buf_fini(&text);
    visit_free(visit);
}

/* While the body comes. */
struct upload {
    struct import *import; /* owned */
    struct multipart form;
    bool is_form;
    struct failure why; /* of what ended it */
};

static void free_upload(void *state)
{
    struct upload *u = state;
    import_free(&u->import);
    if (u->is_form)
        multipart_fini(&u->form);
    free(u);
}

static bool take(void *arg, struct slice bytes)
{
    struct upload *u = arg;
    while (bytes.len) {
        size_t n = bytes.len < IMPORT_CHUNK ? bytes.len : IMPORT_CHUNK;
        if (import_feed(u->import, slice_of(bytes.data, n), &u->why))
            return false;
        bytes = slice_of(bytes.data + n, bytes.len - n);
    }
    return true;
}

static void on_piece(struct session *s, struct slice piece)
{
    struct upload *u = s->state;
    if (u->is_form ? multipart_feed(&u->form, piece, take, u) : take(u, piece))
        return;
    s->on_piece = NULL;
    s->on_body = NULL;
    s->phase = SESSION_LEAVING;
    reply_bad(s, "%s", *u->why.text ? u->why.text : "the form is malformed");
}

static void on_body(struct session *s)
{
    struct upload *u = s->state;
    if (u->is_form && !u->form.found) {
        reply_bad(s, "the form has no part that is called file");
        return;
    }
    if (import_feed_end(u->import, &u->why)) {
        reply_bad(s, "%s", u->why.text);
        return;
    }
    struct import_visit *v = session_visit_new(sizeof *v, import_run);
    v->visit.fini = import_fini;
    v->import = u->import;
    u->import = NULL;
    session_visit(s, &v->visit, 0, on_imported);
}

void api_import_definitions(struct session *s)
{
    if (s->vhost.data && !routing_find_vhost(session_routing(s), s->vhost)) {
        s->phase = SESSION_LEAVING; /* the body is not read */
        reply_not_found(s);
        return;
    }
    struct upload *u = NEW(struct upload);
    u->import = import_new(IMPORT_FILE, s->vhost);
    u->is_form = multipart_is(message_of(s->parser)->headers[HEADER_CONTENT_TYPE], &u->form);
    s->state = u;
    s->free_state = free_upload;
    s->on_piece = on_piece;
    s->on_body = on_body;
}
