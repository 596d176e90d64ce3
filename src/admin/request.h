/* The first line of a control connection, taken apart. Pure. */
#ifndef ADMIN_REQUEST_H
#define ADMIN_REQUEST_H

#include "base/slice.h"

struct request {
    char **words; /* owned, NULL behind the last */
    size_t count;
    bool json;  /* output as JSON */
    bool typed; /* cells of tables as JSON values */
    bool dry;   /* nothing is to be done, only checked */
    char *tool; /* the name the client goes by; owned */
    char *node; /* whom it wants to speak to; owned, NULL: whoever is here */
};

/* line is without its newline. On false *ret_error says why (a literal) and ret_request is left
 * alone. */
bool request_parse(struct slice line, struct request *ret_request, const char **ret_error);
void request_fini(struct request *request);
/* The answer to a question: heap text, NULL for null; false if the line is no answer. */
bool request_parse_answer(struct slice line, char **ret_answer);
/* {"data": 4711}: at most CONTROL_DATA_MAX. */
bool request_parse_data(struct slice line, size_t *ret_size);

#endif
