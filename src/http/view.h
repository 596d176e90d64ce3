/* A JSON object as a client wants to see it: all of it, the columns it chose, or the one value that
 * a list is sorted by. Names are RabbitMQ's. */
#ifndef HTTP_VIEW_H
#define HTTP_VIEW_H

#include "base/buf.h"
#include "base/value.h"
#include "http/bounds.h"
#include "shard/op.h"

/* Dotted paths: "name", "message_stats.publish_details.rate"; borrowed. */
struct paths {
    struct slice names[HTTP_COLUMNS_MAX];
    size_t count; /* 0: all */
};

/* What another shard knows: its bytes go to that place. */
struct splice {
    size_t at; /* in the view's out */
    struct addr object;
    bool bare;       /* no bytes are wanted: it is looked for all the same */
    size_t from, to; /* of a guarded view: the object it tells the user of */
};

enum { VIEW_PATH_MAX = 160 };

struct view {
    struct buf *out; /* of the JSON, or of the sort key */
    const struct paths *paths;
    struct slice sort; /* data set: only this path, as a key */
    bool guarded;      /* what is not of the user's channels will be left out */
    char path[VIEW_PATH_MAX];
    size_t path_len;
    struct splice *splices; /* grows; NULL: none came up */
    size_t splice_count, splice_cap;
};

struct view view_of(struct buf *out, const struct paths *paths);
struct view view_sort_key(struct buf *key, struct slice path);
void view_fini(struct view *view);

/* "name,messages" into paths; false: too many. */
bool paths_parse(struct slice text, struct paths *ret_paths);

/* A member of that name would be seen: what is dear is asked for only then. */
bool view_wants(const struct view *view, const char *name);

void view_begin(struct view *view); /* the whole object */
void view_end(struct view *view);
/* False: nothing of it is wanted, and it is not to be ended. */
bool view_object(struct view *view, const char *name);
void view_object_end(struct view *view);
/* The same of a list, whose objects are begun and ended. */
bool view_list(struct view *view, const char *name);
void view_list_end(struct view *view);
void view_text(struct view *view, const char *name, struct slice text);
void view_int(struct view *view, const char *name, int64_t n);
void view_double(struct view *view, const char *name, double d);
void view_bool(struct view *view, const char *name, bool b);
void view_null(struct view *view, const char *name);
/* A field table as an object. */
void view_table(struct view *view, const char *name, struct slice table);
/* A finished JSON value. */
void view_json(struct view *view, const char *name, struct slice json);
/* Takes the value; none is null. */
void view_value(struct view *view, const char *name, struct value value);
/* The entries of a table as members. */
void view_entries(struct view *view, struct slice table);
/* name: {"rate": rate} */
void view_rate(struct view *view, const char *name, double rate);
/* The same with samples as RabbitMQ shows them, newest first, step_ms apart. */
struct view_samples {
    const uint64_t *values;
    size_t count;
    uint64_t newest_ms, step_ms;
};
void view_sampled_rate(struct view *view, const char *name, double rate,
                       const struct view_samples *samples);
/* What the channel's shard says about itself comes there, or {} if it is gone. */
void view_channel(struct view *view, const char *name, struct addr channel);
/* In a guarded view: the last channel's object is what is between from and here. */
void view_enclose_channel(struct view *view, size_t from);

/* Appends a value so that keys compare as bytes: numbers before texts. */
void view_put_key_number(struct buf *key, double d);
void view_put_key_text(struct buf *key, struct slice text);

#endif
