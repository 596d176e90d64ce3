/* Work that would hold up a shard: one thread of the node does it, one job after the other. It runs
 * from the first job on until the node ends. */
#ifndef HTTP_JOBS_H
#define HTTP_JOBS_H

#include "shard/shard.h"

struct jobs;
struct session;

/* Begins what is to be done. */
struct job {
    void (*run)(struct job *job); /* on the thread */
    /* On the session's shard, if it still waits for it. Takes the job. */
    void (*on_done)(struct session *session, struct job *job);
    void (*free)(struct job *job);
    struct job *next;
    unsigned shard;
    struct session *session; /* NULL: forgotten; the shard's alone */
};

/* Before the loops run. */
struct jobs *jobs_new(struct node *node);
/* After they ended. */
void jobs_free(struct jobs **jobs);
/* Takes the job. */
void jobs_start(struct jobs *jobs, struct session *session, struct job *job);
/* The session does not wait for it any more. */
void job_forget(struct job **job);

#endif
