/* A whole broker under TSan: clients on threads of their own publish, consume, acknowledge,
 * declare, delete, bind and leave in every way over four shards, while an operator changes users,
 * rights and vhosts, deletes queues, raises alarms and replaces options; at the end a shutdown. */
#include "base/buf.h"
#include "base/bug.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "broker_rig.h"
#include "meta/meta.h"
#include "shard/timer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SHARDS = 4,
    CLIENTS = 5,
    LIVES = 16,
    ACTIONS = 300,
    CHANNELS = 3,
    QUEUES = 8,
    TAGS_MAX = 64
};

static int port;                                   /* of the broker, constant */
static _Atomic unsigned clients_left = CLIENTS;    /* threads that still run */
static _Atomic unsigned long deliveries, confirms; /* what clients saw, for the last line */

/* ---- frames out ---- */

static void put(struct buf *b, uint64_t value, unsigned octets)
{
    while (octets--) {
        uint8_t octet = (uint8_t)(value >> 8 * octets);
        buf_append(b, &octet, 1);
    }
}

static void put_short(struct buf *b, const char *text)
{
    put(b, strlen(text), 1);
    buf_append_str(b, text);
}

static void put_long(struct buf *b, const char *text, size_t len)
{
    put(b, len, 4);
    buf_append(b, text, len);
}

/* Opens a frame; its length is filled in by end_frame. */
static size_t begin_frame(struct buf *b, unsigned type, unsigned channel)
{
    put(b, type, 1);
    put(b, channel, 2);
    put(b, 0, 4);
    return b->len;
}

static void end_frame(struct buf *b, size_t start)
{
    size_t n = b->len - start;
    for (unsigned i = 0; i < 4; i++)
        ((uint8_t *)b->data)[start - 4 + i] = (uint8_t)(n >> 8 * (3 - i));
    put(b, 0xce, 1);
}

static size_t begin_method(struct buf *b, unsigned channel, unsigned class_id, unsigned method_id)
{
    size_t start = begin_frame(b, 1, channel);
    put(b, class_id, 2);
    put(b, method_id, 2);
    return start;
}

static void put_plain(struct buf *b, unsigned channel, unsigned class_id, unsigned method_id,
                      uint64_t args, unsigned octets)
{
    size_t start = begin_method(b, channel, class_id, method_id);
    put(b, args, octets);
    end_frame(b, start);
}

static void put_handshake(struct buf *b)
{
    static const char login[] = "\0guest\0guest";
    buf_append(b, "AMQP\x00\x00\x09\x01", 8);
    size_t start = begin_method(b, 0, 10, 11);
    put(b, 0, 4);
    put_short(b, "PLAIN");
    put_long(b, login, sizeof login - 1);
    put_short(b, "en_US");
    end_frame(b, start);
    start = begin_method(b, 0, 10, 31);
    put(b, 2047, 2);
    put(b, 131072, 4);
    put(b, 0, 2);
    end_frame(b, start);
    start = begin_method(b, 0, 10, 40);
    put_short(b, "/");
    put(b, 0, 2);
    end_frame(b, start);
}

/* declare, delete, purge, bind, get and consume of a queue begin alike. */
static size_t begin_queue(struct buf *b, unsigned channel, unsigned class_id, unsigned method_id,
                          const char *queue)
{
    size_t start = begin_method(b, channel, class_id, method_id);
    put(b, 0, 2);
    put_short(b, queue);
    return start;
}

/* ---- a client ---- */

struct link {
    uint32_t number; /* channel */
    bool open, confirm, tx;
    uint64_t tags[TAGS_MAX];
    unsigned tag_count;
    unsigned first_consumer, next_consumer; /* of those not cancelled */
};

/* The last channel only ever consumes and gets without acknowledgement. */
static bool takes_no_ack(const struct link *l)
{
    return l->number == CHANNELS;
}

struct client {
    unsigned seed;
    int fd;
    bool over; /* the connection ended */
    struct buf out, in;
    struct link links[CHANNELS];
};

