/* The tap runs on any thread and takes the lock for as long as it copies a line; everything else is
 * shard 0's. */
#include "broker/log_exchange.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"
#include "broker/announce.h"
#include "broker/msg.h"
#include "broker/route.h"
#include "shard/timer.h"

#include <pthread.h>
#include <stdlib.h>

static const struct slice exchange_name = {(const uint8_t *)"amq.rabbitmq.log", 16};

struct line {
    enum log_level level;
    enum log_format format;
    uint64_t wall_ms;
    struct slice text; /* owned */
};

struct log_exchange {
    struct shard *shard;
    struct slice vhost, node_name; /* owned */
    struct route route;
    struct timer timer;
    uint64_t complained; /* drops that were told */
};

/* exception: the log is the process's, and so is what waits of it */
static struct {
    pthread_mutex_t lock;
    struct line lines[LOG_EXCHANGE_WAITING_MAX]; /* ring */
    size_t head, count;
    uint64_t dropped;
    struct log_exchange *exchange;
} log_lines = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void on_line(enum log_level level, struct slice text, enum log_format format)
{
    pthread_mutex_lock(&log_lines.lock);
    if (log_lines.count == LOG_EXCHANGE_WAITING_MAX)
        log_lines.dropped++;
    else
        log_lines.lines[(log_lines.head + log_lines.count++) % LOG_EXCHANGE_WAITING_MAX] =
            (struct line){level, format, clock_wall_ms(), slice_dup(text)};
    pthread_mutex_unlock(&log_lines.lock);
}

static bool take(struct line *ret_line)
{
    pthread_mutex_lock(&log_lines.lock);
    bool any = log_lines.count;
    if (any) {
        *ret_line = log_lines.lines[log_lines.head];
        log_lines.head = (log_lines.head + 1) % LOG_EXCHANGE_WAITING_MAX;
        log_lines.count--;
    }
    pthread_mutex_unlock(&log_lines.lock);
    return any;
}

static void publish(struct log_exchange *l, const struct vhost *vhost, struct exchange *x,
                    const struct line *line)
{
    struct buf header = BUF_INIT, headers = BUF_INIT;
    uint8_t names[ANNOUNCE_NAMES_MAX];
    bool json = line->format == LOG_FORMAT_JSON;
    table_put_str(&headers, SLICE("node"), l->node_name);
    announce_header(&header, line->text.len,
                    &(struct amqp_basic_properties){
                        .flags = AMQP_PROP_CONTENT_TYPE | AMQP_PROP_HEADERS | AMQP_PROP_TIMESTAMP,
                        .content_type = json ? SLICE("application/json") : SLICE("text/plain"),
                        .headers = buf_slice(&headers),
                        .timestamp = line->wall_ms / 1000});
    size_t len = announce_names(names, exchange_name, slice_str(log_level_name(line->level)));
    struct msg *m = msg_new(slice_of(names, len), buf_slice(&header), line->text.len, true);
    if (line->text.len)
        memcpy(m->body, line->text.data, line->text.len);
    announce(l->shard, &l->route, vhost, x, m);
    buf_fini(&header);
    buf_fini(&headers);
}

static void complain(struct log_exchange *l)
{
    pthread_mutex_lock(&log_lines.lock);
    uint64_t dropped = log_lines.dropped;
    pthread_mutex_unlock(&log_lines.lock);
    if (dropped != l->complained)
        log_warning(DEFAULT, NULL, "%llu lines of the log were not published: there were too many",
                    (unsigned long long)(dropped - l->complained));
    l->complained = dropped;
}

static void on_timer(struct timer *t)
{
    struct log_exchange *l = list_entry(t, struct log_exchange, timer);
    const struct vhost *vhost = routing_find_vhost(routing_of(l->shard), l->vhost);
    struct exchange *x = vhost ? vhost_find_exchange(vhost, exchange_name) : NULL;
    struct line line;
    timer_set(t, LOG_EXCHANGE_MS);
    if (shard_congested(l->shard))
        return;
    complain(l);
    for (unsigned i = 0; i < LOG_EXCHANGE_WAITING_MAX && take(&line); i++) {
        if (x)
            publish(l, vhost, x, &line);
        slice_free(&line.text);
    }
}

void log_exchange_init(struct node *node, const char *vhost, const char *node_name,
                       enum log_level level)
{
    struct log_exchange *l = NEW(struct log_exchange);
    l->shard = node_shard(node, 0);
    l->vhost = slice_dup(slice_str(vhost));
    l->node_name = slice_dup(slice_str(node_name));
    route_init(&l->route);
    timer_init(&l->timer, l->shard, on_timer);
    announce_declare(node, vhost, exchange_name);
    log_lines.exchange = l;
    log_set_tap(level, on_line);
    timer_set(&l->timer, LOG_EXCHANGE_MS);
}

void log_exchange_fini(struct node *node)
{
    struct log_exchange *l = log_lines.exchange;
    struct line line;
    (void)node;
    if (!l)
        return;
    log_set_tap(LOG_NONE_, NULL);
    timer_stop(&l->timer);
    while (take(&line))
        slice_free(&line.text);
    route_fini(&l->route);
    slice_free(&l->vhost);
    slice_free(&l->node_name);
    free(l);
    log_lines.exchange = NULL;
}
