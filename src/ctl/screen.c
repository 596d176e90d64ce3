/* The terminal is one, and signals that end the process leave it as it was: hence the state of this
 * file. */
#include "ctl/screen.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define ENTER "\033[?1049h\033[?25l" /* the other screen, no cursor */
#define LEAVE "\033[?25h\033[?1049l"

enum { CTRL_C = 3, ESCAPE = 27, ESCAPE_MS = 30 /* for the rest of a key's sequence */ };

/* exception: handlers of signals are passed nothing, and have to give the terminal back */
static struct termios before;
static volatile sig_atomic_t taken; /* the terminal is ours */

void screen_end(void)
{
    if (!taken)
        return;
    taken = 0;
    ssize_t n = write(STDOUT_FILENO, LEAVE, sizeof LEAVE - 1);
    (void)n; /* a terminal that is gone needs nothing */
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

static void on_end(int number)
{
    screen_end();
    signal(number, SIG_DFL);
    raise(number);
}

/* Only that the wait for a key is over. */
static void on_resize(int number)
{
    (void)number;
}

static void catch (int number, void (*handler)(int number))
{
    struct sigaction action = {.sa_handler = handler};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* False: there is no terminal. */
static bool take(void)
{
    if (taken)
        return true;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before) != 0)
        return false;
    struct termios silent = before;
    silent.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    silent.c_cc[VMIN] = 1;
    silent.c_cc[VTIME] = 0;
    silent.c_cc[VSUSP] = _POSIX_VDISABLE;
    taken = 1;
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        catch (ends[i], on_end);
    catch (SIGWINCH, on_resize);
    tcsetattr(STDIN_FILENO, TCSANOW, &silent);
    fputs(ENTER, stdout);
    return true;
}

/* Lines are cut at the right, and what was there before is gone. */
static void draw(const char *text, struct winsize size)
{
    fputs("\033[H\033[?7l", stdout); /* home, no wrapping */
    for (unsigned row = 0; row < size.ws_row; row++) {
        size_t length = strcspn(text, "\n");
        printf("%s%.*s\033[K", row ? "\r\n" : "", (int)length, text);
        text += length + (text[length] == '\n');
    }
    fputs("\033[J\033[?7h", stdout);
}

/* ---- keys ---- */

static bool has_input(int wait_ms)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&p, 1, wait_ms) > 0;
}

static const char *name_of(const char *sequence)
{
    static const char *const names[][2] = {
        {"[A", "up"},   {"[B", "down"},  {"[C", "right"}, {"[D", "left"},    {"OA", "up"},
        {"OB", "down"}, {"OC", "right"}, {"OD", "left"},  {"[5~", "pageup"}, {"[6~", "pagedown"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!strcmp(names[i][0], sequence))
            return names[i][1];
    }
    return "";
}

/* What follows an escape, up to the letter or tilde that ends it. */
static const char *read_sequence(void)
{
    char text[8] = "";
    for (size_t n = 0; n + 1 < sizeof text && has_input(ESCAPE_MS); n++) {
        if (read(STDIN_FILENO, text + n, 1) != 1)
            break;
        if (n && text[n] >= '@')
            break;
    }
    return name_of(text);
}

/* NULL: nobody looks any more. */
static const char *read_key(void)
{
    static char text[2];
    char c;
    ssize_t n = read(STDIN_FILENO, &c, 1);
    if (n < 0 && errno == EINTR)
        return "";
    if (n != 1 || c == 'q' || c == 'Q' || c == CTRL_C)
        return NULL;
    if (c == ESCAPE)
        return read_sequence();
    text[0] = c > ' ' && c < 127 ? c : '\0';
    return c == '\t' ? "tab" : text;
}

/* "" if no key was pressed. */
static const char *wait_for_key(long wait_ms, const struct link *link, bool keys)
{
    uint64_t until = clock_mono_ns() / 1000000 + (uint64_t)wait_ms;
    struct pollfd p[] = {{.fd = link->fd, .events = POLLIN},
                         {.fd = keys ? STDIN_FILENO : -1, .events = POLLIN}};
    uint64_t now = clock_mono_ns() / 1000000;
    int n = now < until ? poll(p, 2, (int)(until - now)) : 0;
    return n > 0 && p[1].revents ? read_key() : "";
}

static struct winsize size_of_terminal(void)
{
    struct winsize size = {.ws_row = 0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col;
    return known ? size : (struct winsize){.ws_row = 24, .ws_col = 80};
}

const char *screen_show(const char *text, long wait_ms, const struct link *link)
{
    static char answer[64];
    struct winsize size = {.ws_row = 0};
    bool terminal = take();
    if (terminal)
        draw(text, size_of_terminal());
    else if (*text)
        printf("%s\n", text);
    fflush(stdout);
    const char *key = wait_for_key(wait_ms, link, terminal);
    if (terminal)
        size = size_of_terminal(); /* it may have another one by now */
    snprintf(answer, sizeof answer, "%u %u %s", size.ws_row, size.ws_col, key ? key : "");
    return key ? answer : NULL;
}
