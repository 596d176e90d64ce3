/* Checks that fronts and master share: names, owners, equivalence. No state, any thread. */
#include "base/buf.h"
#include "base/table.h"
#include "meta/args.h"
#include "meta/meta_priv.h"

/* CR and LF go, as RabbitMQ takes names. */
static size_t strip(uint8_t *to, struct slice name)
{
    size_t n = 0;
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] != '\r' && name.data[i] != '\n')
            to[n++] = name.data[i];
    }
    return n;
}

static bool is_clean(struct slice name)
{
    return !name.len || (!memchr(name.data, '\r', name.len) && !memchr(name.data, '\n', name.len));
}

struct slice meta_clean_name(struct slice name, void *room)
{
    return is_clean(name) ? name : slice_of(room, strip(room, name));
}

void meta_clean(struct slice *name)
{
    if (!is_clean(*name))
        name->len = strip((uint8_t *)(uintptr_t)name->data, *name);
}

enum err meta_check_name(const char *kind, struct slice name, struct failure *why)
{
    if (slice_starts(name, SLICE("amq.")))
        return failure_set(why, ERR_ACCESS_REFUSED,
                           "%s name '%.*s' contains reserved prefix 'amq.*'", kind,
                           SLICE_ARG(name));
    return ERR_NONE;
}

enum err meta_not_found(const char *kind, struct slice name, struct slice vhost,
                        struct failure *why)
{
    return failure_set(why, ERR_NOT_FOUND, "no %s '%.*s' in vhost '%.*s'", kind, SLICE_ARG(name),
                       SLICE_ARG(vhost));
}

enum err meta_check_default_exchange(struct slice name, struct failure *why)
{
    if (!name.len)
        return failure_set(why, ERR_ACCESS_REFUSED,
                           "operation not permitted on the default exchange");
    return ERR_NONE;
}

static enum err locked(const struct queue_def *def, struct failure *why)
{
    return failure_set(why, ERR_RESOURCE_LOCKED,
                       "cannot obtain exclusive access to locked queue '%.*s' in vhost '%.*s'. It "
                       "could be originally declared on another connection or the exclusive "
                       "property value does not match that of the original declaration.",
                       SLICE_ARG(def->name), SLICE_ARG(def->vhost));
}

enum err meta_check_owner(const struct queue_def *def, uint64_t connection, struct failure *why)
{
    return !def->owner || def->owner == connection ? ERR_NONE : locked(def, why);
}

static enum err inequivalent(const char *field, const char *kind, struct slice name,
                             struct slice vhost, struct slice received, struct slice current,
                             struct failure *why)
{
    return failure_set(why, ERR_PRECONDITION_FAILED,
                       "inequivalent arg '%s' for %s '%.*s' in vhost '%.*s': received '%.*s' but "
                       "current is '%.*s'",
                       field, kind, SLICE_ARG(name), SLICE_ARG(vhost), SLICE_ARG(received),
                       SLICE_ARG(current));
}

static enum err check_flag(const char *field, const char *kind, struct slice name,
                           struct slice vhost, bool received, bool current, struct failure *why)
{
    if (received == current)
        return ERR_NONE;
    return inequivalent(field, kind, name, vhost, slice_str(received ? "true" : "false"),
                        slice_str(current ? "true" : "false"), why);
}

enum err meta_check_queue(const struct queue_def *def, unsigned flags, struct slice args,
                          uint64_t connection, struct failure *why)
{
    bool exclusive = flags & META_EXCLUSIVE;
    enum err err;
    if (flags & META_PASSIVE)
        return meta_check_owner(def, connection, why);
    err = flags & META_TRUSTED ? ERR_NONE : meta_check_name("queue", def->name, why);
    if (err)
        return err;
    if (def->owner != (exclusive ? connection : 0))
        return locked(def, why);
    err = check_flag("durable", "queue", def->name, def->vhost,
                     (flags & META_DURABLE) && !exclusive, def->durable, why);
    if (!err)
        err = check_flag("auto_delete", "queue", def->name, def->vhost, flags & META_AUTO_DELETE,
                         def->auto_delete, why);
    return err ? err : args_check_queue_equal(def, args, why);
}

enum err meta_check_exchange(const struct exchange_def *def, struct slice type, unsigned flags,
                             struct slice args, struct failure *why)
{
    enum err err;
    if (flags & META_PASSIVE)
        return ERR_NONE;
    if (!slice_eq(def->type, type))
        return inequivalent("type", "exchange", def->name, def->vhost, type, def->type, why);
    err = check_flag("durable", "exchange", def->name, def->vhost, flags & META_DURABLE,
                     def->durable, why);
    if (!err)
        err = check_flag("auto_delete", "exchange", def->name, def->vhost, flags & META_AUTO_DELETE,
                         def->auto_delete, why);
    if (!err)
        err = check_flag("internal", "exchange", def->name, def->vhost, flags & META_INTERNAL,
                         def->internal, why);
    return err ? err : args_check_exchange_equal(def, args, why);
}
