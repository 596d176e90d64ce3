/* Words to a command, its options and its arguments, with rabbitmqctl's refusals. */
#include "admin/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct option_info {
    const char *name;
    char letter;
    const char *value;
    const char *text;
};

static const struct option_info infos[] = {
#define OPTION(symbol, name, letter, value, text) {name, letter, value, text},
    COMMAND_OPTIONS(OPTION)
#undef OPTION
};

/* ---- reading ---- */

/* -x or --long, but no number and no lone dash. */
static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] && !(word[1] >= '0' && word[1] <= '9');
}

/* OPTION_COUNT if there is none; *ret_value points behind the = of --name=value. */
static enum option find_option(const char *word, const char **ret_value)
{
    unsigned i;
    *ret_value = NULL;
    for (i = 0; i < OPTION_COUNT; i++) {
        size_t length = strlen(infos[i].name);
        if (word[1] != '-') {
            if (word[1] == infos[i].letter && !word[2])
                break;
        } else if (!strncmp(word + 2, infos[i].name, length)) {
            if (word[2 + length] == '=' && infos[i].value)
                *ret_value = word + 2 + length + 1;
            else if (word[2 + length])
                continue;
            break;
        }
    }
    return (enum option)i;
}

struct reader {
    struct args *args;
    char *const *words;
    size_t count, at;
    const char *bad, *bad_value; /* the first option that is not the command's */
};

static void read_option(struct reader *r)
{
    const char *word = r->words[r->at], *value;
    enum option option = find_option(word, &value);
    bool known = option < OPTION_COUNT;
    if (known && infos[option].value && !value) {
        if (r->at + 1 < r->count)
            value = r->words[++r->at];
        else
            known = false;
    }
    if (known)
        r->args->options[option] = value ? value : "";
    else if (!r->bad)
        r->bad = word;
}

static void read_words(struct reader *r)
{
    const char *name = NULL;
    bool plain = false; /* behind "--" */
    for (; r->at < r->count; r->at++) {
        const char *word = r->words[r->at];
        if (!plain && !strcmp(word, "--"))
            plain = true;
        else if (!plain && is_option(word))
            read_option(r);
        else if (!name)
            name = word;
        else
            r->args->words[r->args->count++] = word;
    }
    r->args->command = name ? command_find_of(r->args->tool, name) : NULL;
}

/* ---- refusing ---- */

static void put_usage(struct buf *out, const struct command *c, const char *tool);

static void put_unknown(struct buf *out, const char *name, const char *tool)
{
    const struct command *near = command_nearest(name);
    buf_printf(out, "\nCommand '%s' not found. \n", name);
    if (near)
        buf_printf(out, "Did you mean '%s'? \n", near->name);
    else
        command_put_list(out, tool);
}

void args_put_error(struct buf *out, const struct args *args, char *const *words, size_t count,
                    const char *problem)
{
    buf_printf(out, "Error (argument validation): %s\nArguments given:\n\t", problem);
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s%s", i ? " " : "", words[i]);
    buf_append_str(out, "\n\nUsage\n\n");
    put_usage(out, args->command, args->tool);
}

bool args_number(const char *text, uint64_t least, uint64_t most, uint64_t *ret_number)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || n < least || n > most)
        return false;
    *ret_number = n;
    return true;
}

static int refuse(const struct reader *r, struct buf *error, const char *problem)
{
    args_put_error(error, r->args, r->words, r->count, problem);
    return EX_USAGE;
}

static int refuse_option(const struct reader *r, struct buf *error, const char *word)
{
    struct buf problem = BUF_INIT;
    buf_printf(&problem, "Invalid options for this command:\n%.*s : ", (int)strcspn(word, "="),
               word);
    int code = refuse(r, error, buf_cstr(&problem));
    buf_fini(&problem);
    return code;
}

static const char *first_word(const struct reader *r)
{
    for (size_t i = 0; i < r->count; i++) {
        if (!is_option(r->words[i]))
            return r->words[i];
    }
    return NULL;
}

static int check(const struct reader *r, struct buf *error)
{
    const struct command *c = r->args->command;
    if (r->bad)
        return refuse_option(r, error, r->bad);
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        if (r->args->options[i] && !(c->options & UINT64_C(1) << i)) {
            char word[64] = "--";
            strncat(word, infos[i].name, sizeof word - 3);
            return refuse_option(r, error, word);
        }
    }
    if (r->args->count < c->min)
        return refuse(r, error, "not enough arguments.");
    if (r->args->count > c->max)
        return refuse(r, error, "too many arguments.");
    return 0;
}

int args_parse(struct args *args, const char *tool, char *const *words, size_t count,
               struct buf *error)
{
    struct reader r = {.args = args, .words = words, .count = count};
    *args = (struct args){.tool = tool};
    if (count > CONTROL_WORDS_MAX) {
        buf_append_str(error, "too many words");
        return EX_USAGE;
    }
    read_words(&r);
    if (args->command)
        return check(&r, error);
    const char *name = first_word(&r);
    if (name)
        put_unknown(error, name, tool);
    else
        command_put_list(error, tool);
    return EX_USAGE;
}

