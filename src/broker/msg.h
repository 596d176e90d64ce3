/* A message: immutable once published, stored once, counted atomically by all who hold it. */
#ifndef BROKER_MSG_H
#define BROKER_MSG_H

#include "base/slice.h"

#include <stdatomic.h>

enum {
    MSG_PERSISTENT = 1,
    MSG_BODY_APART = 2,  /* a heap block of its own */
    MSG_BODY_SHARED = 4, /* another message's, which is kept for it */
    MSG_EXPIRES = 8      /* has the expiration property */
};

struct msg {
    _Atomic uint32_t refs;
    uint16_t names_len; /* exchange and routing key as two short strings, wire form */
    uint16_t flags;
    uint32_t header_len; /* content header payload: class, weight, body size, properties */
    uint32_t hidden_len; /* keys of a BCC header that was taken off, as an array's bytes */
    uint64_t body_len;
    uint64_t store_id; /* in the store under this id, 0 = not by itself; set before it is shared */
    uint8_t *body;     /* in bytes, or elsewhere */
    uint8_t bytes[];
};

/* A message with room for its parts and one reference; body comes later with msg_set_body, or is to
 * be copied to msg->body by the caller (body_inline true: body_len bytes of room). */
struct msg *msg_new(struct slice names, struct slice header, uint64_t body_len, bool body_inline);
/* Takes over a heap block as the body. */
void msg_set_body(struct msg *m, uint8_t *body);
/* The same body under other names and another header, with these hidden keys; a large body is
 * shared. */
struct msg *msg_derive(struct msg *m, struct slice names, struct slice header, struct slice hidden);
/* Only the header is another (properties rewritten). */
struct msg *msg_with_header(struct msg *m, struct slice header);
void msg_free(struct msg *m);

static inline struct msg *msg_ref_n(struct msg *m, uint32_t n)
{
    atomic_fetch_add_explicit(&m->refs, n, memory_order_relaxed);
    return m;
}

static inline void msg_unref(struct msg *m)
{
    if (atomic_load_explicit(&m->refs, memory_order_acquire) == 1 ||
        atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1)
        msg_free(m);
}

static inline struct slice msg_names(const struct msg *m)
{
    return slice_of(m->bytes, m->names_len);
}
static inline struct slice msg_exchange(const struct msg *m)
{
    return slice_of(m->bytes + 1, m->bytes[0]);
}
static inline struct slice msg_routing_key(const struct msg *m)
{
    return slice_of(m->bytes + 2 + m->bytes[0], m->bytes[1 + m->bytes[0]]);
}
static inline struct slice msg_header(const struct msg *m)
{
    return slice_of(m->bytes + m->names_len, m->header_len);
}
/* Flags word and property list, as published. */
static inline struct slice msg_properties(const struct msg *m)
{
    return slice_of(m->bytes + m->names_len + 12, m->header_len - 12);
}
static inline struct slice msg_body(const struct msg *m)
{
    return slice_of(m->body, m->body_len);
}
static inline struct slice msg_hidden_keys(const struct msg *m)
{
    return slice_of(m->bytes + m->names_len + m->header_len, m->hidden_len);
}
/* As the store sees it; borrowed. */
struct content;
void msg_content(const struct msg *m, struct content *ret_content);
/* Made again from that; the body is copied. */
struct msg *msg_from_content(const struct content *content);

/* Heap bytes of the message, without a body that is another's. */
static inline size_t msg_size(const struct msg *m)
{
    return sizeof *m + m->names_len + m->header_len + m->hidden_len +
           (m->flags & MSG_BODY_SHARED ? sizeof(struct msg *) : m->body_len);
}

#endif
