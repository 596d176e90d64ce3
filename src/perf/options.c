/* Parsing of the command line from the table below. No state beyond the struct filled. */
#include "perf/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum kind {
    KIND_NUMBER,
    KIND_TIME,
    KIND_FLAG,
    KIND_TEXT,
    KIND_SIZE,
    KIND_RANGE,
    KIND_TYPE,
    KIND_URI,
    KIND_PIDS,
    KIND_ARG,
    KIND_HELP
};

#define C(name)    (1U << COMMAND_##name)
#define C_FLOW     (C(RUN) | C(LATENCY) | C(TX))
#define C_MESSAGES (C_FLOW | C(BACKLOG) | C(GET))
#define C_CLIENT   (C_MESSAGES | C(CHURN) | C(IDLE) | C(QUEUES))
#define C_ALL      (C_CLIENT | C(SINK))

struct option_row {
    const char *name;
    char letter;
    enum kind kind;
    const char *metavar;
    uint32_t commands;
    size_t offset;
    uint64_t min;
    uint64_t max;
    const char *help;
};

#define AT(member) offsetof(struct options, member)
#define MANY       UINT64_C(1000000000000)

static const struct option_row rows[] = {
    {"uri", 'u', KIND_URI, "URI", C_CLIENT, 0, 0, 0,
     "amqp://user:password@host:port/vhost (default amqp://guest:guest@127.0.0.1:5672/) or "
     "unix:/path; with user or vhost: amqp://user:password@/vhost?socket=/path"},
    {"producers", 'p', KIND_NUMBER, "N", C_MESSAGES, AT(producers), 0, 65535,
     "publishing connections (default 1; 0: only consume)"},
    {"consumers", 'c', KIND_NUMBER, "N", C_MESSAGES, AT(consumers), 0, 65535,
     "consuming or getting connections (default 1; 0: only publish). Fewer than queues: each "
     "takes several queues; more: several share a queue"},
    {"queues", 'q', KIND_NUMBER, "N", C_MESSAGES | C(QUEUES), AT(queues), 1, 10000000,
     "queues; messages go round them (default 1; queues: 10000)"},
    {"pin", 0, KIND_FLAG, NULL, C_FLOW | C(BACKLOG), AT(pin), 0, 0,
     "producer i publishes to queue i mod N only, instead of to all in turn"},
    {"size", 's', KIND_SIZE, "N[-M]", C_MESSAGES | C(CHURN), 0, 0, 0,
     "octets of a body, at least 16 (default 100); a range gives evenly mixed sizes"},
    {"rate", 'r', KIND_NUMBER, "N", C_FLOW, AT(rate), 0, MANY,
     "messages a second over all producers (default 0: flat out; latency: 10000)"},
    {"duration", 'd', KIND_TIME, "TIME", C_FLOW | C(CHURN) | C(GET), AT(duration), 0, 0,
     "measure for this long (default 10s); units ms, s, m"},
    {"count", 'n', KIND_NUMBER, "N", C_MESSAGES | C(CHURN), AT(count), 0, MANY,
     "do this many messages (or connections) instead of a duration; k and M are understood "
     "(backlog: 1M, get: 20k)"},
    {"warmup", 'w', KIND_TIME, "TIME", C_FLOW, AT(warmup), 0, 0,
     "run this long before measuring (default 0)"},
    {"drain", 0, KIND_TIME, "TIME", C_MESSAGES, AT(drain), 0, 0,
     "after the last publish wait at most this long for what is still missing (default 30s)"},
    {"inflight", 0, KIND_NUMBER, "N", C_FLOW, AT(inflight), 0, MANY,
     "publish only while fewer than N deliveries are outstanding over all (default 0: no bound)"},
    {"confirm", 0, KIND_NUMBER, "N", C_FLOW | C(BACKLOG) | C(GET), AT(confirm), 0, 1 << 24,
     "publisher confirms with a window of N messages a producer (default 0: off)"},
    {"tx", 0, KIND_NUMBER, "N", C_FLOW, AT(tx), 0, 1 << 24,
     "transactions of N publishes (default 0: off; tx: 100)"},
    {"prefetch", 0, KIND_NUMBER, "N", C_FLOW | C(BACKLOG), AT(prefetch), 0, 65535,
     "basic.qos prefetch count (default 0: no limit)"},
    {"ack", 'a', KIND_NUMBER, "N", C_MESSAGES, AT(ack), 0, 65535,
     "acknowledge every N deliveries with multiple set (default 0: auto-ack)"},
    {"pipeline", 'k', KIND_NUMBER, "K", C(GET) | C(QUEUES), AT(pipeline), 1, 1 << 20,
     "requests under way on a connection (default 1; queues: 1000)"},
    {"type", 't', KIND_TYPE, "TYPE", C_FLOW | C(BACKLOG), 0, 0, 0,
     "default, direct, fanout, topic or headers (default: the default exchange)"},
    {"bindings", 'b', KIND_NUMBER, "N", C_FLOW | C(BACKLOG), AT(bindings), 1, 10000000,
     "topic and headers: bindings, spread over the queues (default 10)"},
    {"match", 0, KIND_NUMBER, "N", C_FLOW | C(BACKLOG), AT(match), 1, 4,
     "topic and headers: how many of the bindings a message matches, 1 to 4 (default 2)"},
    {"persistent", 0, KIND_FLAG, NULL, C_MESSAGES | C(CHURN), AT(persistent), 0, 0,
     "publish with delivery-mode 2"},
    {"durable", 0, KIND_FLAG, NULL, C_MESSAGES | C(CHURN) | C(QUEUES), AT(durable), 0, 0,
     "declare durable queues (and exchange)"},
    {"mandatory", 0, KIND_FLAG, NULL, C_FLOW | C(BACKLOG), AT(mandatory), 0, 0,
     "publish with mandatory set; returned messages are counted"},
    {"queue-arg", 0, KIND_ARG, "KEY=VALUE", C_MESSAGES | C(CHURN) | C(QUEUES), 0, 0, 0,
     "an argument of queue.declare, e.g. x-queue-type=quorum; a number is sent as a long; of a "
     "stream every consumer gets everything, from the first message on"},
    {"priorities", 0, KIND_NUMBER, "N", C_FLOW | C(BACKLOG), AT(priorities), 0, 256,
     "messages have the priorities 0 to N-1 in turn (default 0: none)"},
    {"expiration", 0, KIND_RANGE, "MS[-MS]", C_FLOW, AT(expiration), 0, 0,
     "messages expire after so many milliseconds, or any number of a range; the latency counts "
     "from "
     "that moment"},
    {"delay", 0, KIND_RANGE, "MS[-MS]", C_FLOW, AT(delay), 0, 0,
     "messages go through an exchange of type x-delayed-message that keeps them so many "
     "milliseconds, or any number of a range; the latency counts from that moment"},
    {"dead-letters", 0, KIND_FLAG, NULL, C_FLOW, AT(dead_letters), 0, 0,
     "consumers take the dead letters of the queues instead of what is in them"},
    {"prefix", 0, KIND_TEXT, "NAME", C_MESSAGES | C(CHURN) | C(QUEUES), AT(prefix), 0, 0,
     "names: queues are NAME.0, NAME.1, ..., the exchange is NAME (default: one of its own)"},
    {"no-declare", 0, KIND_FLAG, NULL, C_FLOW | C(BACKLOG) | C(GET), AT(no_declare), 0, 0,
     "use queues and exchange that exist; implies --keep"},
    {"keep", 0, KIND_FLAG, NULL, C_MESSAGES | C(CHURN) | C(QUEUES), AT(keep), 0, 0,
     "do not delete queues and exchange at the end"},
    {"connections", 'n', KIND_NUMBER, "N", C(IDLE), AT(connections), 1, 10000000,
     "connections to hold, with one channel each (default 1000)"},
    {"parallel", 'k', KIND_NUMBER, "K", C(CHURN) | C(IDLE), AT(parallel), 1, 65536,
     "connections being made at one time (default 16; idle: 64)"},
    {"hold", 0, KIND_TIME, "TIME", C(IDLE) | C(QUEUES), AT(hold), 0, 0,
     "wait this long before each reading of the RSS (default 2s)"},
    {"threads", 'T', KIND_NUMBER, "N", C_MESSAGES | C(CHURN), AT(threads), 1, 256,
     "threads that carry the load (default 1); connections are dealt to them in turn"},
    {"listen", 'l', KIND_TEXT, "ADDRESS", C(SINK), AT(listen), 0, 0,
     "address:port or unix:/path (default 127.0.0.1:5672)"},
    {"sync", 0, KIND_TEXT, "FILE", C(SINK), AT(sync), 0, 0,
     "confirms, commits and declares are answered when as many octets as came are in this file and "
     "it was synced (default: nothing is written)"},
    {"pid", 0, KIND_PIDS, "PID[,PID...]", C_CLIENT, 0, 0, 0,
     "the broker's processes: adds its CPU time a message and its RSS; anon_ is what of that is "
     "its own memory, not pages of files"},
    {"json", 'j', KIND_FLAG, NULL, C_CLIENT, AT(json), 0, 0,
     "one JSON object on standard output instead of the summary"},
    {"quiet", 0, KIND_FLAG, NULL, C_ALL, AT(quiet), 0, 0, "no progress line"},
    {"help", 'h', KIND_HELP, NULL, C_ALL, 0, 0, 0, "this text"},
};

