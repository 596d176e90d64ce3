/* The one header of a plug-in of Jackalope. See docs/plugins.md.
 *
 * A plug-in is a shared object NAME.so that defines `const struct jackalope_plugin
 * jackalope_plugin`, by JACKALOPE_PLUGIN(NAME). It calls the broker through the table that its
 * start gets, and links with nothing of it.
 *
 * What is promised: structs grow at their end only, and each that a plug-in hands over says its
 * size, so a plug-in that was built with an older header of the same JACKALOPE_ABI goes on working.
 * One that was built with a newer header than the broker's is refused.
 *
 * Threads: each function says on which it is called. Those called on the broker's own threads
 * ("on any shard") may run on several at once, must not wait for anything and must not call back
 * but as said. */
#ifndef JACKALOPE_PLUGIN_H
#define JACKALOPE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Changes when older plug-ins no longer work. */
#define JACKALOPE_ABI 1
/* Grows when something is added. A broker takes plug-ins of its level and of those below. */
#define JACKALOPE_LEVEL 1

/* A borrowed run of bytes; not ended by a NUL. */
struct jackalope_bytes {
    const void *data;
    size_t len;
};

/* The broker's side of a plug-in. */
struct jackalope_host;

/* Where a function may refuse something: room for a text that says why, ended by a NUL. */
struct jackalope_why {
    char text[512];
};

/* ---- field tables: the arguments of a declaration or a binding, the headers of a message ---- */

enum jackalope_type {
    JACKALOPE_VOID,
    JACKALOPE_BOOL,
    JACKALOPE_INT,       /* of any width, signed or not */
    JACKALOPE_REAL,      /* float or double */
    JACKALOPE_DECIMAL,   /* real, as near as a double comes */
    JACKALOPE_TEXT,      /* bytes of a long string */
    JACKALOPE_BINARY,    /* bytes */
    JACKALOPE_TIMESTAMP, /* integer: seconds since 1970 */
    JACKALOPE_TABLE,     /* bytes: a table */
    JACKALOPE_ARRAY      /* bytes: values, for array_next */
};

struct jackalope_value {
    enum jackalope_type type;
    int64_t integer; /* BOOL: 0 or 1; INT; TIMESTAMP */
    double real;
    struct jackalope_bytes bytes; /* lives as long as the table */
};

/* Begin with that of the table or array; opaque. */
struct jackalope_cursor {
    struct jackalope_bytes rest;
};

/* ---- exchange types ---- */

/* What leads from an exchange to a queue or to another exchange. Stays where it is and as it is
 * from bind to unbind. */
struct jackalope_binding {
    struct jackalope_bytes key;
    struct jackalope_bytes arguments; /* a table */
    uint64_t order;                   /* grows with every new binding of the broker */
    void *own;                        /* the plug-in's */
};

struct jackalope_message_keys {
    struct jackalope_bytes routing_key;
    struct jackalope_bytes headers; /* a table; empty if there are none */
};

/* Takes what route finds; a binding may be found more than once. */
struct jackalope_sink;

/* An exchange is one instance on each shard, made before its first binding is known, changed by
 * bind and unbind, asked by route: all on its own shard, so that an instance needs no lock. What it
 * answers depends on its bindings and the message alone, so that all shards answer alike. */
struct jackalope_exchange_type {
    size_t size;      /* sizeof (struct jackalope_exchange_type) */
    const char *name; /* "x-rtopic": what clients declare */
    const char *text; /* for people: "a message goes to ..." */
    /* 1: the routing key does not matter, or is asked once, whatever keys CC and BCC add. */
    int keyless;
    /* Refuses arguments of a declaration by a value other than 0. NULL: takes all. Any thread. */
    int (*check)(struct jackalope_bytes arguments, struct jackalope_why *why);
    /* The same of a binding. */
    int (*check_binding)(struct jackalope_bytes key, struct jackalope_bytes arguments,
                         struct jackalope_why *why);
    void *(*create)(struct jackalope_bytes arguments);
    /* Without unbind of what is still bound. */
    void (*destroy)(void *instance);
    void (*bind)(void *instance, struct jackalope_binding *binding);
    void (*unbind)(void *instance, struct jackalope_binding *binding);
    void (*route)(const void *instance, const struct jackalope_message_keys *message,
                  struct jackalope_sink *sink);
    /* Whether route would find this binding, for `jackalopectl explain`. NULL: as if all
     * were. */
    int (*matches)(const struct jackalope_binding *binding,
                   const struct jackalope_message_keys *message);
};

/* ---- event sinks ---- */

/* What amq.rabbitmq.event gets, whether that is switched on or not. */
struct jackalope_event {
    const char *key;                /* "queue.created" */
    struct jackalope_bytes headers; /* a table, with timestamp_in_ms */
};

/* Called on a thread of its own, one event after the other; those of one connection come in their
 * order. It may wait; when it is 8,192 events or 8 MiB behind, further ones are dropped, and the
 * log says how many. At the end of the broker it has five seconds for those that wait. */
struct jackalope_event_sink {
    size_t size;
    void (*on_event)(const struct jackalope_event *event);
    /* The queue has run empty: the time to write out what is in buffers. May be NULL. */
    void (*on_idle)(void);
};

/* ---- interceptors ---- */

/* One that a client publishes over AMQP, before it is routed. */
struct jackalope_message;

