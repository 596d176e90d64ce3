/* Whether an LMDB file's pages fit together: the store's own. */
#ifndef STORE_KV_LMDB_CHECK_H
#define STORE_KV_LMDB_CHECK_H

#include <stdbool.h>
#include <stddef.h>

/* Reads the pages that lead to values, not the values: LMDB itself has no checksums and follows
 * whatever a damaged page says, out of the file. Looks at no more than what takes a fraction of a
 * second. False with a text: they do not fit. A file that is not there, empty, or not LMDB's at
 * all is left for LMDB to judge. */
bool kv_lmdb_check(const char *path, char *why, size_t room);

#endif
