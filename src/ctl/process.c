/* Processes by their number. */
#include "ctl/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

bool process_is_gone(long pid)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
    const char *state = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
    bool zombie = state && state[1] == ' ' && (state[2] == 'Z' || state[2] == 'X');
    fclose(f);
    return zombie;
}

static long parse_pid(const char *text)
{
    char *end;
    long pid = strtol(text, &end, 10);
    return end != text && (*end == '\0' || *end == '\n') && pid > 0 ? pid : 0;
}

long process_read_pid(const char *path)
{
    char line[32];
    FILE *f = fopen(path, "re");
    long pid = f && fgets(line, sizeof line, f) ? parse_pid(line) : 0;
    if (f)
        fclose(f);
    return pid;
}

struct process_wanted process_wanted(const char *const *words, size_t count)
{
    struct process_wanted wanted = {NULL, 0};
    for (size_t i = 1; i < count; i++) {
        const char *word = words[i];
        if ((!strcmp(word, "-P") || !strcmp(word, "--pid")) && i + 1 < count)
            wanted.pid = parse_pid(words[++i]);
        else if (!strncmp(word, "--pid=", 6))
            wanted.pid = parse_pid(word + 6);
        else if (*word != '-')
            wanted.file = word;
    }
    return wanted;
}
