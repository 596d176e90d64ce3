/* Validation by the table of well-formed byte sequences (Unicode 15, table 3-7). */
#include "base/utf8.h"

static bool is_tail(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

static unsigned two_or_three(const uint8_t *p, size_t left)
{
    if (p[0] < 0xe0)
        return left >= 2 && is_tail(p[1]) ? 2 : 0;
    if (left < 3 || !is_tail(p[1]) || !is_tail(p[2]))
        return 0;
    if (p[0] == 0xe0 && p[1] < 0xa0) /* overlong */
        return 0;
    if (p[0] == 0xed && p[1] > 0x9f) /* surrogate */
        return 0;
    return 3;
}

unsigned utf8_char_len(struct slice text)
{
    const uint8_t *p = text.data;
    size_t left = text.len;
    if (!left)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    if (p[0] < 0xf0)
        return two_or_three(p, left);
    if (left < 4 || !is_tail(p[1]) || !is_tail(p[2]) || !is_tail(p[3]))
        return 0;
    if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return 4;
}

bool utf8_valid(struct slice text)
{
    size_t at = 0;
    while (at < text.len) {
        uint64_t eight;
        if (text.len - at >= sizeof eight) {
            memcpy(&eight, text.data + at, sizeof eight);
            if (!(eight & 0x8080808080808080u)) {
                at += sizeof eight;
                continue;
            }
        }
        unsigned n = utf8_char_len(slice_of(text.data + at, text.len - at));
        if (!n)
            return false;
        at += n;
    }
    return true;
}

struct slice utf8_cut(struct slice text, size_t limit)
{
    if (text.len <= limit)
        return text;
    size_t cut = limit;
    while (cut && is_tail(text.data[cut]))
        cut--;
    return slice_of(text.data, cut);
}
