/* The order in which the process comes up, and goes down in reverse. */
#include "daemon/daemon.h"

#include "admin/admin.h"
#include "amqp/amqp.h"
#include "base/bug.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "broker/events.h"
#include "broker/exchange/exchange.h"
#include "broker/log_exchange.h"
#include "daemon/control.h"
#include "daemon/datadir.h"
#include "daemon/front.h"
#include "daemon/latency.h"
#include "daemon/notify.h"
#include "daemon/reload.h"
#include "daemon/seed.h"
#include "daemon/watchdog.h"
#include "http/http.h"
#include "meta/meta.h"
#include "net/listener.h"
#include "partition/partition.h"
#include "plugin/plugins.h"
#include "store/store.h"

#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

/* ---- log, limits, data directory ---- */
static int start_log(struct daemon *d, struct failure *why)
{
    const char *error = "";
    if (reload_log(NULL, d->conf, &error))
        return 0;
    failure_set(why, ERR_PRECONDITION_FAILED, "cannot open log file %s: %s", d->conf->log.file,
                error);
    return EX_CANTCREAT;
}

static void stop_log(struct daemon *d)
{
    (void)d;
    log_close();
}

static int start_limits(struct daemon *d, struct failure *why)
{
    (void)d;
    (void)why;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files) != 0)
            log_warning(DEFAULT, NULL, "the limit of open files cannot be raised");
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a log that may not grow */
    return 0;
}

static int start_data(struct daemon *d, struct failure *why)
{
    int code = datadir_open(d->conf->data_dir, &d->lock_fd, why);
    if (code)
        return code;
    d->panic_file = mem_printf("%s/panic.log", d->conf->data_dir);
    bug_set_file(d->panic_file);
    return *d->conf->pid_file ? pidfile_write(d->conf->pid_file, why) : 0;
}

static void stop_data(struct daemon *d)
{
    if (d->lock_fd >= 0 && *d->boot->pid_file)
        unlink(d->boot->pid_file);
    bug_set_file(NULL);
    free(d->panic_file);
    d->panic_file = NULL;
    datadir_close(&d->lock_fd);
}

/* ---- shards ---- */

/* exception: a table of functions, filled before the shards run */
static struct op_kind op_kinds[WATCHDOG_OP_END];

static unsigned core_count(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > SHARDS_MAX ? SHARDS_MAX : (unsigned)n;
}

enum { GATHER_NS = 5 * 1000 * 1000 };

static int start_node(struct daemon *d, struct failure *why)
{
    (void)why;
    op_kinds[NET_OP_ACCEPT] =
        (struct op_kind){"listener -> shard: accepted", net_op_accept_release};
    memcpy(&op_kinds[OP_FIRST], broker_op_kinds(), (OP_END - OP_FIRST) * sizeof *op_kinds);
    memcpy(&op_kinds[ADMIN_OP_FIRST], admin_op_kinds(),
           (ADMIN_OP_END - ADMIN_OP_FIRST) * sizeof *op_kinds);
    memcpy(&op_kinds[WATCHDOG_OP_FIRST], watchdog_op_kinds(),
           (WATCHDOG_OP_END - WATCHDOG_OP_FIRST) * sizeof *op_kinds);
    unsigned shards = d->conf->shards ? d->conf->shards : core_count();
    bool offline = d->cli->action == CLI_OFFLINE;
    struct node_options options = {.shards = offline ? 1 : shards,
                                   .busy_wait_ns = d->conf->busy_wait_us * 1000ull,
                                   .gather_ns = d->conf->gather_shards ? GATHER_NS : 0,
                                   .ops = op_kinds,
                                   .op_count = WATCHDOG_OP_END,
                                   .context = d};
    if (!offline)
        options.awake = latency_options(d->conf);
    d->node = node_new(&options);
    struct awake_facts facts = awake_facts(d->node);
    latency_report(d->conf, &facts);
    return 0;
}

static void stop_node(struct daemon *d)
{
    if (d->node)
        node_free(&d->node);
}

/* ---- the store ---- */
static int start_store(struct daemon *d, struct failure *why)
{
    const struct conf *conf = d->conf;
    struct store_options options = {.directory = conf->data_dir,
                                    .segment_size = (uint32_t)conf->journal.segment_size & ~4095u,
                                    .segments_max = conf->journal.segments_max,
                                    .map_max = conf->database.size_max,
                                    .read_only = d->cli->action == CLI_OFFLINE,
                                    .checkpoint_s = conf->database.checkpoint_s};
    return datadir_exit_code(store_open(d->node, &options, &d->store, why));
}

static void stop_store(struct daemon *d)
{
    store_close(&d->store);
}

/* ---- the files of streams ---- */
static bool is_known(uint64_t id, void *store)
{
    struct fold_queue *found = mem_alloc(sizeof *found);
    bool known = fold_get_queue(store_fold(store), id, found);
    free(found);
    return known;
}