static unsigned dice(struct client *c, unsigned n)
{
    return (unsigned)rand_r(&c->seed) % n;
}

static void flush(struct client *c)
{
    size_t done = 0;
    while (done < c->out.len && !c->over) {
        ssize_t n =
            send(c->fd, (const uint8_t *)c->out.data + done, c->out.len - done, MSG_NOSIGNAL);
        if (n < 0)
            c->over = true;
        else
            done += (size_t)n;
    }
    buf_clear(&c->out);
}

static void open_link(struct client *c, struct link *l)
{
    *l = (struct link){.number = l->number, .open = true};
    put_plain(&c->out, l->number, 20, 10, 0, 1);
}

static uint64_t load(const uint8_t *p, unsigned octets)
{
    uint64_t v = 0;
    while (octets--)
        v = v << 8 | *p++;
    return v;
}

static void on_delivered(struct link *l, uint64_t tag)
{
    atomic_fetch_add(&deliveries, 1);
    if (l->open && !takes_no_ack(l) && l->tag_count < TAGS_MAX)
        l->tags[l->tag_count++] = tag;
}

static void on_method(struct client *c, unsigned channel, const uint8_t *p)
{
    struct link *l = channel && channel <= CHANNELS ? &c->links[channel - 1] : NULL;
    switch (load(p, 4)) {
    case 10u << 16 | 50: /* connection.close */
        put_plain(&c->out, 0, 10, 51, 0, 0);
        flush(c);
        c->over = true;
        break;
    case 10u << 16 | 51:
        c->over = true;
        break;
    case 20u << 16 | 40: /* channel.close */
        put_plain(&c->out, channel, 20, 41, 0, 0);
        if (l)
            l->open = false;
        break;
    case 60u << 16 | 60: /* deliver */
        if (l)
            on_delivered(l, load(p + 5 + p[4], 8));
        break;
    case 60u << 16 | 71: /* get-ok */
        if (l)
            on_delivered(l, load(p + 4, 8));
        break;
    case 60u << 16 | 80:
        atomic_fetch_add(&confirms, 1);
        break;
    default:
        break;
    }
}

static void take_frames(struct client *c)
{
    const uint8_t *p = c->in.data;
    size_t left = c->in.len;
    while (left >= 8) {
        size_t n = load(p + 3, 4);
        if (left < n + 8)
            break;
        bug_on(p[7 + n] != 0xce);
        if (p[0] == 1)
            on_method(c, (unsigned)load(p + 1, 2), p + 7);
        p += n + 8;
        left -= n + 8;
    }
    struct buf rest = BUF_INIT;
    buf_append(&rest, p, left);
    buf_fini(&c->in);
    c->in = rest;
}

/* Waits for input for at most ms. */
static void receive(struct client *c, int ms)
{
    uint8_t room[65536];
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    while (!c->over && poll(&p, 1, ms) > 0) {
        ssize_t n = recv(c->fd, room, sizeof room, 0);
        if (n <= 0) {
            c->over = true;
            break;
        }
        buf_append(&c->in, room, (size_t)n);
        take_frames(c);
        ms = 0;
    }
}

/* ---- what it does ---- */

static void publish(struct client *c, struct link *l, const char *queue)
{
    static const char body[70000];
    static const size_t sizes[] = {0, 10, 500, 5000, 70000};
    size_t size = sizes[dice(c, 40) ? dice(c, 4) : 4];
    struct buf *b = &c->out;
    size_t start = begin_method(b, l->number, 60, 40);
    put(b, 0, 2);
    put_short(b, dice(c, 2) ? "" : dice(c, 2) ? "race-x" : "amq.fanout");
    put_short(b, queue);
    put(b, dice(c, 4) == 0, 1);
    end_frame(b, start);
    start = begin_frame(b, 2, l->number);
    put(b, 60u << 16, 4);
    put(b, size, 8);
    put(b, 0, 2);
    end_frame(b, start);
    if (size) {
        start = begin_frame(b, 3, l->number);
        buf_append(b, body, size);
        end_frame(b, start);
    }
}

