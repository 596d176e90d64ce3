/* The PROXY protocol parser: what is taken, what is refused, and that it never reads beyond its
 * input nor decides too early. */
#include "net/proxy.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define V2 "\r\n\r\n\0\r\nQUIT\n"

struct good {
    struct slice bytes;
    const char *source, *destination; /* NULL: the socket's own */
};

static const struct good goods[] = {
    {SLICE("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"), "192.168.0.1:56324",
     "192.168.0.11:443"},
    {SLICE("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255:65535",
     "255.255.255.255:65535"},
    {SLICE("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0:0", "0.0.0.0:0"},
    {SLICE("PROXY TCP6 2001:db8::1 ::1 4 5672\r\n"), "[2001:db8::1]:4", "[::1]:5672"},
    {SLICE("PROXY TCP6 ::ffff:10.1.2.3 ::1 4 5672\r\n"), "10.1.2.3:4", "[::1]:5672"},
    {SLICE("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
    {SLICE("PROXY UNKNOWN\r\n"), NULL, NULL},
    {SLICE("PROXY UNKNOWN whatever comes here 99999\r\n"), NULL, NULL},
    {SLICE(V2 "\x20\x00\x00\x00"), NULL, NULL},    /* LOCAL */
    {SLICE(V2 "\x20\x11\x00\x03zzz"), NULL, NULL}, /* LOCAL, junk */
    {SLICE(V2 "\x21\x00\x00\x00"), NULL, NULL},    /* UNSPEC */
    {SLICE(V2 "\x21\x00\x00\x02zz"), NULL, NULL},  /* UNSPEC, junk */
    {SLICE(V2 "\x21\x11\x00\x0c\x0a\x00\x00\x01\x0a\x00\x00\x02\x04\xd2\x16\x28"), "10.0.0.1:1234",
     "10.0.0.2:5672"},
    {SLICE(V2 "\x21\x11\x00\x14\x0a\x00\x00\x01\x0a\x00\x00\x02\x04\xd2\x16\x28\x04\x00\x02zz\x04"
              "\x00\x00"),
     "10.0.0.1:1234", "10.0.0.2:5672"}, /* two TLVs */
    {SLICE(V2 "\x21\x21\x00\x24\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
              "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x04\xd2\x16\x28"),
     "[2001:db8::1]:1234", "[::1]:5672"},
};

static const struct slice bads[] = {
    SLICE("AMQP\0\0\x9\x1"),
    SLICE("\x16\x03\x01"),
    SLICE("PROXY\r\n"),
    SLICE("PROXY \r\n"),
    SLICE("proxy TCP4 1.2.3.4 1.2.3.5 1 2\r\n"),
    SLICE("PROXY UDP4 1.2.3.4 1.2.3.5 1 2\r\n"),
    SLICE("PROXY UNKNOWNX\r\n"),
    SLICE("PROXY TCP4\r\n"),
    SLICE("PROXY TCP4 1.2.3.4\r\n"),
    SLICE("PROXY TCP4 1.2.3.4 1.2.3.5 1\r\n"),
    SLICE("PROXY TCP4 1.2.3.4 1.2.3.5 1 \r\n"),
    SLICE("PROXY TCP4 1.2.3.4 1.2.3.5 1 2 \r\n"),
    SLICE("PROXY TCP4 1.2.3.4 1.2.3.5 1 2 3\r\n"),
    SLICE("PROXY TCP4  1.2.3.4 1.2.3.5 1 2\r\n"),
    SLICE("PROXY TCP4 1.2.3.4 1.2.3.5 01 2\r\n"),
    SLICE("PROXY TCP4 1.2.3.4 1.2.3.5 1 65536\r\n"),
    SLICE("PROXY TCP4 1.2.3.4 1.2.3.5 1 999999\r\n"),
    SLICE("PROXY TCP4 1.2.3.4 1.2.3.5 -1 2\r\n"),
    SLICE("PROXY TCP4 1.2.3.4 1.2.3.5 +1 2\r\n"),
    SLICE("PROXY TCP4 1.2.3.4 1.2.3.5 0x1 2\r\n"),
    SLICE("PROXY TCP4 1.2.3 1.2.3.5 1 2\r\n"),
    SLICE("PROXY TCP4 1.2.3.256 1.2.3.5 1 2\r\n"),
    SLICE("PROXY TCP4 1.2.3.04 1.2.3.5 1 2\r\n"),
    SLICE("PROXY TCP4 ::1 ::1 1 2\r\n"),
    SLICE("PROXY TCP6 1.2.3.4 1.2.3.5 1 2\r\n"),
    SLICE("PROXY TCP6 ::1%lo ::1 1 2\r\n"),
    SLICE("PROXY TCP4 1.2.3.4\0 1.2.3.5 1 2\r\n"),
    SLICE("PROXY TCP4 1.2.3.4 1.2.3.5 1 2\n"),
    SLICE("PROXY TCP4 1.2.3.4 1.2.3.5 1 2\rX"),
    SLICE("PROXY UNKNOWN\n\r\n"),
    SLICE(V2 "\x11\x11\x00\x0c"), /* version 1 in the binary form */
    SLICE(V2 "\x22\x11\x00\x0c"), /* unknown command */
    SLICE(V2 "\x21\x12\x00\x0c\x0a\x00\x00\x01\x0a\x00\x00\x02\x04\xd2\x16\x28"), /* UDP */
    SLICE(V2 "\x21\x41\x00\x00"),                                                 /* no family */
    SLICE(V2 "\x21\x11\x00\x0b\x0a\x00\x00\x01\x0a\x00\x00\x02\x04\xd2\x16"),
    SLICE(V2 "\x21\x21\x00\x0c\x0a\x00\x00\x01\x0a\x00\x00\x02\x04\xd2\x16\x28"),
    SLICE(V2 "\x21\x31\x00\x0c\x0a\x00\x00\x01\x0a\x00\x00\x02\x04\xd2\x16\x28"),
    SLICE(V2 "\x21\x11\x00\x0e\x0a\x00\x00\x01\x0a\x00\x00\x02\x04\xd2\x16\x28\x04\x00"),
    SLICE(V2 "\x21\x11\x00\x10\x0a\x00\x00\x01\x0a\x00\x00\x02\x04\xd2\x16\x28\x04\x00\x02z"),
    SLICE(V2 "\x21\x11\x10\x01"), /* longer than allowed: refused before it arrives */
    SLICE(V2 "\x20\x00\xff\xff"),
};

/* A copy of exactly its size, so that a sanitizer sees a read behind its end. */
static enum proxy_result parse(struct slice bytes, struct proxy_header *h, const char **why)
{
    uint8_t *copy = malloc(bytes.len + !bytes.len);
    memcpy(copy, bytes.data, bytes.len);
    enum proxy_result result = proxy_parse(slice_of(copy, bytes.len), h, why);
    free(copy);
    return result;
}

static void expect_text(const struct endpoint *e, const char *text, size_t row)
{
    char room[ENDPOINT_TEXT_MAX];
    if (!text)
        cr_assert_eq(e->family, 0, "row %zu has addresses", row);
    else
        cr_assert_str_eq(endpoint_text(e, room), text, "row %zu: %s", row, room);
}

UNIT(proxy, takes)
{
    for (size_t i = 0; i < sizeof goods / sizeof goods[0]; i++) {
        const struct good *g = &goods[i];
        struct proxy_header h;
        const char *why = NULL;
        uint8_t more[300];
        for (size_t n = 0; n < g->bytes.len; n++)
            cr_assert_eq(parse(slice_of(g->bytes.data, n), &h, &why), PROXY_MORE,
                         "row %zu, %zu bytes: %s", i, n, why ? why : "");
        cr_assert_eq(parse(g->bytes, &h, &why), PROXY_DONE, "row %zu: %s", i, why ? why : "");
        cr_assert_eq(h.len, g->bytes.len);
        expect_text(&h.source, g->source, i);
        expect_text(&h.destination, g->destination, i);
        memcpy(more, g->bytes.data, g->bytes.len);
        memcpy(more + g->bytes.len, "AMQP", 4);
        cr_assert_eq(parse(slice_of(more, g->bytes.len + 4), &h, &why), PROXY_DONE);
        cr_assert_eq(h.len, g->bytes.len);
    }
}

UNIT(proxy, refuses)
{
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        struct proxy_header h;
        const char *why = NULL;
        cr_assert_eq(parse(bads[i], &h, &why), PROXY_BAD, "row %zu is taken", i);
        cr_assert_not_null(why);
    }
}

UNIT(proxy, line_is_bounded)
{
    char line[PROXY_V1_MAX + 10];
    struct proxy_header h;
    const char *why = NULL;
    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    memcpy(line + PROXY_V1_MAX - 2, "\r\n", 2);
    cr_assert_eq(parse(slice_of(line, PROXY_V1_MAX), &h, &why), PROXY_DONE);
    cr_assert_eq(parse(slice_of(line, PROXY_V1_MAX - 1), &h, &why), PROXY_MORE);
    memcpy(line + PROXY_V1_MAX - 2, "x\r\n", 3);
    cr_assert_eq(parse(slice_of(line, PROXY_V1_MAX + 1), &h, &why), PROXY_BAD);
    cr_assert_eq(parse(slice_of(line, PROXY_V1_MAX), &h, &why), PROXY_BAD);
}

UNIT(proxy, unix_path)
{
    uint8_t bytes[PROXY_V2_FIXED + 216] = V2 "\x21\x31\x00\xd8";
    struct proxy_header h;
    const char *why = NULL;
    memcpy(bytes + PROXY_V2_FIXED, "/from", 5);
    memset(bytes + PROXY_V2_FIXED + 108, 'p', 108); /* fills its field, no NUL */
    cr_assert_eq(proxy_parse(slice_of(bytes, sizeof bytes), &h, &why), PROXY_DONE);
    cr_assert_eq(h.source.family, AF_UNIX);
    cr_assert_eq(h.unix_path.len, 108);
}

UNIT(endpoint, loopback)
{
    static const struct {
        const char *header;
        bool loopback;
    } rows[] = {
        {"PROXY TCP4 127.0.0.1 1.1.1.1 1 2\r\n", true},
        {"PROXY TCP4 127.255.0.9 1.1.1.1 1 2\r\n", true},
        {"PROXY TCP4 128.0.0.1 1.1.1.1 1 2\r\n", false},
        {"PROXY TCP6 ::1 ::1 1 2\r\n", true},
        {"PROXY TCP6 ::2 ::1 1 2\r\n", false},
        {"PROXY TCP6 ::ffff:127.0.0.1 ::1 1 2\r\n", true},
        {"PROXY UNKNOWN\r\n", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct proxy_header h;
        const char *why;
        cr_assert_eq(parse(slice_str(rows[i].header), &h, &why), PROXY_DONE);
        cr_assert_eq(endpoint_is_loopback(&h.source), rows[i].loopback, "row %zu", i);
    }
}
