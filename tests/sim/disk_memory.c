/* The forgetful disk. A node is a file or directory; `now` is what the process sees, `safe` what
 * the medium has for sure, `writes` what is between: sectors as they were after each write, any of
 * which may have reached the medium. Names are likewise linked now, or safely, or both. */
#include "disk_memory.h"

#include "base/buf.h"
#include "base/bug.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum { SECTOR = 512 };

struct write {
    uint64_t offset; /* of a sector */
    size_t len;
    uint8_t *data;
};

struct node {
    char *name;
    bool directory;
    bool linked, safely_linked;
    unsigned handles;
    struct buf now, safe;
    struct write *writes;
    size_t write_count, write_cap;
    uint64_t bad_offset, bad_len; /* unreadable */
};

struct handle {
    struct node *node; /* NULL: closed, or dead since a crash */
    bool dead, read_only;
};

struct failing {
    uint64_t in; /* calls until then; 0: never */
    int error;
    bool lasting;
};

struct disk {
    struct disk_base base;
    pthread_mutex_t lock;
    uint64_t random;
    struct node **nodes;
    size_t node_count, node_cap;
    struct handle *handles;
    size_t handle_count, handle_cap;
    uint64_t room;
    uint64_t calls[DISK_MEMORY_CALL_COUNT];
    struct failing failing[DISK_MEMORY_CALL_COUNT];
    uint64_t cut_in;
    bool cut;
};

/* ---- chance ---- */

static uint64_t next_random(struct disk *d)
{
    uint64_t z = d->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static bool chance(struct disk *d, unsigned percent)
{
    return next_random(d) % 100 < percent;
}

/* What this call is to do: 0 = its work, 1 = a short read, else -errno. *ret_part: part of it is to
 * be done nevertheless. */
static int begin(struct disk *d, enum disk_memory_call call, bool *ret_part)
{
    *ret_part = false;
    d->calls[call]++;
    if (d->cut)
        return -EIO;
    if (call != DISK_MEMORY_READ && call != DISK_MEMORY_LIST && d->cut_in && --d->cut_in == 0) {
        d->cut = *ret_part = true;
        return -EIO;
    }
    struct failing *f = &d->failing[call];
    if (f->in == 0 || --f->in > 0)
        return 0;
    if (f->lasting)
        f->in = 1;
    *ret_part = true;
    return f->error ? -f->error : 1;
}

/* ---- nodes ---- */

static struct node *find_node(const struct disk *d, const char *name)
{
    for (size_t i = 0; i < d->node_count; i++)
        if (d->nodes[i]->linked && strcmp(d->nodes[i]->name, name) == 0)
            return d->nodes[i];
    return NULL;
}

static struct node *add_node(struct disk *d, const char *name, bool directory)
{
    struct node *node = NEW(struct node);
    node->name = mem_strdup(name);
    node->directory = directory;
    node->linked = true;
    MEM_GROW(d->nodes, d->node_cap, d->node_count + 1);
    d->nodes[d->node_count++] = node;
    return node;
}

static void forget_writes(struct node *node)
{
    for (size_t i = 0; i < node->write_count; i++)
        free(node->writes[i].data);
    node->write_count = 0;
}

static void free_node(struct node *node)
{
    forget_writes(node);
    free(node->writes);
    buf_fini(&node->now);
    buf_fini(&node->safe);
    free(node->name);
    free(node);
}

/* Drops nodes that nothing leads to, now or after a crash. */
static void collect(struct disk *d)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->node_count; i++) {
        struct node *node = d->nodes[i];
        if (node->linked || node->safely_linked || node->handles)
            d->nodes[kept++] = node;
        else
            free_node(node);
    }
    d->node_count = kept;
}

/* Zeros up to a size, or cut to it. */
static void set_len(struct buf *b, size_t size)
{
    if (size > b->len)
        memset(buf_reserve(b, size - b->len), 0, size - b->len);
    b->len = size;
}

