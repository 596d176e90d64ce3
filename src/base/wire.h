/* The codec of AMQP 0-9-1: decodes, encodes and prints any method from the tables in
 * base/amqp_spec.c. The cursors it stands on are in base/wire_cursor.h. */
#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include "base/err.h"
#include "base/wire_cursor.h"

enum wire_type {
    WIRE_BIT, /* neighbours share an octet: wire_field.bit says where */
    WIRE_OCTET,
    WIRE_U16,
    WIRE_U32,
    WIRE_U64,
    WIRE_SHORTSTR,     /* must be UTF-8 */
    WIRE_SHORTSTR_RAW, /* any bytes */
    WIRE_LONGSTR,
    WIRE_TIMESTAMP,
    WIRE_FIELD_TABLE, /* struct slice: the body, without its length */
    /* no member in the struct: read and dropped, written as zero */
    WIRE_RESERVED_BIT,
    WIRE_RESERVED_U16,
    WIRE_RESERVED_SHORTSTR,
    WIRE_RESERVED_LONGSTR
};

struct wire_field {
    uint16_t offset; /* of the member in the method's struct */
    uint8_t type;    /* enum wire_type */
    uint8_t bit;     /* of a bit: its position, 0 starts a new octet */
};

/* What people read about a field; parallel to the wire_field array. */
struct wire_field_info {
    const char *name;   /* "routing-key" */
    const char *domain; /* "shortstr", "queue-name" */
    const char *text;
    bool secret; /* wire_print() shows *** */
};

enum wire_flag {
    WIRE_FROM_CLIENT = 1,
    WIRE_FROM_SERVER = 2,
    WIRE_SYNC = 4, /* a request that waits for a reply, or such a reply */
    WIRE_CONTENT = 8,
    WIRE_DEPRECATED = 16
};

struct wire_method {
    uint16_t class_id, method_id;
    uint16_t size; /* of its struct */
    uint8_t index; /* enum amqp_method */
    uint8_t flags; /* enum wire_flag */
    uint8_t fields_len;
    uint8_t responses_len;
    uint8_t responses[2]; /* enum amqp_method */
    const struct wire_field *fields;
    const struct wire_field_info *info;
    const char *name; /* "basic.publish" */
    const char *text;
};

struct wire_class {
    uint16_t class_id;
    uint16_t size;          /* of the struct of its properties */
    uint8_t properties_len; /* in the order of the flag bits, from bit 15 down */
    const struct wire_field *properties;
    const struct wire_field_info *info;
    const char *name;
    const char *text;
};

struct wire_domain {
    const char *name, *type;
    uint16_t max; /* length the specification allows; 0: no limit */
    bool notnull;
    const char *regexp; /* NULL: none */
    const char *text;
};

/* Decodes the arguments (what follows the class and method ids) into the method's struct. On an
 * error the struct's content is undefined. The slices in it borrow from args. */
enum wire_err wire_decode(const struct wire_method *method, struct slice args, void *ret_struct);
/* Writes class id, method id and arguments. */
void wire_encode(struct wire_writer *wr, const struct wire_method *method, const void *args);
/* Appends "queue.declare queue='q' passive=true": every argument but reserved ones, bits that are
 * off and empty tables. */
void wire_print(const struct wire_method *method, const void *args, struct buf *out);
/* Appends " routing_key='k'", or nothing if wire_print() leaves the field out. */
void wire_print_field(const struct wire_field *field, const struct wire_field_info *info,
                      const void *args, struct buf *out);
/* Appends the text in single quotes, with \', \\, \n, \r, \t and \xNN for what is not printable. */
void wire_print_quoted(struct slice text, struct buf *out);

/* Fills why with what RabbitMQ answers when the arguments of a method do not decode, and returns
 * its code. */
enum err wire_failure(enum wire_err err, struct slice args, struct failure *why);
const char *wire_err_text(enum wire_err err);

#endif
