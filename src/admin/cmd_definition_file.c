/* Definitions in and out: files of the client, in RabbitMQ's JSON. What comes in is read on the
 * call's shard as it arrives, then checked and put on shard 0 in portions; what goes out is written
 * there, in portions, at the client's pace. */
#include "admin/call.h"
#include "admin/definition_visit.h"
#include "admin/handlers.h"

#include "base/json.h"
#include "base/mem.h"
#include "meta/routing.h"

#include <stdlib.h>
#include <strings.h>
#include <sysexits.h>

/* ---- what both check ---- */

static bool refuse_format(struct call *call)
{
    const char *format = call_option(call, OPT_FORMAT, "json");
    if (!strcasecmp(format, "json"))
        return false;
    call_refuse(call, EX_DATAERR, "Bad argument: Format should be json");
    return true;
}

/* What --vhost says; empty: all. */
static struct slice scope(const struct call *call)
{
    return slice_str(call_option(call, OPT_VHOST, ""));
}

static bool refuse_vhost(struct call *call)
{
    struct slice vhost = scope(call);
    if (!vhost.len || routing_find_vhost(routing_of(call->shard), vhost))
        return false;
    call_fail_plain(call, EX_DATAERR, "Virtual host '%.*s' does not exist", SLICE_ARG(vhost));
    return true;
}

static const char *path_of(const struct call *call)
{
    return call->args.count ? call->args.words[0] : "-";
}

static bool is_standard(const struct call *call)
{
    return !strcmp(path_of(call), "-");
}

static void refuse_missing(struct call *call, bool directory)
{
    const char *path = path_of(call);
    const char *slash = strrchr(path, '/');
    int length = !directory      ? (int)strlen(path)
                 : !slash        ? 1
                 : slash == path ? 1
                                 : (int)(slash - path);
    call_refuse(call, EX_DATAERR, "Bad argument: %s %.*s does not exist",
                directory ? "Directory" : "File", length, directory && !slash ? "." : path);
}

/* Says why the client could not open its file; false if it could. */
static bool refuse_file(struct call *call, const char *error, bool writing)
{
    const char *path = path_of(call);
    if (!error)
        return false;
    if (!strcmp(error, "ENOENT"))
        refuse_missing(call, writing);
    else if (!strcmp(error, "ENOTDIR"))
        call_fail(call, EX_DATAERR, "Parent directory of file %s is not a directory", path);
    else if (!strcmp(error, "EACCES"))
        call_fail(call, EX_DATAERR, "No permissions to %s file %s or its parent directory",
                  writing ? "write to" : "read from", path);
    else if (!strcmp(error, "EISDIR"))
        call_fail(call, EX_DATAERR, "Path %s is a directory", path);
    else if (!strcmp(error, "ENOSPC"))
        call_fail(call, EX_DATAERR, "No space left on device hosting %s", path);
    else
        call_fail(call, EX_DATAERR, "Could not %s file %s: %s", writing ? "write to" : "read from",
                  path, error);
    return true;
}

/* ---- export ---- */

static void export_end(struct call *call, struct visit *visit)
{
    size_t inexact = export_inexact(((struct export_visit *)visit)->export);
    struct buf text = BUF_INIT;
    if (inexact) {
        buf_printf(&text,
                   "%zu definitions have texts that are no UTF-8; base64 stands in their place",
                   inexact);
        call_warn(call, buf_slice(&text));
    }
    buf_fini(&text);
    call_exit(call);
}

static void on_opened_to_write(struct call *call, const char *error)
{
    if (refuse_file(call, error, true))
        return;
    if (!is_standard(call))
        call_banner(call, "Exporting definitions in JSON to a file at \"%s\" ...", path_of(call));
    struct export_visit *v = visit_new(sizeof *v, NULL, export_end);
    export_visit_init(v, scope(call));
    v->framed = true;
    call_visit_first(call, &v->visit);
}

void run_export_definitions(struct call *call)
{
    if (!refuse_format(call) && !refuse_vhost(call))
        call_open_to_write(call, path_of(call), on_opened_to_write);
}

/* ---- import ---- */

static void on_safe(struct call *call, const struct meta_request *request)
{
    (void)request;
    if (call->request.json) {
        struct buf line = BUF_INIT;
        buf_append_str(&line, "{\"value\":{\"result\":\"ok\",\"node\":");
        json_put_string(&line, slice_str(meta_node_name(call_node(call))));
        buf_append_str(&line, "}}\n");
        call_write(call, buf_slice(&line));
        buf_fini(&line);
    }
    call_exit(call);
}

static void import_end(struct call *call, struct visit *visit)
{
    struct import_visit *v = (struct import_visit *)visit;
    struct buf text = BUF_INIT;
    import_put_summary(v->import, &text);
    if (v->failed) {
        call_fail(call, err_info(v->why.code)->exit_code, "%s", v->why.text);
    } else {
        struct meta_request *sync = call_request(call, META_SYNC);
        if (v->unchanged)
            call_banner(call, "These definitions were imported last: nothing had to be done.");
        else
            call_banner(call, "Successfully imported definitions: %s.", buf_cstr(&text));
        call_submit(call, &sync, on_safe);
    }
    buf_fini(&text);
}

static void fail_reading(struct call *call, const struct failure *why)
{
    import_free(&call->import);
    call_fail(call, EX_DATAERR, "Failed to deserialise input (format: JSON) (error: %s)",
              why->text);
}

static void on_file_end(struct call *call)
{
    struct failure why;
    if (import_feed_end(call->import, &why)) {
        fail_reading(call, &why);
        return;
    }
    struct import_visit *v = visit_new(sizeof *v, NULL, import_end);
    import_visit_init(v, &call->import, scope(call));
    v->skip = call_has(call, OPT_SKIP);
    v->remembers = v->tells = true;
    call_visit_first(call, &v->visit);
}

static void on_chunk(struct call *call, struct slice data)
{
    struct failure why;
    if (data.len) {
        if (!call->import)
            call->import = import_new(IMPORT_FILE, scope(call));
        if (import_feed(call->import, data, &why))
            fail_reading(call, &why);
    } else if (call->import) {
        on_file_end(call);
    } else if (is_standard(call)) {
        call_refuse(call, EX_USAGE, "not enough arguments.");
    } else {
        call_fail(call, EX_DATAERR, "File %s is zero-sized", path_of(call));
    }
}

static void on_client_gone(struct call *call)
{
    import_free(&call->import);
}

static void on_opened_to_read(struct call *call, const char *error)
{
    if (refuse_file(call, error, false))
        return;
    if (!call->args.count)
        call_banner(call, "Importing definitions in JSON from standard input ...");
    else if (!is_standard(call))
        call_banner(call, "Importing definitions in JSON from a file at \"%s\" ...", path_of(call));
    call->on_gone = on_client_gone;
    call_receive(call, on_chunk);
}

void run_import_definitions(struct call *call)
{
    if (!refuse_format(call) && !refuse_vhost(call))
        call_open_to_read(call, path_of(call), on_opened_to_read);
}
