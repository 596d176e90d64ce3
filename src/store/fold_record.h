/* Queue records, read at the start. */
#ifndef STORE_FOLD_RECORD_H
#define STORE_FOLD_RECORD_H

#include "store/fold_priv.h"

/* False: malformed; what could be read is there. */
bool fold_load_record(struct fold_replica *q, struct slice in);
bool fold_load_dead(struct fold_run *run, struct slice in);

#endif
