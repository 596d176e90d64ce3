/* The x-delay header of a message: how long it waits, in milliseconds, before an exchange that
 * delays routes it. */
#ifndef BROKER_DELAY_H
#define BROKER_DELAY_H

#include "base/buf.h"
#include "base/slice.h"

/* About a thousand years; longer delays are taken for that. */
#define DELAY_MAX (UINT64_C(1) << 45)

/* By a message's headers (a table without its length); 0: none. Numbers of any type count, and
 * strings that are one, as with RabbitMQ's plugin; what is not above 0 is no delay. */
uint64_t delay_of(struct slice headers);
/* Appends the headers of a message whose time has come: x-delay turned negative, as the plugin
 * does, so that no exchange behind this one delays it again. */
void delay_put_over(struct slice headers, struct buf *out);

#endif
