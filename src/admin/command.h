/* The table of commands, and how words become a command with its arguments. Pure. */
#ifndef ADMIN_COMMAND_H
#define ADMIN_COMMAND_H

#include "base/buf.h"
#include "base/control.h"

struct call;

/* OPTION(symbol, long name, letter or 0, name of its value or NULL, manual text) */
#define COMMAND_OPTIONS(OPTION)                                                                  \
    OPTION(VHOST, "vhost", 'p', "vhost", "the virtual host, / if not given")                     \
    OPTION(ONLINE, "online", 0, NULL,                                                            \
           "of queues: only those that are up; of plug-ins: at once, which is as without it")    \
    OPTION(OFFLINE, "offline", 0, NULL,                                                          \
           "of queues: only those that are down; of plug-ins: from the next start on")           \
    OPTION(LOCAL, "local", 0, NULL, "only queues of this node")                                  \
    OPTION(IF_EMPTY, "if-empty", 'e', NULL, "only if no message is ready")                       \
    OPTION(IF_UNUSED, "if-unused", 'u', NULL, "only if it has no consumer")                      \
    OPTION(HASHED, "pre-hashed-password", 0, NULL,                                               \
           "the password is given as the hash that hash_password prints")                        \
    OPTION(DESCRIPTION, "description", 0, "description", "text for people")                      \
    OPTION(TAGS, "tags", 0, "tags", "tags, separated by commas")                                 \
    OPTION(QUEUE_TYPE, "default-queue-type", 0, "type",                                          \
           "type of queues that are declared without x-queue-type")                              \
    OPTION(GLOBAL, "global", 0, NULL, "all there are, of every virtual host or user")            \
    OPTION(PRIORITY, "priority", 0, "priority",                                                  \
           "a whole number; of policies that match the highest is in effect")                    \
    OPTION(APPLY_TO, "apply-to", 0, "apply-to",                                                  \
           "queues, exchanges, all, classic_queues, quorum_queues or streams")                   \
    OPTION(USER, "user", 0, "username", "the user, guest if not given")                          \
    OPTION(LIMIT, "limit", 0, "limit", "how many at most")                                       \
    OPTION(DELAY, "per-connection-delay", 0, "milliseconds", "pause before the next one")        \
    OPTION(CATEGORY, "category", 0, "category", "of this log category only")                     \
    OPTION(FORMAT, "format", 0, "format",                                                        \
           "of a file of definitions: json; of cipher suites: openssl, iana, erlang or map")     \
    OPTION(SKIP, "skip-if-unchanged", 0, NULL,                                                   \
           "do nothing if the file is the one that was imported last")                           \
    OPTION(UNIT, "unit", 0, "unit",                                                              \
           "of memory: b, kb, mb or gb; of time: days, weeks, months or years")                  \
    OPTION(WITHIN, "within", 0, "period", "how long, in units")                                  \
    OPTION(NUMBER, "number", 'N', "number", "how many lines")                                    \
    OPTION(MINIMAL, "minimal", 'm', NULL, "only names")                                          \
    OPTION(VERBOSE, "verbose", 'v', NULL, "with what they are for")                              \
    OPTION(ENABLED, "enabled", 'E', NULL, "only those that are enabled")                         \
    OPTION(IMPLICIT, "implicitly-enabled", 0, NULL, "the same")                                  \
    OPTION(PID, "pid", 'P', "pid", "of the process")                                             \
    OPTION(ALL, "all", 0, NULL, "all there are")                                                 \
    OPTION(INTERVAL, "sample-interval", 0, "seconds", "how long is measured")                    \
    OPTION(EVERY, "interval", 'i', "seconds", "between two looks; 5 if not given")               \
    OPTION(DURATION, "duration", 'd', "seconds", "for how long; until interrupted if not given") \
    OPTION(BY_SOURCE, "by-source", 0, NULL, "by address and user")                               \
    OPTION(USED, "used", 0, NULL, "only those in use")                                           \
    OPTION(FAMILY, "address-family", 'a', "family", "of addresses: ipv4 or ipv6")                \
    OPTION(TRACKING, "tracking", 0, NULL, "what is known of the offsets of its readers")         \
    OPTION(PATTERN, "pattern", 0, "pattern", "a regular expression that their names match")      \
    OPTION(VHOST_PATTERN, "vhost-pattern", 0, "pattern",                                         \
           "a regular expression that names of virtual hosts match")                             \
    OPTION(QUEUE_PATTERN, "queue-pattern", 0, "pattern",                                         \
           "a regular expression that names of queues match")                                    \
    OPTION(ERRORS_ONLY, "errors-only", 0, NULL, "only what went wrong")                          \
    OPTION(CIPHER, "cipher", 0, "cipher", "one of list_ciphers; aes_128_cbc if not given")       \
    OPTION(HASH, "hash", 0, "hash", "one of list_hashes; sha256 if not given")                   \
    OPTION(ITERATIONS, "iterations", 0, "iterations",                                            \
           "of the hash; 1 if not given, as RabbitMQ has it")                                    \
    OPTION(ACROSS, "across-all-vhosts", 0, NULL, "in every virtual host")                        \
    OPTION(IDEMPOTENT, "idempotent", 0, NULL, "it is no error if the node is down")