enum { NROWS = sizeof rows / sizeof rows[0], HELP_INDENT = 29, HELP_COLUMNS = 100 };

static const struct {
    const char *name;
    const char *summary;
    const char *more;
} commands[COMMAND_COUNT] = {
    [COMMAND_RUN] =
        {"run", "publish and consume, flat out or at a rate",
         "Topic: each message matches --match of the N bindings, which carry wildcards; its\n"
         "key is one of N/match that are used in turn. Headers: alike, by header values.\n"
         "Flat out a time stamp is taken once for each write; at a rate it is the moment at\n"
         "which the message was due, so that a stalled broker is seen in full.\n"},
    [COMMAND_LATENCY] =
        {"latency", "run at a fixed rate (10,000/s) and show the percentiles",
         "Measured from the moment a message was due, not from when it could be sent.\n"},
    [COMMAND_TX] = {"tx", "publish in transactions",
                    "Each producer waits for tx.commit-ok before it goes on.\n"},
    [COMMAND_BACKLOG] =
        {"backlog", "fill queues, then consume them empty; both rates",
         "Filling ends when the broker has answered a request that follows the last message.\n"},
    [COMMAND_GET] = {"get", "fetch with basic.get, K at a time",
                     "Fills the queues first; only the getting is measured.\n"},
    [COMMAND_CHURN] = {"churn", "connect, open a channel, publish, close; K at a time",
                       "Each step waits for its reply as common clients do.\n"},
    [COMMAND_IDLE] = {"idle", "hold N connections; with --pid the memory each takes",
                      "RSS is read before, with all open, and after they closed.\n"},
    [COMMAND_QUEUES] =
        {"queues", "declare and delete N queues; with --pid the memory each takes",
         "Up to K requests (--pipeline) are under way; the latency is from a declare to its\n"
         "declare-ok. With --durable each is on the broker's disk by then.\n"},
    [COMMAND_SINK] =
        {"sink", "a server that does the least conceivable work: the machine's floor",
         "Hands every message to the queue's consumers, or keeps it until there is one. Every\n"
         "exchange is a fan-out, every prefetch unlimited, acks are not looked at, confirms\n"
         "come at once. One thread. For measurements only: no rights, no limits.\n"},
};

