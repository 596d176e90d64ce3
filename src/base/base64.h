/* Base64 (RFC 4648), standard and URL alphabets. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/slice.h"

/* Characters that n bytes become, padded, without a NUL. */
static inline size_t base64_encoded_size(size_t n)
{
    return (n + 2) / 3 * 4;
}
/* The most bytes that n characters decode to. */
static inline size_t base64_decoded_size(size_t n)
{
    return n / 4 * 3 + 3;
}

/* Writes base64_encoded_size(data.len) characters and a NUL; returns the length. */
size_t base64_encode(struct slice data, char *out);
/* The URL alphabet without padding; at most base64_encoded_size(data.len) characters and a NUL. */
size_t base64_encode_url(struct slice data, char *out);
/* Strict: the standard alphabet, whole groups, padding only at the end, no spaces, unused bits
 * zero. out has room for base64_decoded_size(text.len). */
bool base64_decode(struct slice text, uint8_t *out, size_t *ret_len);

#endif
