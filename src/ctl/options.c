/* Switches of the client, anywhere on the command line until "--". */
#include "ctl/options.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct reader {
    struct options *options;
    char **argv;
    int argc, at;
    bool help;
    struct buf *problem;
};

static bool set_format(struct reader *r, const char *value)
{
    static const char *const names[] = {[FORMAT_TABLE] = "table",
                                        [FORMAT_PRETTY_TABLE] = "pretty_table",
                                        [FORMAT_JSON] = "json",
                                        [FORMAT_CSV] = "csv",
                                        [FORMAT_ERLANG] = "erlang"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (!strcmp(names[i], value)) {
            r->options->format = (enum format)i;
            r->options->has_format = true;
            return true;
        }
    }
    buf_printf(r->problem,
               "there is no formatter %s; table, pretty_table, json, csv and erlang are", value);
    return false;
}

static bool set_timeout(struct reader *r, const char *value)
{
    char *end;
    long n = strtol(value, &end, 10);
    bool infinity = !strcmp(value, "infinity");
    if (!infinity && (!*value || *end || n < 0 || n > 1000000)) {
        buf_printf(r->problem, "--timeout takes a number of seconds, not %s", value);
        return false;
    }
    r->options->timeout_s = infinity ? 0 : (int)n;
    return true;
}

static bool set_control(struct reader *r, const char *value)
{
    r->options->control = value;
    return true;
}

static bool set_data(struct reader *r, const char *value)
{
    r->options->data = value;
    r->options->offline = true;
    return true;
}

static bool set_node(struct reader *r, const char *value)
{
    r->options->node = value;
    return true;
}

static bool set_flag(struct reader *r, const char *name)
{
    struct options *o = r->options;
    if (!strcmp(name, "-q") || !strcmp(name, "--quiet"))
        o->quiet = true;
    else if (!strcmp(name, "-s") || !strcmp(name, "--silent"))
        o->quiet = o->silent = o->no_headers = true;
    else if (!strcmp(name, "--no-table-headers"))
        o->no_headers = true;
    else if (!strcmp(name, "--help") || !strcmp(name, "-?"))
        r->help = true;
    else if (!strcmp(name, "--dry-run"))
        o->dry = true;
    else if (!strcmp(name, "--version"))
        o->version = true;
    else if (!strcmp(name, "--offline") && !o->count) /* behind a command it is the command's */
        o->offline = true;
    else
        return !strcmp(name, "-l") || !strcmp(name, "--longnames");
    return true;
}

static const struct {
    const char *letter, *name;
    bool (*set)(struct reader *r, const char *value);
} with_value[] = {{"-n", "--node", set_node},
                  {"-t", "--timeout", set_timeout},
                  {"-C", "--control", set_control},
                  {"", "--data", set_data},
                  {"", "--formatter", set_format}};

/* The value of a switch, NULL if word is not this switch or has none. */
static const char *value_of(struct reader *r, const char *word, size_t which)
{
    size_t length = strlen(with_value[which].name);
    if (!strncmp(word, with_value[which].name, length) && word[length] == '=')
        return word + length + 1;
    if (strcmp(word, with_value[which].name) != 0 && strcmp(word, with_value[which].letter) != 0)
        return NULL;
    if (r->at + 1 < r->argc)
        return r->argv[++r->at];
    buf_printf(r->problem, "%s takes a value", word);
    return NULL;
}

static bool read_word(struct reader *r)
{
    const char *word = r->argv[r->at];
    for (size_t i = 0; *word == '-' && i < sizeof with_value / sizeof *with_value; i++) {
        const char *value = value_of(r, word, i);
        if (value)
            return with_value[i].set(r, value);
        if (r->problem->len)
            return false;
    }
    if (*word != '-' || !set_flag(r, word))
        r->options->words[r->options->count++] = word;
    return true;
}

static void ask_for_help(struct options *o)
{
    const char *command = o->count ? o->words[0] : NULL;
    o->count = 0;
    o->words[o->count++] = "help";
    if (command && strcmp(command, "help") != 0)
        o->words[o->count++] = command;
}

bool options_parse(struct options *options, int argc, char **argv, struct buf *problem)
{
    struct reader r = {.options = options, .argv = argv, .argc = argc, .at = 1, .problem = problem};
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *control = getenv("JACKALOPE_CONTROL");
    *options = (struct options){.control = control && *control ? control : CONTROL_SOCKET_PATH,
                                .data = DATA_DIRECTORY_PATH};
    options->tool = slash ? slash + 1 : argc > 0 ? argv[0] : "jackalopectl";
    options->words = mem_alloc(((size_t)argc + 2) * sizeof *options->words);
    for (; r.at < argc && strcmp(argv[r.at], "--") != 0; r.at++) {
        if (!read_word(&r))
            return false;
    }
    for (; r.at < argc; r.at++)
        options->words[options->count++] = argv[r.at];
    if (r.help)
        ask_for_help(options);
    if (!options->count)
        options->words[options->count++] = "--";
    return true;
}

void options_fini(struct options *options)
{
    free(options->words);
    options->words = NULL;
}