static const char *const types[] = {"default", "direct", "fanout", "topic", "headers"};

const char *options_command_name(enum command command)
{
    return commands[command].name;
}

const char *options_type_name(enum exchange_type type)
{
    return types[type];
}

static void print_help(void)
{
    printf("Usage: jackalope-perf COMMAND [OPTION...]\n"
           "Generates load for an AMQP 0-9-1 broker, measures it and verifies what arrives.\n\n"
           "Commands (each has its own --help):\n");
    for (int i = 0; i < COMMAND_COUNT; i++)
        printf("  %-9s %s\n", commands[i].name, commands[i].summary);
    printf(
        "\nEvery body begins with 16 octets, big-endian: 2 producer number, 6 sequence number of "
        "that\n"
        "producer, 2 run id, 6 time stamp (monotonic clock, ns). From these come order, loss and\n"
        "duplicates for each pair of producer and queue, and the latency. The rest is filler.\n"
        "\nThe summary goes to standard output (--json: one object), progress and errors to "
        "standard\n"
        "error. SIGINT ends a run early with its summary; a second one at once.\n"
        "\nExit codes: 0 done and verified; %d usage; %d messages lost, doubled or out of order;\n"
        "%d broker unreachable, gone or unwilling; %d system error; %d no answer in time; %d "
        "protocol\n"
        "error; %d access refused.\n"
        "\nExamples:\n"
        "  jackalope-perf run --pid $(pidof jackaloped)            one producer, one consumer, 100 "
        "B\n"
        "  jackalope-perf run -p 4 -c 4 -q 4 --pin -T 2            four separate flows\n"
        "  jackalope-perf run -t fanout -q 100                     fan-out to 100 queues\n"
        "  jackalope-perf run -t topic -b 10000                    a topic exchange with 10,000 "
        "bindings\n"
        "  jackalope-perf run --confirm 1000 --prefetch 1000 -a 100\n"
        "  jackalope-perf latency -r 10000 -d 30s --json\n"
        "  jackalope-perf get -k 32 -n 1M\n"
        "  jackalope-perf queues --durable -k 1 -q 5000            durable declares, one at a "
        "time\n"
        "  jackalope-perf run --durable --persistent --confirm 1   a sync of the disk for each "
        "message\n",
        EX_USAGE, EX_DATAERR, EX_UNAVAILABLE, EX_OSERR, EX_TEMPFAIL, EX_PROTOCOL, EX_NOPERM);
}

