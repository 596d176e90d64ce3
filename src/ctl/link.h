/* The connection to the control socket: lines out, lines in, by a deadline. */
#ifndef CTL_LINK_H
#define CTL_LINK_H

#include "base/buf.h"

struct link {
    int fd;
    uint64_t deadline_ms; /* CLOCK_MONOTONIC; 0: none */
    struct buf in;
    size_t read; /* of in, what was handed out */
    /* Called every LINK_IDLE_MS in which nothing comes; NULL: nobody. */
    void (*on_idle)(void *arg);
    void *arg;
};

enum { LINK_IDLE_MS = 250 };
enum link_state { LINK_OK, LINK_ENDED, LINK_LATE };

/* -1 with errno. */
int link_open(struct link *link, const char *path);
void link_close(struct link *link);
enum link_state link_send(struct link *link, struct slice line);
/* The next line without its newline, borrowed until the next call. */
enum link_state link_receive(struct link *link, struct slice *ret_line);
/* Up to max bytes behind a line, at least one; borrowed until the next call. */
enum link_state link_receive_bytes(struct link *link, size_t max, struct slice *ret_bytes);
/* Whether something came, or the link ended, that nobody waits for. */
bool link_has_news(const struct link *link);

#endif
