/* Counting and the questions asked of a configuration. */
#include "conf/conf_priv.h"

#include "base/bug.h"

#include <stdlib.h>
#include <string.h>

static struct conf_full *full_of(const struct conf *conf)
{
    return (struct conf_full *)(uintptr_t)conf_full(conf);
}

const struct conf *conf_ref(const struct conf *conf)
{
    atomic_fetch_add_explicit(&full_of(conf)->refs, 1, memory_order_relaxed);
    return conf;
}

void conf_unref(const struct conf **conf)
{
    if (!*conf)
        return;
    struct conf_full *full = full_of(*conf);
    *conf = NULL;
    unsigned before = atomic_fetch_sub_explicit(&full->refs, 1, memory_order_acq_rel);
    bug_on(before == 0);
    if (before > 1)
        return;
    arena_fini(&full->arena);
    free(full);
}

void conf_keep(const struct conf *fresh, const struct conf *boot)
{
    struct conf_full *to = full_of(fresh), *from = full_of(boot);
    for (const struct row *row = row_next("", NULL); row; row = row_next("", row)) {
        if (row->reload != CONF_RELOAD_RESTART)
            continue;
        memcpy(row_field(row, &to->conf), row_field(row, &from->conf), row->size);
        to->origins[row_index(row)] = from->origins[row_index(row)];
    }
}

enum log_level conf_log_level(const struct conf *conf, enum log_category category)
{
    int own = conf->log.category_level[category];
    return own == CONF_LOG_INHERIT ? conf->log.level : (enum log_level)own;
}

const struct conf_tls *conf_tls_find(const struct conf *conf, const char *name)
{
    if (!*name)
        return &conf->ssl_options;
    for (size_t i = 0; i < conf->tls_sets.count; i++) {
        if (strcmp(conf->tls_sets.items[i].name, name) == 0)
            return &conf->tls_sets.items[i];
    }
    return NULL;
}

bool conf_flag_find(const char *name, bool *ret_takes_value)
{
    const struct row *row = row_find_flag(name);
    enum spelling spelling;
    if (!row)
        row = row_find_spelled(slice_str(name), &spelling);
    if (!row || !row_has_environment(row))
        return false;
    *ret_takes_value = row->type != ROW_BOOL;
    return true;
}
