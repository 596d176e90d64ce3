/* The server side of one TLS connection, on the shard of its stream, and what is told about the
 * client's certificate. */
#include "net/tls_session.h"

#include "base/buf.h"
#include "base/mem.h"
#include "net/tls_priv.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

struct tls_session {
    SSL *ssl;
    bool broken; /* a fatal error: nothing more may be sent */
    char *why;
    char protocol[16];
    char *subject, *issuer, *cn, *names, *validity; /* NULL without a client certificate */
};

struct tls_session *tls_session_new(struct tls_context *context, int fd)
{
    SSL_CTX *ctx = tls_context_current(context);
    SSL *ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    if (!ssl || !SSL_set_fd(ssl, fd)) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    SSL_set_accept_state(ssl);
    struct tls_session *t = NEW(struct tls_session);
    t->ssl = ssl;
    return t;
}

void tls_session_free(struct tls_session **t)
{
    struct tls_session *old = *t;
    if (!old)
        return;
    SSL_free(old->ssl);
    free(old->why);
    free(old->subject);
    free(old->issuer);
    free(old->cn);
    free(old->names);
    free(old->validity);
    free(old);
    *t = NULL;
}

/* ---- errors ---- */

static enum tls_result failed(struct tls_session *t, char *why)
{
    t->broken = true;
    free(t->why);
    t->why = why;
    ERR_clear_error();
    return TLS_FAILED;
}

static enum tls_result failed_ssl(struct tls_session *t)
{
    unsigned long code = ERR_peek_last_error();
    long verdict = SSL_get_verify_result(t->ssl);
    char text[256];
    if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return failed(t, mem_printf("the client's certificate was refused: %s",
                                    X509_verify_cert_error_string(verdict)));
    return failed(t, mem_strdup(tls_error_text(text, sizeof text)));
}

static enum tls_result result_of(struct tls_session *t, int ret)
{
    int error = errno;
    switch (SSL_get_error(t->ssl, ret)) {
    case SSL_ERROR_NONE:
        return TLS_OK;
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_EOF;
    case SSL_ERROR_SYSCALL:
        if (ERR_peek_last_error() == 0 && error == 0)
            return TLS_EOF;
        if (error == ECONNRESET || error == EPIPE)
            return failed(t, mem_strdup("connection reset by peer"));
        return failed(t, mem_strdup(error ? strerrordesc_np(error) : "the socket failed"));
    default:
        return failed_ssl(t);
    }
}

/* Neither queue of errors may hold an old one when SSL_get_error looks at them. */
static void forget_errors(void)
{
    ERR_clear_error();
    errno = 0;
}

enum tls_result tls_session_accept(struct tls_session *t)
{
    forget_errors();
    int ret = SSL_do_handshake(t->ssl);
    if (ret == 1)
        return TLS_OK;
    return result_of(t, ret);
}

enum tls_result tls_session_read(struct tls_session *t, uint8_t *room, size_t len, size_t *ret_n)
{
    forget_errors();
    int ret = SSL_read_ex(t->ssl, room, len, ret_n);
    return ret == 1 ? TLS_OK : result_of(t, ret);
}

enum tls_result tls_session_write(struct tls_session *t, const uint8_t *data, size_t len,
                                  size_t *ret_n)
{
    forget_errors();
    int ret = SSL_write_ex(t->ssl, data, len, ret_n);
    return ret == 1 ? TLS_OK : result_of(t, ret);
}

bool tls_session_has_input(const struct tls_session *t)
{
    return SSL_has_pending(t->ssl) == 1;
}

void tls_session_shutdown(struct tls_session *t)
{
    if (t->broken || !SSL_is_init_finished(t->ssl))
        return;
    forget_errors();
    SSL_shutdown(t->ssl);
    ERR_clear_error();
}

const char *tls_session_why(const struct tls_session *t)
{
    return t->why ? t->why : "unknown reason";
}

/* ---- the client's certificate ---- */