/* Words up to the last column, from HELP_INDENT on. */
static void print_wrapped(const char *text)
{
    int column = HELP_INDENT;

    while (*text != '\0') {
        int n = (int)strcspn(text, " ");
        if (column > HELP_INDENT && column + 1 + n > HELP_COLUMNS) {
            printf("\n%*s", HELP_INDENT, "");
            column = HELP_INDENT;
        } else if (column > HELP_INDENT) {
            putchar(' ');
            column++;
        }
        printf("%.*s", n, text);
        column += n;
        text += n + (text[n] == ' ');
    }
}

static void print_command_help(enum command command)
{
    printf("Usage: jackalope-perf %s [OPTION...]\n%s.\n%s\n", commands[command].name,
           commands[command].summary, commands[command].more);
    for (int i = 0; i < NROWS; i++) {
        if ((rows[i].commands & 1U << command) == 0)
            continue;
        char head[64];
        char letter[8] = "    ";
        if (rows[i].letter != 0)
            snprintf(letter, sizeof letter, "-%c, ", rows[i].letter);
        snprintf(head, sizeof head, "  %s--%s%s%s", letter, rows[i].name,
                 rows[i].metavar != NULL ? " " : "",
                 rows[i].metavar != NULL ? rows[i].metavar : "");
        printf("%-*s", HELP_INDENT, head);
        print_wrapped(rows[i].help);
        putchar('\n');
    }
}

/* The tables for programs, fields parted by tabs: option COMMANDS NAME LETTER VALUE TEXT, and
 * command NAME SUMMARY TEXT. */
static void print_tables(void)
{
    for (int i = 0; i < NROWS; i++) {
        printf("option\t");
        for (int k = 0; k < COMMAND_COUNT; k++)
            if ((rows[i].commands & 1U << k) != 0)
                printf("%s ", commands[k].name);
        printf("\t%s\t%.*s\t%s\t%s\n", rows[i].name, rows[i].letter != 0,
               (char[]){rows[i].letter, '\0'}, rows[i].metavar != NULL ? rows[i].metavar : "",
               rows[i].help);
    }
    for (int k = 0; k < COMMAND_COUNT; k++) {
        printf("command\t%s\t%s\t", commands[k].name, commands[k].summary);
        for (const char *s = commands[k].more; *s != '\0'; s++)
            putchar(*s == '\n' ? ' ' : *s);
        putchar('\n');
    }
}

