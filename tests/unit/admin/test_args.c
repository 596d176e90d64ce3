/* Words to commands: options anywhere, what is refused, and the table itself. */
#include "admin/command.h"
#include "unit.h"

#include <stdio.h>
#include <sysexits.h>

/* The words of a line, split at blanks; "''" is the empty word. */
static size_t split(char *line, char **words)
{
    size_t n = 0;
    char empty[] = "''", *rest = NULL;
    for (char *w = strtok_r(line, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
        words[n++] = strcmp(w, empty) ? w : w + 2;
    return n;
}

struct parsed {
    char line[256];
    char *words[64];
    size_t count;
    struct args args;
    struct buf error;
    int code;
};

static void parse(struct parsed *p, const char *line)
{
    *p = (struct parsed){.error = BUF_INIT};
    snprintf(p->line, sizeof p->line, "%s", line);
    p->count = split(p->line, p->words);
    p->code = args_parse(&p->args, TOOL_NAME, p->words, p->count, &p->error);
}

UNIT(args, accepted)
{
    static const struct {
        const char *line, *command, *words, *vhost;
    } cases[] = {
        {"list_users", "list_users", "", NULL},
        {"add_user u p", "add_user", "u p", NULL},
        {"add_user u", "add_user", "u", NULL},
        {"list_queues -p v name", "list_queues", "name", "v"},
        {"-p v list_queues name messages", "list_queues", "name messages", "v"},
        {"list_queues name --vhost v", "list_queues", "name", "v"},
        {"list_queues --vhost=v=w", "list_queues", "", "v=w"},
        {"list_queues --vhost '' name", "list_queues", "name", ""},
        {"set_permissions -p v u -1 - .*", "set_permissions", "u -1 - .*", "v"},
        {"set_permissions -- u -p x --vhost", "set_permissions", "u -p x --vhost", NULL},
        {"-- add_user -u -p", "add_user", "-u -p", NULL},
        {"delete_queue q -e --if-unused", "delete_queue", "q", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct parsed p;
        struct buf words = BUF_INIT;
        parse(&p, cases[i].line);
        cr_assert_eq(p.code, 0, "%s: %s", cases[i].line, buf_cstr(&p.error));
        cr_assert_str_eq(p.args.command->name, cases[i].command, "%s", cases[i].line);
        for (size_t k = 0; k < p.args.count; k++)
            buf_printf(&words, "%s%s", k ? " " : "", p.args.words[k]);
        cr_assert_str_eq(buf_cstr(&words), cases[i].words, "%s", cases[i].line);
        const char *vhost = p.args.options[OPT_VHOST];
        cr_assert_eq(vhost == NULL, cases[i].vhost == NULL, "%s", cases[i].line);
        if (vhost)
            cr_assert_str_eq(vhost, cases[i].vhost);
        buf_fini(&words);
        buf_fini(&p.error);
    }
}

UNIT(args, refused)
{
    static const struct {
        const char *line, *error;
    } cases[] = {
        {"add_user", "Error (argument validation): not enough arguments.\nArguments given:\n"
                     "\tadd_user\n"},
        {"add_user a b c", "Error (argument validation): too many arguments.\n"},
        {"list_users x", "Error (argument validation): too many arguments.\n"},
        {"list_queues --nosuch", "Invalid options for this command:\n--nosuch : \n"},
        {"list_queues --nosuch=3", "Invalid options for this command:\n--nosuch : \n"},
        {"list_queues -z", "Invalid options for this command:\n-z : \n"},
        {"list_queues --vhostx v", "Invalid options for this command:\n--vhostx : \n"},
        {"list_queues -p", "Invalid options for this command:\n-p : \n"},
        {"list_queues --if-empty=1", "Invalid options for this command:\n--if-empty : \n"},
        {"list_users -p v", "Invalid options for this command:\n--vhost : \n"},
        {"list_queuez", "\nCommand 'list_queuez' not found. \nDid you mean 'list_queues'? \n"},
        {"nosuchcommandatall", "\nCommand 'nosuchcommandatall' not found. \n\nUsage\n"},
        {"--", "\nUsage\n\njackalopectl "},
        {"-p v", "\nUsage\n\njackalopectl "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct parsed p;
        parse(&p, cases[i].line);
        cr_assert_eq(p.code, EX_USAGE, "%s", cases[i].line);
        cr_assert(strstr(buf_cstr(&p.error), cases[i].error), "%s: %s", cases[i].line,
                  buf_cstr(&p.error));
        buf_fini(&p.error);
    }
}

UNIT(args, long_names)
{
    char name[5000];
    struct parsed p = {.error = BUF_INIT};
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    p.words[0] = name;
    cr_assert_eq(args_parse(&p.args, TOOL_NAME, p.words, 1, &p.error), EX_USAGE);
    cr_assert_null(command_nearest(name));
    buf_fini(&p.error);
}

UNIT(command, table)
{
    struct buf text = BUF_INIT;
    for (size_t i = 0; command_at(i); i++) {
        const struct command *c = command_at(i);
        cr_assert_eq(command_find(c->name), c, "%s is there twice", c->name);
        cr_assert(c->run && *c->text && *c->group && c->min <= c->max, "%s", c->name);
        cr_assert_eq(c->text[strlen(c->text) - 1], '.', "%s", c->name);
        cr_assert_eq(c->max == 0, *c->usage == '\0', "%s", c->name);
        cr_assert_eq(c->columns != NULL, strstr(c->usage, "<column>") != NULL, "%s", c->name);
        buf_clear(&text);
        command_put_help(&text, c, TOOL_NAME);
        cr_assert(strstr(buf_cstr(&text), c->text));
    }
    cr_assert_null(command_find("nosuch"));
    buf_clear(&text);
    command_put_list(&text, TOOL_NAME);
    cr_assert(strstr(buf_cstr(&text), "list_queues"));
    buf_clear(&text);
    command_put_docs(&text);
    cr_assert(strstr(buf_cstr(&text), "### list_queues\n"));
    buf_fini(&text);
}
