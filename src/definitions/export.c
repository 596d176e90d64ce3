#include "definitions/export.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/table.h"
#include "definitions/noun.h"
#include "meta/routing.h"

#include <stdlib.h>

enum { PORTION_BYTES = 64 * 1024 };

/* In RabbitMQ's order, which is not that of import. */
static const enum definition order[] = {DEFINITION_USERS,       DEFINITION_VHOSTS,
                                        DEFINITION_PERMISSIONS, DEFINITION_TOPIC_PERMISSIONS,
                                        DEFINITION_PARAMETERS,  DEFINITION_GLOBAL_PARAMETERS,
                                        DEFINITION_POLICIES,    DEFINITION_QUEUES,
                                        DEFINITION_EXCHANGES,   DEFINITION_BINDINGS};
#define ORDER_COUNT (sizeof order / sizeof *order)
_Static_assert(ORDER_COUNT == DEFINITION_COUNT, "all of them");

struct export
{
    struct slice vhost; /* owned */
    bool begun;
    unsigned at;   /* in order */
    bool open;     /* the list at hand */
    bool has_item; /* the list at hand */
    bool second;   /* of its rows */
    struct meta_cursor cursor;
    struct buf *out;       /* of the portion */
    struct buf item, bare; /* scratch */
    size_t inexact;
};

struct export *export_new(struct slice vhost)
{
    struct export *e = NEW(struct export);
    e->vhost = slice_dup(vhost);
    return e;
}

void export_free(struct export **export)
{
    struct export *e = *export;
    if (!e)
        return;
    slice_free(&e->vhost);
    buf_fini(&e->item);
    buf_fini(&e->bare);
    free(e);
    *export = NULL;
}

size_t export_inexact(const struct export *e)
{
    return e->inexact;
}

/* ---- what stands before the lists ---- */

static void put_text(struct buf *table, const char *key, const char *text)
{
    table_put_str(table, slice_str(key), slice_str(text));
}

static bool put_fields(const struct meta_row *row, void *arg)
{
    struct export *e = arg;
    struct slice name;
    buf_clear(&e->bare);
    if (!meta_row_put_definition(row, &e->bare) ||
        !table_find_str(buf_slice(&e->bare), SLICE("name"), &name) || !slice_eq(name, e->vhost))
        return true;
    buf_clear(&e->item);
    table_remove(buf_slice(&e->bare), SLICE("name"), &e->item);
    return false;
}

/* The properties of the one virtual host stand beside its lists. */
static void put_vhost(struct export *e, const struct node *node, struct buf *head)
{
    struct meta_cursor cursor = meta_cursor_begin(node, META_VHOSTS, SLICE_EMPTY);
    buf_clear(&e->item);
    while (!e->item.len && meta_cursor_next(node, &cursor, SIZE_MAX, put_fields, e))
        ;
    buf_append_slice(head, buf_slice(&e->item));
}

static void put_head(struct export *e, const struct node *node)
{
    struct buf head = BUF_INIT, text = BUF_INIT;
    bool one = e->vhost.len != 0;
    struct slice name = routing_cluster_name(routing_of(shard_self()));
    put_text(&head, "rabbit_version", PACKAGE_VERSION);
    put_text(&head, "rabbitmq_version", PACKAGE_VERSION);
    put_text(&head, "product_name", "Jackalope");
    put_text(&head, "product_version", PACKAGE_VERSION);
    put_text(&head, "rabbitmq_definition_format", one ? "single_virtual_host" : "cluster");
    if (one) {
        table_put_str(&head, SLICE("original_vhost_name"), e->vhost);
        buf_printf(&text, "Definitions of virtual host '%.*s'", SLICE_ARG(e->vhost));
    } else {
        table_put_str(&head, SLICE("original_cluster_name"), name);
        buf_printf(&text, "Definitions of cluster '%.*s'", SLICE_ARG(name));
    }
    table_put_str(&head, SLICE("explanation"), buf_slice(&text));
    if (one)
        put_vhost(e, node, &head);
    json_put_table(e->out, buf_slice(&head));
    e->out->len--; /* lists follow */
    buf_fini(&head);
    buf_fini(&text);
}

/* ---- lists ---- */

static bool on_row(const struct meta_row *row, void *arg)
{
    struct export *e = arg;
    struct slice item;
    buf_clear(&e->item);
    if (!meta_row_put_definition(row, &e->item))
        return true;
    item = buf_slice(&e->item);
    if (e->vhost.len) {
        buf_clear(&e->bare);
        table_remove(item, SLICE("vhost"), &e->bare);
        item = buf_slice(&e->bare);
    }
    if (e->has_item)
        buf_append_byte(e->out, ',');
    e->has_item = true;
    buf_append_byte(e->out, '\n');
    if (!json_put_table(e->out, item))
        e->inexact++;
    return e->out->len < PORTION_BYTES;
}

/* What one virtual host's definitions have. */
static bool is_meant(const struct export *e, enum definition which)
{
    return !e->vhost.len || (noun_get(which)->in_vhost && which != DEFINITION_PERMISSIONS &&
                             which != DEFINITION_TOPIC_PERMISSIONS);
}

/* False: the list goes on in the next portion. */
static bool put_list(struct export *e, const struct node *node, size_t max)
{
    const struct noun *noun = noun_get(order[e->at]);
    if (!is_meant(e, order[e->at]))
        return true;
    if (!e->open) {
        e->open = true;
        e->has_item = false;
        buf_printf(e->out, ",\n\"%s\":[", noun->key);
        e->second = false;
        e->cursor = meta_cursor_begin(node, noun->rows[0], e->vhost);
    }
    if (meta_cursor_next(node, &e->cursor, max, on_row, e))
        return false;
    if (!e->second && noun->rows[1] != noun->rows[0]) {
        e->second = true;
        e->cursor = meta_cursor_begin(node, noun->rows[1], e->vhost);
        return false;
    }
    e->open = false;
    buf_append_byte(e->out, ']');
    return true;
}

bool export_next(struct export *e, const struct node *node, size_t max, struct buf *out)
{
    e->out = out;
    if (!e->begun)
        put_head(e, node);
    e->begun = true;
    while (e->at < ORDER_COUNT) {
        if (!put_list(e, node, max))
            return true;
        e->at++;
    }
    buf_append_str(out, "}\n");
    return false;
}
