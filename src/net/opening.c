/* The opening of a stream, before its protocol sees it: PROXY header, TLS handshake, both within
 * one time limit. What is wrong here is logged here. Until its first TLS bytes arrive a half-open
 * stream costs no more than its struct. */
#include "base/mem.h"
#include "net/proxy.h"
#include "net/resolver.h"
#include "net/stream_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct opening {
    struct opening_options options; /* proxy_protocol, lookup: it is still to come */
    struct lookup *lookup;          /* under way */
};

enum { LOOKUP_MS = 3000 };

void opening_free(struct opening **o)
{
    if (!*o)
        return;
    lookup_forget(&(*o)->lookup);
    tls_context_unref(&(*o)->options.tls_context);
    free(*o);
    *o = NULL;
}

static void give_up(struct stream *s, const char *what, const char *why)
{
    log_warning(CONNECTION, NULL, "%s: %s: %s", s->info.name, what, why);
    stream_finish(s, why);
}

/* Port scanners and health checks do it all the time. */
static void peer_left(struct stream *s)
{
    log_debug(CONNECTION, NULL, "%s: peer closed the connection before it said anything",
              s->info.name);
    stream_finish(s, "peer closed the connection");
}

/* Bytes that stay in the socket. 0: none yet, or the stream has ended. */
static size_t peek(struct stream *s, uint8_t *room, size_t size)
{
    ssize_t n = recv(s->fd, room, size, MSG_PEEK);
    if (n > 0)
        return (size_t)n;
    if (n == 0)
        peer_left(s);
    else if (errno != EAGAIN && errno != EINTR)
        stream_finish(s, strerrordesc_np(errno));
    return 0;
}

/* ---- PROXY ---- */

static void apply_header(struct stream *s, const struct proxy_header *h)
{
    char via[ENDPOINT_TEXT_MAX];
    if (h->source.family == 0)
        return;
    const char *colon = strstr(s->info.name, " -> ");
    snprintf(via, sizeof via, "%.*s", (int)(colon - s->info.name), s->info.name);
    stream_set_info(s, &h->source, &h->destination, h->unix_path);
    s->opening->options.peer = h->source;
    log_debug(CONNECTION, NULL, "%s: through the proxy %s", s->info.name, via);
}

/* Takes exactly the header out of the socket. True once it is done. */
static bool take_proxy_header(struct stream *s)
{
    uint8_t bytes[PROXY_V2_MAX];
    struct proxy_header header;
    const char *why = NULL;
    size_t before = s->rest.len;
    size_t n = peek(s, bytes, sizeof bytes - before);
    if (n == 0)
        return false;
    input_keep(s, bytes, n);
    struct slice all = slice_of(s->rest.data, s->rest.len);
    enum proxy_result result = proxy_parse(all, &header, &why);
    if (result == PROXY_BAD) {
        give_up(s, "bad PROXY header", why);
        return false;
    }
    size_t taken = result == PROXY_DONE ? header.len - before : n;
    if (recv(s->fd, bytes, taken, 0) != (ssize_t)taken) {
        give_up(s, "bad PROXY header", "the connection was lost");
        return false;
    }
    if (result == PROXY_MORE)
        return false;
    apply_header(s, &header);
    input_drop_rest(s);
    s->opening->options.proxy_protocol = false;
    return true;
}

/* ---- the peer's name ---- */

/* With or without it, the opening goes on, and its time begins. */
static void end_lookup(struct stream *s)
{
    const struct opening_options *o = &s->opening->options;
    lookup_forget(&s->opening->lookup);
    timer_stop(&s->timer);
    if (o->tls_context && o->timeout_ms)
        timer_set(&s->timer, o->timeout_ms);
    stream_want(s, IO_READ);
    opening_on_ready(s);
}

static void on_name(void *arg, const char *name)
{
    struct stream *s = arg;
    s->opening->lookup = NULL; /* it is over */
    if (name)
        stream_name_peer(s, name);
    end_lookup(s);
}

/* True if it is to be waited for. */
static bool begin_lookup(struct stream *s)
{
    struct opening_options *o = &s->opening->options;
    struct shard *shard = s->net->shard;
    struct net_node *net = node_local(shard_node(shard), SHARD_LOCAL_NET);
    o->lookup = false;
    if (o->peer.family != AF_INET && o->peer.family != AF_INET6)
        return false;
    stream_want(s, 0);
    timer_set(&s->timer, LOOKUP_MS);
    s->opening->lookup = resolver_ask(net->resolver, shard, &o->peer, on_name, s);
    return true;
}

/* ---- TLS ---- */

static const char *name_of_plaintext(const uint8_t *bytes, size_t n)
{
    static const char *const http[] = {"GET ", "POST", "PUT ", "HEAD", "OPTI", "DELE"};
    if (n >= 4 && memcmp(bytes, "AMQP", 4) == 0)
        return "plain AMQP on a TLS port";
    for (size_t i = 0; n >= 4 && i < sizeof http / sizeof http[0]; i++) {
        if (memcmp(bytes, http[i], 4) == 0)
            return "plain HTTP on a TLS port";
    }
    return "the bytes are no TLS hello";
}

/* True if the first byte is that of a handshake record. */
static bool begins_like_tls(struct stream *s)
{
    uint8_t bytes[8];
    size_t n = peek(s, bytes, sizeof bytes);
    if (n && bytes[0] != 0x16)
        give_up(s, "no TLS", name_of_plaintext(bytes, n));
    return n && bytes[0] == 0x16;
}

/* True once it is done. */
static bool shake_hands(struct stream *s)
{
    if (!s->tls) {
        if (!begins_like_tls(s))
            return false;
        s->tls = tls_session_new(s->opening->options.tls_context, s->fd);
        if (!s->tls) {
            give_up(s, "no TLS", "OpenSSL has no memory for a session");
            return false;
        }
    }
    switch (tls_session_accept(s->tls)) {
    case TLS_OK:
        return true;
    case TLS_WANT_READ:
        stream_want(s, IO_READ);
        break;
    case TLS_WANT_WRITE:
        stream_want(s, IO_WRITE);
        break;
    case TLS_EOF:
        give_up(s, "TLS handshake failed", "peer closed the connection");
        break;
    case TLS_FAILED:
        give_up(s, "TLS handshake failed", tls_session_why(s->tls));
        break;
    }
    return false;
}

/* ---- the steps ---- */

void opening_on_ready(struct stream *s)
{
    struct opening_options *o = &s->opening->options;
    const struct protocol *protocol = o->protocol;
    if (o->proxy_protocol && !take_proxy_header(s))
        return;
    if (o->lookup && begin_lookup(s))
        return;
    if (o->tls_context) {
        if (!shake_hands(s))
            return;
        tls_session_describe(s->tls, &s->info);
    }
    opening_free(&s->opening);
    stream_opened(s);
    protocol->on_open(s, protocol->arg);
    stream_watch(s);
}

void opening_on_timeout(struct stream *s)
{
    const struct opening_options *o = &s->opening->options;
    if (s->opening->lookup) {
        end_lookup(s);
        return;
    }
    give_up(s, o->proxy_protocol ? "no PROXY header" : "no TLS handshake", "timed out");
}

void opening_start(struct stream *s, const struct opening_options *options)
{
    s->opening = NEW(struct opening);
    s->opening->options = *options;
    if (!options->proxy_protocol && !options->tls_context) {
        opening_on_ready(s);
        return;
    }
    if (options->timeout_ms)
        timer_set(&s->timer, options->timeout_ms);
    stream_want(s, IO_READ);
}
