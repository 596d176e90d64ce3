/* A request as its bytes come: HTTP/1.1 and 1.0 by a parser library, bounded and kept in parts.
 * Headers that follow a body in chunks are dropped. Pure. */
#ifndef HTTP_MESSAGE_H
#define HTTP_MESSAGE_H

#include "base/buf.h"

enum http_verb { VERB_GET, VERB_HEAD, VERB_PUT, VERB_POST, VERB_DELETE, VERB_OPTIONS, VERB_OTHER };

/* Headers that anybody looks at; of one that comes twice the first counts. */
enum header {
    HEADER_AUTHORIZATION,
    HEADER_ACCEPT_ENCODING,
    HEADER_CONTENT_TYPE,
    HEADER_COOKIE,
    HEADER_EXPECT,
    HEADER_ORIGIN,
    HEADER_HOST,
    HEADER_IF_NONE_MATCH,
    HEADER_SEC_FETCH_SITE,
    HEADER_X_REASON,
    HEADER_COUNT
};

enum message_event {
    MESSAGE_MORE, /* all was taken */
    MESSAGE_HEAD, /* the head is complete */
    MESSAGE_BODY, /* a piece of the body is there */
    MESSAGE_DONE, /* the request is complete; what follows is the next one's */
    MESSAGE_BAD   /* nothing more is understood */
};

struct message_parser;

/* Valid from MESSAGE_HEAD until the next request begins; borrowed. */
struct message {
    enum http_verb verb;
    struct slice target;
    struct slice headers[HEADER_COUNT]; /* data NULL: not there */
    bool keep_alive;
    bool is_http_1_1;
    bool has_body;
    uint64_t length;    /* of the body, if it was announced */
    struct slice piece; /* MESSAGE_BODY: borrowed from the input */
    unsigned status;    /* MESSAGE_BAD: 400, 413, 414, 431, ... */
    const char *reason; /* for people */
};

struct message_parser *message_parser_new(void);
void message_parser_free(struct message_parser **parser);
/* Takes bytes up to the next event; how many is in ret_used. */
enum message_event message_feed(struct message_parser *parser, struct slice data, size_t *ret_used);
const struct message *message_of(const struct message_parser *parser);
/* Overwrites the values of the authorization header and of cookies, which are gone then. */
void message_forget_login(struct message_parser *parser);
/* Some bytes of a request came, and it is not complete. */
bool message_begun(const struct message_parser *parser);

#endif
