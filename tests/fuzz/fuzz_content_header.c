/* A header frame's payload. What decodes encodes to the same bytes (but for the spare flag bits),
 * and the readers of single properties agree with the whole. */
#include "base/props.h"
#include "fuzz.h"

static void check_rewritten(struct slice raw, const struct amqp_basic_properties *props)
{
    struct buf out = BUF_INIT;
    struct amqp_basic_properties back;
    props_replace(raw, AMQP_PROP_REPLY_TO, SLICE("x"), &out);
    require(props_decode(buf_slice(&out), &back) == WIRE_OK);
    require(back.flags == (props->flags | AMQP_PROP_REPLY_TO) && slice_eq_str(back.reply_to, "x"));
    require(slice_eq(back.headers, props->headers) && slice_eq(back.app_id, props->app_id));
    buf_clear(&out);
    props_remove(raw, AMQP_PROP_HEADERS, &out);
    require(props_decode(buf_slice(&out), &back) == WIRE_OK);
    require(back.flags == (props->flags & ~AMQP_PROP_HEADERS));
    require(slice_eq(back.reply_to, props->reply_to) && back.timestamp == props->timestamp);
    buf_fini(&out);
}

static void check_decoded(struct slice raw, const struct amqp_basic_properties *props)
{
    struct buf out = BUF_INIT;
    struct wire_writer wr = wire_writer_buf(&out);
    uint64_t seconds = 0;
    props_encode(&wr, props);
    require(wire_written(&wr) == raw.len);
    require(slice_eq(slice_of(out.data + 2, out.len - 2), slice_of(raw.data + 2, raw.len - 2)));
    buf_clear(&out);
    props_print(props, &out);
    buf_fini(&out);

    require(props_flags(raw) == props->flags);
    require(slice_eq(props_headers(raw), props->headers));
    require(slice_eq(props_reply_to(raw), props->reply_to));
    require(slice_eq(props_expiration(raw), props->expiration));
    require(slice_eq(props_user_id(raw), props->user_id));
    require(slice_eq(props_message_id(raw), props->message_id));
    require(slice_eq(props_correlation_id(raw), props->correlation_id));
    require(props_priority(raw) == props->priority);
    require(props_timestamp(raw, &seconds) == !!(props->flags & AMQP_PROP_TIMESTAMP));
    require(seconds == props->timestamp);
    check_rewritten(raw, props);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct content_header header;
    struct amqp_basic_properties props;
    if (content_header_decode(slice_of(data, size), &header) != WIRE_OK)
        return 0;
    enum wire_err err = props_decode(header.props, &props);
    require(props_check(header.props) == err);
    if (err == WIRE_OK) {
        check_decoded(header.props, &props);
        return 0;
    }
    for (unsigned bit = 0x8000; bit > 2; bit >>= 1)
        props_find_slice(header.props, (enum amqp_property)bit);
    return 0;
}
