/* Listeners, on shard 0, and the acceptor of every shard, which gets the accepted descriptors as
 * ops, in turn. A stream inherits the options of its listening socket, as Linux has it. */
#include "net/listener.h"

#include "base/bug.h"
#include "base/mem.h"
#include "net/bind.h"
#include "net/resolver.h"
#include "net/stream_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ACCEPT_BATCH = 64, /* in one turn */
    RETRY_MS = 100,    /* pause without descriptors or memory */
    COMPLAIN_MS = 10000,
};

struct listener_socket {
    struct listener *listener;
    struct io *io;
    int fd;
};

/* What the connections of a listener know of it; lives as long as the last of them. */
struct listener_share {
    _Atomic uint32_t refs; /* one is the listener's, the others are its connections' */
    const struct protocol *protocol;
};

struct listener {
    struct list link;
    struct listener_share *share;
    struct node *node;
    struct shard *shard;
    struct listener_options options; /* address and tls_context are our own */
    struct bound bound;
    struct listener_socket sockets[BOUND_MAX];
    bool suspended;
    uint32_t unix_peers;
    uint64_t complained_ms;
    struct timer retry;
    struct deferred relief;
};

/* The body of NET_OP_ACCEPT. It owns the descriptor and a reference to the context. */
struct accepted {
    int fd;
    uint32_t timeout_ms;
    struct listener_share *share; /* counted */
    struct tls_context *tls_context;
    struct endpoint peer;
};

enum { ACCEPTED_PROXY = 1, ACCEPTED_LOOKUP = 2 }; /* flags of the op */

_Static_assert(sizeof(struct accepted) <= OP_BODY_SIZE, "an accepted socket fits an op");

static struct net_node *net_node_of(const struct node *node)
{
    return node_local(node, SHARD_LOCAL_NET);
}

void listener_share_unref(struct listener_share **share)
{
    struct listener_share *s = *share;
    *share = NULL;
    if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        free(s);
}

/* ---- the shard that gets a connection ---- */

static void take_accepted(struct net_shard *net, const struct accepted *a, unsigned flags)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof sa;
    struct slice path = SLICE_EMPTY;
    getsockname(a->fd, (struct sockaddr *)&sa, &len);
    struct endpoint local = endpoint_of(&sa);
    if (sa.ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)&sa;
        path = slice_of(un->sun_path, strnlen(un->sun_path, sizeof un->sun_path));
    }
    struct opening_options options = {.protocol = a->share->protocol,
                                      .tls_context = a->tls_context,
                                      .timeout_ms = a->timeout_ms,
                                      .proxy_protocol = flags & ACCEPTED_PROXY,
                                      .lookup = flags & ACCEPTED_LOOKUP,
                                      .peer = a->peer};
    struct stream *s = stream_new(net, a->fd);
    s->listener = a->share;
    s->loopback_peer = endpoint_is_loopback(&a->peer);
    stream_set_info(s, &a->peer, &local, path);
    opening_start(s, &options);
}

static void acceptor_on_op(void *object, struct op *op)
{
    bug_on(op->kind != NET_OP_ACCEPT);
    take_accepted(object, op_body(op, struct accepted), op->flags);
}

static const struct actor_type acceptor_type = {"acceptor", acceptor_on_op};

void net_op_accept_release(struct op *op)
{
    struct accepted *a = op_body(op, struct accepted);
    close(a->fd);
    tls_context_unref(&a->tls_context);
    listener_share_unref(&a->share);
}

/* ---- accepting ---- */

static void hand_over(struct listener *l, int fd, const struct sockaddr_storage *sa)
{
    struct net_node *net = net_node_of(l->node);
    struct op op = {.kind = NET_OP_ACCEPT};
    struct accepted *a = op_body(&op, struct accepted);
    a->fd = fd;
    a->timeout_ms = l->options.handshake_timeout_ms;
    a->share = l->share;
    atomic_fetch_add_explicit(&l->share->refs, 1, memory_order_relaxed);
    a->tls_context = tls_context_ref(l->options.tls_context);
    a->peer = endpoint_of(sa);
    if (a->peer.family == AF_UNIX)
        a->peer.scope = ++l->unix_peers;
    op.flags = (l->options.proxy_protocol ? ACCEPTED_PROXY : 0) |
               (l->options.lookup ? ACCEPTED_LOOKUP : 0);
    op.to = net->acceptors[net->next_shard];
    net->next_shard = (net->next_shard + 1) % node_shard_count(l->node);
    post(&op);
}

