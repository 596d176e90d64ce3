/* The lines that were logged last, kept in memory wherever the log goes. Any thread. */
#ifndef BASE_LOG_RECENT_H
#define BASE_LOG_RECENT_H

#include "base/buf.h"

enum { LOG_RECENT_BYTES = 128 * 1024 };

/* A line with its newline. For log.c. */
void log_recent_keep(struct slice line);
/* Where the last so many lines begin, or as many as there are; 0: where the next one will. */
uint64_t log_recent_begin(size_t lines);
/* Appends whole lines from there on, of at most max bytes (a line has less than 16 KiB), and moves
 * *at behind them. What is gone already is passed over: how many bytes. */
uint64_t log_recent_read(uint64_t *at, size_t max, struct buf *out);

#endif
