/* jackalopectl: hands its words to the daemon's control socket and prints what comes back. The
 * daemon knows the commands; see base/control.h for what is spoken. */
#include "base/clock.h"
#include "base/control.h"
#include "base/mem.h"
#include "ctl/erlang.h"
#include "ctl/link.h"
#include "ctl/offline.h"
#include "ctl/options.h"
#include "ctl/process.h"
#include "ctl/progress.h"
#include "ctl/screen.h"
#include "ctl/secret.h"
#include "ctl/table.h"
#include "ctl/transfer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { RETRY_MS = 100, STARTUP_TIMEOUT_S = 300, GOING = -1 };

struct client {
    const struct options *options;
    struct link link;
    struct table_print table;
    struct transfer transfer;
    struct progress progress;
    struct offline offline;
    long wait_pid;     /* the command is done once this process is gone */
    uint64_t began_ms; /* to wait for what comes next */
    cJSON *next;       /* commands to run when this one has ended well; NULL: none */
};

static uint64_t now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

static void sleep_ms(long ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&ts, NULL);
}

static bool is_late(const struct client *c)
{
    return c->link.deadline_ms && now_ms() >= c->link.deadline_ms;
}

/* ---- connecting ---- */

static void show_wait(struct client *c, const char *what)
{
    uint64_t now = now_ms();
    if (progress_is_due(&c->progress, now))
        progress_show(&c->progress, "waiting for %s: %" PRIu64 " s", what,
                      (now - c->began_ms) / 1000);
}

static void begin_wait(struct client *c)
{
    c->began_ms = now_ms();
}

static bool is_command(const struct client *c, const char *name)
{
    return !strcmp(c->options->words[0], name);
}

/* Until the pid file is there, and the process it names. */
static int find_process(struct client *c, uint64_t deadline, struct process_wanted *wanted)
{
    const struct options *o = c->options;
    if (wanted->file && !o->quiet)
        printf("Waiting for pid file '%s' to appear\n", wanted->file);
    while (wanted->file && !(wanted->pid = process_read_pid(wanted->file))) {
        if (now_ms() >= deadline) {
            progress_clear(&c->progress);
            fprintf(stderr, "Error:\nthe pid file %s did not appear\n", wanted->file);
            return EX_TEMPFAIL;
        }
        show_wait(c, "the pid file");
        sleep_ms(RETRY_MS);
    }
    if (wanted->pid && !o->quiet)
        printf("pid is %ld\n", wanted->pid);
    return 0;
}

static int fail_connect(struct client *c, long pid)
{
    int error = errno;
    progress_clear(&c->progress);
    if (pid && process_is_gone(pid))
        fprintf(stderr, "Error:\nprocess %ld is not running\n", pid);
    else
        fprintf(stderr, "Error: no broker answers at the control socket %s: %s\n",
                c->options->control, strerror(error));
    return EX_UNAVAILABLE;
}

static int connect_daemon(struct client *c)
{
    const struct options *o = c->options;
    struct process_wanted wanted = {NULL, 0};
    if (is_command(c, "wait"))
        wanted = process_wanted(o->words, o->count);
    bool patient = is_command(c, "await_startup") || wanted.file || wanted.pid;
    int timeout_s = o->timeout_s || !patient ? o->timeout_s : STARTUP_TIMEOUT_S;
    uint64_t deadline = timeout_s ? now_ms() + (uint64_t)timeout_s * 1000 : 0;
    begin_wait(c);
    int code = find_process(c, deadline, &wanted);
    long pid = wanted.pid;
    if (code)
        return code;
    while ((pid && process_is_gone(pid)) || link_open(&c->link, o->control) != 0) {
        if (!patient || now_ms() >= deadline || (pid && process_is_gone(pid)))
            return fail_connect(c, pid);
        show_wait(c, "the broker");
        sleep_ms(RETRY_MS);
    }
    progress_clear(&c->progress);
    c->link.deadline_ms = deadline;
    return 0;
}