static bool parse_number(const char *text, uint64_t *ret_)
{
    char *end;

    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    double v = strtod(text, &end);
    if (*end == 'k' || *end == 'K')
        v *= 1e3, end++;
    else if (*end == 'M')
        v *= 1e6, end++;
    else if (*end == 'G')
        v *= 1e9, end++;
    if (end[0] == 'i' && end != text) {
        static const struct {
            char unit;
            double factor;
        } binary[] = {{'k', 1.024}, {'K', 1.024}, {'M', 1.048576}, {'G', 1.073741824}};
        bool known = false;
        for (int i = 0; i < 4; i++)
            if (end[-1] == binary[i].unit)
                v *= binary[i].factor, known = true;
        if (!known)
            return false;
        end++;
    }
    if (errno != 0 || *end != '\0' || v < 0 || v > 1e18)
        return false;
    *ret_ = (uint64_t)(v + 0.5);
    return true;
}

static bool parse_time(const char *text, double *ret_)
{
    char *end;

    if (!isdigit((unsigned char)text[0]) && text[0] != '.')
        return false;
    double v = strtod(text, &end);
    if (strcmp(end, "ms") == 0)
        v /= 1e3;
    else if (strcmp(end, "m") == 0)
        v *= 60;
    else if (*end != '\0' && strcmp(end, "s") != 0)
        return false;
    if (v > 1e6)
        return false;
    *ret_ = v;
    return true;
}

static bool parse_size(struct options *o, const char *text)
{
    char low[32];
    const char *dash = strchr(text, '-');
    size_t n = dash != NULL ? (size_t)(dash - text) : strlen(text);

    if (n >= sizeof low)
        return false;
    memcpy(low, text, n);
    low[n] = '\0';
    if (!parse_number(low, &o->size_min))
        return false;
    o->size_max = o->size_min;
    if (dash != NULL && !parse_number(dash + 1, &o->size_max))
        return false;
    return o->size_min >= 16 && o->size_max >= o->size_min && o->size_max <= 128U << 20;
}

static bool parse_range(struct ms_range *r, const char *text)
{
    char *end;

    if (!isdigit((unsigned char)text[0]))
        return false;
    r->min = r->max = strtoull(text, &end, 10);
    if (*end == '-' && isdigit((unsigned char)end[1]))
        r->max = strtoull(end + 1, &end, 10);
    return *end == '\0' && r->min <= r->max && r->max > 0 && r->max <= 1000000000;
}

static bool parse_pids(struct options *o, const char *text)
{
    o->npids = 0;
    while (o->npids < OPTION_PIDS_MAX) {
        char *end;
        long pid = strtol(text, &end, 10);
        if (end == text || pid <= 0 || pid > INT32_MAX)
            return false;
        o->pids[o->npids++] = (int)pid;
        if (*end == '\0')
            return true;
        if (*end != ',' && *end != ' ')
            return false;
        text = end + 1;
    }
    return false;
}

static bool parse_type(struct options *o, const char *text)
{
    for (unsigned i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i], text) == 0) {
            o->type = (enum exchange_type)i;
            return true;
        }
    }
    return false;
}

static bool parse_arg(struct options *o, const char *text)
{
    const char *eq = strchr(text, '=');

    if (eq == NULL || eq == text || o->nqueue_args == OPTION_ARGS_MAX)
        return false;
    o->queue_args[o->nqueue_args++] = text;
    return true;
}

