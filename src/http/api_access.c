/* Virtual hosts, users and their permissions: for administrators. */
#include "http/body.h"
#include "http/handlers.h"
#include "http/kind.h"
#include "http/session.h"

#include "base/base64.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/table.h"
#include "meta/access.h"
#include "meta/args.h"
#include "meta/routing.h"

#include <stdlib.h>
#include <strings.h>

static struct asker asker_for(const struct session *s, struct slice text)
{
    struct asker asker = list_asker(s);
    if (text.data)
        asker.text = slice_dup(text);
    return asker;
}

static bool vhost_exists(const struct session *s, struct slice name)
{
    return routing_find_vhost(session_routing(s), name) != NULL;
}

static bool user_exists(const struct session *s, struct slice name)
{
    return access_user_exists(session_routing(s), name);
}

static void on_created(struct session *s, const struct meta_request *request)
{
    if (request->code)
        session_fail(s, &request->why);
    else
        reply_empty(s, request->created ? 201 : 204);
}

static void on_set(struct session *s, const struct meta_request *request)
{
    if (request->code)
        reply_bad(s, "%s", request->why.text);
    else
        reply_empty(s, 201);
}

/* ---- logging in ---- */

static bool is_form(const struct session *s)
{
    static const char type[] = "application/x-www-form-urlencoded";
    struct slice said = message_of(s->parser)->headers[HEADER_CONTENT_TYPE];
    size_t len = sizeof type - 1;
    return said.len >= len && !strncasecmp((const char *)said.data, type, len) &&
           (said.len == len || said.data[len] == ';' || said.data[len] == ' ');
}

/* Base64 of user and password, as the header has it: not for scripts, nor for other sites. */
static void put_cookie(struct session *s, struct slice user, struct slice password)
{
    struct buf both = BUF_INIT, *out = &s->reply.cookie;
    buf_append_slice(&both, user);
    buf_append_byte(&both, ':');
    buf_append_slice(&both, password);
    buf_append_str(out, LOGIN_COOKIE "=");
    char *at = (char *)buf_reserve(out, base64_encoded_size(both.len) + 1);
    out->len += base64_encode(buf_slice(&both), at);
    buf_append_str(out, "; Path=/; HttpOnly; SameSite=Strict");
    if (stream_get_info(s->stream)->tls)
        buf_append_str(out, "; Secure");
    explicit_bzero(both.data, both.len);
    buf_fini(&both);
}

static void log_in(struct session *s, const struct target *form)
{
    struct slice user = target_param(form, "username"), password = target_param(form, "password");
    const char *reason;
    enum login login = user.data ? login_with(s, user, password, &reason) : LOGIN_MISSING;
    if (login != LOGIN_OK) {
        session_refuse_login(s, login, reason);
        return;
    }
    put_cookie(s, user, password);
    reply_json(s, 200, SLICE("\"ok\""));
}

void api_login(struct session *s)
{
    struct target form;
    if (!is_form(s)) {
        reply_error(s, 415, "unsupported_media_type", "a form is expected");
        return;
    }
    if (!target_parse_form(buf_slice(&s->body), &form)) {
        reply_bad(s, "the form is malformed");
        return;
    }
    log_in(s, &form);
    target_fini(&form);
}

/* ---- virtual hosts ---- */

void api_vhosts(struct session *s)
{
    list_start(s, &kind_vhosts, list_asker(s));
}

void api_vhost(struct session *s)
{
    struct asker asker = asker_for(s, s->args[0]);
    slice_free(&asker.vhost);
    list_start_one(s, &kind_vhosts, asker);
}

/* Whoever makes a virtual host may do everything in it. */
static void on_vhost_put(struct session *s, const struct meta_request *request)
{
    if (request->code || !request->created) {
        on_created(s, request);
        return;
    }
    struct meta_request *rq = session_request(s, META_PERMISSION_SET, true);
    meta_request_set(&rq->vhost, s->args[0]);
    meta_request_set(&rq->name, s->user);
    meta_request_set(&rq->configure, SLICE(".*"));
    meta_request_set(&rq->write, SLICE(".*"));
    meta_request_set(&rq->read, SLICE(".*"));
    session_submit(s, &rq, on_set);
}

