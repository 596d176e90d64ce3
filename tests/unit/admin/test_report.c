/* Sizes as text and back. */
#include "admin/report.h"
#include "unit.h"

UNIT(report, parse_size)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},
                {"1", 1},
                {"512k", 512 * 1024},
                {"1.5GiB", 1536ull * 1024 * 1024},
                {"2GB", 2000000000},
                {"2 MB", 2000000},
                {"1kB", 1000},
                {"3M", 3 * 1024 * 1024}};
    static const char *const bad[] = {"",    "x",     "-1",  "1x",     "1 GiBB", "k",
                                      "nan", "1e400", "inf", "1e30TB", "+1"};
    uint64_t bytes;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_assert(report_parse_size(good[i].text, &bytes), "%s", good[i].text);
        cr_assert_eq(bytes, good[i].bytes, "%s", good[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(report_parse_size(bad[i], &bytes), "%s", bad[i]);
}

UNIT(report, units)
{
    enum report_unit unit;
    struct buf out = BUF_INIT;
    cr_assert(report_unit_parse("gb", &unit));
    report_put_size(&out, 199000000, unit);
    cr_assert_str_eq(buf_cstr(&out), "0.199 gb");
    buf_clear(&out);
    cr_assert(report_unit_parse("b", &unit) && report_unit_parse("bytes", &unit));
    report_put_size(&out, 12, unit);
    cr_assert_str_eq(buf_cstr(&out), "12 b");
    cr_assert_not(report_unit_parse("tb", &unit));
    buf_fini(&out);
}

UNIT(report, lines)
{
    struct buf out = BUF_INIT;
    report_print(&out, "a %d \"%s\"", 1, "b");
    report_value(&out, SLICE("{\"x\":1}"));
    cr_assert_str_eq(buf_cstr(&out), "{\"print\":\"a 1 \\\"b\\\"\"}\n{\"value\":{\"x\":1}}\n");
    buf_fini(&out);
}
