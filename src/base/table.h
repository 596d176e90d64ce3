/* Field tables and arrays, read in place from their wire bytes: a table is the slice of its body,
 * without the length in front. Keys may repeat; the first one counts, as in RabbitMQ.
 *
 * Everything but table_check() expects bytes that table_check() or array_check() accepted; on
 * others it stays within them and stops early. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include "base/buf.h"
#include "base/slice.h"

enum table_type {
    TABLE_BOOL = 't',
    TABLE_I8 = 'b',
    TABLE_U8 = 'B',
    TABLE_I16 = 's',
    TABLE_U16 = 'u',
    TABLE_I32 = 'I',
    TABLE_U32 = 'i',
    TABLE_I64 = 'l', /* 'L' decodes to this */
    TABLE_FLOAT = 'f',
    TABLE_DOUBLE = 'd',
    TABLE_DECIMAL = 'D',
    TABLE_LONGSTR = 'S',
    TABLE_ARRAY = 'A',
    TABLE_TIMESTAMP = 'T',
    TABLE_TABLE = 'F',
    TABLE_VOID = 'V',
    TABLE_BINARY = 'x'
};

struct table_value {
    enum table_type type;
    union {
        bool boolean;
        int64_t integer;    /* b B s u I i l */
        uint64_t timestamp; /* seconds since 1970 */
        double real;        /* f d */
        struct {
            uint8_t scale;
            uint32_t digits; /* value = digits / 10^scale */
        } decimal;
        struct slice bytes; /* S x; F A: the body */
    };
};

/* Whether the bytes are a well-formed table (array): to any depth, without recursion. Infinite and
 * not-a-number floats are malformed, as in RabbitMQ. */
bool table_check(struct slice table);
bool array_check(struct slice array);

/* --- reading --- */

struct table_iter {
    const uint8_t *pos, *end;
};

static inline struct table_iter table_iter(struct slice body)
{
    const uint8_t *p = body.data ? body.data : (const uint8_t *)"";
    return (struct table_iter){p, p + body.len};
}
/* False at the end. key and value borrow from the table. */
bool table_next(struct table_iter *it, struct slice *ret_key, struct table_value *ret_value);
bool array_next(struct table_iter *it, struct table_value *ret_value);

size_t table_count(struct slice table);
bool table_find(struct slice table, struct slice key, struct table_value *ret_value);

/* False if the key is missing or its value is of another kind. */
bool table_find_int(struct slice table, struct slice key, int64_t *ret);
bool table_find_bool(struct slice table, struct slice key, bool *ret);
bool table_find_str(struct slice table, struct slice key, struct slice *ret); /* S only */
bool table_find_table(struct slice table, struct slice key, struct slice *ret_body);
bool table_find_array(struct slice table, struct slice key, struct slice *ret_body);

/* Any of b B s u I i l. */
bool table_is_int(enum table_type type);

/* "longstr", "signedint", ...: RabbitMQ's names, also in its error texts. */
const char *table_type_name(enum table_type type);

/* --- comparing --- */

/* Equal as declare arguments are: integers of any width, floats of any width; other types alike. */
bool table_value_equal(const struct table_value *a, const struct table_value *b);
/* Equal as values of a headers exchange are: all numbers and timestamps by value, strings and
 * binaries by bytes. */
bool table_value_match(const struct table_value *a, const struct table_value *b);
/* Same keys in the same order with equal values. */
bool table_equal(struct slice a, struct slice b);

/* --- building: appends to a body in a buf; a key has at most 255 bytes --- */

void table_put(struct buf *body, struct slice key, const struct table_value *value);
void array_put(struct buf *body, const struct table_value *value);
void table_put_str(struct buf *body, struct slice key, struct slice text);
void table_put_bool(struct buf *body, struct slice key, bool v);
void table_put_i32(struct buf *body, struct slice key, int32_t v);
void table_put_i64(struct buf *body, struct slice key, int64_t v);
void table_put_double(struct buf *body, struct slice key, double v);
void table_put_timestamp(struct buf *body, struct slice key, uint64_t seconds);
void table_put_void(struct buf *body, struct slice key);
/* F or A from a finished body. */
void table_put_table(struct buf *body, struct slice key, struct slice table);
void table_put_array(struct buf *body, struct slice key, struct slice array);
void array_put_str(struct buf *body, struct slice text);
void array_put_i64(struct buf *body, int64_t v);
void array_put_table(struct buf *body, struct slice table);
/* A nested table or array built in place: what is put between open and close belongs to it. */
size_t table_open(struct buf *body, struct slice key, enum table_type type);
size_t array_open(struct buf *body, enum table_type type);
void table_close(struct buf *body, size_t mark);

static inline struct table_value table_value_str(struct slice text)
{
    return (struct table_value){.type = TABLE_LONGSTR, .bytes = text};
}
static inline struct table_value table_value_i64(int64_t v)
{
    return (struct table_value){.type = TABLE_I64, .integer = v};
}

/* --- rewriting: appends the new body to out; other entries keep their bytes and order --- */

void table_remove(struct slice table, struct slice key, struct buf *out);
/* In place of the first entry of that key (further ones go), or at the end. */
void table_replace(struct slice table, struct slice key, const struct table_value *value,
                   struct buf *out);
/* Entries of base whose key is not in over, then all of over. */
void table_merge(struct slice base, struct slice over, struct buf *out);
/* Entries in the order of their keys; of the same key, as they were. */
void table_sort(struct slice table, struct buf *out);

/* --- printing --- */

/* As RabbitMQ shows a value in an error text: abc, 10, true, 1.5, {2,314}, [{<<"a">>,signedint,1}].
 */
void table_value_print_term(const struct table_value *value, struct buf *out);
/* The same, a string as <<"abc">> or, if it is no text, <<255,0>>. */
void table_value_print_quoted(const struct table_value *value, struct buf *out);
/* "the value '10' of type 'signedint'"; NULL: "none". */
void table_value_describe(const struct table_value *value, struct buf *out);
/* For traces: {x-max-length=10, 'odd key'='text', t=T:1700000000}; an I, a d and an S bear no
 * letter. */
void table_print(struct slice table, struct buf *out);
void table_value_print(const struct table_value *value, struct buf *out);

#endif
