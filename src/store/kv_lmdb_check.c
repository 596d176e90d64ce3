/* Pages of LMDB 0.9 as they are on disk, in the machine's byte order (lmdb.h does not tell them):
 *   page: number u64, pad u16, flags u16, lower u16, upper u16; offsets of nodes u16 up to lower
 *   node: low u16, high u16, flags u16, key length u16, key, value or number of its page
 *   meta (behind the head of pages 0 and 1): magic u32, version u32, address u64, map size u64,
 *     two databases (free pages, main), last page u64, transaction u64
 *   database: page size u32, flags u16, depth u16, counts 4 x u64, root u64 */
#include "store/kv_lmdb_check.h"

#include "base/mem.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PAGE_HEAD = 16,
    NODE_HEAD = 8,
    META_SIZE = 136,
    DB_SIZE = 48,
    PAGE_BRANCH = 1,
    PAGE_LEAF = 2,
    NODE_BIG = 1,
    NODE_TABLE = 2,
    KEY_MAX = 511,
    DEPTH_MAX = 32,
    PAGES_MAX = 16384 /* looked at; 64 MB of them lead to some GB of values */
};
static const uint32_t META_MAGIC = 0xBEEFC0DE;
static const uint64_t NO_PAGE = UINT64_MAX;

struct check {
    int fd;
    size_t page_size;
    uint64_t last;
    unsigned left; /* pages to look at */
    bool numbers;  /* keys are numbers in the machine's order, as those of free pages */
    char *why;
    size_t room;
    uint8_t *pages; /* one a depth */
};

static uint16_t u16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint32_t u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static bool bad(struct check *c, uint64_t page, const char *what)
{
    snprintf(c->why, c->room, "page %" PRIu64 ": %s", page, what);
    return false;
}

/* A database as a meta page or a node has it. */
static bool check_table(struct check *c, const uint8_t *db, uint64_t where, unsigned base);

static bool check_leaf_node(struct check *c, uint64_t page, const uint8_t *node, size_t space,
                            unsigned depth)
{
    uint64_t size = u16(node) | (uint64_t)u16(node + 2) << 16;
    unsigned flags = u16(node + 4);
    size_t key = u16(node + 6);
    const uint8_t *value = node + NODE_HEAD + key;
    if (key == 0 || key > KEY_MAX || NODE_HEAD + key > space)
        return bad(c, page, "a key does not fit");
    space -= NODE_HEAD + key;
    if (flags & NODE_BIG) {
        uint64_t pages = (PAGE_HEAD + size + c->page_size - 1) / c->page_size;
        if (space < 8 || u64(value) < 2 || u64(value) > c->last || c->last - u64(value) + 1 < pages)
            return bad(c, page, "a value is outside of the file");
        return true;
    }
    if (size > space)
        return bad(c, page, "a value does not fit");
    if (flags & NODE_TABLE)
        return size == DB_SIZE ? check_table(c, value, page, depth + 1)
                               : bad(c, page, "a table's record has another size");
    return flags ? bad(c, page, "a node has unknown flags") : true;
}

static bool check_page(struct check *c, uint64_t number, unsigned depth, unsigned height);

/* height 1: a leaf. */
static bool check_node(struct check *c, uint64_t page, unsigned i, unsigned depth, unsigned height)
{
    const uint8_t *p = c->pages + depth * c->page_size;
    size_t upper = u16(p + 14), at = u16(p + PAGE_HEAD + 2 * i);
    if (at < upper || at + NODE_HEAD > c->page_size || at % 2)
        return bad(c, page, "a node is outside of its page");
    const uint8_t *node = p + at;
    if (height == 1)
        return check_leaf_node(c, page, node, c->page_size - at, depth);
    size_t key = u16(node + 6);
    uint64_t child = u16(node) | (uint64_t)u16(node + 2) << 16 | (uint64_t)u16(node + 4) << 32;
    if (key > KEY_MAX || at + NODE_HEAD + key > c->page_size)
        return bad(c, page, "a key does not fit");
    return check_page(c, child, depth + 1, height - 1);
}

