/* Rows of tables as JSON lines. */
#include "admin/listing.h"

#include "admin/cell.h"
#include "base/bug.h"
#include "base/utf8.h"
#include "meta/meta.h"

#include <string.h>
#include <sysexits.h>

bool rows_begin(struct call *call, struct rows *rows, const char *defaults, bool keyed,
                const char *banner, ...)
{
    struct buf unknown = BUF_INIT, text = BUF_INIT;
    va_list ap;
    rows->json = call->request.typed;
    bool good = columns_choose(&rows->columns, call->args.command->columns(), defaults,
                               call->args.words, call->args.count, &unknown);
    if (good) {
        va_start(ap, banner);
        buf_vprintf(&text, banner, ap);
        va_end(ap);
        call_banner(call, "%s", buf_cstr(&text));
        call_columns(call, rows->columns.names, rows->columns.count, keyed);
    } else {
        call_refuse(call, EX_USAGE, "Info key(s) %s are not supported", buf_cstr(&unknown));
    }
    buf_fini(&text);
    buf_fini(&unknown);
    return good;
}

void rows_begin_fixed(struct call *call, struct rows *rows, const char *columns, bool keyed)
{
    static const char *const all[] = {"user",
                                      "tags",
                                      "configure",
                                      "write",
                                      "read",
                                      "vhost",
                                      "exchange",
                                      "interface",
                                      "port",
                                      "protocol",
                                      "name",
                                      "bytes",
                                      "percent",
                                      "shard",
                                      "turns",
                                      "ops_local",
                                      "ops_in",
                                      "ops_out",
                                      "wakes",
                                      "stale_ops",
                                      "ring_full",
                                      "longest_turn_us",
                                      "gathered",
                                      "group",
                                      "usage",
                                      "text",
                                      "options",
                                      "pattern",
                                      "apply-to",
                                      "definition",
                                      "priority",
                                      "component",
                                      "value",
                                      "limits",
                                      "id",
                                      "due_in",
                                      "size",
                                      "delivery_count",
                                      "routing_key",
                                      "thread",
                                      "tid",
                                      "system",
                                      "sleep",
                                      "remote_address",
                                      "username",
                                      "auth_attempts",
                                      "auth_attempts_failed",
                                      "auth_attempts_succeeded",
                                      "applies_to",
                                      "result",
                                      NULL};
    struct buf unknown = BUF_INIT;
    rows->json = call->request.typed;
    bug_on(!columns_choose(&rows->columns, all, columns, NULL, 0, &unknown));
    call_columns(call, rows->columns.names, rows->columns.count, keyed);
    buf_fini(&unknown);
}

void rows_begin_boxed(struct call *call, struct rows *rows, const char *const *names, size_t count)
{
    *rows = (struct rows){.json = call->request.typed};
    call->boxed = true;
    call_columns(call, names, count, false);
}

void row_begin(struct buf *out)
{
    buf_append_byte(out, '[');
}

static void separate(struct buf *out)
{
    if (out->data[out->len - 1] != '[')
        buf_append_byte(out, ',');
}

/* NUL would end the key for the client, and bytes that are no UTF-8 all look the same in JSON. */
static void put_odd_key(struct buf *out, struct slice key)
{
    struct buf text = BUF_INIT;
    while (key.len) {
        unsigned length = utf8_char_len(key);
        if (length && *key.data) {
            buf_append(&text, key.data, length);
        } else {
            buf_printf(&text, "%s%02x", length ? "\x01" : "\xef\xbf\xbd", *key.data);
            length = 1;
        }
        key = slice_of(key.data + length, key.len - length);
    }
    cell_put_string(out, buf_slice(&text));
    buf_fini(&text);
}

void row_put_key(struct buf *out, struct slice key)
{
    separate(out);
    if (utf8_valid(key) && (!key.len || !memchr(key.data, 0, key.len)))
        cell_put_string(out, key);
    else
        put_odd_key(out, key);
}

/* "[a, b]" as ["a","b"] */
static void put_list(struct buf *out, struct slice text)
{
    bool first = true;
    buf_append_byte(out, '[');
    for (size_t at = 1; at + 1 < text.len;) {
        size_t end = at;
        while (end + 1 < text.len && text.data[end] != ',')
            end++;
        if (!first)
            buf_append_byte(out, ',');
        first = false;
        cell_put_string(out, slice_of(text.data + at, end - at));
        at = end + 2;
    }
    buf_append_byte(out, ']');
}

static bool is_list(const char *column)
{
    static const char *const names[] = {"tags", "active_replicas", "all_nodes", "disc_copies",
                                        "user_properties"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!strcmp(column, names[i]))
            return true;
    }
    return false;
}

void row_put(struct buf *out, const struct rows *rows, const char *column, struct value value)
{
    separate(out);
    if (rows->json && value.type == VALUE_TEXT && is_list(column))
        put_list(out, value.bytes);
    else
        cell_put(out, &value, rows->json);
    value_fini(&value);
}

void row_put_text(struct buf *out, const struct rows *rows, const char *text)
{
    row_put(out, rows, "", value_text(slice_str(text)));
}

void row_put_int(struct buf *out, const struct rows *rows, uint64_t n)
{
    row_put(out, rows, "", value_int((int64_t)n));
}

void row_end(struct buf *out)
{
    buf_append_str(out, "]\n");
}

void rows_put_member(struct call *call)
{
    static const char *const names[] = {
        "Node Name",    "Raft State",   "Membership",     "Last Log Index", "Last Written",
        "Last Applied", "Commit Index", "Snapshot Index", "Term",           "Machine Version"};
    enum { KNOWN = 3, COLUMNS = sizeof names / sizeof *names };
    const char *const known[KNOWN] = {meta_node_name(call_node(call)), "leader", "voter"};
    struct rows rows;
    struct buf out = BUF_INIT;
    rows_begin_boxed(call, &rows, names, COLUMNS);
    row_begin(&out);
    for (size_t i = 0; i < COLUMNS; i++)
        row_put_text(&out, &rows, i < KNOWN ? known[i] : "");
    row_end(&out);
    call_write(call, buf_slice(&out));
    buf_fini(&out);
}
