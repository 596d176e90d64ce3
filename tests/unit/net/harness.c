/* See harness.h. Checks abort (bug_on) rather than assert: they run on any thread. */
#include "harness.h"

#include "base/bug.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static void *client_main(void *arg)
{
    struct harness *h = arg;
    h->client(h);
    node_stop(h->node);
    return NULL;
}

void harness_run(struct harness *h, unsigned shards, struct listener_options options)
{
    static const struct op_kind kinds[NET_OP_COUNT] = {{"none", NULL},
                                                       {"accept", net_op_accept_release}};
    struct node_options node_options = {.shards = shards, .ops = kinds, .op_count = NET_OP_COUNT};
    struct failure why;
    pthread_t thread;
    log_set_level_all(LOG_NONE_); /* the tests provoke what is logged */
    h->node = node_new(&node_options);
    node_each_shard(h->node, net_init, NULL);
    if (!options.address)
        options.address = "127.0.0.1:0";
    if (listener_open(h->node, &options, &h->listener, &why))
        bug_panic("%s", why.text);
    if (h->suspended)
        listener_suspend(h->listener);
    snprintf(h->address, sizeof h->address, "%s", listener_address(h->listener));
    h->port = (int)strtol(strrchr(h->address, ':') + 1, NULL, 10);
    bug_on(pthread_create(&thread, NULL, client_main, h) != 0);
    node_run(h->node);
    pthread_join(thread, NULL);
    node_each_shard(h->node, net_fini, NULL);
    node_free(&h->node);
}

int harness_connect(const struct harness *h)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)h->port)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = 10};
    bool is_unix = strncmp(h->address, "unix:", 5) == 0;
    int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, "127.0.0.1", &in.sin_addr);
    snprintf(un.sun_path, sizeof un.sun_path, "%.107s", h->address + (is_unix ? 5 : 0));
    int ret = is_unix ? connect(fd, (struct sockaddr *)&un, sizeof un)
                      : connect(fd, (struct sockaddr *)&in, sizeof in);
    bug_on(ret != 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

void harness_send(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        bug_on(n <= 0);
        p += n;
        len -= (size_t)n;
    }
}

void harness_receive(int fd, void *room, size_t len)
{
    char *p = room;
    while (len) {
        ssize_t n = recv(fd, p, len, 0);
        bug_on(n <= 0);
        p += n;
        len -= (size_t)n;
    }
}

long harness_drain(int fd)
{
    char room[65536];
    long total = 0;
    for (;;) {
        ssize_t n = recv(fd, room, sizeof room, 0);
        if (n == 0)
            return total;
        if (n < 0 && errno == ECONNRESET)
            return -1;
        bug_on(n < 0);
        total += n;
    }
}

void harness_sleep(unsigned ms)
{
    usleep(ms * 1000);
}
