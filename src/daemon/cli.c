/* Arguments: a few of our own, and every flag and key of the configuration. */
#include "daemon/cli.h"

#include "base/mem.h"
#include "conf/manual.h"
#include "daemon/defaults.h"
#include "meta/pattern.h"
#include "meta/vhost_defaults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name, *argument, *text;
} own[] = {
    {"config", "FILE", "read this YAML file, and conf.d/*.yaml beside it"},
    {"check", NULL, "read the configuration, name its problems, exit with 78 if there are any"},
    {"dump-config", NULL, "print the configuration that results, and where each value is from"},
    {"dump-data", NULL, "print what the data directory of a broker that is stopped holds"},
    {"dump-docs", "DIR", "write the reference pages of the manual to this directory"},
    {"dump-tables", NULL, "print the tables that manual pages and completions are made of"},
    {"import-rabbitmq-conf", "PATH",
     "print RabbitMQ's configuration, a file or a directory, as one of this broker"},
    {"offline", NULL, "answer jackalopectl about the data of a broker that is stopped"},
    {"version", NULL, "print the version"},
    {"help", NULL, "print this"},
};

void cli_print_help(void)
{
    struct buf flags = BUF_INIT;
    manual_put_flags(&flags);
    printf("Usage: jackaloped [--FLAG VALUE]...\n"
           "Runs the broker in the foreground. Without flags: data in ./var, AMQP on "
           "127.0.0.1:5672.\n\n");
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        char flag[64];
        snprintf(flag, sizeof flag, "--%s %s", own[i].name, own[i].argument ? own[i].argument : "");
        printf("  %-24s %s\n", flag, own[i].text);
    }
    printf("\nFlags that set a key of the configuration:\n%s"
           "  %-24s any key outside of lists, such as --amqp.heartbeat 30\n\n"
           "Signals: TERM and INT stop gracefully, a second one at once; HUP reads the "
           "configuration\nand the certificates again and reopens the log file.\n",
           buf_cstr(&flags), "--KEY VALUE");
    buf_fini(&flags);
}

void cli_dump_tables(struct buf *out)
{
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        buf_printf(out, "flag\t%s\t%s\t%s\n", own[i].name, own[i].argument ? own[i].argument : "",
                   own[i].text);
    manual_put_tables(out);
}

static bool is_own(const char *name, bool *ret_takes_value)
{
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (strcmp(name, own[i].name) == 0) {
            *ret_takes_value = own[i].argument;
            return true;
        }
    }
    return false;
}

static void take_own(struct cli *cli, const char *name, const char *value)
{
    if (strcmp(name, "config") == 0) {
        cli->file = value;
    } else if (strcmp(name, "check") == 0) {
        cli->action = CLI_CHECK;
    } else if (strcmp(name, "dump-config") == 0) {
        cli->action = CLI_DUMP_CONFIG;
    } else if (strcmp(name, "dump-data") == 0) {
        cli->action = CLI_DUMP_DATA;
    } else if (strcmp(name, "dump-docs") == 0) {
        cli->action = CLI_DUMP_DOCS;
        cli->path = value;
    } else if (strcmp(name, "dump-tables") == 0) {
        cli->action = CLI_DUMP_TABLES;
    } else if (strcmp(name, "import-rabbitmq-conf") == 0) {
        cli->action = CLI_IMPORT_RABBITMQ_CONF;
        cli->path = value;
    } else if (strcmp(name, "offline") == 0) {
        cli->action = CLI_OFFLINE;
    } else if (strcmp(name, "version") == 0) {
        cli->action = CLI_VERSION;
    } else {
        cli->action = CLI_HELP;
    }
}

static void add_setting(struct cli *cli, const char *name, const char *value)
{
    MEM_GROW(cli->settings, cli->setting_cap, cli->setting_count + 1);
    cli->settings[cli->setting_count++] = (struct conf_setting){name, value};
}

#define refuse(why, ...) (failure_set((why), ERR_SYNTAX_ERROR, __VA_ARGS__), false)

/* One flag at argv[*i], moves *i behind it. */
static bool take_flag(struct cli *cli, char **argv, int *i, struct failure *why)
{
    char *name = argv[*i] + 2, *equals = strchr(argv[*i], '=');
    bool takes_value = false;
    if (strncmp(argv[*i], "--", 2) != 0 || !*name)
        return refuse(why, "unexpected argument '%s'", argv[*i]);
    if (equals)
        *equals = '\0'; /* the argument vector is ours to cut */
    bool ours = is_own(name, &takes_value);
    if (!ours && !conf_flag_find(name, &takes_value))
        return refuse(why, "unknown flag --%s, see --help", name);
    const char *value = equals ? equals + 1 : NULL;
    if (takes_value && !value)
        value = argv[++*i];
    if (takes_value && !value)
        return refuse(why, "--%s needs a value", name);
    if (ours && !takes_value && value)
        return refuse(why, "--%s takes no value", name);
    if (ours)
        take_own(cli, name, value);
    else
        add_setting(cli, name, value);
    ++*i;
    return true;
}

enum err cli_parse(struct cli *cli, int argc, char **argv, struct failure *why)
{
    *cli = (struct cli){.action = CLI_RUN};
    for (int i = 1; i < argc;) {
        if (!take_flag(cli, argv, &i, why))
            return why->code;
    }
    const char *file = getenv("JACKALOPE_CONFIG");
    if (!cli->file && file && *file)
        cli->file = file;
    return ERR_NONE;
}

void cli_fini(struct cli *cli)
{
    free(cli->settings);
    cli->settings = NULL;
}

static void check_credentials(const struct conf *conf, struct buf *problems)
{
    struct slice regexp = slice_str(conf->credential_validator.regexp);
    struct failure why;
    if (conf->credential_validator.backend != CONF_PASSWORD_REGEXP)
        return;
    if (!regexp.len)
        buf_append_str(problems, "credential_validator.regexp is not set\n");
    else if (pattern_check(regexp, &why))
        buf_printf(problems, "credential_validator.regexp: %s\n", why.text);
}

enum err cli_load(const struct cli *cli, const struct conf **ret_conf, struct buf *problems)
{
    struct conf_sources sources = {.file = cli->file,
                                   .environment = (const char *const *)environ,
                                   .settings = cli->settings,
                                   .setting_count = cli->setting_count};
    const struct conf *conf = NULL;
    enum err err = conf_load(&sources, &conf, problems);
    if (err)
        return err;
    struct vhost_defaults *defaults = defaults_new(conf, problems);
    vhost_defaults_free(&defaults);
    check_credentials(conf, problems);
    if (problems->len) {
        conf_unref(&conf);
        return ERR_PRECONDITION_FAILED;
    }
    *ret_conf = conf;
    return ERR_NONE;
}
