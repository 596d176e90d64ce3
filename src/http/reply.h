/* Answers: whole ones with their length, or in pieces at the client's pace; gzip where the client
 * takes it. An answer is begun once and ended once. */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include "base/buf.h"
#include "base/err.h"

struct page_file;
struct session;
struct z_stream_s;

struct reply {
    bool begun, ended;
    bool bare;    /* to HEAD: the head alone */
    bool chunked; /* else the end of the connection is the end of the answer */
    struct z_stream_s *gzip;
    struct buf out;    /* compressed, being gathered */
    struct slice rest; /* owned: of a large one, compressed in turns */
    size_t rest_at;
    struct buf location; /* of what was made; empty: not said */
    struct buf cookie;   /* to be set; the same */
};

void reply_fini(struct reply *reply);

/* Whole ones. */
void reply_json(struct session *session, unsigned status, struct slice json);
/* A file of the page, unless the client has it. */
void reply_file(struct session *session, const struct page_file *file);
void reply_empty(struct session *session, unsigned status);
/* {"error": error, "reason": reason} */
void reply_error(struct session *session, unsigned status, const char *error, const char *reason);
void reply_error_slice(struct session *session, unsigned status, const char *error,
                       struct slice reason);
__attribute__((format(printf, 4, 5))) void reply_errorf(struct session *session, unsigned status,
                                                        const char *error, const char *fmt, ...);
/* {"error":"bad_request","reason":...} */
__attribute__((format(printf, 2, 3))) void reply_bad(struct session *session, const char *fmt, ...);
/* RabbitMQ's words for what is not there. */
void reply_not_found(struct session *session);

/* In pieces. */
void reply_open(struct session *session, unsigned status, const char *content_type);
void reply_write(struct session *session, struct slice piece);
void reply_close(struct session *session);

#endif
