/* jackaloped: reads arguments and configuration, then runs the broker or does what else was asked.
 */
#include "admin/command.h"
#include "admin/memory.h"
#include "base/buf.h"
#include "conf/import.h"
#include "daemon/daemon.h"
#include "daemon/docs.h"
#include "daemon/dump.h"
#include "daemon/front.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* Plug-ins that are linked with the program. */
#define DECLARE(name) extern const struct jackalope_plugin jackalope_plugin_##name;
#define ADDRESS(name) &jackalope_plugin_##name,
STATIC_PLUGINS(DECLARE)
static const struct jackalope_plugin *const builtins[] = {STATIC_PLUGINS(ADDRESS) NULL};

/* Descriptors 0 to 2 are there, so that no socket ever gets such a number. */
static void open_standard_files(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

static int report(struct buf *problems)
{
    fputs(buf_cstr(problems), stderr);
    return EX_CONFIG;
}

static int check(const struct conf *conf)
{
    struct buf problems = BUF_INIT;
    front_check(conf, &problems);
    int code = problems.len ? report(&problems) : 0;
    if (!code)
        puts("the configuration is good");
    buf_fini(&problems);
    return code;
}

static int dump_config(const struct conf *conf)
{
    struct buf text = BUF_INIT;
    conf_dump(conf, &text);
    fputs(buf_cstr(&text), stdout);
    buf_fini(&text);
    return 0;
}

static int dump_docs(const char *directory)
{
    struct failure why;
    if (!docs_dump(directory, &why))
        return 0;
    fprintf(stderr, "jackaloped: %s\n", why.text);
    return EX_CANTCREAT;
}

static int dump_tables(void)
{
    struct buf text = BUF_INIT;
    cli_dump_tables(&text);
    command_put_tables(&text);
    fputs(buf_cstr(&text), stdout);
    buf_fini(&text);
    return 0;
}

static int import_rabbitmq_conf(const char *path)
{
    struct buf yaml = BUF_INIT, notes = BUF_INIT;
    bool ok = import_run(path, (const char *const *)environ, &yaml, &notes);
    fwrite(yaml.data, 1, yaml.len, stdout);
    fputs(buf_cstr(&notes), stderr);
    buf_fini(&yaml);
    buf_fini(&notes);
    return ok ? 0 : EX_CONFIG;
}

static int with_conf(const struct cli *cli)
{
    struct buf problems = BUF_INIT;
    const struct conf *conf = NULL;
    int code;
    if (cli_load(cli, &conf, &problems))
        code = report(&problems);
    else if (cli->action == CLI_CHECK)
        code = check(conf);
    else if (cli->action == CLI_DUMP_CONFIG)
        code = dump_config(conf);
    else if (cli->action == CLI_DUMP_DATA)
        code = dump_data(conf->data_dir);
    else
        code = boot_run(cli, &conf, builtins);
    conf_unref(&conf);
    buf_fini(&problems);
    return code;
}

static int act(const struct cli *cli)
{
    switch (cli->action) {
    case CLI_VERSION:
        puts(PACKAGE_NAME "d " PACKAGE_VERSION);
        return 0;
    case CLI_HELP:
        cli_print_help();
        return 0;
    case CLI_DUMP_DOCS:
        return dump_docs(cli->path);
    case CLI_IMPORT_RABBITMQ_CONF:
        return import_rabbitmq_conf(cli->path);
    case CLI_DUMP_TABLES:
        return dump_tables();
    default:
        return with_conf(cli);
    }
}

#ifdef HAVE_JEMALLOC
/* exception: jemalloc reads it before main. Memory freed after a spike goes back to the system
 * within seconds, also when nothing happens. */
extern const char *malloc_conf;
const char *malloc_conf = "background_thread:true,dirty_decay_ms:2000,muzzy_decay_ms:0";
#endif

int main(int argc, char **argv)
{
    struct cli cli;
    struct failure why;
    int code = EX_USAGE;
    memory_count_by_use();
    open_standard_files();
    memory_open();
    umask(027);
    if (cli_parse(&cli, argc, argv, &why))
        fprintf(stderr, "jackaloped: %s\n", why.text);
    else
        code = act(&cli);
    bool printed = cli.action != CLI_RUN && cli.action != CLI_OFFLINE;
    if (printed && !code && (fflush(stdout) != 0 || ferror(stdout))) {
        fputs("jackaloped: the output could not be written\n", stderr);
        code = EX_IOERR;
    }
    cli_fini(&cli);
    return code;
}
