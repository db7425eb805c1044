/* Messages by how well they fit a search, and the part of a message that shows why. The language is view_search.h's. */
#ifndef VIEWS_SEARCH_H
#define VIEWS_SEARCH_H

#include "views/view_search.h"

/* So many matches, the newest, are held against each other: a search for words that stand everywhere costs no more than this. */
#define SEARCH_RANKED_MAX 5000
#define SEARCH_CHECKED_MAX \
    1000 /* where each record has to be looked at: phrases, times, words that begin with a letter or two */

struct search_hit {
    int64_t seq;
    double rank;
};

/* The ends of a range that are records, but not in it. */
struct search_ends {
    bool above, below;
};

/* The matches in the range, up to `range.max`, which is a record that the views of the filter have passed: best first, of equal ones the newest.
 * Rank is made from what the log holds up to there, so it is the same whatever came behind. The caller frees *ret_hits.
 * Records that were deleted are among them. *ret_complete: there are no older matches than these. ERR_SLOW. */
int search_rank(struct flume *flume, const struct filter *filter, const struct log_range *range,
                struct search_ends ends, int64_t patience_ms, struct search_hit **ret_hits, size_t *ret_count,
                bool *ret_complete);

/* A stretch of one place of a message, in pieces of raw JSON string text: those that are marked are what was searched for. */
#define SNIPPET_BYTES 240
#define SNIPPET_PIECES_MAX 64

struct snippet {
    const char *place; /* search_places; NULL = there is nothing to show */
    bool cut_before, cut_after;
    size_t count;
    struct snippet_piece {
        struct slice text;
        bool mark;
    } pieces[SNIPPET_PIECES_MAX];
};

/* Borrows from the message's record. */
void search_snippet(const struct filter *filter, const struct message *message, struct snippet *ret_snippet);

#endif
