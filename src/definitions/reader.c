/* A file of definitions as it is read: the parser's events become field tables, one for each item,
 * checked and kept. Lists may come in any order; what stands beside them is passed over. The parser
 * is fed in chunks and nothing here recurses, so memory is bounded by IMPORT_ITEM_MAX, whatever the
 * file has. */
#include "base/bug.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/table.h"
#include "base/utf8.h"
#include "definitions/import_priv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

enum {
    TOKEN_MAX = 8 * IMPORT_ITEM_MAX, /* bytes of the file without an event */
    NUMBER_MAX = 400
};

/* What the value at hand belongs to. */
enum place {
    PLACE_TOP,    /* before or behind the object */
    PLACE_OBJECT, /* a key of it, or the value of one that is no list of items */
    PLACE_LIST,
    PLACE_ITEM,
    PLACE_IGNORED /* inside of a value that is passed over */
};

/* An object or list of an item that is still open. */
struct level {
    size_t mark; /* of table_open */
    bool table;
};

struct reader {
    struct import *import;
    yajl_handle parser;
    struct failure why; /* of a callback that ended it */
    enum place place;
    size_t ignored; /* levels open in PLACE_IGNORED */
    enum definition noun;
    bool listed;                 /* the key at hand is that of a noun */
    bool seen[DEFINITION_COUNT]; /* lists that came */
    bool is_version;             /* the key at hand is the version's */
    size_t index;                /* of the item */
    uint32_t item_line;
    struct buf item, key;
    struct level *levels; /* below the item's own */
    size_t depth, cap;
    unsigned fields;                   /* bits of the item's fields that came */
    uint64_t warned[DEFINITION_COUNT]; /* kinds of unknown fields that were told of, hashed */
    struct slice chunk;
    uint64_t line, column; /* before the chunk, up to counted of it; from 1 */
    size_t counted;
    uint64_t silent; /* bytes since the last event */
};

/* ---- places ---- */

/* Counts lines up to where the parser is. */
static void count_lines(struct reader *rd, size_t upto)
{
    if (upto > rd->chunk.len)
        upto = rd->chunk.len;
    while (rd->counted < upto) {
        const uint8_t *at = rd->chunk.data + rd->counted;
        const uint8_t *newline = memchr(at, '\n', upto - rd->counted);
        if (!newline) {
            rd->column += upto - rd->counted;
            rd->counted = upto;
        } else {
            rd->line++;
            rd->column = 1;
            rd->counted += (size_t)(newline - at) + 1;
        }
    }
}

static void find_line(struct reader *rd)
{
    count_lines(rd, yajl_get_bytes_consumed(rd->parser));
}

__attribute__((format(printf, 2, 3))) static int stop(struct reader *rd, const char *fmt, ...)
{
    struct buf text = BUF_INIT;
    va_list ap;
    find_line(rd);
    if (rd->place == PLACE_LIST || rd->place == PLACE_ITEM)
        buf_printf(&text, "%s[%zu]", noun_get(rd->noun)->key, rd->index);
    else if (rd->place != PLACE_TOP && rd->key.len)
        buf_append_slice(&text, buf_slice(&rd->key));
    if (rd->place == PLACE_ITEM && rd->key.len)
        buf_printf(&text, ".%.*s", SLICE_ARG(buf_slice(&rd->key)));
    buf_printf(&text, "%sline %llu, column %llu: ", text.len ? ", " : "",
               (unsigned long long)rd->line, (unsigned long long)rd->column);
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    failure_set(&rd->why, ERR_SYNTAX_ERROR, "%s", buf_cstr(&text));
    buf_fini(&text);
    return 0;
}

/* ---- an item ---- */

/* Fields that nobody knows are told of once for each name of a noun, as far as a few bits can tell
 * names apart. */
