/* Where the log goes. RabbitMQ may write several, each with its level; here there is one. */
#include "conf/import_priv.h"

#include <stdio.h>

enum output { OUTPUT_UNSAID, OUTPUT_FILE, OUTPUT_CONSOLE, OUTPUT_JOURNALD, OUTPUTS };

static const struct {
    const char *there, *here;
} outputs[OUTPUTS] = {
    [OUTPUT_FILE] = {"file", "file"},
    [OUTPUT_CONSOLE] = {"console", "stderr"},
    [OUTPUT_JOURNALD] = {"journald", "journald"},
};

struct log {
    struct setting *file, *dir, *console, *journald, *logs, *base;
};

static bool is_file(const struct setting *s)
{
    return s && strcmp(s->value, "false") != 0 && *s->value && *s->value != '-';
}

static enum output choose(const struct log *log)
{
    if (is_file(log->logs))
        return OUTPUT_FILE;
    if (log->logs && *log->logs->value == '-')
        return OUTPUT_CONSOLE;
    if (is_file(log->file))
        return OUTPUT_FILE;
    if (import_is(log->journald, "true"))
        return OUTPUT_JOURNALD;
    if (import_is(log->console, "true"))
        return OUTPUT_CONSOLE;
    if (log->dir || log->base)
        return OUTPUT_FILE;
    return OUTPUT_UNSAID;
}

static const char *quoted_path(struct import *im, const char *directory, const char *name)
{
    struct buf out = BUF_INIT;
    const char *path = *name == '/' ? name : import_text(im, "%s/%s", directory, name);
    scalar_quote(slice_str(path), &out);
    const char *kept = arena_text(&im->arena, buf_slice(&out));
    buf_fini(&out);
    return kept;
}

static void put_file(struct import *im, const struct log *log)
{
    static const char usual[] = "/var/log/jackalope";
    const struct setting *named = is_file(log->logs)   ? log->logs
                                  : is_file(log->file) ? log->file
                                                       : NULL;
    const struct setting *in = log->base ? log->base : log->dir;
    const struct setting *s = named ? named : in;
    const char *name = named ? named->value : "jackalope.log";
    if (!in && *name != '/')
        import_leave(im, s, import_text(im, "without log.dir it is in %s", usual));
    import_put(im, "log.file", quoted_path(im, in ? in->value : usual, name), s);
    if (log->dir && log->base)
        import_leave(im, log->dir, import_text(im, "%s counts", log->base->key));
}

/* What the log would be told if it went somewhere else. */
static void leave_others(struct import *im, const struct log *log, enum output chosen)
{
    const char *why = "there is one log, which goes elsewhere";
    if (log->logs && log->file)
        import_leave(im, log->file, import_text(im, "%s counts", log->logs->key));
    if (import_is(log->console, "true") && chosen != OUTPUT_CONSOLE)
        import_leave(im, log->console, why);
    if (import_is(log->journald, "true") && chosen != OUTPUT_JOURNALD)
        import_leave(im, log->journald, why);
    if (chosen == OUTPUT_FILE)
        return;
    if (log->dir)
        import_leave(im, log->dir, why);
    if (log->base)
        import_leave(im, log->base, why);
    if (log->file && chosen == OUTPUT_UNSAID)
        import_leave(im, log->file,
                     "there is one log, which goes to standard error unless it is told otherwise");
}

static void take_form(struct import *im, enum output output, bool chosen)
{
    struct setting *level =
        import_take_key(im, import_text(im, "log.%s.level", outputs[output].there));
    struct setting *form =
        import_take_key(im, import_text(im, "log.%s.formatter", outputs[output].there));
    const char *name = level ? import_level_name(im, level, slice_str(level->value)) : NULL;
    if (name && !chosen)
        import_leave(im, level, "there is one log, which goes elsewhere");
    else if (name)
        import_put(im, "log.level", name, level);
    if (form && !chosen)
        import_leave(im, form, "there is one log, which goes elsewhere");
    else if (form && !import_is(form, "json") && !import_is(form, "plaintext"))
        import_refuse(im, form->origin, "%s: is neither plaintext nor json", form->key);
    else if (form)
        import_put(im, "log.format", import_is(form, "json") ? "json" : "text", form);
}

void import_logs(struct import *im)
{
    struct log log = {
        .file = import_take_key(im, "log.file"),
        .dir = import_take_key(im, "log.dir"),
        .console = import_take_key(im, "log.console"),
        .journald = import_take_key(im, "log.journald"),
        .logs = import_take_key(im, "RABBITMQ_LOGS"),
        .base = import_take_key(im, "RABBITMQ_LOG_BASE"),
    };
    if (log.logs &&
        (!strncmp(log.logs->value, "exchange:", 9) || !strncmp(log.logs->value, "syslog:", 7))) {
        import_refuse(im, log.logs->origin,
                      "%s: the log goes to standard error, a file or journald", log.logs->key);
        log.logs = NULL;
    }
    enum output chosen = choose(&log);
    const struct setting *s = log.logs       ? log.logs
                              : log.journald ? log.journald
                              : log.console  ? log.console
                                             : log.file;
    if (chosen == OUTPUT_FILE)
        put_file(im, &log);
    if (chosen != OUTPUT_UNSAID) {
        const struct setting *from = chosen == OUTPUT_FILE && is_file(log.file) ? log.file : s;
        from = from ? from : log.base ? log.base : log.dir;
        import_put(im, "log.output", outputs[chosen].here, from);
    }
    leave_others(im, &log, chosen);
    /* RabbitMQ's own default is a file: the level of that one counts where nothing is said. */
    for (int i = OUTPUT_FILE; i < OUTPUTS; i++)
        take_form(im, (enum output)i, i == (int)chosen || (!chosen && i == OUTPUT_FILE));
}
