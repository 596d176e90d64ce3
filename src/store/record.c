/* Encoding and parsing of records; pure, any thread. */
#include "store/record.h"

enum { ENTRY_HEAD_MAX = 2 + 7 * RECORD_VARINT };

static uint8_t *begin(struct buf *out, size_t room, enum record_kind kind, uint64_t id)
{
    uint8_t *p = buf_reserve(out, room + 1 + RECORD_VARINT);
    *p++ = (uint8_t)kind;
    return record_varint(p, id);
}

static void end(struct buf *out, const uint8_t *p)
{
    out->len = (size_t)(p - out->data);
}

static uint8_t *put_bytes(uint8_t *p, struct slice s)
{
    if (s.len)
        memcpy(p, s.data, s.len);
    return p + s.len;
}

static uint8_t *put_content_head(uint8_t *p, const struct content *c)
{
    p = record_varint(p, c->names.len);
    p = record_varint(p, c->properties.len);
    if (c->hidden.len)
        p = record_varint(p, c->hidden.len);
    p = record_varint(p, c->body.len);
    *p++ = c->flags;
    return p;
}

static uint8_t *put_content_bytes(uint8_t *p, const struct content *c)
{
    p = put_bytes(p, c->names);
    p = put_bytes(p, c->properties);
    return put_bytes(p, c->hidden);
}

static size_t entry_room(const struct entry *e)
{
    const struct content *c = &e->content;
    return ENTRY_HEAD_MAX +
           (e->id ? 0 : c->names.len + c->properties.len + c->hidden.len + c->body.len);
}

static unsigned level_flag(uint16_t level)
{
    return (level & UINT8_MAX ? ENTRY_LEVEL : 0) | (level > UINT8_MAX ? ENTRY_TOP : 0);
}

static uint8_t *put_entry(uint8_t *p, const struct entry *e)
{
    unsigned flags = (e->transient ? ENTRY_TRANSIENT : 0) | level_flag(e->level) |
                     (e->expiry ? ENTRY_EXPIRES : 0) | (e->count ? ENTRY_RETURNED : 0) |
                     (e->id ? ENTRY_BY_ID : 0) | (e->id && e->moved ? ENTRY_MOVED : 0) |
                     (!e->id && e->content.hidden.len ? ENTRY_HIDDEN : 0);
    *p++ = (uint8_t)flags;
    p = record_varint(p, e->seq);
    if (flags & ENTRY_LEVEL)
        *p++ = (uint8_t)e->level;
    if (e->expiry)
        p = record_varint(p, e->expiry);
    if (e->count)
        p = record_varint(p, e->count);
    if (e->id) {
        p = record_varint(p, e->id);
        return record_varint(p, e->body_len);
    }
    p = put_content_head(p, &e->content);
    p = put_content_bytes(p, &e->content);
    return put_bytes(p, e->content.body);
}

void record_put_open(struct buf *out, uint64_t queue, bool durable)
{
    uint8_t *p = begin(out, 1, RECORD_OPEN, queue);
    *p++ = durable;
    end(out, p);
}

void record_put_drop(struct buf *out, uint64_t queue)
{
    end(out, begin(out, 0, RECORD_DROP, queue));
}

void record_put_enq(struct buf *out, uint64_t queue, const struct entry *entry)
{
    uint8_t *p = begin(out, entry_room(entry), RECORD_ENQ, queue);
    end(out, put_entry(p, entry));
}

static bool same_bytes(const uint8_t *p, struct slice s)
{
    return memcmp(p, s.data, s.len) == 0;
}

/* A chain that is not too long, so that units can be cut. */
static bool follows(const struct buf *out, const struct record_base *b, uint64_t queue,
                    const struct entry *e)
{
    enum { CHAIN = 256 << 10 };
    const struct content *c = &e->content;
    if (b->queue != queue || e->seq != b->seq + 1 || b->level != e->level ||
        b->transient != e->transient || b->flags != c->flags || c->names.len != b->names_len ||
        c->properties.len != b->properties_len || out->len - b->from > CHAIN)
        return false;
    const uint8_t *names = out->data + b->names;
    return same_bytes(names, c->names) && same_bytes(names + b->names_len, c->properties);
}

static bool is_plain(const struct entry *e)
{
    return !e->id && !e->expiry && !e->count && !e->content.hidden.len && e->level <= UINT8_MAX;
}

