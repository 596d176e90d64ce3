#include "base/props.h"
#include "base/table.h"
#include "fill.h"
#include "unit.h"

#include <stdlib.h>

/* Random properties; an absent one stays zero. */
static void fill_props(struct fill *f, struct amqp_basic_properties *props)
{
    memset(props, 0, sizeof *props);
    f->used = 0;
    props->flags = (uint16_t)(fill_next(f) & AMQP_PROP_ALL);
    for (unsigned i = 0; i < AMQP_PROPS_LEN; i++) {
        if (props->flags & 0x8000u >> i)
            fill_field(f, &amqp_class_basic.properties[i], props);
    }
}

static struct slice encode(const struct amqp_basic_properties *props, struct buf *out)
{
    buf_clear(out);
    struct wire_writer wr = wire_writer_buf(out);
    props_encode(&wr, props);
    cr_assert_geq(wire_written(&wr), 2);
    return buf_slice(out);
}

static void expect_slice(struct slice raw, const struct amqp_basic_properties *props,
                         enum amqp_property flag, struct slice value)
{
    struct slice found = SLICE("poison");
    cr_assert_eq(props_find(raw, flag, &found), !!(props->flags & flag));
    cr_assert(slice_eq(props_find_slice(raw, flag), value));
    if (props->flags & flag)
        cr_assert(slice_eq(found, value));
}

static void expect_getters(struct slice raw, const struct amqp_basic_properties *p)
{
    cr_assert_eq(props_flags(raw), p->flags);
    expect_slice(raw, p, AMQP_PROP_CONTENT_TYPE, p->content_type);
    expect_slice(raw, p, AMQP_PROP_CONTENT_ENCODING, p->content_encoding);
    expect_slice(raw, p, AMQP_PROP_HEADERS, p->headers);
    expect_slice(raw, p, AMQP_PROP_CORRELATION_ID, p->correlation_id);
    expect_slice(raw, p, AMQP_PROP_REPLY_TO, p->reply_to);
    expect_slice(raw, p, AMQP_PROP_EXPIRATION, p->expiration);
    expect_slice(raw, p, AMQP_PROP_MESSAGE_ID, p->message_id);
    expect_slice(raw, p, AMQP_PROP_TYPE, p->type);
    expect_slice(raw, p, AMQP_PROP_USER_ID, p->user_id);
    expect_slice(raw, p, AMQP_PROP_APP_ID, p->app_id);
    expect_slice(raw, p, AMQP_PROP_RESERVED, p->reserved);
    cr_assert_eq(props_delivery_mode(raw),
                 p->flags & AMQP_PROP_DELIVERY_MODE ? p->delivery_mode : 1);
    cr_assert_eq(props_priority(raw), p->priority);
    uint64_t seconds = 0;
    cr_assert_eq(props_timestamp(raw, &seconds), !!(p->flags & AMQP_PROP_TIMESTAMP));
    cr_assert_eq(seconds, p->timestamp);
}

UNIT(props, round_trip_and_getters)
{
    struct fill *f = malloc(sizeof *f);
    struct buf once = BUF_INIT, twice = BUF_INIT;
    f->state = 11;
    for (unsigned round = 0; round < 2000; round++) {
        struct amqp_basic_properties props, back;
        fill_props(f, &props);
        struct slice raw = encode(&props, &once);
        cr_assert_eq(props_check(raw), WIRE_OK);
        cr_assert_eq(props_decode(raw, &back), WIRE_OK);
        cr_assert(slice_eq(encode(&back, &twice), raw));
        expect_getters(raw, &props);
    }
    buf_fini(&once);
    buf_fini(&twice);
    free(f);
}

UNIT(props, every_cut_is_an_error)
{
    struct fill *f = malloc(sizeof *f);
    struct buf once = BUF_INIT;
    f->state = 12;
    for (unsigned round = 0; round < 50; round++) {
        struct amqp_basic_properties props;
        fill_props(f, &props);
        struct slice raw = encode(&props, &once);
        buf_append_byte(&once, 0);
        cr_assert_eq(props_check(buf_slice(&once)), WIRE_EXCESS);
        cr_assert_eq(props_decode(buf_slice(&once), &props), WIRE_EXCESS);
        for (size_t cut = 0; cut < raw.len; cut++) {
            uint8_t *copy = malloc(cut ? cut : 1);
            memcpy(copy, once.data, cut);
            struct slice s = slice_of(copy, cut);
            cr_assert_eq(props_check(s), WIRE_SHORT);
            cr_assert_eq(props_decode(s, &props), WIRE_SHORT);
            for (unsigned i = 0; i < AMQP_PROPS_LEN; i++)
                props_find_slice(s, (enum amqp_property)(0x8000 >> i));
            free(copy);
        }
    }
    buf_fini(&once);
    free(f);
}

