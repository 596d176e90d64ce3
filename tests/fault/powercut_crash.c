/* The loss of power, after a kill -9 of a process that ran with powercut.so.
 *
 *   powercut crash DIR SEED    takes back any part of what was not synced below DIR; prints what
 *   powercut list DIR          prints what is not synced
 *   powercut forget DIR        takes everything as synced
 *
 * Of each file the sectors of 512 bytes that have unsynced writes get, each for itself or all in
 * one way (the seed decides), the contents before one of these writes, or keep what they have; its
 * size may fall back with them. Of each directory a last part of the names made, removed and
 * renamed since its sync is undone: file systems with a journal keep their order. */
#define _GNU_SOURCE
#include "powercut.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct change { /* of a file's contents, not synced, or synced as it returned */
    struct powercut_record r;
    const char *data;
};
struct file {
    struct file *next;
    char *path; /* where it is now: its name, or its shadow */
    char *name; /* the last it had */
    bool there;
    struct change *changes;
    size_t count, cap;
};
struct name { /* a change in a directory */
    struct powercut_record r;
    char *path, *to;
    struct file *file, *replaced;
};

static struct {
    char side[PATH_MAX];
    struct file *files;
    struct name *names;
    size_t name_count, name_cap;
    uint64_t random;
    unsigned long writes, sectors, undone, cuts;
} self;

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "powercut: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t draw(uint64_t below)
{
    self.random += 0x9e3779b97f4a7c15u;
    return below ? mix(self.random) % below : 0;
}

static void *grow(void *array, size_t *cap, size_t count, size_t size)
{
    if (count < *cap)
        return array;
    *cap = *cap ? *cap * 2 : 16;
    array = realloc(array, *cap * size);
    if (!array)
        die("memory");
    return array;
}

/* ---- reading the log ---- */

static struct file *find_file(const char *path)
{
    for (struct file *f = self.files; f; f = f->next)
        if (f->there && !strcmp(f->name, path))
            return f;
    return NULL;
}

static struct file *get_file(const char *path)
{
    struct file *f = find_file(path);
    size_t n = strlen(path);
    const char *gone = n > 10 ? path + n - 10 : "";
    if (!f && !strcmp(gone, " (deleted)")) { /* the last that had this name */
        for (f = self.files; f; f = f->next)
            if (!f->there && strlen(f->name) == n - 10 && !strncmp(f->name, path, n - 10))
                return f;
    }
    if (!f) {
        f = calloc(1, sizeof *f);
        *f = (struct file){
            .next = self.files, .path = strdup(path), .name = strdup(path), .there = true};
        self.files = f;
    }
    return f;
}

static char *shadow_path(unsigned number)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/%u", self.side, number);
    return strdup(path);
}

static void detach(struct file *f, unsigned shadow)
{
    f->there = false;
    free(f->path);
    f->path = shadow ? shadow_path(shadow) : NULL;
}

/* Those that the sync of a file covers are safe: what is left are later ones, and where safe ones
 * were. */
static void on_sync(struct file *f, const uint64_t *at, uint64_t mark)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->count; i++)
        if (f->changes[i].r.mark >= mark)
            f->changes[kept++] = f->changes[i];
    f->count = kept;
    (void)at;
}

static bool in_directory(const char *path, const char *directory)
{
    const char *slash = strrchr(path, '/');
    return slash && (size_t)(slash - path) == strlen(directory) &&
           !strncmp(path, directory, strlen(directory));
}

static void on_sync_names(const char *directory, uint64_t mark)
{
    size_t kept = 0;
    for (size_t i = 0; i < self.name_count; i++) {
        struct name *n = &self.names[i];
        if (!in_directory(n->path, directory) || n->r.mark >= mark)
            self.names[kept++] = *n;
    }
    self.name_count = kept;
}

static void on_name(const struct powercut_record *r, const char *path, const char *data,
                    uint64_t at)
{
    self.names = grow(self.names, &self.name_cap, self.name_count, sizeof *self.names);
    struct name *n = &self.names[self.name_count++];
    *n = (struct name){.r = *r, .path = strdup(path)};
    n->r.mark = at;
    if (r->kind == POWERCUT_CREATE) {
        struct file *old = find_file(path);
        if (old)
            detach(old, 0);
        n->file = get_file(path);
    } else if (r->kind == POWERCUT_UNLINK) {
        n->file = get_file(path);
        detach(n->file, r->shadow);
    } else if (r->kind == POWERCUT_RENAME) {
        n->to = strndup(data, r->data_len);
        n->replaced = find_file(n->to);
        if (!n->replaced && r->shadow)
            n->replaced = get_file(n->to);
        if (n->replaced)
            detach(n->replaced, r->shadow);
        n->file = get_file(path);
        free(n->file->name);
        free(n->file->path);
        n->file->name = strdup(n->to);
        n->file->path = strdup(n->to);
    }
}