static void put(struct buf *b, uint64_t offset, const uint8_t *data, size_t n)
{
    if (offset + n > b->len)
        set_len(b, offset + n);
    if (n)
        memcpy(b->data + offset, data, n);
}

static bool in_directory(const char *name, const char *directory)
{
    const char *slash = strrchr(name, '/');
    if (strcmp(directory, ".") == 0)
        return slash == NULL;
    size_t n = strlen(directory);
    return slash && (size_t)(slash - name) == n && memcmp(name, directory, n) == 0;
}

static bool parent_exists(const struct disk *d, const char *name)
{
    for (size_t i = 0; i < d->node_count; i++)
        if (d->nodes[i]->linked && d->nodes[i]->directory && in_directory(name, d->nodes[i]->name))
            return true;
    return strchr(name, '/') == NULL;
}

/* ---- writes ---- */

/* Sectors of the node as they are now, as one of the states that the medium may get. */
static void remember(struct node *node, uint64_t offset, size_t n)
{
    uint64_t from = offset / SECTOR * SECTOR, to = (offset + n + SECTOR - 1) / SECTOR * SECTOR;
    if (to > node->now.len)
        to = node->now.len;
    if (to <= from)
        return;
    MEM_GROW(node->writes, node->write_cap, node->write_count + 1);
    struct write *w = &node->writes[node->write_count++];
    *w = (struct write){from, to - from, mem_alloc(to - from)};
    memcpy(w->data, node->now.data + from, w->len);
}

/* Each sector of each write reaches the medium, or not. */
static void reach(struct disk *d, struct node *node, unsigned percent)
{
    for (size_t i = 0; i < node->write_count; i++) {
        struct write *w = &node->writes[i];
        for (size_t at = 0; at < w->len; at += SECTOR) {
            size_t n = w->len - at < SECTOR ? w->len - at : SECTOR;
            if (chance(d, percent))
                put(&node->safe, w->offset + at, w->data + at, n);
        }
    }
    forget_writes(node);
}

static void make_safe(struct node *node)
{
    set_len(&node->safe, node->now.len);
    for (size_t i = 0; i < node->write_count; i++) {
        struct write *w = &node->writes[i];
        memcpy(node->safe.data + w->offset, node->now.data + w->offset, w->len);
    }
    forget_writes(node);
}

static struct handle *get_handle(struct disk *d, int file)
{
    bug_on(file < 0 || (size_t)file >= d->handle_count);
    struct handle *h = &d->handles[file];
    bug_on(!h->node && !h->dead);
    return h->node ? h : NULL;
}

/* As much as there is room for; less than was asked: ENOSPC. */
static size_t allowed(struct disk *d, struct node *node, uint64_t offset, size_t n)
{
    if (offset + n <= node->now.len || d->room == UINT64_MAX)
        return n;
    uint64_t growth = offset + n - node->now.len;
    if (growth > d->room) {
        uint64_t over = growth - d->room;
        n = over < n ? n - over : 0;
        growth = offset + n > node->now.len ? offset + n - node->now.len : 0;
    }
    d->room -= growth;
    return n;
}

static int memory_pwritev(struct disk *d, int file, const struct iovec *iov, int n, uint64_t offset)
{
    pthread_mutex_lock(&d->lock);
    bool part;
    int status = begin(d, DISK_MEMORY_WRITE, &part);
    struct handle *h = get_handle(d, file);
    if (!h || h->read_only)
        status = -EBADF;
    else if (status >= 0 || part) {
        size_t total = 0;
        for (int i = 0; i < n; i++)
            total += iov[i].iov_len;
        size_t len = allowed(d, h->node, offset, total);
        if (len < total && status >= 0)
            status = -ENOSPC;
        if (part && len)
            len = (size_t)(next_random(d) % (len + 1)) / SECTOR * SECTOR;
        uint64_t at = offset;
        size_t left = len;
        for (int i = 0; i < n && left; i++) {
            size_t take = iov[i].iov_len < left ? iov[i].iov_len : left;
            put(&h->node->now, at, iov[i].iov_base, take);
            at += take;
            left -= take;
        }
        remember(h->node, offset, len);
        if (h->node->bad_offset < offset + len && offset < h->node->bad_offset + h->node->bad_len)
            h->node->bad_len = 0;
    }
    pthread_mutex_unlock(&d->lock);
    return status < 0 ? status : 0;
}