static void note_field(struct reader *rd, struct slice key)
{
    const struct noun *noun = noun_get(rd->noun);
    uint64_t bit = 1ull << (hash_stable(key) & 63);
    if (noun_find_field(noun, key) || (rd->warned[rd->noun] & bit))
        return;
    rd->warned[rd->noun] |= bit;
    import_warn(rd->import, "%s[%zu].%.*s (line %llu): no such field is known; left out", noun->key,
                rd->index, SLICE_ARG(key), (unsigned long long)rd->line);
}

static int item_value(struct reader *rd, const struct table_value *value)
{
    bool in_list = rd->depth && !rd->levels[rd->depth - 1].table;
    if (rd->item.len + rd->key.len + (value->type == TABLE_LONGSTR ? value->bytes.len : 0) >
        IMPORT_ITEM_MAX - 16)
        return stop(rd, "more than %d bytes", (int)IMPORT_ITEM_MAX);
    if (in_list)
        array_put(&rd->item, value);
    else
        table_put(&rd->item, buf_slice(&rd->key), value);
    return 1;
}

static int item_open(struct reader *rd, bool table)
{
    bool in_list = rd->depth && !rd->levels[rd->depth - 1].table;
    enum table_type type = table ? TABLE_TABLE : TABLE_ARRAY;
    if (rd->item.len + rd->key.len > IMPORT_ITEM_MAX - 16)
        return stop(rd, "more than %d bytes", (int)IMPORT_ITEM_MAX);
    MEM_GROW(rd->levels, rd->cap, rd->depth + 1);
    size_t mark =
        in_list ? array_open(&rd->item, type) : table_open(&rd->item, buf_slice(&rd->key), type);
    rd->levels[rd->depth++] = (struct level){mark, table};
    return 1;
}

static int item_close(struct reader *rd)
{
    struct failure inner;
    if (rd->depth) {
        table_close(&rd->item, rd->levels[--rd->depth].mark);
        return 1;
    }
    rd->key.len = 0;
    if (noun_check(noun_get(rd->noun), buf_slice(&rd->item), rd->import->vhost.len != 0, &inner)) {
        find_line(rd);
        failure_set(&rd->why, ERR_SYNTAX_ERROR, "%s[%zu].%s (line %u)", noun_get(rd->noun)->key,
                    rd->index, inner.text, rd->item_line);
        return 0;
    }
    import_keep(rd->import, rd->noun, NULL, rd->item_line, buf_slice(&rd->item));
    rd->index++;
    rd->place = PLACE_LIST;
    return 1;
}

static int item_key(struct reader *rd, struct slice key)
{
    if (key.len > UINT8_MAX)
        return stop(rd, "a key of more than %d bytes", UINT8_MAX);
    buf_clear(&rd->key);
    buf_append_slice(&rd->key, key);
    if (rd->depth)
        return 1;
    const struct noun *noun = noun_get(rd->noun);
    const struct field *field = noun_find_field(noun, key);
    unsigned bit = field ? 1u << (unsigned)(field - noun->fields) : 0;
    if (rd->fields & bit)
        return stop(rd, "%.*s is there twice", SLICE_ARG(key));
    rd->fields |= bit;
    find_line(rd);
    note_field(rd, key);
    return 1;
}

/* ---- the parser's events ---- */

static const char *name_of(const struct table_value *value)
{
    switch (value->type) {
    case TABLE_LONGSTR:
        return "a text";
    case TABLE_BOOL:
        return "a boolean";
    case TABLE_VOID:
        return "null";
    default:
        return "a number";
    }
}

static int on_value(struct reader *rd, const struct table_value *value)
{
    rd->silent = 0;
    switch (rd->place) {
    case PLACE_ITEM:
        return item_value(rd, value);
    case PLACE_TOP:
        return stop(rd, "wanted an object of definitions, got %s", name_of(value));
    case PLACE_LIST:
        return stop(rd, "wanted an object, got %s", name_of(value));
    case PLACE_OBJECT:
        if (rd->listed)
            return stop(rd, "wanted a list, got %s", name_of(value));
        if (rd->is_version && value->type == TABLE_LONGSTR && value->bytes.len < 64) {
            slice_free(&rd->import->version);
            rd->import->version = slice_dup(value->bytes);
        }
        break;
    case PLACE_IGNORED:
        break;
    }
    return 1;
}