enum jackalope_field {
    JACKALOPE_EXCHANGE,
    JACKALOPE_ROUTING_KEY,
    JACKALOPE_HEADERS, /* a table; empty if there are none */
    JACKALOPE_USER,    /* who is logged in */
    JACKALOPE_VHOST,
    JACKALOPE_BODY,
    JACKALOPE_CONTENT_TYPE, /* this one and those below: data is NULL if it is not there */
    JACKALOPE_CONTENT_ENCODING,
    JACKALOPE_CORRELATION_ID,
    JACKALOPE_MESSAGE_ID,
    JACKALOPE_MESSAGE_TYPE,
    JACKALOPE_APP_ID
};

struct jackalope_interceptor {
    size_t size;
    /* On any shard, on the path of every message. 0: it goes on, with what was changed of it; else
     * the channel is closed with 406 and the text. Plug-ins are asked by the order in which they
     * started; what one changed the next one sees. */
    int (*on_publish)(struct jackalope_message *message, struct jackalope_why *why);
};

/* ---- the broker's functions ---- */

enum jackalope_level { JACKALOPE_DEBUG, JACKALOPE_INFO, JACKALOPE_WARNING, JACKALOPE_ERROR };

/* Lives as long as the process. Those that get a host may be called with the plug-in's own only. */
struct jackalope_api {
    size_t size;         /* of the table that the broker has */
    const char *version; /* the broker's: "0.1.0" */

    /* ---- any thread, at any time ---- */
    /* A line of the log, without a newline. */
    void (*log)(struct jackalope_host *host, enum jackalope_level level, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
    /* 1: the table has that key; the first one counts. */
    int (*table_find)(struct jackalope_bytes table, const char *key,
                      struct jackalope_value *ret_value);
    /* 0: that was all. */
    int (*table_next)(struct jackalope_cursor *cursor, struct jackalope_bytes *ret_key,
                      struct jackalope_value *ret_value);
    int (*array_next)(struct jackalope_cursor *cursor, struct jackalope_value *ret_value);

    /* ---- in start ---- */
    /* The text of `plugins.settings`, NAME.key; otherwise, if it is not set. It lives as long as
     * the process. */
    const char *(*setting)(struct jackalope_host *host, const char *key, const char *otherwise);
    /* Each keeps a pointer to what it gets. Other than 0: refused, and start should fail; the log
     * says why. */
    int (*add_exchange_type)(struct jackalope_host *host,
                             const struct jackalope_exchange_type *type);

    /* One a plug-in. */
    int (*add_event_sink)(struct jackalope_host *host, const struct jackalope_event_sink *sink);

    /* The same. */
    int (*add_interceptor)(struct jackalope_host *host,
                           const struct jackalope_interceptor *interceptor);

    /* ---- in route, with its sink ---- */
    void (*found)(struct jackalope_sink *sink, const struct jackalope_binding *binding);

    /* ---- in on_publish, with its message ---- */
    /* What it gives is good until the message is changed. */
    struct jackalope_bytes (*message_get)(const struct jackalope_message *message,
                                          enum jackalope_field field);
    /* In place of what is there; value NULL: it goes. Other than 0: a name or a value that cannot
     * be: DECIMAL, TABLE and ARRAY are not taken. */
    int (*message_set_header)(struct jackalope_message *message, const char *name,
                              const struct jackalope_value *value);
};

/* ---- a plug-in ---- */

struct jackalope_setting {
    const char *key;  /* "path": NAME.path in `plugins.settings` */
    const char *text; /* for people */
};

struct jackalope_plugin {
    uint32_t abi;     /* JACKALOPE_ABI */
    uint32_t level;   /* JACKALOPE_LEVEL */
    size_t size;      /* sizeof (struct jackalope_plugin) */
    const char *name; /* that of its file, without .so: a-z, 0-9, _ */
    const char *version;
    const char *text; /* for people */
    /* Those that it takes, ended by one without a key; NULL: none. */
    const struct jackalope_setting *settings;
    /* Once, before anything else of the plug-in is called, on the broker's first thread: at boot,
     * or when an operator enables it. It should be quick. Other than 0: the plug-in does not run.
     */
    int (*start)(const struct jackalope_api *api, struct jackalope_host *host,
                 struct jackalope_why *why);
    /* At the end of the broker, when nothing else of the plug-in is called any more; also after a
     * start that failed. Not if the event sink does not come back. May be NULL. */
    void (*stop)(void);
};

#if defined(__GNUC__)
#define JACKALOPE_EXPORT __attribute__((visibility("default")))
#else
#define JACKALOPE_EXPORT
#endif

/* JACKALOPE_PLUGIN(rtopic) = {JACKALOPE_PLUGIN_HEAD(rtopic), .version = "1.0", ...}; */
#ifdef JACKALOPE_PLUGIN_STATIC
#define JACKALOPE_PLUGIN(name)                                    \
    extern const struct jackalope_plugin jackalope_plugin_##name; \
    const struct jackalope_plugin jackalope_plugin_##name
#else
#define JACKALOPE_PLUGIN(name)                                              \
    extern JACKALOPE_EXPORT const struct jackalope_plugin jackalope_plugin; \
    const struct jackalope_plugin jackalope_plugin
#endif
#define JACKALOPE_PLUGIN_HEAD(plugin_name)                                                   \
    .abi = JACKALOPE_ABI, .level = JACKALOPE_LEVEL, .size = sizeof(struct jackalope_plugin), \
    .name = #plugin_name

#ifdef __cplusplus
}
#endif

#endif
