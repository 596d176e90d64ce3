/* Files of a test in a directory of its own, and a configuration loaded from them. */
#ifndef RIG_H
#define RIG_H

#include "conf/conf_priv.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char rig_dir[32];

static inline void rig_open(void)
{
    snprintf(rig_dir, sizeof rig_dir, "/tmp/test_conf.XXXXXX");
    cr_assert_not_null(mkdtemp(rig_dir));
    char sub[64];
    snprintf(sub, sizeof sub, "%s/conf.d", rig_dir);
    cr_assert_eq(mkdir(sub, 0700), 0);
}

static inline const char *rig_path(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", rig_dir, name);
    return path;
}

static inline void rig_write(const char *name, struct slice text)
{
    FILE *f = fopen(rig_path(name), "w");
    cr_assert_not_null(f);
    cr_assert_eq(fwrite(text.data ? text.data : (const uint8_t *)"", 1, text.len, f), text.len);
    fclose(f);
}

static inline void rig_close(const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        unlink(rig_path(names[i]));
    rmdir(rig_path("conf.d"));
    rmdir(rig_dir);
}

/* A configuration of this YAML alone; NULL if it was refused, with the lines in problems, the
 * directory cut off. */
static inline const struct conf *rig_load(struct slice yaml, struct buf *problems)
{
    static const char *const names[] = {"a.yaml"};
    const struct conf *conf = NULL;
    struct buf raw = BUF_INIT;
    rig_open();
    rig_write("a.yaml", yaml);
    struct conf_sources sources = {.file = rig_path("a.yaml")};
    enum err err = conf_load(&sources, &conf, &raw);
    cr_assert_eq(err, conf ? ERR_NONE : ERR_PRECONDITION_FAILED);
    cr_assert_eq(raw.len != 0, !conf);
    size_t cut = strlen(rig_dir) + 1;
    char *rest = (char *)(uintptr_t)buf_cstr(&raw), *line;
    while (problems && (line = strsep(&rest, "\n"))) {
        bool ours = strncmp(line, rig_dir, cut - 1) == 0;
        if (*line)
            buf_printf(problems, "%s\n", ours ? line + cut : line);
    }
    if (problems)
        buf_cstr(problems);
    buf_fini(&raw);
    rig_close(names, 1);
    return conf;
}

#endif
