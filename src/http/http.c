#include "http/http.h"

#include "base/mem.h"
#include "http/gauge.h"
#include "http/http_priv.h"
#include "http/jobs.h"
#include "http/rates.h"
#include "http/route.h"
#include "http/sampler.h"
#include "http/samples.h"
#include "http/session.h"

#include <stdlib.h>

struct http *http_of(const struct node *node)
{
    return node_local(node, SHARD_LOCAL_HTTP);
}

void http_init(struct node *node, const struct http_options *options)
{
    struct http *http = NEW(struct http);
    http->node = node;
    http->options = *options;
    atomic_init(&http->message_max, options->message_max);
    atomic_init(&http->scrape_login, options->scrape_login);
    for (unsigned i = 0; i < node_shard_count(node); i++) {
        http->rates[i] = rates_new();
        http->samples[i] = samples_new();
    }
    http->sampler = sampler_new(node);
    http->gauge_memory = gauge_memory_new();
    http->jobs = jobs_new(node);
    node_set_local(node, SHARD_LOCAL_HTTP, http);
    http_set_stats(node, options->stats);
}

void http_set_message_max(struct node *node, uint64_t bytes)
{
    atomic_store_explicit(&http_of(node)->message_max, bytes, memory_order_relaxed);
}

void http_set_scrape_login(struct node *node, bool on)
{
    atomic_store_explicit(&http_of(node)->scrape_login, on, memory_order_relaxed);
}

void http_set_stats(struct node *node, unsigned stats)
{
    struct http *http = http_of(node);
    atomic_store_explicit(&http->stats, stats, memory_order_relaxed);
    sampler_set(http->sampler, stats & HTTP_SAMPLING);
}

void http_fini(struct node *node)
{
    struct http *http = http_of(node);
    if (!http)
        return;
    for (unsigned i = 0; i < node_shard_count(node); i++) {
        rates_free(&http->rates[i]);
        samples_free(&http->samples[i]);
    }
    sampler_free(&http->sampler);
    gauge_memory_free(&http->gauge_memory);
    jobs_free(&http->jobs);
    node_set_local(node, SHARD_LOCAL_HTTP, NULL);
    free(http);
}

const struct protocol *http_protocol(void)
{
    static const struct protocol protocol = {.name = "http", .on_open = session_open};
    return &protocol;
}

const struct protocol *http_scrape_protocol(void)
{
    static const struct protocol protocol = {.name = "http/prometheus",
                                             .on_open = session_open_scrape};
    return &protocol;
}

void http_put_docs(struct buf *out)
{
    route_put_docs(out);
}
