/* The inside of an import. */
#ifndef DEFINITIONS_IMPORT_PRIV_H
#define DEFINITIONS_IMPORT_PRIV_H

#include "base/hash.h"
#include "definitions/import.h"

/* Items lie one behind the other in blocks, each a head and the bytes of a table. */
struct item_head {
    const char *origin; /* where it stands, borrowed; NULL: in the file, see line */
    uint32_t line;
    uint32_t size; /* of the table */
};

struct block {
    struct block *next;
    size_t len, cap;
    uint8_t data[];
};

struct items {
    struct block *first, *last;
    size_t count;
};

/* A walk over the items of all nouns, in the order of import. */
struct walk {
    unsigned noun;
    struct block *block;
    size_t at;    /* in the block */
    size_t index; /* of the item in its list */
};

enum import_phase { IMPORT_READING, IMPORT_CHECKING, IMPORT_PUTTING, IMPORT_DONE };

struct tally {
    size_t put;     /* made, or given what the file says */
    size_t kept;    /* were there as the file has them, or otherwise */
    size_t skipped; /* left out */
};

struct reader;

struct import {
    enum import_origin from;
    enum import_phase phase;
    struct slice vhost; /* owned; empty: the whole broker */
    struct slice version;
    struct items items[DEFINITION_COUNT];
    struct walk walk;
    struct tally tally[DEFINITION_COUNT];
    struct hash vhosts, users; /* that the file has: struct name */
    struct {
        struct buf lines; /* each ends with a newline */
        size_t count;
        size_t unseen; /* past the most that are kept */
    } warnings;
    struct reader *reader; /* of a file, while it is read */
    uint8_t digest[32];
};

/* A copy of the item, checked by noun_check, behind those of its noun. */
void import_keep(struct import *import, enum definition which, const char *origin, uint32_t line,
                 struct slice item);
/* The next item; false behind the last. */
bool import_walk(struct import *import, struct item_head *ret_head, struct slice *ret_item);
void import_rewind(struct import *import);
void import_warn(struct import *import, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "queues[3] (line 12)", or the origin. */
void import_put_place(const struct import *import, const struct item_head *head, struct buf *out);
void import_drop_items(struct items *items);

/* reader.c */
struct reader *reader_new(struct import *import);
void reader_free(struct reader **reader);

#endif