/* Names as RabbitMQ prints them; others by their number. */
static const struct {
    int nid;
    const char *name;
} attribute_names[] = {
    {NID_surname, "SN"},
    {NID_givenName, "GIVENNAME"},
    {NID_initials, "INITIALS"},
    {NID_generationQualifier, "GENERATIONQUALIFIER"},
    {NID_commonName, "CN"},
    {NID_localityName, "L"},
    {NID_stateOrProvinceName, "ST"},
    {NID_organizationName, "O"},
    {NID_organizationalUnitName, "OU"},
    {NID_title, "TITLE"},
    {NID_countryName, "C"},
    {NID_serialNumber, "SERIALNUMBER"},
    {NID_pseudonym, "PSEUDONYM"},
    {NID_domainComponent, "DC"},
    {NID_pkcs9_emailAddress, "EMAILADDRESS"},
    {NID_streetAddress, "STREET"},
    {NID_userId, "UID"},
};

static void append_attribute_name(struct buf *b, const ASN1_OBJECT *object)
{
    int nid = OBJ_obj2nid(object);
    for (size_t i = 0; i < sizeof attribute_names / sizeof attribute_names[0]; i++) {
        if (attribute_names[i].nid == nid) {
            buf_append_str(b, attribute_names[i].name);
            return;
        }
    }
    char oid[128];
    OBJ_obj2txt(oid, sizeof oid, object, 1);
    buf_append_str(b, oid);
}

/* RFC 4514 section 2.4, and every byte outside of printable ASCII in hex. */
static void append_escaped(struct buf *b, struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.data[i];
        bool edge = (c == ' ' && (i == 0 || i == value.len - 1)) || (c == '#' && i == 0);
        if (c < 32 || c >= 126) {
            buf_printf(b, "\\%02X", c);
            continue;
        }
        if (edge || strchr(",+\"\\<>;", c))
            buf_append_byte(b, '\\');
        buf_append_byte(b, c);
    }
}

static struct slice utf8_of(const ASN1_STRING *s)
{
    unsigned char *text = NULL;
    int n = ASN1_STRING_to_UTF8(&text, s);
    return n < 0 ? SLICE_EMPTY : slice_of(text, (size_t)n);
}

static void free_utf8(struct slice s)
{
    OPENSSL_free((void *)(uintptr_t)s.data);
}

static char *take_text(struct buf *b)
{
    buf_cstr(b);
    return (char *)(uintptr_t)buf_take(b).data;
}

/* The most specific name first; the parts of one name are joined with "+". */
static char *name_text(const X509_NAME *name)
{
    struct buf b = BUF_INIT;
    int last = X509_NAME_entry_count(name) - 1;
    for (int end = last; end >= 0;) {
        int set = X509_NAME_ENTRY_set(X509_NAME_get_entry(name, end));
        int start = end;
        while (start > 0 && X509_NAME_ENTRY_set(X509_NAME_get_entry(name, start - 1)) == set)
            start--;
        for (int i = start; i <= end; i++) {
            const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
            struct slice value = utf8_of(X509_NAME_ENTRY_get_data(entry));
            if (b.len)
                buf_append_byte(&b, i == start ? ',' : '+');
            append_attribute_name(&b, X509_NAME_ENTRY_get_object(entry));
            buf_append_byte(&b, '=');
            append_escaped(&b, value);
            free_utf8(value);
        }
        end = start - 1;
    }
    return take_text(&b);
}

/* NULL for a text with a NUL inside: no user may be named so. */
static char *plain_text(const ASN1_STRING *s)
{
    struct slice value = utf8_of(s);
    char *text = NULL;
    if (value.data && !memchr(value.data, 0, value.len))
        text = slice_cstr(value);
    free_utf8(value);
    return text;
}

static char *first_cn(const X509_NAME *name)
{
    int i = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    if (i < 0)
        return NULL;
    return plain_text(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i)));
}

static void append_address(struct buf *b, const ASN1_OCTET_STRING *octets)
{
    char text[INET6_ADDRSTRLEN];
    int length = ASN1_STRING_length(octets);
    int family = length == 4 ? AF_INET : length == 16 ? AF_INET6 : AF_UNSPEC;
    if (family != AF_UNSPEC && inet_ntop(family, ASN1_STRING_get0_data(octets), text, sizeof text))
        buf_append_str(b, text);
}

static void append_plain(struct buf *b, const ASN1_STRING *s)
{
    char *text = s ? plain_text(s) : NULL;
    if (text && !text[strcspn(text, "\n")])
        buf_append_str(b, text);
    free(text);
}

