/* The fast forms are the table codec: over random arguments, over every cut of them, and over bytes
 * that mean nothing. */
#include "base/wire_fast.h"
#include "fill.h"
#include "unit.h"

#include <stdlib.h>

#define ROUNDS 20000

static void expect_publish(struct slice args)
{
    struct amqp_basic_publish fast = {0}, table = {0};
    bool ok = wire_decode(&amqp_methods[AMQP_BASIC_PUBLISH], args, &table) == WIRE_OK;
    cr_assert_eq(wire_fast_basic_publish(args, &fast), ok);
    if (!ok)
        return;
    cr_assert(slice_eq(fast.exchange, table.exchange));
    cr_assert(slice_eq(fast.routing_key, table.routing_key));
    cr_assert_eq(fast.mandatory, table.mandatory);
    cr_assert_eq(fast.immediate, table.immediate);
    struct slice names = wire_fast_publish_names(args);
    struct wire_reader rd = wire_reader(names);
    cr_assert(slice_eq(wire_get_shortstr(&rd), table.exchange));
    cr_assert(slice_eq(wire_get_shortstr(&rd), table.routing_key));
    cr_assert_eq(rd.err, WIRE_OK);
    cr_assert_eq(wire_left(&rd), 0);
}

static void expect_ack(struct slice args)
{
    struct amqp_basic_ack fast = {0}, table = {0};
    bool ok = wire_decode(&amqp_methods[AMQP_BASIC_ACK], args, &table) == WIRE_OK;
    cr_assert_eq(wire_fast_basic_ack(args, &fast), ok);
    if (ok) {
        cr_assert_eq(fast.delivery_tag, table.delivery_tag);
        cr_assert_eq(fast.multiple, table.multiple);
    }
}

static void expect_nack(struct slice args)
{
    struct amqp_basic_nack fast = {0}, table = {0};
    bool ok = wire_decode(&amqp_methods[AMQP_BASIC_NACK], args, &table) == WIRE_OK;
    cr_assert_eq(wire_fast_basic_nack(args, &fast), ok);
    if (ok) {
        cr_assert_eq(fast.delivery_tag, table.delivery_tag);
        cr_assert_eq(fast.multiple, table.multiple);
        cr_assert_eq(fast.requeue, table.requeue);
    }
}

static void expect_reject(struct slice args)
{
    struct amqp_basic_reject fast = {0}, table = {0};
    bool ok = wire_decode(&amqp_methods[AMQP_BASIC_REJECT], args, &table) == WIRE_OK;
    cr_assert_eq(wire_fast_basic_reject(args, &fast), ok);
    if (ok) {
        cr_assert_eq(fast.delivery_tag, table.delivery_tag);
        cr_assert_eq(fast.requeue, table.requeue);
    }
}

static const struct {
    enum amqp_method index;
    void (*expect)(struct slice args);
} decoders[] = {
    {AMQP_BASIC_PUBLISH, expect_publish},
    {AMQP_BASIC_ACK, expect_ack},
    {AMQP_BASIC_NACK, expect_nack},
    {AMQP_BASIC_REJECT, expect_reject},
};
#define DECODERS_LEN (sizeof decoders / sizeof *decoders)

/* A copy of exactly its size, so that a sanitizer sees a read behind its end. */
static void expect_exact(void (*expect)(struct slice), const uint8_t *bytes, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    if (n)
        memcpy(copy, bytes, n);
    expect(slice_of(copy, n));
    free(copy);
}

UNIT(wire_fast, decoders_agree_with_the_table)
{
    struct fill *f = malloc(sizeof *f);
    f->state = 7;
    for (unsigned round = 0; round < ROUNDS / 20; round++) {
        for (size_t d = 0; d < DECODERS_LEN; d++) {
            union amqp_any args;
            uint8_t bytes[1024];
            const struct wire_method *m = &amqp_methods[decoders[d].index];
            fill_args(f, m, &args);
            struct wire_writer wr = wire_writer(bytes, sizeof bytes);
            wire_encode(&wr, m, &args);
            size_t n = wire_written(&wr);
            bytes[n] = 0;
            for (size_t len = 0; len + 4 <= n + 1; len++)
                expect_exact(decoders[d].expect, bytes + 4, len);
            if (n > 4) {
                bytes[n - 1] = (uint8_t)fill_next(f);
                expect_exact(decoders[d].expect, bytes + 4, n - 4);
            }
        }
    }
    free(f);
}

