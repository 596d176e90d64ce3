/* Allocation of messages; the bytes they take are counted on the shard that allocates or frees. */
#include "broker/msg.h"

#include "base/mem.h"
#include "broker/broker.h"

#include <stdlib.h>

struct msg *msg_new(struct slice names, struct slice header, uint64_t body_len, bool body_inline)
{
    size_t room = names.len + header.len;
    struct msg *m = mem_alloc(sizeof *m + room + (body_inline ? body_len : 0));
    atomic_init(&m->refs, 1);
    m->names_len = (uint16_t)names.len;
    m->flags = body_inline ? 0 : MSG_BODY_APART;
    m->header_len = (uint32_t)header.len;
    m->body_len = body_len;
    m->body = body_inline ? m->bytes + room : NULL;
    memcpy(m->bytes, names.data, names.len);
    memcpy(m->bytes + names.len, header.data, header.len);
    broker_count_message(1, (int64_t)msg_size(m));
    return m;
}

void msg_set_body(struct msg *m, uint8_t *body)
{
    m->body = body;
}

struct msg *msg_with_header(const struct msg *m, struct slice header)
{
    struct msg *copy = msg_new(msg_names(m), header, m->body_len, true);
    copy->flags = (uint16_t)(m->flags & ~MSG_BODY_APART);
    if (m->body_len)
        memcpy(copy->body, m->body, m->body_len);
    return copy;
}

void msg_free(struct msg *m)
{
    broker_count_message(-1, -(int64_t)msg_size(m));
    if (m->flags & MSG_BODY_APART)
        free(m->body);
    free(m);
}