static int on_null(void *arg)
{
    return on_value(arg, &(struct table_value){.type = TABLE_VOID});
}

static int on_boolean(void *arg, int value)
{
    return on_value(arg, &(struct table_value){.type = TABLE_BOOL, .boolean = value});
}

static int on_string(void *arg, const unsigned char *text, size_t length)
{
    return on_value(arg,
                    &(struct table_value){.type = TABLE_LONGSTR, .bytes = slice_of(text, length)});
}

/* A number without point and exponent is an integer, as in RabbitMQ. */
static int on_number(void *arg, const char *digits, size_t length)
{
    struct reader *rd = arg;
    char text[NUMBER_MAX + 1];
    if (length > NUMBER_MAX)
        return stop(rd, "a number of more than %d digits", (int)NUMBER_MAX);
    memcpy(text, digits, length);
    text[length] = '\0';
    errno = 0;
    struct table_value value = {.type = TABLE_I64};
    if (strpbrk(text, ".eE")) {
        value.type = TABLE_DOUBLE;
        value.real = strtod(text, NULL);
        if (!isfinite(value.real))
            return stop(rd, "the number %s is too large", text);
    } else {
        value.integer = strtoll(text, NULL, 10);
        if (errno == ERANGE)
            return stop(rd, "the number %s has more than 64 bits", text);
    }
    return on_value(rd, &value);
}

static int on_open(struct reader *rd, bool map)
{
    rd->silent = 0;
    switch (rd->place) {
    case PLACE_ITEM:
        return item_open(rd, map);
    case PLACE_TOP:
        if (!map)
            return stop(rd, "wanted an object of definitions, got a list");
        rd->place = PLACE_OBJECT;
        return 1;
    case PLACE_LIST:
        if (!map)
            return stop(rd, "wanted an object, got a list");
        find_line(rd);
        rd->item_line = (uint32_t)rd->line;
        rd->fields = 0;
        buf_clear(&rd->item);
        buf_clear(&rd->key);
        rd->place = PLACE_ITEM;
        return 1;
    case PLACE_OBJECT:
        if (rd->listed && map)
            return stop(rd, "wanted a list, got an object");
        rd->place = rd->listed ? PLACE_LIST : PLACE_IGNORED;
        rd->index = 0;
        rd->ignored = 1;
        return 1;
    case PLACE_IGNORED:
        rd->ignored++;
    }
    return 1;
}

static int on_close(struct reader *rd)
{
    rd->silent = 0;
    switch (rd->place) {
    case PLACE_ITEM:
        return item_close(rd);
    case PLACE_LIST:
        rd->place = PLACE_OBJECT;
        break;
    case PLACE_OBJECT:
        rd->place = PLACE_TOP;
        break;
    case PLACE_IGNORED:
        if (--rd->ignored == 0)
            rd->place = PLACE_OBJECT;
        break;
    case PLACE_TOP:
        break;
    }
    return 1;
}

static int on_map(void *arg)
{
    return on_open(arg, true);
}

static int on_list(void *arg)
{
    return on_open(arg, false);
}

static int on_end(void *arg)
{
    return on_close(arg);
}

/* What RabbitMQ writes beside the lists. */
static bool is_known(struct slice key)
{
    static const char *const known[] = {"rabbit_version",
                                        "rabbitmq_version",
                                        "product_name",
                                        "product_version",
                                        "original_cluster_name",
                                        "original_vhost_name",
                                        "explanation",
                                        "rabbitmq_definition_format",
                                        "metadata",
                                        "description",
                                        "tags",
                                        "default_queue_type",
                                        "limits"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (slice_eq_str(key, known[i]))
            return true;
    }
    return false;
}

