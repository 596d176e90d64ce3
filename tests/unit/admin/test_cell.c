/* Values as JSON and as text. */
#include "admin/cell.h"
#include "admin/listing.h"
#include "unit.h"

#include "base/table.h"

static void check_cell(struct value v, bool json, const char *expected)
{
    struct buf out = BUF_INIT;
    cell_put(&out, &v, json);
    cr_assert_str_eq(buf_cstr(&out), expected);
    buf_fini(&out);
    value_fini(&v);
}

UNIT(cell, values)
{
    const struct {
        struct value value;
        const char *json, *text;
    } cases[] = {
        {value_none(), "\"\"", "\"\""},
        {value_bool(true), "true", "\"true\""},
        {value_int(-7), "-7", "\"-7\""},
        {value_int(INT64_MAX), "9223372036854775807", "\"9223372036854775807\""},
        {value_double(1.0), "1.0", "\"1.0\""},
        {value_double(18.83), "18.83", "\"18.83\""},
        {value_double(1e300 * 1e10), "null", "\"null\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_cell(cases[i].value, true, cases[i].json);
        check_cell(cases[i].value, false, cases[i].text);
    }
    check_cell(value_text(SLICE("a\"b\\c\td\n\x01\x7f")), true,
               "\"a\\\"b\\\\c\\td\\n\\u0001\\u007f\"");
    check_cell(value_text(SLICE("\b\v\f\r")), false, "\"\\b\\u000b\\f\\r\"");
    check_cell(value_text(SLICE("h\xc3\xa9")), false, "\"h\xc3\xa9\"");
    check_cell(value_text(SLICE("\xff-\xc3")), true, "\"\xef\xbf\xbd-\xef\xbf\xbd\"");
}

static struct buf sample(void)
{
    struct buf t = BUF_INIT;
    table_put_i32(&t, SLICE("n"), 10);
    table_put_str(&t, SLICE("s"), SLICE("a\"b"));
    table_put_bool(&t, SLICE("b"), true);
    table_put_void(&t, SLICE("v"));
    table_put_double(&t, SLICE("d"), 1.5);
    table_put_timestamp(&t, SLICE("T"), 1700000000);
    size_t mark = table_open(&t, SLICE("l"), TABLE_ARRAY);
    array_put_i64(&t, 1);
    array_put_str(&t, SLICE("x"));
    table_close(&t, mark);
    mark = table_open(&t, SLICE("t"), TABLE_TABLE);
    table_put_i32(&t, SLICE("k"), 1);
    table_close(&t, mark);
    return t;
}

UNIT(cell, tables)
{
    struct buf t = sample();
    check_cell(value_table(buf_slice(&t)), true,
               "[[\"n\",\"signedint\",10],[\"s\",\"longstr\",\"a\\\"b\"],[\"b\",\"bool\",true],"
               "[\"v\",\"void\",null],[\"d\",\"double\",1.5],[\"T\",\"timestamp\",1700000000],"
               "[\"l\",\"array\",[1,\"x\"]],[\"t\",\"table\",[[\"k\",\"signedint\",1]]]]");
    struct buf text = BUF_INIT;
    cell_put_table_text(&text, buf_slice(&t));
    cr_assert_str_eq(buf_cstr(&text),
                     "[{\"n\",10},{\"s\",\"a\\\"b\"},{\"b\",true},{\"v\",undefined},{\"d\",1.5},"
                     "{\"T\",1700000000},{\"l\",[1,\"x\"]},{\"t\",[{\"k\",1}]}]");
    check_cell(value_table(SLICE_EMPTY), true, "[]");
    check_cell(value_table(SLICE_EMPTY), false, "\"[]\"");
    buf_fini(&text);
    buf_fini(&t);
}

/* Nested deeper than a stack would bear. */
UNIT(cell, depth)
{
    enum { DEPTH = 20000 };
    struct buf t = BUF_INIT, out = BUF_INIT;
    size_t *marks = malloc(DEPTH * sizeof *marks);
    for (size_t i = 0; i < DEPTH; i++)
        marks[i] = table_open(&t, SLICE("t"), TABLE_TABLE);
    for (size_t i = DEPTH; i-- > 0;)
        table_close(&t, marks[i]);
    cell_put_table(&out, buf_slice(&t));
    cr_assert_lt(out.len, 2000);
    cr_assert(strstr(buf_cstr(&out), "\"...\""));
    free(marks);
    buf_fini(&t);
    buf_fini(&out);
}

UNIT(listing, rows)
{
    struct rows rows = {.json = true};
    struct buf out = BUF_INIT;
    row_begin(&out);
    row_put_key(&out, SLICE("k"));
    row_put(&out, &rows, "tags", value_text(SLICE("[a, b c]")));
    row_put(&out, &rows, "tags", value_text(SLICE("[]")));
    row_put(&out, &rows, "name", value_text(SLICE("[a]")));
    row_put_int(&out, &rows, 3);
    row_end(&out);
    rows.json = false;
    row_begin(&out);
    row_put(&out, &rows, "tags", value_text(SLICE("[a, b]")));
    row_end(&out);
    cr_assert_str_eq(buf_cstr(&out), "[\"k\",[\"a\",\"b c\"],[],\"[a]\",3]\n[\"[a, b]\"]\n");
    buf_fini(&out);
}
