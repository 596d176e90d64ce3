/* Permissions and topic permissions of users in virtual hosts. */
#include "admin/call.h"
#include "admin/handlers.h"

#include "meta/access.h"

#include <sysexits.h>

/* The user and the virtual host are there; else the call has failed. */
static bool check_names(struct call *call)
{
    const struct routing *routing = routing_of(call->shard);
    const char *user = call->args.words[0], *vhost = call_vhost(call);
    if (!access_user_exists(routing, slice_str(user)))
        call_fail(call, EX_NOUSER, "User %s does not exist", user);
    else if (!routing_find_vhost(routing, slice_str(vhost)))
        call_fail(call, EX_UNAVAILABLE, "Virtual host %s does not exist", vhost);
    else
        return true;
    return false;
}

static struct meta_request *new_request(struct call *call, enum meta_verb verb)
{
    struct meta_request *request = call_request(call, verb);
    meta_request_set(&request->name, slice_str(call->args.words[0]));
    meta_request_set(&request->vhost, slice_str(call_vhost(call)));
    return request;
}

/* What is refused now is a pattern that does not compile. */
static void on_set(struct call *call, const struct meta_request *request)
{
    if (request->code)
        call_fail(call, EX_UNAVAILABLE, "%s", request->why.text);
    else
        call_exit(call);
}

void run_set_permissions(struct call *call)
{
    const char *const *words = call->args.words;
    call_banner(call, "Setting permissions for user \"%s\" in vhost \"%s\" ...", words[0],
                call_vhost(call));
    if (!check_names(call))
        return;
    struct meta_request *request = new_request(call, META_PERMISSION_SET);
    meta_request_set(&request->configure, slice_str(words[1]));
    meta_request_set(&request->write, slice_str(words[2]));
    meta_request_set(&request->read, slice_str(words[3]));
    call_submit(call, &request, on_set);
}

void run_clear_permissions(struct call *call)
{
    call_banner(call, "Clearing permissions for user \"%s\" in vhost \"%s\" ...",
                call->args.words[0], call_vhost(call));
    if (!check_names(call))
        return;
    struct meta_request *request = new_request(call, META_PERMISSION_CLEAR);
    call_submit(call, &request, NULL);
}

void run_set_topic_permissions(struct call *call)
{
    const char *const *words = call->args.words;
    call_banner(call, "Setting topic permissions on \"%s\" for user \"%s\" in vhost \"%s\" ...",
                words[1], words[0], call_vhost(call));
    if (!check_names(call))
        return;
    struct meta_request *request = new_request(call, META_TOPIC_PERMISSION_SET);
    meta_request_set(&request->source, slice_str(words[1]));
    meta_request_set(&request->write, slice_str(words[2]));
    meta_request_set(&request->read, slice_str(words[3]));
    call_submit(call, &request, on_set);
}

void run_clear_topic_permissions(struct call *call)
{
    const char *const *words = call->args.words;
    bool one = call->args.count > 1;
    if (one)
        call_banner(call,
                    "Clearing topic permissions on \"%s\" for user \"%s\" in vhost \"%s\" ...",
                    words[1], words[0], call_vhost(call));
    else
        call_banner(call, "Clearing topic permissions for user \"%s\" in vhost \"%s\" ...",
                    words[0], call_vhost(call));
    if (!check_names(call))
        return;
    struct meta_request *request = new_request(call, META_TOPIC_PERMISSION_CLEAR);
    if (one)
        meta_request_set(&request->source, slice_str(words[1]));
    call_submit(call, &request, NULL);
}
