/* Everything is an import: one of what the configuration lists, one of each file it names. They are
 * put before the loops run. */
#include "daemon/seed.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "definitions/import.h"
#include "meta/vhost_defaults.h"
#include "net/fetch.h"
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>

/* ---- what the configuration lists ---- */

struct seed {
    const struct conf *conf;
    struct import *import;
    struct buf item;
    struct failure *why;
};

static void put(struct seed *s, const char *key, const char *text)
{
    table_put_str(&s->item, slice_str(key), slice_str(text));
}

static void put_texts(struct seed *s, const char *key, const struct conf_texts *texts)
{
    size_t mark = table_open(&s->item, slice_str(key), TABLE_ARRAY);
    for (size_t i = 0; i < texts->count; i++)
        array_put_str(&s->item, slice_str(texts->items[i]));
    table_close(&s->item, mark);
}

static void put_bool(struct seed *s, const char *key, bool value)
{
    table_put_bool(&s->item, slice_str(key), value);
}

static void put_arguments(struct seed *s, const struct conf_args *args)
{
    size_t mark = table_open(&s->item, SLICE("arguments"), TABLE_TABLE);
    for (size_t i = 0; i < args->count; i++) {
        const struct conf_arg *arg = &args->items[i];
        struct slice name = slice_str(arg->name);
        if (arg->type == CONF_ARG_VOID)
            table_put_void(&s->item, name);
        else if (arg->type == CONF_ARG_BOOL)
            table_put_bool(&s->item, name, arg->boolean);
        else if (arg->type == CONF_ARG_INT)
            table_put_i64(&s->item, name, arg->integer);
        else if (arg->type == CONF_ARG_DOUBLE)
            table_put_double(&s->item, name, arg->real);
        else
            table_put_str(&s->item, name, slice_str(arg->text));
    }
    table_close(&s->item, mark);
}

/* The item is whole. */
static bool add(struct seed *s, enum definition which, const char *origin)
{
    bool good = !import_add(s->import, which, origin, buf_slice(&s->item), s->why);
    buf_clear(&s->item);
    return good;
}

static bool add_vhost(struct seed *s, const struct conf_vhost *vhost)
{
    put(s, "name", vhost->name);
    put(s, "description", vhost->description);
    if (*vhost->default_queue_type)
        put(s, "default_queue_type", vhost->default_queue_type);
    put_texts(s, "tags", &vhost->tags);
    return add(s, DEFINITION_VHOSTS, vhost->origin);
}

static bool add_user(struct seed *s, const struct conf_user *user)
{
    put(s, "name", user->name);
    put_texts(s, "tags", &user->tags);
    if (*user->password) {
        put(s, "password", user->password);
    } else {
        put(s, "password_hash", user->password_hash);
        put(s, "hashing_algorithm", digest_kind_name(user->hashing_algorithm));
    }
    return add(s, DEFINITION_USERS, user->origin);
}

static bool add_permission(struct seed *s, const struct conf_permission *p)
{
    put(s, "user", p->user);
    put(s, "vhost", p->vhost);
    put(s, "configure", p->configure);
    put(s, "write", p->write);
    put(s, "read", p->read);
    return add(s, DEFINITION_PERMISSIONS, p->origin);
}

static bool add_topic_permission(struct seed *s, const struct conf_topic_permission *p)
{
    put(s, "user", p->user);
    put(s, "vhost", p->vhost);
    put(s, "exchange", p->exchange);
    put(s, "write", p->write);
    put(s, "read", p->read);
    return add(s, DEFINITION_TOPIC_PERMISSIONS, p->origin);
}

static bool add_exchange(struct seed *s, const struct conf_exchange *exchange)
{
    put(s, "vhost", exchange->vhost);
    put(s, "name", exchange->name);
    put(s, "type", exchange->type);
    put_bool(s, "durable", exchange->durable);
    put_bool(s, "auto_delete", exchange->auto_delete);
    put_bool(s, "internal", exchange->internal);
    put_arguments(s, &exchange->arguments);
    return add(s, DEFINITION_EXCHANGES, exchange->origin);
}

static bool add_queue(struct seed *s, const struct conf_queue *queue)
{
    put(s, "vhost", queue->vhost);
    put(s, "name", queue->name);
    put_bool(s, "durable", queue->durable);
    put_bool(s, "auto_delete", queue->auto_delete);
    put_arguments(s, &queue->arguments);
    return add(s, DEFINITION_QUEUES, queue->origin);
}

static bool add_binding(struct seed *s, const struct conf_binding *binding)
{
    put(s, "vhost", binding->vhost);
    put(s, "source", binding->source);
    put(s, "destination", binding->destination);
    put(s, "destination_type", binding->to_exchange ? "exchange" : "queue");
    put(s, "routing_key", binding->routing_key);
    put_arguments(s, &binding->arguments);
    return add(s, DEFINITION_BINDINGS, binding->origin);
}

