/* The files of a context as they are on the disk, without reading them. */
#include "base/hash.h"
#include "base/mem.h"
#include "net/tls_priv.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

/* What a write, a rename or another target of a link changes. */
static void add_file(uint64_t *state, const char *path)
{
    struct stat st = {0};
    if (!path)
        return;
    bool there = stat(path, &st) == 0;
    const uint64_t facts[] = {*state,
                              there,
                              (uint64_t)st.st_dev,
                              (uint64_t)st.st_ino,
                              (uint64_t)st.st_size,
                              (uint64_t)st.st_mtim.tv_sec,
                              (uint64_t)st.st_mtim.tv_nsec,
                              (uint64_t)st.st_ctim.tv_sec,
                              (uint64_t)st.st_ctim.tv_nsec};
    *state = hash_bytes(slice_of(facts, sizeof facts));
}

static void add_directory(uint64_t *state, const char *path)
{
    struct dirent **entries = NULL;
    int count = path ? scandir(path, &entries, NULL, alphasort) : 0;
    for (int i = 0; i < count; i++) {
        char *file = mem_printf("%s/%s", path, entries[i]->d_name);
        if (*entries[i]->d_name != '.')
            add_file(state, file);
        free(file);
        free(entries[i]);
    }
    free(entries);
    add_file(state, path);
}

uint64_t tls_files_state(const struct tls_options *o)
{
    uint64_t state = 0;
    for (size_t i = 0; i < o->certificate_count; i++) {
        add_file(&state, o->certificates[i].cert_file);
        add_file(&state, o->certificates[i].key_file);
        add_file(&state, o->certificates[i].key_password_file);
    }
    add_file(&state, o->ca_file);
    add_file(&state, o->crl_file);
    add_directory(&state, o->crl_dir);
    return state;
}
