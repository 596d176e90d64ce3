/* The log: levels per category, text or JSON, to stderr, a file or journald. Callable from any
 * thread; a line is one write. Context is inherited: a channel's lines carry its connection's. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/slice.h"

enum log_level { LOG_DEBUG_, LOG_INFO_, LOG_WARNING_, LOG_ERROR_, LOG_CRITICAL_, LOG_NONE_ };

/* name, manual text */
#define LOG_CATEGORIES(X)                                                              \
    X(DEFAULT, "default", "everything that has no category of its own")                \
    X(CONNECTION, "connection", "connections: opened, authenticated, closed, refused") \
    X(CHANNEL, "channel", "channel errors")                                            \
    X(QUEUE, "queue", "queues: declared, deleted, consumers cancelled")                \
    X(USER, "user", "authentication and authorisation")                                \
    X(CONFIG, "config", "configuration read and reloaded")                             \
    X(ADMIN, "admin", "commands of operators")                                         \
    X(STORE, "store", "journal, database: recovery, damage, a full or failing disk")

enum log_category {
#define X(symbol, name, text) LOG_##symbol,
    LOG_CATEGORIES(X)
#undef X
        LOG_CATEGORY_COUNT
};

/* A link of the context chain; lives as long as the object that logs with it. */
struct log_context {
    const struct log_context *parent;
    const char *key;   /* "connection", "channel": a literal */
    const char *value; /* owned by the object */
};

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
enum log_output { LOG_OUTPUT_STDERR, LOG_OUTPUT_FILE, LOG_OUTPUT_JOURNALD };

/* file: path, needed for LOG_OUTPUT_FILE. False with a text in *ret_error (static or errno text) if
 * the output cannot be opened; the former one then stays. */
bool log_open(enum log_output output, enum log_format format, const char *file,
              const char **ret_error);
/* Also gets every line that is logged, of that level or above, without its newline; callable from
 * any thread, and may not log. NULL: nobody. */
void log_set_tap(enum log_level level,
                 void (*tap)(enum log_level level, struct slice line, enum log_format format));
/* Opens the file again (logrotate). */
bool log_reopen(const char **ret_error);
void log_close(void);
void log_set_level(enum log_category category, enum log_level level);
void log_set_level_all(enum log_level level);
enum log_level log_get_level(enum log_category category);
const char *log_level_name(enum log_level level);
const char *log_category_name(enum log_category category);
/* "debug" "info" "warning" "error" "critical" "none" */
bool log_level_parse(const char *name, enum log_level *ret_level);
bool log_category_parse(const char *name, enum log_category *ret_category);

extern unsigned char log_levels_[LOG_CATEGORY_COUNT]; /* read through log_on() */
static inline bool log_on(enum log_category category, enum log_level level)
{
    return (unsigned char)level >= __atomic_load_n(&log_levels_[category], __ATOMIC_RELAXED);
}

void log_write(enum log_category category, enum log_level level, const struct log_context *context,
               const char *fmt, ...) __attribute__((format(printf, 4, 5), cold));

#define log_at(category, level, context, ...)                       \
    do {                                                            \
        if (log_on((category), (level)))                            \
            log_write((category), (level), (context), __VA_ARGS__); \
    } while (0)
#define log_debug(category, context, ...) log_at(LOG_##category, LOG_DEBUG_, context, __VA_ARGS__)
#define log_info(category, context, ...)  log_at(LOG_##category, LOG_INFO_, context, __VA_ARGS__)
#define log_warning(category, context, ...) \
    log_at(LOG_##category, LOG_WARNING_, context, __VA_ARGS__)
#define log_error(category, context, ...) log_at(LOG_##category, LOG_ERROR_, context, __VA_ARGS__)
#define log_critical(category, context, ...) \
    log_at(LOG_##category, LOG_CRITICAL_, context, __VA_ARGS__)

#endif
