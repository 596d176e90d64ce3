/* Letters that were purged, or cancelled, stay in the table until most have gone: numbers are not
 * used twice. */
#include "broker/queue/letters.h"

#include "base/mem.h"

#include <stdlib.h>

static struct slice key_of(const void *object)
{
    const struct letter_done *done = object;
    return slice_of(&done->seq, sizeof done->seq);
}

void letters_init(struct letters *l, uint64_t *known)
{
    l->known = known;
    hash_init(&l->done, key_of);
}

static void clear(struct letters *l)
{
    hash_each (it, &l->done) {
        struct letter_done *done = hash_at(&l->done, it);
        letter_done_free(&done);
    }
    *l->known -= l->done.count;
    hash_fini(&l->done);
}

void letters_fini(struct letters *l)
{
    clear(l);
}

void letters_forget(struct letters *l)
{
    clear(l);
    letters_init(l, l->known);
}

void letters_look(struct letters *l, uint64_t kept)
{
    if (l->done.count > 2 * kept)
        letters_forget(l);
}

void letters_note(struct letters *l, uint64_t seq, uint64_t *ids, size_t count)
{
    struct letter_done *done = NEW(struct letter_done);
    *done = (struct letter_done){.seq = seq, .count = count, .ids = ids};
    hash_add(&l->done, done);
    ++*l->known;
}

struct letter_done *letters_take(struct letters *l, uint64_t seq)
{
    struct letter_done *done =
        l->done.count ? hash_remove(&l->done, slice_of(&seq, sizeof seq)) : NULL;
    *l->known -= done != NULL;
    return done;
}

void letters_move(struct letters *l, uint64_t from, uint64_t to)
{
    struct letter_done *done = letters_take(l, from);
    if (!done)
        return;
    letters_note(l, to, done->ids, done->count);
    free(done);
}

void letter_done_free(struct letter_done **done)
{
    struct letter_done *d = *done;
    *done = NULL;
    if (!d)
        return;
    free(d->ids);
    free(d);
}
