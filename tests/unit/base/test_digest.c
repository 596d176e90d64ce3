#include "base/base64.h"
#include "base/digest.h"
#include "base/random.h"
#include "unit.h"

#include <stdlib.h>

static void assert_hex(const uint8_t *bytes, size_t n, const char *hex)
{
    char text[2 * DIGEST_SIZE_MAX + 1];
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * n] = '\0';
    cr_assert_str_eq(text, hex);
}

UNIT(digest, known_answers)
{
    uint8_t out[DIGEST_SIZE_MAX];
    digest_compute(DIGEST_MD5, SLICE("a"), SLICE("bc"), out);
    assert_hex(out, digest_size(DIGEST_MD5), "900150983cd24fb0d6963f7d28e17f72");
    digest_compute(DIGEST_SHA256, SLICE("abc"), SLICE_EMPTY, out);
    assert_hex(out, digest_size(DIGEST_SHA256),
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_compute(DIGEST_SHA512, SLICE_EMPTY, SLICE("abc"), out);
    assert_hex(out, digest_size(DIGEST_SHA512),
               "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
               "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

UNIT(digest, names)
{
    enum digest_kind kind;
    for (int i = 0; i < DIGEST_KIND_COUNT; i++) {
        cr_assert(digest_kind_parse(slice_str(digest_kind_name((enum digest_kind)i)), &kind));
        cr_assert_eq((int)kind, i);
    }
    cr_assert_not(digest_kind_parse(SLICE("rabbit_password_hashing_rot13"), &kind));
}

/* Of the password "test12": the first by RabbitMQ 3.10.8, the others from one salt. */
UNIT(digest, hashes_of_rabbitmq)
{
    static const struct {
        enum digest_kind kind;
        const char *hash;
    } cases[] = {
        {DIGEST_SHA256, "x4SKTHnwoMA5vQlFZaig4on2UZ8mjs980Z5IiTdrZhqAD+jp"},
        {DIGEST_SHA256, "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"},
        {DIGEST_SHA512, "kI3GChuNuIYf8lRbCCxZjgjKwsY19ns6+uFO0zcXRBGA/"
                        "XGJPYD8OWMy7EB8TaOmAzjP2azv84GbINYwX2cDWb4DHnc="},
        {DIGEST_MD5, "kI3GChNpte2FApYFXScl+0dIluk="},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice hash = slice_str(cases[i].hash);
        cr_assert(digest_password_valid(cases[i].kind, hash), "case %zu", i);
        cr_assert(digest_password_matches(cases[i].kind, hash, SLICE("test12")), "case %zu", i);
        cr_assert_not(digest_password_matches(cases[i].kind, hash, SLICE("test13")));
        cr_assert_not(digest_password_matches(cases[i].kind, hash, SLICE_EMPTY));
        for (int k = 0; k < DIGEST_KIND_COUNT; k++)
            cr_assert_eq(digest_password_valid((enum digest_kind)k, hash), k == (int)cases[i].kind);
    }
}

UNIT(digest, new_hashes_are_salted)
{
    for (int k = 0; k < DIGEST_KIND_COUNT; k++) {
        enum digest_kind kind = (enum digest_kind)k;
        char *a = digest_password_new(kind, SLICE("secret"));
        char *b = digest_password_new(kind, SLICE("secret"));
        cr_assert_str_neq(a, b);
        cr_assert(digest_password_matches(kind, slice_str(a), SLICE("secret")));
        cr_assert(digest_password_matches(kind, slice_str(b), SLICE("secret")));
        cr_assert_not(digest_password_matches(kind, slice_str(a), SLICE("Secret")));
        free(a);
        free(b);
    }
}

UNIT(digest, malformed_hashes_match_nothing)
{
    static const char *const bad[] = {
        "",
        "x",
        "====",
        "kI3G",
        "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2PO",
        "a==",
        "a===",
        "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2PORkI3G",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_not(digest_password_valid(DIGEST_SHA256, slice_str(bad[i])), "case %zu", i);
        cr_assert_not(digest_password_matches(DIGEST_SHA256, slice_str(bad[i]), SLICE_EMPTY));
    }
    static char huge[100000];
    memset(huge, 'A', sizeof huge);
    cr_assert_not(digest_password_valid(DIGEST_SHA512, slice_of(huge, sizeof huge)));
}

UNIT(digest, equal_compares_all)
{
    cr_assert(digest_equal(SLICE("abc"), SLICE("abc")));
    cr_assert(digest_equal(SLICE_EMPTY, SLICE_EMPTY));
    cr_assert_not(digest_equal(SLICE("abc"), SLICE("abd")));
    cr_assert_not(digest_equal(SLICE("abc"), SLICE("ab")));
}

UNIT(base64, known_answers)
{
    static const struct {
        const char *plain, *text, *url;
    } cases[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"\xfb\xff\xbf", "+/+/", "-_-_"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char room[32];
        uint8_t back[32];
        size_t len = 99;
        struct slice plain = slice_str(cases[i].plain);
        cr_assert_eq(base64_encode(plain, room), base64_encoded_size(plain.len));
        cr_assert_str_eq(room, cases[i].text);
        cr_assert(base64_decode(slice_str(room), back, &len));
        cr_assert(slice_eq(slice_of(back, len), plain));
        cr_assert_eq(base64_encode_url(plain, room), strlen(cases[i].url));
        cr_assert_str_eq(room, cases[i].url);
    }
}

UNIT(base64, there_and_back)
{
    for (size_t n = 0; n < 200; n++) {
        uint8_t bytes[200], back[300];
        char text[400];
        size_t len = 0;
        random_bytes(bytes, n);
        size_t chars = base64_encode(slice_of(bytes, n), text);
        cr_assert_leq(n, base64_decoded_size(chars));
        cr_assert(base64_decode(slice_of(text, chars), back, &len));
        cr_assert(slice_eq(slice_of(back, len), slice_of(bytes, n)));
    }
}

UNIT(base64, refuses_what_is_not_canonical)
{
    static const char *const bad[] = {
        "Z",    "Zg",       "Zg=",  "Zh==",  "Zm9=", "Z===",
        "====", "Zg==Zg==", "Zm 9", "Zm9\n", "-_-_", "=Zg=",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t back[32];
        size_t len = 0;
        cr_assert_not(base64_decode(slice_str(bad[i]), back, &len), "case %zu", i);
    }
}

UNIT(random, names_differ)
{
    enum { NAMES = 2000 };
    static char names[NAMES][RANDOM_NAME_SIZE];
    for (int i = 0; i < NAMES; i++) {
        random_name(names[i]);
        cr_assert_eq(strlen(names[i]), 22);
        cr_assert_eq(strspn(names[i], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                      "0123456789-_"),
                     22);
    }
    for (int i = 0; i < NAMES; i++) {
        for (int j = 0; j < i; j++)
            cr_assert_neq(memcmp(names[i], names[j], RANDOM_NAME_SIZE), 0);
    }
}

UNIT(random, hex_and_numbers)
{
    char text[129];
    random_hex(text, 64);
    cr_assert_eq(strlen(text), 128);
    cr_assert_eq(strspn(text, "0123456789abcdef"), 128);
    cr_assert_neq(random_u64(), random_u64());
    static uint8_t large[5000], zero[5000];
    random_bytes(large, sizeof large);
    cr_assert_neq(memcmp(large, zero, 16), 0);
    cr_assert_neq(memcmp(large + sizeof large - 16, zero, 16), 0);
}
