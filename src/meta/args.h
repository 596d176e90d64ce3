/* Arguments of queues, exchanges and consumers by the table args.def: validation and equivalence
 * with RabbitMQ's texts. No state, any thread. */
#ifndef META_ARGS_H
#define META_ARGS_H

#include "base/err.h"
#include "meta/def.h"

/* A row of args.def, for the manual. */
struct arg_info {
    const char *name;
    unsigned types; /* bits 1 << enum queue_type; of an exchange 0 */
    const char *text;
};
enum arg_scope { ARG_QUEUE, ARG_EXCHANGE, ARG_CONSUME };
/* NULL behind the last. */
const struct arg_info *args_info(enum arg_scope scope, size_t index);

/* Of arguments that passed args_check_queue. */
enum queue_type args_queue_type(struct slice args);
const char *args_queue_type_name(enum queue_type type); /* "classic" */
bool args_queue_type_parse(struct slice name, enum queue_type *ret_type);

/* Whether it is one of the words, which are blank separated. */
bool args_is_word(struct slice word, const char *words);
/* A number above 0 and a unit: 7D. */
bool args_is_age(struct slice age);
/* The same in milliseconds; false: it is none. A year has 365 days, a month 30. */
bool args_age_ms(struct slice age, uint64_t *ret_ms);

/* PRECONDITION_FAILED for what a new queue's arguments may not be. */
enum err args_check_queue(struct slice vhost, struct slice name, struct slice args,
                          struct failure *why);
/* What a type demands of the queue's properties; exclusive queues count as not durable. */
enum err args_check_queue_type(const struct queue_def *def, struct failure *why);
/* The refusal of a type that is switched off. */
enum err args_refuse_type(const struct queue_def *def, struct failure *why);
/* basic.consume. */
enum err args_check_consume(const struct queue_def *def, struct slice args, struct failure *why);
/* Of a redeclaration. */
enum err args_check_queue_equal(const struct queue_def *def, struct slice args,
                                struct failure *why);
enum err args_check_exchange_equal(const struct exchange_def *def, struct slice args,
                                   struct failure *why);

#endif