static void want(struct listener *l, unsigned events)
{
    for (int i = 0; i < l->bound.count; i++)
        io_want(l->sockets[i].io, events);
}

static uint32_t open_now(const struct listener *l)
{
    return atomic_load_explicit(&l->share->refs, memory_order_relaxed) - 1;
}

static void pause_accepting(struct listener *l)
{
    want(l, 0);
    timer_set(&l->retry, RETRY_MS);
}

static void wait_for_room(struct listener *l, int error)
{
    uint64_t now = shard_now_ms(l->shard);
    pause_accepting(l);
    if (l->complained_ms && now - l->complained_ms < COMPLAIN_MS)
        return;
    l->complained_ms = now;
    log_error(CONNECTION, NULL, "cannot accept connections on %s: %s", l->bound.address,
              strerrordesc_np(error));
}

static void go_on(struct listener *l)
{
    if (!l->suspended)
        want(l, IO_READ);
}

static void on_retry(struct timer *t)
{
    go_on(list_entry(t, struct listener, retry));
}

static void on_relief(struct deferred *d)
{
    go_on(list_entry(d, struct listener, relief));
}

static void on_ready(void *arg, unsigned events)
{
    struct listener_socket *from = arg;
    struct listener *l = from->listener;
    (void)events;
    for (int n = 0; n < ACCEPT_BATCH; n++) {
        if (shard_congested(l->shard)) {
            want(l, 0);
            shard_on_relief(l->shard, &l->relief);
            return;
        }
        if (l->options.max_connections && open_now(l) >= l->options.max_connections) {
            pause_accepting(l);
            return;
        }
        struct sockaddr_storage sa = {0};
        socklen_t len = sizeof sa;
        int fd = accept4(from->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            if (sa.ss_family != AF_INET && sa.ss_family != AF_INET6)
                sa.ss_family = AF_UNIX;
            hand_over(l, fd, &sa);
            continue;
        }
        if (errno == EAGAIN)
            return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            wait_for_room(l, errno);
            return;
        }
        /* anything else is about that one connection: accept(2) */
    }
}

/* ---- listeners ---- */

enum err listener_open(struct node *node, const struct listener_options *options,
                       struct listener **ret_listener, struct failure *why)
{
    struct bound bound;
    bug_on(options->tls != (options->tls_context != NULL));
    enum err err = bind_address(options->address, options->backlog, options->unix_mode,
                                &options->socket, &bound, why);
    if (err)
        return err;
    struct listener *l = NEW(struct listener);
    l->node = node;
    l->shard = node_shard(node, 0);
    l->options = *options;
    l->options.address = mem_strdup(options->address);
    l->options.tls_context = tls_context_ref(options->tls_context);
    l->bound = bound;
    l->share = NEW(struct listener_share);
    l->share->refs = 1;
    l->share->protocol = options->protocol;
    timer_init(&l->retry, l->shard, on_retry);
    deferred_init(&l->relief, on_relief);
    for (int i = 0; i < bound.count; i++) {
        struct listener_socket *s = &l->sockets[i];
        *s = (struct listener_socket){.listener = l, .fd = bound.fds[i]};
        s->io = io_new(l->shard, s->fd, on_ready, s);
    }
    want(l, IO_READ);
    list_append(&net_node_of(node)->listeners, &l->link);
    *ret_listener = l;
    return ERR_NONE;
}

void listener_close(struct listener **listener)
{
    struct listener *l = *listener;
    if (!l)
        return;
    *listener = NULL;
    timer_stop(&l->retry);
    deferred_cancel(&l->relief);
    list_remove(&l->link);
    for (int i = 0; i < l->bound.count; i++)
        io_free(&l->sockets[i].io);
    bound_close(&l->bound);
    tls_context_unref(&l->options.tls_context);
    listener_share_unref(&l->share);
    free((void *)(uintptr_t)l->options.address);
    free(l);
}

