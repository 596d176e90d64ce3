/* A queue of questions under a lock, a few threads that live until the resolver goes, lists of
 * answers for each shard with a bell. A thread may sit in the system's resolver for long after
 * that: it holds a reference, and frees what it has when it comes back. */
#include "net/resolver.h"

#include "base/mem.h"
#include "base/thread.h"
#include "shard/bell.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { THREADS_MAX = 4, WAITING_MAX = 1000 };

struct lookup {
    struct lookup *next;
    struct endpoint endpoint;
    unsigned shard;
    void (*on_name)(void *arg, const char *name); /* NULL: forgotten; the shard's alone */
    void *arg;
    char name[NI_MAXHOST]; /* "": none */
};

struct answers {
    struct resolver *resolver;
    struct bell *bell;
    struct lookup *list;
};

struct resolver {
    pthread_mutex_t lock; /* over all but the answers' back references */
    pthread_cond_t asked;
    struct lookup *first, **last; /* questions */
    unsigned count, threads, idle, refs;
    bool closed;
    struct answers answers[SHARDS_MAX];
};

static void free_list(struct lookup *l)
{
    while (l) {
        struct lookup *next = l->next;
        free(l);
        l = next;
    }
}

/* With the lock, which goes. */
static void drop(struct resolver *r)
{
    bool last = --r->refs == 0;
    pthread_mutex_unlock(&r->lock);
    if (!last)
        return;
    free_list(r->first);
    pthread_cond_destroy(&r->asked);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* ---- the threads ---- */

/* What a name server says goes into logs and listings. */
static bool is_plain(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    return *name && !name[strspn(name, good)];
}

static void find_name(struct lookup *l)
{
    struct sockaddr_storage sa = {0};
    socklen_t length;
    if (l->endpoint.family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)(void *)&sa;
        in->sin_family = AF_INET;
        memcpy(&in->sin_addr, l->endpoint.ip, sizeof in->sin_addr);
        length = sizeof *in;
    } else {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)&sa;
        in6->sin6_family = AF_INET6;
        in6->sin6_scope_id = l->endpoint.scope;
        memcpy(&in6->sin6_addr, l->endpoint.ip, sizeof in6->sin6_addr);
        length = sizeof *in6;
    }
    if (getnameinfo((const struct sockaddr *)&sa, length, l->name, sizeof l->name, NULL, 0,
                    NI_NAMEREQD) ||
        !is_plain(l->name))
        *l->name = '\0';
}

static void answer(struct resolver *r, struct lookup *l)
{
    struct answers *a = &r->answers[l->shard];
    if (!a->bell) {
        free(l);
        return;
    }
    l->next = a->list;
    a->list = l;
    bell_ring(a->bell);
}

static void *run(void *arg)
{
    struct resolver *r = arg;
    pthread_mutex_lock(&r->lock);
    while (!r->closed) {
        struct lookup *l = r->first;
        if (!l) {
            r->idle++;
            pthread_cond_wait(&r->asked, &r->lock);
            r->idle--;
            continue;
        }
        r->first = l->next;
        r->last = r->first ? r->last : &r->first;
        r->count--;
        pthread_mutex_unlock(&r->lock);
        find_name(l);
        pthread_mutex_lock(&r->lock);
        answer(r, l);
    }
    drop(r);
    return NULL;
}

/* With the lock. */
static void start_thread(struct resolver *r)
{
    pthread_t thread;
    if (!thread_start(&thread, "resolver", run, r))
        return;
    pthread_detach(thread);
    r->threads++;
    r->refs++;
}

/* ---- the shards ---- */

static void on_answers(void *arg)
{
    struct answers *a = arg;
    pthread_mutex_lock(&a->resolver->lock);
    struct lookup *list = a->list;
    a->list = NULL;
    pthread_mutex_unlock(&a->resolver->lock);
    while (list) {
        struct lookup *l = list;
        list = l->next;
        if (l->on_name)
            l->on_name(l->arg, *l->name ? l->name : NULL);
        free(l);
    }
}

struct resolver *resolver_new(void)
{
    struct resolver *r = NEW(struct resolver);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->asked, NULL);
    r->last = &r->first;
    r->refs = 1;
    return r;
}

void resolver_attach(struct resolver *r, struct shard *shard)
{
    struct answers *a = &r->answers[shard_index(shard)];
    a->resolver = r;
    a->bell = bell_new(shard, on_answers, a);
}

void resolver_detach(struct resolver *r, struct shard *shard)
{
    struct answers *a = &r->answers[shard_index(shard)];
    pthread_mutex_lock(&r->lock);
    bell_free(&a->bell);
    free_list(a->list);
    a->list = NULL;
    pthread_mutex_unlock(&r->lock);
}

void resolver_free(struct resolver **resolver)
{
    struct resolver *r = *resolver;
    *resolver = NULL;
    pthread_mutex_lock(&r->lock);
    r->closed = true;
    pthread_cond_broadcast(&r->asked);
    drop(r);
}

struct lookup *resolver_ask(struct resolver *r, struct shard *shard,
                            const struct endpoint *endpoint,
                            void (*on_name)(void *arg, const char *name), void *arg)
{
    struct lookup *l = NEW(struct lookup);
    *l = (struct lookup){
        .endpoint = *endpoint, .shard = shard_index(shard), .on_name = on_name, .arg = arg};
    pthread_mutex_lock(&r->lock);
    if (!r->idle && r->threads < THREADS_MAX)
        start_thread(r);
    if (r->count >= WAITING_MAX || !r->threads) {
        answer(r, l); /* without a name */
    } else {
        *r->last = l;
        r->last = &l->next;
        r->count++;
        pthread_cond_signal(&r->asked);
    }
    pthread_mutex_unlock(&r->lock);
    return l;
}

void lookup_forget(struct lookup **lookup)
{
    if (*lookup)
        (*lookup)->on_name = NULL;
    *lookup = NULL;
}