static int64_t memory_pread(struct disk *d, int file, void *data, size_t n, uint64_t offset)
{
    pthread_mutex_lock(&d->lock);
    bool part;
    int64_t status = begin(d, DISK_MEMORY_READ, &part);
    struct handle *h = get_handle(d, file);
    if (!h)
        status = -EBADF;
    else if (status >= 0) {
        const struct node *node = h->node;
        size_t got = offset < node->now.len ? node->now.len - offset : 0;
        if (got > n)
            got = n;
        if (status == 1 && got > 1)
            got = 1 + next_random(d) % (got - 1);
        if (node->bad_len && offset < node->bad_offset + node->bad_len &&
            node->bad_offset < offset + got)
            status = -EIO;
        else {
            if (got)
                memcpy(data, node->now.data + offset, got);
            status = (int64_t)got;
        }
    }
    pthread_mutex_unlock(&d->lock);
    return status;
}

static int memory_sync(struct disk *d, int file)
{
    pthread_mutex_lock(&d->lock);
    bool part;
    int status = begin(d, DISK_MEMORY_SYNC, &part);
    struct handle *h = get_handle(d, file);
    if (!h)
        status = -EBADF;
    else if (status >= 0)
        make_safe(h->node);
    else if (part && !d->cut)
        reach(d, h->node, 50);
    pthread_mutex_unlock(&d->lock);
    return status < 0 ? status : 0;
}

/* ---- names ---- */

static int add_handle(struct disk *d, struct node *node, bool read_only)
{
    size_t i = 0;
    while (i < d->handle_count && (d->handles[i].node || d->handles[i].dead))
        i++;
    if (i == d->handle_count) {
        MEM_GROW(d->handles, d->handle_cap, d->handle_count + 1);
        d->handle_count++;
    }
    d->handles[i] = (struct handle){.node = node, .read_only = read_only};
    node->handles++;
    return (int)i;
}

static int memory_open(struct disk *d, const char *name, unsigned flags)
{
    pthread_mutex_lock(&d->lock);
    bool part;
    int status = begin(d, DISK_MEMORY_OPEN, &part);
    struct node *node = find_node(d, name);
    if (status >= 0) {
        if (!node && (flags & DISK_CREATE) && parent_exists(d, name))
            node = add_node(d, name, false);
        status = !node             ? -ENOENT
                 : node->directory ? -EISDIR
                                   : add_handle(d, node, flags & DISK_READ_ONLY);
    }
    pthread_mutex_unlock(&d->lock);
    return status;
}

static int memory_close(struct disk *d, int file)
{
    pthread_mutex_lock(&d->lock);
    struct handle *h = get_handle(d, file);
    if (h)
        h->node->handles--;
    d->handles[file] = (struct handle){.node = NULL};
    collect(d);
    pthread_mutex_unlock(&d->lock);
    return 0;
}

static int64_t memory_size(struct disk *d, int file)
{
    pthread_mutex_lock(&d->lock);
    struct handle *h = get_handle(d, file);
    int64_t size = h ? (int64_t)h->node->now.len : -EBADF;
    pthread_mutex_unlock(&d->lock);
    return size;
}

