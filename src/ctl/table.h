/* A table as it is printed: rows come as JSON arrays, one after the other. */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include "ctl/options.h"

#include <cjson/cJSON.h>
#include <stdio.h>

struct table_row {
    char *key; /* NULL: the table has none */
    cJSON *cells;
};

struct table_print {
    FILE *out;
    enum format format;
    bool headers;
    bool choosable; /* the daemon says whether it is to be in boxes */
    bool keyed;
    cJSON *columns; /* NULL: no table */
    struct table_row *rows;
    size_t count, cap, printed;
};

void table_print_init(struct table_print *table, FILE *out, const struct options *options);
/* {"columns": [...], "key": ...}; takes it. */
bool table_print_begin(struct table_print *table, cJSON *head);
/* Takes the row; printed at once, or kept until the end if the table is sorted or measured. */
bool table_print_row(struct table_print *table, cJSON *row);
/* Prints what was kept. */
void table_print_end(struct table_print *table);
void table_print_fini(struct table_print *table);

#endif