static void put_settle(struct client *c, struct link *l, unsigned method_id, unsigned bits)
{
    size_t start = begin_method(&c->out, l->number, 60, method_id);
    put(&c->out, l->tags[l->tag_count - 1], 8);
    put(&c->out, bits, 1);
    end_frame(&c->out, start);
}

static void settle(struct client *c, struct link *l)
{
    if (!l->tag_count)
        return;
    switch (dice(c, 5)) {
    case 0:
        put_settle(c, l, 120, 3); /* nack, multiple, requeue */
        l->tag_count = 0;
        break;
    case 1:
        put_settle(c, l, 90, dice(c, 2)); /* reject */
        l->tag_count--;
        break;
    default:
        put_settle(c, l, 80, 1); /* ack, multiple */
        l->tag_count = 0;
    }
}

static void declare(struct client *c, struct link *l, const char *queue)
{
    struct buf *b = &c->out;
    if (dice(c, 4) == 0) { /* the exchange, its deletion */
        size_t start = begin_method(b, l->number, 40, dice(c, 30) ? 10 : 20);
        put(b, 0, 2);
        put_short(b, "race-x");
        if (((uint8_t *)b->data)[start + 3] == 10) {
            put_short(b, "topic");
            put(b, 0, 5);
        } else {
            put(b, 0, 1);
        }
        end_frame(b, start);
        return;
    }
    size_t start = begin_queue(b, l->number, 50, 10, queue);
    put(b, dice(c, 10) ? 0 : 16 /* no-wait */, 1);
    put(b, 0, 4);
    end_frame(b, start);
}

static void bind_queue(struct client *c, struct link *l, const char *queue)
{
    struct buf *b = &c->out;
    bool unbind = dice(c, 3) == 0;
    size_t start = begin_queue(b, l->number, 50, unbind ? 50 : 20, queue);
    put_short(b, dice(c, 2) ? "race-x" : "amq.fanout");
    put_short(b, dice(c, 2) ? "#" : queue);
    put(b, 0, unbind ? 4 : 5);
    end_frame(b, start);
}

static void consume(struct client *c, struct link *l, const char *queue)
{
    struct buf *b = &c->out;
    char tag[16];
    if (l->first_consumer < l->next_consumer && dice(c, 2)) {
        snprintf(tag, sizeof tag, "t%u", l->first_consumer++);
        size_t start = begin_method(b, l->number, 60, 30);
        put_short(b, tag);
        put(b, 0, 1);
        end_frame(b, start);
        return;
    }
    snprintf(tag, sizeof tag, "t%u", l->next_consumer++);
    size_t start = begin_queue(b, l->number, 60, 20, queue);
    put_short(b, tag);
    put(b, takes_no_ack(l) ? 2 : 0, 1);
    put(b, 0, 4);
    end_frame(b, start);
}

static void mode(struct client *c, struct link *l)
{
    struct buf *b = &c->out;
    if (!l->confirm && !l->tx && dice(c, 2)) {
        l->confirm = true;
        put_plain(b, l->number, 85, 10, 0, 1);
    } else if (!l->confirm && !l->tx) {
        l->tx = true;
        put_plain(b, l->number, 90, 10, 0, 0);
    } else if (l->tx) {
        put_plain(b, l->number, 90, dice(c, 3) ? 20 : 30, 0, 0);
    }
}

static void other(struct client *c, struct link *l, const char *queue)
{
    struct buf *b = &c->out;
    size_t start;
    switch (dice(c, 7)) {
    case 0: /* delete */
        if (dice(c, 3))
            break;
        start = begin_queue(b, l->number, 50, 40, queue);
        put(b, 0, 1);
        end_frame(b, start);
        break;
    case 1: /* purge */
        start = begin_queue(b, l->number, 50, 30, queue);
        put(b, 0, 1);
        end_frame(b, start);
        break;
    case 2:
        put_plain(b, l->number, 60, 10, (uint64_t)dice(c, 20) << 8 | dice(c, 2), 7); /* qos */
        break;
    case 3:
        put_plain(b, l->number, 60, 110, 1, 1); /* recover */
        l->tag_count = 0;
        break;
    case 4:
        start = begin_method(b, l->number, 20, 40);
        put(b, 0, 7);
        end_frame(b, start);
        l->open = false;
        break;
    case 5: /* an exclusive queue that ends with the connection */
        start = begin_queue(b, l->number, 50, 10, "");
        put(b, 4, 1);
        put(b, 0, 4);
        end_frame(b, start);
        break;
    default:
        mode(c, l);
    }
}

