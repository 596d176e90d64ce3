/* What happens to definitions, told to whoever set a sink: on shard 0, in the order it happens.
 * Keys and headers are those of RabbitMQ's event exchange. */
#ifndef META_EVENTS_H
#define META_EVENTS_H

#include "base/slice.h"

struct buf;
struct node;
struct shard;

/* Before the loops run, or on shard 0; what came up so far is not told. headers: table bytes,
 * borrowed. The sink must not touch definitions. */
void meta_set_event_sink(struct node *node,
                         void (*sink)(struct shard *shard, const char *key, struct slice headers));
/* Arguments as RabbitMQ shows them there: an array of texts such as {<<"x-expires">>,signedint,1}.
 */
void meta_event_put_args(struct buf *table, struct slice key, struct slice args);

#endif