enum option {
#define OPTION(symbol, name, letter, value, text) OPT_##symbol,
    COMMAND_OPTIONS(OPTION)
#undef OPTION
        OPTION_COUNT
};
#define OPTION_BIT(symbol) (UINT64_C(1) << OPT_##symbol)
/* Among a command's options: it can be asked about a broker that is stopped too. */
#define COMMAND_STOPPED (UINT64_C(1) << 63)
_Static_assert(OPTION_COUNT < 64, "a bit is left");

struct command {
    const char *name;
    const char *group;
    const char *usage; /* arguments: "<username> [<password>]" */
    const char *text;
    unsigned min, max;
    uint64_t options;                    /* OPTION_BITs, COMMAND_STOPPED */
    const char *const *(*columns)(void); /* what <column> may be; NULL: takes none */
    void (*run)(struct call *call);
};

/* In the order of the manual; NULL behind the last. */
const struct command *command_at(size_t index);
const struct command *command_find(const char *name);
/* By the name it has in one of RabbitMQ's tools: "list" of rabbitmq-plugins. */
const struct command *command_find_of(const char *tool, const char *name);
/* Of the commands that look like name the nearest, NULL if none does. */
const struct command *command_nearest(const char *name);

/* The name a client goes by if it does not say. */
#define TOOL_NAME "jackalopectl"

/* What the words say; everything borrows from them. */
struct args {
    const char *tool; /* the client's name: "jackalopectl", "rabbitmqctl" */
    const struct command *command;
    const char *words[CONTROL_WORDS_MAX]; /* positional ones without the command */
    size_t count;
    const char *options[OPTION_COUNT]; /* NULL: not given; "" for one without a value */
};

/* 0, or a code of sysexits.h with the text for stderr in error. */
int args_parse(struct args *args, const char *tool, char *const *words, size_t count,
               struct buf *error);
/* Digits alone, a number from least to most; false: it is none. */
bool args_number(const char *text, uint64_t least, uint64_t most, uint64_t *ret_number);
/* "Error (argument validation): ..." with the words and the usage, as rabbitmqctl lays it out. */
void args_put_error(struct buf *out, const struct args *args, char *const *words, size_t count,
                    const char *problem);
/* The page of one command, and the list of all. */
void command_put_help(struct buf *out, const struct command *command, const char *tool);
void command_put_list(struct buf *out, const char *tool);
/* Every command as Markdown. */
void command_put_docs(struct buf *out);
/* The same for programs, fields parted by tabs, words of a field by blanks:
 *   option NAME LETTER VALUE TEXT
 *   command NAME GROUP USAGE OPTIONS COLUMNS TEXT */
void command_put_tables(struct buf *out);

#endif