#define ADD_ALL(list, add)                                               \
    for (size_t i = 0; i < s->conf->definitions.list.count && good; i++) \
    good = add(s, &s->conf->definitions.list.items[i])

static bool add_all(struct seed *s)
{
    bool good = true;
    ADD_ALL(vhosts, add_vhost);
    ADD_ALL(users, add_user);
    ADD_ALL(permissions, add_permission);
    ADD_ALL(topic_permissions, add_topic_permission);
    ADD_ALL(exchanges, add_exchange);
    ADD_ALL(queues, add_queue);
    ADD_ALL(bindings, add_binding);
    return good;
}

/* Users that are defined somewhere make it needless. */
static bool add_default_user(struct seed *s)
{
    const struct conf *conf = s->conf;
    if (!*conf->default_user || conf->definitions.users.count || *conf->load_definitions ||
        *conf->definitions.local_path || *conf->definitions.https.url)
        return true;
    struct conf_user user = {.origin = "default_user",
                             .name = conf->default_user,
                             .password = conf->default_pass,
                             .password_hash = "",
                             .tags = conf->default_user_tags};
    struct conf_permission permission = {.origin = "default_permissions",
                                         .user = conf->default_user,
                                         .vhost = conf->default_vhost,
                                         .configure = conf->default_permissions.configure,
                                         .write = conf->default_permissions.write,
                                         .read = conf->default_permissions.read};
    return add_user(s, &user) && add_permission(s, &permission);
}

static void log_warnings(struct import *import)
{
    struct slice all = import_take_warnings(import);
    char *rest = (char *)(uintptr_t)all.data, *line;
    if (rest)
        rest[all.len - 1] = '\0';
    while ((line = strsep(&rest, "\n")))
        log_warning(CONFIG, NULL, "%s", line);
    slice_free(&all);
}

static bool put_all(struct daemon *d, struct import *import, struct failure *why)
{
    enum err err = ERR_NONE;
    while (!err && !import_is_done(import))
        err = import_step(import, d->node, d->resetting ? meta_put : meta_apply, SIZE_MAX, why);
    log_warnings(import);
    return !err;
}

static bool put_configured(struct daemon *d, struct failure *why)
{
    bool first = !meta_is_seeded(d->node) || d->resetting;
    if (first && !d->resetting)
        meta_apply_vhost_defaults(d->node, slice_str(d->conf->default_vhost));
    struct seed s = {.conf = d->conf,
                     .import =
                         import_new(first ? IMPORT_FIRST_START : IMPORT_LATER_START, SLICE_EMPTY),
                     .why = why};
    bool good = (!first || add_default_user(&s)) && add_all(&s) && put_all(d, s.import, why);
    import_free(&s.import);
    buf_fini(&s.item);
    return good;
}

/* ---- files ---- */

static bool fail_file(const char *path, const char *problem, struct failure *why)
{
    failure_set(why, ERR_PRECONDITION_FAILED, "definitions of %s: %s", path, problem);
    return false;
}

static bool read_file(struct import *import, const char *path, struct failure *why)
{
    struct failure inner;
    FILE *file = fopen(path, "re");
    if (!file)
        return fail_file(path, strerror(errno), why);
    char *chunk = mem_alloc(IMPORT_CHUNK);
    enum err err = ERR_NONE;
    size_t size;
    errno = 0;
    while (!err && (size = fread(chunk, 1, IMPORT_CHUNK, file)) > 0)
        err = import_feed(import, slice_of(chunk, size), &inner);
    const char *problem = ferror(file) ? strerror(errno) : err ? inner.text : NULL;
    if (!problem && import_feed_end(import, &inner))
        problem = inner.text;
    free(chunk);
    fclose(file);
    return problem ? fail_file(path, problem, why) : true;
}

/* What was read is put, unless it is what was put last. name: file:PATH or https:URL; shown: what
 * people are told of it. */
static bool put_read(struct daemon *d, struct import *import, const char *name, const char *shown,
                     struct failure *why)
{
    struct slice source = slice_str(name);
    struct buf summary = BUF_INIT;
    struct failure inner;
    bool good = true;
    if (d->conf->definitions.skip_if_unchanged && !d->resetting &&
        import_is_unchanged(import, d->node, source)) {
        log_info(CONFIG, NULL, "definitions of %s are those that were imported last", shown);
    } else if (!put_all(d, import, &inner)) {
        good = fail_file(shown, inner.text, why);
    } else {
        import_remember(import, d->node, source);
        import_put_summary(import, &summary);
        log_info(CONFIG, NULL, "definitions of %s: put %s", shown, buf_cstr(&summary));
    }
    buf_fini(&summary);
    return good;
}

