/* One end of a connection as a small value, and its text forms. */
#ifndef NET_ENDPOINT_H
#define NET_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

struct sockaddr_storage;

struct endpoint {
    uint16_t family; /* AF_INET, AF_INET6, AF_UNIX; 0 = unknown */
    uint16_t port;
    uint32_t scope; /* of a link-local IPv6 address; of a unix peer: its number */
    uint8_t ip[16]; /* network order; 4 bytes used by AF_INET */
};

enum { ENDPOINT_HOST_MAX = 64, ENDPOINT_TEXT_MAX = 80 };

/* Of a unix socket only the family is taken. An IPv4-mapped address becomes AF_INET. */
struct endpoint endpoint_of(const struct sockaddr_storage *sa);
/* From raw bytes: 4 of AF_INET, 16 of AF_INET6. */
struct endpoint endpoint_of_ip(uint16_t family, const uint8_t *ip, uint16_t port);
bool endpoint_is_loopback(const struct endpoint *e);
/* "127.0.0.1", "::1", "fe80::1%eth0"; "" for a unix socket. */
const char *endpoint_host(const struct endpoint *e, char room[ENDPOINT_HOST_MAX]);
/* "127.0.0.1:5672", "[::1]:5672"; "unix" for a unix socket. */
const char *endpoint_text(const struct endpoint *e, char room[ENDPOINT_TEXT_MAX]);

#endif
