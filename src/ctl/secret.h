/* A line that is not to be seen: from the terminal without echo, else from standard input. */
#ifndef CTL_SECRET_H
#define CTL_SECRET_H

/* Heap text without its newline; NULL at the end of input. */
char *secret_read(const char *prompt);

#endif