static struct meta_request *vhost_request(struct session *s, enum meta_verb verb)
{
    struct meta_request *rq = session_request(s, verb, true);
    meta_request_set(&rq->name, s->args[0]);
    meta_request_set(&rq->vhost, s->args[0]);
    return rq;
}

/* False: it was answered. */
static bool read_queue_type(struct session *s, struct slice body, struct slice *field)
{
    enum queue_type type;
    struct slice name = SLICE_EMPTY;
    bool there;
    if (!body_find_text(s, body, "default_queue_type", &name, &there) ||
        (!there && !body_find_text(s, body, "defaultqueuetype", &name, &there)))
        return false;
    if (!there || slice_eq_str(name, "undefined"))
        return true;
    if (name.len && !args_queue_type_parse(name, &type)) {
        reply_bad(s, "Unsupported default queue type: '%.*s'", SLICE_ARG(name));
        return false;
    }
    meta_request_set(field, name);
    return true;
}

void api_put_vhost(struct session *s)
{
    struct buf table;
    unsigned tracing = 0;
    if (!body_parse(s, &table))
        return;
    struct slice body = buf_slice(&table);
    struct table_value value;
    struct meta_request *rq = vhost_request(s, META_VHOST_PUT);
    bool traces = table_find(body, SLICE("tracing"), &value);
    if (body_text(s, body, "description", &rq->description) &&
        body_tags(s, body, "tags", &rq->type) && read_queue_type(s, body, &rq->queue_type) &&
        body_flag(s, body, "tracing", 1, &tracing)) {
        if (traces)
            rq->flags |= tracing ? META_TRACE_ON : META_TRACE_OFF;
        session_submit(s, &rq, on_vhost_put);
    }
    meta_request_free(&rq);
    buf_fini(&table);
}

/* False: it was answered. */
static bool need_vhost(struct session *s)
{
    if (vhost_exists(s, s->args[0]))
        return true;
    reply_not_found(s);
    return false;
}

void api_delete_vhost(struct session *s)
{
    if (!need_vhost(s))
        return;
    struct meta_request *rq = vhost_request(s, META_VHOST_DELETE);
    session_submit(s, &rq, NULL);
}

void api_start_vhost(struct session *s)
{
    if (need_vhost(s))
        reply_empty(s, 204);
}

static void protect(struct session *s, unsigned flag)
{
    if (!need_vhost(s))
        return;
    struct meta_request *rq = vhost_request(s, META_VHOST_PUT);
    rq->flags |= META_MUST_EXIST | flag;
    session_submit(s, &rq, NULL);
}

void api_protect_vhost(struct session *s)
{
    protect(s, META_PROTECT);
}

void api_unprotect_vhost(struct session *s)
{
    protect(s, META_UNPROTECT);
}

/* ---- users ---- */

void api_users(struct session *s)
{
    list_start(s, &kind_users, asker_for(s, SLICE_EMPTY));
}

void api_users_without(struct session *s)
{
    list_start(s, &kind_users_without, asker_for(s, SLICE_EMPTY));
}

void api_user(struct session *s)
{
    list_start_one(s, &kind_users, asker_for(s, s->args[0]));
}

/* A password or the hash of one. False: it was answered. */
static bool read_password(struct session *s, struct slice body, struct meta_request *rq)
{
    enum digest_kind kind = DIGEST_SHA256;
    if (!body_text(s, body, "password", &rq->key) ||
        !body_text(s, body, "password_hash", &rq->hash) ||
        !body_text(s, body, "hashing_algorithm", &rq->algorithm))
        return false;
    if (rq->key.data) {
        slice_free(&rq->hash);
        slice_free(&rq->algorithm);
        return true;
    }
    if (rq->algorithm.data && !digest_kind_parse(rq->algorithm, &kind)) {
        reply_bad(s, "the hashing algorithm is unknown");
        return false;
    }
    if (rq->hash.len && !digest_password_valid(kind, rq->hash)) {
        reply_bad(s, "the password hash is no base64 of a salt and a digest");
        return false;
    }
    if (!rq->hash.data)
        meta_request_set(&rq->hash, SLICE_EMPTY);
    return true;
}