UNIT(props, spare_flag_bits_are_ignored_and_kept)
{
    for (uint8_t spare = 0; spare < 4; spare++) {
        uint8_t raw[] = {0x10, spare, 2};
        struct amqp_basic_properties props;
        cr_assert_eq(props_decode(slice_of(raw, 3), &props), WIRE_OK);
        cr_assert_eq(props.flags, AMQP_PROP_DELIVERY_MODE);
        cr_assert_eq(props_delivery_mode(slice_of(raw, 3)), 2);
        struct buf out = BUF_INIT;
        props_remove(slice_of(raw, 3), AMQP_PROP_DELIVERY_MODE, &out);
        cr_assert_eq(out.len, 2);
        cr_assert_eq(out.data[1], spare);
        buf_fini(&out);
    }
    cr_assert_eq(props_check(SLICE("\0\1\0\0")), WIRE_EXCESS);
}

UNIT(props, text_need_not_be_utf8_but_tables_must_be_sound)
{
    cr_assert_eq(props_check(SLICE("\x80\0\1\xff")), WIRE_OK);
    cr_assert_eq(props_check(SLICE("\x20\0\0\0\0\3\1aZ")), WIRE_TABLE);
    cr_assert_eq(props_check(SLICE("\x20\0\0\0\0\3\1aV")), WIRE_OK);
    cr_assert_eq(props_check(SLICE("\x20\0\xff\xff\xff\xff\1aV")), WIRE_SHORT);
}

/* Replacing or removing one property is the same as doing so in the struct. */
UNIT(props, rewriting_agrees_with_the_struct)
{
    struct fill *f = malloc(sizeof *f);
    struct buf once = BUF_INIT, want = BUF_INIT, got = BUF_INIT;
    f->state = 13;
    for (unsigned round = 0; round < 2000; round++) {
        struct amqp_basic_properties props;
        fill_props(f, &props);
        struct slice raw = encode(&props, &once);

        struct amqp_basic_properties changed = props;
        changed.reply_to = SLICE("amq.rabbitmq.reply-to.g2h");
        changed.flags |= AMQP_PROP_REPLY_TO;
        buf_clear(&got);
        props_replace(raw, AMQP_PROP_REPLY_TO, changed.reply_to, &got);
        cr_assert(slice_eq(buf_slice(&got), encode(&changed, &want)));

        changed = props;
        changed.headers = SLICE("\3keyV");
        changed.flags |= AMQP_PROP_HEADERS;
        buf_clear(&got);
        props_replace(raw, AMQP_PROP_HEADERS, changed.headers, &got);
        cr_assert(slice_eq(buf_slice(&got), encode(&changed, &want)));

        changed = props;
        changed.timestamp = 1;
        changed.flags |= AMQP_PROP_TIMESTAMP;
        buf_clear(&got);
        props_replace(raw, AMQP_PROP_TIMESTAMP, SLICE("\0\0\0\0\0\0\0\1"), &got);
        cr_assert(slice_eq(buf_slice(&got), encode(&changed, &want)));

        for (unsigned i = 0; i < AMQP_PROPS_LEN; i++) {
            changed = props;
            changed.flags &= (uint16_t) ~(0x8000u >> i);
            buf_clear(&got);
            props_remove(raw, (enum amqp_property)(0x8000 >> i), &got);
            cr_assert(slice_eq(buf_slice(&got), encode(&changed, &want)));
        }
    }
    buf_clear(&got);
    props_replace(SLICE_EMPTY, AMQP_PROP_REPLY_TO, SLICE("q"), &got);
    cr_assert(slice_eq(buf_slice(&got), SLICE("\2\0\1q")));
    buf_fini(&once);
    buf_fini(&want);
    buf_fini(&got);
    free(f);
}

UNIT(props, content_header)
{
    static const uint8_t bytes[] = {0, 60, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2, 0x10, 0, 2};
    struct content_header header;
    cr_assert_eq(content_header_decode(slice_of(bytes, sizeof bytes), &header), WIRE_OK);
    cr_assert_eq(header.class_id, 60);
    cr_assert_eq(header.weight, 1);
    cr_assert_eq(header.body_size, 258);
    cr_assert_eq(props_delivery_mode(header.props), 2);
    for (size_t cut = 0; cut < CONTENT_HEADER_FIXED; cut++)
        cr_assert_eq(content_header_decode(slice_of(bytes, cut), &header), WIRE_SHORT);
    content_header_decode(slice_of(bytes, sizeof bytes), &header);
    uint8_t room[sizeof bytes];
    struct wire_writer wr = wire_writer(room, sizeof room);
    content_header_encode(&wr, &header);
    cr_assert_eq(wire_written(&wr), sizeof bytes);
    cr_assert_arr_eq(room, bytes, sizeof bytes);
}

UNIT(props, prints_those_that_are_there)
{
    struct amqp_basic_properties props = {
        .flags = AMQP_PROP_CONTENT_TYPE | AMQP_PROP_HEADERS | AMQP_PROP_DELIVERY_MODE |
                 AMQP_PROP_TIMESTAMP,
        .content_type = SLICE("text/plain"),
        .headers = SLICE("\1aV"),
        .delivery_mode = 2,
        .timestamp = 1700000000,
        .app_id = SLICE("not flagged"),
    };
    struct buf out = BUF_INIT;
    props_print(&props, &out);
    cr_assert_str_eq(
        buf_cstr(&out),
        " content_type='text/plain' headers={a=void} delivery_mode=2 timestamp=1700000000");
    buf_fini(&out);
}
