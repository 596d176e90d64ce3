/* The program is looked for beside this one, then in sbin beside its directory, then in the PATH.
 */
#include "ctl/offline.h"

#include "base/mem.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 5 };

static char *program(void)
{
    static const char *const places[] = {"", "../sbin/"};
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n < 0 ? 0 : n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash)
        slash[1] = '\0';
    for (size_t i = 0; slash && i < sizeof places / sizeof *places; i++) {
        char *path = mem_printf("%s%sjackaloped", self, places[i]);
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return mem_strdup("jackaloped");
}

/* In the new process. */
static void become(const char *name, const char *control, const char *data)
{
    char *const words[] = {"jackaloped", "--offline",
                           "--control",  (char *)(uintptr_t)control,
                           "--data",     (char *)(uintptr_t)data,
                           NULL};
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    execvp(name, words);
    fprintf(stderr, "Error: cannot run %s: %s\n", name, strerror(errno));
    _exit(EX_UNAVAILABLE);
}

/* Until it listens, or has ended with a word about why. */
static int wait_for_it(struct offline *o, const char *control, struct link *link)
{
    struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    while (link_open(link, control) != 0) {
        int status;
        if (waitpid(o->pid, &status, WNOHANG) == o->pid) {
            o->pid = 0;
            return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
        }
        nanosleep(&pause, NULL);
    }
    return 0;
}

int offline_start(struct offline *o, const char *data, struct link *link)
{
    const char *parent = getenv("TMPDIR");
    char *directory = mem_printf("%s/jackalopectl-XXXXXX", parent && *parent ? parent : "/tmp");
    if (!mkdtemp(directory)) {
        fprintf(stderr, "Error: cannot make %s: %s\n", directory, strerror(errno));
        free(directory);
        return EX_CANTCREAT;
    }
    char *control = mem_printf("%s/control", directory), *name = program();
    o->pid = fork();
    if (o->pid == 0)
        become(name, control, data);
    int code = o->pid > 0 ? wait_for_it(o, control, link) : EX_OSERR;
    unlink(control); /* nobody else is to come */
    rmdir(directory);
    free(name);
    free(control);
    free(directory);
    return code;
}

void offline_stop(struct offline *o)
{
    if (o->pid <= 0)
        return;
    kill(o->pid, SIGTERM);
    while (waitpid(o->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    o->pid = 0;
}
