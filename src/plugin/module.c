#include "plugin/module.h"

#include "base/mem.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_MOST = 63, SEGMENTS_MOST = 256 };

/* Of the first header; smaller ones never were. */
#define LEAST_SIZE \
    (offsetof(struct jackalope_plugin, stop) + sizeof(((struct jackalope_plugin *)0)->stop))

bool module_name_is_good(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return len && len <= NAME_MOST && !name[len];
}

/* ---- where it lies ---- */

static enum err check_owner(const char *path, const struct stat *st, struct failure *why)
{
    if (st->st_uid && st->st_uid != geteuid())
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "%s belongs to user id %u: it has to be root's or the broker's", path,
                           (unsigned)st->st_uid);
    if (st->st_mode & S_IWOTH)
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "%s may be written to by everybody (mode %04o)", path,
                           (unsigned)st->st_mode & 07777);
    return ERR_NONE;
}

enum err module_check_directory(const char *directory, struct failure *why)
{
    struct stat st;
    if (stat(directory, &st))
        return failure_set(why, ERR_PRECONDITION_FAILED, "%s: %s", directory, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return failure_set(why, ERR_PRECONDITION_FAILED, "%s is not a directory", directory);
    return check_owner(directory, &st, why);
}

/* ---- the file ---- */

/* The loader maps what the headers say and would touch pages that a cut file does not have. */
static bool is_whole(int fd, off_t size)
{
    Elf64_Ehdr head;
    if (pread(fd, &head, sizeof head, 0) != sizeof head || memcmp(head.e_ident, ELFMAG, SELFMAG) ||
        head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_phentsize != sizeof(Elf64_Phdr) ||
        !head.e_phnum || head.e_phnum > SEGMENTS_MOST)
        return false;
    for (unsigned i = 0; i < head.e_phnum; i++) {
        Elf64_Phdr segment;
        off_t at = (off_t)(head.e_phoff + i * sizeof segment);
        if (pread(fd, &segment, sizeof segment, at) != sizeof segment ||
            segment.p_offset > (uint64_t)size ||
            segment.p_filesz > (uint64_t)size - segment.p_offset)
            return false;
    }
    return true;
}

static enum err check_file(const char *path, struct failure *why)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return failure_set(why, errno == ENOENT ? ERR_NOT_FOUND : ERR_PRECONDITION_FAILED, "%s: %s",
                           path, strerror(errno));
    enum err err = ERR_NONE;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        err = failure_set(why, ERR_PRECONDITION_FAILED, "%s is not a file", path);
    if (!err)
        err = check_owner(path, &st, why);
    if (!err && !is_whole(fd, st.st_size))
        err = failure_set(why, ERR_PRECONDITION_FAILED,
                          "%s is not a shared object for this machine, or not all of it", path);
    close(fd);
    return err;
}

/* ---- what it says ---- */

enum err module_check(const struct jackalope_plugin *p, const char *name, const char *where,
                      struct failure *why)
{
    const char *colon = *where ? ": " : "";
    if (p->abi != JACKALOPE_ABI)
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "%s%splug-in '%s' was built for plug-in interface %u, this broker has "
                           "%d: build it with the header of this broker",
                           where, colon, name, p->abi, JACKALOPE_ABI);
    if (p->level > JACKALOPE_LEVEL)
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "%s%splug-in '%s' was built with the header of a newer broker (level "
                           "%u, this broker has %d)",
                           where, colon, name, p->level, JACKALOPE_LEVEL);
    if (p->size < LEAST_SIZE || !p->name || !p->version || !p->text || !p->start)
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "%s%splug-in '%s' does not say all that a plug-in has to", where, colon,
                           name);
    if (strcmp(p->name, name))
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "%s%sis plug-in '%.80s', not '%s': file and plug-in have to have the "
                           "same name",
                           where, colon, p->name, name);
    return ERR_NONE;
}

static enum err open_object(const char *path, const char *name,
                            const struct jackalope_plugin **ret_plugin, struct failure *why)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *text = dlerror();
        return failure_set(why, ERR_PRECONDITION_FAILED, "%s%s%s", path, ": ",
                           text ? text : "cannot be loaded");
    }
    const struct jackalope_plugin *plugin = dlsym(handle, "jackalope_plugin");
    enum err err = plugin ? module_check(plugin, name, path, why)
                          : failure_set(why, ERR_PRECONDITION_FAILED,
                                        "%s is no plug-in: it defines no jackalope_plugin", path);
    if (err)
        dlclose(handle);
    else
        *ret_plugin = plugin;
    return err;
}

enum err module_open(const char *directory, const char *name,
                     const struct jackalope_plugin **ret_plugin, struct failure *why)
{
    if (!module_name_is_good(name))
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "'%.80s' is no name of a plug-in: they are of a-z, 0-9 and _", name);
    enum err err = module_check_directory(directory, why);
    if (err)
        return err;
    char *path = mem_printf("%s/%s.so", directory, name);
    err = check_file(path, why);
    if (!err)
        err = open_object(path, name, ret_plugin, why);
    free(path);
    return err;
}
