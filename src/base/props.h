/* Content headers and the properties of a message. "Raw" properties are the bytes from the flag
 * word to the end of the header frame; they are relayed as they came, and read in place.
 *
 * The flag word's two spare bits are ignored, the continuation bit among them, as in RabbitMQ. */
#ifndef BASE_PROPS_H
#define BASE_PROPS_H

#include "base/amqp_spec.h"
#include "base/wire.h"

struct content_header {
    uint16_t class_id;
    uint16_t weight; /* must be 0 */
    uint64_t body_size;
    struct slice props; /* raw */
};

#define CONTENT_HEADER_FIXED 12 /* bytes in front of the raw properties */

/* The fixed part of a header frame's payload; the properties behind it are not looked at. */
enum wire_err content_header_decode(struct slice payload, struct content_header *ret);
void content_header_encode(struct wire_writer *wr, const struct content_header *header);

/* All of them; ret->flags says which are there, the others are zero. Slices borrow from raw. */
enum wire_err props_decode(struct slice raw, struct amqp_basic_properties *ret);
/* Those that flags names. */
void props_encode(struct wire_writer *wr, const struct amqp_basic_properties *props);
/* Whether raw would decode. */
enum wire_err props_check(struct slice raw);
/* Appends " content_type='text/plain' delivery_mode=2": behind the text of a method. */
void props_print(const struct amqp_basic_properties *props, struct buf *out);

/* --- one property from raw bytes that passed props_check() --- */

static inline uint16_t props_flags(struct slice raw)
{
    return raw.len < 2 ? 0 : (uint16_t)(wire_load_u16(raw.data) & AMQP_PROP_ALL);
}

/* For props_find: the property is there unless the bytes are wrong. */
bool props_find_there(struct slice raw, enum amqp_property flag, struct slice *ret);

/* The value's bytes (of a string or table: without the length); false if absent. flag is one of
 * enum amqp_property. */
static inline bool props_find(struct slice raw, enum amqp_property flag, struct slice *ret)
{
    return (props_flags(raw) & flag) && props_find_there(raw, flag, ret);
}

/* Empty if absent. */
static inline struct slice props_find_slice(struct slice raw, enum amqp_property flag)
{
    struct slice s;
    return props_find(raw, flag, &s) ? s : SLICE_EMPTY;
}

static inline uint8_t props_find_octet(struct slice raw, enum amqp_property flag, uint8_t absent)
{
    struct slice s;
    return props_find(raw, flag, &s) ? s.data[0] : absent;
}

/* 1 or 2 as the publisher said (other values as they are), 1 if absent. */
static inline uint8_t props_delivery_mode(struct slice raw)
{
    return props_find_octet(raw, AMQP_PROP_DELIVERY_MODE, 1);
}
static inline uint8_t props_priority(struct slice raw)
{
    return props_find_octet(raw, AMQP_PROP_PRIORITY, 0);
}
static inline struct slice props_headers(struct slice raw)
{
    return props_find_slice(raw, AMQP_PROP_HEADERS);
}
static inline struct slice props_expiration(struct slice raw)
{
    return props_find_slice(raw, AMQP_PROP_EXPIRATION);
}
static inline struct slice props_reply_to(struct slice raw)
{
    return props_find_slice(raw, AMQP_PROP_REPLY_TO);
}
static inline struct slice props_user_id(struct slice raw)
{
    return props_find_slice(raw, AMQP_PROP_USER_ID);
}
static inline struct slice props_message_id(struct slice raw)
{
    return props_find_slice(raw, AMQP_PROP_MESSAGE_ID);
}
static inline struct slice props_correlation_id(struct slice raw)
{
    return props_find_slice(raw, AMQP_PROP_CORRELATION_ID);
}
bool props_timestamp(struct slice raw, uint64_t *ret_seconds);

/* --- rewriting: appends new raw properties to out; the others keep their bytes --- */

/* value: the bytes as props_find() gives them. Sets the property if it was absent. */
void props_replace(struct slice raw, enum amqp_property flag, struct slice value, struct buf *out);
void props_remove(struct slice raw, enum amqp_property flag, struct buf *out);

#endif
