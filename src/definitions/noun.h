/* What definitions are made of: a row for each list of the JSON, with its fields and the request
 * that an item of it becomes. To add one: a row in noun.c and a definition_put_ function in meta.
 * Pure. */
#ifndef DEFINITIONS_NOUN_H
#define DEFINITIONS_NOUN_H

#include "meta/meta.h"

/* In the order of import: whatever names something comes behind it. */
enum definition {
    DEFINITION_VHOSTS,
    DEFINITION_USERS,
    DEFINITION_PERMISSIONS,
    DEFINITION_TOPIC_PERMISSIONS,
    DEFINITION_EXCHANGES,
    DEFINITION_GLOBAL_PARAMETERS,
    DEFINITION_POLICIES,
    DEFINITION_PARAMETERS,
    DEFINITION_QUEUES,
    DEFINITION_BINDINGS,
    DEFINITION_COUNT
};

enum field_kind {
    FIELD_TEXT,  /* a text into the request */
    FIELD_ON,    /* a flag that is set unless the item says otherwise */
    FIELD_OFF,   /* one that is not */
    FIELD_TABLE, /* an object; an empty list counts as one */
    FIELD_TAGS,  /* a list of texts, or a text with commas */
    FIELD_KNOWN, /* of any type: the noun's finish() reads it, or it has no meaning here */
};

struct field {
    const char *key;
    enum field_kind kind;
    bool required;
    size_t offset; /* of TEXT, TABLE, TAGS: the slice in struct meta_request; 0: not copied */
    unsigned flag; /* of ON, OFF */
};

struct import;
struct routing;

/* What becomes of an item besides its fields. */
/* VERDICT_TRIMMED: put, but for what is named as the reason. */
enum verdict { VERDICT_PUT, VERDICT_TRIMMED, VERDICT_SKIP, VERDICT_REFUSE };

struct noun {
    const char *key;        /* in the JSON */
    const char *many;       /* for people: "virtual hosts" */
    bool in_vhost;          /* belongs to one, by its field "vhost" */
    enum meta_noun rows[2]; /* that are exported, the second behind the first, if it is another */
    enum meta_verb verb;    /* that puts one */
    const struct field *fields; /* ends with a NULL key */
    /* Completes the request; SKIP and REFUSE with a text in why. May be NULL. */
    enum verdict (*finish)(const struct import *import, const struct routing *routing,
                           struct slice item, struct meta_request *request, struct failure *why);
    /* Another request that belongs to the item, once the first was granted; NULL: none. May be
     * NULL.
     */
    struct meta_request *(*follow)(struct slice item, const struct meta_request *request);
    /* Whether what the request would make is there already. May be NULL. */
    bool (*is_there)(const struct routing *routing, const struct meta_request *request);
};

const struct noun *noun_get(enum definition which);
/* By key; false if there is none. */
bool noun_find(struct slice key, enum definition *ret_which);
/* The field of an item; NULL if none is called so. */
const struct field *noun_find_field(const struct noun *noun, struct slice key);

/* Whether the item has every field it must have, each of its type. Else "name: wanted a text, got a
 * number" in why. in_vhost: its virtual host is given from outside. */
enum err noun_check(const struct noun *noun, struct slice item, bool in_vhost, struct failure *why);
/* A trusted request of the item's fields. vhost: instead of the item's own, if it has a length. */
struct meta_request *noun_request(const struct noun *noun, struct slice item, struct slice vhost);

#endif
