/* The visits of shard 0 that take definitions out and in, for whoever asks. */
#ifndef ADMIN_DEFINITION_VISIT_H
#define ADMIN_DEFINITION_VISIT_H

#include "admin/visit.h"
#include "base/err.h"
#include "definitions/export.h"
#include "definitions/import.h"

struct export_visit {
    struct visit visit;
    struct export *export;
    bool framed; /* each portion comes behind a line {"data":its length} */
};

/* v is zeroed. vhost: as export_new. */
void export_visit_init(struct export_visit *v, struct slice vhost);

struct import_visit {
    struct visit visit;
    struct import *import;
    struct slice scope; /* owned; as import_is_unchanged's source */
    struct slice by;    /* owned; the user, empty: the operator */
    bool skip;          /* if it is unchanged */
    bool remembers;     /* for the next one that skips */
    bool tells;         /* warnings and progress come as lines {"warning":...} */
    size_t untold;      /* items since it told of its progress */
    bool unchanged, failed;
    struct failure why;
};

/* v is zeroed. Takes the import, which was read to its end. What became of it is logged, also when
 * nobody waits any more. */
void import_visit_init(struct import_visit *v, struct import **import, struct slice scope);

#endif
