/* See certs.h. */
#include "certs.h"

#include "base/bug.h"

#include <dirent.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];

const char *certs_dir(void)
{
    if (!dir[0]) {
        snprintf(dir, sizeof dir, "/tmp/jk-certs-XXXXXX");
        bug_on(!mkdtemp(dir));
    }
    return dir;
}

const char *certs_path(const char *name)
{
    static char paths[32][320]; /* a directory, and a name of any length */
    static unsigned next;
    char *path = paths[next++ % 32];
    snprintf(path, sizeof paths[0], "%s/%s", certs_dir(), name);
    return path;
}

void certs_remove(void)
{
    DIR *d = opendir(certs_dir());
    for (struct dirent *entry; (entry = readdir(d));) {
        if (entry->d_name[0] != '.')
            unlink(certs_path(entry->d_name));
    }
    closedir(d);
    rmdir(dir);
    dir[0] = 0;
}

static const char *file_of(const char *name, const char *suffix)
{
    char file[100];
    snprintf(file, sizeof file, "%s.%s", name, suffix);
    return certs_path(file);
}

static void set_subject(X509_NAME *name, const char *text)
{
    char copy[256], *save = NULL;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *part = strtok_r(copy, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
        int set = part[0] == '+' ? -1 : 0;
        char *value = strchr(part, '=');
        *value++ = 0;
        bug_on(!X509_NAME_add_entry_by_txt(name, part + (set ? 1 : 0), MBSTRING_UTF8,
                                           (const unsigned char *)value, -1, -1, set));
    }
}

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    bug_on(!ext || !X509_add_ext(cert, ext, -1));
    X509_EXTENSION_free(ext);
}

static X509 *read_cert(const char *name)
{
    BIO *bio = BIO_new_file(file_of(name, "pem"), "r");
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    bug_on(!cert);
    return cert;
}

static EVP_PKEY *read_key(const char *name)
{
    BIO *bio = BIO_new_file(file_of(name, "key"), "r");
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    bug_on(!key);
    return key;
}

static void write_files(const struct cert_options *o, X509 *cert, EVP_PKEY *key)
{
    BIO *bio = BIO_new_file(file_of(o->file, "pem"), "w");
    PEM_write_bio_X509(bio, cert);
    BIO_free(bio);
    bio = BIO_new_file(file_of(o->file, "key"), "w");
    PEM_write_bio_PrivateKey(bio, key, o->password ? EVP_aes_128_cbc() : NULL,
                             (const unsigned char *)o->password,
                             o->password ? (int)strlen(o->password) : 0, NULL, NULL);
    BIO_free(bio);
}

void certs_make(const struct cert_options *o)
{
    static long serial = 1;
    EVP_PKEY *key = o->key == KEY_RSA ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    EVP_PKEY *issuer_key = o->issuer ? read_key(o->issuer) : key;
    X509 *issuer = o->issuer ? read_cert(o->issuer) : NULL;
    X509 *cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(cert), -2 * 86400L);
    X509_gmtime_adj(X509_getm_notAfter(cert), o->expired ? -86400L : 86400L);
    set_subject(X509_get_subject_name(cert), o->subject);
    X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert));
    X509_set_pubkey(cert, key);
    add_extension(cert, NID_basic_constraints, o->ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (o->san)
        add_extension(cert, NID_subject_alt_name, o->san);
    bug_on(!X509_sign(cert, issuer_key, EVP_sha256()));
    write_files(o, cert, key);
    X509_free(cert);
    X509_free(issuer);
    if (issuer_key != key)
        EVP_PKEY_free(issuer_key);
    EVP_PKEY_free(key);
}
