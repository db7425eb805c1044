/* What people think of a message, feed or blob, by messages {"type":"vote","vote":{"link":TARGET,"value":1,"expression":"Like"}}.
 *
 * Of one author about one target the message that stands last in the log decides (patchwork's likes): value above 0 is a vote for
 * it, anything else takes the vote back, or is one against it. Encrypted votes are not seen. Read from the views links and types. */
#ifndef VIEWS_VOTES_H
#define VIEWS_VOTES_H

#include "views/said.h"

struct vote {
    struct ref author;
    int64_t seq;             /* of the message that decides */
    double value;            /* 0 if it is no number */
    struct slice expression; /* raw JSON string, the log's; data NULL = none */
};

#define VOTES_VIEWS (VIEW_MASK(links) | VIEW_MASK(types))

/* The votes on a target, one for each author, ordered by the author's bytes. ERR_LIMIT. */
int votes_read(const struct flume_read *read, const struct ref *target, struct said_list *ret_votes);

/* How many of them are above 0. */
int votes_tally(const struct flume_read *read, const struct ref *target, uint64_t *ret_count);

/* Is it a vote on the target? Then its value, 0 if it is no number. */
bool vote_says(const struct message *message, const struct ref *target, double *ret_value);

/* What a vote of the list says: 1, 0 = it was deleted meanwhile, <0 error. */
int vote_read(struct log *log, const struct said *said, struct vote *ret_vote);

/* Is the message a vote on `target`? */
bool vote_is_on(const struct message *message, const struct ref *target);

#endif
