/* CRC-32C (Castagnoli, RFC 3720 appendix B.4): by the processor's own instruction where it has one.
 * Thread-safe, no state. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of n bytes behind those that gave crc; 0 at the start. Pieces give what the whole gives. */
uint32_t crc32c(uint32_t crc, const void *data, size_t n);
/* The same from a table, for processors without it; the tests compare the two. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t n);
/* What crc32c uses here: "sse4.2+pclmul", "sse4.2", "armv8" or "table". */
const char *crc32c_name(void);

#endif
