#include "base/amqp_spec.h"
#include "base/wire.h"
#include "fill.h"
#include "unit.h"

#include <stdlib.h>

UNIT(wire, numbers_are_big_endian)
{
    const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    struct wire_reader rd = wire_reader(slice_of(bytes, sizeof bytes));
    cr_assert_eq(wire_get_u8(&rd), 0x01);
    cr_assert_eq(wire_get_u16(&rd), 0x0203);
    cr_assert_eq(wire_get_u32(&rd), 0x04050607);
    cr_assert_eq(wire_get_u64(&rd), UINT64_C(0x08090a0b0c0d0e0f));
    cr_assert_eq(rd.err, WIRE_OK);
    cr_assert_eq(wire_left(&rd), 0);

    uint8_t room[sizeof bytes];
    struct wire_writer wr = wire_writer(room, sizeof room);
    wire_put_u8(&wr, 0x01);
    wire_put_u16(&wr, 0x0203);
    wire_put_u32(&wr, 0x04050607);
    wire_put_u64(&wr, UINT64_C(0x08090a0b0c0d0e0f));
    cr_assert_eq(wire_written(&wr), sizeof room);
    cr_assert_arr_eq(room, bytes, sizeof bytes);
}

UNIT(wire, read_error_sticks)
{
    struct wire_reader rd = wire_reader(SLICE("\x05"
                                              "abc"));
    cr_assert_eq(wire_get_shortstr(&rd).len, 0);
    cr_assert_eq(rd.err, WIRE_SHORT);
    cr_assert_eq(wire_get_u8(&rd), 0);
    cr_assert_eq(wire_get_u64(&rd), 0);
    cr_assert_eq(wire_get_longstr(&rd).len, 0);
    wire_reader_fail(&rd, WIRE_TABLE);
    cr_assert_eq(rd.err, WIRE_SHORT);

    rd = wire_reader(SLICE("\xff\xff\xff\xff"
                           "abc"));
    cr_assert_eq(wire_get_longstr(&rd).len, 0);
    cr_assert_eq(rd.err, WIRE_SHORT);

    rd = wire_reader(SLICE_EMPTY);
    cr_assert_eq(wire_get_u16(&rd), 0);
    cr_assert_eq(rd.err, WIRE_SHORT);
}

UNIT(wire, write_error_sticks)
{
    uint8_t room[4] = {0};
    struct wire_writer wr = wire_writer(room, sizeof room);
    wire_put_u16(&wr, 1);
    wire_put_u32(&wr, 2);
    cr_assert_eq(wr.err, WIRE_ROOM);
    wire_put_u8(&wr, 3);
    cr_assert_eq(room[2], 0);
    cr_assert_eq(wire_written(&wr), 0);

    char long_text[256] = {0};
    struct buf buf = BUF_INIT;
    wr = wire_writer_buf(&buf);
    wire_put_shortstr(&wr, slice_of(long_text, 256));
    cr_assert_eq(wr.err, WIRE_TOO_LONG);
    wire_put_u8(&wr, 1);
    cr_assert_eq(wire_written(&wr), 0);
    cr_assert_eq(buf.len, 0);
    buf_fini(&buf);
}

UNIT(wire, buf_grows_under_the_writer)
{
    struct buf buf = BUF_INIT;
    buf_append_str(&buf, "before");
    struct wire_writer wr = wire_writer_buf(&buf);
    for (uint32_t i = 0; i < 10000; i++)
        wire_put_u32(&wr, i);
    cr_assert_eq(wire_written(&wr), 40000);
    cr_assert_eq(buf.len, 40006);
    cr_assert_arr_eq(buf.data, "before", 6);
    struct wire_reader rd = wire_reader(slice_of(buf.data + 6, 40000));
    for (uint32_t i = 0; i < 10000; i++)
        cr_assert_eq(wire_get_u32(&rd), i);
    buf_fini(&buf);
}

