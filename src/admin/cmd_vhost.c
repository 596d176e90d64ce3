/* Virtual hosts: made, changed, deleted. */
#include "admin/call.h"
#include "admin/handlers.h"

#include "base/log.h"
#include "meta/args.h"
#include "meta/routing.h"

#include <string.h>
#include <sysexits.h>

static const char *name_of(const struct call *call)
{
    return call->args.words[0];
}

static struct meta_request *new_request(struct call *call, enum meta_verb verb)
{
    struct meta_request *request = call_request(call, verb);
    meta_request_set(&request->name, slice_str(name_of(call)));
    meta_request_set(&request->vhost, slice_str(name_of(call)));
    return request;
}

static bool check_exists(struct call *call)
{
    bool there = routing_find_vhost(routing_of(call->shard), slice_str(name_of(call))) != NULL;
    if (!there)
        call_fail_plain(call, EX_DATAERR, "Virtual host '%s' does not exist", name_of(call));
    return there;
}

/* --description, --tags, --default-queue-type */
static void set_metadata(const struct call *call, struct meta_request *request)
{
    const struct {
        enum option option;
        struct slice *field;
    } fields[] = {{OPT_DESCRIPTION, &request->description},
                  {OPT_TAGS, &request->type},
                  {OPT_QUEUE_TYPE, &request->queue_type}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (call_has(call, fields[i].option))
            meta_request_set(fields[i].field, slice_str(call_option(call, fields[i].option, "")));
    }
}

static bool check_queue_type(struct call *call)
{
    enum queue_type type;
    const char *name = call_option(call, OPT_QUEUE_TYPE, "classic");
    bool good = args_queue_type_parse(slice_str(name), &type);
    if (!good)
        call_fail(call, EX_USAGE, "Unsupported default queue type");
    return good;
}

void run_add_vhost(struct call *call)
{
    call_banner(call, "Adding vhost \"%s\" ...", name_of(call));
    if (!check_queue_type(call))
        return;
    struct meta_request *request = new_request(call, META_VHOST_PUT);
    set_metadata(call, request);
    call_submit(call, &request, NULL);
}

void run_update_vhost_metadata(struct call *call)
{
    if (!call_has(call, OPT_DESCRIPTION) && !call_has(call, OPT_TAGS) &&
        !call_has(call, OPT_QUEUE_TYPE)) {
        call_refuse(call, EX_USAGE, "not enough arguments.");
        return;
    }
    call_banner(call, "Updating metadata of vhost \"%s\" ...", name_of(call));
    if (!check_exists(call) || !check_queue_type(call))
        return;
    struct meta_request *request = new_request(call, META_VHOST_PUT);
    request->flags |= META_MUST_EXIST;
    set_metadata(call, request);
    call_submit(call, &request, NULL);
}

void run_set_vhost_tags(struct call *call)
{
    struct buf shown = BUF_INIT, tags = BUF_INIT;
    for (size_t i = 1; i < call->args.count; i++) {
        buf_printf(&shown, "%s%s", shown.len ? ", " : "", call->args.words[i]);
        buf_printf(&tags, "%s%s", tags.len ? "," : "", call->args.words[i]);
    }
    call_banner(call, "Setting tags for virtual host \"%s\" to [%s] ...", name_of(call),
                buf_cstr(&shown));
    if (check_exists(call)) {
        struct meta_request *request = new_request(call, META_VHOST_PUT);
        request->flags |= META_MUST_EXIST;
        meta_request_set(&request->type, slice_str(buf_cstr(&tags)));
        call_submit(call, &request, NULL);
    }
    buf_fini(&shown);
    buf_fini(&tags);
}

/* ---- protection ---- */

static void set_protection(struct call *call, bool on)
{
    call_banner(call, "%s protection from deletion for virtual host '%s'...",
                on ? "Enabling" : "Disabling", name_of(call));
    if (!check_exists(call))
        return;
    struct meta_request *request = new_request(call, META_VHOST_PUT);
    request->flags |= META_MUST_EXIST | (on ? META_PROTECT : META_UNPROTECT);
    call_submit(call, &request, NULL);
}

void run_enable_vhost_protection_from_deletion(struct call *call)
{
    set_protection(call, true);
}

void run_disable_vhost_protection_from_deletion(struct call *call)
{
    set_protection(call, false);
}

/* ---- tracing ---- */

static void on_traced(struct call *call, const struct meta_request *request)
{
    if (!request->code)
        call_print(call, "Trace %s for vhost %s",
                   request->flags & META_TRACE_ON ? "enabled" : "disabled", call_vhost(call));
    call_finish_request(call, request);
}

static void set_tracing(struct call *call, bool on)
{
    call_banner(call, "%s tracing for vhost \"%s\" ...", on ? "Starting" : "Stopping",
                call_vhost(call));
    struct meta_request *request = call_request(call, META_VHOST_PUT);
    meta_request_set(&request->name, slice_str(call_vhost(call)));
    meta_request_set(&request->vhost, slice_str(call_vhost(call)));
    request->flags |= META_MUST_EXIST | (on ? META_TRACE_ON : META_TRACE_OFF);
    log_info(ADMIN, NULL, "tracing of vhost '%s' is %s", call_vhost(call), on ? "on" : "off");
    call_submit(call, &request, on_traced);
}

void run_trace_on(struct call *call)
{
    set_tracing(call, true);
}

void run_trace_off(struct call *call)
{
    set_tracing(call, false);
}

void run_delete_vhost(struct call *call)
{
    call_banner(call, "Deleting vhost \"%s\" ...", name_of(call));
    if (!check_exists(call))
        return;
    struct meta_request *request = new_request(call, META_VHOST_DELETE);
    call_submit(call, &request, NULL);
}
