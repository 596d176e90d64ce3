/* The header of the PROXY protocol: what is decided on the whole input is not contradicted by any
 * beginning of it, and what is taken lies within the bounds. */
#include "fuzz.h"
#include "net/proxy.h"

#include <sys/socket.h>

static void check_text(const struct endpoint *e)
{
    char room[ENDPOINT_TEXT_MAX];
    require(strlen(endpoint_text(e, room)) > 0);
    require(e->family == AF_INET || e->family == AF_INET6 || e->family == AF_UNIX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header h = {0}, again = {0};
    const char *why = NULL;
    enum proxy_result result = proxy_parse(slice_of(data, size), &h, &why);
    if (result == PROXY_BAD) {
        require(why);
        return 0;
    }
    size_t end = result == PROXY_DONE ? h.len : size;
    require(end <= size && end < PROXY_V2_MAX + 1);
    for (size_t n = 0; n < end; n += n < 256 ? 1 : 37)
        require(proxy_parse(slice_of(data, n), &again, &why) == PROXY_MORE);
    if (result == PROXY_MORE)
        return 0;
    require(proxy_parse(slice_of(data, end), &again, &why) == PROXY_DONE);
    require(again.len == h.len && again.version == h.version);
    if (h.source.family) {
        check_text(&h.source);
        check_text(&h.destination);
    }
    return 0;
}
