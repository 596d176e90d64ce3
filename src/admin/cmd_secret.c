/* encode, decode: values of RabbitMQ's configuration that are encrypted with a passphrase. The
 * broker's own has none; these are for files that come from there, or go there. */
#include "admin/aside.h"
#include "admin/call.h"
#include "admin/cell.h"
#include "admin/erlang_term.h"
#include "admin/handlers.h"

#include "base/digest_cipher.h"
#include "base/mem.h"
#include "meta/meta.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define FAILED_TO_DECRYPT                                                                          \
    "Failed to decrypt the value. Things to check: is the passphrase correct? Are the cipher and " \
    "hash algorithms the same as those used for encryption?"

static void show_value(struct call *call, struct slice json)
{
    struct buf value = BUF_INIT;
    buf_append_str(&value, "{\"result\":\"ok\",\"node\":");
    cell_put_string(&value, slice_str(meta_node_name(call_node(call))));
    buf_append_str(&value, ",\"value\":");
    buf_append_slice(&value, json);
    buf_append_byte(&value, '}');
    call_value(call, buf_slice(&value));
    buf_fini(&value);
}

/* ---- names ---- */

static void put_names(struct call *call, const char *(*name)(unsigned n))
{
    struct buf text = BUF_INIT, json = BUF_INIT;
    for (unsigned n = 0; name(n); n++) {
        buf_printf(&text, "%s%s", n ? "," : "[", name(n));
        buf_printf(&json, "%s\"%s\"", n ? "," : "[", name(n));
    }
    buf_append_byte(&text, ']');
    buf_append_byte(&json, ']');
    if (!call->request.json) {
        call_print_slice(call, buf_slice(&text));
    } else {
        show_value(call, buf_slice(&json));
    }
    buf_fini(&text);
    buf_fini(&json);
    call_exit(call);
}

void run_list_ciphers(struct call *call)
{
    call_banner(call, "Listing supported ciphers ...");
    put_names(call, digest_cipher_name);
}

void run_list_hashes(struct call *call)
{
    call_banner(call, "Listing supported hash algorithms ...");
    put_names(call, digest_hash_name);
}

/* ---- values ---- */

enum { ITERATIONS_MAX = 100 * 1000 * 1000 };

struct secret {
    struct digest_cipher how; /* names are literals */
    bool encrypts, short_form;
    char *passphrase;   /* owned */
    struct buf in, out; /* external form of the term, base64; the other way round */
    bool good;
};

static void secret_free(void *arg)
{
    struct secret *s = arg;
    if (s->passphrase)
        explicit_bzero(s->passphrase, strlen(s->passphrase));
    free(s->passphrase);
    buf_fini(&s->in);
    buf_fini(&s->out);
    free(s);
}

static void secret_run(void *arg)
{
    struct secret *s = arg;
    struct slice passphrase = slice_str(s->passphrase);
    s->good = s->encrypts ? digest_encrypt(&s->how, passphrase, buf_slice(&s->in), &s->out)
                          : digest_decrypt(&s->how, passphrase, buf_slice(&s->in), &s->out);
}

static void show_encrypted(struct call *call, const struct secret *s)
{
    struct buf json = BUF_INIT;
    struct slice text = buf_slice(&s->out);
    if (!call->request.json && s->short_form)
        call_print(call, "encrypted:%.*s", SLICE_ARG(text));
    else if (!call->request.json)
        call_print(call, "{encrypted,<<\"%.*s\">>}", SLICE_ARG(text));
    else if (s->short_form)
        buf_printf(&json, "\"encrypted:%.*s\"", SLICE_ARG(text));
    else
        buf_printf(&json, "[\"encrypted\",\"%.*s\"]", SLICE_ARG(text));
    if (json.len)
        show_value(call, buf_slice(&json));
    buf_fini(&json);
    call_exit(call);
}

static void show_decrypted(struct call *call, const struct secret *s)
{
    struct buf text = BUF_INIT;
    struct erlang_term term;
    bool good = erlang_term_decode(&term, buf_slice(&s->out));
    if (!good) {
        call_fail(call, EX_UNAVAILABLE, FAILED_TO_DECRYPT);
    } else if (call->request.json) {
        if (term.type == TERM_INT)
            buf_printf(&text, "%d", term.integer);
        else
            cell_put_string(&text, buf_slice(&term.text));
        show_value(call, buf_slice(&text));
        call_exit(call);
    } else {
        erlang_term_print(&term, &text);
        call_print_slice(call, buf_slice(&text));
        call_exit(call);
    }
    erlang_term_fini(&term);
    buf_fini(&text);
}

