/* A node with listeners and a client thread, for the tests of streams. */
#ifndef HARNESS_H
#define HARNESS_H

#include "net/listener.h"

struct harness {
    struct node *node;
    struct listener *listener;
    char address[160];
    int port;
    /* runs on a thread of its own while the node does; the node stops when it returns */
    void (*client)(struct harness *h);
    void *arg;
    bool suspended; /* the listener is */
};

/* Opens the listener of options (address NULL: 127.0.0.1, any port), runs node and client, frees
 * everything. */
void harness_run(struct harness *h, unsigned shards, struct listener_options options);
/* A blocking client socket of h's listener, with a receive timeout of 10 s. */
int harness_connect(const struct harness *h);
void harness_send(int fd, const void *data, size_t len);
/* Reads exactly len bytes. */
void harness_receive(int fd, void *room, size_t len);
/* Reads to the end; the number of bytes. -1: the peer reset the connection. */
long harness_drain(int fd);
/* Milliseconds. */
void harness_sleep(unsigned ms);

#endif
