/* The configuration: a plain tree, immutable once loaded, counted; any thread may read it.
 *
 * Sources, later wins: the defaults of conf.def, a YAML file, the files of conf.d beside it in name
 * order, environment variables (JACKALOPE_...), flags. One row of conf.def per key says what it is;
 * the reading, the checks, the dump, the diff and the manual all follow the rows.
 *
 * Texts are never NULL: "" is "not set". */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "conf/definitions.h"

#define CONF_INFINITE UINT32_MAX /* no limit, where a key says so */

struct conf_listener {
    const char *origin;  /* "jackalope.yaml:12", "--listen", "default": for messages */
    const char *address; /* "127.0.0.1:5672", "[::1]:5672", ":5672", "unix:/path" */
    bool tls;
    const char *tls_set; /* name of an item of tls_sets; "": ssl_options */
    bool proxy_protocol;
    uint32_t backlog; /* 0: that of tcp_listen_options */
    uint32_t max_connections;
    uint32_t mode; /* permission bits of a unix socket's file */
};

struct conf_certificate {
    const char *origin;
    const char *certfile, *keyfile, *password, *password_file;
};

struct conf_tls {
    const char *origin;
    const char *name;                                /* "" for ssl_options */
    const char *certfile, *keyfile;                  /* one more certificate, if set */
    const char *password, *password_file;            /* of its key */
    CONF_LIST(struct conf_certificate) certificates; /* further ones */
    const char *cacertfile;
    bool verify_peer;
    bool fail_if_no_peer_cert;
    uint32_t depth;
    enum conf_crl_check {
        CONF_CRL_NO,
        CONF_CRL_ALL,
        CONF_CRL_PEER,
        CONF_CRL_BEST_EFFORT
    } crl_check;
    const char *crlfile, *crldir;
    struct conf_texts versions; /* "tlsv1.2", "tlsv1.3"; none: from min_version on */
    const char *min_version;    /* "1.2" or "1.3" */
    const char *ciphers;
    const char *ciphersuites;
    bool honor_cipher_order;
    bool reuse_sessions;
};

/* Of the node; CONF_INFINITE: none. */
struct conf_limits {
    uint32_t connections, channels, vhosts, queues, exchanges;
    uint32_t consumers;             /* of a channel */
    bool classic, quorum, stream;   /* queues that may be declared */
    bool relaxed_redeclaration;     /* of quorum queues as classic ones */
    const char *default_queue_type; /* "": classic */
};

/* RabbitMQ's names, units and defaults. */
struct conf_amqp {
    uint32_t channel_max;          /* 0: no limit but the protocol's */
    uint32_t frame_max;            /* bytes; 0: no limit */
    uint32_t initial_frame_max;    /* bytes, until connection.open */
    uint32_t heartbeat_s;          /* suggested to clients; 0: none */
    uint32_t handshake_timeout_ms; /* from accept to connection.open */
    uint64_t max_message_size;     /* bytes of a body */
};

enum conf_cert_login {
    CONF_CERT_LOGIN_DISTINGUISHED_NAME,
    CONF_CERT_LOGIN_COMMON_NAME,
    CONF_CERT_LOGIN_SUBJECT_ALTERNATIVE_NAME,
};

enum conf_credential_validator {
    CONF_ACCEPT_EVERYTHING,
    CONF_MIN_PASSWORD_LENGTH,
    CONF_PASSWORD_REGEXP,
};

/* A minute; 0: no limit. */
struct conf_failed_logins {
    uint32_t of_user, of_address;
};

/* A share of the memory there is, or bytes. */
struct conf_memory {
    double relative;   /* 0 if absolute */
    uint64_t absolute; /* 0 if relative */
};

struct conf_log {
    enum log_level level;
    int category_level[LOG_CATEGORY_COUNT]; /* CONF_LOG_INHERIT or enum log_level; see
                                             * conf_log_level() */
    enum log_output output;
    enum log_format format;
    const char *file;
};
enum { CONF_LOG_INHERIT = -1 };

/* Words among numbers that are smaller. */
enum { CONF_CPU_LATENCY_AUTO = 1 << 30, CONF_CPU_LATENCY_OFF };

enum conf_rates { CONF_RATES_BASIC, CONF_RATES_NONE };

struct conf {
    const char *node_name; /* "jackalope@host" */
    const char *data_dir;
    const char *pid_file;
    uint32_t shards; /* 0: one a core */
    uint32_t busy_wait_us;
    uint32_t cpu_latency; /* us, or CONF_CPU_LATENCY_ */
    uint32_t cpu_latency_rate;
    bool gather_shards;
    CONF_LIST(struct conf_listener) listeners;
    struct {
        CONF_LIST(struct conf_listener) listeners; /* of the HTTP API */
        enum conf_rates rates_mode;
        bool disable_stats, enable_queue_totals;
    } management;
    struct {
        bool disable_metrics_collector;
    } management_agent;
    struct {
        CONF_LIST(struct conf_listener) listeners; /* of those who scrape metrics */
        bool authentication;                       /* who have to log in */
    } prometheus;
    struct {
        uint32_t backlog;
        bool nodelay, keepalive, exit_on_close;
        struct {
            bool on;
            uint32_t timeout_s;
        } linger;
        uint32_t send_timeout_ms;
        uint32_t sndbuf, recbuf, buffer; /* bytes; 0: the system's choice */
    } tcp_listen_options;
    bool reverse_dns_lookups;
    uint32_t ssl_handshake_timeout_ms; /* of TLS and PROXY together */
    struct {
        const char *path; /* filled in: control.sock in the data directory unless set */
        uint32_t mode;    /* permission bits of the socket */
    } control;
    struct conf_tls ssl_options;
    CONF_LIST(struct conf_tls) tls_sets;
    uint32_t tls_check_interval_s; /* 0: never */

