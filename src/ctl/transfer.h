/* A file of the client that the daemon reads or writes. */
#ifndef CTL_TRANSFER_H
#define CTL_TRANSFER_H

#include "ctl/link.h"
#include "ctl/progress.h"

#include <stdio.h>

struct transfer {
    FILE *file;      /* NULL: none is open */
    char *path;      /* as it was named */
    char *temporary; /* beside it, until all is written; NULL: written in place */
    int problem;     /* errno of the first read or write that failed */
};

void transfer_init(struct transfer *transfer);
/* "-": the standard stream. NULL, or the name of the error. A file that is written is nobody else's
 * to read. */
const char *transfer_open(struct transfer *transfer, const char *path, bool writing);
/* All of it, or until the daemon says something; problem is set if it cannot be read, which is then
 * said on stderr. */
enum link_state transfer_send(struct transfer *transfer, struct link *link,
                              struct progress *progress);
/* The next size bytes of the link go into the file; what cannot be written is remembered. */
enum link_state transfer_receive(struct transfer *transfer, struct link *link, size_t size);
/* The end of a file that is written: NULL once it is there under its name, or what went wrong. */
const char *transfer_keep(struct transfer *transfer);
/* What was not kept goes. */
void transfer_fini(struct transfer *transfer);

#endif
