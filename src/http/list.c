#include "http/list.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/queue/face.h"
#include "http/by_name.h"
#include "http/filter.h"
#include "http/http_priv.h"
#include "http/kind.h"
#include "http/login.h"
#include "http/range.h"
#include "http/run.h"
#include "http/seen.h"
#include "http/session.h"
#include "meta/routing.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    COLLECT_PORTION = 400, /* objects whose keys are made in a turn */
    KEEP_MAX = 500,        /* keys: when no more are shown, others are dropped as they come */
    MERGE_PORTION = 300,   /* objects passed over in a turn */
    SWEEP_PORTION = 32     /* runs of keys that are freed in one */
};

/* An object of the batch. */
struct shown {
    struct place place;
    struct buf json; /* empty: it is gone */
    struct splice *splices;
    size_t splice_count;
    struct buf *filled; /* as many */
};

struct browse {
    struct visit visit;
    const struct list_kind *kind;
    const struct http *http;
    struct asker asker;
    struct filter filter;
    struct slice sort, columns; /* owned */
    const char *sort_member;    /* what sort means; NULL: the view tells */
    struct paths paths;         /* of columns */
    struct ranges ranges;
    uint64_t wall_offset;
    struct detail detail;
    bool one, paged, reverse;
    uint64_t page, page_size;
    size_t total, matched;   /* looked at, and left by the filter */
    struct by_name *by_name; /* owned; NULL: keys are collected and merged */
    struct meta_cursor cursor;
    struct seen seen; /* of a listing, while it is walked */
    struct runs runs;
    bool again;        /* the keys were dropped, and are collected once more */
    size_t skip, left; /* objects to pass over, then to show */
    struct shown batch[HTTP_BATCH];
    size_t batch_count, written;
    struct place last; /* that was popped */
    size_t at;         /* of the batch: to be shown, or filled, next on the shard being visited */
};

static void empty_batch(struct browse *l)
{
    for (size_t i = 0; i < l->batch_count; i++) {
        struct shown *shown = &l->batch[i];
        for (size_t k = 0; shown->filled && k < shown->splice_count; k++)
            buf_fini(&shown->filled[k]);
        free(shown->filled);
        free(shown->splices);
        buf_fini(&shown->json);
    }
    l->batch_count = 0;
}

static void asker_fini(struct asker *a)
{
    slice_free(&a->user);
    slice_free(&a->vhost);
    slice_free(&a->text);
    slice_free(&a->text2);
    slice_free(&a->text3);
}

static void list_fini(struct visit *visit)
{
    struct browse *l = (struct browse *)visit;
    empty_batch(l);
    runs_fini(&l->runs);
    seen_fini(&l->seen);
    asker_fini(&l->asker);
    filter_fini(&l->filter);
    slice_free(&l->sort);
    slice_free(&l->columns);
    by_name_free(&l->by_name);
}

static void free_list(void *list)
{
    visit_free(&((struct browse *)list)->visit);
}

static struct item item_of(const struct browse *l, struct shard *shard, const struct meta_row *row)
{
    return (struct item){.http = l->http,
                         .shard = shard,
                         .row = row,
                         .ranges = &l->ranges,
                         .wall_offset = l->wall_offset,
                         .detail = l->detail};
}

/* ---- collecting ---- */

static bool passes_filter(const struct browse *l, const struct item *item)
{
    if (!l->filter.text.len)
        return true;
    struct value name = l->kind->name(item);
    bool passes = filter_passes(&l->filter, name.type == VALUE_TEXT ? name.bytes : SLICE_EMPTY);
    value_fini(&name);
    return passes;
}

static void put_sort_key(const struct browse *l, const struct item *item, struct buf *key)
{
    struct view view = view_sort_key(key, l->sort);
    if (l->sort_member)
        view_value(&view, l->sort_member, l->kind->member(item, l->sort_member));
    else
        l->kind->view(item, &view);
    view_fini(&view);
}

