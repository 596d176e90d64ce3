/* The choice of columns. */
#include "admin/columns.h"
#include "unit.h"

static void check(const char *const *words, size_t count, const char *chosen, const char *unknown)
{
    struct columns columns;
    struct buf names = BUF_INIT, bad = BUF_INIT;
    bool good = columns_choose(&columns, columns_queues(), "name messages", words, count, &bad);
    cr_assert_eq(good, *unknown == '\0');
    cr_assert_str_eq(buf_cstr(&bad), unknown);
    for (size_t i = 0; i < columns.count; i++)
        buf_printf(&names, "%s%s", i ? " " : "", columns.names[i]);
    if (good)
        cr_assert_str_eq(buf_cstr(&names), chosen);
    buf_fini(&names);
    buf_fini(&bad);
}

#define CHECK(chosen, unknown, ...)                                      \
    do {                                                                 \
        const char *const words[] = {__VA_ARGS__};                       \
        check(words, sizeof words / sizeof *words, (chosen), (unknown)); \
    } while (0)

UNIT(columns, choice)
{
    check(NULL, 0, "name messages", "");
    CHECK("messages name", "", "messages", "name");
    CHECK("messages name", "", "messages,name");
    CHECK("name consumers", "", "name,", ", consumers", "name");
    CHECK("name messages", "", "");
    CHECK("", "foo", "name", "foo");
    CHECK("", "foo,bar", "foo,name", "bar");
}

UNIT(columns, every_name_once)
{
    const char *const *const lists[] = {
        columns_vhosts(),      columns_queues(),   columns_exchanges(), columns_bindings(),
        columns_connections(), columns_channels(), columns_consumers()};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        size_t n = 0;
        for (const char *const *a = lists[i]; *a; a++, n++) {
            for (const char *const *b = a + 1; *b; b++)
                cr_assert_str_neq(*a, *b);
        }
        cr_assert_leq(n, COLUMNS_MAX);
    }
}
