#include "admin/facts.h"

#include "admin/admin_priv.h"
#include "admin/disk_monitor.h"
#include "admin/files.h"
#include "admin/memory.h"
#include "admin/monitor.h"
#include "base/clock.h"
#include "conf/conf.h"

#include <sys/resource.h>

static uint64_t file_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

struct facts_now facts_now(struct shard *shard)
{
    const struct admin *admin = admin_of(shard_node(shard));
    struct monitor_facts memory = monitor_facts(admin->monitor);
    struct disk_facts disk = disk_monitor_facts(admin->disk);
    return (struct facts_now){.node_name = admin_conf(admin)->node_name,
                              .conf = admin_conf(admin),
                              .uptime_ms = clock_wall_ms() - admin->started_ms,
                              .memory = memory_rss(),
                              .memory_limit = memory.watermark,
                              .memory_alarm = memory.alarm,
                              .disk_free = disk.free,
                              .disk_limit = disk.limit,
                              .disk_known = disk.known,
                              .disk_alarm = disk.alarm,
                              .files = files_count(admin->files, shard_now_ms(shard)),
                              .files_max = file_limit(),
                              .maintenance = admin->maintenance};
}
