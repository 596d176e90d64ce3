/* Straight-line forms of the hot methods: the same results as wire_decode() and wire_encode(),
 * which tests/unit/base/test_wire_fast.c proves. Decoders get the arguments (behind class and
 * method id); encoders write the whole payload (ids and arguments) and return its end: the caller
 * has made room. */
#ifndef BASE_WIRE_FAST_H
#define BASE_WIRE_FAST_H

#include "base/amqp_spec.h"

/* False if anything is wrong: then wire_decode() tells what. */
static inline bool wire_fast_basic_publish(struct slice args, struct amqp_basic_publish *ret)
{
    const uint8_t *p = args.data;
    if (args.len < 5)
        return false;
    size_t exchange_len = p[2];
    if (args.len < 5 + exchange_len)
        return false;
    size_t key_len = p[3 + exchange_len];
    if (args.len != 5 + exchange_len + key_len)
        return false;
    uint8_t bits = p[4 + exchange_len + key_len];
    ret->exchange = slice_of(p + 3, exchange_len);
    ret->routing_key = slice_of(p + 4 + exchange_len, key_len);
    ret->mandatory = bits & 1;
    ret->immediate = bits >> 1 & 1;
    return true;
}

static inline bool wire_fast_basic_ack(struct slice args, struct amqp_basic_ack *ret)
{
    if (args.len != 9)
        return false;
    ret->delivery_tag = wire_load_u64(args.data);
    ret->multiple = args.data[8] & 1;
    return true;
}

static inline bool wire_fast_basic_nack(struct slice args, struct amqp_basic_nack *ret)
{
    if (args.len != 9)
        return false;
    ret->delivery_tag = wire_load_u64(args.data);
    ret->multiple = args.data[8] & 1;
    ret->requeue = args.data[8] >> 1 & 1;
    return true;
}

static inline bool wire_fast_basic_reject(struct slice args, struct amqp_basic_reject *ret)
{
    if (args.len != 9)
        return false;
    ret->delivery_tag = wire_load_u64(args.data);
    ret->requeue = args.data[8] & 1;
    return true;
}

/* An exchange and routing key as publish carried them: both short strings with their length octets,
 * as one run of bytes (at most 512). */
static inline struct slice wire_fast_publish_names(struct slice args)
{
    return slice_of(args.data + 2, args.len - 3);
}

static inline uint8_t *wire_fast_put(uint8_t *p, struct slice s)
{
    if (s.len)
        memcpy(p, s.data, s.len);
    return p + s.len;
}

#define WIRE_FAST_DELIVER_SIZE(tag_len, names_len) \
    (4 + 1 + (size_t)(tag_len) + 9 + (size_t)(names_len))

/* names: as wire_fast_publish_names(). consumer_tag: at most 255 bytes. */
static inline uint8_t *wire_fast_put_basic_deliver(uint8_t *p, struct slice consumer_tag,
                                                   uint64_t delivery_tag, bool redelivered,
                                                   struct slice names)
{
    wire_store_u32(p, AMQP_BASIC_DELIVER_ID);
    p[4] = (uint8_t)consumer_tag.len;
    p = wire_fast_put(p + 5, consumer_tag);
    wire_store_u64(p, delivery_tag);
    p[8] = redelivered;
    return wire_fast_put(p + 9, names);
}

#define WIRE_FAST_GET_OK_SIZE(names_len) (4 + 9 + (size_t)(names_len) + 4)

static inline uint8_t *wire_fast_put_basic_get_ok(uint8_t *p, uint64_t delivery_tag,
                                                  bool redelivered, struct slice names,
                                                  uint32_t message_count)
{
    wire_store_u32(p, AMQP_BASIC_GET_OK_ID);
    wire_store_u64(p + 4, delivery_tag);
    p[12] = redelivered;
    p = wire_fast_put(p + 13, names);
    wire_store_u32(p, message_count);
    return p + 4;
}

#define WIRE_FAST_ACK_SIZE 13

static inline uint8_t *wire_fast_put_basic_ack(uint8_t *p, uint64_t delivery_tag, bool multiple)
{
    wire_store_u32(p, AMQP_BASIC_ACK_ID);
    wire_store_u64(p + 4, delivery_tag);
    p[12] = multiple;
    return p + 13;
}

static inline uint8_t *wire_fast_put_basic_nack(uint8_t *p, uint64_t delivery_tag, bool multiple,
                                                bool requeue)
{
    wire_store_u32(p, AMQP_BASIC_NACK_ID);
    wire_store_u64(p + 4, delivery_tag);
    p[12] = (uint8_t)(multiple | requeue << 1);
    return p + 13;
}

/* --- frames --- */

#define WIRE_FRAME_HEADER_SIZE 7
#define WIRE_FRAME_OVERHEAD    8 /* header and end octet */

/* type: AMQP_FRAME_METHOD, ...; size: of the payload. */
static inline uint8_t *wire_fast_put_frame(uint8_t *p, uint8_t type, uint16_t channel,
                                           uint32_t size)
{
    p[0] = type;
    wire_store_u16(p + 1, channel);
    wire_store_u32(p + 3, size);
    return p + WIRE_FRAME_HEADER_SIZE;
}

/* The fixed part of a header frame's payload; raw properties follow. */
static inline uint8_t *wire_fast_put_content_header(uint8_t *p, uint64_t body_size)
{
    wire_store_u32(p, (uint32_t)AMQP_CLASS_BASIC << 16);
    wire_store_u64(p + 4, body_size);
    return p + 12;
}

#endif
