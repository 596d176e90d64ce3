/* Values that are encrypted with a passphrase, as RabbitMQ's configuration has them: base64(salt of
 * 16 bytes + initial vector + the value, padded), under a key that PBKDF2 makes of passphrase and
 * salt. Thread-safe, no state. */
#ifndef BASE_DIGEST_CIPHER_H
#define BASE_DIGEST_CIPHER_H

#include "base/buf.h"

/* RabbitMQ's names of those that can be used; NULL behind the last. */
const char *digest_cipher_name(unsigned n);
const char *digest_hash_name(unsigned n);
bool digest_cipher_is_known(const char *name);
bool digest_hash_is_known(const char *name);

struct digest_cipher {
    const char *cipher, *hash; /* known names */
    unsigned iterations;       /* above 0 */
};
/* Appends the base64. The time it takes grows with the iterations. */
bool digest_encrypt(const struct digest_cipher *how, struct slice passphrase, struct slice clear,
                    struct buf *out);
/* Appends the value. False: it is not of that form, or another passphrase's; not every wrong one
 * shows. */
bool digest_decrypt(const struct digest_cipher *how, struct slice passphrase, struct slice text,
                    struct buf *out);

#endif