void record_put_next(struct buf *out, struct record_base *base, uint64_t queue,
                     const struct entry *e)
{
    const struct content *c = &e->content;
    bool plain = is_plain(e);
    if (plain && base->names_len && follows(out, base, queue, e)) {
        uint8_t *p = buf_reserve(out, 1 + RECORD_VARINT + c->body.len);
        *p++ = RECORD_NEXT;
        p = record_varint(p, c->body.len);
        end(out, put_bytes(p, c->body));
        base->seq++;
        return;
    }
    size_t from = out->len;
    record_put_enq(out, queue, e);
    if (!plain)
        return;
    *base = (struct record_base){
        .queue = queue,
        .seq = e->seq,
        .from = from,
        .names = out->len - c->body.len - c->properties.len - c->names.len,
        .names_len = c->names.len,
        .properties_len = c->properties.len,
        .level = (uint8_t)e->level,
        .flags = c->flags,
        .transient = e->transient,
    };
}

/* level_kind or, of the top level, which is not written, top_kind. */
static uint8_t *begin_of_level(struct buf *out, enum record_kind level_kind,
                               enum record_kind top_kind, uint64_t queue, uint16_t level)
{
    bool top = level > UINT8_MAX;
    uint8_t *p = begin(out, 1 + 2 * RECORD_VARINT, top ? top_kind : level_kind, queue);
    if (!top)
        *p++ = (uint8_t)level;
    return p;
}

void record_put_settle(struct buf *out, uint64_t queue, uint16_t level, uint64_t first,
                       uint64_t last)
{
    uint8_t *p = begin_of_level(out, RECORD_SETTLE, RECORD_SETTLE_TOP, queue, level);
    p = record_varint(p, first);
    end(out, record_varint(p, last - first));
}

void record_put_return(struct buf *out, uint64_t queue, uint16_t level, uint64_t seq,
                       uint32_t count)
{
    uint8_t *p = begin_of_level(out, RECORD_RETURN, RECORD_RETURN_TOP, queue, level);
    p = record_varint(p, seq);
    end(out, record_varint(p, count));
}

/* Numbers in a row from i on; returns behind the last. */
static size_t row_end(const uint64_t *kept, size_t n, size_t i)
{
    do
        i++;
    while (i < n && kept[i] == kept[i - 1] + 1);
    return i;
}

size_t record_put_purge_some(struct buf *out, uint64_t queue, uint64_t *from, uint64_t below,
                             const uint64_t *kept, size_t n)
{
    enum { RANGES_MAX = RECORD_PORTION / (2 * RECORD_VARINT) - 4 };
    size_t ranges = 0, i = 0, taken = 0;
    while (taken < n && ranges < RANGES_MAX) {
        taken = row_end(kept, n, taken);
        ranges++;
    }
    uint64_t at = *from, to = taken < n ? kept[taken] : below;
    uint8_t *p = begin(out, (2 * ranges + 3) * RECORD_VARINT, RECORD_CLEAR, queue);
    p = record_varint(p, at);
    p = record_varint(p, to - at);
    p = record_varint(p, ranges);
    while (i < taken) {
        size_t next = row_end(kept, taken, i);
        p = record_varint(p, kept[i] - at);
        p = record_varint(p, next - i - 1);
        at = kept[next - 1] + 1;
        i = next;
    }
    end(out, p);
    *from = to;
    return taken;
}

void record_put_purge(struct buf *out, uint64_t queue, uint64_t below, const uint64_t *kept,
                      size_t n)
{
    uint64_t from = 0;
    size_t taken = 0;
    do
        taken += record_put_purge_some(out, queue, &from, below, kept + taken, n - taken);
    while (from < below);
}

void record_put_attach(struct buf *out, uint64_t queue)
{
    end(out, begin(out, 0, RECORD_ATTACH, queue));
}

void record_put_message(struct buf *out, uint64_t id, uint32_t entries, const struct content *c)
{
    size_t room = ENTRY_HEAD_MAX + c->names.len + c->properties.len + c->hidden.len;
    uint8_t *p = begin(out, room, RECORD_MESSAGE, id);
    *p++ = (uint8_t)((c->hidden.len ? ENTRY_HIDDEN : 0) | (entries ? ENTRY_RETURNED : 0));
    if (entries)
        p = record_varint(p, entries);
    p = put_content_head(p, c);
    end(out, put_content_bytes(p, c));
}

void record_put_part(struct buf *out, uint64_t id, uint64_t offset, struct slice bytes)
{
    uint8_t *p = begin(out, 2 * RECORD_VARINT + bytes.len, RECORD_PART, id);
    p = record_varint(p, offset);
    p = record_varint(p, bytes.len);
    end(out, put_bytes(p, bytes));
}