static int memory_unlink(struct disk *d, const char *name)
{
    pthread_mutex_lock(&d->lock);
    bool part;
    int status = begin(d, DISK_MEMORY_UNLINK, &part);
    struct node *node = find_node(d, name);
    if (status >= 0) {
        status = !node ? -ENOENT : node->directory ? -EISDIR : 0;
        if (status == 0) {
            node->linked = false;
            if (d->room != UINT64_MAX)
                d->room += node->now.len;
            collect(d);
        }
    }
    pthread_mutex_unlock(&d->lock);
    return status < 0 ? status : 0;
}

static int memory_make_directory(struct disk *d, const char *name)
{
    pthread_mutex_lock(&d->lock);
    bool part;
    int status = begin(d, DISK_MEMORY_MAKE_DIRECTORY, &part);
    if (status >= 0 && !find_node(d, name)) {
        if (parent_exists(d, name))
            add_node(d, name, true);
        else
            status = -ENOENT;
    }
    pthread_mutex_unlock(&d->lock);
    return status < 0 ? status : 0;
}

static int memory_sync_directory(struct disk *d, const char *name)
{
    pthread_mutex_lock(&d->lock);
    bool part;
    int status = begin(d, DISK_MEMORY_SYNC_DIRECTORY, &part);
    if (status >= 0 && strcmp(name, ".") != 0) {
        const struct node *directory = find_node(d, name);
        status = !directory ? -ENOENT : !directory->directory ? -ENOTDIR : 0;
    }
    for (size_t i = 0; status >= 0 && i < d->node_count; i++)
        if (in_directory(d->nodes[i]->name, name))
            d->nodes[i]->safely_linked = d->nodes[i]->linked;
    collect(d);
    pthread_mutex_unlock(&d->lock);
    return status < 0 ? status : 0;
}

static int memory_list(struct disk *d, const char *directory,
                       bool (*fn)(const char *name, void *arg), void *arg)
{
    char **names = NULL;
    size_t count = 0, cap = 0;
    pthread_mutex_lock(&d->lock);
    bool part;
    int status = begin(d, DISK_MEMORY_LIST, &part);
    if (status >= 0 && strcmp(directory, ".") != 0 && !find_node(d, directory))
        status = -ENOENT;
    for (size_t i = 0; status >= 0 && i < d->node_count; i++) {
        const char *name = d->nodes[i]->name;
        if (!d->nodes[i]->linked || !in_directory(name, directory))
            continue;
        const char *slash = strrchr(name, '/');
        MEM_GROW(names, cap, count + 1);
        names[count++] = mem_strdup(slash ? slash + 1 : name);
    }
    pthread_mutex_unlock(&d->lock);
    bool on = true;
    for (size_t i = 0; i < count; i++) {
        on = on && fn(names[i], arg);
        free(names[i]);
    }
    free(names);
    return status < 0 ? status : 0;
}

static int64_t memory_room(struct disk *d)
{
    pthread_mutex_lock(&d->lock);
    int64_t room = d->room > INT64_MAX ? INT64_MAX : (int64_t)d->room;
    pthread_mutex_unlock(&d->lock);
    return room;
}

static void memory_close_disk(struct disk **disk)
{
    struct disk *d = *disk;
    for (size_t i = 0; i < d->node_count; i++)
        free_node(d->nodes[i]);
    free(d->nodes);
    free(d->handles);
    pthread_mutex_destroy(&d->lock);
    free(d);
    *disk = NULL;
}

static const struct disk_type memory = {
    .open = memory_open,
    .close = memory_close,
    .pwritev = memory_pwritev,
    .pread = memory_pread,
    .sync = memory_sync,
    .size = memory_size,
    .unlink = memory_unlink,
    .make_directory = memory_make_directory,
    .sync_directory = memory_sync_directory,
    .list = memory_list,
    .room = memory_room,
    .close_disk = memory_close_disk,
};

struct disk *disk_memory_new(uint64_t seed)
{
    struct disk *d = NEW(struct disk);
    d->base.type = &memory;
    d->random = seed;
    d->room = UINT64_MAX;
    pthread_mutex_init(&d->lock, NULL);
    return d;
}

