/* What the log says: its end, and what comes. */
#include "admin/admin_priv.h"
#include "admin/call.h"
#include "admin/handlers.h"
#include "admin/report.h"

#include "base/log_recent.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "meta/meta.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    TAIL_BYTES = 256 * 1024,
    STREAM_MS = 100,
    STREAM_BYTES = 16 * 1024, /* at a time */
};

struct tail_visit {
    struct visit visit;
    size_t number;
};

/* The last lines of text, at most count. */
static struct slice last_lines(struct slice text, size_t count)
{
    size_t at = text.len;
    if (at && text.data[at - 1] == '\n')
        at--;
    text.len = at;
    while (at && (text.data[at - 1] != '\n' || --count))
        at--;
    return slice_of(text.data + at, text.len - at);
}

static bool read_end(int fd, struct buf *out)
{
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return false;
    off_t from = st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0;
    ssize_t n = pread(fd, buf_reserve(out, TAIL_BYTES), TAIL_BYTES, from);
    out->len += n > 0 ? (size_t)n : 0;
    return true;
}

/* Of the file, which knows more; what goes elsewhere is not read back from there. */
static bool tail_run(struct visit *visit, struct shard *shard)
{
    const struct tail_visit *v = (struct tail_visit *)visit;
    const struct conf *conf = admin_conf(admin_of(shard_node(shard)));
    int fd = conf->log.output == LOG_OUTPUT_FILE ? open(conf->log.file, O_RDONLY | O_CLOEXEC) : -1;
    struct buf text = BUF_INIT;
    if (!read_end(fd, &text)) {
        uint64_t at = log_recent_begin(v->number);
        log_recent_read(&at, LOG_RECENT_BYTES, &text);
    }
    struct slice lines = last_lines(buf_slice(&text), v->number);
    if (lines.len)
        report_print_slice(&visit->out, lines);
    if (fd >= 0)
        close(fd);
    buf_fini(&text);
    return true;
}

void run_log_tail(struct call *call)
{
    uint64_t count;
    if (!args_number(call_option(call, OPT_NUMBER, "50"), 1, SIZE_MAX, &count)) {
        call_refuse(call, EX_USAGE, "Invalid options for this command:\n--number : not a number");
        return;
    }
    struct tail_visit *v = visit_new(sizeof *v, tail_run, call_visit_end);
    v->number = count;
    call_banner(call, "Last %" PRIu64 " log lines on node %s ...", count,
                meta_node_name(call_node(call)));
    call_visit_first(call, &v->visit);
}

/* ---- as it comes ---- */

static void stream_lines(struct call *call)
{
    struct buf lines = BUF_INIT;
    uint64_t lost = log_recent_read(&call->wanted, STREAM_BYTES, &lines);
    if (lost)
        call_print(call, "(%llu bytes of the log were not shown)", (unsigned long long)lost);
    if (lines.len)
        call_print_slice(call, slice_of(lines.data, lines.len - 1));
    buf_fini(&lines);
}

static void on_stream(struct call *call)
{
    if (!stream_is_full(call->stream))
        stream_lines(call);
    if (call->until_ms && shard_now_ms(call->shard) >= call->until_ms)
        call_exit(call);
    else
        timer_set(&call->timer, STREAM_MS);
}

void run_log_tail_stream(struct call *call)
{
    uint64_t seconds;
    if (!call_duration(call, &seconds))
        return;
    call_banner(call, "Streaming logs from node %s ...", meta_node_name(call_node(call)));
    if (call_is_dry(call))
        return;
    call->wanted = log_recent_begin(0);
    call->until_ms = seconds ? shard_now_ms(call->shard) + seconds * 1000 : 0;
    call->on_timer = on_stream;
    timer_set(&call->timer, STREAM_MS);
}
