#include "base/hash.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

struct item {
    char name[24];
    bool there;
};

static struct slice key_of(const void *object)
{
    return slice_str(((const struct item *)object)->name);
}

UNIT(hash, finds_what_was_added)
{
    struct hash h;
    struct item a = {"a", true}, empty = {"", true};
    hash_init(&h, key_of);
    cr_assert_null(hash_find(&h, SLICE("a")));
    cr_assert_null(hash_remove(&h, SLICE("a")));
    hash_add(&h, &a);
    hash_add(&h, &empty);
    cr_assert_eq(hash_find(&h, SLICE("a")), &a);
    cr_assert_eq(hash_find(&h, SLICE_EMPTY), &empty);
    cr_assert_null(hash_find(&h, SLICE("b")));
    cr_assert_eq(hash_remove(&h, SLICE("a")), &a);
    cr_assert_null(hash_find(&h, SLICE("a")));
    cr_assert_eq(h.count, 1);
    cr_assert_eq(hash_remove(&h, SLICE_EMPTY), &empty);
    cr_assert_null(h.slots);
    hash_fini(&h);
}

/* Against an array of flags, through growth and shrinking. */
UNIT(hash, agrees_with_a_plain_model)
{
    enum { ITEMS = 500, STEPS = 40000 };
    static struct item items[ITEMS];
    struct hash h;
    size_t count = 0;
    uint32_t seed = 12345;
    hash_init(&h, key_of);
    for (int i = 0; i < ITEMS; i++)
        snprintf(items[i].name, sizeof items[i].name, "item-%d", i);
    for (int step = 0; step < STEPS; step++) {
        seed = seed * 1664525 + 1013904223;
        struct item *it = &items[(seed >> 8) % ITEMS];
        bool growing = step % 20000 < 10000;
        if (!it->there && (growing || seed >> 30 == 0)) {
            hash_add(&h, it);
            it->there = true;
            count++;
        } else if (it->there && (!growing || seed >> 30 == 0)) {
            cr_assert_eq(hash_remove(&h, key_of(it)), it);
            it->there = false;
            count--;
        }
        cr_assert_eq(hash_find(&h, key_of(it)), it->there ? it : NULL);
        cr_assert_eq(h.count, count);
    }
    size_t seen = 0;
    hash_each (i, &h) {
        cr_assert(((struct item *)hash_at(&h, i))->there);
        seen++;
    }
    cr_assert_eq(seen, count);
    for (int i = 0; i < ITEMS; i++)
        cr_assert_eq(hash_find(&h, key_of(&items[i])), items[i].there ? &items[i] : NULL);
    hash_fini(&h);
}
