/* Connecting to the broker's own listeners, to see that the system lets clients through. */
#ifndef ADMIN_PROBE_H
#define ADMIN_PROBE_H

#include "base/slice.h"

struct probe;

/* Begins to connect to addresses, blank separated, as listener_address tells them. */
struct probe *probe_new(struct slice addresses);
void probe_free(struct probe **probe);
/* False: some have not answered yet. */
bool probe_look(struct probe *probe);
/* Appends the addresses that did not let us in, or not yet, separated by commas. */
struct buf;
void probe_put_failed(const struct probe *probe, struct buf *out);

#endif