static void on_record(const struct powercut_record *r, const char *path, const char *data,
                      uint64_t at)
{
    struct stat st;
    struct file *f;
    switch ((enum powercut_kind)r->kind) {
    case POWERCUT_WRITE:
    case POWERCUT_TRUNCATE:
        f = get_file(path);
        f->changes = grow(f->changes, &f->cap, f->count, sizeof *f->changes);
        f->changes[f->count] = (struct change){*r, data};
        f->changes[f->count++].r.mark = at;
        return;
    case POWERCUT_SYNC:
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
            on_sync_names(path, r->mark);
        else
            on_sync(get_file(path), &at, r->mark);
        return;
    default:
        on_name(r, path, data, at);
    }
}

static void read_log(const char *log, size_t size)
{
    size_t at = 0;
    char path[PATH_MAX];
    while (at + sizeof(struct powercut_record) <= size) {
        struct powercut_record r;
        memcpy(&r, log + at, sizeof r);
        bool whole = r.magic == POWERCUT_MAGIC && r.check == powercut_check(&r) &&
                     r.path_len < sizeof path && r.data_len <= size &&
                     at + sizeof r + r.path_len + r.data_len <= size;
        if (!whole) { /* the process died as it wrote this; another may have gone on behind it */
            at++;
            continue;
        }
        memcpy(path, log + at + sizeof r, r.path_len);
        path[r.path_len] = '\0';
        on_record(&r, path, log + at + sizeof r + r.path_len, at);
        at += sizeof r + r.path_len + r.data_len;
    }
}

/* ---- contents ---- */

enum manner { ALL_LOST, ALL_KEPT, BY_TIME, BY_SECTOR, BY_PAGE, BY_CHOICE, MANNERS };

struct loss {
    enum manner manner;
    uint64_t salt;
    size_t count, common;
};

/* From which change on this sector is undone. */
static size_t cut_of(const struct loss *l, uint64_t sector)
{
    uint64_t noise = mix(l->salt ^ mix((l->manner == BY_PAGE ? sector / 8 : sector) + 1));
    switch (l->manner) {
    case ALL_LOST:
        return 0;
    case ALL_KEPT:
        return l->count;
    case BY_CHOICE:
        return noise & 1 ? 0 : l->count;
    case BY_TIME:
        return l->common;
    default:
        return noise % (l->count + 1);
    }
}

/* A write that was synced as it returned took the whole sector along, as it was then. */
static size_t floor_of(const struct file *f, uint64_t sector)
{
    for (size_t i = f->count; i-- > 0;) {
        const struct powercut_record *r = &f->changes[i].r;
        if (r->durable && r->length && sector >= r->offset / POWERCUT_SECTOR &&
            sector <= (r->offset + r->length - 1) / POWERCUT_SECTOR)
            return i + 1;
    }
    return 0;
}

static void put(int fd, const char *data, uint64_t n, uint64_t offset)
{
    if (n && pwrite(fd, data, n, (off_t)offset) != (ssize_t)n)
        die("pwrite");
}

static void undo_part(int fd, const struct change *c, uint64_t from, uint64_t to)
{
    static const char zeros[POWERCUT_SECTOR];
    uint64_t known = c->r.offset + c->r.data_len;
    uint64_t middle = known < from ? from : known > to ? to : known;
    if (middle > from)
        put(fd, c->data + (from - c->r.offset), middle - from, from);
    struct stat st;
    if (fstat(fd, &st) == 0 && (uint64_t)st.st_size < to) /* it was cut there later */
        to = (uint64_t)st.st_size;
    if (to > middle)
        put(fd, zeros, to - middle, middle);
}

static void undo(int fd, const struct file *f, size_t index, const struct loss *l, bool any_durable)
{
    const struct change *c = &f->changes[index];
    uint64_t end = c->r.offset + (c->r.kind == POWERCUT_WRITE ? c->r.length : c->r.data_len);
    for (uint64_t at = c->r.offset; at < end;) {
        uint64_t sector = at / POWERCUT_SECTOR, next = (sector + 1) * POWERCUT_SECTOR;
        size_t cut = cut_of(l, sector), floor = any_durable ? floor_of(f, sector) : 0;
        if (next > end)
            next = end;
        if (index >= (cut > floor ? cut : floor)) {
            undo_part(fd, c, at, next);
            self.sectors++;
        }
        at = next;
    }
}

static uint64_t size_after(const struct file *f, const struct loss *l, uint64_t now)
{
    uint64_t floor = 0;
    for (size_t i = 0; i < f->count; i++) {
        const struct powercut_record *r = &f->changes[i].r;
        if (r->durable && r->offset + r->length > floor)
            floor = r->offset + r->length;
    }
    size_t cut = l->manner == ALL_LOST   ? 0
                 : l->manner == ALL_KEPT ? l->count
                 : l->manner == BY_TIME  ? l->common
                 : draw(2)               ? l->count
                                         : draw(l->count + 1);
    uint64_t size = cut < f->count ? f->changes[cut].r.old_size : now;
    return size > floor ? size : floor;
}

