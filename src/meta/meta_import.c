/* Which definitions were imported last, so that an unchanged file need not be imported again: by
 * source (a virtual host, all of them, a file of the configuration) the digest of the file. Kept as
 * facts of the node whose name is "imported", the digest of the source's name and that of the file,
 * in hex: names of sources may be longer than a fact's. Shard 0. */
#include "base/digest.h"
#include "base/mem.h"
#include "meta/meta_priv.h"

#include <stdio.h>
#include <stdlib.h>

#define PREFIX "imported "
enum { DIGEST_SIZE = 32, HEX = 2 * DIGEST_SIZE, PREFIX_SIZE = sizeof PREFIX - 1 };
enum { SCOPE_SIZE = PREFIX_SIZE + HEX, FACT_SIZE = SCOPE_SIZE + 1 + HEX };

struct import_fact {
    struct list link;
    char name[FACT_SIZE + 1];
};

static struct slice fact_slice(const struct import_fact *fact)
{
    return slice_of(fact->name, FACT_SIZE);
}

static void put_hex(char *to, const uint8_t *bytes)
{
    for (int i = 0; i < DIGEST_SIZE; i++)
        snprintf(to + 2 * i, 3, "%02x", bytes[i]);
}

/* "imported <source> " and, if it is of the right size, the digest. */
static void put_name(char *to, struct slice source, struct slice digest)
{
    uint8_t bytes[DIGEST_SIZE_MAX];
    memcpy(to, PREFIX, PREFIX_SIZE);
    digest_compute(DIGEST_SHA256, source, SLICE_EMPTY, bytes);
    put_hex(to + PREFIX_SIZE, bytes);
    if (digest.len == DIGEST_SIZE)
        put_hex(to + SCOPE_SIZE + 1, digest.data);
    to[SCOPE_SIZE] = ' ';
}

static struct import_fact *find(const struct meta *m, const char *name)
{
    list_each (it, &m->store.imports) {
        struct import_fact *fact = list_entry(it, struct import_fact, link);
        if (memcmp(fact->name, name, SCOPE_SIZE) == 0)
            return fact;
    }
    return NULL;
}

bool meta_was_imported(const struct node *node, struct slice source, struct slice digest)
{
    char name[FACT_SIZE + 1];
    put_name(name, source, digest);
    const struct import_fact *fact = find(meta_of(node), name);
    return fact && digest.len == DIGEST_SIZE && memcmp(fact->name, name, FACT_SIZE) == 0;
}

void meta_set_imported(struct node *node, struct slice source, struct slice digest)
{
    struct meta *m = meta_of(node);
    char name[FACT_SIZE + 1];
    if (digest.len != DIGEST_SIZE || meta_was_imported(node, source, digest))
        return;
    put_name(name, source, digest);
    struct import_fact *fact = find(m, name);
    if (fact) {
        meta_drop_fact(m, fact_slice(fact));
    } else {
        fact = NEW(struct import_fact);
        list_append(&m->store.imports, &fact->link);
    }
    memcpy(fact->name, name, FACT_SIZE);
    meta_keep_fact(m, fact_slice(fact));
}

void meta_forget_import(struct meta *m, struct slice vhost)
{
    char name[FACT_SIZE + 1];
    put_name(name, vhost, SLICE_EMPTY);
    struct import_fact *fact = find(m, name);
    if (!fact)
        return;
    meta_drop_fact(m, fact_slice(fact));
    list_remove(&fact->link);
    free(fact);
}

void meta_load_import(struct meta *m, struct slice name)
{
    if (name.len != FACT_SIZE || !slice_starts(name, SLICE(PREFIX)))
        return;
    struct import_fact *fact = NEW(struct import_fact);
    memcpy(fact->name, name.data, FACT_SIZE);
    list_append(&m->store.imports, &fact->link);
}

void meta_imports_init(struct meta *m)
{
    list_init(&m->store.imports);
}

void meta_imports_fini(struct meta *m)
{
    list_each_safe (it, &m->store.imports)
        free(list_entry(it, struct import_fact, link));
}
