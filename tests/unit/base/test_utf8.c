#include "base/utf8.h"
#include "unit.h"

#include <stdlib.h>

UNIT(utf8, well_formed)
{
    cr_assert(utf8_valid(SLICE_EMPTY));
    cr_assert(utf8_valid(SLICE("plain ASCII that is longer than eight bytes")));
    cr_assert(
        utf8_valid(SLICE("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"
                         "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")));
    cr_assert(utf8_valid(slice_of("a\0b", 3)));
}

UNIT(utf8, malformed_wherever_it_is)
{
    static const char *const bad[] = {
        "\x80",             /* a tail alone */
        "\xbf",             /* a tail alone */
        "\xc0\x80",         /* overlong */
        "\xc1\xbf",         /* overlong */
        "\xc3",             /* cut */
        "\xc3\x28",         /* not a tail */
        "\xe0\x9f\xbf",     /* overlong */
        "\xe2\x82",         /* cut */
        "\xe2\x28\xa1",     /* not a tail */
        "\xe2\x82\x28",     /* not a tail */
        "\xed\xa0\x80",     /* surrogate */
        "\xed\xbf\xbf",     /* surrogate */
        "\xf0\x8f\xbf\xbf", /* overlong */
        "\xf0\x9f\x90",     /* cut */
        "\xf0\x9f\x28\xb0", /* not a tail */
        "\xf4\x90\x80\x80", /* above U+10FFFF */
        "\xf5\x80\x80\x80", /* above U+10FFFF */
        "\xfe",
        "\xff",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (size_t before = 0; before < 20; before++) {
            uint8_t text[64];
            size_t n = strlen(bad[i]);
            memset(text, 'x', sizeof text);
            memcpy(text + before, bad[i], n);
            cr_assert_not(utf8_valid(slice_of(text, before + n)), "case %zu at %zu", i, before);
            cr_assert_not(utf8_valid(slice_of(text, sizeof text)), "case %zu at %zu", i, before);
        }
    }
}

/* The definition, character by character, against every code point. */
UNIT(utf8, every_code_point)
{
    for (uint32_t c = 0; c <= 0x110000; c++) {
        uint8_t b[4];
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        static const uint8_t heads[] = {0, 0, 0xc0, 0xe0, 0xf0};
        for (size_t i = n; i-- > 1;)
            b[i] = (uint8_t)(0x80 | (c >> 6 * (n - 1 - i) & 0x3f));
        b[0] = (uint8_t)(heads[n] | c >> 6 * (n - 1));
        bool good = c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
        if (utf8_valid(slice_of(b, n)) != good || utf8_char_len(slice_of(b, n)) != (good ? n : 0))
            cr_assert_fail("U+%04X", c);
    }
}

UNIT(utf8, cuts_between_characters)
{
    struct slice text = SLICE("ab\xc3\xbc\xe2\x82\xac");
    static const size_t lengths[] = {0, 1, 2, 2, 4, 4, 4, 7, 7};
    for (size_t limit = 0; limit < sizeof lengths / sizeof *lengths; limit++)
        cr_assert_eq(utf8_cut(text, limit).len, lengths[limit]);
}
