/* Lists of many objects, sorted, filtered, by pages: never all at once.
 *
 * First the shards are visited, in portions, for what each object is sorted by: the runs, each
 * sorted. Then the runs are merged as far as the page reaches, some objects a turn; and these are
 * shown, a batch at a time, each by its own shard, at the client's pace. What is deleted meanwhile
 * is left out. Queues by their names need none of this: shard 0 has them sorted (by_name.h). */
#ifndef HTTP_LIST_H
#define HTTP_LIST_H

#include "broker/broker.h"
#include "http/view.h"
#include "meta/meta.h"

struct http;
struct ranges;
struct session;

/* Who asks, copied so that other shards may look at it. */
struct asker {
    struct slice user;  /* owned */
    struct slice vhost; /* owned; empty: all that the user may enter */
    struct slice text;  /* owned; of the kind */
    struct slice text2; /* owned; of the kind */
    struct slice text3; /* owned; of the kind */
    bool monitor;       /* sees what others do */
    bool everywhere;    /* rights in virtual hosts don't count */
};

/* How much of objects a request is shown. */
struct detail {
    bool no_stats;     /* what they are, alone; */
    bool queue_totals; /* but the messages of queues all the same */
    bool no_rates;     /* no message_stats */
};
struct detail list_detail(const struct session *session);
/* As RabbitMQ refuses what has nothing but statistics; false: there are some. */
bool list_refuse_stats(struct session *session);

/* One object, on its shard. */
struct item {
    const struct http *http;
    struct shard *shard;
    const void *object;          /* of a listing */
    const struct meta_row *row;  /* of definitions */
    uint64_t vhost;              /* the number of theirs, while they are shown */
    const struct ranges *ranges; /* samples that are asked for */
    uint64_t wall_offset;        /* of their times */
    struct detail detail;
};

struct list_kind {
    bool is_listing;
    enum listing listing;
    enum meta_noun noun;
    /* Whether it belongs to the list. May be NULL. */
    bool (*belongs)(const struct item *item, const struct asker *asker);
    /* What a filter by name looks at: an owned copy. */
    struct value (*name)(const struct item *item);
    /* Appends what the list is sorted by unless the client says otherwise. */
    void (*key)(const struct item *item, struct buf *key);
    void (*view)(const struct item *item, struct view *view);
    /* The member that a client sorts by, if it can be had without a view of the whole object; else
     * NULL. May be NULL; then member is, too. */
    const char *(*sort_member)(struct slice path);
    struct value (*member)(const struct item *item, const char *name);
    bool is_paged;  /* page, page_size, name, use_regex */
    bool is_queues; /* all queues, a row each */
    /* view shows any number of objects, each of a channel, from { to }: only monitors see those of
     * other users' channels. */
    bool is_many;
};

/* Answers the session's request with the list; asker->text is the kind's own filter. */
void list_start(struct session *session, const struct list_kind *kind, struct asker asker);
/* Of the session's user, in the virtual host of the path if it has one. */
struct asker list_asker(const struct session *session);

/* Answers with the first object that belongs, alone, or 404. */
void list_start_one(struct session *session, const struct list_kind *kind, struct asker asker);
/* The same with the one of a listing that has that address. */
void list_start_at(struct session *session, const struct list_kind *kind, struct asker asker,
                   struct addr addr);

#endif