static int start_partitions(struct daemon *d, struct failure *why)
{
    int code = datadir_exit_code(partitions_open(d->node, d->conf->data_dir, &d->partitions, why));
    if (!code)
        partitions_sweep(d->partitions, is_known, d->store);
    return code;
}

static void stop_partitions(struct daemon *d)
{
    partitions_close(&d->partitions);
}

/* ---- plug-ins ---- */
/* Before there are exchanges, of types that they may have, and until there are none. */
static int start_plugins(struct daemon *d, struct failure *why)
{
    exchange_types_register();
    return plugins_open(d->node, d->boot, d->builtins, &d->plugins, why) ? EX_CONFIG : 0;
}

static void stop_plugins(struct daemon *d)
{
    plugins_close(&d->plugins);
}

/* ---- the broker ---- */
static int start_meta(struct daemon *d, struct failure *why)
{
    (void)why;
    struct meta_options options = {.default_vhost = d->conf->default_vhost,
                                   .loopback_users = d->conf->loopback_users.items,
                                   .loopback_user_count = d->conf->loopback_users.count,
                                   .node_name = d->conf->node_name,
                                   .stopped = d->cli->action == CLI_OFFLINE};
    exchange_types_register();
    meta_init(d->node, &options);
    reload_limits(d);
    reload_vhost_defaults(d);
    reload_credentials(d);
    reload_logins(d);
    return 0;
}

static void stop_meta(struct daemon *d)
{
    meta_fini(d->node);
}

static int start_broker(struct daemon *d, struct failure *why)
{
    (void)why;
    node_each_shard(d->node, broker_init, NULL);
    for (unsigned i = 0; i < node_shard_count(d->node); i++)
        meta_set_queue_maker(d->node, i, broker_addr(d->node, i));
    return 0;
}

static void stop_broker(struct daemon *d)
{
    node_each_shard(d->node, broker_fini, NULL);
}

static int start_amqp(struct daemon *d, struct failure *why)
{
    (void)why;
    struct amqp_options options = reload_amqp_options(d);
    amqp_init(d->node, &options);
    return 0;
}

static void stop_amqp(struct daemon *d)
{
    amqp_fini(d->node);
    reload_fini(d);
}

static int start_net(struct daemon *d, struct failure *why)
{
    (void)why;
    node_each_shard(d->node, net_init, NULL);
    return 0;
}

static void stop_net(struct daemon *d)
{
    node_each_shard(d->node, net_fini, NULL);
}

static int start_http(struct daemon *d, struct failure *why)
{
    struct http_options options = {.version = PACKAGE_VERSION,
                                   .message_max = d->conf->amqp.max_message_size,
                                   .scrape_login = d->conf->prometheus.authentication,
                                   .stats = reload_http_stats(d->conf)};
    (void)why;
    http_init(d->node, &options);
    return 0;
}

static void stop_http(struct daemon *d)
{
    http_fini(d->node);
}

/* ---- what is told by messages ---- */
static const char *vhost_or_default(const struct daemon *d, const char *vhost)
{
    return *vhost ? vhost : d->conf->default_vhost;
}

static int start_telling(struct daemon *d, struct failure *why)
{
    const struct conf *conf = d->conf;
    (void)why;
    if (conf->event_exchange.enabled)
        events_init(d->node, vhost_or_default(d, conf->event_exchange.vhost));
    if (conf->log_exchange.enabled)
        log_exchange_init(d->node, vhost_or_default(d, conf->log_exchange.vhost), conf->node_name,
                          (enum log_level)conf->log_exchange.level);
    return 0;
}

/* Behind the event exchange, as they get its events. */
static int start_plugin_events(struct daemon *d, struct failure *why)
{
    (void)why;
    for (unsigned i = 0; i < node_shard_count(d->node); i++)
        plugins_attach(d->plugins, node_shard(d->node, i));
    return 0;
}

static void stop_telling(struct daemon *d)
{
    log_exchange_fini(d->node);
    events_fini(d->node);
}

/* ---- signals, and the word to whoever waits ---- */
static int start_signals(struct daemon *d, struct failure *why)
{
    (void)why;
    struct shard *shard = node_shard(d->node, 0);
    shard_on_signal(shard, SIGTERM, stop_on_signal, d);
    shard_on_signal(shard, SIGINT, stop_on_signal, d);
    shard_on_signal(shard, SIGHUP, reload_on_signal, d);
    return 0;
}

static int announce(struct daemon *d, struct failure *why)
{
    (void)why;
    log_info(DEFAULT, NULL,
             "jackaloped %s started: node %s, pid %ld, %u shards, data in %s, memory watermark "
             "%" PRIu64 " MiB",
             PACKAGE_VERSION, d->conf->node_name, (long)getpid(), node_shard_count(d->node),
             d->conf->data_dir, conf_memory_watermark(d->conf) >> 20);
    if (isatty(STDOUT_FILENO)) {
        struct buf where = BUF_INIT;
        front_describe(d, &where);
        printf("jackaloped %s listens on %s\n"
               "data in %s, control socket %s; Ctrl-C stops it\n",
               PACKAGE_VERSION, buf_cstr(&where), d->conf->data_dir, d->conf->control.path);
        fflush(stdout);
        buf_fini(&where);
    }
    front_notify(d);
    notify_ready();
    return 0;
}

