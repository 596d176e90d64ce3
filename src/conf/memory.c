/* How much memory there is: the system's, or the least limit of the cgroups this process is in. */
#include "conf/conf_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The number in a one-line file; 0 if there is none ("max"). */
static uint64_t read_limit(const char *path)
{
    char text[64];
    uint64_t n = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    if (fgets(text, sizeof text, f) && *text >= '0' && *text <= '9') {
        errno = 0;
        n = strtoull(text, NULL, 10);
        if (errno)
            n = 0;
    }
    fclose(f);
    return n;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return !b || a < b ? a : b;
}

/* Every level up to the root may set a limit. group: "/system.slice/jackalope.service". */
static uint64_t least_upwards(uint64_t limit, const char *mount, char *group, const char *file)
{
    char path[4096 + 128];
    for (;;) {
        snprintf(path, sizeof path, "%s%s/%s", mount, group, file);
        limit = least(limit, read_limit(path));
        char *slash = strrchr(group, '/');
        if (!slash)
            return limit;
        *slash = '\0';
    }
}

/* "cpu,memory" */
static bool has_memory(const char *controllers)
{
    static const char name[] = "memory";
    for (const char *p = controllers; *p;) {
        size_t n = strcspn(p, ",");
        if (n == sizeof name - 1 && strncmp(p, name, n) == 0)
            return true;
        p += n + (p[n] == ',');
    }
    return false;
}

uint64_t memory_cgroup_limit(uint64_t limit, const char *groups, const char *mount)
{
    char line[4096], memory[4096];
    FILE *f = fopen(groups, "re");
    snprintf(memory, sizeof memory, "%s/memory", mount);
    if (!f)
        return limit;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        controllers++;
        if (!*controllers)
            limit = least_upwards(limit, mount, group, "memory.max");
        else if (has_memory(controllers))
            limit = least_upwards(limit, memory, group, "memory.limit_in_bytes");
    }
    fclose(f);
    return limit;
}

uint64_t conf_memory_total(const struct conf *conf)
{
    if (conf->total_memory_available_override_value)
        return conf->total_memory_available_override_value;
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t total = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_MAX;
    return memory_cgroup_limit(total, "/proc/self/cgroup", "/sys/fs/cgroup");
}

static uint64_t in_bytes(const struct conf *conf, const struct conf_memory *memory)
{
    if (memory->absolute)
        return memory->absolute;
    return (uint64_t)(memory->relative * (double)conf_memory_total(conf));
}

uint64_t conf_memory_watermark(const struct conf *conf)
{
    return in_bytes(conf, &conf->vm_memory_high_watermark);
}

uint64_t conf_disk_limit(const struct conf *conf)
{
    return in_bytes(conf, &conf->disk_free_limit);
}