/* ---- crashes ---- */

/* A file without its directory is lost. */
static void lose_orphans(struct disk *d)
{
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < d->node_count; i++) {
            struct node *node = d->nodes[i];
            if (node->linked && !parent_exists(d, node->name)) {
                node->linked = false;
                again = true;
            }
        }
    }
}

/* Of two that were made with the same name, one after the other, the later has it. */
static void lose_doubles(struct disk *d)
{
    for (size_t i = 0; i < d->node_count; i++)
        for (size_t k = i + 1; d->nodes[i]->linked && k < d->node_count; k++)
            if (d->nodes[k]->linked && strcmp(d->nodes[i]->name, d->nodes[k]->name) == 0)
                d->nodes[i]->linked = false;
}

static void kill_handles(struct disk *d)
{
    for (size_t i = 0; i < d->handle_count; i++) {
        if (d->handles[i].node) {
            d->handles[i].node->handles--;
            d->handles[i] = (struct handle){.dead = true};
        }
    }
}

static void lose(struct disk *d, enum disk_memory_loss loss)
{
    static const unsigned percents[] = {0, 5, 50, 50, 90, 95, 100};
    for (size_t i = 0; i < d->node_count; i++) {
        struct node *node = d->nodes[i];
        unsigned percent = loss == DISK_MEMORY_LOSE_ALL ? 0 : percents[next_random(d) % 7];
        reach(d, node, percent);
        if (chance(d, percent) && node->safe.len < node->now.len)
            set_len(&node->safe, node->now.len);
        set_len(&node->now, node->safe.len);
        if (node->safe.len)
            memcpy(node->now.data, node->safe.data, node->safe.len);
        if (node->linked != node->safely_linked && !chance(d, percent))
            node->linked = node->safely_linked;
    }
    lose_doubles(d);
    lose_orphans(d);
    for (size_t i = 0; i < d->node_count; i++)
        d->nodes[i]->safely_linked = d->nodes[i]->linked;
}

void disk_memory_crash(struct disk *d, enum disk_memory_loss loss)
{
    pthread_mutex_lock(&d->lock);
    kill_handles(d);
    if (loss != DISK_MEMORY_LOSE_NONE)
        lose(d, loss);
    collect(d);
    d->cut = false;
    d->cut_in = 0;
    memset(d->failing, 0, sizeof d->failing);
    pthread_mutex_unlock(&d->lock);
}

void disk_memory_cut(struct disk *d, uint64_t n)
{
    pthread_mutex_lock(&d->lock);
    d->cut_in = n;
    pthread_mutex_unlock(&d->lock);
}

bool disk_memory_is_cut(struct disk *d)
{
    pthread_mutex_lock(&d->lock);
    bool cut = d->cut;
    pthread_mutex_unlock(&d->lock);
    return cut;
}

static struct write write_copy(const struct write *w)
{
    struct write copy = {w->offset, w->len, mem_alloc(w->len)};
    memcpy(copy.data, w->data, w->len);
    return copy;
}

static void copy_node(struct disk *to, const struct node *node)
{
    struct node *twin = add_node(to, node->name, node->directory);
    twin->linked = node->linked;
    twin->safely_linked = node->safely_linked;
    buf_append(&twin->now, node->now.data, node->now.len);
    buf_append(&twin->safe, node->safe.data, node->safe.len);
    MEM_GROW(twin->writes, twin->write_cap, node->write_count);
    for (size_t i = 0; i < node->write_count; i++)
        twin->writes[twin->write_count++] = write_copy(&node->writes[i]);
}

struct disk *disk_memory_after_crash(struct disk *d, uint64_t seed, enum disk_memory_loss loss)
{
    struct disk *copy = disk_memory_new(seed);
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < d->node_count; i++)
        copy_node(copy, d->nodes[i]);
    copy->room = d->room;
    pthread_mutex_unlock(&d->lock);
    disk_memory_crash(copy, loss);
    return copy;
}

