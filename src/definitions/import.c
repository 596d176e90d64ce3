/* Items, kept until they are put, in the order of import; then checked and put in portions. */
#include "definitions/import_priv.h"

#include "base/bug.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/table.h"
#include "meta/access.h"

#include <stdlib.h>

enum { BLOCK_SIZE = 256 * 1024, WARNINGS_MAX = 100 };

struct name {
    struct slice text; /* owned */
};

static struct slice name_key(const void *object)
{
    return ((const struct name *)object)->text;
}

struct import *import_new(enum import_origin from, struct slice vhost)
{
    struct import *im = NEW(struct import);
    im->from = from;
    im->vhost = slice_dup(vhost);
    hash_init(&im->vhosts, name_key);
    hash_init(&im->users, name_key);
    return im;
}

static void free_names(struct hash *names)
{
    hash_each (i, names) {
        struct name *name = hash_at(names, i);
        slice_free(&name->text);
        free(name);
    }
    hash_fini(names);
}

void import_drop_items(struct items *items)
{
    while (items->first) {
        struct block *next = items->first->next;
        free(items->first);
        items->first = next;
    }
    *items = (struct items){0};
}

void import_free(struct import **import)
{
    struct import *im = *import;
    if (!im)
        return;
    reader_free(&im->reader);
    for (unsigned i = 0; i < DEFINITION_COUNT; i++)
        import_drop_items(&im->items[i]);
    free_names(&im->vhosts);
    free_names(&im->users);
    slice_free(&im->vhost);
    slice_free(&im->version);
    buf_fini(&im->warnings.lines);
    free(im);
    *import = NULL;
}

/* ---- warnings ---- */

void import_warn(struct import *im, const char *fmt, ...)
{
    va_list ap;
    if (im->warnings.count++ >= WARNINGS_MAX) {
        im->warnings.unseen++;
        return;
    }
    struct buf line = BUF_INIT;
    va_start(ap, fmt);
    buf_vprintf(&line, fmt, ap);
    va_end(ap);
    for (size_t i = 0; i < line.len; i++)
        line.data[i] = line.data[i] == '\n' ? ' ' : line.data[i];
    buf_append_slice(&im->warnings.lines, buf_slice(&line));
    buf_append_byte(&im->warnings.lines, '\n');
    buf_fini(&line);
}

struct slice import_take_warnings(struct import *im)
{
    if (im->phase == IMPORT_DONE && im->warnings.unseen) {
        buf_printf(&im->warnings.lines, "and %zu more\n", im->warnings.unseen);
        im->warnings.unseen = 0;
    }
    return buf_take(&im->warnings.lines);
}

void import_put_place(const struct import *im, const struct item_head *head, struct buf *out)
{
    if (head->origin)
        buf_append_str(out, head->origin);
    else
        buf_printf(out, "%s[%zu] (line %u)", noun_get((enum definition)im->walk.noun)->key,
                   im->walk.index, head->line);
}

/* ---- items ---- */

static void remember_name(struct hash *names, struct slice item)
{
    struct slice text;
    if (!table_find_str(item, SLICE("name"), &text) || hash_find(names, text))
        return;
    struct name *name = NEW(struct name);
    name->text = slice_dup(text);
    hash_add(names, name);
}

static struct block *get_room(struct items *items, size_t size)
{
    struct block *last = items->last;
    if (last && last->cap - last->len >= size)
        return last;
    size_t cap = size > BLOCK_SIZE ? size : BLOCK_SIZE;
    struct block *block = mem_alloc(sizeof *block + cap);
    block->next = NULL;
    block->len = 0;
    block->cap = cap;
    if (last)
        last->next = block;
    else
        items->first = block;
    items->last = block;
    return block;
}

void import_keep(struct import *im, enum definition which, const char *origin, uint32_t line,
                 struct slice item)
{
    struct items *items = &im->items[which];
    struct item_head head = {.origin = origin, .line = line, .size = (uint32_t)item.len};
    struct block *block = get_room(items, sizeof head + item.len);
    memcpy(block->data + block->len, &head, sizeof head);
    if (item.len)
        memcpy(block->data + block->len + sizeof head, item.data, item.len);
    block->len += sizeof head + item.len;
    items->count++;
    if (which == DEFINITION_VHOSTS)
        remember_name(&im->vhosts, item);
    if (which == DEFINITION_USERS)
        remember_name(&im->users, item);
}

enum err import_add(struct import *im, enum definition which, const char *origin, struct slice item,
                    struct failure *why)
{
    struct failure inner;
    if (item.len > IMPORT_ITEM_MAX)
        return failure_set(why, ERR_PRECONDITION_FAILED, "%s: a definition of more than %d bytes",
                           origin, (int)IMPORT_ITEM_MAX);
    if (noun_check(noun_get(which), item, im->vhost.len != 0, &inner))
        return failure_set(why, inner.code, "%s: %s", origin, inner.text);
    import_keep(im, which, origin, 0, item);
    return ERR_NONE;
}

