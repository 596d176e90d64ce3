/* Values as Erlang terms, for the formatter erlang. */
#ifndef CTL_ERLANG_H
#define CTL_ERLANG_H

#include <cjson/cJSON.h>
#include <stdio.h>

/* A binary: <<"text">>, <<"text"/utf8>>. */
void erlang_put_binary(FILE *out, const char *text);
/* Text is a binary, an object a map, null is undefined. */
void erlang_put(FILE *out, const cJSON *value);
/* {column,value}: the column is an atom, tags are atoms, field tables are lists of
 * {<<"key">>,type,value}. */
void erlang_put_cell(FILE *out, const char *column, const cJSON *value);

#endif
