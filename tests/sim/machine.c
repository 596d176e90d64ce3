/* Fibers have a stack each, kept for the next. The main program is the one that runs them: when it
 * has to wait, it runs others until it need not. */
#include "tests/sim/machine.h"

#include "base/bug.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

enum { FIBERS = 16, STACK = 256 << 10, YIELD_NS = 10 * 1000 };

enum waits { GOES_ON, FOR_LOCK, FOR_READ, FOR_WRITE, FOR_SIGNAL, FOR_TIME, FOR_END, ENDED, FREE };

struct fiber {
    enum waits waits;
    const void *on;
    uint64_t until; /* FOR_SIGNAL, FOR_TIME; UINT64_MAX: no end */
    bool signalled;
    ucontext_t context;
    char *stack;
    void *(*fn)(void *);
    void *arg;
};

/* In the memory of a pthread_mutex_t, all zero at first. */
struct lock {
    unsigned owner; /* number + 1 */
};
struct rwlock {
    unsigned readers, writer;
};

static struct {
    uint64_t random, now_ns;
    int64_t clock_ms;
    unsigned locks;                  /* held */
    struct fiber fibers[FIBERS + 1]; /* the last is the main program */
    struct fiber *current;
    ucontext_t main;
} m;

static struct fiber *const first = m.fibers, *const mine = m.fibers + FIBERS;

/* ---- chance and time ---- */

uint64_t machine_rnd(uint64_t below)
{
    m.random ^= m.random << 13;
    m.random ^= m.random >> 7;
    m.random ^= m.random << 17;
    return (m.random >> 11) % below;
}

uint64_t machine_now_ns(void)
{
    return m.now_ns;
}

void machine_pass(uint64_t ns)
{
    m.now_ns += ns;
}

void machine_set_clock(int64_t by_ms)
{
    m.clock_ms += by_ms;
}

void machine_begin(uint64_t seed)
{
    m.random = (seed + 1) * 0x9e3779b97f4a7c15u;
    machine_rnd(1);
    m.now_ns = 1000ull * 1000000000u;
    m.clock_ms = 1700000000000;
    m.locks = 0;
    m.current = mine;
    mine->waits = GOES_ON;
    for (int i = 0; i < FIBERS; i++)
        m.fibers[i].waits = FREE;
}

bool machine_is_clear(void)
{
    for (int i = 0; i < FIBERS; i++) {
        if (m.fibers[i].waits != FREE)
            return false;
    }
    return m.locks == 0;
}

/* ---- who goes on ---- */

static const struct lock *lock_of(const void *mutex)
{
    return mutex;
}

static bool can_go(const struct fiber *f)
{
    const struct rwlock *rw = f->on;
    switch (f->waits) {
    case GOES_ON:
        return true;
    case FOR_LOCK:
        return !lock_of(f->on)->owner;
    case FOR_READ:
        return !rw->writer;
    case FOR_WRITE:
        return !rw->writer && !rw->readers;
    case FOR_SIGNAL:
        return f->signalled || m.now_ns >= f->until;
    case FOR_TIME:
        return m.now_ns >= f->until;
    case FOR_END:
        return ((const struct fiber *)f->on)->waits == ENDED;
    case ENDED:
    case FREE:
        break;
    }
    return false;
}

#ifdef __SANITIZE_ADDRESS__
static const void *main_bottom;
static size_t main_size;

static void leave(void **fake, const struct fiber *to)
{
    if (to == mine)
        __sanitizer_start_switch_fiber(fake, main_bottom, main_size);
    else
        __sanitizer_start_switch_fiber(fake, to->stack, STACK);
}

static void arrive(void *fake, const struct fiber *from)
{
    if (from == mine)
        __sanitizer_finish_switch_fiber(fake, &main_bottom, &main_size);
    else
        __sanitizer_finish_switch_fiber(fake, NULL, NULL);
}
#else
static void leave(void **fake, const struct fiber *to)
{
    (void)fake;
    (void)to;
}
static void arrive(void *fake, const struct fiber *from)
{
    (void)fake;
    (void)from;
}
#endif