UNIT(wire_fast, decoders_agree_on_noise)
{
    struct fill *f = malloc(sizeof *f);
    f->state = 8;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint8_t bytes[24];
        size_t n = fill_next(f) % sizeof bytes;
        for (size_t i = 0; i < n; i++)
            bytes[i] = fill_next(f) % 4 ? (uint8_t)(fill_next(f) % 12) : (uint8_t)fill_next(f);
        for (size_t d = 0; d < DECODERS_LEN; d++)
            expect_exact(decoders[d].expect, bytes, n);
    }
    free(f);
}

static size_t put_names(uint8_t *room, struct slice exchange, struct slice routing_key)
{
    struct wire_writer wr = wire_writer(room, 512);
    wire_put_shortstr(&wr, exchange);
    wire_put_shortstr(&wr, routing_key);
    return wire_written(&wr);
}

static void expect_encoded(enum amqp_method index, const void *args, const uint8_t *fast,
                           const uint8_t *fast_end)
{
    uint8_t bytes[1024];
    struct wire_writer wr = wire_writer(bytes, sizeof bytes);
    wire_encode(&wr, &amqp_methods[index], args);
    size_t n = wire_written(&wr);
    cr_assert_eq((size_t)(fast_end - fast), n);
    cr_assert_arr_eq(fast, bytes, n);
}

UNIT(wire_fast, encoders_agree_with_the_table)
{
    struct fill *f = malloc(sizeof *f);
    f->state = 9;
    for (unsigned round = 0; round < ROUNDS; round++) {
        union amqp_any a;
        uint8_t bytes[1024], names[512];
        fill_args(f, &amqp_methods[AMQP_BASIC_DELIVER], &a);
        struct amqp_basic_deliver deliver = a.basic_deliver;
        size_t names_len = put_names(names, deliver.exchange, deliver.routing_key);
        uint8_t *end =
            wire_fast_put_basic_deliver(bytes, deliver.consumer_tag, deliver.delivery_tag,
                                        deliver.redelivered, slice_of(names, names_len));
        expect_encoded(AMQP_BASIC_DELIVER, &deliver, bytes, end);
        cr_assert_eq(end - bytes, WIRE_FAST_DELIVER_SIZE(deliver.consumer_tag.len, names_len));

        fill_args(f, &amqp_methods[AMQP_BASIC_GET_OK], &a);
        struct amqp_basic_get_ok get_ok = a.basic_get_ok;
        names_len = put_names(names, get_ok.exchange, get_ok.routing_key);
        end = wire_fast_put_basic_get_ok(bytes, get_ok.delivery_tag, get_ok.redelivered,
                                         slice_of(names, names_len), get_ok.message_count);
        expect_encoded(AMQP_BASIC_GET_OK, &get_ok, bytes, end);
        cr_assert_eq(end - bytes, WIRE_FAST_GET_OK_SIZE(names_len));

        fill_args(f, &amqp_methods[AMQP_BASIC_ACK], &a);
        end = wire_fast_put_basic_ack(bytes, a.basic_ack.delivery_tag, a.basic_ack.multiple);
        expect_encoded(AMQP_BASIC_ACK, &a, bytes, end);
        cr_assert_eq(end - bytes, WIRE_FAST_ACK_SIZE);

        fill_args(f, &amqp_methods[AMQP_BASIC_NACK], &a);
        end = wire_fast_put_basic_nack(bytes, a.basic_nack.delivery_tag, a.basic_nack.multiple,
                                       a.basic_nack.requeue);
        expect_encoded(AMQP_BASIC_NACK, &a, bytes, end);
    }
    free(f);
}

UNIT(wire_fast, frame_and_content_header)
{
    static const uint8_t frame[] = {2, 0x12, 0x34, 0, 1, 0, 2};
    uint8_t bytes[16];
    cr_assert_eq(wire_fast_put_frame(bytes, AMQP_FRAME_HEADER, 0x1234, 0x10002),
                 bytes + sizeof frame);
    cr_assert_arr_eq(bytes, frame, sizeof frame);
    static const uint8_t header[] = {0, 60, 0, 0, 0, 0, 0, 0, 0, 1, 0, 3};
    cr_assert_eq(wire_fast_put_content_header(bytes, 0x10003), bytes + sizeof header);
    cr_assert_arr_eq(bytes, header, sizeof header);
}
