/* Simple terms of Erlang: strings, binaries, atoms, whole numbers; as they are typed and printed,
 * and in the external format. Pure. */
#ifndef ADMIN_ERLANG_TERM_H
#define ADMIN_ERLANG_TERM_H

#include "base/buf.h"

enum erlang_term_type { TERM_STRING, TERM_BINARY, TERM_ATOM, TERM_INT };

struct erlang_term {
    enum erlang_term_type type;
    struct buf text; /* of a binary its bytes, else UTF-8 */
    int32_t integer;
};

void erlang_term_fini(struct erlang_term *term);
/* "abc", <<"abc">>, abc, 'a b', 17. False: it is nothing of these. */
bool erlang_term_parse(struct erlang_term *term, struct slice text);
/* As term_to_binary makes it. */
void erlang_term_encode(const struct erlang_term *term, struct buf *out);
/* False: it is no such term. */
bool erlang_term_decode(struct erlang_term *term, struct slice external);
/* As it is typed. */
void erlang_term_print(const struct erlang_term *term, struct buf *out);

#endif
