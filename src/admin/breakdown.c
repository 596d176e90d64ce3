/* The parts of the resident size. The allocator counts pages that it handed out and nobody has
 * written to yet, which are not resident: where the parts would be more than there is, those that
 * are known less well give way. */
#include "admin/breakdown.h"

static const char *const names[PART_COUNT] = {
    [PART_MESSAGES] = "messages",
    [PART_QUEUES] = "queues",
    [PART_STREAMS] = "streams",
    [PART_CONNECTIONS] = "connections",
    [PART_CHANNELS] = "channels",
    [PART_BUFFERS] = "buffers",
    [PART_DEFINITIONS] = "definitions",
    [PART_SHARDS] = "shards",
    [PART_TLS] = "tls",
    [PART_STORE] = "store",
    [PART_DATABASE] = "database_pages",
    [PART_OTHER] = "other_allocated",
    [PART_UNUSED] = "allocated_unused",
    [PART_ALLOCATOR] = "allocator_metadata",
    [PART_STACKS] = "stacks",
    [PART_CODE] = "code",
};

const char *memory_part_name(enum memory_part part)
{
    return names[part];
}

static uint64_t take(uint64_t wanted, uint64_t *left)
{
    uint64_t n = wanted < *left ? wanted : *left;
    *left -= n;
    return n;
}

static uint64_t above(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* Blocks of one size, as allocators round it up: to one of four steps between powers of two. */
static uint64_t rounded_up(uint64_t count, uint64_t bytes)
{
    uint64_t size = count ? (bytes + count - 1) / count : 0, step = 16;
    while (step * 8 < size)
        step *= 2;
    return (size + step - 1) / step * step * count;
}

struct breakdown breakdown_of(const struct memory_facts *facts, const struct memory_use *use)
{
    struct breakdown b = {.total = facts->rss + facts->files, .own = facts->rss};
    uint64_t left = facts->rss;
    const struct {
        enum memory_part part;
        uint64_t bytes;
    } heap[] = {
        {PART_MESSAGES, rounded_up(use->messages, use->message_bytes)},
        {PART_QUEUES, use->queues},
        {PART_STREAMS, use->streams},
        {PART_CONNECTIONS, use->connections},
        {PART_CHANNELS, use->channels},
        {PART_DEFINITIONS, facts->definitions},
        {PART_TLS, facts->tls},
        {PART_SHARDS, use->shards},
        {PART_BUFFERS, use->buffers},
        {PART_STORE, use->store},
    };
    uint64_t known = 0;
    b.parts[PART_STACKS] = take(facts->stacks, &left);
    for (unsigned i = 0; i < sizeof heap / sizeof *heap; i++) {
        b.parts[heap[i].part] = take(heap[i].bytes, &left);
        known += heap[i].bytes;
    }
    b.parts[PART_OTHER] = take(above(facts->allocated, known + facts->reserved), &left);
    b.parts[PART_UNUSED] = take(facts->unused, &left);
    b.parts[PART_ALLOCATOR] = take(facts->metadata, &left);
    uint64_t code = facts->files < facts->code ? facts->files : facts->code;
    b.parts[PART_DATABASE] = facts->files - code;
    b.parts[PART_CODE] = code + left;
    return b;
}
