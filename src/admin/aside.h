/* Work of a command that may take its time: on a thread of its own, so that no shard waits for it.
 * The call looks from time to time whether it is over; whoever leaves last frees what both have. */
#ifndef ADMIN_ASIDE_H
#define ADMIN_ASIDE_H

struct call;

struct aside_work {
    void (*run)(void *arg); /* on the thread */
    void (*on_done)(struct call *call, const void *arg);
    void (*free)(void *arg);
};
/* Takes arg. The call fails if there can be no thread; it must not wait for anything else. */
void aside_start(struct call *call, const struct aside_work *work, void *arg);

#endif
