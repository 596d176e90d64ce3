/* The properties of a message by RabbitMQ's names, and as JSON. */
#ifndef HTTP_MESSAGE_VIEW_H
#define HTTP_MESSAGE_VIEW_H

#include "base/props.h"
#include "http/view.h"

/* Where a property is in struct amqp_basic_properties. */
struct message_property {
    const char *name;
    enum amqp_property flag;
    size_t offset;
    enum { PROPERTY_TEXT, PROPERTY_OCTET, PROPERTY_TIME, PROPERTY_TABLE } form;
};
enum { MESSAGE_PROPERTIES = 14 };
extern const struct message_property message_properties[MESSAGE_PROPERTIES];

/* "properties"; raw: as msg_properties gives them. */
void message_put_properties(struct view *v, struct slice raw);

#endif