void import_rewind(struct import *im)
{
    im->walk = (struct walk){.block = im->items[0].first};
}

bool import_walk(struct import *im, struct item_head *ret_head, struct slice *ret_item)
{
    struct walk *w = &im->walk;
    while (!w->block || w->at >= w->block->len) {
        if (w->block && w->block->next) {
            w->block = w->block->next;
        } else if (w->noun + 1 < DEFINITION_COUNT) {
            w->noun++;
            w->block = im->items[w->noun].first;
            w->index = 0;
        } else {
            return false;
        }
        w->at = 0;
    }
    memcpy(ret_head, w->block->data + w->at, sizeof *ret_head);
    *ret_item = slice_of(w->block->data + w->at + sizeof *ret_head, ret_head->size);
    w->at += sizeof *ret_head + ret_head->size;
    return true;
}

/* ---- checking ---- */

static bool is_right(const struct noun *noun)
{
    return noun->verb == META_PERMISSION_SET || noun->verb == META_TOPIC_PERMISSION_SET;
}

/* What is said of a name that is neither there nor comes along. */
static enum err check_names(const struct import *im, const struct routing *routing,
                            const struct noun *noun, struct slice item, struct failure *why)
{
    struct slice vhost = im->vhost, user;
    if (!noun->in_vhost)
        return ERR_NONE;
    if (!vhost.len)
        (void)table_find_str(item, SLICE("vhost"), &vhost);
    if (!routing_find_vhost(routing, vhost) && (im->vhost.len || !hash_find(&im->vhosts, vhost)))
        return failure_set(why, ERR_NOT_FOUND,
                           "Please create virtual host \"%.*s\" prior to importing definitions.",
                           SLICE_ARG(vhost));
    if (!is_right(noun))
        return ERR_NONE;
    if (!table_find_str(item, SLICE("user"), &user) || access_user_exists(routing, user) ||
        hash_find(&im->users, user))
        return ERR_NONE;
    return failure_set(why, ERR_NOT_FOUND, "User \"%.*s\" does not exist", SLICE_ARG(user));
}

static enum err fail_at(const struct import *im, const struct item_head *head,
                        const struct failure *inner, struct failure *why)
{
    struct buf place = BUF_INIT;
    import_put_place(im, head, &place);
    failure_set(why, inner->code, "%s: %s", buf_cstr(&place), inner->text);
    buf_fini(&place);
    return why->code;
}

/* Those of the configuration are looked at when they are put: some may hang. */
static enum err check_item(struct import *im, const struct routing *routing,
                           const struct item_head *head, struct slice item, struct failure *why)
{
    struct failure inner;
    const struct noun *noun = noun_get((enum definition)im->walk.noun);
    if (im->from != IMPORT_FILE || !check_names(im, routing, noun, item, &inner))
        return ERR_NONE;
    return fail_at(im, head, &inner, why);
}

/* ---- putting ---- */

static void skip(struct import *im, const struct item_head *head, const char *reason,
                 const char *consequence)
{
    struct buf place = BUF_INIT;
    import_put_place(im, head, &place);
    import_warn(im, "%s: %s%s", buf_cstr(&place), reason, consequence);
    buf_fini(&place);
}

/* Whether the import goes on after a refusal; the consequence is for the warning. */
static bool is_forgiven(const struct import *im, const struct noun *noun, enum err err, bool there,
                        const char **ret_consequence)
{
    *ret_consequence = "; what is there stays as it is";
    if (im->from == IMPORT_LATER_START)
        return noun->verb != META_VHOST_PUT && noun->verb != META_USER_PUT;
    if (im->from == IMPORT_FIRST_START)
        return false;
    if (noun->verb == META_BIND && err == ERR_NOT_FOUND)
        *ret_consequence = "; left out";
    return there || (noun->verb == META_BIND && err == ERR_NOT_FOUND);
}

static enum err put_request(struct import *im, struct node *node, import_put *put,
                            const struct item_head *head, struct slice item,
                            struct meta_request *rq, struct failure *why)
{
    const struct noun *noun = noun_get((enum definition)im->walk.noun);
    struct tally *tally = &im->tally[im->walk.noun];
    const struct routing *routing = routing_of(node_shard(node, 0));
    bool there = noun->is_there && noun->is_there(routing, rq);
    const char *consequence;
    enum err err = put(node, rq);
    struct meta_request *next = !err && noun->follow ? noun->follow(item, rq) : NULL;
    if (next && put(node, next)) {
        err = next->code;
        rq->why = next->why;
    }
    meta_request_free(&next);
    if (!err) {
        there = there || (noun->verb == META_BIND && !rq->created);
        tally->kept += there;
        tally->put += !there;
        return ERR_NONE;
    }
    if (!is_forgiven(im, noun, err, there, &consequence))
        return fail_at(im, head, &rq->why, why);
    skip(im, head, rq->why.text, consequence);
    tally->kept += there;
    tally->skipped += !there;
    return ERR_NONE;
}

