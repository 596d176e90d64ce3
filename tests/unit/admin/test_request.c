/* The lines of a client. */
#include "admin/request.h"
#include "unit.h"

#include "base/buf.h"
#include "base/control.h"

#include <stdlib.h>

UNIT(request, good)
{
    struct request r;
    const char *error = NULL;
    cr_assert(request_parse(SLICE("{\"control\":1,\"words\":[\"a\",\"\xc3\xa9 b\"],\"json\":true,"
                                  "\"more\":{}}"),
                            &r, &error));
    cr_assert_eq(r.count, 2);
    cr_assert_str_eq(r.words[0], "a");
    cr_assert_str_eq(r.words[1], "\xc3\xa9 b");
    cr_assert_null(r.words[2]);
    cr_assert(r.json);
    request_fini(&r);
    cr_assert(request_parse(SLICE("{\"words\":[\"\"],\"control\":1}"), &r, &error));
    cr_assert_not(r.json);
    request_fini(&r);
}

UNIT(request, bad)
{
    static const char *const lines[] = {
        "",
        " ",
        "x",
        "[]",
        "1",
        "null",
        "{",
        "{}",
        "{\"control\":1}",
        "{\"control\":1,\"words\":[]}",
        "{\"control\":1,\"words\":\"x\"}",
        "{\"control\":1,\"words\":[1]}",
        "{\"control\":1,\"words\":[\"x\",null]}",
        "{\"control\":1,\"words\":{\"a\":\"x\"}}",
        "{\"control\":2,\"words\":[\"x\"]}",
        "{\"control\":\"1\",\"words\":[\"x\"]}",
        "{\"words\":[\"x\"]}",
        "{\"control\":1,\"words\":[\"\xff\"]}",
        "GET / HTTP/1.1",
    };
    struct request r = {.count = 77};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const char *error = NULL;
        cr_assert_not(request_parse(slice_str(lines[i]), &r, &error), "%s", lines[i]);
        cr_assert(error && *error);
        cr_assert_eq(r.count, 77);
    }
}

UNIT(request, bounds)
{
    struct buf line = BUF_INIT;
    struct request r;
    const char *error = NULL;
    buf_append_str(&line, "{\"control\":1,\"words\":[\"w\"");
    for (int i = 1; i < CONTROL_WORDS_MAX; i++)
        buf_append_str(&line, ",\"w\"");
    size_t full = line.len;
    buf_append_str(&line, "]}");
    cr_assert(request_parse(buf_slice(&line), &r, &error));
    cr_assert_eq(r.count, CONTROL_WORDS_MAX);
    request_fini(&r);
    line.len = full;
    buf_append_str(&line, ",\"w\"]}");
    cr_assert_not(request_parse(buf_slice(&line), &r, &error));
    /* nested as deep as a line allows */
    buf_clear(&line);
    for (int i = 0; i < CONTROL_LINE_MAX; i++)
        buf_append_byte(&line, '[');
    cr_assert_not(request_parse(buf_slice(&line), &r, &error));
    buf_append_byte(&line, '[');
    cr_assert_not(request_parse(buf_slice(&line), &r, &error));
    buf_fini(&line);
}

UNIT(request, answers)
{
    char *answer = NULL;
    cr_assert(request_parse_answer(SLICE("{\"answer\":\"pw\"}"), &answer));
    cr_assert_str_eq(answer, "pw");
    free(answer);
    cr_assert(request_parse_answer(SLICE("{\"answer\":null}"), &answer));
    cr_assert_null(answer);
    cr_assert_not(request_parse_answer(SLICE("{\"answer\":1}"), &answer));
    cr_assert_not(request_parse_answer(SLICE("{}"), &answer));
    cr_assert_not(request_parse_answer(SLICE("\"pw\""), &answer));
}
