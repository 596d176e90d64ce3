#include "admin/definition_visit.h"

#include "admin/report.h"
#include "base/json.h"
#include "base/log.h"

enum {
    IMPORT_ITEMS = 50, /* put in one portion, */
    IMPORT_STEP = 5,   /* so many before the next look at the clock */
    EXPORT_STEP = 50
};

/* ---- out ---- */

static void export_fini(struct visit *visit)
{
    export_free(&((struct export_visit *)visit)->export);
}

static bool export_run(struct visit *visit, struct shard *shard)
{
    struct export_visit *v = (struct export_visit *)visit;
    struct buf portion = BUF_INIT;
    bool more = true;
    for (size_t n = 0;
         n < VISIT_OBJECTS && more && portion.len < VISIT_BYTES && !visit_is_late(visit);
         n += EXPORT_STEP) {
        more = export_next(v->export, shard_node(shard), EXPORT_STEP, &portion);
        visit->looked += EXPORT_STEP;
    }
    if (v->framed && portion.len)
        buf_printf(&visit->out, "{\"data\":%zu}\n", portion.len);
    buf_append_slice(&visit->out, buf_slice(&portion));
    buf_fini(&portion);
    return !more;
}

void export_visit_init(struct export_visit *v, struct slice vhost)
{
    v->visit.run = export_run;
    v->visit.fini = export_fini;
    v->export = export_new(vhost);
}

/* ---- in ---- */

static const char *by(const struct import_visit *v)
{
    return v->by.len ? " by " : "";
}

static void log_end(const struct import_visit *v)
{
    struct buf text = BUF_INIT;
    import_put_summary(v->import, &text);
    if (v->failed)
        log_error(ADMIN, NULL, "import of definitions%s%.*s: %s", by(v), SLICE_ARG(v->by),
                  v->why.text);
    else
        log_info(ADMIN, NULL, "definitions imported%s%.*s: %s", by(v), SLICE_ARG(v->by),
                 buf_cstr(&text));
    buf_fini(&text);
}

static void import_fini(struct visit *visit)
{
    struct import_visit *v = (struct import_visit *)visit;
    if (visit->begun && !v->failed && !v->unchanged && !import_is_done(v->import)) {
        struct buf text = BUF_INIT;
        import_put_summary(v->import, &text);
        log_warning(ADMIN, NULL, "an import of definitions%s%.*s was broken off; put: %s", by(v),
                    SLICE_ARG(v->by), buf_cstr(&text));
        buf_fini(&text);
    }
    import_free(&v->import);
    slice_free(&v->scope);
    slice_free(&v->by);
}

static void put_warnings(struct import_visit *v)
{
    struct slice all = import_take_warnings(v->import), rest = all;
    while (rest.len) {
        const uint8_t *newline = memchr(rest.data, '\n', rest.len);
        size_t length = newline ? (size_t)(newline - rest.data) : rest.len;
        struct slice line = slice_of(rest.data, length);
        log_warning(ADMIN, NULL, "import of definitions: %.*s", SLICE_ARG(line));
        if (v->tells) {
            buf_append_str(&v->visit.out, "{\"warning\":");
            json_put_string(&v->visit.out, line);
            buf_append_str(&v->visit.out, "}\n");
        }
        length += newline != NULL;
        rest = slice_of(rest.data + length, rest.len - length);
    }
    slice_free(&all);
}

static void put_progress(struct import_visit *v)
{
    struct buf text = BUF_INIT;
    v->untold = 0;
    if (!import_is_done(v->import)) {
        import_put_summary(v->import, &text);
        report_progress(&v->visit.out, "put: %s", buf_cstr(&text));
    }
    buf_fini(&text);
}

static bool import_run(struct visit *visit, struct shard *shard)
{
    struct import_visit *v = (struct import_visit *)visit;
    struct node *node = shard_node(shard);
    if (!visit->begun && v->skip && import_is_unchanged(v->import, node, v->scope))
        v->unchanged = true;
    visit->begun = true;
    if (v->unchanged)
        return true;
    for (size_t n = 0;
         n < IMPORT_ITEMS && !v->failed && !import_is_done(v->import) && !visit_is_late(visit);
         n += IMPORT_STEP) {
        v->failed = import_step(v->import, node, meta_put, IMPORT_STEP, &v->why) != ERR_NONE;
        visit->looked += IMPORT_STEP;
    }
    put_warnings(v);
    if (v->tells && (v->untold += visit->looked) >= IMPORT_ITEMS)
        put_progress(v);
    bool done = import_is_done(v->import);
    if (done && v->remembers)
        import_remember(v->import, node, v->scope);
    if (done || v->failed)
        log_end(v);
    return v->failed || done;
}

void import_visit_init(struct import_visit *v, struct import **import, struct slice scope)
{
    v->visit.run = import_run;
    v->visit.fini = import_fini;
    v->import = *import;
    v->scope = slice_dup(scope);
    *import = NULL;
}
