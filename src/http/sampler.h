/* Takes samples every TREND_STEP_MS: of the node as a whole, then of single objects. Shard 0. */
#ifndef HTTP_SAMPLER_H
#define HTTP_SAMPLER_H

#include "http/trend.h"
#include "shard/shard.h"

struct sampler;

struct sampler *sampler_new(struct node *node);
void sampler_free(struct sampler **sampler);
/* Whether samples are taken. */
void sampler_set(struct sampler *sampler, bool on);
/* Of node_counters. */
const struct trend *sampler_trend(const struct sampler *sampler);

#endif
