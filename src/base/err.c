/* The table behind err.h, and the texts. */
#include "base/err.h"

#include "base/bug.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct err_info infos[ERR_COUNT] = {
    [ERR_NONE] = {"OK", 200, ERR_SCOPE_CHANNEL, 200, 0, "no error"},
#define ERR(symbol, name, code, scope, http, exit, text) \
    [ERR_##symbol] = {name, code, ERR_SCOPE_##scope, http, exit, text},
#include "base/err.def"
#undef ERR
};

const struct err_info *err_info(enum err code)
{
    bug_on((unsigned)code >= ERR_COUNT);
    return &infos[code];
}

__attribute__((format(printf, 4, 0))) static enum err fill(struct failure *why, enum err code,
                                                           bool hard, const char *fmt, va_list ap)
{
    if (!why)
        return code;
    why->code = code;
    why->hard = hard;
    vsnprintf(why->text, sizeof why->text, fmt, ap);
    return code;
}

enum err failure_set(struct failure *why, enum err code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(why, code, false, fmt, ap);
    va_end(ap);
    return code;
}

enum err failure_set_hard(struct failure *why, enum err code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(why, code, true, fmt, ap);
    va_end(ap);
    return code;
}

unsigned failure_reply_text(const struct failure *why, char *room)
{
    enum { LIMIT = 255 };
    char full[sizeof why->text + 64];
    int n = snprintf(full, sizeof full, "%s - %s", err_info(why->code)->name, why->text);
    if (n <= LIMIT) {
        memcpy(room, full, (size_t)n + 1);
        return (unsigned)n;
    }
    unsigned cut = LIMIT - 3;
    while (cut && ((unsigned char)full[cut] & 0xc0) == 0x80)
        cut--;
    memcpy(room, full, cut);
    memcpy(room + cut, "...", 4);
    return cut + 3;
}
