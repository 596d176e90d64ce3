#include "base/crc32c.h"
#include "partition/batch.h"
#include "unit.h"

static struct buf make(uint8_t filter_len, struct batch *b)
{
    static const uint8_t entries[] = {3, 0, 0, 0, 'o', 'n', 'e', 0, 0, 0, 0, 1, 0, 0, 0, 'x'};
    struct buf bytes = BUF_INIT;
    memset(buf_reserve(&bytes, BATCH_HEAD), 0, BATCH_HEAD);
    bytes.len = BATCH_HEAD;
    buf_append(&bytes, entries, sizeof entries);
    memset(buf_reserve(&bytes, filter_len), 0, filter_len);
    if (filter_len)
        filter_add(bytes.data + bytes.len, filter_len, SLICE("red"));
    bytes.len += filter_len;
    *b = (struct batch){.base = 7,
                        .time_ms = 1234567890123,
                        .synced = 5,
                        .count = 3,
                        .length = (uint32_t)(bytes.len - BATCH_HEAD),
                        .salt = 0x12345678,
                        .filter_len = filter_len,
                        .unfiltered = true};
    batch_finish(buf_slice(&bytes), b);
    return bytes;
}

UNIT(batch, gives_back_what_was_put_in)
{
    struct batch b, back;
    struct slice entry;
    size_t size;
    struct buf bytes = make(20, &b);
    cr_assert_eq(batch_check(buf_slice(&bytes), &back, &size), BATCH_WHOLE);
    cr_assert_eq(size, bytes.len);
    cr_expect(back.base == 7 && back.time_ms == 1234567890123 && back.synced == 5 &&
              back.count == 3 && back.salt == 0x12345678 && back.filter_len == 20 &&
              back.unfiltered);
    struct slice entries = batch_entries(buf_slice(&bytes), &back);
    cr_assert(batch_next(&entries, &entry) && slice_eq_str(entry, "one"));
    cr_assert(batch_next(&entries, &entry) && entry.len == 0);
    cr_assert(batch_next(&entries, &entry) && slice_eq_str(entry, "x"));
    cr_assert_not(batch_next(&entries, &entry));
    struct slice filter = batch_filter(buf_slice(&bytes), &back);
    cr_expect(filter_may_have(filter, SLICE("red")));
    cr_expect_not(filter_may_have(filter, SLICE("green")));
    cr_expect_not(filter_may_have(SLICE_EMPTY, SLICE("red")));
    buf_fini(&bytes);
}

UNIT(batch, finds_out_every_flipped_bit_and_every_cut)
{
    struct batch b, back;
    size_t size;
    struct buf bytes = make(16, &b);
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        bytes.data[bit / 8] = (uint8_t)(bytes.data[bit / 8] ^ 1u << bit % 8);
        cr_expect_neq(batch_check(buf_slice(&bytes), &back, &size), BATCH_WHOLE, "bit %zu", bit);
        bytes.data[bit / 8] = (uint8_t)(bytes.data[bit / 8] ^ 1u << bit % 8);
    }
    for (size_t n = 0; n < bytes.len; n++) {
        cr_expect_eq(batch_check(slice_of(bytes.data, n), &back, &size), BATCH_SHORT);
        cr_expect_gt(size, n);
    }
    memset(bytes.data, 0, bytes.len);
    cr_expect_eq(batch_check(buf_slice(&bytes), &back, &size), BATCH_END);
    buf_fini(&bytes);
}

/* A length that is damaged makes nobody read that much. */
UNIT(batch, has_a_head_that_tells_of_damage_by_itself)
{
    struct batch b, back;
    size_t size;
    struct buf bytes = make(16, &b);
    struct slice head = slice_of(bytes.data, BATCH_HEAD);
    cr_assert_eq(batch_check(head, &back, &size), BATCH_SHORT);
    cr_expect_eq(size, bytes.len);
    for (size_t bit = 64; bit < BATCH_HEAD * 8; bit++) {
        bytes.data[bit / 8] = (uint8_t)(bytes.data[bit / 8] ^ 1u << bit % 8);
        cr_expect_eq(batch_check(head, &back, &size), BATCH_BAD, "bit %zu", bit);
        bytes.data[bit / 8] = (uint8_t)(bytes.data[bit / 8] ^ 1u << bit % 8);
    }
    buf_fini(&bytes);
}

UNIT(batch, may_be_of_the_time_before_salts)
{
    struct batch b, back;
    size_t size;
    struct buf bytes = make(16, &b);
    memset(bytes.data + 42, 0, 6);
    uint32_t crc = crc32c(0, bytes.data + 8, bytes.len - 8);
    for (unsigned i = 0; i < 4; i++)
        bytes.data[4 + i] = (uint8_t)(crc >> 8 * i);
    cr_assert_eq(batch_check(buf_slice(&bytes), &back, &size), BATCH_WHOLE);
    cr_expect_eq(back.salt, 0);
    buf_fini(&bytes);
}

UNIT(batch, is_searched_for_by_its_magic)
{
    cr_expect_eq(batch_search(SLICE("JKP1..JKP1..")), 6);
    cr_expect_eq(batch_search(SLICE("JJKP1")), 1);
    cr_expect_eq(batch_search(SLICE("JKP1JKP")), 7);
    cr_expect_eq(batch_search(SLICE_EMPTY), 0);
}
