/* Insides of this folder. */
#ifndef HTTP_HTTP_PRIV_H
#define HTTP_HTTP_PRIV_H

#include "http/http.h"
#include "shard/shard.h"

#include <stdatomic.h>

struct gauge_memory;
struct jobs;
struct rates;
struct sampler;
struct samples;

/* The node's; what does not change any thread may read. */
struct http {
    struct node *node;
    struct http_options options;
    _Atomic uint64_t message_max; /* bytes of a message */
    _Atomic bool scrape_login;
    _Atomic unsigned stats; /* of enum http_stats */
    struct rates *rates[SHARDS_MAX];
    struct samples *samples[SHARDS_MAX];
    struct sampler *sampler;
    struct gauge_memory *gauge_memory;
    struct jobs *jobs;
};

struct http *http_of(const struct node *node);
static inline uint64_t http_message_max(const struct http *http)
{
    return atomic_load_explicit(&http->message_max, memory_order_relaxed);
}

#endif
