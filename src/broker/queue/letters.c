/* Letters that were purged, or cancelled, stay in the table until there are none: numbers are not
 * used twice. */
#include "broker/queue/letters.h"

#include "base/mem.h"

#include <stdlib.h>

static struct slice key_of(const void *object)
{
    const struct letter_done *done = object;
    return slice_of(&done->seq, sizeof done->seq);
}

void letters_init(struct letters *l)
{
    hash_init(&l->done, key_of);
}

static void clear(struct letters *l)
{
    hash_each (it, &l->done) {
        struct letter_done *done = hash_at(&l->done, it);
        letter_done_free(&done);
    }
    hash_fini(&l->done);
}

void letters_fini(struct letters *l)
{
    clear(l);
}

void letters_forget(struct letters *l)
{
    clear(l);
    letters_init(l);
}

void letters_note(struct letters *l, uint64_t seq, uint64_t *ids, size_t count)
{
    struct letter_done *done = NEW(struct letter_done);
    *done = (struct letter_done){.seq = seq, .count = count, .ids = ids};
    hash_add(&l->done, done);
}

struct letter_done *letters_take(struct letters *l, uint64_t seq)
{
    return l->done.count ? hash_remove(&l->done, slice_of(&seq, sizeof seq)) : NULL;
}

void letters_move(struct letters *l, uint64_t from, uint64_t to)
{
    struct letter_done *done = letters_take(l, from);
    if (!done)
        return;
    done->seq = to;
    hash_add(&l->done, done);
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
