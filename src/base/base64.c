/* Base64 by table. */
#include "base/base64.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t encode(struct slice data, const char *alphabet, bool padded, char *out)
{
    char *o = out;
    size_t i = 0;
    for (; data.len - i >= 3; i += 3) {
        uint32_t n =
            (uint32_t)data.data[i] << 16 | (uint32_t)data.data[i + 1] << 8 | data.data[i + 2];
        *o++ = alphabet[n >> 18];
        *o++ = alphabet[n >> 12 & 63];
        *o++ = alphabet[n >> 6 & 63];
        *o++ = alphabet[n & 63];
    }
    size_t rest = data.len - i;
    if (rest) {
        uint32_t n = (uint32_t)data.data[i] << 16;
        if (rest == 2)
            n |= (uint32_t)data.data[i + 1] << 8;
        *o++ = alphabet[n >> 18];
        *o++ = alphabet[n >> 12 & 63];
        if (rest == 2)
            *o++ = alphabet[n >> 6 & 63];
        else if (padded)
            *o++ = '=';
        if (padded)
            *o++ = '=';
    }
    *o = '\0';
    return (size_t)(o - out);
}

size_t base64_encode(struct slice data, char *out)
{
    return encode(data, standard, true, out);
}

size_t base64_encode_url(struct slice data, char *out)
{
    return encode(data, url, false, out);
}

/* 0..63, or 64 for a character outside the alphabet. */
static uint32_t value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a' + 26);
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0' + 52);
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* The last group of a text, with pad (0..2) characters of padding. */
static bool decode_group(const uint8_t *in, unsigned pad, uint8_t *out)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < 4; i++) {
        uint32_t v = i < 4 - pad ? value_of(in[i]) : 0;
        if (v > 63)
            return false;
        n = n << 6 | v;
    }
    if ((pad == 1 && (n & 0xff)) || (pad == 2 && (n & 0xffff)))
        return false;
    out[0] = (uint8_t)(n >> 16);
    if (pad < 2)
        out[1] = (uint8_t)(n >> 8);
    if (pad < 1)
        out[2] = (uint8_t)n;
    return true;
}

bool base64_decode(struct slice text, uint8_t *out, size_t *ret_len)
{
    if (text.len % 4)
        return false;
    size_t len = 0;
    for (size_t i = 0; i < text.len; i += 4) {
        unsigned pad = 0;
        if (i + 4 == text.len)
            pad = text.data[i + 3] != '=' ? 0 : text.data[i + 2] != '=' ? 1 : 2;
        if (!decode_group(text.data + i, pad, out + len))
            return false;
        len += 3 - pad;
    }
    *ret_len = len;
    return true;
}
