/* UTF-8 (RFC 3629): no surrogates, no overlong forms, nothing above U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/slice.h"

/* ASCII is tested eight bytes at a time. */
bool utf8_valid(struct slice text);

/* The length in bytes (1..4) of the well-formed character at the start of text, 0 if there is none.
 */
unsigned utf8_char_len(struct slice text);

/* The longest start of text that is at most limit bytes and does not cut a character. */
struct slice utf8_cut(struct slice text, size_t limit);

#endif
