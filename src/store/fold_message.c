/* Messages stored once, as a part of the memtable knows them. */
#include "base/mem.h"
#include "store/fold_part.h"

#include <stdlib.h>

struct slice fold_message_key(const void *object)
{
    const struct fold_message *m = object;
    return slice_of(&m->id, sizeof m->id);
}

static struct fold_message *find(const struct fold_part *p, uint64_t id)
{
    return hash_find(&p->messages, slice_of(&id, sizeof id));
}

static struct fold_message *get(struct fold_part *p, uint64_t id)
{
    struct fold_message *m = find(p, id);
    if (m)
        return m;
    m = NEW(struct fold_message);
    m->id = id;
    hash_add(&p->messages, m);
    p->live_bytes += sizeof *m;
    return m;
}

void fold_message_free(struct fold_message **m)
{
    free((*m)->pieces);
    free(*m);
    *m = NULL;
}

static uint64_t weight(const struct fold_message *m)
{
    return sizeof *m + m->head.len + m->received;
}

/* All of its entries came and went: it was never more than this part. */
static void drop_if_done(struct fold_part *p, struct fold_message *m)
{
    if (!m->born || !m->expected || m->named < m->expected || m->refs > 0)
        return;
    hash_remove(&p->messages, fold_message_key(m));
    p->live_bytes -= weight(m);
    fold_message_free(&m);
}

void fold_message_born(struct fold_part *p, const struct record *r, struct fold_place head)
{
    struct fold_message *m = get(p, r->queue);
    if (m->born)
        return;
    m->born = true;
    m->head = head;
    m->total = r->total;
    m->expected = r->count;
    p->live_bytes += head.len;
}

void fold_message_piece(struct fold_part *p, uint64_t id, uint64_t offset, struct fold_place place)
{
    struct fold_message *m = get(p, id);
    if (!place.len)
        return;
    /* pieces come in order: another one is not of a publisher of ours */
    if (m->count && m->pieces[m->count - 1].offset + m->pieces[m->count - 1].place.len != offset)
        return;
    MEM_GROW(m->pieces, m->cap, m->count + 1);
    m->pieces[m->count++] = (struct fold_piece){offset, place};
    m->received += place.len;
    p->live_bytes += place.len;
}

void fold_message_name(struct fold_part *p, uint64_t id, bool again)
{
    struct fold_message *m = get(p, id);
    m->refs++;
    m->named += !again;
}

void fold_message_release(struct fold_part *p, uint64_t id)
{
    struct fold_message *m = get(p, id);
    m->refs--;
    drop_if_done(p, m);
}

static void merge_message(struct fold_part *to, struct fold_message *m)
{
    struct fold_message *old = find(to, m->id);
    if (!old) {
        hash_add(&to->messages, m);
        return;
    }
    old->refs += m->refs;
    old->named += m->named;
    if (m->born && !old->born) {
        old->born = true;
        old->head = m->head;
        old->total = m->total;
        old->expected = m->expected;
    }
    for (size_t i = 0; i < m->count; i++) {
        MEM_GROW(old->pieces, old->cap, old->count + 1);
        old->pieces[old->count++] = m->pieces[i];
    }
    old->received += m->received;
    to->live_bytes -= sizeof *m;
    fold_message_free(&m);
    drop_if_done(to, old);
}

void fold_merge_messages(struct fold_part *to, struct fold_part *from, const uint16_t *map,
                         uint32_t shift)
{
    hash_each (it, &from->messages) {
        struct fold_message *m = hash_at(&from->messages, it);
        if (m->head.slot == FOLD_HEAP)
            m->head.offset += shift;
        m->head.slot = map[m->head.slot];
        for (size_t i = 0; i < m->count; i++) {
            struct fold_place *place = &m->pieces[i].place;
            if (place->slot == FOLD_HEAP)
                place->offset += shift;
            place->slot = map[place->slot];
        }
        merge_message(to, m);
    }
    hash_fini(&from->messages);
    hash_init(&from->messages, fold_message_key);
}
