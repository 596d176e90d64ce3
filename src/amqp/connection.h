/* An AMQP connection: handshake, frames, channels, close. Lives on the shard of its stream. */
#ifndef AMQP_CONNECTION_H
#define AMQP_CONNECTION_H

#include "base/amqp_spec.h"
#include "base/err.h"
#include "net/stream.h"

struct connection;
struct channel;

/* What the frame reader does after a frame was handed over. */
enum step {
    STEP_DONE, /* next frame */
    STEP_WAIT, /* the same frame again, once connection_resume is called */
};

/* Takes a fresh stream. */
void connection_open(struct stream *stream, void *unused);

/* Writes a method on a channel number; args is its struct. Nothing is sent on a dead connection. */
void connection_send(struct connection *c, unsigned channel, enum amqp_method method,
                     const void *args);
/* Sends connection.close and waits for close-ok; cause may be NULL. */
void connection_fail(struct connection *c, const struct failure *why,
                     const struct wire_method *cause);
/* The same with a text to format. Returns STEP_DONE. */
enum step connection_failf(struct connection *c, const struct wire_method *cause, enum err code,
                           const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* A channel waited and may go on. */
void connection_resume(struct connection *c);

#endif