/* Stores one value; a reason if it does not fit. */
static const char *set_value(struct options *o, const struct option_row *row, const char *text)
{
    static char why[160];
    char *at = (char *)o + row->offset;
    uint64_t n;

    switch (row->kind) {
    case KIND_NUMBER:
        if (!parse_number(text, &n) || n < row->min || n > row->max) {
            snprintf(why, sizeof why, "a number from %llu to %llu", (unsigned long long)row->min,
                     (unsigned long long)row->max);
            return why;
        }
        memcpy(at, &n, sizeof n);
        return NULL;
    case KIND_TIME:
        if (row->offset == AT(duration))
            o->duration_set = true;
        return parse_time(text, (double *)(void *)at) ? NULL : "a time such as 10s, 500ms or 2m";
    case KIND_FLAG:
        *at = 1;
        return NULL;
    case KIND_TEXT:
        memcpy(at, &text, sizeof text);
        return NULL;
    case KIND_SIZE:
        return parse_size(o, text) ? NULL : "a size or a range of sizes, from 16 to 128Mi";
    case KIND_RANGE:
        return parse_range((struct ms_range *)(void *)at, text) ? NULL
                                                                : "milliseconds or a range of them";
    case KIND_TYPE:
        return parse_type(o, text) ? NULL : "default, direct, fanout, topic or headers";
    case KIND_PIDS:
        return parse_pids(o, text) ? NULL : "process ids with commas between";
    case KIND_ARG:
        return parse_arg(o, text) ? NULL : "KEY=VALUE, at most 16 times";
    default: {
        const char *reason = NULL;
        return uri_parse(&o->uri, text, &reason) ? NULL : reason;
    }
    }
}

static void set_defaults(struct options *o, enum command command)
{
    const char *why;

    *o = (struct options){
        .command = command,
        .producers = 1,
        .consumers = 1,
        .queues = command == COMMAND_QUEUES ? 10000 : 1,
        .connections = 1000,
        .parallel = command == COMMAND_IDLE ? 64 : 16,
        .threads = 1,
        .size_min = 100,
        .size_max = 100,
        .duration = 10,
        .drain = 30,
        .hold = 2,
        .pipeline = command == COMMAND_QUEUES ? 1000 : 1,
        .bindings = 10,
        .match = 2,
        .rate = command == COMMAND_LATENCY ? 10000 : 0,
        .tx = command == COMMAND_TX ? 100 : 0,
        .count = command == COMMAND_BACKLOG ? 1000000
                 : command == COMMAND_GET   ? 20000
                                            : 0,
        .listen = "127.0.0.1:5672",
    };
    uri_parse(&o->uri, "amqp://", &why);
}

/* Streams are durable, and their consumers acknowledge within a prefetch; they begin at the first
 * message. */
static void set_stream(struct options *o)
{
    for (uint32_t i = 0; i < o->nqueue_args; i++)
        o->stream |= strcmp(o->queue_args[i], "x-queue-type=stream") == 0;
    if (!o->stream)
        return;
    o->durable = true;
    if (o->prefetch == 0)
        o->prefetch = o->ack > 0 ? 10 * o->ack : 2000;
    if (o->prefetch > UINT16_MAX)
        o->prefetch = UINT16_MAX;
    if (o->ack == 0)
        o->ack = (o->prefetch + 9) / 10;
}

/* What the table can't say about how long and how much. */
static const char *check_load(const struct options *o)
{
    if (o->count > 0 && o->warmup > 0)
        return "--warmup goes with --duration, not with --count";
    if (o->command <= COMMAND_TX && o->count == 0 && o->duration <= 0)
        return "--duration must be more than 0";
    if (o->producers == 0 && o->consumers == 0)
        return "no producers and no consumers";
    if ((o->command == COMMAND_BACKLOG || o->command == COMMAND_GET) &&
        (o->producers == 0 || o->consumers == 0 || o->count == 0))
        return "this command needs producers, consumers and a count";
    if (o->command == COMMAND_LATENCY && o->rate == 0)
        return "--rate must be more than 0";
    if (o->confirm > 0 && o->tx > 0)
        return "--confirm and --tx exclude each other";
    if (o->prefetch > 0 && o->ack > o->prefetch)
        return "--ack may not be more than --prefetch: the consumer would wait for ever";
    if (o->inflight > 0 && o->consumers == 0)
        return "--inflight needs consumers";
    return NULL;
}

static const char *check_stream(const struct options *o)
{
    if (!o->stream)
        return NULL;
    if (o->command == COMMAND_GET || o->dead_letters)
        return "a stream has neither basic.get nor dead letters";
    if (o->consumers > o->queues && o->consumers % o->queues != 0)
        return "--consumers of streams, if more than --queues, must be a multiple";
    return NULL;
}

