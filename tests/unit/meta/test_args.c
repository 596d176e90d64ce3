/* Arguments of queues and consumers: texts as RabbitMQ 3.10.8 gives them. */
#include "unit.h"
#include "world.h"

#include "meta/args.h"

struct check {
    const char *args, *text; /* of what follows "invalid arg '...' for queue 'q' in vhost '/'" */
};

static const struct check refused[] = {
    {"x-expires:S=a", "'x-expires': \"expected integer, got longstr\""},
    {"x-expires:t=true", "'x-expires': \"expected integer, got bool\""},
    {"x-expires:F=", "'x-expires': \"expected integer, got table\""},
    {"x-expires:A=", "'x-expires': \"expected integer, got array\""},
    {"x-expires:I=-1", "'x-expires': {value_negative,-1}"},
    {"x-expires:I=0", "'x-expires': {value_zero,0}"},
    {"x-expires:l=315360000001", "'x-expires': {value_too_large,315360000001}"},
    {"x-message-ttl:S=a", "'x-message-ttl': \"expected integer, got longstr\""},
    {"x-message-ttl:I=-1", "'x-message-ttl': {value_negative,-1}"},
    {"x-message-ttl:l=315360000001", "'x-message-ttl': {value_too_large,315360000001}"},
    {"x-max-length:I=-1", "'x-max-length': {value_negative,-1}"},
    {"x-max-length:S=a", "'x-max-length': \"expected integer, got longstr\""},
    {"x-max-length-bytes:I=-1", "'x-max-length-bytes': {value_negative,-1}"},
    {"x-max-priority:I=-1", "'x-max-priority': {value_negative,-1}"},
    {"x-max-priority:I=256", "'x-max-priority': {max_value_exceeded,256}"},
    {"x-dead-letter-routing-key:S=a",
     "'x-dead-letter-routing-key': routing_key_but_no_dlx_defined"},
    {"x-dead-letter-routing-key:I=1", "'x-dead-letter-routing-key': {unacceptable_type,signedint}"},
    {"x-overflow:S=foo", "'x-overflow': invalid_overflow"},
    {"x-overflow:I=1", "'x-overflow': {unacceptable_type,signedint}"},
    {"x-queue-mode:S=foo", "'x-queue-mode': \"unsupported queue mode 'foo'\""},
    {"x-queue-mode:I=1", "'x-queue-mode': {unacceptable_type,signedint}"},
    {"x-queue-version:I=3", "'x-queue-version': \"unsupported queue version '3'\""},
    {"x-queue-version:S=1", "'x-queue-version': \"expected integer, got longstr\""},
    {"x-queue-version:I=-1", "'x-queue-version': {value_negative,-1}"},
    {"x-single-active-consumer:S=a", "'x-single-active-consumer': {unacceptable_type,longstr}"},
    {"x-single-active-consumer:I=1", "'x-single-active-consumer': {unacceptable_type,signedint}"},
    {"x-queue-type:S=foo", "'x-queue-type': \"unsupported queue type 'foo'\""},
    {"x-queue-type:S=fo\"o", "'x-queue-type': \"unsupported queue type 'fo\\\"o'\""},
    {"x-queue-type:I=1", "'x-queue-type': {unacceptable_type,signedint}"},
    {"x-queue-type:S=quorum x-queue-leader-locator:S=foo",
     "'x-queue-leader-locator': invalid_queue_locator_arg"},
    {"x-dead-letter-strategy:S=foo", "'x-dead-letter-strategy': invalid_dlx_strategy"},
    {"x-queue-type:S=quorum x-dead-letter-strategy:S=foo",
     "'x-dead-letter-strategy': invalid_dlx_strategy"},
    {"x-queue-type:S=quorum x-quorum-initial-group-size:I=0",
     "'x-quorum-initial-group-size': {value_zero,0}"},
    {"x-queue-type:S=stream x-max-age:S=1x", "'x-max-age': invalid_max_age"},
    {"x-queue-type:S=stream x-max-age:S=foo", "'x-max-age': invalid_max_age"},
};

/* key, rabbit's module */
static const struct check misplaced[] = {
    {"x-max-age:S=1D", "'x-max-age' classic"},
    {"x-queue-leader-locator:S=balanced", "'x-queue-leader-locator' classic"},
    {"x-max-in-memory-length:I=5", "'x-max-in-memory-length' classic"},
    {"x-quorum-initial-group-size:I=1", "'x-quorum-initial-group-size' classic"},
    {"x-stream-max-segment-size-bytes:I=1", "'x-stream-max-segment-size-bytes' classic"},
    {"x-initial-cluster-size:I=1", "'x-initial-cluster-size' classic"},
    {"x-consumer-disconnected-timeout:I=1", "'x-consumer-disconnected-timeout' classic"},
    {"x-quorum-target-group-size:I=1", "'x-quorum-target-group-size' classic"},
    {"x-member-placement-tag:S=a", "'x-member-placement-tag' classic"},
    {"x-queue-type:S=stream x-delivery-limit:I=3", "'x-delivery-limit' stream"},
    {"x-queue-type:S=stream x-max-priority:I=3", "'x-max-priority' stream"},
    {"x-queue-type:S=quorum x-queue-mode:S=lazy", "'x-queue-mode' quorum"},
    {"x-queue-type:S=stream x-message-ttl:I=3", "'x-message-ttl' stream"},
};