/* One that cannot be a name of a user keeps its place, empty. */
static void append_name(struct buf *b, const GENERAL_NAME *n)
{
    static const struct {
        int type;
        enum peer_name kind;
    } kinds[] = {{GEN_DNS, PEER_NAME_DNS},
                 {GEN_IPADD, PEER_NAME_IP},
                 {GEN_EMAIL, PEER_NAME_EMAIL},
                 {GEN_URI, PEER_NAME_URI},
                 {GEN_OTHERNAME, PEER_NAME_OTHER}};
    size_t i = 0;
    while (i < sizeof kinds / sizeof *kinds && kinds[i].type != n->type)
        i++;
    if (i == sizeof kinds / sizeof *kinds)
        return;
    buf_append_byte(b, (uint8_t)('0' + kinds[i].kind));
    if (n->type == GEN_IPADD)
        append_address(b, n->d.ip);
    else if (n->type == GEN_OTHERNAME)
        append_plain(b, n->d.otherName->value->type == V_ASN1_UTF8STRING ||
                                n->d.otherName->value->type == V_ASN1_IA5STRING
                            ? n->d.otherName->value->value.asn1_string
                            : NULL);
    else
        append_plain(b, n->d.ia5);
    buf_append_byte(b, '\n');
}

/* A line each, its kind in front. */
static char *alternative_names(const X509 *cert)
{
    struct buf b = BUF_INIT;
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
        append_name(&b, sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(names);
    return b.len ? take_text(&b) : NULL;
}

static void append_time(struct buf *b, const ASN1_TIME *time)
{
    struct tm tm;
    char text[64];
    if (!ASN1_TIME_to_tm(time, &tm) || !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm))
        return;
    buf_append_str(b, text);
}

static void read_certificate(struct tls_session *t, const X509 *cert)
{
    struct buf validity = BUF_INIT;
    t->subject = name_text(X509_get_subject_name(cert));
    t->issuer = name_text(X509_get_issuer_name(cert));
    t->cn = first_cn(X509_get_subject_name(cert));
    t->names = alternative_names(cert);
    append_time(&validity, X509_get0_notBefore(cert));
    buf_append_str(&validity, " - ");
    append_time(&validity, X509_get0_notAfter(cert));
    t->validity = take_text(&validity);
}

static const char *key_exchange_name(const SSL_CIPHER *cipher)
{
    static const struct {
        int kx, auth;
        const char *name;
    } names[] = {
        {NID_kx_ecdhe, NID_auth_rsa, "ecdhe_rsa"}, {NID_kx_ecdhe, NID_auth_ecdsa, "ecdhe_ecdsa"},
        {NID_kx_dhe, NID_auth_rsa, "dhe_rsa"},     {NID_kx_rsa, NID_auth_rsa, "rsa"},
        {NID_kx_any, NID_auth_any, "any"},
    };
    int kx = SSL_CIPHER_get_kx_nid(cipher), auth = SSL_CIPHER_get_auth_nid(cipher);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].kx == kx && names[i].auth == auth)
            return names[i].name;
    }
    return OBJ_nid2sn(kx);
}

static const char *hash_name(const SSL_CIPHER *cipher)
{
    int digest = SSL_CIPHER_get_digest_nid(cipher);
    if (SSL_CIPHER_is_aead(cipher))
        return "aead";
    return digest == NID_sha1 ? "sha" : OBJ_nid2ln(digest);
}

void tls_session_describe(struct tls_session *t, struct stream_info *info)
{
    const char *version = SSL_get_version(t->ssl);
    size_t n = 0;
    for (; version[n] && n < sizeof t->protocol - 1; n++)
        t->protocol[n] = (char)tolower((unsigned char)version[n]);
    t->protocol[n] = 0;
    X509 *cert = SSL_get0_peer_certificate(t->ssl);
    if (cert && !t->subject)
        read_certificate(t, cert);
    info->tls = true;
    info->tls_protocol = t->protocol;
    const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);
    info->tls_cipher = SSL_CIPHER_get_name(cipher);
    info->tls_key_exchange = key_exchange_name(cipher);
    info->tls_hash = hash_name(cipher);
    info->peer_cert_subject = t->subject;
    info->peer_cert_issuer = t->issuer;
    info->peer_cert_cn = t->cn;
    info->peer_cert_names = t->names;
    info->peer_cert_validity = t->validity;
}
