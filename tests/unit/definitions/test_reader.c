/* A file of definitions as it is read: which lists and fields there are, what is refused and where,
 * what bounds it. */
#include "rig.h"

#include <stdlib.h>

/* One item of every list, in RabbitMQ's order. */
static const char *const lists[DEFINITION_COUNT] = {
    "\"users\":[{\"name\":\"u\",\"password_hash\":\"aGFzaA==\",\"hashing_algorithm\":"
    "\"rabbit_password_hashing_sha256\",\"tags\":[\"a\",\"b\"],\"limits\":{\"max-channels\":5}}]",
    "\"vhosts\":[{\"name\":\"v\",\"metadata\":{\"description\":\"d\",\"tags\":[]},\"limits\":[]}]",
    "\"permissions\":[{\"user\":\"u\",\"vhost\":\"v\",\"configure\":\"\",\"write\":\"w\","
    "\"read\":\".*\"}]",
    "\"topic_permissions\":[{\"user\":\"u\",\"vhost\":\"v\",\"exchange\":\"amq.topic\","
    "\"write\":\"^a\",\"read\":\"^b\"}]",
    "\"parameters\":[{\"value\":{\"max-queues\":7},\"vhost\":\"v\",\"component\":\"vhost-limits\","
    "\"name\":\"limits\"}]",
    "\"global_parameters\":[{\"name\":\"cluster_name\",\"value\":\"c\"}]",
    "\"policies\":[{\"vhost\":\"v\",\"name\":\"p\",\"pattern\":\"^q\",\"apply-to\":\"queues\","
    "\"definition\":{\"max-length\":5},\"priority\":-1}]",
    "\"queues\":[{\"name\":\"q\",\"vhost\":\"v\",\"durable\":true,\"auto_delete\":false,"
    "\"arguments\":{\"x-max-length\":10}}]",
    "\"exchanges\":[{\"name\":\"x\",\"vhost\":\"v\",\"type\":\"fanout\",\"durable\":true,"
    "\"auto_delete\":false,\"internal\":true,\"arguments\":{}}]",
    "\"bindings\":[{\"source\":\"x\",\"vhost\":\"v\",\"destination\":\"q\",\"destination_type\":"
    "\"queue\",\"routing_key\":\"k\",\"arguments\":{\"a\":1}}]",
};

static const char every[] =
    "vhosts {\"name\":\"v\",\"metadata\":{\"description\":\"d\",\"tags\":[]},\"limits\":[]}\n"
    "users {\"name\":\"u\",\"password_hash\":\"aGFzaA==\",\"hashing_algorithm\":"
    "\"rabbit_password_hashing_sha256\",\"tags\":[\"a\",\"b\"],\"limits\":{\"max-channels\":5}}\n"
    "permissions {\"user\":\"u\",\"vhost\":\"v\",\"configure\":\"\",\"write\":\"w\","
    "\"read\":\".*\"}\n"
    "topic_permissions {\"user\":\"u\",\"vhost\":\"v\",\"exchange\":\"amq.topic\","
    "\"write\":\"^a\",\"read\":\"^b\"}\n"
    "exchanges {\"name\":\"x\",\"vhost\":\"v\",\"type\":\"fanout\",\"durable\":true,"
    "\"auto_delete\":false,\"internal\":true,\"arguments\":{}}\n"
    "global_parameters {\"name\":\"cluster_name\",\"value\":\"c\"}\n"
    "policies {\"vhost\":\"v\",\"name\":\"p\",\"pattern\":\"^q\",\"apply-to\":\"queues\","
    "\"definition\":{\"max-length\":5},\"priority\":-1}\n"
    "parameters {\"value\":{\"max-queues\":7},\"vhost\":\"v\",\"component\":\"vhost-limits\","
    "\"name\":\"limits\"}\n"
    "queues {\"name\":\"q\",\"vhost\":\"v\",\"durable\":true,\"auto_delete\":false,"
    "\"arguments\":{\"x-max-length\":10}}\n"
    "bindings {\"source\":\"x\",\"vhost\":\"v\",\"destination\":\"q\",\"destination_type\":"
    "\"queue\",\"routing_key\":\"k\",\"arguments\":{\"a\":1}}\n";

