/* The command line of jackaloped. */
#ifndef DAEMON_CLI_H
#define DAEMON_CLI_H

#include "base/err.h"
#include "conf/conf.h"

enum cli_action {
    CLI_RUN,
    CLI_CHECK,
    CLI_VERSION,
    CLI_HELP,
    CLI_DUMP_CONFIG,
    CLI_DUMP_DATA,
    CLI_DUMP_DOCS,
    CLI_DUMP_TABLES,
    CLI_IMPORT_RABBITMQ_CONF,
    CLI_OFFLINE
};

struct cli {
    enum cli_action action;
    const char *path;              /* of CLI_DUMP_DOCS, of CLI_IMPORT_RABBITMQ_CONF */
    const char *file;              /* the configuration, NULL: none */
    struct conf_setting *settings; /* names and values are the arguments' own, or in text */
    size_t setting_count, setting_cap;
};

/* why: what is wrong with the arguments. argv must live as long as cli. */
enum err cli_parse(struct cli *cli, int argc, char **argv, struct failure *why);
void cli_fini(struct cli *cli);
/* The configuration that these arguments, the environment and the file make. */
enum err cli_load(const struct cli *cli, const struct conf **ret_conf, struct buf *problems);
void cli_print_help(void);
/* Every flag as a row of --dump-tables: flag, its name, its argument, text. */
void cli_dump_tables(struct buf *out);

#endif
