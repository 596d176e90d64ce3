/* The file of a form: multipart/form-data as browsers send it (RFC 7578), taken apart as it comes.
 * Pure. */
#ifndef HTTP_MULTIPART_H
#define HTTP_MULTIPART_H

#include "base/buf.h"

enum { MULTIPART_BOUNDARY_MAX = 70, MULTIPART_HEAD_MAX = 8 * 1024 };

struct multipart {
    char delimiter[4 + MULTIPART_BOUNDARY_MAX + 1]; /* with the line end in front of it */
    size_t length;                                  /* of the delimiter */
    struct buf held;                                /* not looked at in full */
    enum { MULTIPART_HEAD, MULTIPART_FILE, MULTIPART_OTHER, MULTIPART_END, MULTIPART_BAD } phase;
    bool found; /* the file */
};

/* Whether that content type is a form, and of what boundary. */
bool multipart_is(struct slice content_type, struct multipart *ret_multipart);
void multipart_fini(struct multipart *multipart);
/* Hands the bytes of the part that is called "file" to take, with the line end in front of them,
 * which JSON does not mind; take answers false to end it. False: it is malformed, or was ended. */
bool multipart_feed(struct multipart *multipart, struct slice bytes,
                    bool (*take)(void *arg, struct slice bytes), void *arg);

#endif