static void on_secret(struct call *call, const void *arg)
{
    const struct secret *s = arg;
    if (!s->good)
        call_fail(call, EX_UNAVAILABLE,
                  s->encrypts ? "Error during cipher operation" : FAILED_TO_DECRYPT);
    else if (s->encrypts)
        show_encrypted(call, s);
    else
        show_decrypted(call, s);
}

static const struct aside_work secret_work = {secret_run, on_secret, secret_free};

/* False: the call was refused. */
static bool read_how(struct call *call, struct digest_cipher *how)
{
    const char *iterations = call_option(call, OPT_ITERATIONS, "1");
    const char *problem = NULL;
    uint64_t n = 0;
    how->cipher = call_option(call, OPT_CIPHER, "aes_128_cbc");
    how->hash = call_option(call, OPT_HASH, "sha256");
    if (!digest_cipher_is_known(how->cipher))
        problem = "Bad argument: The requested cipher is not supported.";
    else if (!digest_hash_is_known(how->hash))
        problem = "Bad argument: The requested hash is not supported";
    else if (!args_number(iterations, 1, ITERATIONS_MAX, &n))
        problem = "Bad argument: The requested number of iterations is incorrect";
    how->iterations = (unsigned)n;
    if (problem)
        call_refuse(call, EX_DATAERR, "%s", problem);
    return !problem;
}

static bool read_clear(struct slice text, struct buf *out)
{
    struct erlang_term term;
    bool good = erlang_term_parse(&term, text);
    if (good)
        erlang_term_encode(&term, out);
    erlang_term_fini(&term);
    return good;
}

static bool cut(struct slice *text, struct slice start, struct slice end)
{
    if (text->len < start.len + end.len || memcmp(text->data, start.data, start.len) != 0 ||
        memcmp(text->data + text->len - end.len, end.data, end.len) != 0)
        return false;
    *text = slice_of(text->data + start.len, text->len - start.len - end.len);
    return true;
}

/* {encrypted,<<"...">>}, <<"...">>, "..." or encrypted:... */
static bool read_encrypted(struct slice text, struct buf *out)
{
    bool tuple = cut(&text, SLICE("{encrypted,"), SLICE("}"));
    while (text.len && *text.data == ' ')
        text = slice_of(text.data + 1, text.len - 1);
    if (!cut(&text, SLICE("<<\""), SLICE("\">>")))
        cut(&text, SLICE("\""), SLICE("\""));
    if (!tuple)
        cut(&text, SLICE("encrypted:"), SLICE(""));
    buf_append_slice(out, text);
    return text.len != 0;
}

static void start(struct call *call, const char *passphrase)
{
    const char *name = call->args.command->name;
    struct slice value = slice_str(call->args.words[0]);
    struct secret *s = NEW(struct secret);
    s->encrypts = *name == 'e';
    s->short_form = strstr(name, "_conf_value") != NULL;
    if (!read_how(call, &s->how)) {
        secret_free(s);
        return;
    }
    s->passphrase = mem_strdup(passphrase);
    if (!(s->encrypts ? read_clear(value, &s->in) : read_encrypted(value, &s->in))) {
        call_fail(call, EX_UNAVAILABLE,
                  s->encrypts ? "Error during cipher operation" : FAILED_TO_DECRYPT);
        secret_free(s);
        return;
    }
    aside_start(call, &secret_work, s);
}

static void on_passphrase(struct call *call, const char *answer)
{
    if (answer)
        start(call, answer);
    else
        call_fail(call, EX_UNAVAILABLE, "not_enough_args");
}

/* Of encode, decode, encrypt_conf_value and decrypt_conf_value: the name says what is done. */
void run_encode(struct call *call)
{
    const char *name = call->args.command->name;
    call_banner(call, "%s value%s", *name == 'e' ? "Encrypting" : "Decrypting",
                !strcmp(name, "encode")   ? " ..."
                : !strcmp(name, "decode") ? "..."
                : *name == 'e'            ? " to be used in rabbitmq.conf..."
                                          : " that was used in rabbitmq.conf...");
    if (call_is_dry(call))
        return;
    if (call->args.count > 1)
        start(call, call->args.words[1]);
    else
        call_ask(call, "Passphrase: ", on_passphrase);
}
