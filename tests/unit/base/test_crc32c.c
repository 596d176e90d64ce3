#include "base/crc32c.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

/* RFC 3720 appendix B.4, and the check value of the catalogues. */
UNIT(crc32c, is_what_is_published)
{
    static const uint8_t command[48] = {0x01, 0xc0, 0, 0,    0,    0, 0, 0,    0,    0, 0,    0,
                                        0,    0,    0, 0,    0x14, 0, 0, 0,    0,    0, 0x04, 0,
                                        0,    0,    0, 0x14, 0,    0, 0, 0x18, 0x28, 0, 0,    0,
                                        0,    0,    0, 0,    0x02, 0, 0, 0,    0,    0, 0,    0};
    uint8_t b[32];
    uint32_t (*const both[])(uint32_t, const void *, size_t) = {crc32c, crc32c_portable};
    printf("crc32c by %s\n", crc32c_name());
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(both[i](0, NULL, 0), 0);
        cr_assert_eq(both[i](0, "123456789", 9), 0xe3069283u);
        memset(b, 0, sizeof b);
        cr_assert_eq(both[i](0, b, sizeof b), 0x8a9136aau);
        memset(b, 0xff, sizeof b);
        cr_assert_eq(both[i](0, b, sizeof b), 0x62a8ab43u);
        for (unsigned k = 0; k < sizeof b; k++)
            b[k] = (uint8_t)k;
        cr_assert_eq(both[i](0, b, sizeof b), 0x46dd794eu);
        for (unsigned k = 0; k < sizeof b; k++)
            b[k] = (uint8_t)(31 - k);
        cr_assert_eq(both[i](0, b, sizeof b), 0x113fdb5cu);
        cr_assert_eq(both[i](0, command, sizeof command), 0xd9963a56u);
    }
}

/* Every length around the lanes, from odd addresses, from any crc, whole and in pieces. */
UNIT(crc32c, is_the_same_by_processor_and_by_table)
{
    static uint8_t bytes[12000];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof bytes; i++) {
        x = x * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(x >> 24);
    }
    for (size_t n = 0; n < 900; n++)
        for (size_t from = 0; from < 9; from++)
            cr_assert_eq(crc32c(x, bytes + from, n), crc32c_portable(x, bytes + from, n));
    for (size_t n = 900; n < sizeof bytes; n += 37) {
        size_t cut = n * 7 / 11;
        x = crc32c(x, bytes, n);
        cr_assert_eq(crc32c(x, bytes, n), crc32c_portable(x, bytes, n));
        cr_assert_eq(crc32c(crc32c(x, bytes, cut), bytes + cut, n - cut), crc32c(x, bytes, n));
    }
}
