/* Where a message goes: the set of queues that one publish reaches.
 *
 * A struct route is kept and used again by whoever routes on a shard (one will do for a shard), so
 * that routing allocates nothing once its arrays have grown. What it found, the keys included, is
 * valid until its next route_message or the shard's next op. */
#ifndef BROKER_ROUTE_H
#define BROKER_ROUTE_H

#include "meta/routing.h"

struct route {
    struct route_sink sink;        /* first: the exchange types call back through it */
    struct target_queue **targets; /* each queue once, in no particular order */
    size_t count;
    size_t unheard;     /* among these, lines that only keep a copy: they do not count as a route */
    struct slice *keys; /* the routing key, then those of the CC header, then those of BCC */
    size_t key_count;
    const struct exchange *sifted; /* it lets the message in whatever its value; NULL: none */
    bool has_bcc; /* the message has a BCC header: take it off before the message is stored */

    /* The rest is route.c's. */
    size_t target_cap, key_cap;
    struct exchange **exchanges; /* met, those behind exchange_done still to be asked */
    size_t exchange_count, exchange_cap, exchange_done;
    uint32_t stamp;
    bool matched; /* the exchange being asked had a binding that matched */
};

void route_init(struct route *r);
void route_fini(struct route *r);

/* Routes a message through exchange (NULL: the default exchange) by its key, by the keys in the CC
 * and BCC headers, and by its headers, which were checked with table_check. Follows bindings
 * between exchanges, and of each exchange that no binding matched in, the alternate exchange; every
 * exchange is asked once. What an exchange delays or sifts goes to its line. Refuses a CC or BCC
 * header that is no array; then nothing is found. Keys of direct reply-to (amq.rabbitmq.reply-to.*)
 * name no queue: through the default exchange they are the caller's, who finds them in keys. */
enum err route_message(struct route *r, struct routing *routing, const struct vhost *vhost,
                       struct exchange *exchange, const struct route_input *message,
                       struct failure *why);

#endif
