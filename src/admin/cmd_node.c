/* The process itself: help, stopping, configuration, log, limits of memory and disk. */
#include "admin/admin_priv.h"
#include "admin/disk_monitor.h"
#include "admin/handlers.h"
#include "admin/listing.h"
#include "admin/memory.h"
#include "admin/monitor.h"
#include "admin/report.h"

#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* ---- help ---- */

void run_help(struct call *call)
{
    struct buf text = BUF_INIT;
    const char *name = call->args.count ? call->args.words[0] : NULL;
    const struct command *command = name ? command_find_of(call->args.tool, name) : NULL;
    if (name && !command) {
        call_fail(call, EX_USAGE, "\nCommand '%s' not found.", name);
        return;
    }
    if (command)
        command_put_help(&text, command, call->args.tool);
    else
        command_put_list(&text, call->args.tool);
    while (text.len && text.data[text.len - 1] == '\n')
        text.len--;
    call_print_slice(call, buf_slice(&text));
    buf_fini(&text);
    call_exit(call);
}

void run_list_commands(struct call *call)
{
    struct rows rows;
    struct buf out = BUF_INIT;
    rows_begin_fixed(call, &rows, "name group usage text", false);
    for (size_t i = 0; command_at(i); i++) {
        const struct command *c = command_at(i);
        row_begin(&out);
        row_put_text(&out, &rows, c->name);
        row_put_text(&out, &rows, c->group);
        row_put_text(&out, &rows, c->usage);
        row_put_text(&out, &rows, c->text);
        row_end(&out);
    }
    call_write(call, buf_slice(&out));
    buf_fini(&out);
    call_exit(call);
}

void run_autocomplete(struct call *call)
{
    const char *start = call->args.count ? call->args.words[0] : "";
    for (size_t i = 0; command_at(i); i++) {
        if (!strncmp(command_at(i)->name, start, strlen(start)))
            call_print(call, "%s", command_at(i)->name);
    }
    call_exit(call);
}

void run_version(struct call *call)
{
    call_print(call, "%s", PACKAGE_VERSION);
    call_exit(call);
}

/* Whoever gets here talks to a broker that is up. */
void run_await_startup(struct call *call)
{
    call_exit(call);
}

/* The client looked after the process. */
void run_wait(struct call *call)
{
    if (!call->args.count && !call_has(call, OPT_PID))
        call_refuse(call, EX_USAGE, "\"No pid or pidfile specified\"");
    else if (call->args.count && call_has(call, OPT_PID))
        call_refuse(call, EX_USAGE, "\"Cannot specify both pid and pidfile\"");
    else
        call_exit(call);
}

/* ---- stopping ---- */

enum { LAST_WORD_MS = 20 }; /* for the lines to go out before the loops end */

static bool stop_run(struct visit *visit, struct shard *shard)
{
    (void)visit;
    const struct admin *admin = admin_of(shard_node(shard));
    log_info(ADMIN, NULL, "asked to stop by an operator");
    admin->options.stop(admin->options.arg);
    return true;
}

static void stop_now(struct call *call)
{
    call_visit_first(call, visit_new(sizeof(struct visit), stop_run, call_visit_end));
}

void run_shutdown(struct call *call)
{
    call_banner(call, "Shutting the broker down ...");
    call_wait_pid(call);
    call->on_timer = stop_now;
    timer_set(&call->timer, LAST_WORD_MS);
}

void run_stop(struct call *call)
{
    run_shutdown(call);
}

/* ---- configuration and log ---- */

struct outcome {
    struct visit visit;
    struct buf problems;
    bool good;
};

static void outcome_fini(struct visit *visit)
{
    buf_fini(&((struct outcome *)visit)->problems);
}

static void on_outcome(struct call *call, struct visit *visit)
{
    struct outcome *o = (struct outcome *)visit;
    if (o->good)
        call_exit(call);
    else
        call_fail(call, EX_CONFIG, "%s", buf_cstr(&o->problems));
}

static void start_outcome(struct call *call, bool (*run)(struct visit *visit, struct shard *shard))
{
    struct outcome *o = visit_new(sizeof *o, run, on_outcome);
    o->visit.fini = outcome_fini;
    call_visit_first(call, &o->visit);
}

static bool reload_run(struct visit *visit, struct shard *shard)
{
    struct outcome *o = (struct outcome *)visit;
    const struct admin *admin = admin_of(shard_node(shard));
    o->good = admin->options.reload(admin->options.arg, &o->problems);
    return true;
}

void run_reload(struct call *call)
{
    call_banner(call, "Reading the configuration again ...");
    start_outcome(call, reload_run);
}

static bool rotate_run(struct visit *visit, struct shard *shard)
{
    struct outcome *o = (struct outcome *)visit;
    const char *error = "";
    (void)shard;
    o->good = log_reopen(&error);
    if (!o->good)
        buf_printf(&o->problems, "the log file cannot be opened again: %s", error);
    return true;
}

void run_rotate_logs(struct call *call)
{
    call_banner(call, "Opening the log file again ...");
    start_outcome(call, rotate_run);
}