/* True: it was answered. */
static bool is_protected(struct session *s, struct slice user, const char *reason)
{
    bool found = (access_user_tags(session_routing(s), user) & TAG_PROTECTED) != 0;
    if (found)
        reply_bad(s, "%s", reason);
    return found;
}

static const char no_updates[] = "User updates via API are disabled for this user";
static const char no_deletion[] = "User deletion via API is disabled for this user";

void api_put_user(struct session *s)
{
    struct buf table;
    struct table_value value;
    if (is_protected(s, s->args[0], no_updates) || !body_parse(s, &table))
        return;
    struct slice body = buf_slice(&table);
    struct meta_request *rq = session_request(s, META_USER_PUT, true);
    meta_request_set(&rq->name, s->args[0]);
    if (!table_find(body, SLICE("tags"), &value)) {
        reply_bad(s, "tags_not_present");
    } else if (read_password(s, body, rq) && body_tags(s, body, "tags", &rq->type)) {
        session_submit(s, &rq, on_created);
    }
    meta_request_free(&rq);
    explicit_bzero(table.data, table.len);
    buf_fini(&table);
}

void api_delete_user(struct session *s)
{
    if (!user_exists(s, s->args[0])) {
        reply_not_found(s);
        return;
    }
    if (is_protected(s, s->args[0], no_deletion))
        return;
    struct meta_request *rq = session_request(s, META_USER_DELETE, true);
    meta_request_set(&rq->name, s->args[0]);
    session_submit(s, &rq, NULL);
}

/* One after the other: the requests are answered in order, the last one ends it. */
void api_delete_users(struct session *s)
{
    struct buf table;
    struct slice list;
    struct table_value v;
    if (!body_parse(s, &table))
        return;
    struct meta_request *last = NULL;
    if (!table_find_array(buf_slice(&table), SLICE("users"), &list)) {
        (void)body_has(s, SLICE_EMPTY, "users");
        buf_fini(&table);
        return;
    }
    for (struct table_iter it = table_iter(list); array_next(&it, &v);) {
        if (v.type == TABLE_LONGSTR && is_protected(s, v.bytes, no_deletion)) {
            buf_fini(&table);
            return;
        }
    }
    for (struct table_iter it = table_iter(list); array_next(&it, &v);) {
        if (v.type != TABLE_LONGSTR || !user_exists(s, v.bytes))
            continue;
        struct meta_request *rq = session_request(s, META_USER_DELETE, true);
        meta_request_set(&rq->name, v.bytes);
        if (last) {
            last->reply_to = ADDR_NONE;
            meta_post(session_node(s), &last);
        }
        last = rq;
    }
    buf_fini(&table);
    if (last)
        session_submit(s, &last, NULL);
    else
        reply_empty(s, 204);
}

void api_hash_password(struct session *s)
{
    struct buf json = BUF_INIT;
    char *hash = digest_password_new(limits_hashing(session_node(s)), s->args[0]);
    buf_append_str(&json, "{\"ok\":");
    json_put_string(&json, slice_str(hash));
    buf_append_byte(&json, '}');
    reply_json(s, 200, buf_slice(&json));
    free(hash);
    buf_fini(&json);
}

/* ---- permissions ---- */

void api_permissions(struct session *s)
{
    list_start(s, &kind_permissions, asker_for(s, SLICE_EMPTY));
}

void api_topic_permissions(struct session *s)
{
    list_start(s, &kind_topic_permissions, asker_for(s, SLICE_EMPTY));
}

static void list_in_vhost(struct session *s, const struct list_kind *kind)
{
    if (need_vhost(s))
        list_start(s, kind, asker_for(s, SLICE_EMPTY));
}

