/* Runtime parameters, limits of virtual hosts and users. Texts and exit codes are rabbitmqctl's. */
#include "admin/call.h"
#include "admin/handlers.h"
#include "admin/json_value.h"
#include "admin/setting.h"

#include "meta/access.h"

#include <sysexits.h>

bool setting_check_vhost(struct call *call)
{
    const char *vhost = call_vhost(call);
    bool there = routing_find_vhost(routing_of(call->shard), slice_str(vhost)) != NULL;
    if (!there)
        call_fail_plain(call, EX_DATAERR, "Virtual host '%s' does not exist", vhost);
    return there;
}

static void on_done(struct call *call, const struct meta_request *request)
{
    if (request->code)
        call_fail(call, EX_UNAVAILABLE, "%s", request->why.text);
    else
        call_exit(call);
}

void setting_submit(struct call *call, struct meta_request **request)
{
    call_submit(call, request, on_done);
}

void setting_submit_json(struct call *call, struct meta_request **request, const char *json)
{
    struct buf value = BUF_INIT;
    if (json_value_parse(json, &value)) {
        meta_request_set(&(*request)->args, buf_slice(&value));
        setting_submit(call, request);
    } else {
        meta_request_free(request);
        call_fail(call, EX_UNAVAILABLE, "JSON decoding error. Reason: badarg");
    }
    buf_fini(&value);
}

/* ---- parameters ---- */

static struct meta_request *new_parameter(struct call *call, enum meta_verb verb,
                                          const char *component, const char *name)
{
    struct meta_request *request = call_request(call, verb);
    meta_request_set(&request->vhost, slice_str(call_vhost(call)));
    meta_request_set(&request->source, slice_str(component));
    meta_request_set(&request->name, slice_str(name));
    return request;
}

void run_set_parameter(struct call *call)
{
    const char *const *words = call->args.words;
    call_banner(call,
                "Setting runtime parameter \"%s\" for component \"%s\" to \"%s\" in vhost "
                "\"%s\" ...",
                words[1], words[0], words[2], call_vhost(call));
    if (!setting_check_vhost(call))
        return;
    struct meta_request *request = new_parameter(call, META_PARAMETER_SET, words[0], words[1]);
    setting_submit_json(call, &request, words[2]);
}

void run_clear_parameter(struct call *call)
{
    const char *const *words = call->args.words;
    call_banner(call, "Clearing runtime parameter \"%s\" for component \"%s\" on vhost \"%s\" ...",
                words[1], words[0], call_vhost(call));
    struct meta_request *request = new_parameter(call, META_PARAMETER_CLEAR, words[0], words[1]);
    setting_submit(call, &request);
}

void run_set_global_parameter(struct call *call)
{
    const char *const *words = call->args.words;
    call_banner(call, "Setting global runtime parameter \"%s\" to \"%s\" ...", words[0], words[1]);
    struct meta_request *request = new_parameter(call, META_PARAMETER_SET, "", words[0]);
    request->flags |= META_GLOBAL;
    setting_submit_json(call, &request, words[1]);
}

void run_clear_global_parameter(struct call *call)
{
    const char *name = call->args.words[0];
    call_banner(call, "Clearing global runtime parameter \"%s\" ...", name);
    struct meta_request *request = new_parameter(call, META_PARAMETER_CLEAR, "", name);
    request->flags |= META_GLOBAL;
    setting_submit(call, &request);
}

/* ---- limits of a virtual host: a parameter ---- */

void run_set_vhost_limits(struct call *call)
{
    const char *limits = call->args.words[0];
    call_banner(call, "Setting vhost limits to \"%s\" for vhost \"%s\" ...", limits,
                call_vhost(call));
    if (!setting_check_vhost(call))
        return;
    struct meta_request *request =
        new_parameter(call, META_PARAMETER_SET, "vhost-limits", "limits");
    setting_submit_json(call, &request, limits);
}

void run_clear_vhost_limits(struct call *call)
{
    call_banner(call, "Clearing vhost \"%s\" limits ...", call_vhost(call));
    struct meta_request *request =
        new_parameter(call, META_PARAMETER_CLEAR, "vhost-limits", "limits");
    setting_submit(call, &request);
}

/* ---- limits of a user ---- */

/* NULL: there is no such user, and the call has failed. */
static struct meta_request *new_limits(struct call *call, enum meta_verb verb)
{
    const char *user = call->args.words[0];
    if (!access_user_exists(routing_of(call->shard), slice_str(user))) {
        call_fail(call, EX_NOUSER, "User \"%s\" does not exist", user);
        return NULL;
    }
    struct meta_request *request = call_request(call, verb);
    meta_request_set(&request->name, slice_str(user));
    return request;
}

void run_set_user_limits(struct call *call)
{
    const char *const *words = call->args.words;
    call_banner(call, "Setting user limits to \"%s\" for user \"%s\" ...", words[1], words[0]);
    struct meta_request *request = new_limits(call, META_USER_LIMITS_SET);
    if (request)
        setting_submit_json(call, &request, words[1]);
}

void run_clear_user_limits(struct call *call)
{
    const char *const *words = call->args.words;
    if (!strcmp(words[1], "all"))
        call_banner(call, "Clearing all limits for user \"%s\" ...", words[0]);
    else
        call_banner(call, "Clearing \"%s\" limit for user \"%s\" ...", words[1], words[0]);
    struct meta_request *request = new_limits(call, META_USER_LIMITS_CLEAR);
    if (!request)
        return;
    meta_request_set(&request->key, slice_str(words[1]));
    setting_submit(call, &request);
}
