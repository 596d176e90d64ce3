/* Conversions of endpoints; pure but for the name of an interface. */
#include "net/endpoint.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct endpoint endpoint_of_ip(uint16_t family, const uint8_t *ip, uint16_t port)
{
    struct endpoint e = {.family = family, .port = port};
    if (family == AF_INET6 && memcmp(ip, mapped_prefix, sizeof mapped_prefix) == 0) {
        e.family = AF_INET;
        ip += sizeof mapped_prefix;
    }
    memcpy(e.ip, ip, e.family == AF_INET ? 4 : 16);
    return e;
}

struct endpoint endpoint_of(const struct sockaddr_storage *sa)
{
    if (sa->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
        return endpoint_of_ip(AF_INET, (const uint8_t *)&in->sin_addr, ntohs(in->sin_port));
    }
    if (sa->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
        struct endpoint e = endpoint_of_ip(AF_INET6, in6->sin6_addr.s6_addr, ntohs(in6->sin6_port));
        e.scope = in6->sin6_scope_id;
        return e;
    }
    return (struct endpoint){.family = sa->ss_family};
}

bool endpoint_is_loopback(const struct endpoint *e)
{
    static const uint8_t loopback6[16] = {[15] = 1};
    switch (e->family) {
    case AF_INET:
        return e->ip[0] == 127;
    case AF_INET6:
        return memcmp(e->ip, loopback6, sizeof loopback6) == 0;
    case AF_UNIX:
        return true;
    default:
        return false;
    }
}

static char *put_number(char *at, unsigned n)
{
    char digits[8];
    unsigned count = 0;
    do {
        digits[count++] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    while (count)
        *at++ = digits[--count];
    return at;
}

/* By hand: every connection is named by its addresses, and inet_ntop prints with sprintf. */
static char *put_ip4(char *at, const uint8_t *ip)
{
    for (int i = 0; i < 4; i++) {
        if (i)
            *at++ = '.';
        at = put_number(at, ip[i]);
    }
    return at;
}

const char *endpoint_host(const struct endpoint *e, char room[ENDPOINT_HOST_MAX])
{
    room[0] = 0;
    if (e->family == AF_INET)
        *put_ip4(room, e->ip) = 0;
    if (e->family != AF_INET6)
        return room;
    inet_ntop(e->family, e->ip, room, ENDPOINT_HOST_MAX);
    if (e->scope) {
        char name[IF_NAMESIZE];
        size_t n = strlen(room);
        if (if_indextoname(e->scope, name))
            snprintf(room + n, ENDPOINT_HOST_MAX - n, "%%%s", name);
        else
            snprintf(room + n, ENDPOINT_HOST_MAX - n, "%%%u", e->scope);
    }
    return room;
}

const char *endpoint_text(const struct endpoint *e, char room[ENDPOINT_TEXT_MAX])
{
    char host[ENDPOINT_HOST_MAX];
    if (e->family == AF_INET) {
        char *at = put_ip4(room, e->ip);
        *at++ = ':';
        *put_number(at, e->port) = 0;
    } else if (e->family == AF_INET6) {
        snprintf(room, ENDPOINT_TEXT_MAX, "[%s]:%u", endpoint_host(e, host), e->port);
    } else {
        snprintf(room, ENDPOINT_TEXT_MAX, "unix");
    }
    return room;
}
