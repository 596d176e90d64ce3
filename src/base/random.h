/* Random bytes of the kernel, and names made of them. Thread-safe. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *out, size_t len);
uint64_t random_u64(void);

/* 128 random bits in the URL alphabet of base64: 22 characters and a NUL, for "amq.gen-" and
 * "amq.ctag-" names. */
enum { RANDOM_NAME_SIZE = 23 };
void random_name(char out[RANDOM_NAME_SIZE]);
/* bytes random bytes as lower-case hex: 2 * bytes characters and a NUL. bytes is at most 64. */
void random_hex(char *out, size_t bytes);

#endif
