#include "plugin/module.h"
#include "plugin/plugin_priv.h"
#include "unit.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned directories_synced;

/* In place of the system's, which it calls. */
int fsync(int fd)
{
    struct stat st;
    cr_expect_eq(fstat(fd, &st), 0);
    directories_synced += S_ISDIR(st.st_mode);
    return (int)syscall(SYS_fsync, fd);
}

static void add(void *names, const char *name)
{
    buf_printf(names, "%s ", name);
}

/* The names in a file with that text, or "refused". */
static void expect(const char *path, const char *text, const char *wanted)
{
    struct buf names = BUF_INIT;
    struct failure why = {.text = ""};
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
    if (enabled_read(path, add, &names, &why)) {
        cr_expect_str_eq(wanted, "refused", "%s: %s", text, why.text);
        cr_expect(strstr(why.text, path), "%s", why.text);
    } else {
        cr_expect_str_eq(buf_cstr(&names), wanted, "%s", text);
    }
    buf_fini(&names);
}

UNIT(enabled, file_is_read_and_written)
{
    char directory[] = "/tmp/test-enabled-XXXXXX";
    cr_assert_not_null(mkdtemp(directory));
    char *path = mem_printf("%s/enabled_plugins", directory);
    struct buf names = BUF_INIT;
    struct failure why;
    cr_expect_eq(enabled_read(path, add, &names, &why), ERR_NONE);
    cr_expect_eq(names.len, 0);
    static const char *const rows[][2] = {
        {"[rabbitmq_management,rabbitmq_prometheus].\n",
         "rabbitmq_management rabbitmq_prometheus "},
        {" % mine\n[ rtopic ,\n'a-b@c' ] . % end", "rtopic a-b@c "},
        {"[].", ""},
        {"", ""},
        {"% nothing\n", ""},
        {"[a,].", "refused"},
        {"[a]", "refused"},
        {"a.", "refused"},
        {"[a].[b].", "refused"},
        {"['a].", "refused"},
        {"[\"a\"].", "refused"},
        {"[a b].", "refused"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(path, rows[i][0], rows[i][1]);
    const char *some[] = {"rtopic", "a-b"};
    cr_expect_eq(enabled_write(path, some, 2, &why), ERR_NONE);
    cr_expect_eq(directories_synced, 1);
    cr_expect_eq(enabled_read(path, add, &names, &why), ERR_NONE);
    cr_expect_str_eq(buf_cstr(&names), "rtopic a-b ");
    unlink(path);
    rmdir(directory);
    cr_expect_neq(enabled_write(path, some, 2, &why), ERR_NONE);
    buf_fini(&names);
    free(path);
}

UNIT(enabled, names_have_a_form)
{
    cr_expect(module_name_is_good("event_file2"));
    static const char *const bad[] = {"", "../x", "a/b", "A", "a-b", "a.so", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not(module_name_is_good(bad[i]), "%s", bad[i]);
}
