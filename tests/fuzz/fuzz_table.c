/* A table's body. Reading stays in bounds whether the body passes the check or not; what passes can
 * be compared, rewritten and built again. */
#include "base/table.h"
#include "fuzz.h"

/* Building every entry anew gives an equal table; only a bool's octet and the letter L may change.
 */
static void check_rebuilt(struct slice table)
{
    struct buf copy = BUF_INIT;
    struct slice key;
    struct table_value value, found;
    struct table_iter it = table_iter(table);
    size_t n = 0;
    while (table_next(&it, &key, &value)) {
        require(table_find(table, key, &found));
        require(table_value_equal(&value, &value) && table_value_match(&value, &value));
        require(table_value_equal(&value, &found) == table_value_equal(&found, &value));
        require(table_value_match(&value, &found) == table_value_match(&found, &value));
        table_put(&copy, key, &value);
        n++;
    }
    require(it.pos == it.end);
    require(copy.len == table.len && table_count(table) == n);
    require(table_check(buf_slice(&copy)));
    require(table_equal(table, buf_slice(&copy)));
    buf_fini(&copy);
}

static void check_rewritten(struct slice table, struct slice key)
{
    struct buf out = BUF_INIT;
    struct table_value found, nine = table_value_i64(9);
    size_t n = table_count(table);
    table_remove(table, key, &out);
    require(table_check(buf_slice(&out)) && !table_find(buf_slice(&out), key, &found));
    require(table_count(buf_slice(&out)) < n);
    buf_clear(&out);
    table_replace(table, key, &nine, &out);
    require(table_check(buf_slice(&out)) && table_find(buf_slice(&out), key, &found));
    require(table_value_equal(&found, &nine));
    buf_clear(&out);
    table_merge(table, table, &out);
    require(slice_eq(buf_slice(&out), table));
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice table = slice_of(data, size);
    struct buf text = BUF_INIT;
    struct slice key;
    struct table_value value;
    array_check(table);
    table_print(table, &text);
    table_value_print_term(&(struct table_value){.type = TABLE_ARRAY, .bytes = table}, &text);
    buf_fini(&text);
    if (!table_check(table))
        return 0;
    check_rebuilt(table);
    struct table_iter it = table_iter(table);
    if (table_next(&it, &key, &value))
        check_rewritten(table, key);
    return 0;
}