static void lose_contents(struct file *f)
{
    struct stat st;
    if (!f->count || !f->path)
        return;
    int fd = open(f->path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        if (fd >= 0)
            close(fd);
        return;
    }
    struct loss l = {
        .manner = (enum manner)draw(MANNERS), .salt = mix(draw(UINT64_MAX)), .count = f->count};
    l.common = draw(f->count + 1);
    bool any_durable = false;
    for (size_t i = 0; i < f->count; i++)
        any_durable |= f->changes[i].r.durable;
    self.writes += f->count;
    for (size_t i = f->count; i-- > 0;)
        undo(fd, f, i, &l, any_durable);
    uint64_t size = size_after(f, &l, (uint64_t)st.st_size);
    if (size != (uint64_t)st.st_size) {
        if (ftruncate(fd, (off_t)size) != 0)
            die("ftruncate");
        self.cuts++;
    }
    close(fd);
}

/* ---- names ---- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static void undo_name(const struct name *n)
{
    char *shadow;
    switch ((enum powercut_kind)n->r.kind) {
    case POWERCUT_CREATE:
        if (n->file->there && !strcmp(n->file->name, n->path))
            unlink(n->path);
        n->file->there = false;
        break;
    case POWERCUT_UNLINK:
        shadow = n->r.shadow ? shadow_path(n->r.shadow) : NULL;
        if (shadow && linkat(AT_FDCWD, shadow, AT_FDCWD, n->path, 0) == 0)
            n->file->there = true;
        free(shadow);
        break;
    case POWERCUT_RENAME:
        if (rename(n->to, n->path) == 0 && n->r.shadow) {
            shadow = shadow_path(n->r.shadow);
            (void)!linkat(AT_FDCWD, shadow, AT_FDCWD, n->to, 0);
            free(shadow);
        }
        free(n->file->name);
        n->file->name = strdup(n->path);
        break;
    case POWERCUT_MKDIR:
        nftw(n->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        break;
    case POWERCUT_RMDIR:
        mkdir(n->path, 0700);
        break;
    default:
        break;
    }
    self.undone++;
}

static void lose_names(void)
{
    bool *lost = calloc(self.name_count + 1, sizeof *lost);
    if (!lost)
        die("memory");
    for (size_t i = 0; i < self.name_count; i++) { /* the first of each directory decides for it */
        char *directory = strndup(self.names[i].path,
                                  (size_t)(strrchr(self.names[i].path, '/') - self.names[i].path));
        size_t pending = 0, seen = 0;
        bool first = true;
        for (size_t k = 0; k < self.name_count; k++) {
            bool here = in_directory(self.names[k].path, directory);
            pending += here;
            first &= !here || k >= i;
        }
        size_t kept = draw(4) ? draw(pending + 1) : 0;
        for (size_t k = 0; first && k < self.name_count; k++)
            if (in_directory(self.names[k].path, directory))
                lost[k] = seen++ >= kept;
        free(directory);
    }
    for (size_t i = self.name_count; i-- > 0;)
        if (lost[i])
            undo_name(&self.names[i]);
    free(lost);
}

static void list(void)
{
    static const char *const kinds[POWERCUT_KIND_END] = {[POWERCUT_CREATE] = "made",
                                                         [POWERCUT_UNLINK] = "removed",
                                                         [POWERCUT_RENAME] = "renamed",
                                                         [POWERCUT_MKDIR] = "made /",
                                                         [POWERCUT_RMDIR] = "removed /"};
    for (size_t i = 0; i < self.name_count; i++)
        printf("%s %s\n", kinds[self.names[i].r.kind], self.names[i].path);
    for (struct file *f = self.files; f; f = f->next)
        if (f->count)
            printf("%zu writes of %s\n", f->count, f->name);
}

static void crash(void)
{
    for (struct file *f = self.files; f; f = f->next)
        lose_contents(f);
    lose_names();
    printf("%lu unsynced writes, %lu sectors and %lu ends of files taken back, %lu names of %zu\n",
           self.writes, self.sectors, self.cuts, self.undone, self.name_count);
}

/* Reads the log, which stays mapped. */
static void load(void)
{
    char path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/log", self.side);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 && errno == ENOENT) /* the process died before it began */
        return;
    if (fd < 0 || fstat(fd, &st) != 0)
        die(path);
    if (st.st_size) {
        char *log = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (log == MAP_FAILED)
            die("mmap");
        read_log(log, (size_t)st.st_size);
    }
    close(fd);
}

int main(int argc, char **argv)
{
    char root[PATH_MAX];
    bool crashes = argc == 4 && !strcmp(argv[1], "crash"),
         lists = argc == 3 && !strcmp(argv[1], "list");
    if (!crashes && !lists && !(argc == 3 && !strcmp(argv[1], "forget"))) {
        fputs("usage: powercut crash DIR SEED | powercut list DIR | powercut forget DIR\n", stderr);
        return 64;
    }
    if (!realpath(argv[2], root))
        die(argv[2]);
    snprintf(self.side, sizeof self.side, "%.*s.powercut", PATH_MAX - 20, root);
    self.random = crashes ? mix(strtoull(argv[3], NULL, 10) + 1) : 0;
    if (crashes || lists)
        load();
    if (lists) {
        list();
        return 0;
    }
    if (crashes)
        crash();
    nftw(self.side, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
