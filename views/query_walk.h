/* Posting lists walked in step: what query.c (in log order) and search.c (by rank) have in common. Open while one batch is fetched. */
#ifndef VIEWS_QUERY_WALK_H
#define VIEWS_QUERY_WALK_H

#include "views/filter.h"
#include "views/index_list.h"

/* A prefix that begins more terms than this is looked for in the records. */
#define WALK_PREFIX_TERMS 64

struct walk_list {
    struct list_iter iter;
    bool known; /* `entry` is what it stands on, or it is at its end */
    bool ended;
    struct list_entry entry;
};

/* What is wanted: a seq that stands in one of its lists. */
struct walk_part {
    size_t first, count;            /* of the walk's lists */
    const struct filter_term *term; /* that it comes from */
};

struct query_walk {
    struct query *query;
    struct flume_read read;
    bool reverse;
    int64_t horizon; /* nothing above it is answered */
    int64_t deadline_ms;
    unsigned steps;
    struct walk_part parts[FILTER_TERMS_MAX];
    size_t part_count;
    size_t absent_first, absent_end;                    /* lists of terms that must be absent */
    const struct filter_term *checks[FILTER_TERMS_MAX]; /* that only the record shows */
    size_t check_count;
    struct message message; /* for these */
    struct walk_list *lists;
    size_t list_count, list_cap;
};

int query_walk_open(struct query *query, struct flume *flume, struct query_walk **ret_walk);
void query_walk_close(struct query_walk *walk); /* NULL is fine */

/* Moves every part to `at` or past it, in the direction of travel, until all stand on one seq: 1 and the seq, 0 = there is no more, <0 error
 * (ERR_SLOW). */
int query_walk_agree(struct query_walk *walk, int64_t at, int64_t *ret_seq);

/* How often a part stands at `seq`. Takes these entries: not to be asked twice, and seqs in the direction of travel. */
int query_walk_times(struct query_walk *walk, const struct walk_part *part, int64_t seq, uint64_t *ret_times);

/* 1 = nothing that must be absent is there; 0, <0 error. */
int query_walk_allows(struct query_walk *walk, int64_t seq);

/* Is there something that only a record shows? */
bool query_walk_looks(const struct query_walk *walk);

/* 1 = the record is by one of the authors that are wanted; 0, <0 error. */
int query_walk_near(struct query_walk *walk, const struct log_record *record);

/* 1 = the record stands, and has what only a record shows (and its author is wanted); 0, <0 error. */
int query_walk_checks(struct query_walk *walk, int64_t seq);

/* ERR_SLOW when patience is over. */
int query_walk_patience(struct query_walk *walk, int64_t at);

#endif