static void run_fiber(struct fiber *f)
{
    void *fake = NULL;
    f->waits = GOES_ON;
    m.current = f;
    leave(&fake, f);
    swapcontext(&m.main, &f->context);
    arrive(fake, f);
    m.current = mine;
}

bool machine_run_one(void)
{
    unsigned n = 0;
    struct fiber *chosen = NULL;
    for (int i = 0; i < FIBERS; i++) {
        if (can_go(&m.fibers[i]) && machine_rnd(++n) == 0)
            chosen = &m.fibers[i];
    }
    if (!chosen)
        return false;
    run_fiber(chosen);
    return true;
}

uint64_t machine_next_ns(void)
{
    uint64_t next = UINT64_MAX;
    for (int i = 0; i <= FIBERS; i++) {
        const struct fiber *f = &m.fibers[i];
        if ((f->waits == FOR_SIGNAL || f->waits == FOR_TIME) && f->until < next)
            next = f->until;
    }
    return next;
}

/* The main program waits: the others go on, or time does. */
static void run_others(void)
{
    while (!can_go(mine)) {
        if (machine_run_one())
            continue;
        uint64_t next = machine_next_ns();
        if (next == UINT64_MAX)
            machine_on_deadlock();
        if (next > m.now_ns)
            m.now_ns = next;
    }
    mine->waits = GOES_ON;
}

static void give_way(enum waits waits, const void *on, uint64_t until)
{
    struct fiber *f = m.current;
    f->waits = waits;
    f->on = on;
    f->until = until;
    f->signalled = false;
    if (f == mine) {
        run_others();
        return;
    }
    void *fake = NULL;
    leave(&fake, mine);
    swapcontext(&f->context, &m.main);
    arrive(fake, mine);
}

void machine_give_way(void)
{
    if (m.current != mine && machine_one_in(3))
        give_way(GOES_ON, NULL, 0);
}

/* ---- threads ---- */

static void fiber_main(void)
{
    arrive(NULL, mine);
    struct fiber *f = m.current;
    f->fn(f->arg);
    f->waits = ENDED;
    leave(NULL, mine);
    swapcontext(&f->context, &m.main);
    bug_on(true);
}

/* What is linked as pthread_create etc. from the archives comes here. */
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);
int __wrap_pthread_join(pthread_t thread, void **ret);
int __wrap_pthread_setname_np(pthread_t thread, const char *name);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr);
int __wrap_pthread_cond_destroy(pthread_cond_t *cond);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *cond);
int __wrap_pthread_cond_broadcast(pthread_cond_t *cond);
int __wrap_pthread_rwlock_init(pthread_rwlock_t *lock, const pthread_rwlockattr_t *attr);
int __wrap_pthread_rwlock_destroy(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *lock);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_usleep(useconds_t us);
int __wrap_sched_yield(void);
int __wrap_mkdir(const char *path, mode_t mode);
void __wrap_random_bytes(void *out, size_t len);
uint64_t __wrap_random_u64(void);
void __wrap_log_write(enum log_category category, enum log_level level,
                      const struct log_context *context, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg)
{
    struct fiber *f = first;
    (void)attr;
    while (f < mine && f->waits != FREE)
        f++;
    bug_on(f == mine);
    if (!f->stack)
        f->stack = mem_alloc(STACK);
    f->fn = fn;
    f->arg = arg;
    f->waits = GOES_ON;
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = STACK;
    f->context.uc_link = NULL;
    makecontext(&f->context, fiber_main, 0);
    *thread = (pthread_t)(f - first);
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **ret)
{
    struct fiber *f = &m.fibers[thread];
    (void)ret;
    give_way(FOR_END, f, 0);
    f->waits = FREE;
    return 0;
}

int __wrap_pthread_setname_np(pthread_t thread, const char *name)
{
    (void)thread;
    (void)name;
    return 0;
}

int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    (void)how;
    (void)set;
    (void)old;
    return 0;
}

/* ---- locks ---- */

static unsigned number(void)
{
    return (unsigned)(m.current - first) + 1;
}

