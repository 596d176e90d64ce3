/* Content headers and message properties, driven by the property list of class basic. No state, any
 * shard. */
#include "base/props.h"

#include "base/table.h"

static const struct wire_field *property(unsigned index)
{
    return &amqp_class_basic.properties[index];
}

/* The index of the highest flag that is set; flags is not 0. */
static unsigned first_index(unsigned flags)
{
    return (unsigned)__builtin_clz(flags) - 16;
}

static unsigned index_flag(unsigned index)
{
    return 0x8000u >> index;
}

enum wire_err content_header_decode(struct slice payload, struct content_header *ret)
{
    if (payload.len < CONTENT_HEADER_FIXED)
        return WIRE_SHORT;
    ret->class_id = wire_load_u16(payload.data);
    ret->weight = wire_load_u16(payload.data + 2);
    ret->body_size = wire_load_u64(payload.data + 4);
    ret->props = slice_of(payload.data + CONTENT_HEADER_FIXED, payload.len - CONTENT_HEADER_FIXED);
    return WIRE_OK;
}

void content_header_encode(struct wire_writer *wr, const struct content_header *header)
{
    wire_put_u16(wr, header->class_id);
    wire_put_u16(wr, header->weight);
    wire_put_u64(wr, header->body_size);
    wire_put_bytes(wr, header->props);
}

#define MEMBER(type, props, field) (*(type *)((uint8_t *)(props) + (field)->offset))
#define CONST_MEMBER(type, props, field) \
    (*(const type *)((const uint8_t *)(props) + (field)->offset))

/* Octet, timestamp, short string and table are the types that properties have; the generator's test
 * fails on another one. */
enum wire_err props_decode(struct slice raw, struct amqp_basic_properties *ret)
{
    struct wire_reader rd = wire_reader(raw);
    unsigned flags = wire_get_u16(&rd) & AMQP_PROP_ALL;
    /* a size the compiler does not know: the library's memset, not slower "rep stos" */
    memset(ret, 0, amqp_class_basic.size);
    ret->flags = (uint16_t)flags;
    while (flags) {
        unsigned index = first_index(flags);
        const struct wire_field *field = property(index);
        switch (field->type) {
        case WIRE_OCTET:
            MEMBER(uint8_t, ret, field) = wire_get_u8(&rd);
            break;
        case WIRE_TIMESTAMP:
            MEMBER(uint64_t, ret, field) = wire_get_u64(&rd);
            break;
        case WIRE_FIELD_TABLE:
            MEMBER(struct slice, ret, field) = wire_get_table(&rd);
            break;
        default:
            MEMBER(struct slice, ret, field) = wire_get_shortstr(&rd);
        }
        flags &= ~index_flag(index);
    }
    return rd.pos != rd.end ? WIRE_EXCESS : rd.err;
}

void props_encode(struct wire_writer *wr, const struct amqp_basic_properties *props)
{
    unsigned flags = props->flags & AMQP_PROP_ALL;
    wire_put_u16(wr, (uint16_t)flags);
    while (flags) {
        unsigned index = first_index(flags);
        const struct wire_field *field = property(index);
        switch (field->type) {
        case WIRE_OCTET:
            wire_put_u8(wr, CONST_MEMBER(uint8_t, props, field));
            break;
        case WIRE_TIMESTAMP:
            wire_put_u64(wr, CONST_MEMBER(uint64_t, props, field));
            break;
        case WIRE_FIELD_TABLE:
            wire_put_longstr(wr, CONST_MEMBER(struct slice, props, field));
            break;
        default:
            wire_put_shortstr(wr, CONST_MEMBER(struct slice, props, field));
        }
        flags &= ~index_flag(index);
    }
}

/* One property's value: without the length of a string or table. */
static struct slice get_value(struct wire_reader *rd, unsigned index)
{
    switch (property(index)->type) {
    case WIRE_OCTET:
        return wire_get_bytes(rd, 1);
    case WIRE_TIMESTAMP:
        return wire_get_bytes(rd, 8);
    case WIRE_FIELD_TABLE:
        return wire_get_longstr(rd);
    default:
        return wire_get_shortstr(rd);
    }
}

enum wire_err props_check(struct slice raw)
{
    struct wire_reader rd = wire_reader(raw);
    unsigned flags = wire_get_u16(&rd) & AMQP_PROP_ALL;
    while (flags) {
        unsigned index = first_index(flags);
        if (property(index)->type == WIRE_FIELD_TABLE)
            wire_get_table(&rd);
        else
            get_value(&rd, index);
        flags &= ~index_flag(index);
    }
    return rd.pos != rd.end ? WIRE_EXCESS : rd.err;
}

void props_print(const struct amqp_basic_properties *props, struct buf *out)
{
    for (unsigned i = 0; i < amqp_class_basic.properties_len; i++) {
        if (props->flags & index_flag(i))
            wire_print_field(property(i), &amqp_class_basic.info[i], props, out);
    }
}

/* Leaves rd at the place of the flag's property, whether it is there or not. */
static unsigned seek(struct wire_reader *rd, enum amqp_property flag)
{
    unsigned flags = wire_get_u16(rd);
    unsigned before = flags & AMQP_PROP_ALL & ~(2u * (unsigned)flag - 1);
    while (before) {
        unsigned index = first_index(before);
        get_value(rd, index);
        before &= ~index_flag(index);
    }
    return flags;
}

bool props_find_there(struct slice raw, enum amqp_property flag, struct slice *ret)
{
    struct wire_reader rd = wire_reader(raw);
    if (!(seek(&rd, flag) & flag))
        return false;
    struct slice value = get_value(&rd, first_index((unsigned)flag));
    if (rd.err)
        return false;
    *ret = value;
    return true;
}

bool props_timestamp(struct slice raw, uint64_t *ret_seconds)
{
    struct slice value;
    if (!props_find(raw, AMQP_PROP_TIMESTAMP, &value))
        return false;
    *ret_seconds = wire_load_u64(value.data);
    return true;
}

static void put_value(struct wire_writer *wr, unsigned index, struct slice value)
{
    switch (property(index)->type) {
    case WIRE_OCTET:
    case WIRE_TIMESTAMP:
        wire_put_bytes(wr, value);
        break;
    case WIRE_FIELD_TABLE:
        wire_put_longstr(wr, value);
        break;
    default:
        wire_put_shortstr(wr, value);
    }
}

/* value: NULL removes the property. No raw bytes at all are no properties. */
static void rewrite(struct slice raw, enum amqp_property flag, const struct slice *value,
                    struct buf *out)
{
    if (raw.len < 2)
        raw = SLICE("\0\0");
    struct wire_reader rd = wire_reader(raw);
    unsigned index = first_index((unsigned)flag);
    unsigned flags = seek(&rd, flag);
    const uint8_t *at = rd.pos;
    if (flags & flag)
        get_value(&rd, index);
    struct wire_writer wr = wire_writer_buf(out);
    wire_put_u16(&wr, (uint16_t)(value ? flags | flag : flags & ~(unsigned)flag));
    wire_put_bytes(&wr, slice_of(raw.data + 2, (size_t)(at - raw.data) - 2));
    if (value)
        put_value(&wr, index, *value);
    wire_put_bytes(&wr, wire_rest(&rd));
    wire_written(&wr);
}

void props_replace(struct slice raw, enum amqp_property flag, struct slice value, struct buf *out)
{
    rewrite(raw, flag, &value, out);
}

void props_remove(struct slice raw, enum amqp_property flag, struct buf *out)
{
    rewrite(raw, flag, NULL, out);
}
