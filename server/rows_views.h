/* Rows that are made from views: feeds, one feed, links, types. */
#ifndef SERVER_ROWS_VIEWS_H
#define SERVER_ROWS_VIEWS_H

#include "server/follow.h"
#include "views/view_links.h"

/* Lists that are followed (follow.h) go on with the rows of what new messages are by, of or in. */

/* GET /feeds: authors in the order of their key bytes. */
struct feeds_params {
    struct ref from,
        to; /* both left out; kind REF_NONE = none. `from` is where reading begins, whatever the direction */
    bool reverse;
    int64_t limit;
    struct follow_params follow;
};
int rows_feeds_open(struct server *server, const struct feeds_params *params, struct rows **ret_rows);

/* GET /feeds?name=: feeds whose name of now begins so, or nearly so. Answers ERR_ARG for a name without letters. */
#define NAMES_VIEWS (VIEW_MASK(names) | VIEW_MASK(about) | VIEW_MASK(messages) | VIEW_MASK(feeds))
struct names_params {
    struct slice name;
    int64_t upto; /* who wrote what is told up to here; SEQ_MAX = up to now */
    int64_t skip, limit;
    struct follow_params follow;
};
int rows_names_open(struct server *server, const struct names_params *params, struct rows **ret_rows);

/* GET /feeds/{id}: a feed by sequence. range.min and range.max are sequences. */
struct feed_params {
    struct ref author;
    struct filter_params range;
    int64_t skip; /* entries of the first sequence that were given already */
    bool hide_private;
};
int rows_feed_open(struct server *server, const struct feed_params *params, struct rows **ret_rows);

/* GET /links. */
struct links_params {
    struct links_query query;
    struct filter_params range; /* its filter is not used */
    int64_t skip;               /* rows of the first record that were given already */
    bool values;
};
int rows_links_open(struct server *server, const struct links_params *params, struct rows **ret_rows);

/* GET /types and GET /channels: names with counts, in byte order. */
struct counts_params {
    struct slice after; /* data NULL = from the start */
    int64_t limit;
    struct follow_params follow;
};
typedef int rows_counts_open_fn(struct server *server, const struct counts_params *params, struct rows **ret_rows);
rows_counts_open_fn rows_types_open, rows_channels_open;
/* The handler of both (api_types.c). */
int api_counts_list(struct api_request *req, struct api_reply *reply, uint32_t views, rows_counts_open_fn *open);

/* "timestamp":T of the record as it got here, null if it has none. */
void rows_put_received(struct buf *out, const struct message *message);

#endif