const char *listener_address(const struct listener *listener)
{
    return listener->bound.address;
}

const struct listener_options *listener_get_options(const struct listener *listener)
{
    return &listener->options;
}

void listener_suspend(struct listener *listener)
{
    if (listener->suspended)
        return;
    listener->suspended = true;
    want(listener, 0);
    bound_suspend(&listener->bound);
}

enum err listener_resume(struct listener *listener, struct failure *why)
{
    enum err err = listener->suspended
                       ? bound_resume(&listener->bound, listener->options.backlog, why)
                       : ERR_NONE;
    if (err)
        return err;
    listener->suspended = false;
    want(listener, IO_READ);
    return ERR_NONE;
}

unsigned listener_connections(const struct listener *listener)
{
    return open_now(listener);
}

void listener_set_handshake_timeout(struct listener *listener, unsigned ms)
{
    listener->options.handshake_timeout_ms = ms;
}

void listener_set_lookup(struct listener *listener, bool lookup)
{
    listener->options.lookup = lookup;
}

void listener_set_socket_options(struct listener *listener, int backlog,
                                 const struct socket_options *options)
{
    listener->options.backlog = backlog;
    listener->options.socket = *options;
    bound_set_options(&listener->bound, listener->suspended ? 0 : backlog, options);
}

struct listener *listener_next(struct node *node, struct listener *after)
{
    struct list *head = &net_node_of(node)->listeners;
    struct list *next = after ? after->link.next : head->next;
    return next == head ? NULL : list_entry(next, struct listener, link);
}

/* ---- the folder's state ---- */

void net_init(struct shard *shard, void *unused)
{
    (void)unused;
    struct node *node = shard_node(shard);
    struct net_node *net_node = net_node_of(node);
    if (!net_node) {
        net_node = NEW(struct net_node);
        list_init(&net_node->listeners);
        net_node->resolver = resolver_new();
        node_set_local(node, SHARD_LOCAL_NET, net_node);
        signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write(2) */
    }
    struct net_shard *net = NEW(struct net_shard);
    net->shard = shard;
    net->input = mem_alloc(INPUT_HEADROOM + INPUT_SIZE);
    chunk_pool_init(&net->pool, shard);
    list_init(&net->streams);
    list_init(&net->silent);
    timer_init(&net->silent_check, shard, stream_check_silent);
    net->acceptor = slot_new(shard, &acceptor_type, net);
    net_node->acceptors[shard_index(shard)] = net->acceptor;
    resolver_attach(net_node->resolver, shard);
    shard_set_local(shard, SHARD_LOCAL_NET, net);
}

size_t net_memory(const struct shard *shard)
{
    const struct net_shard *net = net_of(shard);
    return mem_size(net->input) + chunk_pool_memory(&net->pool);
}

void net_fini(struct shard *shard, void *unused)
{
    (void)unused;
    struct node *node = shard_node(shard);
    struct net_node *net_node = net_node_of(node);
    struct net_shard *net = net_of(shard);
    while (net_node && !list_empty(&net_node->listeners)) {
        struct listener *l = list_entry(net_node->listeners.next, struct listener, link);
        listener_close(&l);
    }
    while (!list_empty(&net->streams)) {
        struct stream *s = list_entry(net->streams.next, struct stream, link);
        stream_finish(s, "the broker stopped");
        stream_free_now(s);
    }
    slot_free(shard, net->acceptor);
    resolver_detach(net_node->resolver, shard);
    timer_stop(&net->silent_check);
    chunk_pool_fini(&net->pool);
    free(net->input);
    free(net);
    shard_set_local(shard, SHARD_LOCAL_NET, NULL);
    if (shard_index(shard) == node_shard_count(node) - 1) {
        resolver_free(&net_node->resolver);
        free(net_node);
        node_set_local(node, SHARD_LOCAL_NET, NULL);
    }
}
