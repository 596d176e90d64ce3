/* What a client of the HTTP server may take of it, by name. */
#ifndef HTTP_BOUNDS_H
#define HTTP_BOUNDS_H

enum {
    HTTP_HEAD_MAX = 32 * 1024,           /* bytes of the request line with all headers */
    HTTP_TARGET_MAX = 8 * 1024,          /* bytes of the path with its query */
    HTTP_HEADERS_MAX = 100,              /* headers of a request */
    HTTP_SEGMENTS_MAX = 12,              /* of a path */
    HTTP_PARAMS_MAX = 32,                /* of a query */
    HTTP_FORM_MAX = 4 * 1024,            /* bytes of the body of somebody who has not logged in */
    HTTP_BODY_MAX = 4 * 1024 * 1024,     /* bytes of a body that is kept whole */
    HTTP_UPLOAD_MAX = 256 * 1024 * 1024, /* of one that is read as it comes */
    HTTP_HEAD_MS = 10000,                /* for a head to arrive, from its first byte */
    HTTP_BODY_MS = 30000,                /* for the next HTTP_BODY_STEP bytes of a body */
    HTTP_BODY_STEP = 16 * 1024,
    HTTP_BODY_TURN = 8 * 1024,   /* of it that are read in a turn; a larger one is read aside */
    HTTP_IDLE_MS = 60000,        /* between two requests */
    HTTP_TAKE_MS = 60000,        /* for the client to read some of an answer */
    HTTP_KEYS_MS = 500,          /* for it to read, or its list is sorted again later */
    HTTP_REFUSED_MS = 300,       /* a wrong password is answered this much later */
    HTTP_LINGER_MS = 2000,       /* for the client to close, once it was sent everything */
    HTTP_TURN_REQUESTS = 32,     /* of one connection that are answered in a turn */
    HTTP_GZIP_PIECE = 10 * 1024, /* of one that are compressed in a turn */
    HTTP_GZIP_MIN = 1024,        /* bytes of an answer below which gzip is not worth it */
    HTTP_PAGE_SIZE_MAX = 500,    /* items of a page, as in RabbitMQ */
    HTTP_PAGE_SIZE = 100,        /* unless the client says otherwise */
    HTTP_BATCH = 10,             /* items of a list that are shown, and written, at a time */
    HTTP_NAME_FILTER_MAX = 512,  /* bytes of a filter, as a text or a regular expression */
    HTTP_FILTER_STEPS = 5000,    /* of a regular expression on one name, which then fails */
    HTTP_PORTION = 100, /* objects of a list, or names for one, that are looked at in a turn */
    HTTP_SHOW_PORTION = 16 * 1024,    /* bytes of JSON after which the next turn goes on */
    HTTP_COLUMNS_MAX = 64,            /* columns that a client chooses */
    HTTP_GET_MAX = 1000,              /* messages of one get */
    HTTP_GET_BYTES = 8 * 1024 * 1024, /* of a get: what is beyond stays in the queue */
    HTTP_GET_PIECE = 64 * 1024,       /* of it that are looked at, or written, in a turn */
    HTTP_GET_TURN = 32,               /* messages of it that are fetched in a turn */
    HTTP_BROWSE_MAX = 500,            /* messages that are shown by one look at a queue */
    HTTP_BROWSE_LOOKED = 20000,       /* and that are looked at for it */
    HTTP_BROWSE_PAYLOAD = 64 * 1024,  /* bytes of each payload that are searched, or shown */
    HTTP_BROWSE_TURN = 1024 * 1024,   /* bytes that are searched in a turn, about */
    HTTP_MOVE_MAX = 1000,             /* messages of one request that are moved */
};

#endif