static void collect_item(struct browse *l, const struct item *item, struct place place)
{
    if (l->kind->belongs && !l->kind->belongs(item, &l->asker))
        return;
    l->total += !l->again;
    if (!passes_filter(l, item))
        return;
    l->matched += !l->again;
    struct buf *key = runs_begin_key(&l->runs);
    if (l->sort.len) {
        put_sort_key(l, item, key);
        if (!runs_wants_key(&l->runs))
            return;
    }
    l->kind->key(item, key);
    if (runs_wants_key(&l->runs))
        (void)runs_end_key(&l->runs, place);
}

static struct addr addr_of(enum listing what, const void *object)
{
    if (what == LISTING_QUEUES) {
        const struct queue_face *face = object;
        return face->type->def(face)->addr;
    }
    struct value v = listing_get(what, object, "addr");
    uint64_t n = v.type == VALUE_INT ? (uint64_t)v.integer : 0;
    value_fini(&v);
    return addr_from_u64(n);
}

static bool collect_listing(struct browse *l, struct shard *shard)
{
    enum listing what = l->kind->listing;
    size_t budget = COLLECT_PORTION, index;
    if (!l->visit.begun)
        seen_clear(&l->seen);
    while (visit_next(&l->visit, listing_count(shard, what), &budget, &index)) {
        struct item item = item_of(l, shard, NULL);
        item.object = listing_at(shard, what, index);
        struct place place = {.addr = addr_of(what, item.object), .shard = shard_index(shard)};
        if (seen_add(&l->seen, place.addr.slot))
            collect_item(l, &item, place);
    }
    return !l->visit.left;
}

struct collecting {
    struct browse *list;
    struct shard *shard;
};

static bool on_row(const struct meta_row *row, void *arg)
{
    const struct collecting *c = arg;
    struct item item = item_of(c->list, c->shard, row);
    struct place place = {.vhost = c->list->cursor.vhost,
                          .number = row->number,
                          .explicit = c->list->cursor.explicit};
    collect_item(c->list, &item, place);
    return true;
}

static bool collect_rows(struct browse *l, struct shard *shard)
{
    const struct node *node = shard_node(shard);
    struct collecting c = {l, shard};
    if (!l->visit.begun)
        l->cursor = meta_cursor_begin(node, l->kind->noun,
                                      kind_in_vhost(l->kind->noun) ? l->asker.vhost : SLICE_EMPTY);
    l->visit.begun = true;
    return !meta_cursor_next(node, &l->cursor, HTTP_PORTION, on_row, &c);
}

static bool collect_run(struct visit *visit, struct shard *shard)
{
    struct browse *l = (struct browse *)visit;
    runs_begin(&l->runs, l->reverse);
    bool done = l->kind->is_listing ? collect_listing(l, shard) : collect_rows(l, shard);
    runs_end(&l->runs);
    return done;
}

/* ---- merging ---- */

/* While objects leave, one may come up twice: with the same key, and so one after the other. */
static bool pop(struct browse *l, struct place *ret_place)
{
    struct place place;
    while (runs_pop(&l->runs, &place)) {
        bool same = addr_eq(place.addr, l->last.addr) && place.number == l->last.number &&
                    place.vhost == l->last.vhost && place.explicit == l->last.explicit;
        if (same)
            continue;
        *ret_place = l->last = place;
        return true;
    }
    return false;
}

static bool merge_run(struct visit *visit, struct shard *shard)
{
    struct browse *l = (struct browse *)visit;
    struct place place;
    (void)shard;
    for (size_t n = 0; n < MERGE_PORTION && l->skip; n++, l->skip--) {
        if (!pop(l, &place)) {
            l->skip = 0;
            break;
        }
    }
    while (!l->skip && l->batch_count < HTTP_BATCH && l->left && pop(l, &place)) {
        l->batch[l->batch_count++] = (struct shown){.place = place, .json = BUF_INIT};
        l->left--;
    }
    return !l->skip;
}

