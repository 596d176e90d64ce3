/* How much memory there is and what follows from it: cgroups of both versions, watermark, limit of
 * the disk. */
#include "rig.h"

#include <errno.h>
#include <ftw.h>

enum { GIB = 1 << 30 };

static char tree[] = "/tmp/test_memory.XXXXXX";

static int drop(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

/* A file below the tree with its directories. */
static void write_file(const char *name, const char *text)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", tree, name);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        cr_assert(mkdir(path, 0700) == 0 || errno == EEXIST, "%s", path);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    fputs(text, file);
    fclose(file);
}

struct limit_case {
    const char *groups;   /* what /proc/self/cgroup says */
    const char *files[8]; /* name, text, ... of the tree */
    uint64_t limit;       /* found, of 8 GiB */
};

static uint64_t limit_of(const struct limit_case *c)
{
    char groups[64];
    memcpy(tree + sizeof tree - 7, "XXXXXX", 6);
    cr_assert_not_null(mkdtemp(tree));
    write_file("groups", c->groups);
    for (size_t i = 0; i < 8 && c->files[i]; i += 2)
        write_file(c->files[i], c->files[i + 1]);
    snprintf(groups, sizeof groups, "%s/groups", tree);
    uint64_t limit = memory_cgroup_limit(8ull * GIB, groups, tree);
    nftw(tree, drop, 8, FTW_DEPTH | FTW_PHYS);
    return limit;
}

UNIT(memory, version_2)
{
    static const struct limit_case cases[] = {
        {"0::/\n", {"memory.max", "1073741824\n"}, GIB},
        {"0::/\n", {"memory.max", "max\n"}, 8ull * GIB},
        {"0::/\n", {NULL}, 8ull * GIB},
        {"0::/a/b.service\n", {"a/b.service/memory.max", "1048576\n"}, 1 << 20},
        /* the least on the way up */
        {"0::/a/b\n", {"a/b/memory.max", "3000\n", "a/memory.max", "2000\n"}, 2000},
        {"0::/a/b\n", {"a/b/memory.max", "max\n", "memory.max", "4000\n"}, 4000},
        {"0::/a/b\n", {"a/b/memory.max", "1000\n", "a/memory.max", "2000\n"}, 1000},
        /* more than there is, more than a number holds, no number */
        {"0::/\n", {"memory.max", "9223372036854771712\n"}, 8ull * GIB},
        {"0::/\n", {"memory.max", "99999999999999999999\n"}, 8ull * GIB},
        {"0::/\n", {"memory.max", "-1\n"}, 8ull * GIB},
        {"0::/\n", {"memory.max", ""}, 8ull * GIB},
        {"0::/a\n", {"a/memory.max/x", ""}, 8ull * GIB}, /* a directory */
        /* a name with colons and blanks; no newline at the end */
        {"0::/a:b c", {"a:b c/memory.max", "5000"}, 5000},
        /* outside of the namespace: nothing to be seen but the tree's own */
        {"0::/../x\n", {"memory.max", "6000\n"}, 6000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(limit_of(&cases[i]), cases[i].limit, "case %zu", i);
}

UNIT(memory, version_1)
{
    static const struct limit_case cases[] = {
        {"5:memory:/docker/x\n", {"memory/docker/x/memory.limit_in_bytes", "1000\n"}, 1000},
        {"5:cpu,memory:/x\n4:pids:/y\n", {"memory/x/memory.limit_in_bytes", "1000\n"}, 1000},
        /* in a container the mount shows the container's own group as the root */
        {"5:memory:/docker/x\n", {"memory/memory.limit_in_bytes", "2000\n"}, 2000},
        {"5:memory:/\n", {"memory/memory.limit_in_bytes", "9223372036854771712\n"}, 8ull * GIB},
        /* the file of the other version, or of another controller, does not count */
        {"5:memory:/x\n", {"memory/x/memory.max", "1000\n"}, 8ull * GIB},
        {"5:cpu:/x\n", {"memory/x/memory.limit_in_bytes", "1000\n"}, 8ull * GIB},
        {"5:name=memory_like:/x\n", {"memory/memory.limit_in_bytes", "1000\n"}, 8ull * GIB},
        /* both trees: the lesser of the two */
        {"5:memory:/x\n0::/y\n",
         {"memory/x/memory.limit_in_bytes", "3000\n", "y/memory.max", "2000\n"},
         2000},
        {"0::/y\n5:memory:/x\n",
         {"memory/x/memory.limit_in_bytes", "1000\n", "y/memory.max", "2000\n"},
         1000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(limit_of(&cases[i]), cases[i].limit, "case %zu", i);
}

UNIT(memory, odd_files)
{
    static const char *const groups[] = {"", "\n\n", "x\n", "0:\n", "5:memory\n", "::\n", "0::"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        struct limit_case c = {groups[i], {NULL}, 0};
        cr_expect_eq(limit_of(&c), 8ull * GIB, "%s", groups[i]);
    }
    cr_expect_eq(memory_cgroup_limit(7, "/nonexistent", "/nonexistent"), 7);
    /* a group whose name fills the line */
    char line[5000];
    memset(line, 'a', sizeof line);
    memcpy(line, "0::/", 4);
    line[sizeof line - 1] = '\0';
    struct limit_case c = {line, {"memory.max", "1000\n"}, 0};
    cr_expect_eq(limit_of(&c), 1000);
}

UNIT(memory, watermark_and_limit_of_the_disk)
{
    static const struct {
        const char *yaml;
        uint64_t watermark, disk;
    } cases[] = {
        {"", 644245094, 50000000},
        {"vm_memory_high_watermark: 0.5\n", GIB / 2, 50000000},
        {"vm_memory_high_watermark.relative: 0.25\n", GIB / 4, 50000000},
        {"vm_memory_high_watermark: {absolute: 2GiB}\n", 2ull * GIB, 50000000},
        {"vm_memory_high_watermark: 100MB\n", 100000000, 50000000},
        {"vm_memory_high_watermark: 0\n", 0, 50000000},
        {"vm_memory_high_watermark: 1.0\n", GIB, 50000000},
        {"disk_free_limit: 2GB\n", 644245094, 2000000000},
        {"disk_free_limit: 1.5\n", 644245094, GIB + GIB / 2},
        {"disk_free_limit: {relative: 2}\n", 644245094, 2ull * GIB},
        {"disk_free_limit.absolute: 1\n", 644245094, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf yaml = BUF_INIT, problems = BUF_INIT;
        buf_printf(&yaml, "total_memory_available_override_value: 1GiB\n%s", cases[i].yaml);
        const struct conf *conf = rig_load(buf_slice(&yaml), &problems);
        cr_assert_not_null(conf, "%s", buf_cstr(&problems));
        cr_expect_eq(conf_memory_total(conf), GIB);
        cr_expect_eq(conf_memory_watermark(conf), cases[i].watermark, "%s", cases[i].yaml);
        cr_expect_eq(conf_disk_limit(conf), cases[i].disk, "%s", cases[i].yaml);
        conf_unref(&conf);
        buf_fini(&yaml);
        buf_fini(&problems);
    }
}
