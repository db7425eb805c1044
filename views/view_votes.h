/* View "votes": what people think of a message, feed or blob, by messages {"type":"vote","vote":{"link":TARGET,"value":1,"expression":"Like"}}.
 *
 * Of one author about one target the message that stands last in the log decides (patchwork's likes): value above 0 is a vote for
 * it, anything else takes the vote back, or is one against it. Encrypted votes are not seen. */
#ifndef VIEWS_VIEW_VOTES_H
#define VIEWS_VIEW_VOTES_H

#include "views/flume.h"
#include "views/pair.h"

struct vote {
    struct ref author;
    int64_t seq; /* of the message that decides */
    struct log_record record;
    double value;            /* 0 if it is no number */
    struct slice expression; /* raw JSON string; data NULL = none */
};

struct votes_iter {
    struct pair_iter pairs;
    struct log *log;
};

/* Votes on a target, ordered by the author's bytes, those behind `after` (NULL = all). Closed before the snapshot ends. */
int votes_open(const struct flume_read *read, const struct ref *target, const struct ref *after,
               struct votes_iter *ret_iter);
void votes_close(struct votes_iter *iter);                      /* zeroed is fine */
int votes_next(struct votes_iter *iter, struct vote *ret_vote); /* 1, 0 = no more, <0 error; slices belong to the log */

#endif
