#include "http/message_view.h"

#define AT(member) offsetof(struct amqp_basic_properties, member)
const struct message_property message_properties[MESSAGE_PROPERTIES] = {
    {"content_type", AMQP_PROP_CONTENT_TYPE, AT(content_type), PROPERTY_TEXT},
    {"content_encoding", AMQP_PROP_CONTENT_ENCODING, AT(content_encoding), PROPERTY_TEXT},
    {"headers", AMQP_PROP_HEADERS, AT(headers), PROPERTY_TABLE},
    {"delivery_mode", AMQP_PROP_DELIVERY_MODE, AT(delivery_mode), PROPERTY_OCTET},
    {"priority", AMQP_PROP_PRIORITY, AT(priority), PROPERTY_OCTET},
    {"correlation_id", AMQP_PROP_CORRELATION_ID, AT(correlation_id), PROPERTY_TEXT},
    {"reply_to", AMQP_PROP_REPLY_TO, AT(reply_to), PROPERTY_TEXT},
    {"expiration", AMQP_PROP_EXPIRATION, AT(expiration), PROPERTY_TEXT},
    {"message_id", AMQP_PROP_MESSAGE_ID, AT(message_id), PROPERTY_TEXT},
    {"timestamp", AMQP_PROP_TIMESTAMP, AT(timestamp), PROPERTY_TIME},
    {"type", AMQP_PROP_TYPE, AT(type), PROPERTY_TEXT},
    {"user_id", AMQP_PROP_USER_ID, AT(user_id), PROPERTY_TEXT},
    {"app_id", AMQP_PROP_APP_ID, AT(app_id), PROPERTY_TEXT},
    {"cluster_id", AMQP_PROP_RESERVED, AT(reserved), PROPERTY_TEXT},
};

static void put_property(struct view *v, const struct message_property *p, const void *at)
{
    switch (p->form) {
    case PROPERTY_TEXT:
        view_text(v, p->name, *(const struct slice *)at);
        break;
    case PROPERTY_OCTET:
        view_int(v, p->name, *(const uint8_t *)at);
        break;
    case PROPERTY_TIME:
        view_int(v, p->name, (int64_t) * (const uint64_t *)at);
        break;
    case PROPERTY_TABLE:
        view_table(v, p->name, *(const struct slice *)at);
        break;
    }
}

void message_put_properties(struct view *v, struct slice raw)
{
    struct amqp_basic_properties all;
    if (props_decode(raw, &all) || !all.flags) {
        view_json(v, "properties", SLICE("[]"));
        return;
    }
    if (!view_object(v, "properties"))
        return;
    for (size_t i = 0; i < MESSAGE_PROPERTIES; i++) {
        if (all.flags & message_properties[i].flag)
            put_property(v, &message_properties[i],
                         (const char *)&all + message_properties[i].offset);
    }
    view_object_end(v);
}
