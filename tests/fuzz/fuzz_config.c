/* A configuration file. What is refused names at least one problem; what is taken can be printed,
 * and the print is taken again and means the same, passwords aside. */
#include "conf/conf.h"
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int file = -1;
static char path[64];

static bool load(struct slice text, const struct conf **ret_conf, struct buf *problems)
{
    if (file < 0) {
        file = memfd_create("config", MFD_CLOEXEC);
        require(file >= 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    require(ftruncate(file, 0) == 0);
    require(pwrite(file, text.data ? text.data : (const uint8_t *)"", text.len, 0) ==
            (ssize_t)text.len);
    struct conf_sources sources = {.file = path};
    enum err err = conf_load(&sources, ret_conf, problems);
    require(!err == !problems->len);
    require(!problems->len || problems->data[problems->len - 1] == '\n');
    return !err;
}

/* Keys whose values hold passwords, which are not printed. */
static void on_change(void *arg, const struct conf_change *change)
{
    static const char *const secret[] = {
        "default_pass", "ssl_options.password", "ssl_options.certificates",
        "tls_sets",     "definitions.users",    "default_users"};
    (void)arg;
    for (size_t i = 0; i < sizeof secret / sizeof *secret; i++) {
        if (strcmp(change->key, secret[i]) == 0)
            return;
    }
    fprintf(stderr, "%s: %s became %s\n", change->key, change->before, change->after);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct conf *conf = NULL, *again = NULL;
    struct buf problems = BUF_INIT, dump = BUF_INIT;
    if (load(slice_of(data, size), &conf, &problems)) {
        conf_dump(conf, &dump);
        if (!load(buf_slice(&dump), &again, &problems)) {
            fprintf(stderr, "%s\n%s", buf_cstr(&dump), buf_cstr(&problems));
            abort();
        }
        conf_diff(conf, again, on_change, NULL);
    }
    conf_unref(&conf);
    conf_unref(&again);
    buf_fini(&problems);
    buf_fini(&dump);
    return 0;
}
