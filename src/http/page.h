/* The files of the management page, which are part of the program (scripts/gen-page). */
#ifndef HTTP_PAGE_H
#define HTTP_PAGE_H

#include <stddef.h>
#include <stdint.h>

struct page_file {
    const char *name; /* "main.js"; in the order of names */
    const char *type;
    const char *tag; /* changes with what is in it */
    const uint8_t *plain;
    size_t plain_len;
    const uint8_t *packed; /* by gzip */
    size_t packed_len;
};
extern const struct page_file page_files[];
extern const size_t page_file_count;

#endif