static int start_offline(struct client *c)
{
    int timeout_s = c->options->timeout_s;
    int code = offline_start(&c->offline, c->options->data, &c->link);
    c->link.deadline_ms = timeout_s ? now_ms() + (uint64_t)timeout_s * 1000 : 0;
    return code;
}

static enum link_state send_json(struct client *c, cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);
    struct buf line = BUF_INIT;
    buf_printf(&line, "%s\n", text);
    enum link_state state = link_send(&c->link, buf_slice(&line));
    cJSON_free(text);
    buf_fini(&line);
    return state;
}

static enum link_state send_request(struct client *c)
{
    cJSON *request = cJSON_CreateObject(), *words = cJSON_CreateArray();
    for (size_t i = 0; i < c->options->count; i++)
        cJSON_AddItemToArray(words, cJSON_CreateString(c->options->words[i]));
    cJSON_AddNumberToObject(request, "control", CONTROL_VERSION);
    cJSON_AddItemToObject(request, "words", words);
    cJSON_AddBoolToObject(request, "json", c->options->format == FORMAT_JSON);
    cJSON_AddBoolToObject(request, "typed", c->options->format == FORMAT_ERLANG);
    cJSON_AddBoolToObject(request, "dry", c->options->dry);
    cJSON_AddStringToObject(request, "tool", c->options->tool);
    if (c->options->node)
        cJSON_AddStringToObject(request, "node", c->options->node);
    enum link_state state = send_json(c, request);
    cJSON_Delete(request);
    return state;
}

/* ---- what the daemon says ---- */

static void answer(struct client *c, const char *text)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, "answer", text ? cJSON_CreateString(text) : cJSON_CreateNull());
    (void)send_json(c, json); /* a broken link shows when the next line is read */
    cJSON_Delete(json);
}

static void answer_secret(struct client *c, const char *prompt)
{
    char *secret = secret_read(prompt);
    answer(c, secret);
    free(secret);
}

/* GOING, or the exit code of a file that cannot be read to its end. */
static int send_file(struct client *c)
{
    (void)transfer_send(&c->transfer, &c->link, &c->progress); /* the same */
    return c->transfer.problem ? EX_DATAERR : GOING;
}

/* What the daemon does not wait to be told of comes out at the end. */
static void receive_file(struct client *c, const cJSON *size)
{
    (void)transfer_receive(&c->transfer, &c->link, (size_t)size->valuedouble);
}

static int finish(struct client *c, const cJSON *exit_code, const cJSON *line)
{
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(line, "error");
    int code = exit_code->valueint;
    if (code == 0)
        table_print_end(&c->table);
    fflush(stdout);
    if (cJSON_IsString(error))
        fprintf(stderr, "%s\n", error->valuestring);
    const char *problem = code ? NULL : transfer_keep(&c->transfer);
    if (problem) {
        fprintf(stderr, "Error:\nCould not write to file %s: %s\n", c->transfer.path, problem);
        code = EX_DATAERR;
    }
    return code;
}

/* What concerns files; GOING, an exit code, or EX_PROTOCOL. */
static int on_file_line(struct client *c, const char *name, const cJSON *item)
{
    if (!strcmp(name, "read") && cJSON_IsString(item))
        answer(c, transfer_open(&c->transfer, item->valuestring, false));
    else if (!strcmp(name, "write") && cJSON_IsString(item))
        answer(c, transfer_open(&c->transfer, item->valuestring, true));
    else if (!strcmp(name, "data") && cJSON_IsNumber(item) && item->valuedouble >= 0)
        receive_file(c, item);
    else if (!strcmp(name, "send") && c->transfer.file)
        return send_file(c);
    else
        return EX_PROTOCOL;
    return GOING;
}

static void print_text(const struct client *c, const char *text)
{
    if (c->options->format == FORMAT_ERLANG)
        erlang_put_binary(stdout, text);
    else
        fputs(text, stdout);
    putchar('\n');
}

