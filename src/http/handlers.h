/* The handlers that routes.def names, in api_<resource>.c. */
#ifndef HTTP_HANDLERS_H
#define HTTP_HANDLERS_H

struct session;

#define ROUTE(verb, pattern, right, handler, text)  void api_##handler(struct session *session);
#define UPLOAD(verb, pattern, right, handler, text) void api_##handler(struct session *session);
#define SCRAPE(pattern, handler, text)              void api_##handler(struct session *session);
#include "http/routes.def"
#undef ROUTE
#undef UPLOAD
#undef SCRAPE

#endif