    struct conf_amqp amqp;

    struct conf_limits limits;
    struct conf_failed_logins failed_logins;
    bool track_auth_attempt_source;
    uint32_t consumer_timeout_ms;                            /* for acknowledgements; 0: none */
    struct conf_texts auth_mechanisms;                       /* in the order offered */
    const char *anonymous_login_user, *anonymous_login_pass; /* user "" or "none": nobody */
    struct conf_texts loopback_users;                        /* may log in over loopback only */
    struct {
        enum conf_credential_validator backend;
        uint32_t min_length;
        const char *regexp;
    } credential_validator;
    enum conf_cert_login ssl_cert_login_from;
    uint32_t ssl_cert_login_san_type; /* dns, ip, email, uri, other_name */
    uint32_t ssl_cert_login_san_index;
    struct conf_texts auth_backends;
    enum digest_kind password_hashing;
    struct {
        uint32_t shovel, upstream, upstream_set; /* CONF_INFINITE: none */
    } parameter_limits;

    /* Made at the first start of a data directory. */
    const char *default_vhost;
    const char *default_user, *default_pass; /* default_user "": none is made */
    struct conf_texts default_user_tags;
    struct {
        const char *configure, *write, *read;
    } default_permissions;
    /* Of every virtual host that is made and whose name matches. */
    CONF_LIST(struct conf_default_user) default_users;
    CONF_LIST(struct conf_default_limits) default_limits;
    CONF_LIST(struct conf_default_policy) default_policies;

    struct conf_memory vm_memory_high_watermark;
    uint64_t total_memory_available_override_value; /* bytes; 0: ask the system */
    struct conf_memory disk_free_limit;             /* relative: to the memory */
    struct {
        uint64_t segment_size;
        uint32_t segments_max;
    } journal;
    struct {
        uint64_t size_max; /* 0: the disk's size */
        uint32_t checkpoint_s;
    } database;

    uint32_t shutdown_timeout_ms; /* a graceful stop waits this long for clients */
    struct conf_log log;
    struct {
        bool enabled;
        int level;         /* of the log */
        const char *vhost; /* "": default_vhost */
    } event_exchange, log_exchange;
    struct {
        int timestamp, routing_node; /* 0: off, 1: what is there stays, 2: it is replaced */
        bool sent_time;
    } message_interceptors;
    struct {
        const char *directory;    /* "": where they are installed */
        const char *enabled_file; /* "": in the data directory */
        struct conf_texts enabled;
        bool required;
        struct conf_args settings; /* "NAME.key" */
    } plugins;
    const char *load_definitions; /* the same as definitions.local_path, and before it */
    struct conf_definitions definitions;
};

/* ---- loading ---- */
/* A value given on the command line: a flag of conf.def without its dashes, or a key's path. */
struct conf_setting {
    const char *name;
    const char *value; /* NULL: a flag without a value, for a yes-or-no key */
};

struct conf_sources {
    const char *file;               /* NULL: none */
    const char *const *environment; /* as environ; NULL: none */
    const struct conf_setting *settings;
    size_t setting_count;
};

/* Every problem found is a line of problems, "jackalope.yaml:12: ..."; then ERR_PRECONDITION_FAILED
 * is returned. The caller gets one reference. */
enum err conf_load(const struct conf_sources *sources, const struct conf **ret_conf,
                   struct buf *problems);
const struct conf *conf_ref(const struct conf *conf);
void conf_unref(const struct conf **conf);

/* The level of a category, its own or the general one. */
enum log_level conf_log_level(const struct conf *conf, enum log_category category);
/* NULL if there is no set of that name; "" is ssl_options. */
const struct conf_tls *conf_tls_find(const struct conf *conf, const char *name);
/* Bytes of memory this process may use: the system's, or less where its cgroup says so; or what the
 * configuration overrides. */
uint64_t conf_memory_total(const struct conf *conf);
/* The watermark in bytes. */
uint64_t conf_memory_watermark(const struct conf *conf);
/* The same of the room on the disk. */
uint64_t conf_disk_limit(const struct conf *conf);

/* ---- comparing ---- */
enum conf_reload {
    CONF_RELOAD_RESTART,    /* needs a restart */
    CONF_RELOAD_LIVE,       /* applies at once */
    CONF_RELOAD_CONNECTION, /* applies to connections opened from then on */
};
struct conf_change {
    const char *key;
    const char *before, *after; /* as text; "<hidden>" for passwords */
    enum conf_reload reload;
};
void conf_diff(const struct conf *before, const struct conf *after,
               void (*on_change)(void *arg, const struct conf_change *change), void *arg);
/* What counts at the next start only stays in fresh as it is in boot, which must outlive it. For
 * the one who loaded fresh, before anybody else sees it. */
void conf_keep(const struct conf *fresh, const struct conf *boot);

/* ---- printing ---- */
/* The whole configuration as YAML with the origin of what is not a default; passwords hidden. */
void conf_dump(const struct conf *conf, struct buf *out);
/* The same as a JSON object, {"amqp.frame_max": 131072, ...}, without the origins. */
void conf_put_json(const struct conf *conf, struct buf *out);
/* Whether conf.def has this flag or key; *ret_takes_value is false for a yes-or-no flag. */
bool conf_flag_find(const char *name, bool *ret_takes_value);

#endif
