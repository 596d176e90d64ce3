#include "rig.h"

static bool parse(const struct row *row, const char *text, void *field, struct buf *problem)
{
    static struct arena arena;
    buf_clear(problem);
    bool ok = scalar_parse(row, SPELLED_PLAIN, slice_str(text), field, &arena, problem);
    cr_assert_eq(ok, problem->len == 0, "%s", text);
    return ok;
}

UNIT(scalar, sizes)
{
    static const struct {
        const char *text;
        uint64_t n;
    } good[] = {
        {"0", 0},           {"4096", 4096},     {"1k", 1024},
        {"1Ki", 1024},      {"1 KiB", 1024},    {"1kB", 1000},
        {"1KB", 1000},      {"64MB", 64000000}, {"64MiB", 64u << 20},
        {"64m", 64u << 20}, {"1GiB", 1u << 30}, {"1.5GiB", 3u << 29},
        {"0.5k", 512},      {"2T", 2ull << 40}, {"18446744073709551615", UINT64_MAX},
    };
    static const char *const bad[] = {
        "",          "k",
        "-1",        "1.",
        ".5k",       "1..5k",
        "1x",        "1 k B",
        "1e3",       "0x10",
        " 1",        "1 k ",
        "1kk",       "18446744073709551616",
        "20000000T", "1.0000000001k",
    };
    const struct row row = {.path = "x", .type = ROW_SIZE, .size = 8};
    struct buf problem = BUF_INIT;
    uint64_t n = 0;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_assert(parse(&row, good[i].text, &n, &problem), "%s", good[i].text);
        cr_assert_eq(n, good[i].n, "%s", good[i].text);
        struct buf text = BUF_INIT; /* printed, it is the same again */
        uint64_t again = 0;
        scalar_print(&row, &n, &text);
        cr_assert(parse(&row, buf_cstr(&text), &again, &problem));
        cr_assert_eq(again, n);
        buf_fini(&text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(parse(&row, bad[i], &n, &problem), "%s", bad[i]);
    buf_fini(&problem);
}

UNIT(scalar, durations)
{
    static const struct {
        const char *text;
        unsigned ms;
    } good[] = {
        {"0", 0},       {"250", 250},     {"250ms", 250},  {"10s", 10000},   {"1.5s", 1500},
        {"2m", 120000}, {"2min", 120000}, {"1h", 3600000}, {"1d", 86400000}, {"3 s", 3000},
    };
    const struct row millis = {.path = "x", .type = ROW_MILLIS, .size = 4};
    const struct row seconds = {.path = "x", .type = ROW_SECONDS, .size = 4, .max = 100};
    struct buf problem = BUF_INIT;
    uint32_t n = 0;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_assert(parse(&millis, good[i].text, &n, &problem), "%s", good[i].text);
        cr_assert_eq(n, good[i].ms, "%s", good[i].text);
    }
    cr_assert(parse(&seconds, "60", &n, &problem) && n == 60);
    cr_assert(parse(&seconds, "60s", &n, &problem) && n == 60);
    cr_assert(parse(&seconds, "1m", &n, &problem) && n == 60);
    cr_assert(parse(&seconds, "2000ms", &n, &problem) && n == 2);
    cr_assert_not(parse(&seconds, "500ms", &n, &problem));
    cr_assert_not_null(strstr(buf_cstr(&problem), "whole number of seconds"));
    cr_assert_not(parse(&seconds, "101", &n, &problem));
    cr_assert_str_eq(buf_cstr(&problem), "'101' is out of range, 0s to 100s");
    cr_assert_not(parse(&millis, "soon", &n, &problem));
    buf_fini(&problem);
}

