/* An entry of the log: lengths of names and of the content header, then these as the wire has them,
 * and the body. The offset is not part of it: it is put into the header of what is handed out. */
#include "broker/stream/stream_window.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"

#include <stdlib.h>

enum { ENTRY_HEAD = 2 + 4, TAIL_FIRST_CAP = 256 };

/* ---- the offset ---- */

/* The content header with x-stream-offset, in the scratch buffer. */
static struct slice put_offset(struct stream_window *w, struct slice header, uint64_t offset)
{
    struct table_value value = table_value_i64((int64_t)offset);
    struct slice props =
        slice_of(header.data + CONTENT_HEADER_FIXED, header.len - CONTENT_HEADER_FIXED);
    struct buf table = BUF_INIT;
    table_replace(props_headers(props), SLICE("x-stream-offset"), &value, &table);
    buf_clear(&w->scratch);
    buf_append(&w->scratch, header.data, CONTENT_HEADER_FIXED);
    props_replace(props, AMQP_PROP_HEADERS, buf_slice(&table), &w->scratch);
    buf_fini(&table);
    return buf_slice(&w->scratch);
}

/* ---- entries ---- */

size_t stream_entry_size(const struct msg *m)
{
    return ENTRY_HEAD + (size_t)m->names_len + m->header_len + m->body_len;
}

void stream_entry_put(uint8_t *to, const struct msg *m)
{
    to[0] = (uint8_t)m->names_len;
    to[1] = (uint8_t)(m->names_len >> 8);
    for (unsigned i = 0; i < 4; i++)
        to[2 + i] = (uint8_t)(m->header_len >> 8 * i);
    memcpy(to + ENTRY_HEAD, m->bytes, m->names_len + (size_t)m->header_len);
    if (m->body_len)
        memcpy(to + ENTRY_HEAD + m->names_len + m->header_len, m->body, m->body_len);
}

/* Two short strings. */
static bool names_fit(const uint8_t *p, size_t len)
{
    return len >= 2 && p[0] + 2u <= len && p[0] + 2u + p[1 + p[0]] == len;
}

/* As the content header says. */
static uint64_t body_size(const uint8_t *header)
{
    uint64_t n = 0;
    for (unsigned i = 4; i < CONTENT_HEADER_FIXED; i++)
        n = n << 8 | header[i];
    return n;
}

/* NULL: it is none. The checksum fitted, so that somebody else has written it. */
static struct msg *entry_msg(struct stream_window *w, struct slice bytes, uint64_t offset)
{
    const uint8_t *p = bytes.data;
    if (bytes.len < ENTRY_HEAD)
        return NULL;
    size_t names = p[0] | (size_t)p[1] << 8;
    size_t header = p[2] | (size_t)p[3] << 8 | (size_t)p[4] << 16 | (size_t)p[5] << 24;
    if (bytes.len - ENTRY_HEAD < names + header || header < CONTENT_HEADER_FIXED + 2)
        return NULL;
    p += ENTRY_HEAD;
    size_t body = bytes.len - ENTRY_HEAD - names - header;
    if (!names_fit(p, names) || body_size(p + names) != body)
        return NULL;
    struct msg *m =
        msg_new(slice_of(p, names), put_offset(w, slice_of(p + names, header), offset), body, true);
    if (body)
        memcpy(m->body, p + names + header, body);
    return m;
}

/* ---- the tail ---- */

void window_init(struct stream_window *w)
{
    *w = (struct stream_window){0};
    list_init(&w->pages);
}

static struct tail_entry *tail_at(const struct stream_window *w, uint64_t offset)
{
    return &w->tail[offset & (w->cap - 1)];
}

void window_trim(struct stream_window *w, uint64_t offset)
{
    for (; w->tail_first < w->tail_next && w->tail_first < offset; w->tail_first++) {
        struct tail_entry *e = tail_at(w, w->tail_first);
        w->tail_bytes -= msg_size(e->msg);
        msg_unref(e->msg);
        e->msg = NULL;
    }
    if (w->tail_first < w->tail_next || w->cap <= TAIL_FIRST_CAP)
        return;
    free(w->tail);
    w->tail = NULL;
    w->cap = 0;
}

static void grow(struct stream_window *w)
{
    struct stream_window old = *w;
    w->cap = old.cap ? old.cap * 2 : TAIL_FIRST_CAP;
    w->tail = mem_zalloc(w->cap * sizeof *w->tail);
    for (uint64_t o = w->tail_first; o < w->tail_next; o++)
        *tail_at(w, o) = *tail_at(&old, o);
    free(old.tail);
}

