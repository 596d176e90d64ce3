/* PROXY protocol headers, strictly: what deviates is refused, since whoever can write the header
 * can claim any address. */
#include "net/proxy.h"

#include <arpa/inet.h>
#include <sys/socket.h>

static const uint8_t signature_v2[12] = {'\r', '\n', '\r', '\n', 0,   '\r',
                                         '\n', 'Q',  'U',  'I',  'T', '\n'};

static enum proxy_result bad(const char **ret_why, const char *why)
{
    *ret_why = why;
    return PROXY_BAD;
}

/* ---- version 1: one line of text ---- */

/* Takes the text up to the next space, or the end, into word. */
static bool take_word(struct slice *line, char *word, size_t room)
{
    const uint8_t *space = line->len ? memchr(line->data, ' ', line->len) : NULL;
    size_t n = space ? (size_t)(space - line->data) : line->len;
    if (n == 0 || n >= room || memchr(line->data, 0, n))
        return false;
    memcpy(word, line->data, n);
    word[n] = 0;
    size_t skip = space ? n + 1 : n;
    line->data += skip;
    line->len -= skip;
    return !space || line->len > 0;
}

static bool take_ip(struct slice *line, uint16_t family, struct endpoint *e)
{
    char word[INET6_ADDRSTRLEN];
    uint8_t ip[16];
    if (!take_word(line, word, sizeof word) || inet_pton(family, word, ip) != 1)
        return false;
    *e = endpoint_of_ip(family, ip, 0);
    return true;
}

static bool take_port(struct slice *line, struct endpoint *e)
{
    char word[6];
    unsigned value = 0;
    if (!take_word(line, word, sizeof word) || (word[0] == '0' && word[1]))
        return false;
    for (const char *p = word; *p; p++) {
        if (*p < '0' || *p > '9')
            return false;
        value = value * 10 + (unsigned)(*p - '0');
    }
    e->port = (uint16_t)value;
    return value <= UINT16_MAX;
}

static enum proxy_result parse_v1_line(struct slice line, struct proxy_header *h,
                                       const char **ret_why)
{
    char word[8];
    line.data += 6;
    line.len -= 6;
    if (slice_eq_str(line, "UNKNOWN") || slice_starts(line, SLICE("UNKNOWN ")))
        return PROXY_DONE;
    if (!take_word(&line, word, sizeof word))
        return bad(ret_why, "no protocol in the version 1 line");
    uint16_t family = 0;
    if (strcmp(word, "TCP4") == 0)
        family = AF_INET;
    else if (strcmp(word, "TCP6") == 0)
        family = AF_INET6;
    else
        return bad(ret_why, "unknown protocol in the version 1 line");
    if (!take_ip(&line, family, &h->source) || !take_ip(&line, family, &h->destination))
        return bad(ret_why, "malformed address in the version 1 line");
    if (!take_port(&line, &h->source) || !take_port(&line, &h->destination) || line.len)
        return bad(ret_why, "malformed port in the version 1 line");
    return PROXY_DONE;
}

static enum proxy_result parse_v1(struct slice data, struct proxy_header *h, const char **ret_why)
{
    size_t limit = data.len < PROXY_V1_MAX ? data.len : PROXY_V1_MAX;
    const uint8_t *cr = memchr(data.data, '\r', limit);
    size_t n = cr ? (size_t)(cr - data.data) : limit;
    if (memchr(data.data, '\n', n))
        return bad(ret_why, "a version 1 line ends in CR LF");
    if (!cr || n + 1 == limit) {
        if (limit == PROXY_V1_MAX)
            return bad(ret_why, "the version 1 line is longer than 107 bytes");
        return PROXY_MORE;
    }
    if (cr[1] != '\n')
        return bad(ret_why, "a version 1 line ends in CR LF");
    h->version = 1;
    h->len = n + 2;
    return parse_v1_line(slice_of(data.data, n), h, ret_why);
}

/* ---- version 2: binary ---- */

