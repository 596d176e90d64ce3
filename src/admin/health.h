/* Is the node well? The checks that operators and their tools ask for, by the control tool and over
 * HTTP. Each looks once and answers at once. Shard 0. */
#ifndef ADMIN_HEALTH_H
#define ADMIN_HEALTH_H

#include "base/buf.h"
#include "shard/shard.h"

struct health {
    bool ok;
    const char *reason; /* what is wrong, in short; a literal */
    struct buf text;    /* what was found, for people; names the node */
    struct buf fields;  /* the facts as members of a JSON object, each behind a comma:
                           ,"missing":5699,"ports":[5672] */
};
void health_fini(struct health *health);

struct call;
/* Ends the command: 0, or 69 with the text on stderr. asks: the answer is no failure, whatever it
 * is; headed: a failure is shown under "Error:". */
void health_answer(struct call *call, const struct health *health, bool asks, bool headed);

/* The loops run and nobody asked the broker to stop. */
void health_running(struct node *node, struct health *ret_health);
/* No alarm of memory or disk; what: "" or "local ". alarms: [{"node","resource"}]. */
void health_alarms(struct node *node, const char *what, struct health *ret_health);
/* port; missing, ports, listeners. */
void health_port_listener(struct node *node, unsigned port, struct health *ret_health);
/* protocol; missing, protocols, listeners. The protocol by any of its names. */
void health_protocol_listener(struct node *node, const char *protocol, struct health *ret_health);
void health_virtual_hosts(struct node *node, struct health *ret_health);
/* connections, and limit if there is one. */
void health_connections(struct node *node, struct health *ret_health);

/* Seconds of "days", "weeks", "months", "years"; 0 for another unit. */
uint64_t health_unit_seconds(const char *unit);
/* "2026-11-22 11:00:00" */
void health_format_time(int64_t seconds, char room[32]);
/* Certificates of listeners that are over within that many units, or not yet valid. expired:
 * [{"interface","port","protocol","certfile","subject","expires_on", ...}]. */
void health_certificates(struct node *node, uint64_t within, const char *unit,
                         struct health *ret_health);
/* There is nothing here that will go with a later version. */
void health_deprecated_features(struct node *node, struct health *ret_health);
/* The definitions were read; data: there are some. */
void health_metadata(struct node *node, bool data, struct health *ret_health);
/* Who can do without this node: asked of a node that is the only one. what: "critical for quorum
 * of any quorum queues". */
void health_single_node(struct node *node, struct health *ret_health);

#endif