/* The lists in the order from + step * i. */
static void put_lists(struct buf *text, unsigned from, unsigned step)
{
    buf_clear(text);
    buf_append_byte(text, '{');
    for (unsigned i = 0; i < DEFINITION_COUNT; i++)
        buf_printf(text, "%s%s", i ? "," : "", lists[(from + step * i) % DEFINITION_COUNT]);
    buf_append_byte(text, '}');
}

UNIT(reader, every_list_in_any_order)
{
    static const unsigned steps[] = {1, 3, 7, 9}; /* each visits all ten */
    struct buf text = BUF_INIT;
    for (unsigned from = 0; from < DEFINITION_COUNT; from++) {
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            put_lists(&text, from, steps[i]);
            cr_assert_str_eq(rig_items(buf_cstr(&text)), every, "from %u, step %u", from, steps[i]);
        }
    }
    cr_assert_str_eq(rig_warnings(buf_cstr(&text)), "");
    buf_fini(&text);
}

/* However it comes in pieces, it is read as the same, and refused at the same place. */
UNIT(reader, chunks)
{
    static const size_t sizes[] = {1, 2, 3, 7, 64, 1000};
    static const char wrong[] = "{\n \"queues\": [\n  {\"name\": \"q\\u00e9\",\n   \"vhost\": 5}]}";
    static const char why_wrong[] = "queues[0].vhost: wanted a text, got a number (line 3)";
    struct buf text = BUF_INIT, items = BUF_INIT;
    put_lists(&text, 0, 1);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct failure why;
        struct import *import = rig_read(buf_slice(&text), sizes[i], SLICE_EMPTY, &why);
        cr_assert_not_null(import, "%s", why.text);
        buf_clear(&items);
        rig_print(import, &items);
        cr_assert_str_eq(buf_cstr(&items), every);
        import_free(&import);
        import = rig_read(slice_str(wrong), sizes[i], SLICE_EMPTY, &why);
        cr_assert_null(import);
        cr_assert_str_eq(why.text, why_wrong, "chunks of %zu", sizes[i]);
    }
    buf_fini(&text);
    buf_fini(&items);
}

/* ---- types ---- */

struct refusal {
    const char *text, *why;
};

static void refuse(const struct refusal *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cr_expect_str_eq(rig_items(cases[i].text), cases[i].why, "%s", cases[i].text);
}
#define REFUSE(cases) refuse(cases, sizeof(cases) / sizeof *(cases))

UNIT(reader, wrong_types_of_lists)
{
    static const struct refusal cases[] = {
        {"[]", "line 1, column 2: wanted an object of definitions, got a list"},
        {"1 ", "line 1, column 2: wanted an object of definitions, got a number"},
        {"\"x\"", "line 1, column 4: wanted an object of definitions, got a text"},
        {"null", "line 1, column 5: wanted an object of definitions, got null"},
        {"{\"queues\":null}", "queues, line 1, column 15: wanted a list, got null"},
        {"{\"queues\":true}", "queues, line 1, column 15: wanted a list, got a boolean"},
        {"{\"queues\":{}}", "queues, line 1, column 12: wanted a list, got an object"},
        {"{\"queues\":[[]]}", "queues[0], line 1, column 13: wanted an object, got a list"},
        {"{\"queues\":[\"q\"]}", "queues[0], line 1, column 15: wanted an object, got a text"},
        {"{\"users\":[{\"name\":\"a\"},\n7]}",
         "users[1], line 2, column 2: wanted an object, got a number"},
    };
    REFUSE(cases);
}

/* What an item of a list is with one field replaced; the others as they must be. */
static void put_item_with(struct buf *text, const struct noun *noun, const struct field *field,
                          const char *value)
{
    bool first = true;
    buf_clear(text);
    buf_printf(text, "{\"%s\":[{", noun->key);
    for (const struct field *f = noun->fields; f->key; f++) {
        const char *v = f == field ? value : f->required ? "\"x\"" : NULL;
        if (!v)
            continue;
        buf_printf(text, "%s\"%s\":%s", first ? "" : ",", f->key, v);
        first = false;
    }
    buf_append_str(text, "}]}");
}

