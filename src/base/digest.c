/* OpenSSL's EVP digests; the only file of base that includes OpenSSL. */
#include "base/digest.h"

#include "base/base64.h"
#include "base/bug.h"
#include "base/heap.h"
#include "base/mem.h"
#include "base/random.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

static const struct {
    const char *name;
    unsigned size;
    const char *openssl_name;
} kinds[DIGEST_KIND_COUNT] = {
    [DIGEST_SHA256] = {"rabbit_password_hashing_sha256", 32, "SHA256"},
    [DIGEST_SHA512] = {"rabbit_password_hashing_sha512", 64, "SHA512"},
    [DIGEST_MD5] = {"rabbit_password_hashing_md5", 16, "MD5"},
};

/* exception: constant after the first use; looking one up costs more than a digest of a password */
static EVP_MD *implementations[DIGEST_KIND_COUNT];
static pthread_once_t implementations_once = PTHREAD_ONCE_INIT;

static void fetch_all(void)
{
    for (unsigned i = 0; i < DIGEST_KIND_COUNT; i++)
        implementations[i] = EVP_MD_fetch(NULL, kinds[i].openssl_name, NULL);
}

/* NULL if OpenSSL does not have it (MD5 under FIPS). */
static const EVP_MD *implementation(enum digest_kind kind)
{
    pthread_once(&implementations_once, fetch_all);
    return implementations[kind];
}

enum { SALTED_MAX = DIGEST_SALT_SIZE + DIGEST_SIZE_MAX };

unsigned digest_size(enum digest_kind kind)
{
    bug_on((unsigned)kind >= DIGEST_KIND_COUNT);
    return kinds[kind].size;
}

const char *digest_kind_name(enum digest_kind kind)
{
    bug_on((unsigned)kind >= DIGEST_KIND_COUNT);
    return kinds[kind].name;
}

bool digest_kind_parse(struct slice name, enum digest_kind *ret_kind)
{
    for (unsigned i = 0; i < DIGEST_KIND_COUNT; i++) {
        if (slice_eq_str(name, kinds[i].name)) {
            *ret_kind = (enum digest_kind)i;
            return true;
        }
    }
    return false;
}

void digest_compute(enum digest_kind kind, struct slice a, struct slice b, uint8_t *out)
{
    bug_on((unsigned)kind >= DIGEST_KIND_COUNT);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const EVP_MD *md = implementation(kind);
    if (!ctx || !md || !EVP_DigestInit_ex(ctx, md, NULL) || !EVP_DigestUpdate(ctx, a.data, a.len) ||
        !EVP_DigestUpdate(ctx, b.data, b.len) || !EVP_DigestFinal_ex(ctx, out, NULL))
        bug_panic("OpenSSL has no %s", kinds[kind].name);
    EVP_MD_CTX_free(ctx);
}

char *digest_password_new(enum digest_kind kind, struct slice password)
{
    uint8_t salted[SALTED_MAX];
    random_bytes(salted, DIGEST_SALT_SIZE);
    digest_compute(kind, slice_of(salted, DIGEST_SALT_SIZE), password, salted + DIGEST_SALT_SIZE);
    size_t len = DIGEST_SALT_SIZE + digest_size(kind);
    char *text = mem_alloc(base64_encoded_size(len) + 1);
    base64_encode(slice_of(salted, len), text);
    return text;
}

/* Salt and digest of a hash's text; false unless it has the form of this kind. */
static bool parse_hash(enum digest_kind kind, struct slice hash, uint8_t *salted)
{
    uint8_t room[SALTED_MAX + 4];
    size_t len;
    if (base64_decoded_size(hash.len) > sizeof room || !base64_decode(hash, room, &len) ||
        len != DIGEST_SALT_SIZE + digest_size(kind))
        return false;
    memcpy(salted, room, len);
    return true;
}

bool digest_password_valid(enum digest_kind kind, struct slice hash)
{
    uint8_t salted[SALTED_MAX];
    return parse_hash(kind, hash, salted);
}

bool digest_password_matches(enum digest_kind kind, struct slice hash, struct slice password)
{
    uint8_t salted[SALTED_MAX] = {0}, ours[DIGEST_SIZE_MAX];
    bool valid = parse_hash(kind, hash, salted);
    digest_compute(kind, slice_of(salted, DIGEST_SALT_SIZE), password, ours);
    bool same = CRYPTO_memcmp(ours, salted + DIGEST_SALT_SIZE, digest_size(kind)) == 0;
    return valid && same;
}

bool digest_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.data, b.data, a.len) == 0);
}

/* ---- memory ---- */

static void *take(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return size ? heap_alloc(HEAP_TLS, size) : NULL;
}

static void *resize(void *ptr, size_t size, const char *file, int line)
{
    if (ptr && size)
        return heap_realloc(HEAP_TLS, ptr, size);
    free(ptr);
    return take(size, file, line);
}

static void give(void *ptr, const char *file, int line)
{
    (void)file;
    (void)line;
    free(ptr);
}

void digest_use_heap(void)
{
    CRYPTO_set_mem_functions(take, resize, give);
}
