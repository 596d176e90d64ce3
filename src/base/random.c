/* getrandom(2), through a small buffer per thread for the names that every declare asks for. */
#include "base/random.h"

#include "base/base64.h"
#include "base/bug.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum { POOL_SIZE = 1024 };

/* exception: drawn ahead for the thread, so that no lock is needed */
static _Thread_local struct {
    uint8_t bytes[POOL_SIZE];
    size_t left;
} pool;

static void fill(uint8_t *out, size_t len)
{
    while (len) {
        ssize_t n = getrandom(out, len, 0);
        if (n < 0) {
            if (errno != EINTR)
                bug_panic("getrandom: %s", strerror(errno));
            continue;
        }
        out += n;
        len -= (size_t)n;
    }
}

void random_bytes(void *out, size_t len)
{
    if (len > sizeof pool.bytes / 4) {
        fill(out, len);
        return;
    }
    if (pool.left < len) {
        fill(pool.bytes, sizeof pool.bytes);
        pool.left = sizeof pool.bytes;
    }
    uint8_t *from = pool.bytes + sizeof pool.bytes - pool.left;
    memcpy(out, from, len);
    explicit_bzero(from, len); /* what was handed out is nobody else's to find */
    pool.left -= len;
}

uint64_t random_u64(void)
{
    uint64_t n;
    random_bytes(&n, sizeof n);
    return n;
}

void random_name(char out[RANDOM_NAME_SIZE])
{
    uint8_t bytes[16];
    char text[25];
    random_bytes(bytes, sizeof bytes);
    size_t n = base64_encode_url(slice_of(bytes, sizeof bytes), text);
    memcpy(out, text, n + 1);
}

void random_hex(char *out, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t raw[64];
    bug_on(bytes > sizeof raw);
    random_bytes(raw, bytes);
    for (size_t i = 0; i < bytes; i++) {
        *out++ = digits[raw[i] >> 4];
        *out++ = digits[raw[i] & 15];
    }
    *out = '\0';
}
