/* The parts of the configuration that are definitions: what is put at every start, and what new
 * virtual hosts are born with. Texts are never NULL: "" is "not set". */
#ifndef CONF_DEFINITIONS_H
#define CONF_DEFINITIONS_H

#include "base/digest.h"

#define CONF_LIST(type) \
    struct {            \
        type *items;    \
        size_t count;   \
    }

/* A list of texts. */
struct conf_texts {
    const char **items;
    size_t count;
};

/* ---- definitions, seeded before the first listener opens ---- */
enum conf_arg_type { CONF_ARG_VOID, CONF_ARG_BOOL, CONF_ARG_INT, CONF_ARG_DOUBLE, CONF_ARG_TEXT };
struct conf_arg {
    const char *name;
    enum conf_arg_type type;
    bool boolean;
    int64_t integer;
    double real;
    const char *text;
};
struct conf_args {
    struct conf_arg *items;
    size_t count;
};

/* ---- what new virtual hosts are born with; patterns are regular expressions ---- */
#define CONF_UNLIMITED UINT64_MAX /* no limit, of 64 bits */

struct conf_default_limits {
    const char *origin;
    const char *name;
    const char *pattern;                  /* of virtual hosts */
    uint64_t max_connections, max_queues; /* CONF_UNLIMITED: not set */
};

struct conf_default_policy {
    const char *origin;
    const char *name;
    const char *vhost_pattern, *queue_pattern, *apply_to;
    uint64_t expires_ms, message_ttl_ms; /* CONF_UNLIMITED: not set, as of those below */
    uint64_t max_length, max_length_bytes, max_in_memory_length, max_in_memory_bytes;
    uint64_t delivery_limit;
    struct {
        const char *ha_mode, *ha_sync_mode; /* "": not set */
        struct conf_texts ha_params;        /* one that is a number is one */
        const char *queue_version;
    } classic;
};

struct conf_default_user {
    const char *origin;
    const char *name;
    const char *vhost_pattern;
    const char *password; /* "": no login by password */
    const char *configure, *write, *read;
    struct conf_texts tags;
};

struct conf_vhost {
    const char *origin;
    const char *name;
    const char *description;
    struct conf_texts tags;
    const char *default_queue_type; /* "" : classic */
};

struct conf_user {
    const char *origin;
    const char *name;
    const char *password;      /* at most one of the two is set; */
    const char *password_hash; /* base64, of the right form. Neither: no login by password */
    enum digest_kind hashing_algorithm;
    struct conf_texts tags;
};

struct conf_permission {
    const char *origin;
    const char *user, *vhost;
    const char *configure, *write, *read; /* regular expressions */
};

struct conf_topic_permission {
    const char *origin;
    const char *user, *vhost, *exchange;
    const char *write, *read;
};

struct conf_exchange {
    const char *origin;
    const char *vhost, *name, *type;
    bool durable, auto_delete, internal;
    struct conf_args arguments;
};

struct conf_queue {
    const char *origin;
    const char *vhost, *name;
    bool durable, auto_delete;
    struct conf_args arguments;
};

struct conf_binding {
    const char *origin;
    const char *vhost, *source, *destination;
    bool to_exchange; /* destination_type: exchange */
    const char *routing_key;
    struct conf_args arguments;
};

struct conf_definitions {
    CONF_LIST(struct conf_vhost) vhosts;
    CONF_LIST(struct conf_user) users;
    CONF_LIST(struct conf_permission) permissions;
    CONF_LIST(struct conf_topic_permission) topic_permissions;
    CONF_LIST(struct conf_exchange) exchanges;
    CONF_LIST(struct conf_queue) queues;
    CONF_LIST(struct conf_binding) bindings;
    enum conf_import_backend { CONF_IMPORT_LOCAL_FILESYSTEM, CONF_IMPORT_HTTPS } import_backend;
    const char *local_path; /* a file, or a directory of files */
    struct {
        const char *url;
        uint32_t timeout_ms;
    } https;
    struct {
        const char *cacertfile, *certfile, *keyfile, *password;
        const char *server_name; /* "": the URL's */
        bool verify_peer;
        uint32_t depth;
        struct conf_texts versions; /* none: all that are spoken */
    } tls;
    bool skip_if_unchanged;
};

#endif
