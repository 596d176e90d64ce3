/* What the log said last: whole lines, in order, however the ring turns. */
#include "unit.h"

#include "base/log_recent.h"
#include "base/slice.h"

#include <stdio.h>
#include <string.h>

/* "0000042 xxx...\n" of that length. */
static void keep(unsigned number, size_t len)
{
    char line[4096];
    memset(line, 'x', sizeof line);
    int n = snprintf(line, sizeof line, "%07u ", number);
    line[n] = 'x';
    line[len - 1] = '\n';
    log_recent_keep(slice_of(line, len));
}

/* The numbers of the lines in out are first, first + 1, ...; how many. */
static unsigned count_from(const struct buf *out, unsigned first)
{
    unsigned count = 0;
    struct slice rest = buf_slice(out);
    while (rest.len) {
        const uint8_t *end = memchr(rest.data, '\n', rest.len);
        unsigned number = 0;
        cr_assert(end && sscanf((const char *)rest.data, "%u", &number) == 1);
        cr_assert_eq(number, first + count, "line %u: %u", count, number);
        count++;
        size_t len = (size_t)(end - rest.data) + 1;
        rest = slice_of(rest.data + len, rest.len - len);
    }
    return count;
}

UNIT(log_recent, begins_empty)
{
    struct buf out = BUF_INIT;
    uint64_t at = log_recent_begin(10);
    cr_assert_eq(log_recent_read(&at, 1000, &out), 0);
    cr_assert_eq(out.len, 0);
    buf_fini(&out);
}

UNIT(log_recent, has_the_last_lines)
{
    struct buf out = BUF_INIT;
    for (unsigned i = 0; i < 20; i++)
        keep(i, 100);
    uint64_t at = log_recent_begin(3), new = log_recent_begin(0);
    cr_assert_eq(log_recent_read(&at, 1000, &out), 0);
    cr_assert_eq(count_from(&out, 17), 3);
    keep(20, 50);
    buf_clear(&out);
    log_recent_read(&new, 1000, &out);
    cr_assert_eq(count_from(&out, 20), 1);
    at = log_recent_begin(1000);
    buf_clear(&out);
    log_recent_read(&at, 250, &out);
    cr_assert_eq(count_from(&out, 0), 2, "whole lines of at most 250 bytes");
    buf_fini(&out);
}

UNIT(log_recent, forgets_the_oldest)
{
    enum { LINES = 5000 };
    struct buf out = BUF_INIT;
    uint64_t at = log_recent_begin(0);
    for (unsigned i = 0; i < LINES; i++)
        keep(i, 20 + i * 37 % 400);
    uint64_t lost = log_recent_read(&at, SIZE_MAX, &out);
    cr_assert(lost && out.len <= LOG_RECENT_BYTES && out.len > LOG_RECENT_BYTES - 500);
    unsigned first;
    cr_assert_eq(sscanf((const char *)out.data, "%u", &first), 1);
    cr_assert_eq(first + count_from(&out, first), LINES);
    cr_assert_eq(log_recent_begin(0), at);
    uint64_t whole = log_recent_begin(SIZE_MAX);
    cr_assert_eq(at - whole, out.len);
    buf_fini(&out);
}
