/* Users and rights on one shard: applied from changes, asked by the fronts. Patterns are compiled
 * when a permission arrives. */
#include "meta/access.h"

#include "base/buf.h"
#include "base/bug.h"
#include "base/mem.h"
#include "meta/routing_priv.h"

#include <stdlib.h>

static struct slice user_key(const void *object)
{
    return ((const struct user *)object)->def->name;
}

static struct slice permission_key(const void *object)
{
    return ((const struct permission *)object)->key;
}

/* --- keys: vhost and user as short strings, then the exchange of a topic permission --- */

enum { KEY_ROOM = 3 * 256 };

static size_t put_short(uint8_t *room, struct slice s)
{
    room[0] = (uint8_t)s.len;
    if (s.len)
        memcpy(room + 1, s.data, s.len);
    return s.len + 1;
}

/* Longer names than the fields of the protocol hold are in no table: an empty key. */
static struct slice make_key(uint8_t room[KEY_ROOM], struct slice user, struct slice vhost,
                             struct slice exchange)
{
    if (user.len > UINT8_MAX || vhost.len > UINT8_MAX || exchange.len > UINT8_MAX)
        return SLICE_EMPTY;
    size_t n = put_short(room, vhost);
    n += put_short(room + n, user);
    n += put_short(room + n, exchange);
    return slice_of(room, n);
}

struct user *access_find_user(const struct routing *routing, struct slice name)
{
    return hash_find(&routing->users, name);
}

const struct permission *access_find_permission(const struct routing *routing, struct slice user,
                                                struct slice vhost)
{
    uint8_t room[KEY_ROOM];
    return hash_find(&routing->permissions, make_key(room, user, vhost, SLICE_EMPTY));
}

const struct permission *access_find_topic_permission(const struct routing *routing,
                                                      struct slice user, struct slice vhost,
                                                      struct slice exchange)
{
    uint8_t room[KEY_ROOM];
    return hash_find(&routing->topic_permissions, make_key(room, user, vhost, exchange));
}

/* --- patterns with variables --- */

static void put_quoted(struct buf *out, struct slice literal)
{
    for (size_t i = 0; i < literal.len; i++) {
        if (memchr("\\^$.|?*+()[]{}#-", literal.data[i], 16))
            buf_append_byte(out, '\\');
        buf_append_byte(out, literal.data[i]);
    }
}

/* {username} and {vhost} stand for the very names, whatever characters they hold. */
static void expand(struct slice pattern, struct slice user, struct slice vhost, struct buf *out)
{
    static const struct slice username_variable = {(const uint8_t *)"{username}", 10};
    static const struct slice vhost_variable = {(const uint8_t *)"{vhost}", 7};
    for (size_t i = 0; i < pattern.len;) {
        struct slice rest = slice_of(pattern.data + i, pattern.len - i);
        if (slice_starts(rest, username_variable)) {
            put_quoted(out, user);
            i += username_variable.len;
        } else if (slice_starts(rest, vhost_variable)) {
            put_quoted(out, vhost);
            i += vhost_variable.len;
        } else {
            buf_append_byte(out, pattern.data[i++]);
        }
    }
}

static void compile(struct permission *p)
{
    for (int i = 0; i < ACCESS_RIGHTS; i++) {
        if (!p->def->topic) {
            pattern_init(&p->patterns[i], p->def->patterns[i]);
            continue;
        }
        struct buf text = BUF_INIT;
        expand(p->def->patterns[i], p->def->user, p->def->vhost, &text);
        pattern_init(&p->patterns[i], buf_slice(&text));
        buf_fini(&text);
    }
}

/* --- changes --- */

static struct hash *table_of(struct routing *routing, const struct permission_def *def)
{
    return def->topic ? &routing->topic_permissions : &routing->permissions;
}

static void free_patterns(struct permission *p)
{
    for (int i = 0; i < ACCESS_RIGHTS; i++)
        pattern_fini(&p->patterns[i]);
}

static void free_permission(struct permission *p)
{
    free_patterns(p);
    list_remove(&p->by_user);
    list_remove(&p->by_vhost);
    slice_free(&p->key);
    permission_def_unref(&p->def);
    free(p);
}

static void drop_permission(struct routing *routing, struct permission *p)
{
    hash_remove(table_of(routing, p->def), p->key);
    routing_strike(routing, &p->vhost->by_number.permissions, p->number);
    free_permission(p);
}

static void add_permission(struct routing *routing, struct permission_def *def, struct slice key)
{
    struct user *user = access_find_user(routing, def->user);
    struct vhost *vhost = routing_find_vhost(routing, def->vhost);
    bug_on(!user || !vhost);
    struct permission *p = NEW(struct permission);
    p->def = permission_def_ref(def);
    p->vhost = vhost;
    p->key = slice_dup(key);
    compile(p);
    list_append(&user->permissions, &p->by_user);
    list_append(&vhost->permissions, &p->by_vhost);
    hash_add(table_of(routing, def), p);
    p->number = routing_enroll(routing, &vhost->by_number.permissions, p);
}