static const struct {
    const char *json, *name;
    unsigned fits; /* kinds of fields, bits 1 << enum field_kind */
} values[] = {
    {"\"t\"", "a text", 1 << FIELD_TEXT | 1 << FIELD_TAGS},
    {"1", "a number", 0},
    {"1.5", "a number", 0},
    {"false", "a boolean", 1 << FIELD_ON | 1 << FIELD_OFF},
    {"[]", "a list", 1 << FIELD_TABLE | 1 << FIELD_TAGS},
    {"[1]", "a list", 0},
    {"[\"t\"]", "a list", 1 << FIELD_TAGS},
    {"{}", "an object", 1 << FIELD_TABLE},
    {"{\"a\":1}", "an object", 1 << FIELD_TABLE},
};

static const char *const wanted[] = {
    [FIELD_TEXT] = "a text",
    [FIELD_ON] = "a boolean",
    [FIELD_OFF] = "a boolean",
    [FIELD_TABLE] = "an object",
    [FIELD_TAGS] = "a list of texts or a text",
};

/* Every field of every list with a value of every type. */
UNIT(reader, types_of_fields)
{
    struct buf text = BUF_INIT;
    char why[200];
    for (unsigned n = 0; n < DEFINITION_COUNT; n++) {
        const struct noun *noun = noun_get((enum definition)n);
        for (const struct field *f = noun->fields; f->key; f++) {
            for (size_t i = 0; *f->key && i < sizeof values / sizeof *values; i++) {
                put_item_with(&text, noun, f, values[i].json);
                const char *got = rig_items(buf_cstr(&text));
                if (f->kind == FIELD_KNOWN || values[i].fits & 1u << f->kind) {
                    cr_expect(strchr(got, '\n'), "%s: %s", buf_cstr(&text), got);
                    continue;
                }
                snprintf(why, sizeof why, "%s[0].%s: wanted %s, got %s (line 1)", noun->key, f->key,
                         wanted[f->kind], values[i].name);
                cr_expect_str_eq(got, why, "%s", buf_cstr(&text));
            }
        }
    }
    buf_fini(&text);
}

/* null is as if it were not there, which is wrong only of what must be there. */
UNIT(reader, null_and_missing_fields)
{
    struct buf text = BUF_INIT;
    char why[200];
    for (unsigned n = 0; n < DEFINITION_COUNT; n++) {
        const struct noun *noun = noun_get((enum definition)n);
        for (const struct field *f = noun->fields; f->key; f++) {
            if (!*f->key)
                continue;
            put_item_with(&text, noun, f, "null");
            const char *got = rig_items(buf_cstr(&text));
            snprintf(why, sizeof why, "%s[0].%s: wanted a text, got null (line 1)", noun->key,
                     f->key);
            if (f->required)
                cr_expect_str_eq(got, why);
            else
                cr_expect(strchr(got, '\n'), "%s: %s", buf_cstr(&text), got);
            put_item_with(&text, noun, f, NULL);
            got = rig_items(buf_cstr(&text));
            snprintf(why, sizeof why, "%s[0].%s is missing (line 1)", noun->key, f->key);
            if (f->required)
                cr_expect_str_eq(got, why);
            else
                cr_expect(strchr(got, '\n'), "%s: %s", buf_cstr(&text), got);
        }
    }
    buf_fini(&text);
}

/* Within one virtual host nobody needs to name it. */
UNIT(reader, fields_of_one_vhost)
{
    struct failure why;
    struct slice text = SLICE("{\"queues\":[{\"name\":\"q\"}]}");
    struct import *import = rig_read(text, 5, SLICE("v"), &why);
    cr_assert_not_null(import, "%s", why.text);
    import_free(&import);
    cr_assert_null(rig_read(text, 5, SLICE_EMPTY, &why));
    cr_assert_str_eq(why.text, "queues[0].vhost is missing (line 1)");
}

/* ---- what nobody knows ---- */

