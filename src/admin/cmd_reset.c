/* The broker as on its first day: everything that is defined goes, with all messages, and what the
 * configuration defines comes again. On shard 0, in portions, to the end also when the client
 * leaves: half of it would be a broker without users. */
#include "admin/admin_priv.h"
#include "admin/call.h"
#include "admin/handlers.h"

#include "base/log.h"
#include "base/mem.h"
#include "meta/meta.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { RESET_ITEMS = 50 }; /* that go in one portion */

static const enum meta_noun nouns[] = {META_VHOSTS, META_USERS, META_GLOBAL_PARAMETERS};
enum { NOUNS = sizeof nouns / sizeof *nouns };

struct reset {
    struct visit visit;
    struct meta_cursor cursor;
    unsigned noun; /* of nouns, the one that is going */
    bool walking;
    struct slice names[RESET_ITEMS]; /* owned, of this portion */
    size_t count, gone;
    bool in_service, failed;
    struct failure why;
};

static bool collect(const struct meta_row *row, void *arg)
{
    struct reset *r = arg;
    struct value name = meta_row_get(row, nouns[r->noun] == META_USERS ? "user" : "name");
    r->names[r->count++] = slice_dup(name.bytes);
    value_fini(&name);
    return r->count < RESET_ITEMS;
}

static enum err put(struct node *node, struct reset *r, enum meta_verb verb, unsigned flags,
                    struct slice name)
{
    struct meta_request *request = meta_request_new(verb, ADDR_NONE);
    request->flags = META_TRUSTED | flags;
    meta_request_set(&request->name, name);
    if (verb == META_VHOST_PUT || verb == META_VHOST_DELETE)
        meta_request_set(&request->vhost, name);
    enum err err = meta_put(node, request);
    if (err)
        r->why = request->why;
    meta_request_free(&request);
    return err;
}

static enum err drop(struct node *node, struct reset *r, struct slice name)
{
    if (nouns[r->noun] == META_USERS)
        return put(node, r, META_USER_DELETE, 0, name);
    if (nouns[r->noun] == META_GLOBAL_PARAMETERS)
        return put(node, r, META_PARAMETER_CLEAR, META_GLOBAL, name);
    enum err err = put(node, r, META_VHOST_PUT, META_MUST_EXIST | META_UNPROTECT, name);
    return err ? err : put(node, r, META_VHOST_DELETE, 0, name);
}

/* False: nothing is left of any noun. */
static bool drop_some(struct node *node, struct reset *r)
{
    if (!r->walking)
        r->cursor = meta_cursor_begin(node, nouns[r->noun], SLICE_EMPTY);
    r->walking = meta_cursor_next(node, &r->cursor, RESET_ITEMS, collect, r);
    for (size_t i = 0; i < r->count; i++) {
        r->failed = r->failed || drop(node, r, r->names[i]) != ERR_NONE;
        slice_free(&r->names[i]);
    }
    r->gone += r->count;
    r->count = 0;
    if (!r->walking)
        r->noun++;
    return r->noun < NOUNS;
}

/* No file of definitions is that which was imported last. */
static void forget_imports(struct node *node)
{
    static const uint8_t none[32];
    meta_set_imported(node, SLICE_EMPTY, slice_of(none, sizeof none));
}

static bool reset_run(struct visit *visit, struct shard *shard)
{
    struct reset *r = (struct reset *)visit;
    struct node *node = shard_node(shard);
    const struct admin *admin = admin_of(node);
    r->in_service = !admin->app_stopped;
    if (r->in_service)
        return true;
    bool more = drop_some(node, r);
    if (more && !r->failed)
        return false;
    forget_imports(node);
    if (!r->failed)
        r->failed = !admin->options.seed(admin->options.arg, &r->why);
    if (r->failed)
        log_error(ADMIN, NULL, "reset: %s", r->why.text);
    else
        log_warning(ADMIN, NULL, "the node was reset: %zu definitions are gone", r->gone);
    return true;
}

static void on_reset(struct call *call, struct visit *visit)
{
    const struct reset *r = (struct reset *)visit;
    if (r->in_service) {
        call_fail_plain(call, EX_USAGE,
                        "Error: this command requires the node to be out of service. Take it out "
                        "with 'stop_app'.");
    } else if (r->failed) {
        call_fail(call, EX_UNAVAILABLE, "%s", r->why.text);
    } else {
        struct meta_request *sync = call_request(call, META_SYNC);
        call_submit(call, &sync, NULL);
    }
}

void run_reset(struct call *call)
{
    call_banner(call, "Resetting node %s ...", meta_node_name(call_node(call)));
    struct reset *r = visit_new(sizeof *r, reset_run, on_reset);
    r->visit.stays = true;
    call_visit_first(call, &r->visit);
}
