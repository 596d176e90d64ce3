/* The payload of a message as members of a JSON object, bit by bit: a large one takes as many turns
 * as it has portions. Pure. */
#ifndef HTTP_PAYLOAD_H
#define HTTP_PAYLOAD_H

#include "base/buf.h"

struct payload {
    struct slice unchecked; /* not yet seen to be text */
    struct slice left;      /* not yet written */
    bool base64, begun;
};

/* Borrows the body. base64: whatever it is, else only what is no UTF-8. */
void payload_begin(struct payload *payload, struct slice body, bool base64);
/* Looks at HTTP_GET_PIECE bytes and appends what came of it; false: that was all. */
bool payload_next(struct payload *payload, struct buf *out);

#endif