UNIT(wire, utf8_as_rabbitmq_sees_it)
{
    static const struct {
        const char *text;
        size_t len;
        bool ok;
    } rows[] = {
        {"", 0, true},
        {"\0", 1, true},
        {"plain text of more than eight bytes", 35, true},
        {"twelve bytes\xc3\xa9", 14, true},
        {"\xc3\xa9", 2, true},
        {"\xe2\x82\xac", 3, true},
        {"\xf0\x9f\x90\xb0", 4, true},
        {"\xed\xa0\x80", 3, true},     /* a surrogate */
        {"\xef\xbf\xbf", 3, true},     /* U+FFFF */
        {"\xf4\x90\x80\x80", 4, true}, /* above U+10FFFF */
        {"\xf7\xbf\xbf\xbf", 4, true}, /* the last of four bytes */
        {"\xf8\x88\x80\x80\x80", 5, false},
        {"\xfc\x84\x80\x80\x80\x80", 6, false},
        {"\xc0\x80", 2, false}, /* overlong */
        {"\xc1\x81", 2, false},
        {"\xe0\x80\x80", 3, false},
        {"\xf0\x80\x80\x80", 4, false},
        {"\xc2", 1, false}, /* cut */
        {"\xe2\x82", 2, false},
        {"\x80", 1, false},
        {"\xff", 1, false},
        {"eight by\xc3(", 10, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(wire_utf8(slice_of(rows[i].text, rows[i].len)), rows[i].ok, "row %zu", i);
}

/* Encoded, decoded and encoded again, the bytes are the same; any shorter input is an error, and so
 * is a longer one. */
static void round_trip(struct fill *f, const struct wire_method *m, union amqp_any *args)
{
    uint8_t once[8192], twice[8192];
    union amqp_any back;
    fill_args(f, m, args);
    struct wire_writer wr = wire_writer(once, sizeof once - 1);
    wire_encode(&wr, m, args);
    size_t n = wire_written(&wr);
    cr_assert_geq(n, 4, "%s", m->name);
    cr_assert_eq(wire_load_u16(once), m->class_id);
    cr_assert_eq(wire_load_u16(once + 2), m->method_id);

    cr_assert_eq(wire_decode(m, slice_of(once + 4, n - 4), &back), WIRE_OK, "%s", m->name);
    wr = wire_writer(twice, n);
    wire_encode(&wr, m, &back);
    cr_assert_eq(wire_written(&wr), n, "%s", m->name);
    cr_assert_arr_eq(once, twice, n, "%s", m->name);

    once[n] = 0;
    cr_assert_eq(wire_decode(m, slice_of(once + 4, n - 3), &back), WIRE_EXCESS, "%s", m->name);
    for (size_t cut = 4; cut < n; cut++) {
        cr_assert_eq(wire_decode(m, slice_of(once + 4, cut - 4), &back), WIRE_SHORT,
                     "%s cut at %zu", m->name, cut);
        wr = wire_writer(twice, cut);
        wire_encode(&wr, m, args);
        cr_assert_eq(wire_written(&wr), 0);
        cr_assert_eq(wr.err, WIRE_ROOM);
    }
}

UNIT(wire, every_method_round_trips)
{
    struct fill *f = malloc(sizeof *f);
    f->state = 1;
    for (unsigned i = 0; i < AMQP_METHODS_LEN; i++) {
        for (unsigned round = 0; round < 20; round++) {
            union amqp_any args;
            round_trip(f, &amqp_methods[i], &args);
        }
    }
    free(f);
}

UNIT(wire, methods_are_found_by_their_ids)
{
    unsigned found = 0;
    for (unsigned c = 0; c < 300; c++) {
        for (unsigned m = 0; m < 300; m++) {
            const struct wire_method *method = amqp_method_find((uint16_t)c, (uint16_t)m);
            if (!method)
                continue;
            found++;
            cr_assert_eq(method->class_id, c);
            cr_assert_eq(method->method_id, m);
            cr_assert_eq(method, &amqp_methods[method->index]);
            cr_assert_eq(amqp_method_by_name(slice_str(method->name)), method);
        }
    }
    cr_assert_eq(found, AMQP_METHODS_LEN);
    cr_assert_null(amqp_method_find(UINT16_MAX, UINT16_MAX));
    cr_assert_null(amqp_method_by_name(SLICE("basic.publis")));
    cr_assert_eq(amqp_method_find(60, 40), &amqp_methods[AMQP_BASIC_PUBLISH]);
    cr_assert_eq(AMQP_BASIC_PUBLISH_ID, 60 << 16 | 40);
}

struct dispatch_row {
    enum amqp_method index;
    size_t size;
    bool sync, content;
};
#define ROW(name, index, sync, content) {index, sizeof(struct amqp_##name), sync, content},
static const struct dispatch_row client_rows[] = {AMQP_CLIENT_METHODS(ROW)};
static const struct dispatch_row server_rows[] = {AMQP_SERVER_METHODS(ROW)};
#undef ROW

/* The list names exactly the methods that have the flag, with their properties. */
static void expect_dispatch(const struct dispatch_row *rows, size_t n, enum wire_flag from)
{
    size_t flagged = 0;
    for (unsigned i = 0; i < AMQP_METHODS_LEN; i++)
        flagged += !!(amqp_methods[i].flags & from);
    cr_assert_eq(flagged, n);
    for (size_t i = 0; i < n; i++) {
        const struct wire_method *m = &amqp_methods[rows[i].index];
        cr_assert(m->flags & from, "%s", m->name);
        cr_assert_eq(m->index, rows[i].index, "%s", m->name);
        cr_assert_eq(m->size, rows[i].size, "%s", m->name);
        cr_assert_eq(!!(m->flags & WIRE_SYNC), rows[i].sync, "%s", m->name);
        cr_assert_eq(!!(m->flags & WIRE_CONTENT), rows[i].content, "%s", m->name);
    }
}

UNIT(wire, dispatch_lists_agree_with_the_table)
{
    expect_dispatch(client_rows, sizeof client_rows / sizeof *client_rows, WIRE_FROM_CLIENT);
    expect_dispatch(server_rows, sizeof server_rows / sizeof *server_rows, WIRE_FROM_SERVER);
}

UNIT(wire, queue_declare_byte_by_byte)
{
    static const uint8_t bytes[] = {0, 50, 0, 10,  0,   0,   1,   'q', 0x0a, 0, 0,
                                    0, 9,  3, 'a', 'b', 'c', 'I', 0,   0,    0, 7};
    struct buf body = BUF_INIT;
    table_put_i32(&body, SLICE("abc"), 7);
    struct amqp_queue_declare args = {
        .queue = SLICE("q"), .durable = true, .auto_delete = true, .arguments = buf_slice(&body)};
    uint8_t room[64];
    struct wire_writer wr = wire_writer(room, sizeof room);
    wire_encode(&wr, &amqp_methods[AMQP_QUEUE_DECLARE], &args);
    cr_assert_eq(wire_written(&wr), sizeof bytes);
    cr_assert_arr_eq(room, bytes, sizeof bytes);
    buf_fini(&body);

    struct amqp_queue_declare back;
    cr_assert_eq(wire_decode(&amqp_methods[AMQP_QUEUE_DECLARE], slice_of(bytes + 4, 18), &back),
                 WIRE_OK);
    cr_assert(slice_eq_str(back.queue, "q"));
    cr_assert(!back.passive && back.durable && !back.exclusive && back.auto_delete &&
              !back.no_wait);
    int64_t n;
    cr_assert(table_find_int(back.arguments, SLICE("abc"), &n));
    cr_assert_eq(n, 7);
}

UNIT(wire, method_strings_must_be_utf8_unless_content_follows)
{
    union amqp_any args;
    struct slice open = SLICE("\x02\xc3(");
    cr_assert_eq(wire_decode(&amqp_methods[AMQP_CHANNEL_OPEN], open, &args), WIRE_UTF8);
    struct slice cancel = SLICE("\x01\xff\0");
    cr_assert_eq(wire_decode(&amqp_methods[AMQP_BASIC_CANCEL], cancel, &args), WIRE_UTF8);
    struct slice publish = SLICE("\0\0\x01\xff\x01\xff\0");
    cr_assert_eq(wire_decode(&amqp_methods[AMQP_BASIC_PUBLISH], publish, &args), WIRE_OK);
}

UNIT(wire, malformed_tables_are_refused)
{
    union amqp_any args;
    struct slice declare = SLICE("\0\0\x01q\0\0\0\0\x03\x01"
                                 "aZ");
    cr_assert_eq(wire_decode(&amqp_methods[AMQP_QUEUE_DECLARE], declare, &args), WIRE_TABLE);
}

static void expect_print(enum amqp_method index, const void *args, const char *text)
{
    struct buf out = BUF_INIT;
    wire_print(&amqp_methods[index], args, &out);
    cr_expect_str_eq(buf_cstr(&out), text);
    buf_fini(&out);
}

UNIT(wire, prints_what_is_set)
{
    struct buf body = BUF_INIT;
    table_put_str(&body, SLICE("x-queue-type"), SLICE("classic"));
    table_put_i32(&body, SLICE("x-max-length"), 10);
    struct amqp_queue_declare declare = {.queue = SLICE("it's\n\x01"), .passive = true};
    expect_print(AMQP_QUEUE_DECLARE, &declare, "queue.declare queue='it\\'s\\n\\x01' passive=true");
    declare = (struct amqp_queue_declare){.arguments = buf_slice(&body)};
    expect_print(AMQP_QUEUE_DECLARE, &declare,
                 "queue.declare queue='' arguments={x-queue-type='classic', x-max-length=10}");
    buf_fini(&body);
    struct amqp_channel_close close = {404, SLICE("NOT_FOUND"), 50, 10};
    expect_print(AMQP_CHANNEL_CLOSE, &close,
                 "channel.close reply_code=404 reply_text='NOT_FOUND' class_id=50 method_id=10");
    struct amqp_basic_ack ack = {UINT64_MAX, true};
    expect_print(AMQP_BASIC_ACK, &ack, "basic.ack delivery_tag=18446744073709551615 multiple=true");
    struct amqp_connection_tune tune = {2047, 131072, 60};
    expect_print(AMQP_CONNECTION_TUNE, &tune,
                 "connection.tune channel_max=2047 frame_max=131072 heartbeat=60");
    struct amqp_connection_start_ok start_ok = {SLICE_EMPTY, SLICE("PLAIN"),
                                                SLICE("\0guest\0guest"), SLICE("en_US")};
    expect_print(AMQP_CONNECTION_START_OK, &start_ok,
                 "connection.start-ok mechanism='PLAIN' response=*** locale='en_US'");
    struct amqp_connection_start start = {0, 9, SLICE_EMPTY, SLICE("PLAIN"), SLICE("\xff\xc3\xa9")};
    expect_print(AMQP_CONNECTION_START, &start,
                 "connection.start version_major=0 version_minor=9 mechanisms='PLAIN' "
                 "locales='\\xff\\xc3\\xa9'");
    expect_print(AMQP_TX_SELECT, &(struct amqp_tx_select){0}, "tx.select");
}

UNIT(wire, failures_read_as_rabbitmqs)
{
    struct failure why;
    cr_assert_eq(wire_failure(WIRE_SHORT,
                              SLICE("\0\0\x01"
                                    "a"),
                              &why),
                 ERR_FRAME_ERROR);
    cr_assert_str_eq(why.text, "cannot decode <<0,0,1,97>>");
    cr_assert_eq(wire_failure(WIRE_UTF8, SLICE("x"), &why), ERR_FRAME_ERROR);
    cr_assert_str_eq(why.text, "Malformed UTF-8 in shortstr");
    cr_assert_eq(wire_failure(WIRE_EXCESS, SLICE_EMPTY, NULL), ERR_FRAME_ERROR);
    char big[100000];
    memset(big, 'x', sizeof big);
    cr_assert_eq(wire_failure(WIRE_EXCESS, slice_of(big, sizeof big), &why), ERR_FRAME_ERROR);
    cr_assert_gt(strlen(why.text), 255);
    for (enum wire_err e = WIRE_OK; e <= WIRE_TOO_LONG; e++)
        cr_assert_str_neq(wire_err_text(e), "unknown error");
}

/* The codec of properties knows these types and no others. */
UNIT(wire, properties_are_octets_timestamps_strings_or_tables)
{
    cr_assert_eq(amqp_class_basic.properties_len, AMQP_PROPS_LEN);
    for (unsigned i = 0; i < AMQP_PROPS_LEN; i++) {
        uint8_t type = amqp_class_basic.properties[i].type;
        cr_assert(type == WIRE_OCTET || type == WIRE_TIMESTAMP || type == WIRE_SHORTSTR_RAW ||
                  type == WIRE_FIELD_TABLE);
    }
}

UNIT(wire, every_row_has_its_text)
{
    for (unsigned i = 0; i < AMQP_METHODS_LEN; i++) {
        const struct wire_method *m = &amqp_methods[i];
        cr_assert(m->text && *m->text, "%s", m->name);
        for (unsigned j = 0; j < m->fields_len; j++)
            cr_assert(m->info[j].text && *m->info[j].text && m->info[j].domain, "%s", m->name);
        for (unsigned j = 0; j < m->responses_len; j++)
            cr_assert_eq(amqp_methods[m->responses[j]].class_id, m->class_id);
    }
    for (unsigned i = 0; i < AMQP_CLASSES_LEN; i++)
        cr_assert(*amqp_classes[i]->text);
    for (unsigned i = 0; i < AMQP_DOMAINS_LEN; i++)
        cr_assert(*amqp_domains[i].text);
}
