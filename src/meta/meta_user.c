/* The master's users and their permissions. */
#include "base/bug.h"
#include "base/mem.h"
#include "meta/meta_priv.h"
#include "meta/meta_store.h"

#include <stdlib.h>

static const struct {
    const char *name;
    unsigned bit;
} tag_names[] = {
    {"administrator", TAG_ADMINISTRATOR}, {"monitoring", TAG_MONITORING},
    {"policymaker", TAG_POLICYMAKER},     {"management", TAG_MANAGEMENT},
    {"impersonator", TAG_IMPERSONATOR},   {"protected", TAG_PROTECTED},
};

static bool is_separator(uint8_t c)
{
    return c == ',' || c == ' ' || c == '\t';
}

unsigned meta_parse_tags(struct slice list, struct buf *out)
{
    unsigned bits = 0;
    for (size_t i = 0; i < list.len;) {
        size_t start = i;
        while (i < list.len && !is_separator(list.data[i]))
            i++;
        struct slice tag = slice_of(list.data + start, i - start);
        i++;
        if (!tag.len)
            continue;
        if (out && out->len)
            buf_append_byte(out, ',');
        if (out)
            buf_append_slice(out, tag);
        for (size_t k = 0; k < sizeof tag_names / sizeof tag_names[0]; k++)
            bits |= slice_eq_str(tag, tag_names[k].name) ? tag_names[k].bit : 0;
    }
    return bits;
}

static enum err no_user(struct slice name, struct failure *why)
{
    return failure_set(why, ERR_NOT_FOUND, "User \"%.*s\" does not exist", SLICE_ARG(name));
}

/* --- users --- */

/* *ret_heap: what like->hash points at, if it was made here. */
static enum err set_password(struct meta *m, struct user_def *like, struct meta_request *rq,
                             char **ret_heap)
{
    if (rq->key.data) {
        if (meta_check_password(m, rq->key, &rq->why))
            return rq->why.code;
        like->algorithm = limits_hashing(m->node);
        *ret_heap = digest_password_new(like->algorithm, rq->key);
        like->hash = slice_str(*ret_heap);
        return ERR_NONE;
    }
    if (!rq->hash.data)
        return ERR_NONE;
    like->hash = rq->hash;
    like->algorithm = DIGEST_SHA256;
    if (rq->algorithm.len && !digest_kind_parse(rq->algorithm, &like->algorithm))
        return failure_set(&rq->why, ERR_PRECONDITION_FAILED,
                           "unknown password hashing algorithm '%.*s'", SLICE_ARG(rq->algorithm));
    if (rq->hash.len && !digest_password_valid(like->algorithm, rq->hash))
        return failure_set(&rq->why, ERR_PRECONDITION_FAILED, "not a password hash of %s",
                           digest_kind_name(like->algorithm));
    return ERR_NONE;
}

static enum err check_put(const struct user *user, struct meta_request *rq)
{
    if (!rq->name.len)
        return failure_set(&rq->why, ERR_PRECONDITION_FAILED, "user cannot be an empty string");
    if (rq->name.len > UINT8_MAX)
        return failure_set(&rq->why, ERR_PRECONDITION_FAILED, "user name is too long");
    if (user && (rq->flags & META_CREATE_ONLY))
        return failure_set(&rq->why, ERR_PRECONDITION_FAILED, "User \"%.*s\" already exists",
                           SLICE_ARG(rq->name));
    if (!user && (rq->flags & META_MUST_EXIST))
        return no_user(rq->name, &rq->why);
    return ERR_NONE;
}

enum err meta_user_put(struct meta *m, struct meta_request *rq)
{
    const struct user *user = access_find_user(m->local, rq->name);
    struct user_def like = {.name = rq->name};
    struct buf tags = BUF_INIT;
    char *hash = NULL;
    enum err err = check_put(user, rq);
    if (err)
        return err;
    if (user) {
        like.tags = user->def->tags;
        like.tag_bits = user->def->tag_bits;
        like.hash = user->def->hash;
        like.algorithm = user->def->algorithm;
        like.usage = user->def->usage;
    }
    if (rq->type.data) {
        like.tag_bits = meta_parse_tags(rq->type, &tags);
        like.tags = buf_slice(&tags);
    }
    err = set_password(m, &like, rq, &hash);
    if (!err) {
        rq->created = !user;
        struct meta_change *change = change_new(CHANGE_USER_PUT);
        change->user = user_def_new(&like);
        meta_publish(m, change);
    }
    buf_fini(&tags);
    free(hash);
    return err;
}

enum err meta_user_delete(struct meta *m, struct meta_request *rq)
{
    const struct user *user = access_find_user(m->local, rq->name);
    if (!user)
        return no_user(rq->name, &rq->why);
    struct meta_change *change = change_new(CHANGE_USER_REMOVED);
    change->user = user_def_ref(user->def);
    meta_publish(m, change);
    return ERR_NONE;
}

/* --- permissions: name is the user, vhost the vhost, source the exchange of a topic one --- */

static enum err check_names(struct meta *m, struct meta_request *rq)
{
    if (!access_find_user(m->local, rq->name))
        return no_user(rq->name, &rq->why);
    return meta_get_vhost(m, rq, &rq->why) ? ERR_NONE : rq->why.code;
}

static void publish_permission(struct meta *m, const struct permission_def *like, bool cleared)
{
    struct meta_change *change =
        change_new(like->topic ? CHANGE_TOPIC_PERMISSION : CHANGE_PERMISSION);
    change->cleared = cleared;
    change->permission = permission_def_new(like);
    meta_publish(m, change);
}

static enum err set(struct meta *m, struct meta_request *rq, bool topic)
{
    struct permission_def like = {
        .topic = topic,
        .vhost = rq->vhost,
        .user = rq->name,
        .exchange = topic ? rq->source : SLICE_EMPTY,
        .patterns = {[ACCESS_CONFIGURE] = topic ? SLICE_EMPTY : rq->configure,
                     [ACCESS_WRITE] = rq->write,
                     [ACCESS_READ] = rq->read},
    };
    enum err err = check_names(m, rq);
    if (!err && like.exchange.len > UINT8_MAX)
        err = failure_set(&rq->why, ERR_PRECONDITION_FAILED, "exchange name is too long");
    for (int i = 0; i < ACCESS_RIGHTS && !err; i++)
        err = pattern_check(like.patterns[i], &rq->why);
    if (!err)
        publish_permission(m, &like, false);
    return err;
}

enum err meta_permission_set(struct meta *m, struct meta_request *rq)
{
    return set(m, rq, false);
}

enum err meta_topic_permission_set(struct meta *m, struct meta_request *rq)
{
    return set(m, rq, true);
}

enum err meta_permission_clear(struct meta *m, struct meta_request *rq)
{
    struct permission_def like = {.vhost = rq->vhost, .user = rq->name};
    enum err err = check_names(m, rq);
    if (!err && access_find_permission(m->local, rq->name, rq->vhost))
        publish_permission(m, &like, true);
    return err;
}

/* Of one exchange, or all of the user's in the vhost if none is given. */
enum err meta_topic_permission_clear(struct meta *m, struct meta_request *rq)
{
    enum err err = check_names(m, rq);
    if (err)
        return err;
    struct user *user = access_find_user(m->local, rq->name);
    list_each_safe (it, &user->permissions) {
        const struct permission_def *def = list_entry(it, struct permission, by_user)->def;
        bool meant = def->topic && slice_eq(def->vhost, rq->vhost) &&
                     (!rq->source.data || slice_eq(def->exchange, rq->source));
        if (meant)
            publish_permission(m, def, true);
    }
    return ERR_NONE;
}
