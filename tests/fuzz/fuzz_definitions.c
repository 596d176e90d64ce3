/* A file of definitions, fed in chunks whose size is its first byte. What is refused has a place;
 * what is taken are well-formed tables of the nouns' types, written as JSON are taken again, and
 * mean the same. */
#include "base/json.h"
#include "base/table.h"
#include "definitions/import_priv.h"
#include "fuzz.h"

#include <string.h>

static struct import *read_all(struct slice text, size_t chunk)
{
    struct import *import = import_new(IMPORT_FILE, SLICE_EMPTY);
    struct failure why = {.text = ""};
    enum err err = ERR_NONE;
    while (text.len && !err) {
        size_t size = text.len < chunk ? text.len : chunk;
        err = import_feed(import, slice_of(text.data, size), &why);
        text = slice_of(text.data + size, text.len - size);
    }
    if (!err)
        err = import_feed_end(import, &why);
    require(!err == !*why.text);
    if (err)
        import_free(&import);
    return import;
}

static void check_items(struct import *import, struct buf *out)
{
    struct item_head head;
    struct slice item;
    unsigned noun = DEFINITION_COUNT;
    buf_append_byte(out, '{');
    import_rewind(import);
    while (import_walk(import, &head, &item)) {
        struct failure why;
        const struct noun *n = noun_get((enum definition)import->walk.noun);
        require(table_check(item) && item.len <= IMPORT_ITEM_MAX);
        require(!noun_check(n, item, false, &why));
        struct meta_request *rq = noun_request(n, item, SLICE_EMPTY);
        meta_request_free(&rq);
        if (import->walk.noun != noun)
            buf_printf(out, "%s\"%s\":[", out->len > 1 ? "]," : "", n->key);
        else
            buf_append_byte(out, ',');
        noun = import->walk.noun;
        json_put_table(out, item);
    }
    buf_append_str(out, out->len > 1 ? "]}" : "}");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t chunk = size && *data != '{' ? *data + 1u : 4096;
    struct buf first = BUF_INIT, second = BUF_INIT;
    struct import *import = read_all(slice_of(data, size), chunk);
    if (import) {
        struct slice warnings = import_take_warnings(import);
        require(!warnings.len || warnings.data[warnings.len - 1] == '\n');
        slice_free(&warnings);
        check_items(import, &first);
        struct import *again = read_all(buf_slice(&first), IMPORT_CHUNK);
        require(again != NULL);
        check_items(again, &second);
        require(slice_eq(buf_slice(&first), buf_slice(&second)));
        import_free(&again);
    }
    import_free(&import);
    buf_fini(&first);
    buf_fini(&second);
    return 0;
}
