#include "tests/sim/power.h"

#include "base/bug.h"
#include "base/mem.h"
#include "tests/sim/machine.h"

#include <stdlib.h>

static struct {
    struct disk *disk; /* the process's */
    struct kv *kv;
    struct disk *left_disk; /* what a crash, or the end, left; NULL: neither was */
    struct kv *left_kv;
    uint64_t armed;
    bool cut, spared;
    unsigned doors; /* that are open */
} power;

/* What store.c has instead of the disk. */
struct disk {
    struct disk_base base;
};
static const struct disk_type through;
static struct disk door = {{&through}};

static void keep(enum disk_memory_loss loss)
{
    power.left_disk = disk_memory_after_crash(power.disk, machine_rnd(UINT32_MAX), loss);
    power.left_kv = kv_memory_copy(power.kv);
}

void power_cut(void)
{
    if (power.left_disk)
        return;
    keep((enum disk_memory_loss)machine_rnd(3));
    power.cut = true;
}

void power_spare(void)
{
    power.spared = true;
}

bool power_is_cut(void)
{
    return power.cut;
}

void power_arm(uint64_t n)
{
    power.armed = n;
}

/* Before a call that changes something. */
static void count(void)
{
    if (power.armed && --power.armed == 0)
        power_cut();
}

static bool between(void *unused)
{
    (void)unused;
    count();
    machine_give_way();
    return false;
}

static void use(struct disk *disk, struct kv *kv)
{
    power.disk = disk;
    power.kv = kv;
    power.left_disk = NULL;
    power.left_kv = NULL;
    power.cut = power.spared = false;
    power.armed = 0;
    kv_memory_watch(kv, between, NULL);
}

void power_begin(uint64_t seed)
{
    use(disk_memory_new(seed), kv_memory_new());
}

void power_restart(void)
{
    bug_on(!power.left_disk);
    disk_close(&power.disk);
    use(power.left_disk, power.left_kv);
}

void power_fini(void)
{
    disk_close(&power.disk);
    kv_close(&power.kv);
    disk_close(&power.left_disk);
    kv_close(&power.left_kv);
}

struct disk *power_disk(void)
{
    return power.disk;
}

struct kv *power_kv(void)
{
    return power.kv;
}

/* ---- the disk ---- */

static int door_open(struct disk *d, const char *name, unsigned flags)
{
    (void)d;
    count();
    return disk_open_file(power.disk, name, flags);
}

static int door_close(struct disk *d, int file)
{
    (void)d;
    return disk_close_file(power.disk, file);
}

static int door_pwritev(struct disk *d, int file, const struct iovec *iov, int n, uint64_t offset)
{
    (void)d;
    count();
    machine_give_way();
    int status = disk_pwritev(power.disk, file, iov, n, offset);
    count();
    machine_give_way();
    return status;
}

static int64_t door_pread(struct disk *d, int file, void *data, size_t n, uint64_t offset)
{
    (void)d;
    machine_give_way();
    return disk_pread(power.disk, file, data, n, offset);
}

static int door_sync(struct disk *d, int file)
{
    (void)d;
    count();
    machine_give_way();
    int status = disk_sync(power.disk, file);
    count();
    machine_give_way();
    return status;
}

static int64_t door_size(struct disk *d, int file)
{
    (void)d;
    return disk_size(power.disk, file);
}

static int door_unlink(struct disk *d, const char *name)
{
    (void)d;
    count();
    return disk_unlink(power.disk, name);
}

static int door_make_directory(struct disk *d, const char *name)
{
    (void)d;
    count();
    return disk_make_directory(power.disk, name);
}

static int door_sync_directory(struct disk *d, const char *name)
{
    (void)d;
    count();
    return disk_sync_directory(power.disk, name);
}

static int door_list(struct disk *d, const char *directory, bool (*fn)(const char *name, void *arg),
                     void *arg)
{
    (void)d;
    return disk_list(power.disk, directory, fn, arg);
}

static int64_t door_room(struct disk *d)
{
    (void)d;
    return disk_room(power.disk);
}

/* The store's end is the last: the database is closed next. */
static void door_close_disk(struct disk **d)
{
    *d = NULL;
    if (--power.doors == 0 && !power.left_disk)
        keep(power.spared ? DISK_MEMORY_LOSE_NONE : DISK_MEMORY_LOSE_ALL);
}

static const struct disk_type through = {
    .open = door_open,
    .close = door_close,
    .pwritev = door_pwritev,
    .pread = door_pread,
    .sync = door_sync,
    .size = door_size,
    .unlink = door_unlink,
    .make_directory = door_make_directory,
    .sync_directory = door_sync_directory,
    .list = door_list,
    .room = door_room,
    .close_disk = door_close_disk,
};

struct disk *disk_open(const char *directory)
{
    (void)directory;
    power.doors++;
    return &door;
}

/* ---- the database ---- */

enum err kv_lmdb_open(const struct kv_options *options, struct kv **ret_kv, struct failure *why)
{
    (void)options;
    (void)why;
    *ret_kv = power.kv;
    return ERR_NONE;
}

void kv_lmdb_space(struct kv *kv, uint64_t *ret_file, uint64_t *ret_free)
{
    (void)kv;
    *ret_file = *ret_free = 0;
}

uint64_t kv_lmdb_reserved(const struct kv *kv)
{
    (void)kv;
    return 0;
}

enum kv_status kv_lmdb_trim(struct kv *kv)
{
    (void)kv;
    return KV_OK;
}
