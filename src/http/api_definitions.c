/* Definitions in and out, over src/definitions: what comes in is read as it arrives, then checked
 * and put on shard 0 in portions, whether or not the client waits; what goes out is written there,
 * at the client's pace. */
#include "admin/definition_visit.h"
#include "http/bounds.h"
#include "http/handlers.h"
#include "http/multipart.h"
#include "http/session.h"
#include "http/target.h"

#include "base/mem.h"
#include "meta/routing.h"

#include <stdlib.h>

/* False: it was answered. */
static bool check_vhost(struct session *s)
{
    if (!s->vhost.data || routing_find_vhost(session_routing(s), s->vhost))
        return true;
    reply_not_found(s);
    return false;
}

/* ---- out ---- */

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
    struct export_visit *v = session_visit_new(sizeof *v, NULL);
    export_visit_init(v, s->vhost);
    reply_open(s, 200, "application/json");
    session_visit(s, &v->visit, 0, on_exported);
}

/* ---- in ---- */

static void on_imported(struct session *s, struct visit *visit)
{
    struct import_visit *v = (struct import_visit *)visit;
    if (v->failed) {
        reply_bad(s, "%s", v->why.text);
    } else {
        struct meta_request *rq = session_request(s, META_SYNC, true);
        session_submit(s, &rq, NULL);
    }
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
    struct import_visit *v = session_visit_new(sizeof *v, NULL);
    import_visit_init(v, &u->import, s->vhost);
    v->by = slice_dup(s->user);
    v->visit.stays = true;
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
