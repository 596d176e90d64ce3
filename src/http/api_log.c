/* The log as it comes, behind what it said last, as server-sent events: for administrators, as long
 * as they are. */
#include "http/handlers.h"
#include "http/login.h"
#include "http/session.h"

#include "base/log.h"
#include "base/log_recent.h"
#include "base/mem.h"

#include <stdlib.h>

enum {
    LOOK_MS = 200,          /* between two looks for new lines */
    LOOK_BYTES = 32 * 1024, /* taken in one of them */
    LOOKS_OF_QUIET = 25     /* after which a comment is sent, so that who left is noticed */
};

struct following {
    uint64_t at; /* in the log */
    enum log_level least;
    unsigned quiet; /* looks without a line */
};

/* What stands behind the mark, up to the end; the first time. */
static bool level_behind(struct slice line, struct slice mark, char end, enum log_level *ret_level)
{
    char name[16];
    const uint8_t *at = memmem(line.data, line.len, mark.data, mark.len);
    if (!at)
        return false;
    at += mark.len;
    const uint8_t *stop = memchr(at, end, line.len - (size_t)(at - line.data));
    if (!stop || (size_t)(stop - at) >= sizeof name)
        return false;
    memcpy(name, at, (size_t)(stop - at));
    name[stop - at] = '\0';
    return log_level_parse(name, ret_level);
}

/* In either of the log's formats. */
static enum log_level level_of(struct slice line)
{
    enum log_level level = LOG_INFO_;
    if (!level_behind(line, SLICE(" ["), ']', &level))
        (void)level_behind(line, SLICE("\"level\":\""), '"', &level);
    return level;
}

static void put_events(const struct following *f, struct slice lines, struct buf *out)
{
    while (lines.len) {
        const uint8_t *end = memchr(lines.data, '\n', lines.len);
        size_t length = end ? (size_t)(end - lines.data) : lines.len;
        struct slice line = slice_of(lines.data, length);
        enum log_level level = level_of(line);
        if (level >= f->least)
            buf_printf(out, "event: %s\ndata: %.*s\n\n", log_level_name(level), SLICE_ARG(line));
        length += end != NULL;
        lines = slice_of(lines.data + length, lines.len - length);
    }
}

static void look(struct session *s);

static void wait(struct session *s)
{
    s->on_time = look;
    timer_set(&s->timer, LOOK_MS);
}

static void look(struct session *s)
{
    struct following *f = s->state;
    struct buf lines = BUF_INIT, out = BUF_INIT;
    const char *reason;
    if (login_check_again(s, &reason) != LOGIN_OK) {
        reply_close(s);
        return;
    }
    uint64_t lost = log_recent_read(&f->at, LOOK_BYTES, &lines);
    if (lost)
        buf_printf(&out, "event: lost\ndata: %llu\n\n", (unsigned long long)lost);
    put_events(f, buf_slice(&lines), &out);
    f->quiet = out.len ? 0 : f->quiet + 1;
    if (f->quiet % LOOKS_OF_QUIET == 1)
        buf_append_str(&out, ":\n\n");
    reply_write(s, buf_slice(&out));
    buf_fini(&lines);
    buf_fini(&out);
    session_when_taken(s, wait);
}

void api_live_log(struct session *s)
{
    struct slice name = target_param(&s->target, "level");
    char *level = slice_cstr(name.len ? name : SLICE("debug"));
    enum log_level least;
    bool known = log_level_parse(level, &least);
    free(level);
    if (!known) {
        reply_bad(s, "level is one of: debug, info, warning, error, critical");
        return;
    }
    uint64_t lines = 0;
    if (target_param(&s->target, "lines").data && !target_number(&s->target, "lines", &lines)) {
        reply_bad(s, "lines is a number");
        return;
    }
    reply_open(s, 200, "text/event-stream");
    if (s->verb == VERB_HEAD) {
        reply_close(s);
        return;
    }
    struct following *f = NEW(struct following);
    f->at = log_recent_begin(lines);
    f->least = least;
    s->state = f;
    s->free_state = free;
    look(s);
}
