/* A typed cell of a listing: what an object answers when asked for a column. */
#ifndef BASE_VALUE_H
#define BASE_VALUE_H

#include "base/slice.h"

enum value_type {
    VALUE_NONE, /* no such thing for this object: an empty cell, JSON null */
    VALUE_BOOL,
    VALUE_INT,
    VALUE_DOUBLE,
    VALUE_TEXT,  /* owned heap text */
    VALUE_TABLE, /* owned heap copy of an encoded AMQP field table (without its length) */
};

struct value {
    enum value_type type;
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct slice bytes;
    };
};

static inline struct value value_none(void)
{
    return (struct value){.type = VALUE_NONE};
}
static inline struct value value_bool(bool b)
{
    return (struct value){.type = VALUE_BOOL, .boolean = b};
}
static inline struct value value_int(int64_t n)
{
    return (struct value){.type = VALUE_INT, .integer = n};
}
static inline struct value value_double(double d)
{
    return (struct value){.type = VALUE_DOUBLE, .real = d};
}
/* Copies the text. */
static inline struct value value_text(struct slice text)
{
    return (struct value){.type = VALUE_TEXT, .bytes = slice_dup(text)};
}
/* Copies the bytes. */
static inline struct value value_table(struct slice table)
{
    return (struct value){.type = VALUE_TABLE, .bytes = slice_dup(table)};
}
static inline void value_fini(struct value *v)
{
    if (v->type >= VALUE_TEXT)
        slice_free(&v->bytes);
    v->type = VALUE_NONE;
}

#endif