/* ---- failures ---- */

void disk_memory_fail(struct disk *d, enum disk_memory_call call, uint64_t n, int error,
                      bool lasting)
{
    pthread_mutex_lock(&d->lock);
    d->failing[call] = (struct failing){n, error, lasting};
    pthread_mutex_unlock(&d->lock);
}

uint64_t disk_memory_calls(struct disk *d, enum disk_memory_call call)
{
    pthread_mutex_lock(&d->lock);
    uint64_t n = d->calls[call];
    pthread_mutex_unlock(&d->lock);
    return n;
}

void disk_memory_set_room(struct disk *d, uint64_t bytes)
{
    pthread_mutex_lock(&d->lock);
    d->room = bytes;
    pthread_mutex_unlock(&d->lock);
}

/* ---- damage and inspection ---- */

const uint8_t *disk_memory_bytes(struct disk *d, const char *name, size_t *ret_size)
{
    pthread_mutex_lock(&d->lock);
    const struct node *node = find_node(d, name);
    if (node)
        *ret_size = node->now.len;
    pthread_mutex_unlock(&d->lock);
    return node ? node->now.data : NULL;
}

/* Damage is done to what is safe: the file must be synced. */
static struct node *get_safe_node(struct disk *d, const char *name)
{
    struct node *node = find_node(d, name);
    bug_on(!node);
    make_safe(node);
    return node;
}

void disk_memory_poke(struct disk *d, const char *name, uint64_t offset, const void *data, size_t n)
{
    pthread_mutex_lock(&d->lock);
    struct node *node = get_safe_node(d, name);
    put(&node->now, offset, data, n);
    put(&node->safe, offset, data, n);
    pthread_mutex_unlock(&d->lock);
}

void disk_memory_flip(struct disk *d, const char *name, uint64_t bit)
{
    pthread_mutex_lock(&d->lock);
    struct node *node = get_safe_node(d, name);
    bug_on(bit / 8 >= node->now.len);
    uint8_t byte = node->now.data[bit / 8] ^ (uint8_t)(1u << bit % 8);
    node->now.data[bit / 8] = node->safe.data[bit / 8] = byte;
    pthread_mutex_unlock(&d->lock);
}

void disk_memory_truncate(struct disk *d, const char *name, uint64_t size)
{
    pthread_mutex_lock(&d->lock);
    struct node *node = get_safe_node(d, name);
    set_len(&node->now, size);
    set_len(&node->safe, size);
    pthread_mutex_unlock(&d->lock);
}

void disk_memory_remove(struct disk *d, const char *name)
{
    pthread_mutex_lock(&d->lock);
    struct node *node = find_node(d, name);
    bug_on(!node);
    node->linked = node->safely_linked = false;
    collect(d);
    pthread_mutex_unlock(&d->lock);
}

void disk_memory_set_unreadable(struct disk *d, const char *name, uint64_t offset, uint64_t n)
{
    pthread_mutex_lock(&d->lock);
    struct node *node = find_node(d, name);
    bug_on(!node);
    node->bad_offset = offset;
    node->bad_len = n;
    pthread_mutex_unlock(&d->lock);
}

struct disk *disk_memory_copy(struct disk *d, uint64_t seed)
{
    struct disk *copy = disk_memory_new(seed);
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < d->node_count; i++) {
        const struct node *node = d->nodes[i];
        if (!node->linked)
            continue;
        struct node *twin = add_node(copy, node->name, node->directory);
        twin->safely_linked = true;
        buf_append(&twin->now, node->now.data, node->now.len);
        buf_append(&twin->safe, node->now.data, node->now.len);
    }
    copy->room = d->room;
    pthread_mutex_unlock(&d->lock);
    return copy;
}