UNIT(scalar, numbers_and_modes)
{
    const struct row number = {.path = "x", .type = ROW_UINT, .size = 4, .min = 1, .max = 10};
    const struct row wide = {.path = "x", .type = ROW_UINT, .size = 4};
    const struct row mode = {.path = "x", .type = ROW_MODE, .size = 4, .max = 0777};
    struct buf problem = BUF_INIT;
    uint32_t n = 0;
    cr_assert(parse(&number, "10", &n, &problem) && n == 10);
    cr_assert_not(parse(&number, "0", &n, &problem));
    cr_assert_not(parse(&number, "11", &n, &problem));
    cr_assert_str_eq(buf_cstr(&problem), "'11' is out of range, 1 to 10");
    cr_assert_not(parse(&number, "1.0", &n, &problem));
    cr_assert_not(parse(&number, "ten", &n, &problem));
    cr_assert(parse(&wide, "4294967295", &n, &problem) && n == UINT32_MAX);
    cr_assert_not(parse(&wide, "4294967296", &n, &problem));
    cr_assert(parse(&mode, "0640", &n, &problem) && n == 0640);
    cr_assert(parse(&mode, "640", &n, &problem) && n == 0640);
    cr_assert_not(parse(&mode, "0680", &n, &problem));
    cr_assert_not(parse(&mode, "1777", &n, &problem));
    buf_fini(&problem);
}

UNIT(scalar, numbers_and_words)
{
    const struct row row = {
        .path = "x", .type = ROW_UINT, .size = 4, .max = 10, .first = 1000, .names = "auto off"};
    static const char *const same[] = {"auto", "off", "0", "10"};
    static const uint32_t values[] = {1000, 1001, 0, 10};
    struct buf problem = BUF_INIT, out = BUF_INIT;
    uint32_t n = 5;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        cr_assert(parse(&row, same[i], &n, &problem) && n == values[i], "%s", same[i]);
        buf_clear(&out);
        scalar_print(&row, &n, &out);
        cr_assert_str_eq(buf_cstr(&out), same[i]);
    }
    cr_assert_not(parse(&row, "1000", &n, &problem));
    cr_assert_str_eq(buf_cstr(&problem), "'1000' is out of range, 0 to 10");
    cr_assert_not(parse(&row, "on", &n, &problem));
    cr_assert_str_eq(buf_cstr(&problem), "'on' is neither a whole number nor one of: auto, off");
    buf_clear(&out);
    scalar_describe(&row, &out);
    cr_assert_str_eq(buf_cstr(&out), "whole number, 0 to 10, or one of auto, off");
    buf_fini(&out);
    buf_fini(&problem);
}

UNIT(scalar, words)
{
    const struct row row = {
        .path = "x", .type = ROW_ENUM, .size = 4, .first = -1, .names = "inherit debug info"};
    const struct row flag = {.path = "x", .type = ROW_ENUM, .size = 1, .names = "queue exchange"};
    const struct row yes = {.path = "x", .type = ROW_BOOL, .size = 1};
    struct buf problem = BUF_INIT;
    int n = 5;
    bool b = false;
    cr_assert(parse(&row, "inherit", &n, &problem) && n == -1);
    cr_assert(parse(&row, "info", &n, &problem) && n == 1);
    cr_assert_not(parse(&row, "inf", &n, &problem));
    cr_assert_str_eq(buf_cstr(&problem), "'inf' is not one of: inherit, debug, info");
    cr_assert_not(parse(&row, "", &n, &problem));
    cr_assert(parse(&flag, "exchange", &b, &problem) && b);
    cr_assert(parse(&flag, "queue", &b, &problem) && !b);
    cr_assert(parse(&yes, "true", &b, &problem) && b);
    cr_assert(parse(&yes, "Off", &b, &problem) && !b);
    cr_assert(parse(&yes, "yes", &b, &problem) && b);
    cr_assert_not(parse(&yes, "1", &b, &problem));
    buf_fini(&problem);
}

UNIT(scalar, memory)
{
    const struct row row = {.path = "x", .type = ROW_MEMORY};
    struct buf problem = BUF_INIT;
    struct conf_memory m = {0};
    cr_assert(parse(&row, "0.6", &m, &problem));
    cr_assert_float_eq(m.relative, 0.6, 1e-9);
    cr_assert_eq(m.absolute, 0);
    cr_assert(parse(&row, "1", &m, &problem) && m.relative == 1 && !m.absolute);
    cr_assert(parse(&row, "2GiB", &m, &problem) && !m.relative && m.absolute == 2ull << 30);
    cr_assert(parse(&row, "1000000", &m, &problem) && m.absolute == 1000000);
    cr_assert_not(parse(&row, "-0.5", &m, &problem));
    cr_assert_not(parse(&row, "nan", &m, &problem));
    cr_assert_not(parse(&row, "60%", &m, &problem));
    cr_assert_not(parse(&row, "", &m, &problem));
    cr_assert_not(parse(&row, "1.5", &m, &problem));
    cr_assert_str_eq(buf_cstr(&problem), "'1.5' is out of range, at most 1");
    buf_fini(&problem);
}

