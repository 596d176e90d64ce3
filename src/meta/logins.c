#include "meta/logins.h"

#include "base/clock.h"
#include "base/mem.h"
#include "meta/logins_priv.h"
#include "meta/meta_priv.h"
#include "meta/routing_priv.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_ROOM = 3 * 256, IPV6_SITE = 8 };

struct source {
    struct login_source is;
    struct slice key; /* owned; the other texts lie within */
};

const char *login_front_name(enum login_front front)
{
    static const char *const names[LOGIN_FRONTS] = {
        [LOGIN_FRONT_AMQP] = "amqp091", [LOGIN_FRONT_HTTP] = "http"};
    return names[front];
}

/* ---- where they came from ---- */

static struct slice source_key(const void *object)
{
    return ((const struct source *)object)->key;
}

void login_sources_init(struct login_sources *sources)
{
    hash_init(&sources->table, source_key);
}

static void drop_sources(struct login_sources *sources)
{
    hash_each (it, &sources->table) {
        struct source *source = hash_at(&sources->table, it);
        slice_free(&source->key);
        free(source);
    }
    hash_fini(&sources->table);
}

void login_sources_fini(struct login_sources *sources)
{
    drop_sources(sources);
}

void login_reset_sources(struct routing *routing)
{
    drop_sources(&routing->logins);
    login_sources_init(&routing->logins);
}

void login_each_source(const struct routing *routing,
                       bool (*fn)(const struct login_source *source, void *arg), void *arg)
{
    const struct hash *table = &routing->logins.table;
    hash_each (it, table) {
        if (!fn(&((const struct source *)hash_at(table, it))->is, arg))
            break;
    }
}

/* The front, the length of the address, the address, the user. */
static struct slice make_key(uint8_t room[NAME_ROOM], const struct login_attempt *a)
{
    size_t address = strlen(a->address), user = a->user.len;
    if (address > UINT8_MAX)
        address = UINT8_MAX;
    if (user > UINT8_MAX)
        user = UINT8_MAX;
    room[0] = (uint8_t)a->front;
    room[1] = (uint8_t)address;
    memcpy(room + 2, a->address, address);
    if (user)
        memcpy(room + 2 + address, a->user.data, user);
    return slice_of(room, 2 + address + user);
}

static struct source *add_source(struct hash *table, struct slice key)
{
    struct source *source = NEW(struct source);
    source->key = slice_dup(key);
    size_t address = source->key.data[1];
    source->is.front = (enum login_front)source->key.data[0];
    source->is.address = slice_of(source->key.data + 2, address);
    source->is.user = slice_of(source->key.data + 2 + address, key.len - 2 - address);
    hash_add(table, source);
    return source;
}

static struct source *find_source(struct hash *table, const struct login_attempt *a)
{
    uint8_t room[NAME_ROOM];
    struct slice key = make_key(room, a);
    struct source *source = hash_find(table, key);
    if (source)
        return source;
    if (table->count >= LOGIN_SOURCES_MAX) {
        struct login_attempt other = {.front = a->front, .address = ""};
        key = make_key(room, &other);
        source = hash_find(table, key);
    }
    return source ? source : add_source(table, key);
}

/* ---- who is held back ---- */

/* Of IPv6, whoever has one address has all of its network. */
static uint64_t hash_of(const char *address)
{
    uint8_t ip[16];
    char text[INET6_ADDRSTRLEN];
    size_t n = strcspn(address, "%"); /* the interface may follow */
    snprintf(text, sizeof text, "%.*s", (int)n, address);
    if (inet_pton(AF_INET6, text, ip) == 1)
        return hash_bytes(slice_of(ip, IPV6_SITE));
    return hash_bytes(slice_str(address));
}

static uint32_t rule(const _Atomic uint32_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

enum auth_result login_try(struct routing *routing, const struct login_attempt *a,
                           struct slice password)
{
    struct login_guard *g = &meta_of(shard_node(routing->shard))->logins;
    uint64_t now_ms = clock_mono_ns() / 1000000;
    uint64_t address = hash_of(a->address);
    uint64_t pair = hash_mix(address, hash_bytes(a->user));
    enum auth_result result = AUTH_HELD_BACK;
    if (!throttle_is_full(&g->pairs, pair, rule(&g->of_user), now_ms) &&
        !throttle_is_full(&g->addresses, address, rule(&g->of_address), now_ms))
        result = access_login(routing, a->user, password, a->loopback);
    if (result == AUTH_BAD) {
        throttle_note(&g->pairs, pair, rule(&g->of_user), now_ms);
        throttle_note(&g->addresses, address, rule(&g->of_address), now_ms);
    } else if (result == AUTH_OK) {
        throttle_forget(&g->pairs, pair);
    }
    if (atomic_load_explicit(&g->track, memory_order_relaxed)) {
        struct source *source = find_source(&routing->logins.table, a);
        ++*(result == AUTH_OK ? &source->is.right : &source->is.wrong);
    }
    return result;
}

void login_set_rules(struct node *node, const struct login_rules *rules)
{
    struct login_guard *g = &meta_of(node)->logins;
    atomic_store_explicit(&g->of_user, rules->of_user, memory_order_relaxed);
    atomic_store_explicit(&g->of_address, rules->of_address, memory_order_relaxed);
    login_track_sources(node, rules->track_sources);
}

void login_track_sources(struct node *node, bool on)
{
    atomic_store_explicit(&meta_of(node)->logins.track, on, memory_order_relaxed);
}
