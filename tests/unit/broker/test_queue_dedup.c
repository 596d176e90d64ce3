/* What a deduplicating queue knows of its messages. */
#include "base/props.h"
#include "base/table.h"
#include "broker/queue/dedup.h"
#include "unit.h"

#include <stdlib.h>

enum { VALUES = 300, STEPS = 40000 };

static struct msg *message(const struct buf *headers)
{
    struct buf header = BUF_INIT;
    struct wire_writer wr = wire_writer_buf(&header);
    struct amqp_basic_properties props = {.flags = headers->len ? AMQP_PROP_HEADERS : 0,
                                          .headers = buf_slice(headers)};
    content_header_encode(&wr, &(struct content_header){.class_id = AMQP_CLASS_BASIC});
    props_encode(&wr, &props);
    wire_written(&wr);
    struct msg *m = msg_new(SLICE("\0\1q"), buf_slice(&header), 0, true);
    buf_fini(&header);
    return m;
}

static struct msg *message_of(int64_t value)
{
    struct buf headers = BUF_INIT;
    table_put_i64(&headers, SLICE("x-deduplication-header"), value);
    struct msg *m = message(&headers);
    buf_fini(&headers);
    return m;
}

static struct dedup_key key_of(const struct msg *m)
{
    struct dedup_key key;
    cr_assert(dedup_key_of(m, &key));
    return key;
}

static void put(struct dedup *d, const struct msg *m, uint64_t seq)
{
    struct dedup_place place = {.key = key_of(m), .seq = seq};
    dedup_put(d, &place);
}

static bool is_there(const struct dedup *d, const struct msg *m)
{
    struct dedup_key key = key_of(m);
    return dedup_find(d, &key, NULL);
}

UNIT(dedup, values)
{
    struct buf none = BUF_INIT, h[5] = {BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT};
    static const bool same_as_first[] = {true, true, false, false, false};
    struct slice name = SLICE("x-deduplication-header");
    struct dedup_key key, first = {0};
    table_put_i64(&h[0], name, 1);
    table_put_str(&h[1], SLICE("other"), SLICE("x"));
    table_put_i32(&h[1], name, 1);
    table_put_str(&h[2], name, SLICE("1"));
    table_put_bool(&h[3], name, true);
    table_put_void(&h[4], name);
    for (unsigned i = 0; i < 5; i++) {
        struct msg *m = message(&h[i]);
        key = key_of(m);
        if (!i)
            first = key;
        cr_expect_eq(key.high == first.high && key.low == first.low, same_as_first[i], "%u", i);
        msg_unref(m);
        buf_fini(&h[i]);
    }
    struct msg *m = message(&none);
    cr_expect(!dedup_key_of(m, &key));
    msg_unref(m);
    table_put_str(&none, SLICE("x-deduplication"), SLICE("x"));
    m = message(&none);
    cr_expect(!dedup_key_of(m, &key));
    msg_unref(m);
    buf_fini(&none);
}

/* The line of an exchange: its messages are values. */
UNIT(dedup, of_bodies)
{
    struct dedup *d = dedup_new();
    static const uint8_t header[CONTENT_HEADER_FIXED + 2] = {0, 60};
    struct msg *m[2];
    for (int i = 0; i < 2; i++) {
        m[i] = msg_new(SLICE("\0\0"), slice_of(header, sizeof header), 1, true);
        m[i]->body[0] = (uint8_t)i;
    }
    d->of_bodies = true;
    struct dedup_place place = {.seq = 7};
    cr_assert(dedup_key_in(d, m[0], &place.key));
    dedup_put(d, &place);
    dedup_drop(d, m[1], 7);
    cr_assert(dedup_find(d, &place.key, NULL));
    dedup_drop(d, m[0], 7);
    cr_assert_null(dedup_find(d, &place.key, NULL));
    msg_unref(m[0]);
    msg_unref(m[1]);
    dedup_free(&d);
}

UNIT(dedup, as_a_naive_set)
{
    struct dedup *d = dedup_new();
    struct msg *messages[VALUES];
    uint64_t there[VALUES] = {0}, next = 1;
    for (int i = 0; i < VALUES; i++)
        messages[i] = message_of(i);
    for (unsigned n = 0, state = 1; n < STEPS; n++) {
        state = state * 1103515245u + 12345u;
        unsigned i = (state >> 8) % VALUES;
        cr_assert_eq(is_there(d, messages[i]), there[i] != 0);
        if (there[i]) {
            dedup_drop(d, messages[i], there[i] + 1);
            cr_assert(is_there(d, messages[i]), "another number");
            dedup_drop(d, messages[i], there[i]);
            there[i] = 0;
        } else if (n / 5000 % 2 == 0 || n % 7 == 0) {
            put(d, messages[i], there[i] = next++);
        }
    }
    size_t count = 0;
    for (int i = 0; i < VALUES; i++)
        count += there[i] != 0;
    cr_assert_eq(d->there.count, count);
    dedup_clear(d);
    for (int i = 0; i < VALUES; i++) {
        cr_assert(!is_there(d, messages[i]));
        msg_unref(messages[i]);
    }
    dedup_free(&d);
}

/* Of transactions: two with the same value, which go one by one. */
UNIT(dedup, several)
{
    struct dedup *d = dedup_new();
    struct msg *m = message_of(1);
    struct dedup_key key = key_of(m);
    put(d, m, 1);
    put(d, m, 2);
    const struct dedup_place *p = dedup_find(d, &key, NULL);
    cr_assert(p && dedup_find(d, &key, p) && !dedup_find(d, &key, dedup_find(d, &key, p)));
    dedup_drop(d, m, 2);
    cr_assert(is_there(d, m));
    dedup_move(d, m, 1, 5);
    dedup_drop(d, m, 1);
    cr_assert(is_there(d, m));
    dedup_drop(d, m, 5);
    cr_assert(!is_there(d, m));
    msg_unref(m);
    dedup_free(&d);
}

/* What leaves before it is found does not come back. */
UNIT(dedup, recalling)
{
    struct dedup *d = dedup_new();
    struct msg *a = message_of(1), *b = message_of(2);
    d->recalling = true;
    dedup_recall(d, a, 1);
    dedup_drop(d, a, 1);
    dedup_drop(d, b, 2);
    dedup_recall(d, b, 2);
    dedup_recall(d, b, 3);
    dedup_recalled(d);
    cr_assert(!is_there(d, a) && is_there(d, b));
    struct dedup_table before = dedup_empty(d);
    dedup_keep(d, &before, a, 9);
    free(before.places);
    cr_assert(is_there(d, a) && !is_there(d, b));
    msg_unref(a);
    msg_unref(b);
    dedup_free(&d);
}

UNIT(dedup, confirms_wait_for_transactions)
{
    struct dedup *d = dedup_new();
    struct dedup_wait w;
    for (uint64_t i = 1; i <= 3; i++)
        dedup_await(d, &(struct dedup_wait){.seq = i, .mark = 10 * i});
    cr_assert(!dedup_awaited(d, 9, &w));
    cr_assert(dedup_awaited(d, 20, &w) && w.seq == 1);
    cr_assert(dedup_awaited(d, 20, &w) && w.seq == 2);
    cr_assert(!dedup_awaited(d, 29, &w) && dedup_is_awaited(d));
    cr_assert(dedup_awaited(d, UINT64_MAX, &w) && !dedup_is_awaited(d));
    dedup_free(&d);
}
