/* Parameters of federation and shovels: texts as RabbitMQ 3.10.8 gives them. */
#include "rig.h"

#include "meta/component.h"

/* What is wrong with a value; "" nothing. */
static void refused(const char *component, const char *value, const char *wanted)
{
    struct buf text = BUF_INIT, errors = BUF_INIT;
    struct failure why;
    struct item_head head;
    struct slice item;
    struct table_value v;
    buf_printf(&text, "{\"parameters\":[{\"vhost\":\"/\",\"component\":\"%s\",\"name\":\"n\",",
               component);
    buf_printf(&text, "\"value\":%s}]}", value);
    struct import *import = rig_read(buf_slice(&text), IMPORT_CHUNK, SLICE_EMPTY, &why);
    cr_assert_not_null(import, "%s", why.text);
    import_rewind(import);
    cr_assert(import_walk(import, &head, &item) && table_find(item, SLICE("value"), &v));
    component_check(slice_str(component), SLICE("n"), &v, &errors);
    if (errors.len)
        errors.len--; /* the last line end */
    cr_expect_str_eq(buf_cstr(&errors), wanted, "%s: %s", value, buf_cstr(&errors));
    import_free(&import);
    buf_fini(&text);
    buf_fini(&errors);
}

#define NOT_URI(uri, reason) "\"" uri "\" not a valid URI: {" reason ",\"" uri "\"}"

UNIT(component, uris)
{
    static const struct {
        const char *uri, *reason;
    } cases[] = {
        {"\"amqp://\"", ""},
        {"\"amqp://h\"", ""},
        {"\"amqps://user:p%40ss@h:5671/v%2Fh?heartbeat=5&channel_max=2&nope=1\"", ""},
        {"\"amqp://[::1]:5672/\"", ""},
        {"\"amqp://[::1]\"", ""},
        {"\"amqps://h/?cacertfile=/x&verify=verify_peer&fail_if_no_peer_cert=true\"", ""},
        {"[\"amqp://a\",\"amqp://b\"]", ""},
        {"[]", ""},
        {"5", "uri should be list, actually was 5"},
        {"[\"amqp://a\",5,\"x\"]", "uri should be list, actually was 5"},
        {"\"\"", NOT_URI("", "{unable_to_parse_uri,no_scheme}")},
        {"\"nonsense\"", NOT_URI("nonsense", "{unable_to_parse_uri,no_scheme}")},
        {"\"http://h\"", NOT_URI("http://h", "{unexpected_uri_scheme,\"http\"}")},
        {"\"amqp://h:x\"", NOT_URI("amqp://h:x", "{unable_to_parse_uri,\"h:x\"}")},
        {"\"amqp://h:70000\"", NOT_URI("amqp://h:70000", "{unable_to_parse_uri,\"h:70000\"}")},
        {"\"amqp://[::1\"", NOT_URI("amqp://[::1", "{unable_to_parse_uri,\"[::1\"}")},
        {"\"amqp://[::1]x\"", NOT_URI("amqp://[::1]x", "{unable_to_parse_uri,\"[::1]x\"}")},
        {"\"amqp://h/a/b\"", NOT_URI("amqp://h/a/b", "{invalid_vhost,\"a/b\"}")},
        {"\"amqp://u%er@h\"", NOT_URI("amqp://u%er@h", "{invalid_entitiy,\"%er\"}")},
        {"\"amqp://u%4@h\"", NOT_URI("amqp://u%4@h", "{invalid_entitiy,\"%4\"}")},
        {"\"amqp://h?heartbeat=x\"",
         NOT_URI("amqp://h?heartbeat=x", "{invalid_amqp_params_parameter,heartbeat,\"x\"}")},
        {"\"amqps://h?fail_if_no_peer_cert=maybe\"",
         NOT_URI("amqps://h?fail_if_no_peer_cert=maybe",
                 "{invalid_ssl_parameter,fail_if_no_peer_cert,\"maybe\"}")},
    };
    char value[300];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(value, sizeof value, "{\"uri\":%s}", cases[i].uri);
        refused("federation-upstream", value, cases[i].reason);
    }
}