void api_permissions_in(struct session *s)
{
    list_in_vhost(s, &kind_permissions);
}

void api_topic_permissions_in(struct session *s)
{
    list_in_vhost(s, &kind_topic_permissions);
}

static void list_of_user(struct session *s, const struct list_kind *kind)
{
    if (user_exists(s, s->args[0]))
        list_start(s, kind, asker_for(s, s->args[0]));
    else
        reply_not_found(s);
}

void api_permissions_of(struct session *s)
{
    list_of_user(s, &kind_permissions);
}

void api_topic_permissions_of(struct session *s)
{
    list_of_user(s, &kind_topic_permissions);
}

/* The virtual host and the user of the path are there. */
static bool both_exist(const struct session *s)
{
    return vhost_exists(s, s->args[0]) && user_exists(s, s->args[1]);
}

void api_permission(struct session *s)
{
    if (both_exist(s))
        list_start_one(s, &kind_permissions, asker_for(s, s->args[1]));
    else
        reply_not_found(s);
}

void api_topic_permission(struct session *s)
{
    if (both_exist(s))
        list_start(s, &kind_topic_permissions, asker_for(s, s->args[1]));
    else
        reply_not_found(s);
}

static struct meta_request *permission_request(struct session *s, enum meta_verb verb)
{
    struct meta_request *rq = session_request(s, verb, true);
    meta_request_set(&rq->vhost, s->args[0]);
    meta_request_set(&rq->name, s->args[1]);
    return rq;
}

static bool check_both(struct session *s)
{
    if (both_exist(s))
        return true;
    reply_bad(s, "vhost_or_user_not_found");
    return false;
}

static void on_changed(struct session *s, const struct meta_request *request)
{
    if (request->code)
        reply_bad(s, "%s", request->why.text);
    else
        reply_empty(s, 204);
}

void api_put_permission(struct session *s)
{
    struct buf table;
    if (!body_parse(s, &table))
        return;
    struct slice body = buf_slice(&table);
    if (body_has(s, body, "configure write read") && check_both(s)) {
        bool there = access_vhost(session_routing(s), s->args[1], s->args[0]);
        struct meta_request *rq = permission_request(s, META_PERMISSION_SET);
        if (body_text(s, body, "configure", &rq->configure) &&
            body_text(s, body, "write", &rq->write) && body_text(s, body, "read", &rq->read))
            session_submit(s, &rq, there ? on_changed : on_set);
        meta_request_free(&rq);
    }
    buf_fini(&table);
}

void api_delete_permission(struct session *s)
{
    if (!both_exist(s) || !access_vhost(session_routing(s), s->args[1], s->args[0])) {
        reply_not_found(s);
        return;
    }
    struct meta_request *rq = permission_request(s, META_PERMISSION_CLEAR);
    session_submit(s, &rq, NULL);
}

void api_put_topic_permission(struct session *s)
{
    struct buf table;
    if (!body_parse(s, &table))
        return;
    struct slice body = buf_slice(&table);
    if (body_has(s, body, "exchange write read") && check_both(s)) {
        struct meta_request *rq = permission_request(s, META_TOPIC_PERMISSION_SET);
        if (body_text(s, body, "exchange", &rq->source) &&
            body_text(s, body, "write", &rq->write) && body_text(s, body, "read", &rq->read))
            session_submit(s, &rq, on_set);
        meta_request_free(&rq);
    }
    buf_fini(&table);
}

/* exchange NULL: of all. */
static void clear_topic(struct session *s, const struct slice *exchange)
{
    if (!both_exist(s)) {
        reply_not_found(s);
        return;
    }
    struct meta_request *rq = permission_request(s, META_TOPIC_PERMISSION_CLEAR);
    if (exchange)
        meta_request_set(&rq->source, *exchange);
    session_submit(s, &rq, NULL);
}

void api_delete_topic_permissions(struct session *s)
{
    clear_topic(s, NULL);
}

void api_delete_topic_permission(struct session *s)
{
    struct slice exchange = target_exchange(s->args[2]);
    clear_topic(s, &exchange);
}
