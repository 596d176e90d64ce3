/* Random arguments for any method or property list, by its field table; the same ones in every run.
 */
#ifndef FILL_H
#define FILL_H

#include "base/table.h"
#include "base/wire.h"

struct fill {
    uint64_t state;
    uint8_t pool[8192]; /* what the slices point into */
    size_t used;
};

static inline uint64_t fill_next(struct fill *f)
{
    uint64_t z = f->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline struct slice fill_take(struct fill *f, size_t n)
{
    struct slice s = slice_of(f->pool + f->used, n);
    f->used += n;
    return s;
}

/* Short most of the time, sometimes empty or of full length. */
static inline struct slice fill_text(struct fill *f)
{
    uint64_t r = fill_next(f);
    size_t n = r % 8 == 0 ? 0 : r % 8 == 1 ? 255 : (r >> 8) % 24;
    struct slice s = fill_take(f, n);
    for (size_t i = 0; i < n; i++)
        f->pool[f->used - n + i] = (uint8_t)('!' + fill_next(f) % 94);
    return s;
}

static inline struct slice fill_table(struct fill *f)
{
    struct buf body = BUF_INIT;
    for (uint64_t n = fill_next(f) % 4; n; n--) {
        struct slice key = fill_text(f);
        if (fill_next(f) % 2)
            table_put_i64(&body, key, (int64_t)fill_next(f));
        else
            table_put_str(&body, key, fill_text(f));
    }
    struct slice s = fill_take(f, body.len);
    if (body.len)
        memcpy(f->pool + f->used - body.len, body.data, body.len);
    buf_fini(&body);
    return s;
}

static inline void fill_field(struct fill *f, const struct wire_field *field, void *args)
{
    uint8_t *member = (uint8_t *)args + field->offset;
    switch ((enum wire_type)field->type) {
    case WIRE_BIT:
        *(bool *)member = fill_next(f) & 1;
        break;
    case WIRE_OCTET:
        *member = (uint8_t)fill_next(f);
        break;
    case WIRE_U16:
        *(uint16_t *)member = (uint16_t)fill_next(f);
        break;
    case WIRE_U32:
        *(uint32_t *)member = (uint32_t)fill_next(f);
        break;
    case WIRE_U64:
    case WIRE_TIMESTAMP:
        *(uint64_t *)member = fill_next(f);
        break;
    case WIRE_SHORTSTR:
    case WIRE_SHORTSTR_RAW:
    case WIRE_LONGSTR:
        *(struct slice *)member = fill_text(f);
        break;
    case WIRE_FIELD_TABLE:
        *(struct slice *)member = fill_table(f);
        break;
    case WIRE_RESERVED_BIT:
    case WIRE_RESERVED_U16:
    case WIRE_RESERVED_SHORTSTR:
    case WIRE_RESERVED_LONGSTR:
        break;
    }
}

/* Forgets what was filled before: its slices are gone. */
static inline void fill_args(struct fill *f, const struct wire_method *method, void *args)
{
    f->used = 0;
    for (unsigned i = 0; i < method->fields_len; i++)
        fill_field(f, &method->fields[i], args);
}

#endif
