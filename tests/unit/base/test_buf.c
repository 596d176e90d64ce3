#include "base/buf.h"
#include "unit.h"

#include <stdlib.h>

UNIT(buf, grows_and_keeps)
{
    struct buf b = BUF_INIT;
    for (int i = 0; i < 100000; i++)
        buf_append_byte(&b, (uint8_t)i);
    cr_assert_eq(b.len, 100000);
    for (int i = 0; i < 100000; i++)
        cr_assert_eq(b.data[i], (uint8_t)i);
    buf_fini(&b);
    cr_assert_null(b.data);
}

UNIT(buf, appends_and_prints)
{
    struct buf b = BUF_INIT;
    buf_append_str(&b, "one ");
    buf_append_slice(&b, SLICE("two "));
    buf_append(&b, NULL, 0);
    buf_printf(&b, "%d %s", 3, "four");
    cr_assert_str_eq(buf_cstr(&b), "one two 3 four");
    cr_assert_eq(b.len, 14);
    buf_clear(&b);
    buf_append_escaped(&b, SLICE("a\"b\\c\nd"));
    buf_append_escaped(&b, SLICE_EMPTY);
    buf_append_u64(&b, 0);
    buf_append_u64(&b, UINT64_MAX);
    cr_assert_str_eq(buf_cstr(&b), "a\\\"b\\\\c\\nd018446744073709551615");
    buf_clear(&b);
    /* longer than any room there is, and of a length that fills it exactly */
    for (int width = 1; width < 300; width++) {
        buf_clear(&b);
        buf_printf(&b, "%*d", width, 7);
        cr_assert_eq(b.len, (size_t)width);
        cr_assert_eq(b.data[width - 1], '7');
    }
    buf_fini(&b);
}

UNIT(buf, shifts)
{
    struct buf b = BUF_INIT;
    buf_append_str(&b, "abcdef");
    buf_shift(&b, 2);
    cr_assert_str_eq(buf_cstr(&b), "cdef");
    buf_shift(&b, 4);
    cr_assert_eq(b.len, 0);
    cr_assert_str_eq(buf_cstr(&b), "");
    buf_fini(&b);
}

UNIT(buf, gives_its_bytes_away)
{
    struct buf b = BUF_INIT;
    buf_append_str(&b, "mine");
    struct slice s = buf_take(&b);
    cr_assert(slice_eq_str(s, "mine"));
    cr_assert_null(b.data);
    slice_free(&s);
    buf_fini(&b);
}
