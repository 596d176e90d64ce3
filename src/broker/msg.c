/* Allocation of messages; the bytes they take are counted on the shard that allocates or frees. */
#include "broker/msg.h"

#include "base/mem.h"
#include "base/props.h"
#include "base/wire_cursor.h"
#include "broker/broker.h"
#include "broker/limits.h"
#include "store/record.h"

#include <stdlib.h>

enum { SHARE_MIN = 512 }; /* bodies up to this are rather copied */

/* A message with room behind its header for what the caller puts there. Inlined: one of the two
 * callers has no hidden keys and runs for every publish. */
static inline __attribute__((always_inline)) struct msg *
make(struct slice names, struct slice header, struct slice hidden, uint64_t body_len, size_t room)
{
    size_t heads = names.len + header.len;
    struct msg *m = mem_alloc(sizeof *m + heads + hidden.len + room);
    atomic_init(&m->refs, 1);
    m->names_len = (uint16_t)names.len;
    m->flags = props_flags(slice_of(header.data + CONTENT_HEADER_FIXED,
                                    header.len - CONTENT_HEADER_FIXED)) &
                       AMQP_PROP_EXPIRATION
                   ? MSG_EXPIRES
                   : 0;
    m->header_len = (uint32_t)header.len;
    m->hidden_len = (uint32_t)hidden.len;
    m->body_len = body_len;
    m->store_id = 0;
    m->body = m->bytes + heads + hidden.len;
    memcpy(m->bytes, names.data, names.len);
    memcpy(m->bytes + names.len, header.data, header.len);
    if (hidden.len)
        memcpy(m->bytes + heads, hidden.data, hidden.len);
    return m;
}

struct msg *msg_new(struct slice names, struct slice header, uint64_t body_len, bool body_inline)
{
    struct msg *m = make(names, header, SLICE_EMPTY, body_len, body_inline ? body_len : 0);
    if (!body_inline) {
        m->flags |= MSG_BODY_APART;
        m->body = NULL;
    }
    broker_count_message(1, (int64_t)msg_size(m));
    return m;
}

void msg_set_body(struct msg *m, uint8_t *body)
{
    m->body = body;
}

/* The message whose body it is; stored where a body of its own would be. */
static struct msg *body_owner(struct msg *m)
{
    struct msg *owner = m;
    if (m->flags & MSG_BODY_SHARED)
        memcpy(&owner, m->bytes + m->names_len + m->header_len + m->hidden_len, sizeof owner);
    return owner;
}

struct msg *msg_derive(struct msg *m, struct slice names, struct slice header, struct slice hidden)
{
    bool share = m->body_len > SHARE_MIN;
    struct msg *copy =
        make(names, header, hidden, m->body_len, share ? sizeof(struct msg *) : m->body_len);
    copy->flags |= m->flags & MSG_PERSISTENT;
    if (share) {
        struct msg *owner = msg_ref_n(body_owner(m), 1);
        memcpy(copy->body, &owner, sizeof owner);
        copy->body = owner->body;
        copy->flags |= MSG_BODY_SHARED;
    } else if (m->body_len) {
        memcpy(copy->body, m->body, m->body_len);
    }
    broker_count_message(1, (int64_t)msg_size(copy));
    return copy;
}

struct msg *msg_with_header(struct msg *m, struct slice header)
{
    return msg_derive(m, msg_names(m), header, msg_hidden_keys(m));
}

enum { STORED_FLAGS = MSG_PERSISTENT | MSG_EXPIRES };

void msg_content(const struct msg *m, struct content *ret_content)
{
    *ret_content = (struct content){.names = msg_names(m),
                                    .properties = msg_properties(m),
                                    .hidden = msg_hidden_keys(m),
                                    .body = msg_body(m),
                                    .flags = m->flags & STORED_FLAGS};
}

struct msg *msg_from_content(const struct content *c)
{
    uint8_t room[256];
    struct buf long_one = BUF_INIT;
    size_t len = CONTENT_HEADER_FIXED + c->properties.len;
    uint8_t *header = len <= sizeof room ? room : buf_reserve(&long_one, len);
    wire_store_u16(header, AMQP_CLASS_BASIC);
    wire_store_u16(header + 2, 0);
    wire_store_u64(header + 4, c->body.len);
    memcpy(header + CONTENT_HEADER_FIXED, c->properties.data, c->properties.len);
    bool apart = c->body.len > BODY_FIRST_ALLOCATION;
    struct msg *m =
        make(c->names, slice_of(header, len), c->hidden, c->body.len, apart ? 0 : c->body.len);
    if (apart) {
        m->flags |= MSG_BODY_APART;
        m->body = mem_alloc(c->body.len);
    }
    if (c->body.len)
        memcpy(m->body, c->body.data, c->body.len);
    m->flags = (uint16_t)(m->flags | (c->flags & STORED_FLAGS));
    buf_fini(&long_one);
    broker_count_message(1, (int64_t)msg_size(m));
    return m;
}

static void let_body_go(struct msg *m)
{
    if (m->flags & MSG_BODY_APART)
        free(m->body);
    else
        msg_unref(body_owner(m));
}

void msg_free(struct msg *m)
{
    broker_count_message(-1, -(int64_t)msg_size(m));
    if (m->flags & (MSG_BODY_APART | MSG_BODY_SHARED))
        let_body_go(m);
    free(m);
}