/* Keys of a page rise; the first of a branch says nothing. */
static bool check_order(struct check *c, uint64_t page, unsigned count, unsigned depth, bool leaf)
{
    const uint8_t *p = c->pages + depth * c->page_size;
    for (unsigned i = leaf ? 1 : 2; i < count && !c->numbers; i++) {
        const uint8_t *a = p + u16(p + PAGE_HEAD + 2 * (i - 1)),
                      *b = p + u16(p + PAGE_HEAD + 2 * i);
        size_t m = u16(a + 6), n = u16(b + 6);
        int order = memcmp(a + NODE_HEAD, b + NODE_HEAD, m < n ? m : n);
        if (order > 0 || (order == 0 && m >= n))
            return bad(c, page, "keys are out of order");
    }
    return true;
}

static bool check_page(struct check *c, uint64_t number, unsigned depth, unsigned height)
{
    uint8_t *p = c->pages + depth * c->page_size;
    if (c->left == 0)
        return true;
    c->left--;
    if (number < 2 || number > c->last)
        return bad(c, number, "there is no such page");
    if (depth >= DEPTH_MAX)
        return bad(c, number, "too deep");
    if (pread(c->fd, p, c->page_size, (off_t)(number * c->page_size)) != (ssize_t)c->page_size)
        return bad(c, number, "cannot be read");
    unsigned lower = u16(p + 12), upper = u16(p + 14);
    if (u64(p) != number)
        return bad(c, number, "another page's number");
    if (u16(p + 10) != (height == 1 ? PAGE_LEAF : PAGE_BRANCH))
        return bad(c, number, "a page of another kind");
    if (lower < PAGE_HEAD + 2 || lower % 2 || lower > upper || upper > c->page_size)
        return bad(c, number, "its bounds do not fit");
    unsigned count = (lower - PAGE_HEAD) / 2;
    for (unsigned i = 0; i < count; i++) {
        if (!check_node(c, number, i, depth, height))
            return false;
    }
    return check_order(c, number, count, depth, height == 1);
}

static bool check_table(struct check *c, const uint8_t *db, uint64_t where, unsigned base)
{
    unsigned height = u16(db + 6);
    uint64_t root = u64(db + 40);
    if (root == NO_PAGE)
        return true;
    if (height == 0 || height + base > DEPTH_MAX)
        return bad(c, where, "a tree's depth does not fit");
    return check_page(c, root, base, height);
}

static bool check_metas(struct check *c, const uint8_t *first, const uint8_t *second)
{
    const uint8_t *meta = u64(second + 128) > u64(first + 128) ? second : first;
    c->last = u64(meta + 120);
    if (u32(meta + 24) != c->page_size)
        return bad(c, meta == second, "the size of pages does not fit");
    if (c->last < 1 || c->last > (1ULL << 48) / c->page_size)
        return bad(c, 0, "the number of pages does not fit");
    c->numbers = true;
    if (!check_table(c, meta + 24, 0, 0))
        return false;
    c->numbers = false;
    return check_table(c, meta + 72, 0, 0);
}

bool kv_lmdb_check(const char *path, char *why, size_t room)
{
    uint8_t head[PAGE_HEAD + META_SIZE], second[PAGE_HEAD + META_SIZE];
    bool ok = true;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    struct check c = {.fd = fd, .left = PAGES_MAX, .why = why, .room = room};
    bool whole = sizeof(size_t) == 8 && pread(fd, head, sizeof head, 0) == sizeof head &&
                 u32(head + PAGE_HEAD) == META_MAGIC;
    if (whole) {
        c.page_size = u32(head + PAGE_HEAD + 24);
        ok = c.page_size >= 512 && c.page_size <= 65536 && !(c.page_size & (c.page_size - 1));
        if (!ok)
            bad(&c, 0, "the size of pages does not fit");
        else if (pread(fd, second, sizeof second, (off_t)c.page_size) == sizeof second &&
                 u32(second + PAGE_HEAD) == META_MAGIC) {
            c.pages = mem_alloc(DEPTH_MAX * c.page_size);
            ok = check_metas(&c, head + PAGE_HEAD, second + PAGE_HEAD);
            free(c.pages);
        }
    }
    close(fd);
    return ok;
}
