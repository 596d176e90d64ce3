/* What the files of the import share: settings as they were read, the lines of YAML they become. */
#ifndef CONF_IMPORT_PRIV_H
#define CONF_IMPORT_PRIV_H

#include "conf/conf_priv.h"
#include "conf/import.h"

enum {
    IMPORT_SETTINGS_MAX = 10000,
    IMPORT_INCLUDES_MAX = 10, /* files that include each other */
    IMPORT_TERM_DEPTH_MAX = 32,
};

/* "heartbeat" = "60" from "rabbitmq.conf:12"; RABBITMQ_NODENAME of the environment likewise. */
struct setting {
    const char *key, *value, *origin;
    bool taken; /* somebody has dealt with it */
    bool term;  /* an Erlang term that is no single value */
};

/* Lines of YAML for one key. */
struct line {
    const char *path, *text, *origin;
    unsigned order; /* of conf.def */
};

struct import {
    struct arena arena; /* all texts */
    struct setting *settings;
    size_t count, room;
    struct line *lines;
    size_t line_count, line_room;
    struct buf *notes;
    unsigned wrong;
};

/* ---- import.c ---- */
const char *import_text(struct import *im, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The last value of a key counts. */
void import_set(struct import *im, const char *key, struct slice value, const char *origin);
/* One that has no value as rabbitmq.conf could have it. */
void import_set_term(struct import *im, const char *key, const char *origin);
/* Forgets a key and what is beneath it, because of what stands at the origin. */
void import_drop(struct import *im, const char *key, const char *origin);
/* A setting that is not in the result, and why; of a secret the value is never told. */
void import_leave(struct import *im, const struct setting *s, const char *why);
/* The same, for what somebody has to look at. */
void import_refuse(struct import *im, const char *origin, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The value of a key of conf.def, written as YAML; the last one counts. */
void import_put(struct import *im, const char *path, const char *text, const struct setting *s);
/* The same from a value as RabbitMQ writes it, if the row takes it. */
void import_put_value(struct import *im, const struct row *row, enum spelling spelling,
                      struct slice value, const struct setting *s);
/* How a value reads in YAML; NULL, with a problem, if the row does not take it. */
const char *import_value(struct import *im, const struct row *row, enum spelling spelling,
                         struct slice value, const struct setting *s);

/* ---- import_text.c: rabbitmq.conf, rabbitmq-env.conf; import_terms.c: advanced.config,
 * enabled_plugins ---- */
void import_read_conf(struct import *im, const char *file, unsigned depth);
void import_read_env(struct import *im, const char *file);
void import_read_advanced(struct import *im, const char *file);
/* A plug-in that is enabled becomes the setting "enabled_plugins.NAME" = "true". */
void import_read_plugins(struct import *im, const char *file);
/* Line by line; false with a problem if the file cannot be read. */
bool import_read_file(struct import *im, const char *file, struct buf *text);

/* ---- import_map.c: the rules of import.def ---- */
void import_map(struct import *im);
/* The next setting whose key begins with prefix that nobody took, which is taken now. */
struct setting *import_take(struct import *im, const char *prefix);
/* The same of one key. */
struct setting *import_take_key(struct import *im, const char *key);
bool import_is(const struct setting *s, const char *value);
/* debug, info, ... in RabbitMQ's words as ours; NULL with a problem. */
const char *import_level_name(struct import *im, const struct setting *s, struct slice value);

/* ---- import_net.c, import_log.c: what several settings say together ---- */
void import_listeners(struct import *im);
void import_web(struct import *im);
void import_tls(struct import *im);
void import_logs(struct import *im);

#endif