UNIT(reader, unknown_lists_and_fields)
{
    cr_assert_str_eq(
        rig_warnings("{\"rabbit_version\":\"3.13.7\",\"explanation\":\"e\",\"metadata\":{},\n"
                     "\"shovels\":[{\"queues\":[{\"name\":5}]}],\n\"more\":{\"a\":{\"b\":[]}},\n"
                     "\"queues\":[{\"name\":\"a\",\"vhost\":\"/\",\"node\":{\"x\":[1]}},\n"
                     "{\"node\":2,\"name\":\"b\",\"vhost\":\"/\",\"state\":3}]}"),
        "shovels (line 2): no such definitions are known; left out\n"
        "more (line 3): no such definitions are known; left out\n"
        "queues[0].node (line 4): no such field is known; left out\n"
        "queues[1].state (line 5): no such field is known; left out\n");
    /* inside of arguments anything may stand */
    cr_assert_str_eq(rig_warnings("{\"queues\":[{\"name\":\"a\",\"vhost\":\"/\",\"arguments\":"
                                  "{\"x-unknown\":1,\"name\":2}}]}"),
                     "");
}

/* A line is for one warning, whatever the names have in them. */
UNIT(reader, warnings_are_lines_and_bounded)
{
    struct buf text = BUF_INIT;
    struct failure why;
    cr_assert_str_eq(rig_warnings("{\"a\\nb\":1}"),
                     "a b (line 1): no such definitions are known; left out\n");
    buf_append_byte(&text, '{');
    for (int i = 0; i < 1000; i++)
        buf_printf(&text, "%s\"k%d\":%d", i ? "," : "", i, i);
    buf_append_byte(&text, '}');
    struct import *import = rig_read(buf_slice(&text), 100, SLICE_EMPTY, &why);
    cr_assert_not_null(import);
    cr_assert_eq(import->warnings.unseen, 900);
    struct slice lines = import_take_warnings(import);
    size_t count = 0;
    for (size_t i = 0; i < lines.len; i++)
        count += lines.data[i] == '\n';
    cr_assert_eq(count, 100);
    slice_free(&lines);
    import_free(&import);
    buf_fini(&text);
}

/* ---- duplicates ---- */

UNIT(reader, duplicates)
{
    static const struct refusal cases[] = {
        {"{\"queues\":[],\"queues\":[]}", "queues, line 1, column 22: the list is there twice"},
        {"{\"queues\":[{\"name\":\"a\",\"vhost\":\"/\",\"name\":\"b\"}]}",
         "queues[0].name, line 1, column 42: name is there twice"},
    };
    REFUSE(cases);
    /* keys that nobody knows, or inside of arguments: as tables have them */
    cr_assert_str_eq(rig_items("{\"zz\":1,\"zz\":2,\"queues\":[{\"name\":\"a\",\"vhost\":\"/\","
                               "\"arguments\":{\"k\":1,\"k\":2}},{\"name\":\"a\",\"vhost\":\"/\"}"
                               "]}"),
                     "queues {\"name\":\"a\",\"vhost\":\"/\",\"arguments\":{\"k\":1,\"k\":2}}\n"
                     "queues {\"name\":\"a\",\"vhost\":\"/\"}\n");
}

/* ---- what is no JSON ---- */

UNIT(reader, no_json)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "there is nothing in it"},
        {"  \n ", "premature EOF"},
        {"{", "premature EOF"},
        {"{\"queues\":[", "premature EOF"},
        {"{} {}", "trailing garbage"},
        {"{\"a\":}", "line 1"},
        {"{\"a\":1,}", "line 1"},
        {"{\n\"a\":01}", "line 2"},
        {"{\"a\":+1}", "line 1"},
        {"{\"a\":.5}", "line 1"},
        {"{\"a\":1e}", "line 1"},
        {"{\"a\":NaN}", "line 1"},
        {"{\"a\":'b'}", "line 1"},
        {"{a:1}", "line 1"},
        {"{\"a\":\"\t\"}", "line 1"},
        {"{\"a\":\"\\x\"}", "line 1"},
        {"{\"a\":\"\\u12g4\"}", "line 1"},
        {"\n\n// note\n{}", "line 3"},
        {"\xef\xbb\xbf{}", "line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = rig_items(cases[i].text);
        cr_expect(!strchr(got, '\n') && strstr(got, cases[i].part), "%s: %s", cases[i].text, got);
    }
}

/* ---- numbers ---- */

static const char *number_item(const char *number)
{
    static char text[1000];
    snprintf(text, sizeof text, "{\"global_parameters\":[{\"name\":\"n\",\"value\":%s}]}", number);
    return rig_items(text);
}

