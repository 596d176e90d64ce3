/* What the client itself understands of the command line; all else goes to the daemon. */
#ifndef CTL_OPTIONS_H
#define CTL_OPTIONS_H

#include "base/buf.h"

enum format { FORMAT_TABLE, FORMAT_PRETTY_TABLE, FORMAT_JSON, FORMAT_CSV, FORMAT_ERLANG };

struct options {
    const char *tool;    /* the name we were called by */
    const char *control; /* path of the socket */
    const char *node;    /* whose it must be; NULL: anybody's */
    bool offline;        /* nobody answers there: data has what is asked about */
    const char *data;
    enum format format;
    bool has_format; /* it was asked for */
    bool quiet;      /* no banners */
    bool silent;     /* no notices */
    bool no_headers;
    int timeout_s; /* 0: none */
    bool version;
    bool dry;           /* nothing is to be done, only checked */
    const char **words; /* for the daemon; the array is owned */
    size_t count;
};

/* False: problem says what is wrong. */
bool options_parse(struct options *options, int argc, char **argv, struct buf *problem);
void options_fini(struct options *options);

#endif
