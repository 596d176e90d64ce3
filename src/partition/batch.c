/* The form of a batch. The checksum covers all bytes behind itself, so that a length that was
 * damaged is found out by what it says. */
#include "partition/batch.h"

#include "base/crc32c.h"

#include <endian.h>

enum { AT_MAGIC = 0, AT_CRC = 4, AT_LENGTH = 8, AT_COUNT = 12, AT_BASE = 16, AT_TIME = 24 };
enum {
    AT_SYNCED = 32,
    AT_FILTER = 40,
    AT_FLAGS = 41,
    AT_CHECK = 42,
    AT_SALT = 44,
    FLAG_UNFILTERED = 1
};

static const uint8_t magic[4] = {'J', 'K', 'P', '1'};

static uint32_t load_32(const uint8_t *p)
{
    uint32_t n;
    memcpy(&n, p, sizeof n);
    return le32toh(n);
}

static uint64_t load_64(const uint8_t *p)
{
    uint64_t n;
    memcpy(&n, p, sizeof n);
    return le64toh(n);
}

static uint16_t load_16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static void store_32(uint8_t *p, uint32_t n)
{
    n = htole32(n);
    memcpy(p, &n, sizeof n);
}

static void store_64(uint8_t *p, uint64_t n)
{
    n = htole64(n);
    memcpy(p, &n, sizeof n);
}

/* Of the head alone, so that a length that is damaged makes nobody read that much. Never 0: older
 * batches have none. */
static uint16_t head_check(const uint8_t *p)
{
    uint32_t crc = crc32c(0, p + AT_LENGTH, AT_CHECK - AT_LENGTH);
    crc = crc32c(crc, p + AT_SALT, BATCH_HEAD - AT_SALT);
    uint16_t check = (uint16_t)(crc ^ crc >> 16);
    return check ? check : 1;
}

static bool fits(const struct batch *b)
{
    return b->count && b->base + b->count > b->base && b->filter_len <= b->length &&
           (uint64_t)b->count * BATCH_ENTRY_HEAD <= b->length - b->filter_len;
}

enum batch_status batch_check(struct slice bytes, struct batch *ret_batch, size_t *ret_size)
{
    static const uint8_t zeros[BATCH_HEAD];
    const uint8_t *p = bytes.data;
    *ret_size = BATCH_HEAD;
    if (bytes.len < BATCH_HEAD)
        return BATCH_SHORT;
    if (memcmp(p, magic, sizeof magic) != 0)
        return memcmp(p, zeros, BATCH_HEAD) ? BATCH_BAD : BATCH_END;
    *ret_batch = (struct batch){.base = load_64(p + AT_BASE),
                                .time_ms = load_64(p + AT_TIME),
                                .synced = load_64(p + AT_SYNCED),
                                .count = load_32(p + AT_COUNT),
                                .length = load_32(p + AT_LENGTH),
                                .salt = load_32(p + AT_SALT),
                                .filter_len = p[AT_FILTER],
                                .unfiltered = p[AT_FLAGS] & FLAG_UNFILTERED};
    uint16_t check = load_16(p + AT_CHECK);
    if (!fits(ret_batch) || (check && check != head_check(p)))
        return BATCH_BAD;
    *ret_size = BATCH_HEAD + (size_t)ret_batch->length;
    if (bytes.len < *ret_size)
        return BATCH_SHORT;
    uint32_t crc = crc32c(0, p + AT_LENGTH, *ret_size - AT_LENGTH);
    return crc == load_32(p + AT_CRC) ? BATCH_WHOLE : BATCH_BAD;
}

size_t batch_search(struct slice bytes)
{
    for (size_t i = 1; i + sizeof magic <= bytes.len; i++) {
        const uint8_t *p = memchr(bytes.data + i, magic[0], bytes.len - i);
        if (!p)
            break;
        i = (size_t)(p - bytes.data);
        if (bytes.len - i >= sizeof magic && memcmp(p, magic, sizeof magic) == 0)
            return i;
    }
    return bytes.len;
}

void batch_finish(struct slice bytes, const struct batch *batch)
{
    uint8_t *p = (uint8_t *)(uintptr_t)bytes.data;
    memcpy(p, magic, sizeof magic);
    store_32(p + AT_LENGTH, batch->length);
    store_32(p + AT_COUNT, batch->count);
    store_64(p + AT_BASE, batch->base);
    store_64(p + AT_TIME, batch->time_ms);
    store_64(p + AT_SYNCED, batch->synced);
    p[AT_FILTER] = batch->filter_len;
    p[AT_FLAGS] = batch->unfiltered ? FLAG_UNFILTERED : 0;
    store_32(p + AT_SALT, batch->salt);
    uint16_t check = head_check(p);
    p[AT_CHECK] = (uint8_t)check;
    p[AT_CHECK + 1] = (uint8_t)(check >> 8);
    store_32(p + AT_CRC, crc32c(0, p + AT_LENGTH, bytes.len - AT_LENGTH));
}

struct slice batch_entries(struct slice bytes, const struct batch *batch)
{
    return slice_of(bytes.data + BATCH_HEAD, batch->length - batch->filter_len);
}

struct slice batch_filter(struct slice bytes, const struct batch *batch)
{
    return slice_of(bytes.data + BATCH_HEAD + batch->length - batch->filter_len, batch->filter_len);
}

bool batch_next(struct slice *entries, struct slice *ret_entry)
{
    if (entries->len < BATCH_ENTRY_HEAD)
        return false;
    uint32_t len = load_32(entries->data);
    if (entries->len - BATCH_ENTRY_HEAD < len)
        return false;
    *ret_entry = slice_of(entries->data + BATCH_ENTRY_HEAD, len);
    *entries = slice_of(ret_entry->data + len, entries->len - BATCH_ENTRY_HEAD - len);
    return true;
}

/* ---- the filter ---- */

enum { HASHES = 3 };

static size_t bit_of(struct slice value, uint32_t hash, size_t len)
{
    return crc32c(hash * 0x9e3779b9u + 1, value.data, value.len) % (len * 8);
}

void filter_add(uint8_t *filter, size_t len, struct slice value)
{
    for (uint32_t i = 0; i < HASHES; i++) {
        size_t bit = bit_of(value, i, len);
        filter[bit / 8] = (uint8_t)(filter[bit / 8] | 1u << bit % 8);
    }
}

bool filter_may_have(struct slice filter, struct slice value)
{
    for (uint32_t i = 0; i < HASHES && filter.len; i++) {
        size_t bit = bit_of(value, i, filter.len);
        if (!(filter.data[bit / 8] >> bit % 8 & 1))
            return false;
    }
    return filter.len > 0;
}