UNIT(reader, numbers)
{
    static const struct {
        const char *text, *value;
    } cases[] = {
        {"0", "0"},
        {"-0", "0"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"1.0", "1.0"},
        {"-1.5e3", "-1500.0"},
        {"0.1", "0.1"},
    };
    char line[200];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(line, sizeof line, "global_parameters {\"name\":\"n\",\"value\":%s}\n",
                 cases[i].value);
        cr_expect_str_eq(number_item(cases[i].text), line);
    }
    cr_expect(strchr(number_item("1.7976931348623157e308"), '\n'));
    cr_expect(strchr(number_item("1E2"), '\n'));
    cr_expect(strchr(number_item("1e-999"), '\n'), "too small is zero");
    cr_expect_not_null(
        strstr(number_item("9223372036854775808"), "number 9223372036854775808 has more than 64"));
    cr_expect_not_null(strstr(number_item("-9223372036854775809"), "has more than 64 bits"));
    cr_expect_not_null(strstr(number_item("1e309"), "the number 1e309 is too large"));
    char digits[500];
    memset(digits, '1', sizeof digits);
    digits[400] = '\0';
    cr_expect_not_null(strstr(number_item(digits), "has more than 64 bits"));
    digits[400] = '1';
    digits[401] = '\0';
    cr_expect_not_null(strstr(number_item(digits), "a number of more than 400 digits"));
    digits[1] = '.';
    digits[400] = '\0';
    cr_expect(strchr(number_item(digits), '\n'), "digits behind the point are only less exact");
}

/* ---- unicode ---- */

static struct slice first_name(struct import *import)
{
    struct item_head head;
    struct slice item, name = SLICE_EMPTY;
    import_rewind(import);
    cr_assert(import_walk(import, &head, &item));
    cr_assert(table_find_str(item, SLICE("name"), &name));
    return name;
}

UNIT(reader, unicode)
{
    const struct {
        const char *json;
        struct slice name;
    } cases[] = {
        {"\\u00fc", SLICE("\xc3\xbc")},
        {"\xc3\xbc", SLICE("\xc3\xbc")},
        {"\\u2603", SLICE("\xe2\x98\x83")},
        {"\\ud83d\\ude00", SLICE("\xf0\x9f\x98\x80")},
        {"\xf0\x9f\x98\x80", SLICE("\xf0\x9f\x98\x80")},
        {"a\\u0000b", SLICE("a\0b")},
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", SLICE("\"\\/\b\f\n\r\t")},
        {"\xe4\xb8\xad\xe6\x96\x87.\xd7\xa2", SLICE("\xe4\xb8\xad\xe6\x96\x87.\xd7\xa2")},
    };
    char text[200];
    struct failure why;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "{\"vhosts\":[{\"name\":\"%s\"}]}", cases[i].json);
        for (size_t chunk = 1; chunk < 5; chunk++) {
            struct import *import = rig_read(slice_str(text), chunk, SLICE_EMPTY, &why);
            cr_assert_not_null(import, "%s: %s", text, why.text);
            cr_expect(slice_eq(first_name(import), cases[i].name), "%s", text);
            import_free(&import);
        }
    }
    static const char *const wrong[] = {"\xff", "\xc3"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(text, sizeof text, "{\"vhosts\":[{\"name\":\"%s\"}]}", wrong[i]);
        cr_expect_not_null(strstr(rig_items(text), "UTF8"), "%zu: %s", i, rig_items(text));
    }
}

/* ---- bounds ---- */

static void put_deep(struct buf *text, int levels, const char *open, const char *close)
{
    buf_clear(text);
    buf_append_str(text, "{\"global_parameters\":[{\"name\":\"n\",\"value\":");
    for (int i = 0; i < levels; i++)
        buf_append_str(text, open);
    buf_append_str(text, "1");
    for (int i = 0; i < levels; i++)
        buf_append_str(text, close);
    buf_append_str(text, "}]}");
}

