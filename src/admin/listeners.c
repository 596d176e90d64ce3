/* Listeners by RabbitMQ's names. */
#include "admin/listeners.h"

#include "admin/cell.h"
#include "meta/meta.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* host and port of "127.0.0.1:5672", "[::1]:5672"; a unix socket has no port. */
static struct slice split_address(const char *address, unsigned *ret_port)
{
    const char *colon = strrchr(address, ':');
    *ret_port = 0;
    if (!strncmp(address, "unix:", 5) || !colon)
        return slice_str(address);
    *ret_port = (unsigned)strtoul(colon + 1, NULL, 10);
    return slice_of(address, (size_t)(colon - address));
}

/* http has a name of its own with TLS, "http/x" becomes "https/x". */
static void put_protocol(char room[32], const char *name, bool tls)
{
    if (!tls)
        snprintf(room, 32, "%s", name);
    else if (!strncmp(name, "http", 4))
        snprintf(room, 32, "https%s", name + 4);
    else
        snprintf(room, 32, "%s/ssl", name);
}

static const char *purpose_of(const char *protocol)
{
    static const char *const purposes[][2] = {
        {"amqp", "AMQP 0-9-1"},
        {"amqp/ssl", "AMQP 0-9-1 over TLS"},
        {"http", "HTTP API"},
        {"https", "HTTP API over TLS (HTTPS)"},
        {"http/prometheus", "Prometheus exporter API over HTTP"},
        {"https/prometheus", "Prometheus exporter API over TLS (HTTPS)"},
        {"control", "CLI tool communication"},
    };
    for (size_t i = 0; i < sizeof purposes / sizeof *purposes; i++) {
        if (!strcmp(purposes[i][0], protocol))
            return purposes[i][1];
    }
    return "";
}

struct listener_facts listener_facts(const struct listener *l)
{
    const struct listener_options *options = listener_get_options(l);
    struct listener_facts f;
    f.host = split_address(listener_address(l), &f.port);
    put_protocol(f.protocol, options->protocol->name, options->tls);
    f.purpose = purpose_of(f.protocol);
    return f;
}

const char *listener_protocol_of(const char *name, char room[32])
{
    static const char *const others[][2] = {{"amqp091", "amqp"},    {"amqp0.9.1", "amqp"},
                                            {"amqp0-9-1", "amqp"},  {"amqp0_9_1", "amqp"},
                                            {"amqps", "amqp/ssl"},  {"amqp+tls", "amqp/ssl"},
                                            {"management", "http"}, {"http_api", "http"},
                                            {"http1.1", "http"},    {"cli", "control"}};
    size_t n = 0;
    for (; name[n] && n < 31; n++)
        room[n] = (char)tolower((unsigned char)name[n]);
    room[n] = '\0';
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (!strcmp(others[i][0], room))
            return others[i][1];
    }
    return room;
}

void listener_put_json(struct buf *out, const struct listener *l)
{
    struct listener_facts f = listener_facts(l);
    buf_append_str(out, "{\"interface\":");
    cell_put_string(out, f.host);
    buf_append_str(out, ",\"node\":");
    cell_put_string(out, slice_str(meta_node_name(shard_node(shard_self()))));
    buf_printf(out, ",\"port\":%u,\"protocol\":\"%s\",\"purpose\":\"%s\"}", f.port, f.protocol,
               f.purpose);
}

void listeners_put_json(struct buf *out, struct node *node)
{
    struct listener *l = NULL;
    buf_append_byte(out, '[');
    for (bool first = true; (l = listener_next(node, l)); first = false) {
        if (!first)
            buf_append_byte(out, ',');
        listener_put_json(out, l);
    }
    buf_append_byte(out, ']');
}
