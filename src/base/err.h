/* "Asked wrongly": one code for every front, and a text for the asker. Rows are in err.def. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>

enum err_scope { ERR_SCOPE_CHANNEL, ERR_SCOPE_CONNECTION };

enum err {
    ERR_NONE = 0,
#define ERR(symbol, name, code, scope, http, exit, text) ERR_##symbol,
#include "base/err.def"
#undef ERR
    ERR_COUNT
};

struct err_info {
    const char *name; /* "NOT_FOUND" */
    uint16_t amqp_code;
    enum err_scope scope;
    uint16_t http_status;
    uint8_t exit_code; /* sysexits.h */
    const char *text;
};

/* Why something was refused. The text has no code prefix: "no queue 'q' in vhost '/'". */
struct failure {
    enum err code;
    bool hard;       /* this time the connection closes, whatever the scope of the code */
    char text[1024]; /* NUL-terminated UTF-8 */
};

const struct err_info *err_info(enum err code);

/* Fills why (may be NULL) and returns code, so that a refusal is `return failure_set(...)`. */
enum err failure_set(struct failure *why, enum err code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* As failure_set, but closes the connection even where the code's scope is a channel. */
enum err failure_set_hard(struct failure *why, enum err code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* "NOT_FOUND - no queue 'q' in vhost '/'" cut to 255 bytes on a UTF-8 boundary, ending in "..." if
 * cut, as RabbitMQ does. room is at least 256. Returns the length. */
unsigned failure_reply_text(const struct failure *why, char *room);

#endif