/* It stays the same object, in its place for those that walk. */
static void change_permission(struct permission *p, struct permission_def *def)
{
    free_patterns(p);
    permission_def_unref(&p->def);
    p->def = permission_def_ref(def);
    compile(p);
}

static void set_permission(struct routing *routing, struct permission_def *def, bool cleared)
{
    uint8_t room[KEY_ROOM];
    struct slice key = make_key(room, def->user, def->vhost, def->exchange);
    struct permission *p = hash_find(table_of(routing, def), key);
    if (p && cleared)
        drop_permission(routing, p);
    else if (p)
        change_permission(p, def);
    else if (!cleared)
        add_permission(routing, def, key);
}

static void put_user(struct routing *routing, struct user_def *def)
{
    struct user *user = access_find_user(routing, def->name);
    if (user) {
        user_def_unref(&user->def);
        user->def = user_def_ref(def);
        return;
    }
    user = NEW(struct user);
    user->def = user_def_ref(def);
    user->max_connections = user->max_channels = -1;
    list_init(&user->permissions);
    hash_add(&routing->users, user);
    user->number = routing_enroll(routing, &routing->users_by_number, user);
}

static void free_user(struct user *user)
{
    parameter_def_unref(&user->limits);
    user_def_unref(&user->def);
    free(user);
}

static void remove_user(struct routing *routing, const struct user_def *def)
{
    struct user *user = hash_remove(&routing->users, def->name);
    bug_on(!user);
    list_each_safe (it, &user->permissions)
        drop_permission(routing, list_entry(it, struct permission, by_user));
    routing_strike(routing, &routing->users_by_number, user->number);
    free_user(user);
}

void access_drop_vhost(struct routing *routing, struct vhost *vhost)
{
    list_each_safe (it, &vhost->permissions)
        drop_permission(routing, list_entry(it, struct permission, by_vhost));
}

void access_apply(struct routing *routing, const struct meta_change *change)
{
    switch (change->kind) {
    case CHANGE_USER_PUT:
        put_user(routing, change->user);
        break;
    case CHANGE_USER_REMOVED:
        remove_user(routing, change->user);
        break;
    case CHANGE_PERMISSION:
    case CHANGE_TOPIC_PERMISSION:
        set_permission(routing, change->permission, change->cleared);
        break;
    default:
        bug_panic("change %d is not of users", (int)change->kind);
    }
}

void access_init(struct routing *routing)
{
    hash_init(&routing->users, user_key);
    hash_init(&routing->permissions, permission_key);
    hash_init(&routing->topic_permissions, permission_key);
    login_sources_init(&routing->logins);
}

/* The vhosts have taken their permissions with them. */
void access_fini(struct routing *routing)
{
    hash_each (i, &routing->users)
        free_user(hash_at(&routing->users, i));
    hash_fini(&routing->users);
    roster_fini(&routing->users_by_number);
    hash_fini(&routing->permissions);
    hash_fini(&routing->topic_permissions);
    login_sources_fini(&routing->logins);
}

/* --- logging in --- */

static bool loopback_only(const struct routing *routing, struct slice name)
{
    const struct meta_options *o = routing->options;
    for (size_t i = 0; i < o->loopback_user_count; i++) {
        if (slice_eq_str(name, o->loopback_users[i]))
            return true;
    }
    return false;
}