static unsigned be16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static bool tlvs_fit(struct slice rest)
{
    while (rest.len) {
        if (rest.len < 3 || rest.len - 3 < be16(rest.data + 1))
            return false;
        size_t n = 3 + be16(rest.data + 1);
        rest.data += n;
        rest.len -= n;
    }
    return true;
}

/* Fills the addresses; returns how many bytes they take, 0 if they do not fit. */
static size_t take_addresses(struct slice body, uint16_t family, struct proxy_header *h)
{
    enum { UNIX_PATH = 108 };
    const uint8_t *p = body.data;
    if (family == AF_UNIX) {
        if (body.len < 2 * UNIX_PATH)
            return 0;
        h->source.family = h->destination.family = AF_UNIX;
        h->unix_path = slice_of(p + UNIX_PATH, strnlen((const char *)p + UNIX_PATH, UNIX_PATH));
        return 2 * UNIX_PATH;
    }
    size_t ip = family == AF_INET ? 4 : 16;
    if (body.len < 2 * ip + 4)
        return 0;
    h->source = endpoint_of_ip(family, p, (uint16_t)be16(p + 2 * ip));
    h->destination = endpoint_of_ip(family, p + ip, (uint16_t)be16(p + 2 * ip + 2));
    return 2 * ip + 4;
}

static enum proxy_result parse_v2_body(struct slice body, uint8_t family_byte,
                                       struct proxy_header *h, const char **ret_why)
{
    uint16_t family = 0;
    switch (family_byte) {
    case 0x00: /* UNSPEC */
        return PROXY_DONE;
    case 0x11:
        family = AF_INET;
        break;
    case 0x21:
        family = AF_INET6;
        break;
    case 0x31:
        family = AF_UNIX;
        break;
    default:
        return bad(ret_why, "not a stream protocol in the version 2 header");
    }
    size_t used = take_addresses(body, family, h);
    if (!used)
        return bad(ret_why, "the version 2 header is shorter than its addresses");
    if (!tlvs_fit(slice_of(body.data + used, body.len - used)))
        return bad(ret_why, "malformed TLV in the version 2 header");
    return PROXY_DONE;
}

static enum proxy_result parse_v2(struct slice data, struct proxy_header *h, const char **ret_why)
{
    enum { COMMAND = 12, FAMILY = 13, LENGTH = 14 };
    if (data.len > COMMAND && data.data[COMMAND] >> 4 != 2)
        return bad(ret_why, "unknown version");
    if (data.len > COMMAND && (data.data[COMMAND] & 0x0f) > 1)
        return bad(ret_why, "unknown command in the version 2 header");
    if (data.len < PROXY_V2_FIXED)
        return PROXY_MORE;
    size_t body = be16(data.data + LENGTH);
    if (body > PROXY_V2_MAX - PROXY_V2_FIXED)
        return bad(ret_why, "the version 2 header is longer than 4112 bytes");
    if (data.len - PROXY_V2_FIXED < body)
        return PROXY_MORE;
    h->version = 2;
    h->len = PROXY_V2_FIXED + body;
    if ((data.data[COMMAND] & 0x0f) == 0) /* LOCAL: whatever follows is to be ignored */
        return PROXY_DONE;
    return parse_v2_body(slice_of(data.data + PROXY_V2_FIXED, body), data.data[FAMILY], h, ret_why);
}

enum proxy_result proxy_parse(struct slice data, struct proxy_header *ret_header,
                              const char **ret_why)
{
    struct slice v1 = SLICE("PROXY ");
    struct slice v2 = slice_of(signature_v2, sizeof signature_v2);
    struct proxy_header header = {0};
    enum proxy_result result = PROXY_MORE;
    if (slice_starts(data, v1))
        result = parse_v1(data, &header, ret_why);
    else if (slice_starts(data, v2))
        result = parse_v2(data, &header, ret_why);
    else if (!slice_starts(v1, data) && !slice_starts(v2, data))
        return bad(ret_why, "the bytes are no PROXY header");
    if (result == PROXY_DONE)
        *ret_header = header;
    return result;
}
