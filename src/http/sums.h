/* What shards counted of virtual hosts and exchanges (meta/tally.h) as it is shown: RabbitMQ's
 * names, in the order that samples have. Shard 0. */
#ifndef HTTP_SUMS_H
#define HTTP_SUMS_H

#include "meta/tally.h"

/* Of a virtual host: message_stats, then how much is queued, then octets. */
enum { SUMS_DEPTHS = 12, SUMS_OCTETS = SUMS_DEPTHS + 3, SUMS_OF_VHOST = SUMS_OCTETS + 2 };
enum { SUMS_OF_EXCHANGE = EXCHANGE_COUNTS };

struct sum_name {
    const char *name, *details;
};
extern const struct sum_name sums_of_vhost[SUMS_OF_VHOST];
extern const struct sum_name sums_of_exchange[SUMS_OF_EXCHANGE];

void sums_read_vhost(const struct vhost *vhost, struct tally_sum ret_sums[SUMS_OF_VHOST]);
void sums_read_exchange(const struct exchange *exchange,
                        struct tally_sum ret_sums[SUMS_OF_EXCHANGE]);

#endif
