/* A walk over the queues sorted by virtual host and name, in portions: between two of them anything
 * may change. What stays comes up exactly once. On shard 0, where names are sorted. */
#ifndef META_QUEUE_WALK_H
#define META_QUEUE_WALK_H

#include "meta/routing.h"

struct queue_walk {
    struct slice only; /* owned: this virtual host alone; empty: all */
    bool backwards, begun;
    struct slice vhost; /* owned: the name of the one it is in; data NULL: the walk is over */
    struct slice last;  /* owned: the name of the queue passed last there; data NULL: none yet */
};

void queue_walk_init(struct queue_walk *walk, struct slice only, bool backwards);
void queue_walk_fini(struct queue_walk *walk);

/* The virtual host it is in, or the next one if that is gone or was left; NULL: the walk is over.
 */
struct vhost *queue_walk_vhost(struct queue_walk *walk, const struct routing *routing);
/* Goes on behind it. */
void queue_walk_leave(struct queue_walk *walk, const struct routing *routing);
/* Its queues. */
size_t queue_walk_count(const struct vhost *vhost);
/* Passes over so many of its queues, of which there are more: none was passed before. */
void queue_walk_skip(struct queue_walk *walk, const struct vhost *vhost, size_t count);
/* At most *budget of its queues, which is lowered by what came up; fn returns false: nothing
 * comes behind that one in this call. False: there are no more in this virtual host. */
bool queue_walk_next(struct queue_walk *walk, const struct vhost *vhost, size_t *budget,
                     bool (*fn)(const struct queue_def *def, void *arg), void *arg);

#endif
