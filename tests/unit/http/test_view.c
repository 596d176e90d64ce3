/* Objects as clients want to see them. */
#include "base/json.h"
#include "base/table.h"
#include "http/view.h"
#include "unit.h"

static void fill(struct view *v)
{
    struct buf table = BUF_INIT;
    table_put_str(&table, SLICE("k"), SLICE("v"));
    view_begin(v);
    view_text(v, "name", SLICE("a\"b"));
    view_int(v, "messages", 7);
    view_rate(v, "messages_details", 1.5);
    if (view_object(v, "message_stats")) {
        view_int(v, "publish", 3);
        view_rate(v, "publish_details", 2);
        view_object_end(v);
    }
    if (view_list(v, "list")) {
        view_list_end(v);
    }
    view_bool(v, "durable", true);
    view_null(v, "policy");
    view_table(v, "arguments", buf_slice(&table));
    view_channel(v, "channel_details", (struct addr){.slot = 1, .gen = 1});
    view_end(v);
    buf_fini(&table);
}

static void shows(const char *columns, const char *json)
{
    struct paths paths;
    struct buf out = BUF_INIT;
    cr_assert(paths_parse(slice_str(columns), &paths));
    struct view v = view_of(&out, &paths);
    fill(&v);
    cr_assert(slice_eq_str(buf_slice(&out), json), "%s: %s", columns, buf_cstr(&out));
    view_fini(&v);
    buf_fini(&out);
}

UNIT(view, columns)
{
    shows("", "{\"name\":\"a\\\"b\",\"messages\":7,\"messages_details\":{\"rate\":1.5},"
              "\"message_stats\":{\"publish\":3,\"publish_details\":{\"rate\":2.0}},\"list\":[],"
              "\"durable\":true,\"policy\":null,\"arguments\":{\"k\":\"v\"},\"channel_details\":}");
    shows("name", "{\"name\":\"a\\\"b\"}");
    shows("messages,,durable", "{\"messages\":7,\"durable\":true}");
    shows("message", "{}");
    shows("message_stats.publish", "{\"message_stats\":{\"publish\":3}}");
    shows("message_stats.publish_details",
          "{\"message_stats\":{\"publish_details\":{\"rate\":2.0}}}");
    shows("message_stats",
          "{\"message_stats\":{\"publish\":3,\"publish_details\":{\"rate\":2.0}}}");
    shows("messages_details.rate,arguments",
          "{\"messages_details\":{\"rate\":1.5},\"arguments\":{\"k\":\"v\"}}");
    shows("none.at.all", "{}");
}

UNIT(view, too_many_columns)
{
    struct buf text = BUF_INIT;
    struct paths paths;
    for (int i = 0; i < HTTP_COLUMNS_MAX; i++)
        buf_append_str(&text, "a,");
    cr_assert(paths_parse(buf_slice(&text), &paths));
    buf_append_str(&text, "b");
    cr_assert_not(paths_parse(buf_slice(&text), &paths));
    buf_fini(&text);
}

static void sorted(struct slice path, const struct buf *wanted)
{
    struct buf key = BUF_INIT;
    struct view v = view_sort_key(&key, path);
    fill(&v);
    cr_assert(slice_eq(buf_slice(&key), buf_slice(wanted)), "%.*s", SLICE_ARG(path));
    view_fini(&v);
    buf_fini(&key);
}

UNIT(view, sort_keys)
{
    struct buf key = BUF_INIT, other = BUF_INIT;
    view_put_key_number(&key, 7);
    sorted(SLICE("messages"), &key);
    buf_clear(&key);
    view_put_key_number(&key, 2);
    sorted(SLICE("message_stats.publish_details.rate"), &key);
    buf_clear(&key);
    sorted(SLICE("message_stats"), &key);
    sorted(SLICE("none"), &key);
    static const double order[] = {-1e9, -1.5, 0, 1e-9, 1, 2, 1e12};
    for (size_t i = 0; i + 1 < sizeof order / sizeof *order; i++) {
        buf_clear(&key);
        buf_clear(&other);
        view_put_key_number(&key, order[i]);
        view_put_key_number(&other, order[i + 1]);
        cr_assert_lt(slice_cmp(buf_slice(&key), buf_slice(&other)), 0);
    }
    buf_clear(&other);
    view_put_key_text(&other, SLICE(""));
    cr_assert_lt(slice_cmp(buf_slice(&key), buf_slice(&other)), 0);
    buf_fini(&key);
    buf_fini(&other);
}

UNIT(json, escapes)
{
    struct buf out = BUF_INIT;
    json_put_string(&out, slice_of("\0\a\b\t\n\v\f\r\x1f \"\\/\x7f\xff\xc3\xa9", 17));
    cr_assert(slice_eq_str(buf_slice(&out),
                           "\"\\u0000\\u0007\\b\\t\\n\\u000b\\f\\r\\u001f \\\"\\\\/"
                           "\\u007f\xef\xbf\xbd\xc3\xa9\""),
              "%s", buf_cstr(&out));
    buf_fini(&out);
}
