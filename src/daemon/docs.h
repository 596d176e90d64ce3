/* The pages of the manual that are printed from tables. */
#ifndef DAEMON_DOCS_H
#define DAEMON_DOCS_H

#include "base/err.h"

/* Writes every page to directory, which is made if it is missing. */
enum err docs_dump(const char *directory, struct failure *why);

#endif
