/* The octets of AMQP 0-9-1 as a load generator needs them: method ids, big-endian access, and a
 * growing writer. Everything on the hot path is inline; the writer is for set-up and control. */
#ifndef PERF_PROTO_H
#define PERF_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    FRAME_METHOD = 1,
    FRAME_HEADER = 2,
    FRAME_BODY = 3,
    FRAME_HEARTBEAT = 8,
    FRAME_END = 0xCE,
    FRAME_OVERHEAD = 8, /* type, channel, size and end octet */
    FRAME_MIN = 4096,
    SHORTSTR_MAX = 255,
};

#define METHOD_ID(class, method) ((uint32_t)(class) << 16 | (uint32_t)(method))

enum method {
    METHOD_NONE = 0,
    CONNECTION_START = METHOD_ID(10, 10),
    CONNECTION_START_OK = METHOD_ID(10, 11),
    CONNECTION_SECURE = METHOD_ID(10, 20),
    CONNECTION_TUNE = METHOD_ID(10, 30),
    CONNECTION_TUNE_OK = METHOD_ID(10, 31),
    CONNECTION_OPEN = METHOD_ID(10, 40),
    CONNECTION_OPEN_OK = METHOD_ID(10, 41),
    CONNECTION_CLOSE = METHOD_ID(10, 50),
    CONNECTION_CLOSE_OK = METHOD_ID(10, 51),
    CONNECTION_BLOCKED = METHOD_ID(10, 60),
    CONNECTION_UNBLOCKED = METHOD_ID(10, 61),
    CHANNEL_OPEN = METHOD_ID(20, 10),
    CHANNEL_OPEN_OK = METHOD_ID(20, 11),
    CHANNEL_FLOW = METHOD_ID(20, 20),
    CHANNEL_FLOW_OK = METHOD_ID(20, 21),
    CHANNEL_CLOSE = METHOD_ID(20, 40),
    CHANNEL_CLOSE_OK = METHOD_ID(20, 41),
    EXCHANGE_DECLARE = METHOD_ID(40, 10),
    EXCHANGE_DECLARE_OK = METHOD_ID(40, 11),
    EXCHANGE_DELETE = METHOD_ID(40, 20),
    EXCHANGE_DELETE_OK = METHOD_ID(40, 21),
    QUEUE_DECLARE = METHOD_ID(50, 10),
    QUEUE_DECLARE_OK = METHOD_ID(50, 11),
    QUEUE_BIND = METHOD_ID(50, 20),
    QUEUE_BIND_OK = METHOD_ID(50, 21),
    QUEUE_PURGE = METHOD_ID(50, 30),
    QUEUE_PURGE_OK = METHOD_ID(50, 31),
    QUEUE_DELETE = METHOD_ID(50, 40),
    QUEUE_DELETE_OK = METHOD_ID(50, 41),
    QUEUE_UNBIND = METHOD_ID(50, 50),
    QUEUE_UNBIND_OK = METHOD_ID(50, 51),
    BASIC_QOS = METHOD_ID(60, 10),
    BASIC_QOS_OK = METHOD_ID(60, 11),
    BASIC_CONSUME = METHOD_ID(60, 20),
    BASIC_CONSUME_OK = METHOD_ID(60, 21),
    BASIC_CANCEL = METHOD_ID(60, 30),
    BASIC_CANCEL_OK = METHOD_ID(60, 31),
    BASIC_PUBLISH = METHOD_ID(60, 40),
    BASIC_RETURN = METHOD_ID(60, 50),
    BASIC_DELIVER = METHOD_ID(60, 60),
    BASIC_GET = METHOD_ID(60, 70),
    BASIC_GET_OK = METHOD_ID(60, 71),
    BASIC_GET_EMPTY = METHOD_ID(60, 72),
    BASIC_ACK = METHOD_ID(60, 80),
    BASIC_REJECT = METHOD_ID(60, 90),
    BASIC_RECOVER = METHOD_ID(60, 110),
    BASIC_RECOVER_OK = METHOD_ID(60, 111),
    BASIC_NACK = METHOD_ID(60, 120),
    CONFIRM_SELECT = METHOD_ID(85, 10),
    CONFIRM_SELECT_OK = METHOD_ID(85, 11),
    TX_SELECT = METHOD_ID(90, 10),
    TX_SELECT_OK = METHOD_ID(90, 11),
    TX_COMMIT = METHOD_ID(90, 20),
    TX_COMMIT_OK = METHOD_ID(90, 21),
};