/* ---- showing ---- */

static bool is_guarded(const struct browse *l)
{
    return l->kind->is_many && !l->asker.monitor;
}

static void show(struct browse *l, struct shown *shown, const struct item *item)
{
    struct view view = view_of(&shown->json, &l->paths);
    view.guarded = is_guarded(l);
    if (!l->kind->is_many)
        view_begin(&view);
    l->kind->view(item, &view);
    if (!l->kind->is_many)
        view_end(&view);
    shown->splices = view.splices;
    shown->splice_count = view.splice_count;
    if (view.splice_count)
        shown->filled = mem_zalloc(view.splice_count * sizeof *shown->filled);
}

struct showing {
    struct browse *list;
    struct shown *shown;
    struct shard *shard;
};

static bool show_row(const struct meta_row *row, void *arg)
{
    const struct showing *s = arg;
    struct item item = item_of(s->list, s->shard, row);
    item.vhost = s->shown->place.vhost;
    if (row->number == s->shown->place.number)
        show(s->list, s->shown, &item);
    return false;
}

static void show_one(struct browse *l, struct shown *shown, struct shard *shard)
{
    if (l->kind->is_listing) {
        struct item item = item_of(l, shard, NULL);
        item.object = listing_find(shard, l->kind->listing, shown->place.addr);
        if (item.object && (!l->kind->belongs || l->kind->belongs(&item, &l->asker)))
            show(l, shown, &item);
        return;
    }
    struct showing s = {l, shown, shard};
    struct meta_cursor cursor = {.noun = l->kind->noun,
                                 .explicit = shown->place.explicit,
                                 .vhost = shown->place.vhost,
                                 .seen = shown->place.number - 1,
                                 .last = shown->place.number};
    (void)meta_cursor_next(shard_node(shard), &cursor, 1, show_row, &s);
}

/* A portion ends with an object: one with very many consumers is shown whole. */
static bool show_run(struct visit *visit, struct shard *shard)
{
    struct browse *l = (struct browse *)visit;
    size_t bytes = 0;
    for (; l->at < l->batch_count && bytes < HTTP_SHOW_PORTION && !visit_is_late(visit); l->at++) {
        struct shown *shown = &l->batch[l->at];
        if (shown->place.shard == shard_index(shard)) {
            show_one(l, shown, shard);
            bytes += shown->json.len;
            visit->looked++;
        }
    }
    return l->at == l->batch_count;
}

static bool fill_run(struct visit *visit, struct shard *shard)
{
    struct browse *l = (struct browse *)visit;
    struct slice user = is_guarded(l) ? l->asker.user : SLICE_EMPTY;
    size_t count = 0;
    for (; l->at < l->batch_count && count < HTTP_PORTION; l->at++) {
        struct shown *shown = &l->batch[l->at];
        count += shown->splice_count;
        for (size_t k = 0; k < shown->splice_count; k++) {
            if (shown->splices[k].object.shard == shard_index(shard))
                kind_put_channel(&shown->filled[k], shard, shown->splices[k].object, user);
        }
    }
    return l->at == l->batch_count;
}

/* ---- writing ---- */

static void put_shown(const struct shown *shown, struct buf *out)
{
    size_t at = 0;
    for (size_t k = 0; k < shown->splice_count; k++) {
        buf_append(out, shown->json.data + at, shown->splices[k].at - at);
        at = shown->splices[k].at;
        if (shown->filled[k].len)
            buf_append_slice(out, buf_slice(&shown->filled[k]));
        else
            buf_append_str(out, "{}");
    }
    buf_append(out, shown->json.data + at, shown->json.len - at);
}

/* Those of many objects whose channels were found; *written counts them. */
static void put_found(const struct shown *shown, size_t *written, struct buf *out)
{
    for (size_t k = 0; k < shown->splice_count; k++) {
        const struct splice *s = &shown->splices[k];
        if (!shown->filled[k].len)
            continue;
        if ((*written)++)
            buf_append_byte(out, ',');
        buf_append(out, shown->json.data + s->from, s->at - s->from);
        if (!s->bare)
            buf_append_slice(out, buf_slice(&shown->filled[k]));
        buf_append(out, shown->json.data + s->at, s->to - s->at);
    }
}

