/* A ring of bytes. A place in it is the count of all bytes that came before. */
#include "base/log_recent.h"

#include <pthread.h>
#include <string.h>

/* exception: the log is the process's, and so is what it said last */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t ring[LOG_RECENT_BYTES];
static uint64_t end; /* place of the next line */

static uint8_t byte_at(uint64_t place)
{
    return ring[place % LOG_RECENT_BYTES];
}

/* The first place of a whole line. */
static uint64_t oldest(void)
{
    if (end <= LOG_RECENT_BYTES)
        return 0;
    uint64_t place = end - LOG_RECENT_BYTES;
    while (place < end && byte_at(place) != '\n')
        place++;
    return place + (place < end);
}

void log_recent_keep(struct slice line)
{
    if (line.len > LOG_RECENT_BYTES)
        return;
    pthread_mutex_lock(&lock);
    size_t at = end % LOG_RECENT_BYTES, room = LOG_RECENT_BYTES - at;
    size_t first = line.len < room ? line.len : room;
    memcpy(ring + at, line.data, first);
    memcpy(ring, line.data + first, line.len - first);
    end += line.len;
    pthread_mutex_unlock(&lock);
}

uint64_t log_recent_begin(size_t lines)
{
    pthread_mutex_lock(&lock);
    uint64_t from = oldest(), place = end;
    while (lines && place > from) {
        place--;
        while (place > from && byte_at(place - 1) != '\n')
            place--;
        lines--;
    }
    pthread_mutex_unlock(&lock);
    return place;
}

/* The place behind the last whole line that ends at most max bytes after from. */
static uint64_t last_end(uint64_t from, size_t max)
{
    uint64_t place = end - from > max ? from + max : end;
    while (place > from && byte_at(place - 1) != '\n')
        place--;
    return place;
}

uint64_t log_recent_read(uint64_t *at, size_t max, struct buf *out)
{
    pthread_mutex_lock(&lock);
    uint64_t from = oldest(), lost = from > *at ? from - *at : 0;
    uint64_t to = last_end(*at + lost, max);
    for (from = *at + lost; from < to;) {
        size_t in = from % LOG_RECENT_BYTES, n = LOG_RECENT_BYTES - in;
        n = to - from < n ? (size_t)(to - from) : n;
        buf_append(out, ring + in, n);
        from += n;
    }
    *at = from;
    pthread_mutex_unlock(&lock);
    return lost;
}