enum {
    CLASS_BASIC = 60,
    FLAG_HEADERS = 1 << 13,
    FLAG_DELIVERY_MODE = 1 << 12,
    FLAG_PRIORITY = 1 << 11,
    FLAG_EXPIRATION = 1 << 8,
};

static inline uint16_t get_u16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, 2);
    return __builtin_bswap16(v);
}

static inline uint32_t get_u32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}

static inline uint64_t get_u64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}

static inline void set_u16(uint8_t *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, 2);
}

static inline void set_u32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
}

static inline void set_u64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}

/* The 16 octets at the head of every payload: 16 bits producer and 48 bits sequence number, then 16
 * bits run id and 48 bits of the monotonic clock in nanoseconds, both big-endian. */
enum { STAMP_SIZE = 16 };
#define STAMP_MASK ((UINT64_C(1) << 48) - 1)

struct stamp {
    uint16_t producer;
    uint16_t run;
    uint64_t seq;
    uint64_t time;
};

static inline void stamp_put(uint8_t *p, uint64_t producer_seq, uint64_t run_time)
{
    set_u64(p, producer_seq);
    set_u64(p + 8, run_time);
}

static inline struct stamp stamp_get(const uint8_t *p)
{
    uint64_t a = get_u64(p);
    uint64_t b = get_u64(p + 8);

    return (struct stamp){
        .producer = (uint16_t)(a >> 48),
        .run = (uint16_t)(b >> 48),
        .seq = a & STAMP_MASK,
        .time = b & STAMP_MASK,
    };
}

/* Nanoseconds from a stamp's time to now; a clock read before the stamp gives 0. */
static inline uint64_t stamp_age(uint64_t time, uint64_t now)
{
    uint64_t age = (now - time) & STAMP_MASK;

    return age >> 47 ? 0 : age;
}

/* A growing run of octets; `off` is how much of it has been taken. */
struct octets {
    uint8_t *data;
    size_t off;
    size_t len;
    size_t cap;
};

void octets_fini(struct octets *o);
void octets_grow(struct octets *o, size_t more);

static inline size_t octets_left(const struct octets *o)
{
    return o->len - o->off;
}

/* Returns room for n octets at the end and counts them as written. */
static inline uint8_t *octets_add(struct octets *o, size_t n)
{
    if (o->off == o->len)
        o->off = o->len = 0;
    if (o->cap - o->len < n)
        octets_grow(o, n);
    uint8_t *p = o->data + o->len;
    o->len += n;
    return p;
}

void put_u8(struct octets *o, uint8_t v);
void put_u16(struct octets *o, uint16_t v);
void put_u32(struct octets *o, uint32_t v);
void put_u64(struct octets *o, uint64_t v);
void put_shortstr(struct octets *o, const char *s);
void put_bytes(struct octets *o, const void *p, size_t n);

/* A table entry, and the table around it: begin returns a mark for end. */
size_t table_begin(struct octets *o);
void table_end(struct octets *o, size_t mark);
void table_str(struct octets *o, const char *key, const char *value);
void table_long(struct octets *o, const char *key, int64_t value);
void table_bool(struct octets *o, const char *key, bool value);

/* A method frame: begin writes its head and returns a mark, end writes size and end octet. */
size_t method_begin(struct octets *o, uint16_t channel, enum method id);
void method_end(struct octets *o, size_t mark);
/* A method without arguments. */
void method_empty(struct octets *o, uint16_t channel, enum method id);

enum { ACK_FRAME_SIZE = 21 };

static inline void ack_put(uint8_t *p, uint16_t channel, uint64_t tag, bool multiple)
{
    p[0] = FRAME_METHOD;
    set_u16(p + 1, channel);
    set_u32(p + 3, 13);
    set_u32(p + 7, BASIC_ACK);
    set_u64(p + 11, tag);
    p[19] = multiple;
    p[20] = FRAME_END;
}

/* The name of a method for messages to people, e.g. "basic.ack"; "unknown" if there is none.
 */
const char *method_name(uint32_t id);

#endif
