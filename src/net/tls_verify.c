/* How certificates of clients are checked: authorities, depth, revocation. What is read goes into
 * the SSL_CTX and lives and dies with it. */
#include "base/mem.h"
#include "net/tls_priv.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

/* ---- lists of revoked certificates ---- */

static enum err add_crl(X509_STORE *store, X509_CRL *crl, const char *file, struct failure *why)
{
    int good = X509_STORE_add_crl(store, crl);
    X509_CRL_free(crl);
    return good ? ERR_NONE : tls_refuse_file(why, "the CRL file", file);
}

/* One list in DER, or any number in PEM. */
static enum err load_crls(X509_STORE *store, const char *file, struct failure *why)
{
    BIO *bio = BIO_new_file(file, "r");
    if (!bio)
        return tls_refuse_file(why, "the CRL file", file);
    X509_CRL *crl = d2i_X509_CRL_bio(bio, NULL);
    enum err err = crl ? add_crl(store, crl, file, why) : ERR_NONE;
    size_t count = crl ? 1 : 0;
    ERR_clear_error();
    if (!count && BIO_reset(bio) == 0) {
        while (!err && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
            err = add_crl(store, crl, file, why);
            count++;
        }
    }
    BIO_free(bio);
    unsigned long last = ERR_peek_last_error();
    bool ended =
        !last || (ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE);
    if (!err && (!count || !ended))
        return tls_refuse_file(why, "the CRL file", file);
    ERR_clear_error();
    return err;
}

static int is_visible(const struct dirent *entry)
{
    return *entry->d_name != '.';
}

static enum err load_crl_directory(X509_STORE *store, const char *path, struct failure *why)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_visible, alphasort);
    enum err err = ERR_NONE;
    if (count < 0)
        return failure_set(why, ERR_PRECONDITION_FAILED, "cannot load the CRL directory %s: %s",
                           path, strerrordesc_np(errno));
    for (int i = 0; i < count; i++) {
        char *file = mem_printf("%s/%s", path, entries[i]->d_name);
        if (!err)
            err = load_crls(store, file, why);
        free(file);
        free(entries[i]);
    }
    free(entries);
    return err;
}

/* What cannot be known does not count against the client. */
static int on_best_effort(int good, X509_STORE_CTX *store)
{
    switch (X509_STORE_CTX_get_error(store)) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    default:
        return good;
    }
}

static enum err set_revocation(SSL_CTX *ctx, const struct tls_options *o, struct failure *why)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    enum err err = ERR_NONE;
    if (o->crl_check == TLS_CRL_NO)
        return ERR_NONE;
    if (!o->crl_file && !o->crl_dir)
        return failure_set(why, ERR_PRECONDITION_FAILED, "crl_check needs a crlfile or a crldir");
    if (o->crl_file)
        err = load_crls(store, o->crl_file, why);
    if (!err && o->crl_dir)
        err = load_crl_directory(store, o->crl_dir, why);
    unsigned long flags = X509_V_FLAG_CRL_CHECK;
    if (o->crl_check != TLS_CRL_PEER)
        flags |= X509_V_FLAG_CRL_CHECK_ALL;
    X509_STORE_set_flags(store, flags);
    return err;
}

/* ---- all of it ---- */

enum err tls_set_verification(SSL_CTX *ctx, const struct tls_options *o, struct failure *why)
{
    if (!o->verify_peer)
        return ERR_NONE;
    if (!o->ca_file)
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "client certificates cannot be verified without a CA file");
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(o->ca_file);
    if (!names || !SSL_CTX_load_verify_file(ctx, o->ca_file)) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return tls_refuse_file(why, "the CA file", o->ca_file);
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    int mode = SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE;
    if (o->fail_if_no_peer_cert)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(ctx, mode, o->crl_check == TLS_CRL_BEST_EFFORT ? on_best_effort : NULL);
    SSL_CTX_set_verify_depth(ctx, o->depth);
    return set_revocation(ctx, o, why);
}