void window_add(struct stream_window *w, uint64_t offset, struct msg *msg)
{
    if (offset != w->tail_next) {
        window_trim(w, w->tail_next);
        w->tail_first = w->tail_next = offset;
    }
    if (w->tail_next - w->tail_first == w->cap)
        grow(w);
    *tail_at(w, offset) = (struct tail_entry){.msg = msg};
    w->tail_next++;
    w->tail_bytes += msg_size(msg);
    while (w->tail_bytes > WINDOW_TAIL_BYTES || w->tail_next - w->tail_first > WINDOW_TAIL_MESSAGES)
        window_trim(w, w->tail_first + 1);
}

struct msg *window_get(struct stream_window *w, uint64_t offset)
{
    struct tail_entry *e = tail_at(w, offset);
    if (!e->marked) {
        struct msg *marked = msg_with_header(e->msg, put_offset(w, msg_header(e->msg), offset));
        w->tail_bytes += msg_size(marked);
        w->tail_bytes -= msg_size(e->msg);
        msg_unref(e->msg);
        *e = (struct tail_entry){.msg = marked, .marked = true};
    }
    return e->msg;
}

/* ---- pages ---- */

static void add_batch(struct stream_page *page, struct slice bytes, const struct batch *b)
{
    struct slice entries = batch_entries(bytes, b), entry;
    uint64_t offset = b->base;
    while (batch_next(&entries, &entry)) {
        if (offset++ < page->first)
            continue;
        MEM_GROW(page->entries, page->cap, page->count + 1);
        page->entries[page->count++] =
            (struct page_entry){.offset = offset - 1,
                                .at = (uint32_t)(entry.data - page->bytes.data),
                                .len = (uint32_t)entry.len,
                                .batch = (uint32_t)page->batch_count};
    }
    MEM_GROW(page->batches, page->batch_cap, page->batch_count + 1);
    page->batches[page->batch_count++] = (struct page_batch){.end = (uint32_t)page->count,
                                                             .unfiltered = b->unfiltered,
                                                             .filter = batch_filter(bytes, b)};
    page->next = b->base + b->count;
}

static void page_free(struct stream_window *w, struct stream_page *page)
{
    list_remove(&page->link);
    w->page_count--;
    for (size_t i = 0; i < page->count; i++) {
        if (page->entries[i].msg)
            msg_unref(page->entries[i].msg);
    }
    free(page->entries);
    free(page->batches);
    buf_fini(&page->bytes);
    free(page);
}

struct stream_page *window_add_page(struct stream_window *w, uint64_t offset,
                                    struct partition_read *read)
{
    struct stream_page *page = NEW(struct stream_page);
    struct batch b;
    size_t size;
    page->first = page->next = offset;
    page->end = read->cursor;
    page->bytes = read->batches;
    read->batches = BUF_INIT;
    list_append(&w->pages, &page->link);
    w->page_count++;
    struct slice left = buf_slice(&page->bytes);
    while (left.len && batch_check(left, &b, &size) == BATCH_WHOLE) {
        add_batch(page, left, &b);
        left = slice_of(left.data + size, left.len - size);
    }
    if (page->count)
        return page;
    page_free(w, page);
    return NULL;
}

struct stream_page *window_find_page(const struct stream_window *w, uint64_t offset)
{
    list_each (it, &w->pages) {
        struct stream_page *page = list_entry(it, struct stream_page, link);
        if (page->first <= offset && offset < page->next)
            return page;
    }
    return NULL;
}

size_t page_find(const struct stream_page *page, uint64_t offset)
{
    size_t low = 0, high = page->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (page->entries[mid].offset < offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct msg *page_get(struct stream_window *w, struct stream_page *page, size_t n)
{
    struct page_entry *e = &page->entries[n];
    if (!e->msg)
        e->msg = entry_msg(w, slice_of(page->bytes.data + e->at, e->len), e->offset);
    return e->msg;
}

void window_sweep(struct stream_window *w, size_t readers)
{
    size_t keep = readers ? 2 * readers + 1 : 0;
    keep = keep < WINDOW_PAGES ? keep : WINDOW_PAGES;
    list_each_safe (it, &w->pages) {
        struct stream_page *page = list_entry(it, struct stream_page, link);
        if (w->page_count > keep && !page->readers)
            page_free(w, page);
    }
}

void window_fini(struct stream_window *w)
{
    window_trim(w, w->tail_next);
    free(w->tail);
    list_each_safe (it, &w->pages) {
        page_free(w, list_entry(it, struct stream_page, link));
    }
    buf_fini(&w->scratch);
}