static void write_batch(struct session *s, struct browse *l)
{
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < l->batch_count; i++) {
        if (is_guarded(l)) {
            put_found(&l->batch[i], &l->written, &out);
            continue;
        }
        if (!l->batch[i].json.len)
            continue;
        if (l->written++)
            buf_append_byte(&out, ',');
        put_shown(&l->batch[i], &out);
    }
    reply_write(s, buf_slice(&out));
    buf_fini(&out);
    empty_batch(l);
}

static void write_head(struct session *s, const struct browse *l)
{
    struct buf out = BUF_INIT;
    reply_open(s, 200, "application/json");
    if (l->paged)
        buf_printf(&out, "{\"filtered_count\":%zu,\"item_count\":%zu,\"items\":[", l->matched,
                   l->left);
    else
        buf_append_byte(&out, '[');
    reply_write(s, buf_slice(&out));
    buf_fini(&out);
}

static uint64_t page_count(const struct browse *l)
{
    uint64_t pages = (l->matched + l->page_size - 1) / l->page_size;
    return pages ? pages : 1;
}

static void write_tail(struct session *s, const struct browse *l)
{
    struct buf out = BUF_INIT;
    buf_append_byte(&out, ']');
    if (l->paged)
        buf_printf(&out,
                   ",\"page\":%" PRIu64 ",\"page_count\":%" PRIu64 ",\"page_size\":%" PRIu64
                   ",\"total_count\":%zu}",
                   l->page, page_count(l), l->page_size, l->total);
    reply_write(s, buf_slice(&out));
    buf_fini(&out);
    reply_close(s);
}

/* The only one, whole. */
static void write_one(struct session *s, struct browse *l)
{
    struct buf out = BUF_INIT;
    if (l->batch_count && l->batch[0].json.len) {
        put_shown(&l->batch[0], &out);
        visit_free(&l->visit);
        reply_json(s, 200, buf_slice(&out));
    } else {
        visit_free(&l->visit);
        reply_not_found(s);
    }
    buf_fini(&out);
}

/* ---- the way from one to the next ---- */

static void next_batch(struct session *s, struct browse *l);
static void find_named(struct session *s, struct browse *l);
static void begin(struct session *s, struct browse *l);
static void collect_again(struct session *s);
static void on_collected(struct session *s, struct visit *visit);
static void on_filled(struct session *s, struct visit *visit);

static bool has_splices(const struct browse *l, unsigned shard)
{
    for (size_t i = 0; i < l->batch_count; i++) {
        for (size_t k = 0; k < l->batch[i].splice_count; k++) {
            if (l->batch[i].splices[k].object.shard == shard)
                return true;
        }
    }
    return false;
}

static bool has_objects(const struct browse *l, unsigned shard)
{
    for (size_t i = 0; i < l->batch_count; i++) {
        if (l->batch[i].place.shard == shard)
            return true;
    }
    return false;
}

/* The first shard from that one on, downwards, that has any; false: none. */
static bool find_shard(const struct browse *l, bool (*has)(const struct browse *, unsigned),
                       unsigned below, unsigned *ret_shard)
{
    while (below > 0) {
        if (has(l, --below)) {
            *ret_shard = below;
            return true;
        }
    }
    return false;
}

static void finish_batch(struct session *s, struct browse *l)
{
    if (l->one) {
        write_one(s, l);
        return;
    }
    write_batch(s, l);
    next_batch(s, l);
}

static void fill(struct session *s, struct browse *l, unsigned below)
{
    unsigned shard;
    l->visit.run = fill_run;
    l->at = 0;
    if (find_shard(l, has_splices, below, &shard))
        session_visit(s, &l->visit, shard, on_filled);
    else
        finish_batch(s, l);
}