void run_set_log_level(struct call *call)
{
    const char *name = call->args.words[0];
    const char *category_name = call_option(call, OPT_CATEGORY, NULL);
    enum log_level level;
    enum log_category category = LOG_DEFAULT;
    if (!log_level_parse(name, &level)) {
        call_fail(call, EX_UNAVAILABLE,
                  "level %s is not supported. Try one of debug, info, warning, error, critical, "
                  "none",
                  name);
        return;
    }
    if (category_name && !log_category_parse(category_name, &category)) {
        call_fail(call, EX_UNAVAILABLE, "there is no log category %s", category_name);
        return;
    }
    call_banner(call, "Setting log level to \"%s\" ...", name);
    if (call_is_dry(call))
        return;
    if (category_name)
        log_set_level(category, level);
    else
        log_set_level_all(level);
    call_exit(call);
}

/* ---- memory and disk ---- */

struct limit_visit {
    struct visit visit;
    double fraction; /* negative: bytes */
    uint64_t bytes;
};

static bool watermark_run(struct visit *visit, struct shard *shard)
{
    const struct limit_visit *v = (struct limit_visit *)visit;
    monitor_set_watermark(admin_of(shard_node(shard))->monitor, v->fraction, v->bytes);
    return true;
}

static bool disk_limit_run(struct visit *visit, struct shard *shard)
{
    const struct limit_visit *v = (struct limit_visit *)visit;
    disk_monitor_set_limit(admin_of(shard_node(shard))->disk, v->fraction, v->bytes);
    return true;
}

static void set_limit(struct call *call, bool (*run)(struct visit *visit, struct shard *shard),
                      double fraction, uint64_t bytes)
{
    struct limit_visit *v = visit_new(sizeof *v, run, call_visit_end);
    v->fraction = fraction;
    v->bytes = bytes;
    call_visit_first(call, &v->visit);
}

static void set_absolute(struct call *call)
{
    uint64_t bytes;
    if (call->args.count < 2) {
        call_refuse(call, EX_USAGE, "not enough arguments.");
    } else if (!report_parse_size(call->args.words[1], &bytes)) {
        call_refuse(call, EX_DATAERR, "Bad argument.");
    } else {
        call_banner(call, "Setting memory threshold to %s bytes ...", call->args.words[1]);
        set_limit(call, watermark_run, -1.0, bytes);
    }
}

void run_set_vm_memory_high_watermark(struct call *call)
{
    const char *text = call->args.words[0];
    char *end;
    if (!strcmp(text, "absolute")) {
        set_absolute(call);
        return;
    }
    double fraction = strtod(text, &end);
    if (call->args.count > 1) {
        call_refuse(call, EX_USAGE, "too many arguments.");
    } else if (!*text || *end || !isfinite(fraction)) {
        call_refuse(call, EX_DATAERR, "Bad argument.");
    } else if (fraction < 0 || fraction > 1) {
        call_refuse(call, EX_DATAERR,
                    "Bad argument: The threshold should be a fraction between 0.0 and 1.0");
    } else {
        call_banner(call, "Setting memory threshold to %s ...", text);
        set_limit(call, watermark_run, fraction, 0);
    }
}

static void set_disk_multiple(struct call *call)
{
    const char *text = call->args.count > 1 ? call->args.words[1] : "";
    char *end;
    double multiple = strtod(text, &end);
    if (call->args.count < 2) {
        call_refuse(call, EX_USAGE, "not enough arguments.");
    } else if (*text < '0' || *text > '9' || *end || !isfinite(multiple)) {
        call_refuse(call, EX_DATAERR, "Bad argument.");
    } else {
        call_banner(call, "Setting disk free limit to %s times the total RAM ...", text);
        set_limit(call, disk_limit_run, multiple, 0);
    }
}

void run_set_disk_free_limit(struct call *call)
{
    const char *text = call->args.words[0];
    uint64_t bytes;
    if (!strcmp(text, "mem_relative")) {
        set_disk_multiple(call);
    } else if (call->args.count > 1) {
        call_refuse(call, EX_USAGE, "too many arguments.");
    } else if (!report_parse_size(text, &bytes)) {
        call_refuse(call, EX_DATAERR, "Bad argument.");
    } else {
        call_banner(call, "Setting disk free limit to %s bytes ...", text);
        set_limit(call, disk_limit_run, -1.0, bytes);
    }
}

static bool watch_disk_run(struct visit *visit, struct shard *shard)
{
    const struct limit_visit *v = (struct limit_visit *)visit;
    disk_monitor_set_active(admin_of(shard_node(shard))->disk, v->bytes != 0);
    return true;
}

void run_activate_free_disk_space_monitoring(struct call *call)
{
    call_banner(call, "Activating free disk space monitoring ...");
    set_limit(call, watch_disk_run, 0, true);
}

void run_deactivate_free_disk_space_monitoring(struct call *call)
{
    call_banner(call, "Deactivating free disk space monitoring ...");
    set_limit(call, watch_disk_run, 0, false);
}

static bool give_back_run(struct visit *visit, struct shard *shard)
{
    (void)visit;
    (void)shard;
    memory_give_back(true);
    return true;
}

void run_force_gc(struct call *call)
{
    call_banner(call, "Giving free memory back ...");
    call_visit_first(call, visit_new(sizeof(struct visit), give_back_run, call_visit_end));
}
