/* Digests, and RabbitMQ's salted password hashes: base64(salt of 4 bytes + digest(salt +
 * password)). Thread-safe, no state. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include "base/slice.h"

enum digest_kind { DIGEST_SHA256, DIGEST_SHA512, DIGEST_MD5, DIGEST_KIND_COUNT };
enum { DIGEST_SIZE_MAX = 64, DIGEST_SALT_SIZE = 4 };

/* 32, 64 or 16. */
unsigned digest_size(enum digest_kind kind);
/* RabbitMQ's module names: "rabbit_password_hashing_sha256", ..._sha512, ..._md5. */
const char *digest_kind_name(enum digest_kind kind);
bool digest_kind_parse(struct slice name, enum digest_kind *ret_kind);

/* The digest of a followed by b (either may be empty); out has room for digest_size(kind). */
void digest_compute(enum digest_kind kind, struct slice a, struct slice b, uint8_t *out);

/* With a fresh random salt. Heap text; free() it. */
char *digest_password_new(enum digest_kind kind, struct slice password);
/* False for a wrong password and for a hash that is malformed or of another kind's length. Takes
 * the same time wherever the difference is. */
bool digest_password_matches(enum digest_kind kind, struct slice hash, struct slice password);
/* Whether a hash has the form of this kind: base64 of salt and digest. */
bool digest_password_valid(enum digest_kind kind, struct slice hash);
/* Compares without telling by time where the difference is. */
bool digest_equal(struct slice a, struct slice b);

/* OpenSSL's memory comes from HEAP_TLS from now on. Before anything else of OpenSSL is used. */
void digest_use_heap(void);

#endif
