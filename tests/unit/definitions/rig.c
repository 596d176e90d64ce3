/* See rig.h. */
#include "rig.h"

#include "base/json.h"

#include <stdlib.h>

struct import *rig_read(struct slice text, size_t chunk, struct slice vhost, struct failure *why)
{
    struct import *import = import_new(IMPORT_FILE, vhost);
    enum err err = ERR_NONE;
    *why = (struct failure){.text = ""};
    while (text.len && !err) {
        size_t size = text.len < chunk ? text.len : chunk;
        err = import_feed(import, slice_of(text.data, size), why);
        text = slice_of(text.data + size, text.len - size);
    }
    if (!err)
        err = import_feed_end(import, why);
    cr_assert_eq(err != ERR_NONE, *why->text != '\0', "a refusal has a reason");
    if (err)
        import_free(&import);
    return import;
}

void rig_print(struct import *import, struct buf *out)
{
    struct item_head head;
    struct slice item;
    import_rewind(import);
    while (import_walk(import, &head, &item)) {
        cr_assert(table_check(item));
        buf_printf(out, "%s ", noun_get((enum definition)import->walk.noun)->key);
        json_put_table(out, item);
        buf_append_byte(out, '\n');
    }
}

static char room[64 * 1024];

static const char *in_room(struct buf *text)
{
    cr_assert(text->len < sizeof room);
    snprintf(room, sizeof room, "%s", buf_cstr(text));
    buf_fini(text);
    return room;
}

const char *rig_items(const char *text)
{
    struct failure why;
    struct buf out = BUF_INIT;
    struct import *import = rig_read(slice_str(text), IMPORT_CHUNK, SLICE_EMPTY, &why);
    if (import)
        rig_print(import, &out);
    else
        buf_append_str(&out, why.text);
    import_free(&import);
    return in_room(&out);
}

const char *rig_warnings(const char *text)
{
    struct failure why;
    struct buf out = BUF_INIT;
    struct import *import = rig_read(slice_str(text), IMPORT_CHUNK, SLICE_EMPTY, &why);
    cr_assert_not_null(import, "%s", why.text);
    struct slice warnings = import_take_warnings(import);
    buf_append_slice(&out, warnings);
    slice_free(&warnings);
    import_free(&import);
    return in_room(&out);
}

enum err rig_put(struct world *world, struct slice text, struct slice vhost, size_t max,
                 struct buf *said, struct failure *why)
{
    struct import *import = rig_read(text, IMPORT_CHUNK, vhost, why);
    enum err err = ERR_NONE;
    if (!import)
        return why->code;
    while (!err && !import_is_done(import))
        err = import_step(import, world->node, meta_apply, max, why);
    if (said) {
        struct slice warnings = import_take_warnings(import);
        buf_append_slice(said, warnings);
        slice_free(&warnings);
        import_put_summary(import, said);
        buf_cstr(said);
    }
    import_free(&import);
    return err;
}

void rig_export(struct world *world, struct slice vhost, size_t max, struct buf *out)
{
    struct export *export = export_new(vhost);
    size_t portions = 0;
    while (export_next(export, world->node, max, out))
        cr_assert(++portions < 1000000, "an end");
    cr_assert_eq(export_inexact(export), 0);
    export_free(&export);
    buf_cstr(out);
}

void rig_load(const char *path, struct buf *out)
{
    const char *srcdir = getenv("srcdir");
    char name[4096], chunk[4096];
    size_t size;
    snprintf(name, sizeof name, "%s/%s", srcdir ? srcdir : ".", path);
    FILE *file = fopen(name, "rb");
    cr_assert_not_null(file, "%s", name);
    while ((size = fread(chunk, 1, sizeof chunk, file)) > 0)
        buf_append(out, chunk, size);
    fclose(file);
}
