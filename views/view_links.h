/* View "links": every exact reference in a message's content. Fields `dest`, `rel` (the top-level key of content it stands under) and `root` (content.root).
 *
 * The lists say in which records a reference stands, once for each place; the rows are read from the records. */
#ifndef VIEWS_VIEW_LINKS_H
#define VIEWS_VIEW_LINKS_H

#include "views/filter.h"

/* What is asked for; kind REF_NONE and data NULL mean any. */
struct links_query {
    struct ref source; /* the author of the linking message */
    struct ref dest;
    struct slice rel;
    bool hide_private;   /* leave encrypted messages out (they hold no readable links anyway) */
    int64_t deadline_ms; /* of links_count, CLOCK_MONOTONIC: ERR_SLOW after it; 0 = none */
};

/* The filter that finds the records in which such links stand; then links_match picks the rows. */
int links_filter(const struct links_query *query, struct filter *ret_filter);

/* Is message->refs[i] one of the links asked for? */
bool links_match(const struct links_query *query, const struct message *message, size_t i);

/* How many rows there are in all. From list heads where one term decides, else by walking the matching records. */
int links_count(const struct flume_read *read, const struct links_query *query, uint64_t *ret_count);

/* The messages that name `root` as their root, the newest first, in the order of the log. The caller closes it before the snapshot ends. */
struct list_iter;
int links_root_iter(const struct flume_read *read, const struct ref *root, struct list_iter *ret_iter);

/* How many messages name `root` as their root, from list heads. */
int links_count_root(const struct flume_read *read, const struct ref *root, uint64_t *ret_count);

/* The table of the field `dest`. */
kv_table links_dest_table(const struct view *links);

#endif
