/* Keys and certificates made by the tests, in PEM files of a directory of their own. */
#ifndef CERTS_H
#define CERTS_H

#include <stdbool.h>

enum key_type { KEY_EC, KEY_RSA };

struct cert_options {
    const char *file;    /* "server": DIR/server.pem and DIR/server.key */
    const char *subject; /* "O=org/CN=name", in this order; "/+" joins the name before */
    const char *san;     /* "DNS:a.example,email:x@y", may be NULL */
    const char *issuer;  /* file of the issuer, NULL: self-signed */
    enum key_type key;
    bool ca;
    bool expired;
    const char *password; /* of the key */
};

/* A fresh directory below the system's. */
const char *certs_dir(void);
void certs_make(const struct cert_options *options);
/* DIR/name, in static storage of its own (up to 32 names). */
const char *certs_path(const char *name);
/* Removes the directory. */
void certs_remove(void);

#endif
