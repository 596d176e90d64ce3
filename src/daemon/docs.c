/* docs/reference: one page a table. */
#include "daemon/docs.h"

#include "admin/command.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/import.h"
#include "conf/manual.h"
#include "http/http.h"
#include "http/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void dump_errors(struct buf *out)
{
    buf_append_str(out,
                   "# Errors\n\n"
                   "Printed by `jackaloped --dump-docs`. What each front answers when a request is "
                   "refused: AMQP closes the channel or the connection with the code and a text "
                   "that begins with the name; HTTP answers with the status; `jackalopectl` exits "
                   "with the code of sysexits.h.\n\n"
                   "| Name | AMQP code | Closes | HTTP status | Exit code | Meaning |\n"
                   "|---|---|---|---|---|---|\n");
    for (int i = ERR_NONE + 1; i < ERR_COUNT; i++) {
        const struct err_info *info = err_info((enum err)i);
        buf_printf(out, "| `%s` | %u | %s | %u | %u | %s |\n", info->name, info->amqp_code,
                   info->scope == ERR_SCOPE_CONNECTION ? "the connection" : "the channel",
                   info->http_status, info->exit_code, info->text);
    }
}

static void dump_logging(struct buf *out)
{
    static const char *const texts[] = {[LOG_CATEGORY_COUNT] = NULL,
#define X(symbol, name, text) [LOG_##symbol] = text,
                                        LOG_CATEGORIES(X)
#undef X
    };
    buf_append_str(
        out,
        "# Log\n\n"
        "Printed by `jackaloped --dump-docs`. A line of text is\n\n"
        "    2026-11-21 21:16:00.123+00:00 [info] connection: text (connection=..., "
        "channel=...)\n\n"
        "and with `log.format: json` an object with `time`, `level`, `category`, `msg` and "
        "the context: `connection`, `channel`. With `log.output: journald` the same are "
        "fields (`journalctl CATEGORY=connection`). A stderr that systemd leads to the journal "
        "gets each line with its priority (`journalctl -p warning -u jackalope`), and without "
        "the time, which the journal has. Control characters of peers are escaped; a line is "
        "never longer than 8 KiB.\n\n"
        "Levels, least first: `debug`, `info`, `warning`, `error`, `critical`; `none` is "
        "silence. A category has the level of `log.level` unless `log.CATEGORY.level` says "
        "otherwise. SIGHUP opens the file again.\n\n"
        "| Category | Lines about |\n|---|---|\n");
    for (int i = 0; i < LOG_CATEGORY_COUNT; i++)
        buf_printf(out, "| `%s` | %s |\n", log_category_name((enum log_category)i), texts[i]);
}

/* To add a page: a row. */
static const struct {
    const char *file;
    void (*dump)(struct buf *out);
} pages[] = {
    {"commands.md", command_put_docs},
    {"config.md", manual_put_docs},
    {"errors.md", dump_errors},
    {"http.md", http_put_docs},
    {"log.md", dump_logging},
    {"metrics.md", metrics_put_docs},
    {"rabbitmq-conf.md", import_put_docs},
};

static enum err write_page(const char *directory, const char *file, struct slice text,
                           struct failure *why)
{
    char *path = mem_printf("%s/%s", directory, file);
    enum err err = ERR_NONE;
    FILE *f = fopen(path, "we");
    bool ok = f && fwrite(text.data, 1, text.len, f) == text.len;
    if (f && fclose(f) != 0)
        ok = false;
    if (!ok)
        err =
            failure_set(why, ERR_PRECONDITION_FAILED, "cannot write %s: %s", path, strerror(errno));
    free(path);
    return err;
}

enum err docs_dump(const char *directory, struct failure *why)
{
    if (mkdir(directory, 0777) != 0 && errno != EEXIST)
        return failure_set(why, ERR_PRECONDITION_FAILED, "cannot make %s: %s", directory,
                           strerror(errno));
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        struct buf text = BUF_INIT;
        pages[i].dump(&text);
        enum err err = write_page(directory, pages[i].file, buf_slice(&text), why);
        buf_fini(&text);
        if (err)
            return err;
    }
    return ERR_NONE;
}
