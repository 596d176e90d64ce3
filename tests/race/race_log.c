/* The log under TSan: threads write while levels, format and file change under them; every line in
 * the files is whole. */
#include "base/bug.h"
#include "base/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 4, LINES = 3000, CHANGES = 300, FILES = 2 };

static char files[FILES][64];

static void *write_lines(void *arg)
{
    struct log_context context = {NULL, "connection", "127.0.0.1:1 -> 127.0.0.1:2"};
    for (int i = 0; i < LINES; i++) {
        log_info(CONNECTION, &context, "thread %d line %d\r\n", *(int *)arg, i);
        log_debug(CHANNEL, NULL, "now and then");
    }
    return NULL;
}

static void change(int round)
{
    const char *error = "";
    enum log_format format = round % 3 ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
    if (round % 2)
        bug_on(!log_reopen(&error));
    else
        bug_on(!log_open(LOG_OUTPUT_FILE, format, files[round / 2 % FILES], &error));
    log_set_level(LOG_CHANNEL, round % 2 ? LOG_DEBUG_ : LOG_ERROR_);
}

/* A line of text or of JSON, from its first character to its last. */
static void check(const char *path)
{
    char line[1024];
    FILE *f = fopen(path, "r");
    bug_on(!f);
    while (fgets(line, sizeof line, f)) {
        size_t n = strlen(line);
        bool json = line[0] == '{';
        bug_on(n < 20 || line[n - 1] != '\n');
        bug_on(json ? line[n - 2] != '}' : strncmp(line, "20", 2) != 0);
        bug_on(!json && line[n - 2] != ')' && line[n - 2] != 'n');
    }
    fclose(f);
    unlink(path);
}

int main(void)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];
    for (int i = 0; i < FILES; i++)
        snprintf(files[i], sizeof files[i], "/tmp/race_log.%ld.%d", (long)getpid(), i);
    change(0);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        bug_on(pthread_create(&threads[i], NULL, write_lines, &numbers[i]) != 0);
    }
    for (int i = 1; i < CHANGES; i++) {
        change(i);
        usleep(200);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    log_close();
    for (int i = 0; i < FILES; i++)
        check(files[i]);
    puts("race_log: ok");
    return 0;
}
