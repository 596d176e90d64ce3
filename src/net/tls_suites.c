/* The cipher suites that OpenSSL has, and what they are made of. Any thread. */
#include "net/tls.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

static const char *key_exchange_of(int nid)
{
    switch (nid) {
    case NID_kx_rsa:
        return "rsa";
    case NID_kx_ecdhe:
        return "ecdhe";
    case NID_kx_dhe:
        return "dhe";
    case NID_kx_psk:
        return "psk";
    case NID_kx_rsa_psk:
        return "rsa_psk";
    case NID_kx_ecdhe_psk:
        return "ecdhe_psk";
    case NID_kx_dhe_psk:
        return "dhe_psk";
    case NID_kx_srp:
        return "srp";
    default:
        return "any";
    }
}

/* Where the exchange alone does not say who shows itself by what. */
static void put_exchange(struct tls_suite *s, const SSL_CIPHER *cipher)
{
    int kx = SSL_CIPHER_get_kx_nid(cipher), auth = SSL_CIPHER_get_auth_nid(cipher);
    bool open = kx == NID_kx_ecdhe || kx == NID_kx_dhe || kx == NID_kx_srp;
    const char *name = key_exchange_of(kx);
    if (open && auth == NID_auth_null)
        snprintf(s->key_exchange, sizeof s->key_exchange, "%.*s_anon",
                 (int)(strlen(name) - (kx != NID_kx_srp)), name);
    else if (open && auth != NID_auth_srp)
        snprintf(s->key_exchange, sizeof s->key_exchange, "%s_%s", name,
                 auth == NID_auth_ecdsa ? "ecdsa"
                 : auth == NID_auth_dss ? "dss"
                                        : "rsa");
    else
        snprintf(s->key_exchange, sizeof s->key_exchange, "%s%s", name,
                 kx == NID_kx_srp ? "_anon" : "");
}

/* "aes-256-gcm": aes_256_gcm */
static void put_cipher(struct tls_suite *s, const SSL_CIPHER *cipher)
{
    int nid = SSL_CIPHER_get_cipher_nid(cipher);
    const char *name = nid == NID_undef ? "null" : OBJ_nid2ln(nid);
    bool is_short = strstr(s->name, "CCM8") || strstr(s->name, "CCM_8");
    snprintf(s->cipher, sizeof s->cipher, "%s%s", name, is_short ? "_8" : "");
    for (char *c = s->cipher; *c; c++)
        *c = *c == '-' ? '_' : (char)tolower((unsigned char)*c);
}

static const char *digest_name(int nid)
{
    return nid == NID_undef ? "aead" : nid == NID_sha1 ? "sha" : OBJ_nid2ln(nid);
}

static const char *prf_of(const struct tls_suite *s, const SSL_CIPHER *cipher)
{
    const EVP_MD *digest = SSL_CIPHER_get_handshake_digest(cipher);
    bool is_new = SSL_CIPHER_get_kx_nid(cipher) == NID_kx_any;
    bool curves = !strncmp(s->key_exchange, "ecdhe_", 6);
    if (!digest || !strcmp(s->mac, "sha") || !strcmp(s->mac, "md5") ||
        (!is_new && strstr(s->cipher, "_ccm")) || (!curves && !strcmp(s->mac, "sha256")))
        return NULL;
    return digest_name(EVP_MD_get_type(digest));
}

void tls_each_cipher_suite(bool all, void (*fn)(const struct tls_suite *suite, void *arg),
                           void *arg)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx && all) {
        SSL_CTX_set_cipher_list(ctx, "ALL:COMPLEMENTOFALL:@SECLEVEL=0");
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:"
                                      "TLS_AES_128_GCM_SHA256:TLS_AES_128_CCM_SHA256:"
                                      "TLS_AES_128_CCM_8_SHA256");
    }
    SSL *ssl = ctx ? SSL_new(ctx) : NULL;
    STACK_OF(SSL_CIPHER) *list = ssl ? SSL_get1_supported_ciphers(ssl) : NULL;
    for (int i = 0; i < sk_SSL_CIPHER_num(list); i++) {
        const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(list, i);
        struct tls_suite s = {.name = SSL_CIPHER_get_name(cipher),
                              .iana = SSL_CIPHER_standard_name(cipher)};
        put_exchange(&s, cipher);
        put_cipher(&s, cipher);
        snprintf(s.mac, sizeof s.mac, "%s", digest_name(SSL_CIPHER_get_digest_nid(cipher)));
        s.prf = prf_of(&s, cipher);
        fn(&s, arg);
    }
    sk_SSL_CIPHER_free(list);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}
