/* Policies and operator policies: set and cleared. Texts and exit codes are rabbitmqctl's. */
#include "admin/call.h"
#include "admin/handlers.h"
#include "admin/setting.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>

static bool parse_priority(const char *text, int64_t *ret_priority)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (end == text || *end || errno)
        return false;
    *ret_priority = n;
    return true;
}

static void set(struct call *call, unsigned flags, const char *what)
{
    const char *const *words = call->args.words;
    const char *priority = call_option(call, OPT_PRIORITY, "0");
    int64_t number = 0;
    if (!parse_priority(priority, &number)) {
        call_refuse(call, EX_USAGE, "Invalid options for this command:\n--priority : %s", priority);
        return;
    }
    call_banner(call,
                "Setting %s \"%s\" for pattern \"%s\" to \"%s\" with priority \"%s\" for "
                "vhost \"%s\" ...",
                what, words[0], words[1], words[2], priority, call_vhost(call));
    if (!setting_check_vhost(call))
        return;
    struct meta_request *request = call_request(call, META_POLICY_SET);
    request->flags |= flags;
    request->priority = number;
    meta_request_set(&request->vhost, slice_str(call_vhost(call)));
    meta_request_set(&request->name, slice_str(words[0]));
    meta_request_set(&request->pattern, slice_str(words[1]));
    if (call_has(call, OPT_APPLY_TO))
        meta_request_set(&request->apply_to, slice_str(call_option(call, OPT_APPLY_TO, "")));
    setting_submit_json(call, &request, words[2]);
}

void run_set_policy(struct call *call)
{
    set(call, 0, "policy");
}

void run_set_operator_policy(struct call *call)
{
    set(call, META_OPERATOR, "operator policy override");
}

static void clear(struct call *call, unsigned flags, const char *what)
{
    const char *name = call->args.words[0], *vhost = call_vhost(call);
    call_banner(call, "Clearing %s \"%s\" on vhost \"%s\" ...", what, name, vhost);
    struct meta_request *request = call_request(call, META_POLICY_CLEAR);
    request->flags |= flags;
    meta_request_set(&request->vhost, slice_str(vhost));
    meta_request_set(&request->name, slice_str(name));
    setting_submit(call, &request);
}

void run_clear_policy(struct call *call)
{
    clear(call, 0, "policy");
}

void run_clear_operator_policy(struct call *call)
{
    clear(call, META_OPERATOR, "operator policy");
}
