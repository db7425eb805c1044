/* View "feeds": author -> sequence -> seq, and each author's newest message. Field `author`. */
#ifndef VIEWS_VIEW_FEEDS_H
#define VIEWS_VIEW_FEEDS_H

#include "views/flume.h"

struct feed_latest {
    struct ref author;
    int64_t sequence; /* the highest one seen */
    int64_t seq;      /* where it stands */
};

/* OK, ERR_NOTFOUND. */
int feeds_latest(const struct flume_read *read, const struct ref *author, struct feed_latest *ret_latest);

/* Authors in the order of their key bytes: the first after `after` (NULL = from the start; reverse: before it, NULL = from the end). 1, 0 = no more. */
int feeds_next(const struct flume_read *read, const struct ref *after, bool reverse, struct feed_latest *ret_latest);

/* The message `sequence` of a feed; the first in the log if there are several: OK, ERR_NOTFOUND. */
int feeds_get(const struct flume_read *read, const struct ref *author, int64_t sequence, struct log_record *ret_record);

struct feed_entry {
    int64_t sequence;
    int64_t seq;
};

/* Messages of a feed by sequence from `sequence` on, upwards or (reverse) downwards; up to `max`. Answers how many. `skip` leaves out that many entries
 * of exactly `sequence` (a forked feed can hold several). Deleted records may be among them. */
int feeds_range(const struct flume_read *read, const struct ref *author, int64_t sequence, size_t skip, bool reverse,
                struct feed_entry *entries, size_t max);

#endif