UNIT(reader, deep_nesting)
{
    static const char *const kinds[][2] = {{"[", "]"}, {"{\"k\":", "}"}, {"[{\"k\":", "}]"}};
    struct buf text = BUF_INIT, out = BUF_INIT;
    struct failure why;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        put_deep(&text, 20000, kinds[i][0], kinds[i][1]);
        struct import *import = rig_read(buf_slice(&text), 4096, SLICE_EMPTY, &why);
        cr_assert_not_null(import, "%s", why.text);
        buf_clear(&out);
        rig_print(import, &out);
        cr_assert(out.len > 40000);
        import_free(&import);
        put_deep(&text, 300000, kinds[i][0], kinds[i][1]);
        cr_assert_null(rig_read(buf_slice(&text), 4096, SLICE_EMPTY, &why));
        cr_assert_not_null(strstr(why.text, "more than 1048576 bytes"), "%s", why.text);
    }
    /* what is passed over costs nothing, to any depth */
    buf_clear(&text);
    buf_append_str(&text, "{\"unknown\":");
    for (int i = 0; i < 500000; i++)
        buf_append_str(&text, "[");
    for (int i = 0; i < 500000; i++)
        buf_append_str(&text, "]");
    buf_append_str(&text, "}");
    struct import *import = rig_read(buf_slice(&text), 4096, SLICE_EMPTY, &why);
    cr_assert_not_null(import, "%s", why.text);
    import_free(&import);
    buf_fini(&text);
    buf_fini(&out);
}

static void put_filled(struct buf *text, const char *before, size_t count, const char *behind)
{
    buf_clear(text);
    buf_append_str(text, before);
    for (size_t i = 0; i < count; i++)
        buf_append_byte(text, 'a');
    buf_append_str(text, behind);
}

UNIT(reader, sizes)
{
    struct buf text = BUF_INIT;
    struct failure why;
    static const struct {
        const char *before, *behind;
        size_t taken, refused;
        const char *why;
    } cases[] = {
        {"{\"global_parameters\":[{\"name\":\"n\",\"value\":{\"", "\":1}}]}", 255, 256,
         "a key of more than 255 bytes"},
        {"{\"vhosts\":[{\"name\":\"v\",\"", "\":1}]}", 255, 256, "a key of more than 255 bytes"},
        {"{\"vhosts\":[{\"name\":\"v\",\"description\":\"", "\"}]}", 1000000, 1100000,
         "more than 1048576 bytes"},
        {"{\"unknown\":\"", "\"}", 8000000, 9000000, "one value is larger than 8388608 bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_filled(&text, cases[i].before, cases[i].taken, cases[i].behind);
        struct import *import = rig_read(buf_slice(&text), IMPORT_CHUNK, SLICE_EMPTY, &why);
        cr_expect_not_null(import, "case %zu: %s", i, why.text);
        import_free(&import);
        put_filled(&text, cases[i].before, cases[i].refused, cases[i].behind);
        import = rig_read(buf_slice(&text), IMPORT_CHUNK, SLICE_EMPTY, &why);
        cr_expect_null(import, "case %zu", i);
        cr_expect_not_null(strstr(why.text, cases[i].why), "case %zu: %s", i, why.text);
        import_free(&import);
    }
    buf_fini(&text);
}

/* Many items: the blocks they lie in are several, and all come back in order. */
UNIT(reader, many_items)
{
    enum { COUNT = 20000 };
    struct buf text = BUF_INIT;
    struct failure why;
    struct item_head head;
    struct slice item, name;
    buf_append_str(&text, "{\"queues\":[");
    for (int i = 0; i < COUNT; i++)
        buf_printf(&text, "%s\n{\"vhost\":\"/\",\"name\":\"queue-%d\"}", i ? "," : "", i);
    buf_append_str(&text, "]}");
    struct import *import = rig_read(buf_slice(&text), IMPORT_CHUNK, SLICE_EMPTY, &why);
    cr_assert_not_null(import, "%s", why.text);
    import_rewind(import);
    for (int i = 0; i < COUNT; i++) {
        char wanted_name[32];
        int n = snprintf(wanted_name, sizeof wanted_name, "queue-%d", i);
        cr_assert(import_walk(import, &head, &item));
        cr_assert(table_find_str(item, SLICE("name"), &name));
        cr_assert(slice_eq(name, slice_of(wanted_name, (size_t)n)));
        cr_assert_eq(head.line, (uint32_t)i + 2);
    }
    cr_assert_not(import_walk(import, &head, &item));
    import_free(&import);
    buf_fini(&text);
}
