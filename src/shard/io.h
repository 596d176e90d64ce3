/* Readiness of a file descriptor on a shard's loop. */
#ifndef SHARD_IO_H
#define SHARD_IO_H

#include "shard/shard.h"

struct io;

enum { IO_READ = 1, IO_WRITE = 2 };

/* Watches nothing until io_want. arg and fd stay the caller's. */
struct io *io_new(struct shard *shard, int fd, void (*on_ready)(void *arg, unsigned events),
                  void *arg);
/* events: 0, IO_READ, IO_WRITE or both. Cheap when nothing changes. */
void io_want(struct io *io, unsigned events);
/* To be called before the descriptor is closed; allowed inside on_ready. */
void io_free(struct io **io);

/* A signal caught by shard 0's loop. */
void shard_on_signal(struct shard *shard, int signum, void (*fn)(void *arg, int signum), void *arg);

#endif