static enum err put_item(struct import *im, struct node *node, import_put *put,
                         const struct item_head *head, struct slice item, struct failure *why)
{
    const struct noun *noun = noun_get((enum definition)im->walk.noun);
    struct tally *tally = &im->tally[im->walk.noun];
    struct failure inner = {.text = ""};
    enum verdict verdict = VERDICT_PUT;
    if (im->vhost.len && (!noun->in_vhost || is_right(noun))) {
        skip(im, head, "belongs to no single virtual host", "; left out");
        tally->skipped++;
        return ERR_NONE;
    }
    struct meta_request *rq = noun_request(noun, item, im->vhost);
    if (noun->finish)
        verdict = noun->finish(im, routing_of(node_shard(node, 0)), item, rq, &inner);
    enum err err = ERR_NONE;
    if (verdict == VERDICT_TRIMMED)
        skip(im, head, inner.text, "");
    if (verdict == VERDICT_PUT || verdict == VERDICT_TRIMMED) {
        err = put_request(im, node, put, head, item, rq, why);
    } else if (verdict == VERDICT_SKIP) {
        skip(im, head, inner.text, "");
        tally->skipped++;
    } else {
        err = fail_at(im, head, &inner, why);
    }
    meta_request_free(&rq);
    return err;
}

/* ---- portions ---- */

static void begin_phase(struct import *im, enum import_phase phase)
{
    im->phase = phase;
    import_rewind(im);
}

/* Items that were put are no longer needed. */
static void give_back(struct import *im, unsigned from)
{
    struct items *items = &im->items[im->walk.noun];
    if (im->phase != IMPORT_PUTTING)
        return;
    for (unsigned i = from; i < im->walk.noun; i++)
        import_drop_items(&im->items[i]);
    while (items->first != im->walk.block) {
        struct block *passed = items->first;
        items->first = passed->next;
        free(passed);
    }
}

static enum err step_item(struct import *im, struct node *node, import_put *put, bool *ret_more,
                          struct failure *why)
{
    struct item_head head;
    struct slice item;
    unsigned before = im->walk.noun;
    *ret_more = import_walk(im, &head, &item);
    give_back(im, before);
    if (!*ret_more)
        return ERR_NONE;
    enum err err = im->phase == IMPORT_CHECKING
                       ? check_item(im, routing_of(node_shard(node, 0)), &head, item, why)
                       : put_item(im, node, put, &head, item, why);
    im->walk.index++;
    return err;
}

/* What a refusal leaves behind. */
static void say_what_was_put(const struct import *im, struct failure *why)
{
    struct buf text = BUF_INIT;
    if (im->phase != IMPORT_PUTTING || im->from != IMPORT_FILE)
        return;
    buf_printf(&text, "%s; put before: ", why->text);
    import_put_summary(im, &text);
    failure_set(why, why->code, "%s", buf_cstr(&text));
    buf_fini(&text);
}

enum err import_step(struct import *im, struct node *node, import_put *put, size_t max,
                     struct failure *why)
{
    enum err err = ERR_NONE;
    if (im->phase == IMPORT_READING)
        begin_phase(im, IMPORT_CHECKING);
    for (size_t i = 0; i < max && im->phase != IMPORT_DONE && !err; i++) {
        bool more;
        err = step_item(im, node, put, &more, why);
        if (!more && im->phase == IMPORT_CHECKING)
            begin_phase(im, IMPORT_PUTTING);
        else if (!more)
            im->phase = IMPORT_DONE;
    }
    if (err)
        say_what_was_put(im, why);
    return err;
}

bool import_is_done(const struct import *im)
{
    return im->phase == IMPORT_DONE;
}

bool import_is_unchanged(const struct import *im, const struct node *node, struct slice source)
{
    return meta_was_imported(node, source, slice_of(im->digest, sizeof im->digest));
}

void import_remember(const struct import *im, struct node *node, struct slice source)
{
    meta_set_imported(node, source, slice_of(im->digest, sizeof im->digest));
}

void import_put_summary(const struct import *im, struct buf *out)
{
    size_t kept = 0, skipped = 0, start = out->len;
    for (unsigned i = 0; i < DEFINITION_COUNT; i++) {
        const struct tally *t = &im->tally[i];
        if (t->put)
            buf_printf(out, "%s%zu %s", out->len > start ? ", " : "", t->put,
                       noun_get((enum definition)i)->many);
        kept += t->kept;
        skipped += t->skipped;
    }
    if (out->len == start)
        buf_append_str(out, "nothing");
    if (kept)
        buf_printf(out, "; there already: %zu", kept);
    if (skipped)
        buf_printf(out, "; left out: %zu", skipped);
}
