/* What whoever appends believes of the feeds, or of the log, that he appends to: HTTP's If-Match and If-None-Match. Judged by the indexer, in the
 * same moment as the append itself. */
#ifndef VIEWS_FLUME_EXPECT_H
#define VIEWS_FLUME_EXPECT_H

#include <stdbool.h>

#include "store/feed.h"

#define EXPECT_FEEDS_MAX 64

struct flume_expect {
    const struct ref *heads; /* the newest message of every feed appended to is one of these; the caller's */
    size_t count;
    bool some;    /* …or any at all */
    bool none;    /* …or there is none yet */
    int64_t head; /* accept any: the seq of the log's newest record, SEQ_EMPTY while it is empty */
};

typedef int expect_state_fn(void *ctx, const struct ref *author, struct feed_state *ret_state);

/* ERR_STALE, with the first message whose feed stands elsewhere, and where (kind REF_NONE: nowhere yet). Each feed is looked at
 * once, as it was before the first of these messages; ERR_INVALID if they are more than EXPECT_FEEDS_MAX. */
int expect_feeds(const struct flume_expect *expect, const struct feed_message *messages, size_t count,
                 expect_state_fn *state, void *ctx, size_t *ret_index, struct ref *ret_head);

/* The same for the log: `since` as it will be when the append is made. */
int expect_log(const struct flume_expect *expect, int64_t since);

#endif
