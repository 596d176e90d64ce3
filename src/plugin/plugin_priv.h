/* Insides of this folder. */
#ifndef PLUGIN_PLUGIN_PRIV_H
#define PLUGIN_PLUGIN_PRIV_H

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/slice.h"
#include "plugin/jackalope/plugin.h"
#include "plugin/plugins.h"
#include "shard/shard.h"

#include <pthread.h>
#include <string.h>

/* A plug-in; plugin.h knows it as its host. Freed at the end only. */
struct jackalope_host {
    struct list link; /* of struct plugins, by name */
    struct plugins *plugins;
    char *name;
    const struct jackalope_plugin *is; /* NULL: not loaded */
    bool by_conf, by_file;
    bool found;   /* in the directory, at the last look */
    bool started; /* start was called: it is not called again */
    bool failed;  /* it went wrong */
    bool running;
    bool starting;                   /* start is being called */
    char *problem;                   /* NULL: none */
    struct list texts;               /* struct text: settings that it was given */
    struct list types;               /* added and not committed */
    struct sink *sink;               /* NULL: it has none */
    struct interceptor *interceptor; /* the same */
    bool permanent;                  /* brought what stays to the end of the process */
    struct buf provides;
};

struct plugins {
    struct node *node;
    const struct conf *conf;
    const struct jackalope_plugin *const *builtins; /* that are part of the program; NULL ends */
    char *directory, *file;
    bool unsaved; /* what was changed last could not be written to the file */
    struct list all;
    pthread_mutex_t lock; /* of the lists below, which shards read when they are attached */
    struct list sinks, interceptors;
    struct shard_hook *hooks[SHARDS_MAX]; /* each its shard's, made when there are interceptors */
    struct plugin_door door;
};

/* Adds to what it provides: "exchange type x-rtopic". */
void plugin_note(struct jackalope_host *plugin, const char *kind, const char *name);

/* ---- enabled.c: the file that says what operators enabled, in RabbitMQ's form: [a,b]. ---- */
/* Calls fn for each name; a file that is not there has none. */
enum err enabled_read(const char *path, void (*fn)(void *arg, const char *name), void *arg,
                      struct failure *why);
enum err enabled_write(const char *path, const char *const *names, size_t count,
                       struct failure *why);

/* ---- api.c ---- */
const struct jackalope_api *plugin_api(void);

/* ---- settings.c: plugins.settings ---- */
const char *settings_get(struct jackalope_host *plugin, const char *key, const char *otherwise);
/* Refuses settings of a plug-in that it does not take. */
enum err settings_check(const struct jackalope_host *plugin, struct failure *why);
void settings_fini(struct jackalope_host *plugin);
/* Warns of those of plug-ins that are not enabled. */
void settings_warn(struct plugins *plugins);

/* ---- exchange.c: what is added in start is there once that went well ---- */
int exchange_add(struct jackalope_host *plugin, const struct jackalope_exchange_type *type);
void exchange_commit(struct jackalope_host *plugin);
/* Those that were not. */
void exchange_drop(struct jackalope_host *plugin);
void exchange_found(struct jackalope_sink *sink, const struct jackalope_binding *binding);

/* ---- sink.c ---- */
int sink_add(struct jackalope_host *plugin, const struct jackalope_event_sink *sink);
/* Gets events from now on; again after a rest. */
enum err sink_commit(struct jackalope_host *plugin, struct failure *why);
/* Gets no more. */
void sink_rest(struct jackalope_host *plugin);
/* After the loops ended, or if its start failed. False: its thread goes on, and needs the plug-in
 * and the configuration to the end of the process. */
bool sink_end(struct jackalope_host *plugin);
void sinks_attach(struct plugins *plugins, struct shard *shard);

/* ---- intercept.c; as for sinks ---- */
int intercept_add(struct jackalope_host *plugin, const struct jackalope_interceptor *interceptor);
void intercept_commit(struct jackalope_host *plugin);
/* From the next attach of each shard on. */
void intercept_rest(struct jackalope_host *plugin);
void intercept_end(struct jackalope_host *plugin);
void intercept_attach(struct plugins *plugins, struct shard *shard);
void intercept_fini(struct plugins *plugins);
struct jackalope_bytes intercept_get(const struct jackalope_message *message,
                                     enum jackalope_field field);
int intercept_set_header(struct jackalope_message *message, const char *name,
                         const struct jackalope_value *value);

/* A copy of what a plug-in handed over: as much of it as both headers have. */
static inline void take_struct(void *own, size_t own_size, const void *theirs, size_t size)
{
    memcpy(own, theirs, size < own_size ? size : own_size);
}

static inline struct slice slice_in(struct jackalope_bytes bytes)
{
    return slice_of(bytes.data, bytes.len);
}
static inline struct jackalope_bytes bytes_of(struct slice s)
{
    return (struct jackalope_bytes){s.data, s.len};
}

#endif