static void say_bye(struct daemon *d)
{
    (void)d;
    log_info(DEFAULT, NULL, "jackaloped stops");
}

/* ---- a broker that is stopped ---- */

/* Its log is the broker's. */
static int start_silence(struct daemon *d, struct failure *why)
{
    (void)d;
    (void)why;
    log_set_level_all(LOG_ERROR_);
    return 0;
}

static int start_data_for_reading(struct daemon *d, struct failure *why)
{
    return datadir_open_for_reading(d->conf->data_dir, &d->lock_fd, why);
}

static void stop_data_for_reading(struct daemon *d)
{
    datadir_close(&d->lock_fd);
}

static int start_definitions(struct daemon *d, struct failure *why)
{
    return meta_load(d->node, d->store, why) ? EX_DATAERR : 0;
}

static void end_offline(void *daemon, int signum)
{
    (void)signum;
    node_stop(((struct daemon *)daemon)->node);
}

static int start_offline_signals(struct daemon *d, struct failure *why)
{
    struct shard *shard = node_shard(d->node, 0);
    (void)why;
    shard_on_signal(shard, SIGTERM, end_offline, d);
    shard_on_signal(shard, SIGINT, end_offline, d);
    return 0;
}

/* What questions about definitions and the store need, and no more: nothing is written, nothing is
 * delivered, no time passes. */
static const struct boot_step offline_steps[] = {
    {"log", start_silence, NULL},
    {"limits", start_limits, NULL},
    {"data directory", start_data_for_reading, stop_data_for_reading},
    {"node", start_node, stop_node},
    {"store", start_store, stop_store},
    {"meta", start_meta, stop_meta},
    {"net", start_net, stop_net},
    {"definitions", start_definitions, NULL},
    {"signals", start_offline_signals, NULL},
    {"control socket", control_start, control_stop},
};
enum { OFFLINE_COUNT = sizeof offline_steps / sizeof *offline_steps };

/* net ends before amqp, so that what is left of connections goes while their shard's state is
 * there. */
static const struct boot_step steps[] = {
    {"log", start_log, stop_log},
    {"limits", start_limits, NULL},
    {"data directory", start_data, stop_data},
    {"node", start_node, stop_node},
    {"store", start_store, stop_store},
    {"partitions", start_partitions, stop_partitions},
    {"plug-ins", start_plugins, stop_plugins},
    {"meta", start_meta, stop_meta},
    {"broker", start_broker, stop_broker},
    {"amqp", start_amqp, stop_amqp},
    {"http", start_http, stop_http},
    {"net", start_net, stop_net},
    {"definitions", seed_start, NULL},
    {"event and log exchange", start_telling, stop_telling},
    {"events of plug-ins", start_plugin_events, NULL},
    {"signals", start_signals, NULL},
    {"watchdog", watchdog_start, watchdog_stop},
    {"control socket", control_start, control_stop},
    {"listeners", front_start, front_stop},
    {"announcement", announce, say_bye},
};
enum { STEP_COUNT = sizeof steps / sizeof *steps };

static void report(const struct daemon *d, const struct boot_step *step, const struct failure *why)
{
    log_critical(DEFAULT, NULL, "start failed (%s): %s", step->name, why->text);
    if (d->conf->log.output != LOG_OUTPUT_STDERR && d->cli->action != CLI_OFFLINE)
        fprintf(stderr, "jackaloped: %s\n", why->text);
}

int boot_run(const struct cli *cli, const struct conf **conf,
             const struct jackalope_plugin *const *plugins)
{
    struct daemon d = {
        .cli = cli, .boot = *conf, .conf = conf_ref(*conf), .lock_fd = -1, .builtins = plugins};
    struct failure why = {.text = ""};
    bool offline = cli->action == CLI_OFFLINE;
    const struct boot_step *order = offline ? offline_steps : steps;
    unsigned count = offline ? OFFLINE_COUNT : STEP_COUNT, done = 0;
    int code = 0;
    *conf = NULL;
    while (done < count && !code) {
        code = order[done].start(&d, &why);
        log_debug(DEFAULT, NULL, "start: %s", order[done].name);
        done++;
    }
    if (code)
        report(&d, &order[done - 1], &why);
    else
        node_run(d.node);
    if (d.node)
        node_drop_ops(d.node);
    while (done > 0) {
        if (order[--done].stop)
            order[done].stop(&d);
    }
    conf_unref(&d.conf);
    conf_unref(&d.boot);
    return code;
}