enum auth_result access_login(const struct routing *routing, struct slice user,
                              struct slice password, bool loopback)
{
    /* hashed in place of an unknown user's, so that the time does not tell who exists */
    static const char nobody[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const struct user *found = access_find_user(routing, user);
    bool usable = found && found->def->hash.len;
    enum digest_kind kind = usable ? found->def->algorithm : DIGEST_SHA256;
    struct slice hash = usable ? found->def->hash : slice_str(nobody);
    bool right = digest_password_matches(kind, hash, password);
    if (!usable || !password.len || !right)
        return AUTH_BAD;
    return loopback || !loopback_only(routing, user) ? AUTH_OK : AUTH_NOT_LOOPBACK;
}

enum auth_result access_login_trusted(const struct routing *routing, struct slice user,
                                      bool loopback)
{
    if (!access_find_user(routing, user))
        return AUTH_BAD;
    return loopback || !loopback_only(routing, user) ? AUTH_OK : AUTH_NOT_LOOPBACK;
}

bool access_user_exists(const struct routing *routing, struct slice user)
{
    return access_find_user(routing, user) != NULL;
}

unsigned access_user_tags(const struct routing *routing, struct slice user)
{
    const struct user *found = access_find_user(routing, user);
    return found ? found->def->tag_bits : 0;
}

bool access_vhost(const struct routing *routing, struct slice user, struct slice vhost)
{
    return access_find_permission(routing, user, vhost) != NULL;
}

bool access_any_vhost(const struct routing *routing, struct slice user)
{
    const struct user *found = access_find_user(routing, user);
    if (!found)
        return false;
    list_each (it, &found->permissions) {
        if (!list_entry(it, struct permission, by_user)->def->topic)
            return true;
    }
    return false;
}

/* --- the cache of a channel --- */

enum { CACHE_ENTRIES = 8 };

/* A right that was found to be given. */
struct granted {
    uint64_t hash;
    struct slice what; /* owned: right and name, right, exchange and key */
};

struct access_cache {
    uint64_t version;                    /* of the rights it knows */
    const struct permission *permission; /* of the last user and vhost */
    struct granted granted[CACHE_ENTRIES];
};

struct access_cache *access_cache_new(void)
{
    return NEW(struct access_cache);
}

static void forget(struct access_cache *cache)
{
    cache->permission = NULL;
    for (int i = 0; i < CACHE_ENTRIES; i++) {
        slice_free(&cache->granted[i].what);
        cache->granted[i].hash = 0;
    }
}

void access_cache_free(struct access_cache **cache)
{
    if (!*cache)
        return;
    forget(*cache);
    free(*cache);
    *cache = NULL;
}

static bool is_of(const struct permission *p, struct slice user, struct slice vhost)
{
    return p && slice_eq(p->def->user, user) && slice_eq(p->def->vhost, vhost);
}

static const struct permission *permission_of(const struct routing *routing,
                                              struct access_cache *cache, struct slice user,
                                              struct slice vhost)
{
    if (!cache)
        return access_find_permission(routing, user, vhost);
    if (cache->version != routing->access_version) {
        forget(cache);
        cache->version = routing->access_version;
    }
    if (!is_of(cache->permission, user, vhost)) {
        forget(cache);
        cache->permission = access_find_permission(routing, user, vhost);
    }
    return cache->permission;
}

/* Whether the pattern gives what; answers that took a match are remembered. */
static bool gives(const struct routing *routing, struct access_cache *cache,
                  const struct pattern *pattern, struct slice what, struct slice text)
{
    if (!cache || pattern->kind != PATTERN_CODE)
        return pattern_matches(pattern, routing->matcher, text);
    uint64_t hash = hash_bytes(what);
    struct granted *g = &cache->granted[hash % CACHE_ENTRIES];
    if (g->hash == hash && slice_eq(g->what, what))
        return true;
    if (!pattern_matches(pattern, routing->matcher, text))
        return false;
    slice_free(&g->what);
    g->what = slice_dup(what);
    g->hash = hash;
    return true;
}

enum err access_check(const struct routing *routing, struct access_cache *cache, struct slice user,
                      struct slice vhost, enum access_right right, const char *resource,
                      struct slice name, struct failure *why)
{
    uint8_t what[1 + 256];
    const struct permission *p = permission_of(routing, cache, user, vhost);
    if (!name.len && resource[0] == 'e')
        name = SLICE("amq.default");
    if (p && name.len <= UINT8_MAX) {
        what[0] = (uint8_t)right;
        if (name.len)
            memcpy(what + 1, name.data, name.len);
        if (gives(routing, cache, &p->patterns[right], slice_of(what, 1 + name.len), name))
            return ERR_NONE;
    }
    return failure_set(why, ERR_ACCESS_REFUSED,
                       "access to %s '%.*s' in vhost '%.*s' refused for user '%.*s'", resource,
                       SLICE_ARG(name), SLICE_ARG(vhost), SLICE_ARG(user));
}

enum err access_check_topic(const struct routing *routing, struct access_cache *cache,
                            struct slice user, struct slice vhost, enum access_right right,
                            struct slice exchange, struct slice key, struct failure *why)
{
    uint8_t what[1 + KEY_ROOM];
    if (!routing->topic_permissions.count)
        return ERR_NONE;
    const struct permission *p = access_find_topic_permission(routing, user, vhost, exchange);
    if (!p)
        return ERR_NONE;
    permission_of(routing, cache, user, vhost); /* brings the cache up to date */
    if (key.len <= UINT8_MAX) {
        what[0] = (uint8_t)(ACCESS_RIGHTS + right);
        size_t n = 1 + put_short(what + 1, exchange);
        n += put_short(what + n, key);
        if (gives(routing, cache, &p->patterns[right], slice_of(what, n), key))
            return ERR_NONE;
    }
    return failure_set(why, ERR_ACCESS_REFUSED,
                       "access to topic '%.*s' in exchange '%.*s' in vhost '%.*s' refused for "
                       "user '%.*s'",
                       SLICE_ARG(key), SLICE_ARG(exchange), SLICE_ARG(vhost), SLICE_ARG(user));
}