UNIT(component, upstreams)
{
    refused("federation-upstream", "{}", "Key \"uri\" not found in n");
    refused("federation-upstream", "[]", "Key \"uri\" not found in n");
    refused("federation-upstream", "5", "n not a list 5");
    refused("federation-upstream", "[1]",
            "Unrecognised terms [1] in n\nKey \"uri\" not found in n");
    refused("federation-upstream",
            "{\"uri\":\"amqp://\",\"prefetch-count\":\"x\",\"trust-user-id\":1,\"ack-mode\":\"no\","
            "\"x\":1,\"exchange\":1}",
            "Unrecognised terms [{<<\"x\">>,1}] in n\n"
            "ack-mode should be one of [<<\"no-ack\">>,<<\"on-publish\">>,<<\"on-confirm\">>], "
            "actually was <<\"no\">>\n"
            "trust-user-id should be boolean, actually was 1\n"
            "prefetch-count should be a number, actually was <<\"x\">>\n"
            "exchange should be binary, actually was 1");
    refused("federation-upstream", "{\"uri\":\"amqp://\",\"ack-mode\":1}",
            "ack-mode should be binary, actually was 1");
    refused("federation-upstream",
            "{\"uri\":\"amqp://\",\"expires\":1.5,\"max-hops\":2,\"queue-type\":\"quorum\","
            "\"bind-nowait\":true,\"channel-use-mode\":\"single\","
            "\"resource-cleanup-mode\":\"never\"}",
            "");
    refused("federation-upstream-set",
            "[{\"upstream\":\"a\"},{\"upstream\":\"b\",\"exchange\":\"x\"}]", "");
    refused("federation-upstream-set", "[]", "");
    refused("federation-upstream-set", "{}", "n not a list #{}");
    refused("federation-upstream-set", "[{},{\"uri\":\"amqp://\"}]",
            "Key \"upstream\" not found in n\n"
            "Unrecognised terms [{<<\"uri\">>,<<\"amqp://\">>}] in n\n"
            "Key \"upstream\" not found in n");
}

UNIT(component, shovels)
{
#define ENDS "{\"src-uri\":\"amqp://\",\"dest-uri\":\"amqp://\""
    static const struct {
        const char *value, *wanted;
    } cases[] = {
        {"{}", "Must specify 'src-exchange' or 'src-queue'\nKey \"dest-uri\" not found in n\n"
               "Key \"src-uri\" not found in n"},
        {ENDS "}", "Must specify 'src-exchange' or 'src-queue'"},
        {ENDS ",\"src-queue\":\"q\"}", ""},
        {ENDS ",\"src-queue\":\"q\",\"src-exchange\":\"x\",\"dest-queue\":\"q\",\"dest-exchange\":"
              "\"x\"}",
         "Cannot specify 'src-exchange' and 'src-queue'\n"
         "Cannot specify 'dest-exchange' and 'dest-queue'"},
        {ENDS ",\"src-queue\":\"q\",\"dest-queue\":5}",
         "dest-queue should be binary, actually was 5"},
        {ENDS ",\"src-queue\":\"q\",\"ack-mode\":\"no-ack\",\"delete-after\":5}",
         "Cannot specify 'no-ack' and numerical 'delete-after'"},
        {ENDS ",\"src-queue\":\"q\",\"src-delete-after\":\"soon\"}",
         "src-delete-after should be a number greater than or equal to 0, \"never\" or "
         "\"queue-length\", actually was <<\"soon\">>"},
        {ENDS ",\"src-queue\":\"q\",\"src-delete-after\":\"queue-length\",\"ack-mode\":\"no-ack\"}",
         ""},
        {ENDS ",\"src-queue\":\"q\",\"src-protocol\":\"amqp10\"}",
         "Unrecognised terms [{<<\"src-queue\">>,<<\"q\">>}] in n\n"
         "Key \"src-address\" not found in n"},
        {ENDS ",\"src-address\":\"q\",\"src-protocol\":\"amqp10\",\"dest-protocol\":\"amqp10\"}",
         "Key \"dest-address\" not found in n"},
        {ENDS ",\"src-address\":\"q\",\"src-protocol\":\"amqp10\",\"dest-protocol\":\"amqp10\","
              "\"dest-address\":\"d\",\"dest-properties\":{\"a\":1}}",
         "a should be binary, actually was 1"},
        {ENDS ",\"src-queue\":\"q\",\"src-protocol\":\"local\",\"dest-protocol\":\"local\","
              "\"dest-queue\":\"r\"}",
         ""},
        {ENDS ",\"src-queue\":\"q\",\"src-protocol\":\"mqtt\"}",
         "src-protocol should be one of [<<\"amqp10\">>,<<\"amqp091\">>,<<\"local\">>], actually "
         "was <<\"mqtt\">>"},
        {ENDS ",\"src-queue\":\"q\",\"src-queue-args\":{\"x-queue-type\":\"quorum\"}}", ""},
        {ENDS ",\"src-queue\":\"q\",\"src-queue-args\":{\"x-foo\":1}}",
         "Unrecognised terms [{<<\"x-foo\">>,1}] in src-queue-args"},
        {ENDS ",\"src-queue\":\"q\",\"dest-publish-properties\":{\"delivery_mode\":2,\"foo\":1,"
              "\"type\":1}}",
         "Unrecognised terms [{<<\"foo\">>,1}] in dest-publish-properties\n"
         "type should be binary, actually was 1"},
        {ENDS ",\"src-queue\":\"q\",\"dest-publish-properties\":5}",
         "dest-publish-properties not a list 5"},
        {ENDS ",\"src-queue\":\"q\",\"add-forward-headers\":\"x\",\"reconnect-delay\":true}",
         "add-forward-headers should be boolean, actually was <<\"x\">>\n"
         "reconnect-delay should be a number, actually was true"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused("shovel", cases[i].value, cases[i].wanted);
}