/* Where more than all of the memory may be meant, a point tells a share from a size. */
UNIT(scalar, memory_multiples)
{
    const struct row row = {.path = "x", .type = ROW_MEMORY, .max = 1000};
    static const struct {
        enum spelling spelling;
        const char *text;
        double relative;
        uint64_t absolute;
    } good[] = {
        {SPELLED_PLAIN, "2.0", 2, 0},
        {SPELLED_PLAIN, "1.5", 1.5, 0},
        {SPELLED_PLAIN, "2", 0, 2},
        {SPELLED_PLAIN, "1", 1, 0},
        {SPELLED_PLAIN, "0", 0, 0},
        {SPELLED_PLAIN, "50MB", 0, 50000000},
        {SPELLED_PLAIN, "1.5GiB", 0, 3u << 29},
        {SPELLED_PLAIN, "1B", 0, 1},
        {SPELLED_ABSOLUTE, "1", 0, 1},
        {SPELLED_ABSOLUTE, "2GB", 0, 2000000000},
        {SPELLED_RELATIVE, "2", 2, 0},
        {SPELLED_RELATIVE, "0.5", 0.5, 0},
    };
    struct buf problem = BUF_INIT, text = BUF_INIT;
    struct conf_memory m, again;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        m = (struct conf_memory){0};
        struct slice in = slice_str(good[i].text);
        cr_assert(scalar_parse(&row, good[i].spelling, in, &m, NULL, &problem), "%s", good[i].text);
        cr_assert_float_eq(m.relative, good[i].relative, 1e-9, "%s", good[i].text);
        cr_assert_eq(m.absolute, good[i].absolute, "%s", good[i].text);
        buf_clear(&text);
        scalar_print(&row, &m, &text);
        cr_assert(parse(&row, buf_cstr(&text), &again, &problem), "%s", buf_cstr(&text));
        cr_assert_float_eq(again.relative, m.relative, 1e-9, "%s", buf_cstr(&text));
        cr_assert_eq(again.absolute, m.absolute, "%s", buf_cstr(&text));
    }
    cr_assert_not(scalar_parse(&row, SPELLED_RELATIVE, SLICE("2GB"), &m, NULL, &problem));
    cr_assert_not(scalar_parse(&row, SPELLED_RELATIVE, SLICE("1000.5"), &m, NULL, &problem));
    cr_assert_not(scalar_parse(&row, SPELLED_ABSOLUTE, SLICE("x"), &m, NULL, &problem));
    buf_fini(&text);
    buf_fini(&problem);
}

UNIT(scalar, texts)
{
    const struct row row = {.path = "x", .type = ROW_TEXT, .min = 1, .max = 5};
    struct buf problem = BUF_INIT;
    struct arena arena = {NULL};
    const char *text = NULL;
    cr_assert(scalar_parse(&row, SPELLED_PLAIN, SLICE("abcde"), &text, &arena, &problem));
    cr_assert_str_eq(text, "abcde");
    cr_assert_not(scalar_parse(&row, SPELLED_PLAIN, SLICE("abcdef"), &text, &arena, &problem));
    cr_assert_not(scalar_parse(&row, SPELLED_PLAIN, SLICE_EMPTY, &text, &arena, &problem));
    cr_assert_not(scalar_parse(&row, SPELLED_PLAIN, slice_of("a\0b", 3), &text, &arena, &problem));
    cr_assert_not(scalar_parse(&row, SPELLED_PLAIN, SLICE("\xff"), &text, &arena, &problem));
    buf_clear(&problem);
    scalar_quote(SLICE("a\"b\\c\nd\x7f\xc3\xbc\xc2\x85\xe2\x80\xa8"), &problem);
    cr_assert_str_eq(buf_cstr(&problem), "\"a\\\"b\\\\c\\u000ad\\u007f\xc3\xbc\\u0085\\u2028\"");
    buf_fini(&problem);
    arena_fini(&arena);
}
