/* Names of addresses, asked by threads of their own, as the system's resolver blocks. Answers come
 * back on the shard that asked. */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include "net/endpoint.h"
#include "shard/shard.h"

struct resolver;
struct lookup;

struct resolver *resolver_new(void);
/* For every shard before the loops run, and after they ended; what is still asked is dropped. */
void resolver_attach(struct resolver *resolver, struct shard *shard);
void resolver_detach(struct resolver *resolver, struct shard *shard);
/* Threads that wait for the system end by themselves. */
void resolver_free(struct resolver **resolver);

/* on_name comes once, from the shard's loop, with a name of letters, digits, dots, hyphens and
 * underscores, or NULL; not after lookup_forget. */
struct lookup *resolver_ask(struct resolver *resolver, struct shard *shard,
                            const struct endpoint *endpoint,
                            void (*on_name)(void *arg, const char *name), void *arg);
void lookup_forget(struct lookup **lookup);

#endif