static void act(struct client *c)
{
    char queue[16];
    struct link *l = &c->links[dice(c, CHANNELS)];
    snprintf(queue, sizeof queue, "race-%u", dice(c, QUEUES));
    if (!l->open) {
        open_link(c, l);
        return;
    }
    switch (dice(c, 12)) {
    case 0:
    case 1:
        declare(c, l, queue);
        break;
    case 2:
        bind_queue(c, l, queue);
        break;
    case 3:
        consume(c, l, queue);
        break;
    case 4:
    case 5:
        settle(c, l);
        break;
    case 6: {
        size_t start = begin_queue(&c->out, l->number, 60, 70, queue);
        put(&c->out, takes_no_ack(l), 1);
        end_frame(&c->out, start);
        break;
    }
    case 7:
        other(c, l, queue);
        break;
    default:
        publish(c, l, queue);
    }
}

static int connect_to(int to)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)to)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bug_on(connect(fd, (struct sockaddr *)&in, sizeof in) != 0);
    struct timeval patience = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

static void leave(struct client *c)
{
    struct linger reset = {1, 0};
    if (dice(c, 3) == 0 && !c->over) {
        size_t start = begin_method(&c->out, 0, 10, 50);
        put(&c->out, 0, 7);
        end_frame(&c->out, start);
        flush(c);
        while (!c->over)
            receive(c, 20000);
    } else if (dice(c, 2)) {
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    close(c->fd);
    buf_fini(&c->out);
    buf_fini(&c->in);
}

/* What most actions need, so that few of them close the channel. */
static void prepare(struct client *c)
{
    char queue[16];
    size_t start = begin_method(&c->out, 1, 40, 10);
    put(&c->out, 0, 2);
    put_short(&c->out, "race-x");
    put_short(&c->out, "topic");
    put(&c->out, 0, 5);
    end_frame(&c->out, start);
    for (unsigned i = 0; i < QUEUES; i++) {
        snprintf(queue, sizeof queue, "race-%u", i);
        start = begin_queue(&c->out, 1, 50, 10, queue);
        put(&c->out, 0, 5);
        end_frame(&c->out, start);
    }
}

static void live(unsigned *seed)
{
    struct client c = {.seed = *seed, .fd = connect_to(port)};
    put_handshake(&c.out);
    for (unsigned i = 0; i < CHANNELS; i++) {
        c.links[i].number = i + 1;
        open_link(&c, &c.links[i]);
    }
    prepare(&c);
    for (unsigned i = 0; i < ACTIONS && !c.over; i++) {
        act(&c);
        if (dice(&c, 4) == 0)
            flush(&c);
        if (dice(&c, 3) == 0)
            receive(&c, (int)dice(&c, 3));
    }
    flush(&c);
    receive(&c, 5);
    leave(&c);
    *seed = c.seed + 1;
}

static void *client_main(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    for (int i = 0; i < LIVES; i++)
        live(&seed);
    atomic_fetch_sub(&clients_left, 1);
    return NULL;
}

/* ---- the operator, on two shards ---- */

struct operator
{
    struct timer timer;
    struct node *node;
    unsigned seed, turn;
    struct amqp_options options;
};

static struct meta_request *trusted(enum meta_verb verb, const char *name)
{
    struct meta_request *r = meta_request_new(verb, ADDR_NONE);
    r->flags = META_TRUSTED;
    meta_request_set(&r->vhost, SLICE("/"));
    meta_request_set(&r->name, slice_str(name));
    return r;
}

/* On shard 1: definitions. */
static void change(struct timer *t)
{
    struct operator* o = list_entry(t, struct operator, timer);
    struct meta_request *r;
    char queue[16];
    switch (o->turn++ % 6) {
    case 0:
        r = trusted(META_USER_PUT, "guest");
        meta_request_set(&r->key, SLICE("guest"));
        break;
    case 1:
        r = trusted(META_PERMISSION_SET, "guest");
        meta_request_set(&r->configure, SLICE(".*"));
        meta_request_set(&r->write, rand_r(&o->seed) % 4 ? SLICE(".*") : SLICE("^$|race|amq"));
        meta_request_set(&r->read, SLICE(".*"));
        break;
    case 2:
        r = trusted(META_TOPIC_PERMISSION_SET, "guest");
        meta_request_set(&r->source, SLICE("race-x"));
        meta_request_set(&r->write, SLICE(".*"));
        meta_request_set(&r->read, SLICE(".*"));
        break;
    case 3:
        r = trusted(o->turn & 1 ? META_VHOST_PUT : META_VHOST_DELETE, "");
        meta_request_set(&r->vhost, SLICE("other"));
        break;
    case 4:
        r = trusted(META_TOPIC_PERMISSION_CLEAR, "guest");
        meta_request_set(&r->source, SLICE("race-x"));
        break;
    default:
        snprintf(queue, sizeof queue, "race-%u", (unsigned)rand_r(&o->seed) % (16 * QUEUES));
        r = trusted(META_QUEUE_DELETE, queue); /* most of them are not there */
    }
    meta_post(o->node, &r);
    if (atomic_load(&clients_left))
        timer_set(t, 2);
}

static void on_gone(void *arg)
{
    node_stop(arg);
}

/* On shard 0: options and alarms; when the clients are done, the end. */
static void watch(struct timer *t)
{
    struct operator* o = list_entry(t, struct operator, timer);
    unsigned turn = o->turn++;
    if (!atomic_load(&clients_left)) {
        broker_set_alarm(o->node, ALARM_MEMORY, false);
        amqp_shutdown(o->node, "the race is over", 1000, on_gone, o->node);
        return;
    }
    if (turn % 20 == 7)
        broker_set_alarm(o->node, ALARM_MEMORY, true);
    else if (turn % 20 == 9)
        broker_set_alarm(o->node, ALARM_MEMORY, false);
    if (turn % 50 == 30)
        amqp_set_options(o->node, &o->options);
    timer_set(t, 5);
}

static void place(struct shard *shard, void *operators)
{
    struct operator* o =(struct operator*) operators + shard_index(shard);
    if (shard_index(shard) > 1)
        return;
    timer_init(&o->timer, shard, shard_index(shard) ? change : watch);
    timer_set(&o->timer, 1);
}

int main(void)
{
    struct amqp_options options = broker_rig_options();
    pthread_t threads[CLIENTS];
    log_set_level_all(LOG_NONE_);
    struct node *node = broker_rig_new(SHARDS, &options);
    struct operator operators[2] = {{.node = node, .seed = 1, .options = options},
                                    {.node = node, .seed = 2}};
    node_each_shard(node, place, operators);
    port = broker_rig_listen(node);
    for (unsigned i = 0; i < CLIENTS; i++)
        bug_on(pthread_create(&threads[i], NULL, client_main, (void *)(uintptr_t)(i + 1)) != 0);
    int idle = connect_to(port); /* there until the shutdown */
    struct buf hello = BUF_INIT;
    put_handshake(&hello);
    bug_on(send(idle, hello.data, hello.len, 0) != (ssize_t)hello.len);
    buf_fini(&hello);
    node_run(node);
    for (unsigned i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    close(idle);
    timer_stop(&operators[0].timer);
    timer_stop(&operators[1].timer);
    broker_rig_free(&node);
    printf("ok: %d connections, %lu deliveries, %lu confirms\n", CLIENTS * LIVES,
           (unsigned long)deliveries, (unsigned long)confirms);
    return 0;
}
