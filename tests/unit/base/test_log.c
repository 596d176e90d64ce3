#include "base/log.h"
#include "unit.h"

#include "base/buf.h"

#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char file[64];

/* The log goes to a file of this test; slurp() reads what it holds. */
static void open_log(enum log_format format)
{
    const char *error = "";
    snprintf(file, sizeof file, "/tmp/test_log.XXXXXX");
    int fd = mkstemp(file);
    cr_assert_geq(fd, 0);
    close(fd);
    cr_assert(log_open(LOG_OUTPUT_FILE, format, file, &error), "%s", error);
}

static void slurp(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "r");
    cr_assert_not_null(f);
    for (int c; (c = fgetc(f)) != EOF;)
        buf_append_byte(out, (uint8_t)c);
    fclose(f);
}

static void close_log(void)
{
    log_close();
    unlink(file);
}

static void assert_matches(const char *text, const char *pattern)
{
    regex_t re;
    cr_assert_eq(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    int no = regexec(&re, text, 0, NULL, 0);
    regfree(&re);
    cr_assert(!no, "'%s' does not match %s", text, pattern);
}

UNIT(log, text_line_with_context)
{
    struct buf out = BUF_INIT;
    struct log_context connection = {NULL, "connection", "127.0.0.1:1 -> 127.0.0.1:2"};
    struct log_context channel = {&connection, "channel", "7"};
    open_log(LOG_FORMAT_TEXT);
    log_info(CONNECTION, &channel, "opened by %s", "guest");
    log_warning(DEFAULT, NULL, "plain");
    slurp(file, &out);
    assert_matches(buf_cstr(&out),
                   "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}"
                   "[+-][0-9]{2}:[0-9]{2} \\[info\\] connection: opened by guest "
                   "\\(connection=127\\.0\\.0\\.1:1 -> 127\\.0\\.0\\.1:2, channel=7\\)\n"
                   "[^\n]* \\[warning\\] default: plain\n$");
    buf_fini(&out);
    close_log();
}

/* As systemd starts a service: stderr is a stream, and the environment says which. */
static void read_journal_stream(enum log_format format, struct buf *out)
{
    struct stat st;
    int ends[2];
    char name[64];
    const char *error = "";
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(fstat(ends[1], &st), 0);
    snprintf(name, sizeof name, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", name, 1);
    cr_assert_geq(dup2(ends[1], STDERR_FILENO), 0);
    cr_assert(log_open(LOG_OUTPUT_STDERR, format, NULL, &error), "%s", error);
    log_warning(STORE, NULL, "slow");
    log_info(STORE, NULL, "quick");
    char text[1024];
    ssize_t n = read(ends[0], text, sizeof text);
    cr_assert_gt(n, 0);
    buf_append(out, text, (size_t)n);
    log_close();
}

UNIT(log, journal_stream_text)
{
    struct buf out = BUF_INIT;
    read_journal_stream(LOG_FORMAT_TEXT, &out);
    cr_assert_str_eq(buf_cstr(&out), "<4>[warning] store: slow\n<6>[info] store: quick\n");
    buf_fini(&out);
}

UNIT(log, journal_stream_json)
{
    struct buf out = BUF_INIT;
    read_journal_stream(LOG_FORMAT_JSON, &out);
    assert_matches(buf_cstr(&out), "^<4>\\{\"time\":[^\n]*\\}\n<6>\\{\"time\":[^\n]*\\}\n$");
    buf_fini(&out);
}

UNIT(log, json_line)
{
    struct buf out = BUF_INIT;
    struct log_context connection = {NULL, "connection", "a\"b"};
    open_log(LOG_FORMAT_JSON);
    log_error(CHANNEL, &connection, "quote \" backslash \\ newline \n done");
    slurp(file, &out);
    assert_matches(buf_cstr(&out),
                   "^\\{\"time\":\"[0-9-]{10}T[0-9:]{8}\\.[0-9]{6}[+-][0-9]{2}:[0-9]{2}\","
                   "\"level\":\"error\",\"category\":\"channel\","
                   "\"msg\":\"quote \\\\\" backslash \\\\\\\\ newline \\\\u000a done\","
                   "\"connection\":\"a\\\\\"b\"\\}\n$");
    buf_fini(&out);
    close_log();
}

UNIT(log, escapes_what_peers_send)
{
    static const struct {
        const char *message, *text, *json;
    } cases[] = {
        {"a\r\nb", "a\\r\\nb", "a\\u000d\\u000ab"},
        {"\x1b[31mred\x7f", "\\x1b[31mred\\x7f", "\\u001b[31mred\\u007f"},
        {"tab\there", "tab\\there", "tab\\u0009here"},
        {"\xc2\x9b"
         "31m",
         "\\xc2\\x9b31m", "\\u009b31m"},
        {"bad \xff\xc3 end", "bad \\xff\\xc3 end", "bad \\ufffd\\ufffd end"},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xb0",
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xb0",
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xb0"},
    };
    for (unsigned json = 0; json < 2; json++) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            struct buf out = BUF_INIT;
            open_log(json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
            log_info(DEFAULT, NULL, "%s", cases[i].message);
            slurp(file, &out);
            cr_assert_not_null(strstr(buf_cstr(&out), json ? cases[i].json : cases[i].text),
                               "case %zu: %s", i, buf_cstr(&out));
            cr_assert_eq(strchr(buf_cstr(&out), '\n') - buf_cstr(&out), (long)out.len - 1);
            buf_fini(&out);
            close_log();
        }
    }
}

/* Whatever the length and however much of it has to be escaped: one whole line, at most 8 KiB. */
UNIT(log, lines_are_bounded)
{
    static char text[100000], value[20000];
    const char fills[] = {'x', '\n', '"', '\x80'};
    for (unsigned json = 0; json < 2; json++) {
        for (size_t i = 0; i < sizeof fills * 2; i++) {
            struct buf out = BUF_INIT;
            memset(text, fills[i % sizeof fills], sizeof text - 1);
            memset(value, fills[i % sizeof fills], sizeof value - 1);
            text[i < sizeof fills ? sizeof text - 1 : 10] = '\0';
            struct log_context outer = {NULL, "connection", value};
            struct log_context inner = {&outer, "channel", "1"};
            open_log(json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
            log_info(DEFAULT, &inner, "%s", text);
            slurp(file, &out);
            cr_assert_leq(out.len, 8192);
            cr_assert_eq(out.data[out.len - 1], '\n');
            cr_assert_eq(out.data[out.len - 2], json ? '}' : ')');
            cr_assert_not_null(strstr(buf_cstr(&out), "..."));
            cr_assert_eq(strchr(buf_cstr(&out), '\n') - buf_cstr(&out), (long)out.len - 1);
            buf_fini(&out);
            close_log();
        }
    }
}

UNIT(log, levels_per_category)
{
    struct buf out = BUF_INIT;
    open_log(LOG_FORMAT_TEXT);
    cr_assert_eq(log_get_level(LOG_QUEUE), LOG_INFO_);
    cr_assert_not(log_on(LOG_QUEUE, LOG_DEBUG_));
    log_debug(QUEUE, NULL, "hidden");
    log_set_level(LOG_QUEUE, LOG_DEBUG_);
    log_debug(QUEUE, NULL, "shown");
    log_debug(CHANNEL, NULL, "hidden");
    log_set_level_all(LOG_NONE_);
    log_critical(QUEUE, NULL, "hidden");
    log_set_level_all(LOG_INFO_);
    slurp(file, &out);
    cr_assert_not_null(strstr(buf_cstr(&out), "shown"));
    cr_assert_null(strstr(buf_cstr(&out), "hidden"));
    buf_fini(&out);
    close_log();
}

UNIT(log, names)
{
    enum log_level level = LOG_DEBUG_;
    enum log_category category = LOG_DEFAULT;
    for (int i = LOG_DEBUG_; i <= LOG_NONE_; i++) {
        cr_assert(log_level_parse(log_level_name((enum log_level)i), &level));
        cr_assert_eq((int)level, i);
    }
    for (int i = 0; i < LOG_CATEGORY_COUNT; i++) {
        cr_assert(log_category_parse(log_category_name((enum log_category)i), &category));
        cr_assert_eq((int)category, i);
    }
    cr_assert_not(log_level_parse("loud", &level));
    cr_assert_not(log_category_parse("cats", &category));
}

UNIT(log, reopens_for_rotation)
{
    struct buf out = BUF_INIT;
    char rotated[80];
    const char *error = "";
    open_log(LOG_FORMAT_TEXT);
    log_info(DEFAULT, NULL, "first");
    snprintf(rotated, sizeof rotated, "%s.1", file);
    cr_assert_eq(rename(file, rotated), 0);
    log_info(DEFAULT, NULL, "second");
    cr_assert(log_reopen(&error));
    log_info(DEFAULT, NULL, "third");
    slurp(rotated, &out);
    cr_assert_not_null(strstr(buf_cstr(&out), "second"));
    cr_assert_null(strstr(buf_cstr(&out), "third"));
    buf_clear(&out);
    slurp(file, &out);
    cr_assert_not_null(strstr(buf_cstr(&out), "third"));
    buf_fini(&out);
    unlink(rotated);
    close_log();
}

UNIT(log, output_that_cannot_be_opened_changes_nothing)
{
    struct buf out = BUF_INIT;
    const char *error = NULL;
    open_log(LOG_FORMAT_TEXT);
    cr_assert_not(log_open(LOG_OUTPUT_FILE, LOG_FORMAT_JSON, "/nonexistent/x", &error));
    cr_assert_str_eq(error, "No such file or directory");
    cr_assert_not(log_open(LOG_OUTPUT_FILE, LOG_FORMAT_JSON, "", &error));
    log_info(DEFAULT, NULL, "still here");
    slurp(file, &out);
    cr_assert_not_null(strstr(buf_cstr(&out), "[info] default: still here"));
    buf_fini(&out);
    close_log();
}

enum { THREADS = 4, LINES = 500 };

static void *write_lines(void *arg)
{
    for (int i = 0; i < LINES; i++)
        log_info(DEFAULT, NULL, "thread %d line %d end", *(int *)arg, i);
    return NULL;
}

UNIT(log, lines_of_threads_stay_whole)
{
    struct buf out = BUF_INIT;
    pthread_t threads[THREADS];
    int numbers[THREADS], whole = 0;
    const char *error = "";
    open_log(LOG_FORMAT_TEXT);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        cr_assert_eq(pthread_create(&threads[i], NULL, write_lines, &numbers[i]), 0);
    }
    for (int i = 0; i < 20; i++)
        cr_assert(log_reopen(&error));
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    slurp(file, &out);
    char *rest = NULL;
    for (char *line = strtok_r((char *)(uintptr_t)buf_cstr(&out), "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest), whole++)
        assert_matches(line, "\\[info\\] default: thread [0-3] line [0-9]+ end$");
    cr_assert_eq(whole, THREADS * LINES);
    buf_fini(&out);
    close_log();
}
