/* What systemd is told about the state of the process; nothing without it. */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <stdint.h>

void notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void notify_ready(void);
void notify_reloading(void);
/* And that it may take so long. */
void notify_stopping(uint64_t patience_ms);
void notify_watchdog(void);
/* Milliseconds between two signs of life that systemd expects; 0: none. */
uint64_t notify_watchdog_ms(void);

#endif