static int top_key(struct reader *rd, struct slice key)
{
    buf_clear(&rd->key);
    buf_append_slice(&rd->key, utf8_cut(key, UINT8_MAX));
    rd->listed = noun_find(key, &rd->noun);
    rd->is_version = slice_eq_str(key, "rabbitmq_version") ||
                     (slice_eq_str(key, "rabbit_version") && !rd->import->version.len);
    if (rd->listed && rd->seen[rd->noun])
        return stop(rd, "the list is there twice");
    if (rd->listed) {
        rd->seen[rd->noun] = true;
    } else if (!is_known(key)) {
        find_line(rd);
        import_warn(rd->import, "%.*s (line %llu): no such definitions are known; left out",
                    SLICE_ARG(buf_slice(&rd->key)), (unsigned long long)rd->line);
    }
    return 1;
}

static int on_key(void *arg, const unsigned char *text, size_t length)
{
    struct reader *rd = arg;
    rd->silent = 0;
    if (rd->place == PLACE_ITEM)
        return item_key(rd, slice_of(text, length));
    return rd->place == PLACE_OBJECT ? top_key(rd, slice_of(text, length)) : 1;
}

/* ---- life ---- */

static void *parser_alloc(void *unused, size_t size)
{
    (void)unused;
    return mem_alloc(size);
}

static void *parser_realloc(void *unused, void *ptr, size_t size)
{
    (void)unused;
    return mem_realloc(ptr, size);
}

static void parser_free(void *unused, void *ptr)
{
    (void)unused;
    free(ptr);
}

struct reader *reader_new(struct import *import)
{
    static const yajl_callbacks callbacks = {.yajl_null = on_null,
                                             .yajl_boolean = on_boolean,
                                             .yajl_number = on_number,
                                             .yajl_string = on_string,
                                             .yajl_start_map = on_map,
                                             .yajl_map_key = on_key,
                                             .yajl_end_map = on_end,
                                             .yajl_start_array = on_list,
                                             .yajl_end_array = on_end};
    yajl_alloc_funcs memory = {parser_alloc, parser_realloc, parser_free, NULL};
    struct reader *rd = NEW(struct reader);
    rd->import = import;
    rd->line = rd->column = 1;
    rd->parser = yajl_alloc(&callbacks, &memory, rd);
    return rd;
}

void reader_free(struct reader **reader)
{
    struct reader *rd = *reader;
    if (!rd)
        return;
    yajl_free(rd->parser);
    buf_fini(&rd->item);
    buf_fini(&rd->key);
    free(rd->levels);
    free(rd);
    *reader = NULL;
}

/* The parser's own words end in a newline. */
static enum err judge(struct reader *rd, yajl_status status, struct failure *why)
{
    if (status == yajl_status_ok)
        return ERR_NONE;
    if (status == yajl_status_error) {
        unsigned char *text = yajl_get_error(rd->parser, 0, NULL, 0);
        (void)stop(rd, "%.*s", (int)strcspn((const char *)text, "\n"), (const char *)text);
        yajl_free_error(rd->parser, text);
    }
    *why = rd->why;
    return why->code;
}

enum err import_feed(struct import *im, struct slice bytes, struct failure *why)
{
    if (!im->reader)
        im->reader = reader_new(im);
    struct reader *rd = im->reader;
    rd->chunk = bytes;
    rd->counted = 0;
    rd->silent += bytes.len;
    digest_compute(DIGEST_SHA256, slice_of(im->digest, sizeof im->digest), bytes, im->digest);
    enum err err = judge(rd, yajl_parse(rd->parser, bytes.data, bytes.len), why);
    count_lines(rd, bytes.len);
    if (err || rd->silent <= TOKEN_MAX)
        return err;
    (void)stop(rd, "one value is larger than %d bytes", (int)TOKEN_MAX);
    *why = rd->why;
    return why->code;
}

enum err import_feed_end(struct import *im, struct failure *why)
{
    struct reader *rd = im->reader;
    if (!rd)
        return failure_set(why, ERR_SYNTAX_ERROR, "there is nothing in it");
    rd->chunk = SLICE_EMPTY;
    rd->counted = 0;
    enum err err = judge(rd, yajl_complete_parse(rd->parser), why);
    reader_free(&im->reader);
    return err;
}
