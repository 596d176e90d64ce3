/* The configuration as JSON: one object, its keys as they are written with dots. */
#include "base/json.h"
#include "conf/conf_priv.h"

static void put_key(const char *name, unsigned *count, struct buf *out)
{
    if ((*count)++)
        buf_append_byte(out, ',');
    json_put_string(out, slice_str(name));
    buf_append_byte(out, ':');
}

static void put_texts(const struct conf_texts *texts, struct buf *out)
{
    buf_append_byte(out, '[');
    for (size_t i = 0; i < texts->count; i++) {
        if (i)
            buf_append_byte(out, ',');
        json_put_string(out, slice_str(texts->items[i]));
    }
    buf_append_byte(out, ']');
}

/* Whole numbers and yes or no as such; amounts with a unit, and modes with their 0, as texts. */
static void put_scalar(const struct row *row, const void *field, struct buf *out)
{
    struct buf text = BUF_INIT;
    uint64_t n;
    scalar_print(row, field, &text);
    bool number = row->type != ROW_MODE && slice_number(buf_slice(&text), &n);
    if (row->type == ROW_BOOL || number)
        buf_append_slice(out, buf_slice(&text));
    else
        json_put_string(out, buf_slice(&text));
    buf_fini(&text);
}

static void put_members(const char *scope, const void *base, struct buf *out);

static void put_list(const struct row *row, const struct any_list *list, struct buf *out)
{
    char scope[128];
    row_scope(row, scope, sizeof scope);
    buf_append_byte(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            buf_append_byte(out, ',');
        put_members(scope, (const char *)list->items + i * row->item_size, out);
    }
    buf_append_byte(out, ']');
}

static void put_args(const struct conf_args *args, struct buf *out)
{
    unsigned count = 0;
    buf_append_byte(out, '{');
    for (size_t i = 0; i < args->count; i++) {
        const struct conf_arg *arg = &args->items[i];
        put_key(arg->name, &count, out);
        if (arg->type == CONF_ARG_VOID)
            buf_append_str(out, "null");
        else if (arg->type == CONF_ARG_BOOL)
            buf_append_str(out, arg->boolean ? "true" : "false");
        else if (arg->type == CONF_ARG_INT)
            buf_printf(out, "%lld", (long long)arg->integer);
        else if (arg->type == CONF_ARG_DOUBLE)
            json_put_double(out, arg->real);
        else
            json_put_string(out, slice_str(arg->text));
    }
    buf_append_byte(out, '}');
}

static void put_value(const struct row *row, const void *base, struct buf *out)
{
    const void *field = row_field_const(row, base);
    if (row->secret)
        json_put_string(out, SLICE("<hidden>"));
    else if (row->type == ROW_TEXT || row->type == ROW_PATH)
        json_put_string(out, slice_str(*(const char *const *)field));
    else if (row->type == ROW_TEXTS)
        put_texts(field, out);
    else if (row->type == ROW_LIST)
        put_list(row, field, out);
    else if (row->type == ROW_ARGS)
        put_args(field, out);
    else
        put_scalar(row, field, out);
}

static void put_members(const char *scope, const void *base, struct buf *out)
{
    unsigned count = 0;
    buf_append_byte(out, '{');
    for (const struct row *row = row_next(scope, NULL); row; row = row_next(scope, row)) {
        put_key(row_key(row, scope), &count, out);
        put_value(row, base, out);
    }
    buf_append_byte(out, '}');
}

void conf_put_json(const struct conf *conf, struct buf *out)
{
    put_members("", conf, out);
}
