/* The store of definitions as RabbitMQ's tools look at theirs: its tables, its members; and what
 * this broker has no such thing of, so that it is told as it is. */
#include "admin/call.h"
#include "admin/cell.h"
#include "admin/handlers.h"
#include "admin/listing.h"

#include "meta/meta.h"

#include <string.h>

static const char *name_of(const struct call *call)
{
    return meta_node_name(call_node(call));
}

/* ---- tables ---- */

/* What lies in a table of RabbitMQ's; a bit of each noun. */
static const struct {
    const char *name;
    unsigned nouns;
} tables[] = {
    {"rabbit_exchange", 1u << META_EXCHANGES},
    {"rabbit_queue", 1u << META_QUEUES},
    {"rabbit_route", 1u << META_BINDINGS},
    {"rabbit_runtime_parameters", 1u << META_PARAMETERS | 1u << META_GLOBAL_PARAMETERS |
                                      1u << META_POLICIES | 1u << META_OPERATOR_POLICIES},
    {"rabbit_topic_permission", 1u << META_TOPIC_PERMISSIONS},
    {"rabbit_user", 1u << META_USERS},
    {"rabbit_user_permission", 1u << META_PERMISSIONS},
    {"rabbit_vhost", 1u << META_VHOSTS},
};
enum { TABLES = sizeof tables / sizeof *tables };

struct schema_visit {
    struct visit visit;
    struct rows rows;
};

static struct value size_of(struct node *node, unsigned nouns)
{
    size_t n = 0;
    for (unsigned noun = 0; noun <= META_USER_LIMITS; noun++)
        n += nouns >> noun & 1 ? meta_count(node, (enum meta_noun)noun) : 0;
    return value_int((int64_t)n);
}

static void put_column(struct buf *out, const struct rows *rows, struct node *node, size_t table,
                       const char *column)
{
    struct buf nodes = BUF_INIT;
    struct value v = value_none();
    buf_printf(&nodes, "[%s]", meta_node_name(node));
    if (!strcmp(column, "name"))
        v = value_text(slice_str(tables[table].name));
    else if (!strcmp(column, "size"))
        v = size_of(node, tables[table].nouns);
    else if (!strcmp(column, "user_properties"))
        v = value_text(SLICE("[]"));
    else if (strcmp(column, "cookie") != 0)
        v = value_text(buf_slice(&nodes));
    row_put(out, rows, column, v);
    buf_fini(&nodes);
}

static bool schema_run(struct visit *visit, struct shard *shard)
{
    const struct schema_visit *v = (struct schema_visit *)visit;
    for (size_t table = 0; table < TABLES; table++) {
        row_begin(&visit->out);
        for (size_t i = 0; i < v->rows.columns.count; i++)
            put_column(&visit->out, &v->rows, shard_node(shard), table, v->rows.columns.names[i]);
        row_end(&visit->out);
    }
    return true;
}

void run_schema_info(struct call *call)
{
    struct rows rows;
    if (!rows_begin(call, &rows, "name cookie active_replicas user_properties", false,
                    "Asking node %s to report its schema...", name_of(call)))
        return;
    struct schema_visit *v = visit_new(sizeof *v, schema_run, call_visit_end);
    v->rows = rows;
    call_visit_first(call, &v->visit);
}

/* ---- members ---- */

void run_metadata_store_status(struct call *call)
{
    call_banner(call, "Status of metadata store on node %s ...", name_of(call));
    rows_put_member(call);
    call_exit(call);
}

/* ---- what there is not ---- */

void run_list_channel_interceptors(struct call *call)
{
    struct rows rows;
    call_banner(call, "Listing channel interceptors ...");
    rows_begin_fixed(call, &rows, "name applies_to priority", false);
    call_exit(call);
}

void run_reset_stats_db(struct call *call)
{
    if (call_has(call, OPT_ALL))
        call_banner(call, "Resetting statistics database in all nodes");
    else
        call_banner(call, "Resetting statistics database on node %s", name_of(call));
    call_exit(call);
}
