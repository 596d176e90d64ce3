#include "http/jobs.h"

#include "base/mem.h"
#include "base/thread.h"
#include "http/session.h"
#include "shard/bell.h"

#include <pthread.h>
#include <stdlib.h>

struct done {
    struct jobs *jobs;
    struct bell *bell;
    struct job *list;
};

struct jobs {
    pthread_mutex_t lock; /* over all but the references back */
    pthread_cond_t asked;
    struct job *first, **last;
    pthread_t thread;
    bool running, closed;
    unsigned shards;
    struct done done[SHARDS_MAX];
};

/* With the lock. */
static void give_back(struct jobs *jobs, struct job *job)
{
    struct done *done = &jobs->done[job->shard];
    job->next = done->list;
    done->list = job;
    bell_ring(done->bell);
}

static void *run(void *arg)
{
    struct jobs *jobs = arg;
    pthread_mutex_lock(&jobs->lock);
    while (!jobs->closed) {
        struct job *job = jobs->first;
        if (!job) {
            pthread_cond_wait(&jobs->asked, &jobs->lock);
            continue;
        }
        jobs->first = job->next;
        jobs->last = jobs->first ? jobs->last : &jobs->first;
        pthread_mutex_unlock(&jobs->lock);
        job->run(job);
        pthread_mutex_lock(&jobs->lock);
        give_back(jobs, job);
    }
    pthread_mutex_unlock(&jobs->lock);
    return NULL;
}

static void on_done(void *arg)
{
    struct done *done = arg;
    pthread_mutex_lock(&done->jobs->lock);
    struct job *list = done->list;
    done->list = NULL;
    pthread_mutex_unlock(&done->jobs->lock);
    while (list) {
        struct job *job = list;
        list = job->next;
        if (!job->session) {
            job->free(job);
            continue;
        }
        job->session->job = NULL;
        job->on_done(job->session, job);
    }
}

struct jobs *jobs_new(struct node *node)
{
    struct jobs *jobs = NEW(struct jobs);
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_cond_init(&jobs->asked, NULL);
    jobs->last = &jobs->first;
    jobs->shards = node_shard_count(node);
    for (unsigned i = 0; i < jobs->shards; i++) {
        struct done *done = &jobs->done[i];
        done->jobs = jobs;
        done->bell = bell_new(node_shard(node, i), on_done, done);
    }
    return jobs;
}

static void free_list(struct job *list)
{
    while (list) {
        struct job *job = list;
        list = job->next;
        job->free(job);
    }
}

void jobs_free(struct jobs **jobs)
{
    struct jobs *j = *jobs;
    if (!j)
        return;
    *jobs = NULL;
    pthread_mutex_lock(&j->lock);
    j->closed = true;
    pthread_cond_signal(&j->asked);
    pthread_mutex_unlock(&j->lock);
    if (j->running)
        pthread_join(j->thread, NULL);
    free_list(j->first);
    for (unsigned i = 0; i < j->shards; i++) {
        free_list(j->done[i].list);
        bell_free(&j->done[i].bell);
    }
    pthread_cond_destroy(&j->asked);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

void jobs_start(struct jobs *jobs, struct session *session, struct job *job)
{
    job->session = session;
    job->shard = shard_index(session->shard);
    job->next = NULL;
    session->job = job;
    pthread_mutex_lock(&jobs->lock);
    if (!jobs->running)
        jobs->running = thread_start(&jobs->thread, "http", run, jobs);
    if (jobs->running) {
        *jobs->last = job;
        jobs->last = &job->next;
        pthread_cond_signal(&jobs->asked);
    } else { /* there can be no thread */
        job->run(job);
        give_back(jobs, job);
    }
    pthread_mutex_unlock(&jobs->lock);
}

void job_forget(struct job **job)
{
    if (*job)
        (*job)->session = NULL;
    *job = NULL;
}
