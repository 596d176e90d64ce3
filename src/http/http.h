/* The HTTP server: RabbitMQ's management API on one kind of listeners, Prometheus on another. */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/buf.h"
#include "net/listener.h"

struct http_options {
    const char *version;  /* of the broker */
    uint64_t message_max; /* bytes of a message that is published */
    bool scrape_login;    /* metrics are for users with the tag monitoring */
    unsigned stats;       /* flags of enum http_stats */
};

/* What is gathered and shown of how objects fare. */
enum http_stats {
    HTTP_SAMPLING = 1,     /* somebody may ask for what is gathered */
    HTTP_STATS_HIDDEN = 2, /* the API shows what objects are, alone; */
    HTTP_QUEUE_TOTALS = 4, /* but the messages of queues all the same */
    HTTP_RATES_HIDDEN = 8, /* no message_stats */
};

/* After the broker, amqp and admin; before listeners open. The texts of the options must live on.
 */
void http_init(struct node *node, const struct http_options *options);
/* The configuration has another one. */
void http_set_message_max(struct node *node, uint64_t bytes);
void http_set_scrape_login(struct node *node, bool on);
void http_set_stats(struct node *node, unsigned stats);
/* After net_fini. */
void http_fini(struct node *node);
/* For listener_options.protocol. */
const struct protocol *http_protocol(void);
const struct protocol *http_scrape_protocol(void);

/* Every route as Markdown. */
void http_put_docs(struct buf *out);

#endif