static const char *const accepted[] = {
    "",
    "x-message-ttl:I=0 x-expires:l=315360000000 x-max-length:I=0 x-max-length-bytes:l=5000000000",
    "x-max-priority:I=255 x-overflow:S=reject-publish x-queue-mode:S=lazy x-queue-version:I=2",
    "x-dead-letter-exchange:S= x-dead-letter-routing-key:S=k x-single-active-consumer:t=false",
    "x-queue-type:S=classic x-queue-master-locator:S=min-masters anything:F=",
    "x-queue-type:S=quorum x-delivery-limit:I=3 x-queue-leader-locator:S=balanced",
    "x-queue-type:S=quorum x-consumer-disconnected-timeout:I=60000",
    "x-queue-type:S=quorum x-quorum-target-group-size:I=3 x-member-placement-tag:S=zone",
    "x-delivery-limit:I=3",
    "x-dead-letter-strategy:S=at-least-once",
    "x-queue-type:S=quorum x-max-priority:I=255 x-overflow:S=reject-publish-dlx",
    "x-queue-type:S=stream x-max-age:S=7D x-initial-cluster-size:I=3",
};

UNIT(args, queue)
{
    struct failure why;
    char want[512];
    struct slice vhost = SLICE("/"), name = SLICE("q");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const char *colon = strchr(refused[i].text, ':');
        snprintf(want, sizeof want, "invalid arg %.*s for queue 'q' in vhost '/'%s",
                 (int)(colon - refused[i].text), refused[i].text, colon);
        cr_expect_eq(args_check_queue(vhost, name, args_of(refused[i].args), &why),
                     ERR_PRECONDITION_FAILED, "%s", refused[i].args);
        cr_expect_str_eq(why.text, want);
    }
    for (size_t i = 0; i < sizeof misplaced / sizeof misplaced[0]; i++) {
        const char *space = strchr(misplaced[i].text, ' ');
        snprintf(want, sizeof want,
                 "invalid arg %.*s for queue 'q' in vhost '/' of queue type rabbit_%s_queue",
                 (int)(space - misplaced[i].text), misplaced[i].text, space + 1);
        cr_expect_eq(args_check_queue(vhost, name, args_of(misplaced[i].args), &why),
                     ERR_PRECONDITION_FAILED, "%s", misplaced[i].args);
        cr_expect_str_eq(why.text, want);
    }
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++)
        cr_expect_eq(args_check_queue(vhost, name, args_of(accepted[i]), &why), ERR_NONE, "%s: %s",
                     accepted[i], why.text);
}

UNIT(args, dead_letter_exchange_of_wrong_type)
{
    struct world *w = world_new();
    wont(do_queue(w, "qa", 0, "x-dead-letter-exchange:I=1"), ERR_PRECONDITION_FAILED,
         "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'qa' in vhost '/'");
    wont(do_queue(w, "qa", 0, "x-dead-letter-exchange:t=true"), ERR_PRECONDITION_FAILED,
         "invalid type 'bool' for arg 'x-dead-letter-exchange' in queue 'qa' in vhost '/'");
    world_free(&w);
}

UNIT(args, consume)
{
    struct failure why;
    struct queue_def *def =
        queue_def_new(&(struct queue_def){.vhost = SLICE("/"), .name = SLICE("q")});
    cr_expect_eq(args_check_consume(def, args_of("x-priority:I=-5 other:S=x"), &why), ERR_NONE);
    cr_expect_eq(args_check_consume(def, args_of("x-priority:S=high"), &why),
                 ERR_PRECONDITION_FAILED);
    cr_expect_str_eq(why.text, "invalid arg 'x-priority' for queue 'q' in vhost '/': \"expected "
                               "integer, got longstr\"");
    cr_expect_eq(args_check_consume(def, args_of("x-cancel-on-ha-failover:I=1"), &why),
                 ERR_PRECONDITION_FAILED);
    cr_expect_str_eq(why.text, "invalid arg 'x-cancel-on-ha-failover' for queue 'q' in vhost "
                               "'/': {unacceptable_type,signedint}");
    cr_expect_eq(args_check_consume(def, args_of("x-stream-offset:S=first"), &why),
                 ERR_PRECONDITION_FAILED);
    cr_expect_str_eq(why.text, "invalid arg 'x-stream-offset' for queue 'q' in vhost '/' of queue "
                               "type rabbit_classic_queue");
    queue_def_unref(&def);
}

UNIT(args, rows_have_texts)
{
    size_t rows = 0;
    for (int scope = ARG_QUEUE; scope <= ARG_CONSUME; scope++) {
        const struct arg_info *info;
        for (size_t i = 0; (info = args_info((enum arg_scope)scope, i)); i++, rows++)
            cr_expect(info->name[0] && info->text[0]);
    }
    cr_expect_geq(rows, 27);
}