static void print_value(const struct client *c, const cJSON *value)
{
    if (c->options->format == FORMAT_ERLANG) {
        erlang_put(stdout, value);
    } else {
        char *text = cJSON_PrintUnformatted(value);
        fputs(text ? text : "", stdout);
        cJSON_free(text);
    }
    putchar('\n');
}

/* A link that breaks shows when the next line is read. */
static void show_screen(struct client *c, const cJSON *text, const cJSON *line)
{
    const cJSON *wait_ms = cJSON_GetObjectItemCaseSensitive(line, "wait_ms");
    long ms = cJSON_IsNumber(wait_ms) && wait_ms->valuedouble >= 0 ? wait_ms->valueint : 0;
    c->link.on_idle = NULL; /* it is no wait for an end */
    answer(c, screen_show(text->valuestring, ms, &c->link));
}

/* What is printed; false: it is something else. */
static bool on_output(struct client *c, const char *name, const cJSON *item)
{
    bool people =
        c->options->format != FORMAT_JSON && c->options->format != FORMAT_CSV && !c->options->quiet;
    bool text = cJSON_IsString(item);
    if (!strcmp(name, "value"))
        print_value(c, item);
    else if (!strcmp(name, "print") && text)
        print_text(c, item->valuestring);
    else if (!strcmp(name, "warning") && text)
        fprintf(stderr, "Warning: %s\n", item->valuestring);
    else if (!strcmp(name, "banner") && text && people)
        puts(item->valuestring);
    else if (!strcmp(name, "notice") && text && !c->options->silent)
        print_text(c, item->valuestring);
    else
        return text && (!strcmp(name, "banner") || !strcmp(name, "notice"));
    return true;
}

static void show_progress(struct client *c, const char *text)
{
    if (progress_is_due(&c->progress, now_ms()))
        progress_show(&c->progress, "%s", text);
}

static void add_next(struct client *c, const cJSON *words)
{
    if (!c->next)
        c->next = cJSON_CreateArray();
    cJSON_AddItemToArray(c->next, cJSON_Duplicate(words, true));
}

/* The exit code, GOING if this was not the last line, EX_PROTOCOL if it is none that is known. */
static int on_object(struct client *c, const cJSON *line)
{
    const cJSON *item = line->child;
    const char *name = item ? item->string : "";
    if (!strcmp(name, "progress") && cJSON_IsString(item)) {
        show_progress(c, item->valuestring);
        return GOING;
    }
    progress_clear(&c->progress);
    if (!strcmp(name, "show") && cJSON_IsString(item)) {
        show_screen(c, item, line);
        return GOING;
    }
    screen_end();
    if (on_output(c, name, item))
        return GOING;
    if (!strcmp(name, "next") && cJSON_IsArray(item))
        add_next(c, item);
    else if (!strcmp(name, "ask") && cJSON_IsString(item))
        answer_secret(c, item->valuestring);
    else if (!strcmp(name, "wait") && cJSON_IsNumber(item))
        c->wait_pid = (long)item->valuedouble;
    else if (!strcmp(name, "exit") && cJSON_IsNumber(item))
        return finish(c, item, line);
    else
        return on_file_line(c, name, item);
    return GOING;
}

/* Takes the line. */
static int on_line(struct client *c, cJSON *line)
{
    int code = GOING;
    if (cJSON_IsArray(line)) {
        progress_clear(&c->progress);
        return table_print_row(&c->table, line) ? GOING : EX_PROTOCOL;
    }
    if (cJSON_IsObject(line) && cJSON_GetObjectItemCaseSensitive(line, "columns"))
        return table_print_begin(&c->table, line) ? GOING : EX_PROTOCOL;
    code = cJSON_IsObject(line) ? on_object(c, line) : EX_PROTOCOL;
    cJSON_Delete(line);
    return code;
}

static int fail_late(struct client *c)
{
    progress_clear(&c->progress);
    fprintf(stderr, "Error: operation %s timed out. Timeout value used: %d\n", c->options->words[0],
            c->options->timeout_s * 1000);
    return EX_TEMPFAIL;
}