static void on_filled(struct session *s, struct visit *visit)
{
    if (visit->done)
        fill(s, (struct browse *)visit, visit->shard);
    else
        session_visit(s, visit, visit->shard, on_filled);
}

static void on_shown(struct session *s, struct visit *visit)
{
    struct browse *l = (struct browse *)visit;
    unsigned shard;
    if (!visit->done) {
        session_visit(s, visit, visit->shard, on_shown);
        return;
    }
    l->at = 0;
    if (find_shard(l, has_objects, visit->shard, &shard))
        session_visit(s, visit, shard, on_shown);
    else
        fill(s, l, node_shard_count(session_node(s)));
}

/* Very many keys are freed bit by bit. */
static bool sweep_run(struct visit *visit, struct shard *shard)
{
    (void)shard;
    return runs_sweep(&((struct browse *)visit)->runs, SWEEP_PORTION);
}

static void on_swept(struct session *s, struct visit *visit)
{
    if (!visit->done) {
        session_visit(s, visit, visit->shard, on_swept);
        return;
    }
    write_tail(s, (struct browse *)visit);
    visit_free(visit);
}

static void show_batch(struct session *s, struct browse *l)
{
    unsigned shard;
    if (find_shard(l, has_objects, node_shard_count(session_node(s)), &shard)) {
        l->visit.run = show_run;
        l->at = 0;
        session_visit(s, &l->visit, shard, on_shown);
    } else if (l->one) {
        write_one(s, l);
    } else {
        l->visit.run = sweep_run;
        session_visit(s, &l->visit, shard_index(s->shard), on_swept);
    }
}

static void on_merged(struct session *s, struct visit *visit)
{
    if (visit->done)
        show_batch(s, (struct browse *)visit);
    else
        session_visit(s, visit, visit->shard, on_merged);
}

/* The client is slow: its list goes on where it is, with keys that are collected then. */
static void drop_keys(struct session *s)
{
    struct browse *l = (struct browse *)session_take_held(s);
    if (!l)
        return;
    log_debug(ADMIN, NULL, "a list of '%.*s' is read slowly: it is sorted again later",
              SLICE_ARG(s->user));
    runs_restart(&l->runs);
    l->again = true;
    if (!l->paged)
        l->left = SIZE_MAX;
    s->state = l;
    s->free_state = free_list;
    session_when_taken(s, collect_again);
}

/* The next ones that were found; true: more are to be found first. */
static bool take_named(struct browse *l)
{
    struct addr queue;
    while (l->batch_count < HTTP_BATCH && by_name_take(l->by_name, &queue))
        l->batch[l->batch_count++] =
            (struct shown){.place = {.addr = queue, .shard = queue.shard}, .json = BUF_INIT};
    return !l->batch_count && !l->by_name->counts && !l->by_name->over;
}

static void next_batch(struct session *s, struct browse *l)
{
    if (l->by_name && take_named(l)) {
        find_named(s, l);
        return;
    }
    if (l->by_name) {
        show_batch(s, l);
        return;
    }
    l->visit.run = merge_run;
    session_visit(s, &l->visit, shard_index(s->shard), on_merged);
    session_while_held(s, HTTP_KEYS_MS, drop_keys);
}

/* How many keys are popped at most, unless these are many; 0. */
static size_t wanted(const struct browse *l)
{
    if (!l->paged)
        return 0;
    uint64_t count = l->again ? l->skip + l->left : l->page * l->page_size;
    return count <= KEEP_MAX ? (size_t)count : 0;
}

static void collect(struct session *s, struct browse *l)
{
    runs_keep(&l->runs, wanted(l));
    l->visit.run = collect_run;
    session_visit(s, &l->visit, l->kind->is_listing ? node_shard_count(session_node(s)) - 1 : 0,
                  on_collected);
}

/* ---- sorted by name ---- */