int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
    (void)attr;
    memset(mutex, 0, sizeof *mutex);
    return 0;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    bug_on(lock_of(mutex)->owner);
    return 0;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    struct lock *l = (void *)mutex;
    bug_on(l->owner == number());
    while (l->owner)
        give_way(FOR_LOCK, l, 0);
    l->owner = number();
    m.locks++;
    return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    struct lock *l = (void *)mutex;
    bug_on(l->owner != number());
    l->owner = 0;
    m.locks--;
    return 0;
}

int __wrap_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr)
{
    (void)cond;
    (void)attr;
    return 0;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *cond)
{
    (void)cond;
    return 0;
}

static int wait(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t until)
{
    __wrap_pthread_mutex_unlock(mutex);
    give_way(FOR_SIGNAL, cond, machine_one_in(50) ? m.now_ns : until); /* or for no reason */
    bool signalled = m.current->signalled;
    __wrap_pthread_mutex_lock(mutex);
    return signalled || m.now_ns < until ? 0 : ETIMEDOUT;
}

int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    return wait(cond, mutex, UINT64_MAX);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until)
{
    return wait(cond, mutex, (uint64_t)until->tv_sec * 1000000000u + (uint64_t)until->tv_nsec);
}

int __wrap_pthread_cond_signal(pthread_cond_t *cond)
{
    unsigned n = 0;
    struct fiber *chosen = NULL;
    for (struct fiber *f = first; f <= mine; f++) {
        if (f->waits == FOR_SIGNAL && f->on == cond && !f->signalled && machine_rnd(++n) == 0)
            chosen = f;
    }
    if (chosen)
        chosen->signalled = true;
    return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *cond)
{
    for (struct fiber *f = first; f <= mine; f++)
        f->signalled |= f->waits == FOR_SIGNAL && f->on == cond;
    return 0;
}

int __wrap_pthread_rwlock_init(pthread_rwlock_t *lock, const pthread_rwlockattr_t *attr)
{
    (void)attr;
    memset(lock, 0, sizeof *lock);
    return 0;
}

int __wrap_pthread_rwlock_destroy(pthread_rwlock_t *lock)
{
    const struct rwlock *l = (void *)lock;
    bug_on(l->readers || l->writer);
    return 0;
}

int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    struct rwlock *l = (void *)lock;
    bug_on(l->writer == number());
    while (l->writer)
        give_way(FOR_READ, l, 0);
    l->readers++;
    m.locks++;
    return 0;
}

int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
    struct rwlock *l = (void *)lock;
    bug_on(l->writer == number());
    while (l->writer || l->readers)
        give_way(FOR_WRITE, l, 0);
    l->writer = number();
    m.locks++;
    return 0;
}

int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
    struct rwlock *l = (void *)lock;
    bug_on(l->writer ? l->writer != number() : !l->readers);
    if (l->writer)
        l->writer = 0;
    else
        l->readers--;
    m.locks--;
    return 0;
}

/* ---- time and chance of others ---- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    uint64_t ns = m.now_ns + (clock == CLOCK_REALTIME ? (uint64_t)m.clock_ms * 1000000u : 0);
    *ret = (struct timespec){.tv_sec = (time_t)(ns / 1000000000u),
                             .tv_nsec = (long)(ns % 1000000000u)};
    return 0;
}

int __wrap_usleep(useconds_t us)
{
    give_way(FOR_TIME, NULL, m.now_ns + us * 1000u);
    return 0;
}

int __wrap_sched_yield(void)
{
    m.now_ns += YIELD_NS;
    give_way(m.current == mine ? FOR_TIME : GOES_ON, NULL, m.now_ns + YIELD_NS);
    return 0;
}

void __wrap_random_bytes(void *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)machine_rnd(256);
}

uint64_t __wrap_random_u64(void)
{
    return machine_rnd(UINT64_MAX >> 11) << 11 | machine_rnd(2048);
}

/* ---- the world outside ---- */

/* The directory of a database that is in memory. */
int __wrap_mkdir(const char *path, mode_t mode)
{
    (void)path;
    (void)mode;
    return 0;
}

void __wrap_log_write(enum log_category category, enum log_level level,
                      const struct log_context *context, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    (void)category;
    (void)context;
    if (level < LOG_WARNING_)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    machine_on_log(text);
}