static int fail_link(struct client *c, enum link_state state)
{
    if (state == LINK_LATE)
        return fail_late(c);
    fprintf(stderr, "Error: the broker closed the control connection\n");
    return EX_UNAVAILABLE;
}

static void on_idle(void *client)
{
    struct client *c = client;
    show_wait(c, c->options->words[0]);
}

static int converse(struct client *c)
{
    enum link_state state = send_request(c);
    struct slice text;
    int code = GOING;
    bool stream = is_command(c, "trace") || is_command(c, "log_tail_stream") ||
                  is_command(c, "consume_event_stream");
    bool live = stream || isatty(STDOUT_FILENO);
    begin_wait(c);
    if (c->progress.on && !stream) {
        c->link.on_idle = on_idle;
        c->link.arg = c;
    }
    while (state == LINK_OK && code == GOING) {
        state = link_receive(&c->link, &text);
        if (state == LINK_OK) {
            code = on_line(c, cJSON_ParseWithLength((const char *)text.data, text.len));
            if (live)
                fflush(stdout);
        }
    }
    screen_end();
    if (code == EX_PROTOCOL && state == LINK_OK)
        fprintf(stderr, "Error: the broker sent a line that this client does not know\n");
    if (code == GOING && state == LINK_ENDED && c->wait_pid)
        return 0;
    return code == GOING ? fail_link(c, state) : code;
}

/* ---- the end of the daemon ---- */

static int wait_until_gone(struct client *c)
{
    begin_wait(c);
    while (!process_is_gone(c->wait_pid)) {
        if (is_late(c))
            return fail_late(c);
        show_wait(c, "the broker's process to end");
        sleep_ms(RETRY_MS / 4);
    }
    progress_clear(&c->progress);
    return 0;
}

static int run(struct client *c);

/* Another command of the same client. */
static int run_next(const struct client *c, const cJSON *words)
{
    struct options options = *c->options;
    const cJSON *word;
    int code = EX_PROTOCOL;
    options.words = mem_zalloc(((size_t)cJSON_GetArraySize(words) + 1) * sizeof *options.words);
    options.count = 0;
    cJSON_ArrayForEach(word, words)
    {
        if (cJSON_IsString(word))
            options.words[options.count++] = word->valuestring;
    }
    struct client next = {.options = &options};
    if (options.count) {
        if (!options.quiet && options.format <= FORMAT_PRETTY_TABLE)
            putchar('\n');
        code = run(&next);
        fflush(stdout);
    }
    free(options.words);
    return code;
}

/* All of them, also when one fails; the code of the last that did. */
static int run_all_next(const struct client *c)
{
    const cJSON *words;
    int code = 0;
    cJSON_ArrayForEach(words, c->next)
    {
        int one = run_next(c, words);
        code = one ? one : code;
    }
    return code;
}

static int run(struct client *c)
{
    progress_init(&c->progress, !c->options->quiet);
    int code = c->options->offline ? start_offline(c) : connect_daemon(c);
    if (code)
        return code;
    table_print_init(&c->table, stdout, c->options);
    transfer_init(&c->transfer);
    code = converse(c);
    table_print_fini(&c->table);
    transfer_fini(&c->transfer);
    link_close(&c->link);
    offline_stop(&c->offline);
    if (!code && c->wait_pid)
        code = wait_until_gone(c);
    if (!code)
        code = run_all_next(c);
    cJSON_Delete(c->next);
    return code;
}

int main(int argc, char **argv)
{
    struct options options;
    struct buf problem = BUF_INIT;
    int code = EX_USAGE;
    if (!options_parse(&options, argc, argv, &problem)) {
        fprintf(stderr, "Error (argument validation): %s\n", buf_cstr(&problem));
    } else if (options.version) {
        puts(PACKAGE_VERSION);
        code = 0;
    } else {
        struct client client = {.options = &options};
        code = run(&client);
    }
    if ((fflush(stdout) != 0 || ferror(stdout)) && !code) {
        fputs("Error: the output could not be written\n", stderr);
        code = EX_IOERR;
    }
    options_fini(&options);
    buf_fini(&problem);
    return code;
}
