/* One file over https, by a call that returns when it is there: for the start, before the loops
 * run. Not for a shard's thread while others wait for it. */
#ifndef NET_FETCH_H
#define NET_FETCH_H

#include "base/err.h"
#include "base/slice.h"

#include <stdint.h>

struct fetch_options {
    const char *url;         /* https://host[:port][/path][?query] */
    const char *ca_file;     /* NULL: the system's authorities */
    const char *cert_file;   /* of this client; NULL: none */
    const char *key_file;    /* with cert_file */
    const char *password;    /* of the key; NULL: none */
    const char *server_name; /* asked for and checked instead of the URL's; NULL: that */
    const char *min_version; /* "1.2" or "1.3" */
    const char *max_version; /* the same; NULL: the newest */
    bool no_verify;          /* whoever answers is taken */
    int depth;               /* intermediates allowed */
    unsigned timeout_ms;     /* of all of it, but for the resolver */
};

/* Hands out the body as it comes; an answer other than 200 is a failure, up to five redirections to
 * https are followed. Ends at once if on_data fails, which has filled in why; else why says what
 * was wrong; it tells of URLs as fetch_told. */
enum err fetch(const struct fetch_options *options,
               enum err (*on_data)(void *arg, struct slice data, struct failure *why), void *arg,
               struct failure *why);

/* The URL without what may be secret: user, password and query. Heap. */
char *fetch_told(const char *url);

#endif
