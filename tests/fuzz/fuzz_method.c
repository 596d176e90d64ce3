/* A method frame's payload: ids and arguments. What decodes encodes to bytes that decode alike, and
 * the fast forms agree with the table. */
#include "base/wire_fast.h"
#include "fuzz.h"

static void check_fast(const struct wire_method *method, struct slice args, bool ok,
                       const union amqp_any *any)
{
    union amqp_any fast;
    switch (method->index) {
    case AMQP_BASIC_PUBLISH:
        require(wire_fast_basic_publish(args, &fast.basic_publish) == ok);
        require(!ok || (slice_eq(fast.basic_publish.exchange, any->basic_publish.exchange) &&
                        slice_eq(fast.basic_publish.routing_key, any->basic_publish.routing_key) &&
                        fast.basic_publish.mandatory == any->basic_publish.mandatory &&
                        fast.basic_publish.immediate == any->basic_publish.immediate));
        break;
    case AMQP_BASIC_ACK:
        require(wire_fast_basic_ack(args, &fast.basic_ack) == ok);
        require(!ok || (fast.basic_ack.delivery_tag == any->basic_ack.delivery_tag &&
                        fast.basic_ack.multiple == any->basic_ack.multiple));
        break;
    case AMQP_BASIC_NACK:
        require(wire_fast_basic_nack(args, &fast.basic_nack) == ok);
        require(!ok || (fast.basic_nack.delivery_tag == any->basic_nack.delivery_tag &&
                        fast.basic_nack.multiple == any->basic_nack.multiple &&
                        fast.basic_nack.requeue == any->basic_nack.requeue));
        break;
    case AMQP_BASIC_REJECT:
        require(wire_fast_basic_reject(args, &fast.basic_reject) == ok);
        require(!ok || (fast.basic_reject.delivery_tag == any->basic_reject.delivery_tag &&
                        fast.basic_reject.requeue == any->basic_reject.requeue));
        break;
    default:
        break;
    }
}

static void check_round_trip(const struct wire_method *method, struct slice args,
                             const union amqp_any *any)
{
    struct buf once = BUF_INIT, twice = BUF_INIT;
    union amqp_any back;
    struct wire_writer wr = wire_writer_buf(&once);
    wire_encode(&wr, method, any);
    require(wire_written(&wr) == once.len && once.len >= 4);
    struct slice encoded = slice_of(once.data + 4, once.len - 4);
    /* reserved strings are not kept */
    require(encoded.len <= args.len);
    require(wire_decode(method, encoded, &back) == WIRE_OK);
    wr = wire_writer_buf(&twice);
    wire_encode(&wr, method, &back);
    require(wire_written(&wr) == once.len && slice_eq(buf_slice(&once), buf_slice(&twice)));
    buf_clear(&once);
    wire_print(method, any, &once);
    buf_fini(&once);
    buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    const struct wire_method *method =
        amqp_method_find(wire_load_u16(data), wire_load_u16(data + 2));
    if (!method)
        return 0;
    struct slice args = slice_of(data + 4, size - 4);
    union amqp_any any;
    enum wire_err err = wire_decode(method, args, &any);
    check_fast(method, args, err == WIRE_OK, &any);
    if (err == WIRE_OK) {
        check_round_trip(method, args, &any);
    } else {
        struct failure why;
        require(wire_failure(err, args, &why) == ERR_FRAME_ERROR);
    }
    return 0;
}
