#include "base/digest_cipher.h"

#include "base/base64.h"
#include "base/mem.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum { SALT = 16, VALUE_MAX = 1 << 20 };

struct name {
    const char *name, *openssl;
};

static const struct name ciphers[] = {
    {"aes_256_cbc", "AES-256-CBC"},    {"aes_192_cbc", "AES-192-CBC"},
    {"aes_128_cbc", "AES-128-CBC"},    {"aes_256_ctr", "AES-256-CTR"},
    {"aes_192_ctr", "AES-192-CTR"},    {"aes_128_ctr", "AES-128-CTR"},
    {"aes_256_cfb128", "AES-256-CFB"}, {"aes_192_cfb128", "AES-192-CFB"},
    {"aes_128_cfb128", "AES-128-CFB"}, {"aes_256_cfb8", "AES-256-CFB8"},
    {"aes_192_cfb8", "AES-192-CFB8"},  {"aes_128_cfb8", "AES-128-CFB8"},
    {"aes_256_ofb", "AES-256-OFB"},    {"aes_192_ofb", "AES-192-OFB"},
    {"aes_128_ofb", "AES-128-OFB"},    {"chacha20", "ChaCha20"},
    {"des_ede3_cbc", "DES-EDE3-CBC"},
};
static const struct name hashes[] = {
    {"sha512", "SHA512"},      {"sha384", "SHA384"},      {"sha256", "SHA256"},
    {"sha224", "SHA224"},      {"sha", "SHA1"},           {"sha3_512", "SHA3-512"},
    {"sha3_384", "SHA3-384"},  {"sha3_256", "SHA3-256"},  {"sha3_224", "SHA3-224"},
    {"blake2b", "BLAKE2B512"}, {"blake2s", "BLAKE2S256"}, {"md5", "MD5"},
};
enum { CIPHERS = sizeof ciphers / sizeof *ciphers, HASHES = sizeof hashes / sizeof *hashes };

const char *digest_cipher_name(unsigned n)
{
    return n < CIPHERS ? ciphers[n].name : NULL;
}

const char *digest_hash_name(unsigned n)
{
    return n < HASHES ? hashes[n].name : NULL;
}

/* NULL: it is not among them. */
static const char *find(const struct name *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(names[i].name, name))
            return names[i].openssl;
    }
    return NULL;
}

bool digest_cipher_is_known(const char *name)
{
    return find(ciphers, CIPHERS, name) != NULL;
}

bool digest_hash_is_known(const char *name)
{
    return find(hashes, HASHES, name) != NULL;
}

/* ---- one value ---- */

struct work {
    EVP_CIPHER *cipher;
    EVP_MD *hash;
    EVP_CIPHER_CTX *ctx;
    unsigned block, vector;
    uint8_t key[EVP_MAX_KEY_LENGTH];
};

static bool make_key(struct work *w, const struct digest_cipher *how, struct slice passphrase,
                     const uint8_t *salt)
{
    return PKCS5_PBKDF2_HMAC((const char *)passphrase.data, (int)passphrase.len, salt, SALT,
                             (int)how->iterations, w->hash, EVP_CIPHER_get_key_length(w->cipher),
                             w->key) == 1;
}

static bool work_init(struct work *w, const struct digest_cipher *how)
{
    *w = (struct work){.ctx = EVP_CIPHER_CTX_new()};
    w->cipher = EVP_CIPHER_fetch(NULL, find(ciphers, CIPHERS, how->cipher), NULL);
    w->hash = EVP_MD_fetch(NULL, find(hashes, HASHES, how->hash), NULL);
    if (!w->ctx || !w->cipher || !w->hash)
        return false;
    w->block = (unsigned)EVP_CIPHER_get_block_size(w->cipher);
    w->vector = (unsigned)EVP_CIPHER_get_iv_length(w->cipher);
    return true;
}

static void work_fini(struct work *w)
{
    EVP_CIPHER_CTX_free(w->ctx);
    EVP_CIPHER_free(w->cipher);
    EVP_MD_free(w->hash);
    OPENSSL_cleanse(w->key, sizeof w->key);
}

/* in place */
static bool turn(struct work *w, bool encrypt, const uint8_t *vector, uint8_t *data, size_t len)
{
    int n = 0, rest = 0;
    return EVP_CipherInit_ex2(w->ctx, w->cipher, w->key, vector, encrypt, NULL) == 1 &&
           EVP_CIPHER_CTX_set_padding(w->ctx, 0) == 1 &&
           EVP_CipherUpdate(w->ctx, data, &n, data, (int)len) == 1 &&
           EVP_CipherFinal_ex(w->ctx, data + n, &rest) == 1;
}

/* Salt and vector are random, each byte of the padding is its length: at least one. */
static bool encrypt(struct work *w, const struct digest_cipher *how, struct slice passphrase,
                    struct slice clear, struct buf *out)
{
    size_t pad = w->block - clear.len % w->block, head = SALT + w->vector;
    size_t len = head + clear.len + pad;
    uint8_t *data = mem_alloc(len);
    memcpy(data + head, clear.data, clear.len);
    memset(data + head + clear.len, (int)pad, pad);
    bool good = RAND_bytes(data, (int)head) == 1 && make_key(w, how, passphrase, data) &&
                turn(w, true, data + SALT, data + head, clear.len + pad);
    if (good)
        out->len += base64_encode(slice_of(data, len),
                                  (char *)buf_reserve(out, base64_encoded_size(len) + 1));
    free(data);
    return good;
}

static bool decrypt(struct work *w, const struct digest_cipher *how, struct slice passphrase,
                    struct slice text, struct buf *out)
{
    size_t len, head = SALT + w->vector;
    uint8_t *data = mem_alloc(base64_decoded_size(text.len) + 1);
    bool good = base64_decode(text, data, &len) && len > head && (len - head) % w->block == 0 &&
                make_key(w, how, passphrase, data) &&
                turn(w, false, data + SALT, data + head, len - head);
    size_t pad = good ? data[len - 1] : 0;
    good = pad && pad <= w->block;
    if (good)
        buf_append(out, data + head, len - head - pad);
    OPENSSL_cleanse(data, base64_decoded_size(text.len));
    free(data);
    return good;
}

static bool convert(bool (*fn)(struct work *w, const struct digest_cipher *how,
                               struct slice passphrase, struct slice in, struct buf *out),
                    const struct digest_cipher *how, struct slice passphrase, struct slice in,
                    struct buf *out)
{
    struct work w;
    bool good = work_init(&w, how) && fn(&w, how, passphrase, in, out);
    work_fini(&w);
    return good;
}

bool digest_encrypt(const struct digest_cipher *how, struct slice passphrase, struct slice clear,
                    struct buf *out)
{
    return clear.len <= VALUE_MAX && convert(encrypt, how, passphrase, clear, out);
}

bool digest_decrypt(const struct digest_cipher *how, struct slice passphrase, struct slice text,
                    struct buf *out)
{
    return text.len <= 2 * VALUE_MAX && convert(decrypt, how, passphrase, text, out);
}
