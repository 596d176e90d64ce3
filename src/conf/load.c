/* The sources, one after the other: files, environment, flags. */
#include "conf/conf_priv.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONF_D_MAX = 1000 }; /* files of conf.d */

/* ---- files ---- */
static bool read_fd(int fd, struct buf *out)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return false;
    }
    while (out->len <= TREE_BYTES_MAX) {
        uint8_t *room = buf_reserve(out, 65536);
        ssize_t n = read(fd, room, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        out->len += (size_t)n;
    }
    return true;
}

static void read_file(struct loader *l, const char *file)
{
    struct buf text = BUF_INIT;
    l->source = file;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || !read_fd(fd, &text))
        walk_problem(l, 0, "cannot be read: %s", strerror(errno));
    else
        walk_text(l, buf_slice(&text));
    if (fd >= 0)
        close(fd);
    buf_fini(&text);
}

static int is_yaml(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);
    return entry->d_name[0] != '.' && n > 5 && strcmp(entry->d_name + n - 5, ".yaml") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void read_files(struct loader *l, const char *file)
{
    read_file(l, file);
    const char *slash = strrchr(file, '/');
    int dir_len = slash ? (int)(slash - file + 1) : 0;
    char *dir = mem_printf("%.*sconf.d", dir_len, file);
    struct dirent **entries;
    int n = scandir(dir, &entries, is_yaml, by_bytes);
    for (int i = 0; i < n; i++) {
        char *name = mem_printf("%s/%s", dir, entries[i]->d_name);
        if (i < CONF_D_MAX)
            read_file(l, name);
        free(name);
        free(entries[i]);
    }
    if (n < 0 && errno != ENOENT && errno != ENOTDIR) {
        l->source = dir;
        walk_problem(l, 0, "cannot be read: %s", strerror(errno));
    } else if (n >= 0) {
        free(entries);
    }
    free(dir);
}

/* ---- environment and flags ---- */
/* A value that is text, whatever the row: commas part the items of lists. A list is begun anew by
 * the first value of a source. */
static void set_from_text(struct loader *l, const struct row *row, const char *value)
{
    void *field = row_field(row, &l->full->conf);
    l->full->origins[row_index(row)] = walk_origin(l, 0);
    if (row->type != ROW_TEXTS && row->type != ROW_LIST) {
        walk_set_text(l, row, slice_str(value), 0, field);
        return;
    }
    if (!l->replaced[row_index(row)] && !row->append)
        *(struct any_list *)field = (struct any_list){NULL, 0};
    l->replaced[row_index(row)] = true;
    for (const char *p = value; *p;) {
        size_t n = strcspn(p, ",");
        if (row->type == ROW_TEXTS) {
            walk_add_text(l, row, slice_of(p, n), 0, field);
        } else {
            struct tree item = {.kind = TREE_SCALAR, .text = slice_of(p, n)};
            walk_add_item(l, row, &item, field);
        }
        p += n + (p[n] == ',');
    }
    if (row->type == ROW_TEXTS && ((struct any_list *)field)->count < row->min)
        walk_problem(l, 0, "%s: is empty", row->path);
}

static const struct row *find_environment(struct loader *l, const char *name, size_t len)
{
    static const char *const suffixes[] = {
        [SPELLED_PLAIN] = "", [SPELLED_ABSOLUTE] = "_ABSOLUTE", [SPELLED_RELATIVE] = "_RELATIVE"};
    const struct row *found = NULL;
    struct buf text = BUF_INIT;
    for (unsigned i = 0; i < ROW_COUNT && !found; i++) {
        if (!row_has_environment(&row_table[i]))
            continue;
        int last = row_table[i].type == ROW_MEMORY ? SPELLED_RELATIVE : SPELLED_PLAIN;
        for (int s = SPELLED_PLAIN; s <= last && !found; s++) {
            buf_clear(&text);
            row_environment(&row_table[i], &text);
            buf_append_str(&text, suffixes[s]);
            l->spelling = (enum spelling)s;
            if (slice_eq(buf_slice(&text), slice_of(name, len)))
                found = &row_table[i];
        }
    }
    buf_fini(&text);
    return found;
}

/* What a container platform sets for a service that is named after the broker. */
static bool is_service_link(const char *name)
{
    return strstr(name, "_SERVICE_") || strstr(name, "_PORT=") || strstr(name, "_PORT_");
}

static void read_environment(struct loader *l, const char *const *environment)
{
    static const char prefix[] = "JACKALOPE_";
    memset(l->replaced, 0, sizeof l->replaced);
    for (; environment && *environment; environment++) {
        const char *entry = *environment, *equals = strchr(entry, '=');
        if (!equals || strncmp(entry, prefix, sizeof prefix - 1) != 0)
            continue;
        size_t len = (size_t)(equals - entry);
        const struct row *row = find_environment(l, entry, len);
        char source[PATH_ROOM];
        snprintf(source, sizeof source, "environment %.*s", (int)len, entry);
        l->source = source;
        if (row)
            set_from_text(l, row, equals + 1);
        else if (!is_service_link(entry) && strncmp(entry, "JACKALOPE_CONFIG=", 17) != 0)
            log_warning(CONFIG, NULL, "%s: no key has this variable, it is ignored", source);
        l->source = NULL;
    }
}

static void read_settings(struct loader *l, const struct conf_setting *settings, size_t count)
{
    memset(l->replaced, 0, sizeof l->replaced);
    for (size_t i = 0; i < count; i++) {
        const struct row *row = row_find_flag(settings[i].name);
        char source[PATH_ROOM];
        snprintf(source, sizeof source, "--%s", settings[i].name);
        l->source = source;
        l->spelling = SPELLED_PLAIN;
        if (!row)
            row = row_find_spelled(slice_str(settings[i].name), &l->spelling);
        const char *value = settings[i].value;
        if (!row || !row_has_environment(row))
            walk_problem(l, 0, "unknown key '%.80s'", settings[i].name);
        else if (!value && row->type != ROW_BOOL)
            walk_problem(l, 0, "needs a value");
        else
            set_from_text(l, row, value ? value : "true");
        l->source = NULL;
    }
}

enum err conf_load(const struct conf_sources *sources, const struct conf **ret_conf,
                   struct buf *problems)
{
    struct loader *l = NEW(struct loader);
    struct conf_full *full = l->full = NEW(struct conf_full);
    atomic_init(&full->refs, 1);
    l->problems.out = problems;
    l->source = "default";
    walk_set_defaults(l, "", &full->conf);
    if (sources->file)
        read_files(l, sources->file);
    read_environment(l, sources->environment);
    read_settings(l, sources->settings, sources->setting_count);
    if (!l->problems.count)
        check_all(full, &l->problems);
    unsigned count = l->problems.count;
    free(l);
    const struct conf *conf = &full->conf;
    if (!count) {
        *ret_conf = conf;
        return ERR_NONE;
    }
    if (count > PROBLEMS_MAX)
        buf_append_str(problems, "... and more\n");
    conf_unref(&conf);
    return ERR_PRECONDITION_FAILED;
}