static bool import_file(struct daemon *d, const char *path, struct failure *why)
{
    struct import *import = import_new(IMPORT_FILE, SLICE_EMPTY);
    char *name = mem_printf("file:%s", path);
    bool good = read_file(import, path, why) && put_read(d, import, name, path, why);
    free(name);
    import_free(&import);
    return good;
}

static int is_json(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 5 && *entry->d_name != '.' && !strcmp(entry->d_name + length - 5, ".json");
}

static bool import_directory(struct daemon *d, const char *path, struct failure *why)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_json, alphasort);
    bool good = count >= 0 || fail_file(path, strerror(errno), why);
    for (int i = 0; i < count; i++) {
        char *file = mem_printf("%s/%s", path, entries[i]->d_name);
        good = good && import_file(d, file, why);
        free(file);
        free(entries[i]);
    }
    free(entries);
    return good;
}

static bool import_path(struct daemon *d, const char *path, struct failure *why)
{
    struct stat st;
    if (!*path)
        return true;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return import_directory(d, path, why);
    return import_file(d, path, why);
}

/* ---- over https ---- */

static const char *or_null(const char *text)
{
    return *text ? text : NULL;
}

static struct fetch_options fetch_options_of(const struct conf_definitions *d)
{
    struct fetch_options o = {.url = d->https.url,
                              .ca_file = or_null(d->tls.cacertfile),
                              .cert_file = or_null(d->tls.certfile),
                              .key_file = or_null(d->tls.keyfile),
                              .password = or_null(d->tls.password),
                              .server_name = or_null(d->tls.server_name),
                              .min_version = "1.3",
                              .max_version = d->tls.versions.count ? "1.2" : NULL,
                              .no_verify = !d->tls.verify_peer,
                              .depth = (int)d->tls.depth,
                              .timeout_ms = d->https.timeout_ms};
    if (!d->tls.versions.count)
        o.min_version = "1.2";
    for (size_t i = 0; i < d->tls.versions.count; i++) {
        if (!strcmp(d->tls.versions.items[i], "tlsv1.2"))
            o.min_version = "1.2";
        else
            o.max_version = "1.3";
    }
    return o;
}

static enum err on_data(void *import, struct slice data, struct failure *why)
{
    return import_feed(import, data, why);
}

/* Nobody waits for a shard yet. */
static bool import_url(struct daemon *d, struct failure *why)
{
    const struct conf_definitions *conf = &d->conf->definitions;
    struct fetch_options options = fetch_options_of(conf);
    struct failure inner;
    char *shown = fetch_told(conf->https.url);
    if (d->resetting) {
        log_warning(CONFIG, NULL, "definitions of %s are fetched at the next start", shown);
        free(shown);
        return true;
    }
    struct import *import = import_new(IMPORT_FILE, SLICE_EMPTY);
    char *name = mem_printf("https:%s", shown);
    bool read = !fetch(&options, on_data, import, &inner) && !import_feed_end(import, &inner);
    bool good = read ? put_read(d, import, name, shown, why) : fail_file(shown, inner.text, why);
    free(shown);
    free(name);
    import_free(&import);
    return good;
}

static bool put_files(struct daemon *d, struct failure *why)
{
    return import_path(d, d->conf->load_definitions, why) &&
           import_path(d, d->conf->definitions.local_path, why) &&
           (d->conf->definitions.import_backend != CONF_IMPORT_HTTPS || import_url(d, why));
}

static bool put_default_vhost(struct daemon *d, struct failure *why)
{
    struct meta_request *request = meta_request_new(META_VHOST_PUT, ADDR_NONE);
    request->flags = META_TRUSTED;
    meta_request_set(&request->name, slice_str(d->conf->default_vhost));
    meta_request_set(&request->vhost, slice_str(d->conf->default_vhost));
    enum err err = meta_put(d->node, request);
    if (err)
        *why = request->why;
    meta_request_free(&request);
    return !err;
}

bool seed_again(struct daemon *d, struct failure *why)
{
    d->resetting = true;
    bool good = put_default_vhost(d, why) && put_configured(d, why) && put_files(d, why);
    d->resetting = false;
    return good;
}

int seed_start(struct daemon *d, struct failure *why)
{
    struct store *store = store_of(d->node);
    if (store && meta_load(d->node, store, why))
        return EX_DATAERR;
    if (!put_configured(d, why) || !put_files(d, why))
        return EX_CONFIG;
    if (!meta_is_seeded(d->node))
        meta_set_seeded(d->node);
    return 0;
}
