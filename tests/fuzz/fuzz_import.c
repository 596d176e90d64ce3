/* A file of RabbitMQ's configuration; the first byte says which. The result has keys of this broker
 * alone, each with a value that it takes; what several say together may be wrong, and is told. */
#include "conf/conf.h"
#include "conf/import.h"
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const names[] = {"rabbitmq.conf", "advanced.config", "rabbitmq-env.conf",
                                    "enabled_plugins"};
enum { NAMES = sizeof names / sizeof *names };
static char directory[] = "/tmp/fuzz_import.XXXXXX";
static int file = -1;

static void remove_links(void)
{
    char path[64];
    for (int i = 0; i < NAMES; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        unlink(path);
    }
    rmdir(directory);
}

static void make_links(void)
{
    char path[64], to[32];
    file = memfd_create("import", MFD_CLOEXEC);
    require(file >= 0 && mkdtemp(directory));
    snprintf(to, sizeof to, "/proc/self/fd/%d", file);
    for (int i = 0; i < NAMES; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        require(symlink(to, path) == 0);
    }
    atexit(remove_links);
}

/* What the import itself would have to answer for. */
static void check_notes(const char *notes)
{
    static const char *const never[] = {"unknown key", "expected a", "did not find", "found "};
    for (const char *p = notes; (p = strstr(p, "\nthe result: line ")); p++) {
        const char *said = strstr(p + 18, ": ");
        for (size_t i = 0; said && i < sizeof never / sizeof *never; i++)
            require(strncmp(said + 2, never[i], strlen(never[i])) != 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf yaml = BUF_INIT, notes = BUF_INIT;
    char path[64];
    if (file < 0)
        make_links();
    if (!size || memmem(data, size, "include", 7))
        return 0;
    require(ftruncate(file, 0) == 0);
    require(pwrite(file, data + 1, size - 1, 0) == (ssize_t)(size - 1));
    snprintf(path, sizeof path, "%s/%s", directory, names[data[0] % NAMES]);
    bool good = import_run(path, NULL, &yaml, &notes);
    require(good || notes.len);
    check_notes(buf_cstr(&notes));
    buf_fini(&yaml);
    buf_fini(&notes);
    return 0;
}