static bool find_run(struct visit *visit, struct shard *shard)
{
    return by_name_run(((struct browse *)visit)->by_name, visit, shard);
}

static void on_found(struct session *s, struct visit *visit)
{
    struct browse *l = (struct browse *)visit;
    if (!visit->done) {
        session_visit(s, visit, visit->shard, on_found);
    } else if (l->by_name->counts) {
        l->total = l->by_name->total;
        l->matched = l->by_name->matched;
        begin(s, l);
    } else {
        next_batch(s, l);
    }
}

static void find_named(struct session *s, struct browse *l)
{
    l->visit.run = find_run;
    session_visit(s, &l->visit, 0, on_found);
}

/* Of the kinds and sorts that shard 0 has sorted. */
static bool is_by_name(const struct browse *l)
{
    bool named = slice_eq_str(l->sort, "name") && l->asker.vhost.len;
    return l->kind->is_queues && (!l->sort.len || named) && !l->asker.text2.len;
}

static void start_by_name(struct session *s, struct browse *l)
{
    l->by_name =
        by_name_new(&l->asker, &l->filter, l->reverse, l->paged ? (l->page - 1) * l->page_size : 0,
                    l->paged ? (size_t)l->page_size : 0);
    if (l->paged)
        find_named(s, l);
    else
        begin(s, l);
}

/* ---- sorted by keys ---- */

static void collect_again(struct session *s)
{
    struct browse *l = s->state;
    s->state = NULL;
    collect(s, l);
}

static void on_collected(struct session *s, struct visit *visit)
{
    struct browse *l = (struct browse *)visit;
    if (l->one && l->matched)
        visit->done = true, visit->shard = 0;
    if (session_visit_on(s, visit))
        return;
    seen_fini(&l->seen);
    runs_merge(&l->runs);
    if (l->again)
        next_batch(s, l);
    else
        begin(s, l);
}

/* What there is was counted. */
static void begin(struct session *s, struct browse *l)
{
    l->left = l->one ? 1 : l->matched;
    if (l->paged && l->page > page_count(l)) {
        reply_errorf(s, 400, "page_out_of_range",
                     "Page out of range, page: %" PRIu64 " page size: %" PRIu64 ", len: %zu",
                     l->page, l->page_size, l->matched);
        visit_free(&l->visit);
        return;
    }
    if (l->paged) {
        l->skip = (l->page - 1) * l->page_size;
        l->left = l->matched - l->skip < l->page_size ? l->matched - l->skip : l->page_size;
    }
    if (!l->one)
        write_head(s, l);
    next_batch(s, l);
}

/* ---- what the client says ---- */

static bool read_page(struct session *s, struct browse *l)
{
    const struct target *t = &s->target;
    struct slice page = target_param(t, "page"), size = target_param(t, "page_size");
    if (!l->kind->is_paged || l->one || (!page.data && !size.data))
        return true;
    l->paged = page.data != NULL;
    l->page = 1;
    l->page_size = HTTP_PAGE_SIZE;
    if ((page.data && !target_number(t, "page", &l->page)) ||
        (size.data && !target_number(t, "page_size", &l->page_size))) {
        reply_error(s, 400, "bad_request", "Pagination parameters are invalid");
        return false;
    }
    if (!l->paged ||
        (l->page && l->page_size && l->page_size <= HTTP_PAGE_SIZE_MAX && l->page < INT32_MAX))
        return true;
    reply_errorf(s, 400, "invalid_pagination_parameters",
                 "Invalid pagination parameters: page number %" PRIu64 ", page size %" PRIu64,
                 l->page, l->page_size);
    return false;
}

static bool read_filter(struct session *s, struct browse *l)
{
    struct slice name = target_param(&s->target, "name");
    if (!l->paged || !name.len)
        return true;
    if (name.len > HTTP_NAME_FILTER_MAX) {
        reply_error(s, 400, "bad_request", "Pagination parameters are invalid");
        return false;
    }
    if (filter_init(&l->filter, name, slice_eq_str(target_param(&s->target, "use_regex"), "true")))
        return true;
    reply_error(s, 400, "bad_request", "Pagination parameters are invalid");
    return false;
}

