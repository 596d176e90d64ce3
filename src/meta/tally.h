/* What clients did in each virtual host, and with each exchange: every shard counts in its replica,
 * and shard 0 gathers that every few seconds (who asks for it says when). Objects that nobody used
 * cost nothing. */
#ifndef META_TALLY_H
#define META_TALLY_H

#include "base/buf.h"
#include "meta/routing.h"

/* The counters of an exchange. */
enum exchange_count { EXCHANGE_IN, EXCHANGE_OUT, EXCHANGE_COUNTS };
/* Those of a virtual host: what its owner likes, up to that many, and octets of connections; then
 * what is there now. */
enum {
    VHOST_OWN = 13,
    VHOST_RECV_OCT = VHOST_OWN,
    VHOST_SEND_OCT,
    VHOST_EVENTS,
    VHOST_READY = VHOST_EVENTS,
    VHOST_UNACKED,
    VHOST_COUNTS
};

struct tally {
    uint64_t *own; /* counted on this shard since it was taken last */
    bool waits;    /* to be taken */
};

/* Made when it is first asked for, and gone with its object, as all that was looked up: when
 * routing_version() says another number. On the shard's own thread. */
struct tally *tally_for_vhost(struct vhost *vhost);
struct tally *tally_for_exchange(struct exchange *exchange);
void tally_wait(struct tally *tally);

static inline void tally_count(struct tally *tally, unsigned what, uint64_t n)
{
    tally->own[what] += n;
    if (!tally->waits)
        tally_wait(tally);
}

/* Moves what this shard counted since the last time to records, of at most *budget objects, which
 * is what is left of it then. False: there is more. */
bool tally_take(struct routing *routing, size_t *budget, struct buf *records);
/* Shard 0: adds records from *at on, of at most budget objects. False: there is more. */
bool tally_add(struct routing *routing, struct slice records, size_t *at, size_t budget);
/* Shard 0: all shards were asked; the next time begins. now_ms: of CLOCK_MONOTONIC. */
void tally_close(struct routing *routing, uint64_t now_ms);

/* Shard 0: the sum over all shards, and how fast it grew a second between the last two times; what
 * is there now has its change as growth. Zeros for an object that nobody used. */
struct tally_sum {
    uint64_t sum;
    double growth;
};
struct tally_sum tally_of_vhost(const struct vhost *vhost, unsigned what);
struct tally_sum tally_of_exchange(const struct exchange *exchange, enum exchange_count what);

#endif
