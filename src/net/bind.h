/* Listening sockets from an address text. For this folder. */
#ifndef NET_BIND_H
#define NET_BIND_H

#include "base/err.h"

#include <sys/types.h>

enum { BOUND_MAX = 8 };

struct socket_options;

struct bound {
    int count;
    int fds[BOUND_MAX]; /* listening, non-blocking */
    char address[160];  /* with the real port */
    char *unix_path;    /* heap; removed by bound_close if it is still this socket's */
    dev_t unix_dev;
    ino_t unix_ino;
};

/* The text as in struct listener_options; backlog and unix_mode may be 0 for the default. */
enum err bind_address(const char *text, int backlog, unsigned unix_mode,
                      const struct socket_options *options, struct bound *ret_bound,
                      struct failure *why);
/* Clients are refused, those too that nobody accepted yet; the address stays taken. Those of a unix
 * socket wait instead. Once: shutting down again would be inherited by what is accepted later. */
void bound_suspend(const struct bound *b);
/* The end of that, with the same backlog. Fails if another took the address, which can happen to a
 * port that was asked for as 0. */
enum err bound_resume(const struct bound *b, int backlog, struct failure *why);
/* Of the connections that come from now on. backlog 0: it stays, as it must while suspended. */
void bound_set_options(const struct bound *b, int backlog, const struct socket_options *options);
void bound_close(struct bound *b);

#endif
