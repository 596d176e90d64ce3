/* Users: passwords, tags. Texts and exit codes are rabbitmqctl's. */
#include "admin/call.h"
#include "admin/handlers.h"

#include "base/digest.h"
#include "base/mem.h"
#include "meta/access.h"

#include <stdlib.h>
#include <sysexits.h>

static const char *user_of(const struct call *call)
{
    return call->args.words[0];
}

static bool user_exists(const struct call *call)
{
    return access_user_exists(routing_of(call->shard), slice_str(user_of(call)));
}

static void fail_no_user(struct call *call)
{
    call_fail(call, EX_NOUSER, "User \"%s\" does not exist", user_of(call));
}

/* ---- passwords ---- */

/* Goes on with the password of the words, or asks for it. */
static void with_password(struct call *call, size_t word,
                          void (*then)(struct call *call, const char *password))
{
    if (call->args.count > word)
        then(call, call->args.words[word]);
    else
        call_ask(call,
                 call_has(call, OPT_HASHED) ? "Hashed and salted password: " : "Password: ", then);
}

static bool check_given(struct call *call, const char *password)
{
    if (!password)
        call_fail(call, EX_DATAERR, "Password is not provided via argument or stdin");
    return password != NULL;
}

static void set_password(const struct call *call, struct meta_request *request,
                         const char *password)
{
    if (call_has(call, OPT_HASHED))
        meta_request_set(&request->hash, slice_str(password));
    else
        meta_request_set(&request->key, slice_str(password));
}

static bool check_hash(struct call *call, const char *password)
{
    bool good =
        !call_has(call, OPT_HASHED) || digest_password_valid(DIGEST_SHA256, slice_str(password));
    if (!good)
        call_fail(
            call, EX_DATAERR,
            "The hash is no base64 of a salt and a SHA-256 digest; hash_password prints such");
    return good;
}

static void on_added(struct call *call, const struct meta_request *request)
{
    if (!request->code)
        call_banner(call, "Done. The user has no permissions yet: 'jackalopectl help "
                          "set_permissions' tells how to grant some.");
    call_finish_request(call, request);
}

static void add_with_password(struct call *call, const char *password)
{
    if (!check_given(call, password) || !check_hash(call, password))
        return;
    if (user_exists(call)) {
        call_fail(call, EX_SOFTWARE, "User \"%s\" already exists", user_of(call));
        return;
    }
    struct meta_request *request = call_request(call, META_USER_PUT);
    request->flags |= META_CREATE_ONLY;
    meta_request_set(&request->name, slice_str(user_of(call)));
    meta_request_set(&request->type, SLICE(""));
    set_password(call, request, password);
    call_submit(call, &request, on_added);
}

void run_add_user(struct call *call)
{
    if (!*user_of(call)) {
        call_refuse(call, EX_DATAERR, "Bad argument: user cannot be an empty string");
        return;
    }
    call_banner(call, "Adding user \"%s\" ...", user_of(call));
    with_password(call, 1, add_with_password);
}

static void change_with_password(struct call *call, const char *password)
{
    if (!check_given(call, password) || !check_hash(call, password))
        return;
    if (!user_exists(call)) {
        fail_no_user(call);
        return;
    }
    struct meta_request *request = call_request(call, META_USER_PUT);
    meta_request_set(&request->name, slice_str(user_of(call)));
    set_password(call, request, password);
    call_submit(call, &request, NULL);
}

void run_change_password(struct call *call)
{
    call_banner(call, "Changing password for user \"%s\" ...", user_of(call));
    with_password(call, 1, change_with_password);
}

void run_clear_password(struct call *call)
{
    call_banner(call, "Clearing password for user \"%s\" ...", user_of(call));
    if (!user_exists(call)) {
        fail_no_user(call);
        return;
    }
    struct meta_request *request = call_request(call, META_USER_PUT);
    meta_request_set(&request->name, slice_str(user_of(call)));
    meta_request_set(&request->hash, SLICE(""));
    call_submit(call, &request, NULL);
}

static void authenticate_with_password(struct call *call, const char *password)
{
    if (!check_given(call, password))
        return;
    enum auth_result result =
        access_login(routing_of(call->shard), slice_str(user_of(call)), slice_str(password), true);
    if (result == AUTH_OK) {
        call_banner(call, "Success");
        call_exit(call);
    } else {
        call_fail(call, EX_DATAERR,
                  "Error: failed to authenticate user \"%s\"\nuser '%s' - invalid "
                  "credentials",
                  user_of(call), user_of(call));
    }
}

void run_authenticate_user(struct call *call)
{
    call_banner(call, "Authenticating user \"%s\" ...", user_of(call));
    with_password(call, 1, authenticate_with_password);
}

static void hash_with_password(struct call *call, const char *password)
{
    if (!check_given(call, password))
        return;
    if (!*password) {
        call_fail(call, EX_DATAERR, "Password cannot be an empty string");
        return;
    }
    char *hash = digest_password_new(limits_hashing(shard_node(call->shard)), slice_str(password));
    call_print(call, "%s", hash);
    free(hash);
    call_exit(call);
}

void run_hash_password(struct call *call)
{
    call_banner(call, "Hashing the password ...");
    with_password(call, 0, hash_with_password);
}

/* ---- the rest ---- */

void run_delete_user(struct call *call)
{
    call_banner(call, "Deleting user \"%s\" ...", user_of(call));
    if (!user_exists(call)) {
        fail_no_user(call);
        return;
    }
    struct meta_request *request = call_request(call, META_USER_DELETE);
    meta_request_set(&request->name, slice_str(user_of(call)));
    call_submit(call, &request, NULL);
}

void run_set_user_tags(struct call *call)
{
    struct buf shown = BUF_INIT, tags = BUF_INIT;
    for (size_t i = 1; i < call->args.count; i++) {
        buf_printf(&shown, "%s%s", shown.len ? ", " : "", call->args.words[i]);
        buf_printf(&tags, "%s%s", tags.len ? "," : "", call->args.words[i]);
    }
    call_banner(call, "Setting tags for user \"%s\" to [%s] ...", user_of(call), buf_cstr(&shown));
    if (user_exists(call)) {
        struct meta_request *request = call_request(call, META_USER_PUT);
        meta_request_set(&request->name, slice_str(user_of(call)));
        meta_request_set(&request->type, slice_str(buf_cstr(&tags)));
        call_submit(call, &request, NULL);
    } else {
        fail_no_user(call);
    }
    buf_fini(&shown);
    buf_fini(&tags);
}
