#include "admin/aside.h"

#include "admin/call.h"

#include "base/mem.h"
#include "base/thread.h"

#include <pthread.h>
#include <stdlib.h>
#include <sysexits.h>

enum { LOOK_MS = 10 };

struct aside {
    const struct aside_work *work;
    void *arg; /* owned; the thread's until it is over */
    pthread_mutex_t lock;
    bool over, dropped;
};

static void aside_free(struct aside *a)
{
    pthread_mutex_destroy(&a->lock);
    a->work->free(a->arg);
    free(a);
}

static void *aside_main(void *aside)
{
    struct aside *a = aside;
    a->work->run(a->arg);
    pthread_mutex_lock(&a->lock);
    a->over = true;
    bool dropped = a->dropped;
    pthread_mutex_unlock(&a->lock);
    if (dropped)
        aside_free(a);
    return NULL;
}

static bool start(struct aside *a)
{
    pthread_t thread;
    bool started = thread_start(&thread, "aside", aside_main, a);
    if (started)
        pthread_detach(thread);
    return started;
}

static bool is_over(struct aside *a)
{
    pthread_mutex_lock(&a->lock);
    bool over = a->over;
    pthread_mutex_unlock(&a->lock);
    return over;
}

static void drop(struct call *call)
{
    struct aside *a = call->aside;
    call->aside = NULL;
    pthread_mutex_lock(&a->lock);
    a->dropped = true;
    bool over = a->over;
    pthread_mutex_unlock(&a->lock);
    if (over)
        aside_free(a);
}

static void look(struct call *call)
{
    const struct aside *a = call->aside;
    if (is_over(call->aside))
        a->work->on_done(call, a->arg);
    else
        timer_set(&call->timer, LOOK_MS);
}

void aside_start(struct call *call, const struct aside_work *work, void *arg)
{
    struct aside *a = NEW(struct aside);
    a->work = work;
    a->arg = arg;
    pthread_mutex_init(&a->lock, NULL);
    if (!start(a)) {
        aside_free(a);
        call_fail(call, EX_OSERR, "no thread for it could be started");
        return;
    }
    call->aside = a;
    call->on_gone = drop;
    call->on_timer = look;
    timer_set(&call->timer, LOOK_MS);
}