/* What the table can't say about exchanges, queues and their names. */
static const char *check_topology(const struct options *o)
{
    bool matching = o->type == EXCHANGE_TOPIC || o->type == EXCHANGE_HEADERS;

    if (o->delay.max > 0 && (o->expiration.max > 0 || o->no_declare || o->type == EXCHANGE_HEADERS))
        return "--delay goes neither with --expiration, --no-declare nor the headers exchange";
    if (o->pin && o->type != EXCHANGE_DEFAULT && o->type != EXCHANGE_DIRECT)
        return "--pin goes with the default and the direct exchange";
    if (matching && o->bindings < o->match)
        return "--match is more than --bindings";
    if (matching && o->queues % o->match != 0 && o->match % o->queues != 0)
        return "--queues must be a multiple or a divisor of --match";
    if (matching && o->queues > o->bindings)
        return "--queues is more than --bindings";
    if (o->no_declare && o->prefix == NULL)
        return "--no-declare needs --prefix";
    if (o->prefix != NULL && (strlen(o->prefix) > 200 || o->prefix[0] == '\0'))
        return "--prefix must be 1 to 200 octets long";
    return NULL;
}

__attribute__((format(printf, 2, 3))) static int usage_error(const char *command, const char *fmt,
                                                             ...)
{
    va_list ap;

    fprintf(stderr, "jackalope-perf: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nTry: jackalope-perf %s%s--help\n", command, command[0] != '\0' ? " " : "");
    return EX_USAGE;
}

static const struct option_row *row_of(enum command command, int letter, int index)
{
    if (letter == 0)
        return &rows[index];
    for (int i = 0; i < NROWS; i++)
        if (rows[i].letter == letter && (rows[i].commands & 1U << command) != 0)
            return &rows[i];
    return NULL;
}

static int parse_options(struct options *o, int argc, char **argv)
{
    struct option longs[NROWS + 1] = {0};
    char shorts[2 * NROWS + 2] = ":";
    int nlongs = 0;
    int at[NROWS];
    const char *command = commands[o->command].name;

    for (int i = 0; i < NROWS; i++) {
        if ((rows[i].commands & 1U << o->command) == 0)
            continue;
        bool takes = rows[i].metavar != NULL;
        at[nlongs] = i;
        longs[nlongs++] = (struct option){rows[i].name, takes, NULL, 0};
        if (rows[i].letter != 0) {
            size_t n = strlen(shorts);
            shorts[n++] = rows[i].letter;
            shorts[n++] = takes ? ':' : '\0';
            shorts[n] = '\0';
        }
    }

    int index = 0;
    int c;
    opterr = 0;
    while ((c = getopt_long(argc, argv, shorts, longs, &index)) != -1) {
        if (c == ':')
            return usage_error(command, "%s needs a value", argv[optind - 1]);
        const struct option_row *row =
            c == '?' ? NULL : row_of(o->command, c, c == 0 ? at[index] : 0);
        if (row == NULL)
            return usage_error(command, "%s is not an option of %s", argv[optind - 1], command);
        if (row->kind == KIND_HELP) {
            print_command_help(o->command);
            return EX_OK;
        }
        const char *why = set_value(o, row, optarg);
        if (why != NULL)
            return usage_error(command, "--%s: %s", row->name, why);
    }
    if (optind < argc)
        return usage_error(command, "%s is one word too many", argv[optind]);
    return -1;
}

int options_parse(struct options *o, int argc, char **argv)
{
    if (argc < 2)
        return usage_error("", "a command is missing");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help();
        return EX_OK;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("jackalope-perf %s\n", PACKAGE_VERSION);
        return EX_OK;
    }
    if (strcmp(argv[1], "--dump-tables") == 0) {
        print_tables();
        return EX_OK;
    }
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        set_defaults(o, (enum command)i);
        int rc = parse_options(o, argc - 1, argv + 1);
        if (rc >= 0)
            return rc;
        if (o->no_declare)
            o->keep = true;
        set_stream(o);
        if (o->delay.max > 0 && o->type == EXCHANGE_DEFAULT)
            o->type = EXCHANGE_DIRECT;
        const char *why = check_load(o);
        if (why == NULL)
            why = check_topology(o);
        if (why == NULL)
            why = check_stream(o);
        return why == NULL ? -1 : usage_error(commands[i].name, "%s", why);
    }
    return usage_error("", "%s is not a command", argv[1]);
}
