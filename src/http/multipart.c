#include "http/multipart.h"

#include <stdio.h>
#include <strings.h>

static struct slice find(struct slice text, const char *what)
{
    const uint8_t *at = text.len ? memmem(text.data, text.len, what, strlen(what)) : NULL;
    return at ? slice_of(at, text.len - (size_t)(at - text.data)) : SLICE_EMPTY;
}

bool multipart_is(struct slice type, struct multipart *m)
{
    static const char form[] = "multipart/form-data";
    size_t n = sizeof form - 1;
    if (type.len < n || strncasecmp((const char *)type.data, form, n))
        return false;
    struct slice boundary = find(type, "boundary=");
    if (!boundary.data)
        return false;
    boundary = slice_of(boundary.data + 9, boundary.len - 9);
    if (boundary.len && *boundary.data == '"')
        boundary = slice_of(boundary.data + 1, boundary.len - 1);
    size_t length = 0;
    while (length < boundary.len && !strchr("\"; ", boundary.data[length]))
        length++;
    if (!length || length > MULTIPART_BOUNDARY_MAX)
        return false;
    *m = (struct multipart){.held = BUF_INIT};
    m->length = (size_t)snprintf(m->delimiter, sizeof m->delimiter, "\r\n--%.*s", (int)length,
                                 (const char *)boundary.data);
    buf_append_str(&m->held, "\r\n"); /* the first one has no line in front of it */
    m->phase = MULTIPART_OTHER;
    return true;
}

void multipart_fini(struct multipart *m)
{
    buf_fini(&m->held);
}

/* Behind a delimiter: the end, or the head of a part. False: more is needed. */
static bool read_head(struct multipart *m)
{
    struct slice held = buf_slice(&m->held);
    if (held.len < 2)
        return false;
    if (slice_starts(held, SLICE("--"))) {
        m->phase = MULTIPART_END;
        return true;
    }
    struct slice end = find(held, "\r\n\r\n");
    if (!end.data) {
        if (held.len > MULTIPART_HEAD_MAX)
            m->phase = MULTIPART_BAD;
        return m->phase == MULTIPART_BAD;
    }
    size_t length = held.len - end.len;
    bool is_file = !m->found && find(slice_of(held.data, length), "name=\"file\"").data;
    m->found = m->found || is_file;
    m->phase = is_file ? MULTIPART_FILE : MULTIPART_OTHER;
    /* The line end stays: of an empty part the delimiter begins there. */
    buf_shift(&m->held, length + 2);
    return true;
}

/* Up to the next delimiter. False: more is needed. */
static bool read_part(struct multipart *m, bool (*take)(void *arg, struct slice bytes), void *arg)
{
    struct slice held = buf_slice(&m->held), end = find(held, m->delimiter);
    size_t keep = end.data ? end.len : m->length - 1;
    size_t length = held.len > keep ? held.len - keep : 0;
    if (m->phase == MULTIPART_FILE && length && !take(arg, slice_of(held.data, length)))
        m->phase = MULTIPART_BAD;
    buf_shift(&m->held, length + (end.data ? m->length : 0));
    if (end.data && m->phase != MULTIPART_BAD)
        m->phase = MULTIPART_HEAD;
    return end.data || m->phase == MULTIPART_BAD;
}

bool multipart_feed(struct multipart *m, struct slice bytes,
                    bool (*take)(void *arg, struct slice bytes), void *arg)
{
    bool more = true;
    buf_append_slice(&m->held, bytes);
    while (more) {
        switch (m->phase) {
        case MULTIPART_HEAD:
            more = read_head(m);
            break;
        case MULTIPART_FILE:
        case MULTIPART_OTHER:
            more = read_part(m, take, arg);
            break;
        case MULTIPART_END:
            buf_clear(&m->held);
            return true;
        case MULTIPART_BAD:
            return false;
        }
    }
    return true;
}