void record_put_define(struct buf *out, uint8_t noun, struct slice key, struct slice value)
{
    uint8_t *p = begin(out, 2 * RECORD_VARINT + key.len + value.len, RECORD_DEFINE, noun);
    p = put_bytes(record_varint(p, key.len), key);
    end(out, put_bytes(record_varint(p, value.len), value));
}

void record_put_undefine(struct buf *out, uint8_t noun, struct slice key)
{
    uint8_t *p = begin(out, RECORD_VARINT + key.len, RECORD_UNDEFINE, noun);
    end(out, put_bytes(record_varint(p, key.len), key));
}

void record_put_pending(struct buf *out, uint64_t transaction)
{
    end(out, begin(out, 0, RECORD_PENDING, transaction));
}

void record_put_commit(struct buf *out, uint64_t transaction)
{
    end(out, begin(out, 0, RECORD_COMMIT, transaction));
}

/* ---- reading ---- */

/* Errors stick: p becomes NULL. */
struct parse {
    const uint8_t *p, *end;
};

static uint8_t get_u8(struct parse *in)
{
    if (in->p && in->p < in->end)
        return *in->p++;
    in->p = NULL;
    return 0;
}

static uint64_t get_long(struct parse *in)
{
    uint64_t v = 0;
    for (unsigned shift = 0; in->p && in->p < in->end && shift < 64; shift += 7) {
        uint8_t b = *in->p++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    in->p = NULL;
    return 0;
}

static inline uint64_t get(struct parse *in)
{
    if (in->p && in->p < in->end && *in->p < 0x80)
        return *in->p++;
    return get_long(in);
}

static struct slice get_bytes(struct parse *in, uint64_t n)
{
    if (!in->p || n > (uint64_t)(in->end - in->p)) {
        in->p = NULL;
        return SLICE_EMPTY;
    }
    struct slice s = slice_of(in->p, n);
    in->p += n;
    return s;
}

static uint64_t get_content(struct parse *in, unsigned flags, bool with_body, struct content *c)
{
    uint64_t names = get(in), properties = get(in);
    uint64_t hidden = flags & ENTRY_HIDDEN ? get(in) : 0, body = get(in);
    c->flags = get_u8(in);
    c->names = get_bytes(in, names);
    c->properties = get_bytes(in, properties);
    c->hidden = get_bytes(in, hidden);
    c->body = with_body ? get_bytes(in, body) : SLICE_EMPTY;
    /* what readers take for granted: two short strings, a flags word */
    if (!in->p || c->names.len < 2 || c->properties.len < 2 ||
        c->names.data[0] + 2u > c->names.len ||
        c->names.data[0] + 2u + c->names.data[1 + c->names.data[0]] != c->names.len)
        in->p = NULL;
    return body;
}

static void get_entry(struct parse *in, struct entry *e)
{
    unsigned flags = get_u8(in);
    *e = (struct entry){.transient = flags & ENTRY_TRANSIENT, .moved = flags & ENTRY_MOVED};
    e->seq = get(in);
    if (flags & ENTRY_LEVEL)
        e->level = get_u8(in);
    if (flags & ENTRY_TOP)
        e->level = RECORD_TOP_LEVEL;
    if (flags & ENTRY_EXPIRES)
        e->expiry = get(in);
    if (flags & ENTRY_RETURNED)
        e->count = (uint32_t)get(in);
    if (flags & ENTRY_BY_ID) {
        e->id = get(in);
        e->body_len = get(in);
        if (!e->id)
            in->p = NULL;
    } else {
        e->body_len = get_content(in, flags, true, &e->content);
    }
}

static void get_purge(struct parse *in, struct record *r)
{
    unsigned each = 1;
    if (r->kind == RECORD_CLEAR) {
        r->first = get(in);
        each = 2;
    }
    r->last = r->first + get(in);
    uint64_t n = get(in);
    const uint8_t *from = in->p;
    if (n > UINT32_MAX || r->last < r->first)
        in->p = NULL;
    for (uint64_t i = 0; i < n * each && in->p; i++)
        get(in);
    if (in->p)
        r->value = slice_of(from, (size_t)(in->p - from));
}

static void get_definition(struct parse *in, struct record *r)
{
    r->noun = (uint8_t)r->queue;
    r->key = get_bytes(in, get(in));
    if (r->kind == RECORD_DEFINE)
        r->value = get_bytes(in, get(in));
}

static uint16_t get_level(struct parse *in, bool top)
{
    return top ? RECORD_TOP_LEVEL : get_u8(in);
}

/* from: where n begins, which was taken for the queue. */
static void get_next(struct parse *in, struct record *r, const uint8_t *from)
{
    get_bytes(in, r->queue);
    r->entry.body_len = r->queue;
    if (in->p)
        r->raw_entry = slice_of(from, (size_t)(in->p - from));
}

static void get_fields(struct parse *in, struct record *r)
{
    switch (r->kind) {
    case RECORD_OPEN:
        r->durable = get_u8(in);
        break;
    case RECORD_ENQ: {
        const uint8_t *from = in->p;
        get_entry(in, &r->entry);
        if (in->p)
            r->raw_entry = slice_of(from, (size_t)(in->p - from));
        break;
    }
    case RECORD_SETTLE:
    case RECORD_SETTLE_TOP:
        r->level = get_level(in, r->kind == RECORD_SETTLE_TOP);
        r->kind = RECORD_SETTLE;
        r->first = get(in);
        r->last = r->first + get(in);
        break;
    case RECORD_RETURN:
    case RECORD_RETURN_TOP:
        r->level = get_level(in, r->kind == RECORD_RETURN_TOP);
        r->kind = RECORD_RETURN;
        r->first = get(in);
        r->count = (uint32_t)get(in);
        break;
    case RECORD_PURGE:
    case RECORD_CLEAR:
        get_purge(in, r);
        break;
    case RECORD_MESSAGE: {
        unsigned flags = get_u8(in);
        if (flags & ENTRY_RETURNED)
            r->count = (uint32_t)get(in);
        r->entry = (struct entry){.id = r->queue};
        r->total = get_content(in, flags, false, &r->entry.content);
        break;
    }
    case RECORD_PART:
        r->first = get(in);
        r->value = get_bytes(in, get(in));
        break;
    case RECORD_DEFINE:
    case RECORD_UNDEFINE:
        get_definition(in, r);
        break;
    case RECORD_DROP:
    case RECORD_ATTACH:
    case RECORD_PENDING:
    case RECORD_COMMIT:
    case RECORD_NEXT:
        break;
    case RECORD_KIND_END:
        in->p = NULL;
    }
}

bool record_get(struct slice *input, struct record *ret_record)
{
    struct parse in = {input->data, input->data + input->len};
    uint8_t kind = get_u8(&in);
    if (kind == 0 || kind >= RECORD_KIND_END)
        return false;
    *ret_record = (struct record){.kind = (enum record_kind)kind};
    ret_record->queue = get(&in);
    get_fields(&in, ret_record);
    if (kind == RECORD_NEXT)
        get_next(&in, ret_record, input->data + 1);
    if (!in.p)
        return false;
    *input = slice_of(in.p, (size_t)(in.end - in.p));
    return true;
}

/* As content's names must be: two short strings. */
static inline bool are_names(const uint8_t *p, uint64_t len)
{
    return len >= 2 && p[0] + 2u <= len && p[0] + 2u + p[1 + p[0]] == len;
}

/* False: it is not of the plain kind, or malformed. */
static bool get_brief_enq(struct parse *in, struct record *r)
{
    struct entry *e = &r->entry;
    const uint8_t *from = in->p;
    unsigned flags = get_u8(in);
    if (flags & ~(ENTRY_TRANSIENT | ENTRY_LEVEL | ENTRY_EXPIRES))
        return false;
    e->seq = get(in);
    e->level = flags & ENTRY_LEVEL ? get_u8(in) : 0;
    e->expiry = flags & ENTRY_EXPIRES ? get(in) : 0;
    e->transient = flags & ENTRY_TRANSIENT;
    e->id = 0;
    e->count = 0;
    const uint8_t *head = in->p;
    uint64_t names = get(in), properties = get(in), body = get(in);
    get_u8(in);
    uint64_t room = in->p ? (uint64_t)(in->end - in->p) : 0;
    if (names > room || properties > room - names || body > room - names - properties ||
        properties < 2 || !are_names(in->p, names))
        return false;
    e->body_len = body;
    in->p += names + properties;
    r->head = e->expiry ? SLICE_EMPTY : slice_of(head, (size_t)(in->p - head));
    in->p += body;
    r->raw_entry = slice_of(from, (size_t)(in->p - from));
    return true;
}

bool record_get_brief(struct slice *input, struct record *ret_record)
{
    struct parse in = {input->data, input->data + input->len};
    uint8_t kind = get_u8(&in);
    bool good = false;
    if (kind == RECORD_ENQ || kind == RECORD_SETTLE || kind == RECORD_NEXT) {
        ret_record->kind = (enum record_kind)kind;
        ret_record->queue = get(&in);
    }
    if (kind == RECORD_NEXT) {
        get_next(&in, ret_record, input->data + 1);
        good = in.p;
    } else if (kind == RECORD_ENQ) {
        good = get_brief_enq(&in, ret_record);
    } else if (kind == RECORD_SETTLE) {
        ret_record->level = get_u8(&in);
        ret_record->first = get(&in);
        ret_record->last = ret_record->first + get(&in);
        good = in.p;
    }
    if (!good)
        return record_get(input, ret_record);
    *input = slice_of(in.p, (size_t)(in.end - in.p));
    return true;
}

bool record_get_entry(struct slice *input, struct entry *ret_entry)
{
    struct parse in = {input->data, input->data + input->len};
    get_entry(&in, ret_entry);
    if (!in.p)
        return false;
    *input = slice_of(in.p, (size_t)(in.end - in.p));
    return true;
}

size_t record_expand(uint8_t *out, uint64_t seq, uint16_t level, bool transient, struct slice head,
                     struct slice tail)
{
    struct parse in = {tail.data, tail.data + tail.len};
    uint64_t body = get(&in);
    const uint8_t *bytes = in.p;
    if (!in.p || body != (uint64_t)(in.end - in.p))
        return 0;
    in = (struct parse){head.data, head.data + head.len};
    uint64_t names = get(&in), properties = get(&in);
    get(&in);
    uint8_t flags = get_u8(&in);
    uint64_t rest = in.p ? (uint64_t)(in.end - in.p) : 0;
    if (names > rest || properties != rest - names || properties < 2 || !are_names(in.p, names))
        return 0;
    uint8_t *p = out;
    *p++ = (uint8_t)((transient ? ENTRY_TRANSIENT : 0) | level_flag(level));
    p = record_varint(p, seq);
    if (level & UINT8_MAX)
        *p++ = (uint8_t)level;
    p = record_varint(p, names);
    p = record_varint(p, properties);
    p = record_varint(p, body);
    *p++ = flags;
    p = put_bytes(p, slice_of(in.p, rest));
    return (size_t)(put_bytes(p, slice_of(bytes, body)) - out);
}

bool record_get_varint(struct slice *input, uint64_t *ret_value)
{
    struct parse in = {input->data, input->data + input->len};
    uint64_t v = get(&in);
    if (!in.p)
        return false;
    *ret_value = v;
    *input = slice_of(in.p, (size_t)(in.end - in.p));
    return true;
}

bool record_next_kept(struct record_kept *k, uint64_t *ret_first, uint64_t *ret_last)
{
    uint64_t first, more = 0;
    if (!record_get_varint(&k->rest, &first))
        return false;
    if (k->ranges) {
        first += k->at;
        if (!record_get_varint(&k->rest, &more))
            return false;
    }
    *ret_first = first;
    *ret_last = first + more;
    k->at = first + more + 1;
    return true;
}

const char *record_kind_name(enum record_kind kind)
{
    static const char *const names[RECORD_KIND_END] = {[RECORD_OPEN] = "OPEN",
                                                       [RECORD_DROP] = "DROP",
                                                       [RECORD_ENQ] = "ENQ",
                                                       [RECORD_SETTLE] = "SETTLE",
                                                       [RECORD_RETURN] = "RETURN",
                                                       [RECORD_PURGE] = "PURGE",
                                                       [RECORD_ATTACH] = "ATTACH",
                                                       [RECORD_MESSAGE] = "MESSAGE",
                                                       [RECORD_PART] = "PART",
                                                       [RECORD_DEFINE] = "DEFINE",
                                                       [RECORD_UNDEFINE] = "UNDEFINE",
                                                       [RECORD_PENDING] = "PENDING",
                                                       [RECORD_COMMIT] = "COMMIT",
                                                       [RECORD_CLEAR] = "CLEAR",
                                                       [RECORD_NEXT] = "NEXT",
                                                       [RECORD_SETTLE_TOP] = "SETTLE_TOP",
                                                       [RECORD_RETURN_TOP] = "RETURN_TOP"};
    return kind < RECORD_KIND_END && names[kind] ? names[kind] : "?";
}
