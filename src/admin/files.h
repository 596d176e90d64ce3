/* How many descriptors the process has open. */
#ifndef ADMIN_FILES_H
#define ADMIN_FILES_H

#include <stdint.h>

struct files;

struct files *files_new(void);
void files_free(struct files **files);
/* As of now, or, where the system does not tell at once, of the last time that was asked some
 * seconds ago. Of one thread. */
uint64_t files_count(struct files *files, uint64_t now_ms);

#endif