static bool read_columns(struct session *s, struct browse *l)
{
    const struct target *t = &s->target;
    l->columns = slice_dup(target_param(t, "columns"));
    if (!paths_parse(l->columns, &l->paths)) {
        reply_bad(s, "at most %d columns can be chosen", HTTP_COLUMNS_MAX);
        return false;
    }
    if (l->one)
        return true;
    struct slice sort = target_param(t, "sort");
    if (sort.len)
        l->sort = slice_dup(sort);
    if (sort.len && l->kind->sort_member)
        l->sort_member = l->kind->sort_member(sort);
    l->reverse = slice_eq_str(target_param(t, "sort_reverse"), "true");
    return true;
}

static bool read_ranges(struct session *s, struct browse *l)
{
    struct failure why;
    uint64_t wall = clock_wall_ms();
    l->wall_offset = wall - clock_mono_ns() / 1000000;
    if (ranges_parse(&s->target, wall, true, &l->ranges, &why))
        return true;
    reply_bad(s, "%s", why.text);
    return false;
}

static struct browse *browse_new(struct session *s, const struct list_kind *kind,
                                 struct asker asker, bool one)
{
    struct browse *l = session_visit_new(sizeof *l, collect_run);
    l->visit.fini = list_fini;
    l->visit.stays = true;
    l->kind = kind;
    l->http = s->http;
    l->detail = list_detail(s);
    l->asker = asker;
    l->one = one;
    return l;
}

static void start(struct session *s, const struct list_kind *kind, struct asker asker, bool one)
{
    struct browse *l = browse_new(s, kind, asker, one);
    if (!(read_page(s, l) && read_filter(s, l) && read_columns(s, l) && read_ranges(s, l)))
        visit_free(&l->visit);
    else if (!one && is_by_name(l))
        start_by_name(s, l);
    else
        collect(s, l);
}

void list_start(struct session *s, const struct list_kind *kind, struct asker asker)
{
    start(s, kind, asker, false);
}

void list_start_one(struct session *s, const struct list_kind *kind, struct asker asker)
{
    start(s, kind, asker, true);
}

void list_start_at(struct session *s, const struct list_kind *kind, struct asker asker,
                   struct addr addr)
{
    struct browse *l = browse_new(s, kind, asker, true);
    if (!read_columns(s, l) || !read_ranges(s, l)) {
        visit_free(&l->visit);
        return;
    }
    l->batch[l->batch_count++] =
        (struct shown){.place = {.addr = addr, .shard = addr.shard}, .json = BUF_INIT};
    l->visit.run = show_run;
    session_visit(s, &l->visit, addr.shard, on_shown);
}

static bool is_set(const struct session *s, const char *param, unsigned stats, unsigned flag)
{
    return stats & flag || slice_eq_str(target_param(&s->target, param), "true");
}

struct detail list_detail(const struct session *s)
{
    unsigned stats = atomic_load_explicit(&s->http->stats, memory_order_relaxed);
    return (struct detail){
        .no_stats = is_set(s, "disable_stats", stats, HTTP_STATS_HIDDEN),
        .queue_totals = is_set(s, "enable_queue_totals", stats, HTTP_QUEUE_TOTALS),
        .no_rates = stats & HTTP_RATES_HIDDEN,
    };
}

bool list_refuse_stats(struct session *s)
{
    if (!list_detail(s).no_stats)
        return false;
    reply_bad(s, "Stats in management UI are disabled on this node");
    return true;
}

struct asker list_asker(const struct session *s)
{
    return (struct asker){.user = slice_dup(s->user),
                          .vhost = slice_dup(s->vhost),
                          .monitor = login_is_monitor(s),
                          .everywhere = login_is_administrator(s)};
}