/* ---- telling ---- */

static const char stopped_text[] =
    "Can be asked of a broker that is stopped: jackalopectl --offline.";

/* Which of several nodes is meant is RabbitMQ's question; ours is which socket. */
static const char *general_usage(const char *tool)
{
    return strncmp(tool, "rabbitmq", 8) ? "[--control <socket>]" : "[--node <node>] [--longnames]";
}

static void put_usage(struct buf *out, const struct command *c, const char *tool)
{
    buf_printf(out, "%s %s [--quiet] %s", tool, general_usage(tool), c->name);
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        if (!(c->options & UINT64_C(1) << i))
            continue;
        buf_printf(out, " [--%s", infos[i].name);
        if (infos[i].value)
            buf_printf(out, " <%s>", infos[i].value);
        buf_append_byte(out, ']');
    }
    if (*c->usage)
        buf_printf(out, " %s", c->usage);
    buf_append_byte(out, '\n');
}

static void put_columns(struct buf *out, const struct command *c)
{
    const char *const *columns = c->columns();
    buf_append_str(out, "\n<column>\n\tone of");
    for (size_t i = 0; columns[i]; i++)
        buf_printf(out, "%s %s", i ? "," : "", columns[i]);
    buf_append_byte(out, '\n');
}

static void put_options(struct buf *out, const struct command *c)
{
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        if (!(c->options & UINT64_C(1) << i))
            continue;
        buf_append_byte(out, '\n');
        if (infos[i].letter)
            buf_printf(out, "-%c, ", infos[i].letter);
        buf_printf(out, "--%s", infos[i].name);
        if (infos[i].value)
            buf_printf(out, " <%s>", infos[i].value);
        buf_printf(out, "\n\t%s\n", infos[i].text);
    }
}

void command_put_help(struct buf *out, const struct command *c, const char *tool)
{
    buf_append_str(out, "\nUsage\n\n");
    put_usage(out, c, tool);
    buf_printf(out, "\n%s\n", c->text);
    if (c->columns || c->options)
        buf_append_str(out, "\nArguments and options\n");
    if (c->columns)
        put_columns(out, c);
    put_options(out, c);
    if (c->options & COMMAND_STOPPED)
        buf_printf(out, "\n%s\n", stopped_text);
}

void command_put_list(struct buf *out, const char *tool)
{
    const char *group = "";
    buf_printf(out,
               "\nUsage\n\n%s %s [--timeout <seconds>] [--quiet] <command> [<command options>]\n\n"
               "Available commands:\n",
               tool, general_usage(tool));
    for (size_t i = 0; command_at(i); i++) {
        const struct command *c = command_at(i);
        if (strcmp(group, c->group))
            buf_printf(out, "\n%s:\n\n", c->group);
        group = c->group;
        buf_printf(out, "   %-29s %s\n", c->name, c->text);
    }
    buf_printf(out, "\nUse '%s help <command>' to learn more about a command.\n", tool);
}

void command_put_docs(struct buf *out)
{
    const char *group = "";
    buf_append_str(out, "# Commands of jackalopectl\n");
    for (size_t i = 0; command_at(i); i++) {
        const struct command *c = command_at(i);
        if (strcmp(group, c->group))
            buf_printf(out, "\n## %s\n", c->group);
        group = c->group;
        buf_printf(out, "\n### %s\n\n    ", c->name);
        put_usage(out, c, TOOL_NAME);
        buf_printf(out, "\n%s\n", c->text);
        if (c->columns) {
            const char *const *columns = c->columns();
            buf_append_str(out, "\nColumns:");
            for (size_t k = 0; columns[k]; k++)
                buf_printf(out, "%s `%s`", k ? "," : "", columns[k]);
            buf_append_str(out, ".\n");
        }
        if (c->options & COMMAND_STOPPED)
            buf_printf(out, "\n%s\n", stopped_text);
    }
}

static void put_command_row(struct buf *out, const struct command *c)
{
    buf_printf(out, "command\t%s\t%s\t%s\t", c->name, c->group, c->usage);
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        if (c->options & UINT64_C(1) << i)
            buf_printf(out, "%s ", infos[i].name);
    }
    buf_append_byte(out, '\t');
    for (const char *const *column = c->columns ? c->columns() : NULL; column && *column; column++)
        buf_printf(out, "%s ", *column);
    buf_printf(out, "\t%s%s%s\n", c->text, c->options & COMMAND_STOPPED ? " " : "",
               c->options & COMMAND_STOPPED ? stopped_text : "");
}

void command_put_tables(struct buf *out)
{
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        char letter[2] = {infos[i].letter, '\0'};
        buf_printf(out, "option\t%s\t%s\t%s\t%s\n", infos[i].name, letter,
                   infos[i].value ? infos[i].value : "", infos[i].text);
    }
    for (size_t i = 0; command_at(i); i++)
        put_command_row(out, command_at(i));
}
