/* Values as Erlang prints them in RabbitMQ's refusals of policies and parameters. Pure. */
#ifndef META_TERM_H
#define META_TERM_H

#include "base/buf.h"
#include "base/table.h"

/* 1, true, <<"text">>, [1,2], #{<<"key">> => 1} */
void term_print(const struct table_value *value, struct buf *out);
/* A table as [{<<"key">>,1}]. */
void term_print_pairs(struct slice table, struct buf *out);

#endif
