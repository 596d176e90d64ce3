/* The header of the PROXY protocol, versions 1 and 2, as load balancers put it before the bytes of
 * the client. A pure function over bytes. */
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include "base/slice.h"
#include "net/endpoint.h"

enum {
    PROXY_V1_MAX = 107,                   /* with CR LF, as the specification has it */
    PROXY_V2_FIXED = 16,                  /* signature, version, family, length */
    PROXY_V2_MAX = PROXY_V2_FIXED + 4096, /* addresses and TLVs; 536 are usual */
};

enum proxy_result {
    PROXY_MORE, /* a correct beginning */
    PROXY_DONE,
    PROXY_BAD,
};

struct proxy_header {
    size_t len; /* bytes of the header, what follows is the client's */
    int version;
    /* Family 0 if the header names no addresses (LOCAL, UNKNOWN, UNSPEC): the socket's are true. */
    struct endpoint source, destination;
    struct slice unix_path; /* destination of AF_UNIX; borrows from the input */
};

/* data: what the peer sent so far. *ret_header is filled on PROXY_DONE, *ret_why on PROXY_BAD. */
enum proxy_result proxy_parse(struct slice data, struct proxy_header *ret_header,
                              const char **ret_why);

#endif
