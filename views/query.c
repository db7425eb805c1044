/* The stored evaluator of a filter: posting lists are walked in step, from the end of the log that is asked for. */
#include "store/err.h"
#include "views/query_walk.h"

int query_open(struct flume *flume, const struct filter *filter, const struct log_range *range, struct query *ret_query)
{
    struct log *log = flume_log(flume);
    struct log_cursor cursor;
    int64_t since = log_since(log);
    int err = log_cursor_open(log, range, &cursor);
    if (err != OK) return err;
    /* A range may begin above the head, at a seq that will be no record's start. */
    int64_t min = range->min <= since ? range->min : since < 0 ? 0 : since;
    ret_query->from = range->reverse ? range->max : min;
    ret_query->filter = *filter;
    ret_query->range = *range;
    ret_query->at = range->reverse ? range->max : range->min;
    ret_query->ended = range->min > range->max || range->max < 0;
    ret_query->patience_ms = INT64_MAX;
    return OK;
}

void query_patience(struct query *query, const struct flume_read *read)
{
    int64_t left = read->deadline_ms == INT64_MAX ? INT64_MAX : read->deadline_ms - flume_now_ms();
    query->patience_ms = left < 0 ? 0 : left;
}

static bool walk_inside(const struct query_walk *walk, int64_t seq)
{
    const struct log_range *range = &walk->query->range;
    return walk->reverse ? seq >= range->min : seq <= range->max && seq <= walk->horizon;
}

/* Remembers that `seq` was dealt with. */
static void walk_pass(struct query_walk *walk, int64_t seq)
{
    walk->query->at = walk->reverse ? seq - 1 : seq + 1;
    walk->query->from = seq;
}

static int walk_lists(struct query_walk *walk, int64_t *seqs, size_t max, size_t *ret_count)
{
    struct query *query = walk->query;
    int64_t seq = 0;
    size_t count = 0;
    int found = 1;
    while (count < max) {
        found = query->at < 0 ? 0 : query_walk_agree(walk, query->at, &seq);
        if (found != 1 || !walk_inside(walk, seq)) break;
        found = query_walk_allows(walk, seq);
        if (found == 1) found = query_walk_checks(walk, seq);
        if (found < 0) break;
        if (found == 1) seqs[count++] = seq;
        walk_pass(walk, seq);
    }
    *ret_count = count;
    if (found < 0) return found;
    /* What was looked through for nothing is not looked through again. */
    if (count < max && !walk->reverse && query->at <= walk->horizon) query->at = walk->horizon + 1;
    return OK;
}

/* The log itself, where no term says which records to take. The record it goes on from was seen and is left out. */
static int walk_log(struct query_walk *walk, int64_t *seqs, size_t max, size_t *ret_count)
{
    struct query *query = walk->query;
    struct log_range range = query->range;
    struct log_cursor cursor;
    struct log_record record;
    size_t count = 0;
    if (walk->reverse)
        range.max = query->from;
    else
        range.min = query->from;
    int found = log_cursor_open(walk->read.log, &range, &cursor);
    if (found != OK) return found;
    while (count < max) {
        found = log_next(&cursor, &record);
        if (found != 1 || !walk_inside(walk, record.seq)) break;
        if (walk->reverse ? record.seq > query->at : record.seq < query->at) continue;
        found = query_walk_patience(walk, record.seq);
        if (found == OK) found = query_walk_allows(walk, record.seq);
        if (found == 1) found = query_walk_near(walk, &record);
        if (found < 0) break;
        if (found == 1) seqs[count++] = record.seq;
        walk_pass(walk, record.seq);
    }
    *ret_count = count;
    return found < 0 ? found : OK;
}

/* Upwards everything up to the horizon is known, so the range is used up once its end is below that. Downwards nothing will be added. */
static bool walk_is_over(const struct query_walk *walk)
{
    return walk->reverse || walk->horizon >= walk->query->range.max;
}

/* Where to begin, or that there is nothing to do now: false. */
static bool walk_start(struct query_walk *walk)
{
    struct query *query = walk->query;
    if (!walk->reverse) return query->at <= walk->horizon;
    bool first = query->at == query->range.max;
    if (first && query->at > walk->horizon) query->at = query->from = walk->horizon;
    if (query->at < query->range.min) query->ended = true;
    /* A view that is being built anew is behind where this query is: wait for it. */
    return !query->ended && query->at <= walk->horizon;
}

int query_next(struct query *query, struct flume *flume, int64_t *seqs, size_t max)
{
    struct query_walk *walk = NULL;
    const struct query before = *query;
    size_t count = 0;
    if (query->ended || max == 0) return 0;
    if (max > INT32_MAX) max = INT32_MAX;
    int err = query_walk_open(query, flume, &walk);
    if (err != OK) return err;
    if (walk_start(walk)) {
        err = walk->part_count > 0 ? walk_lists(walk, seqs, max, &count) : walk_log(walk, seqs, max, &count);
        if (err == OK && count < max && walk_is_over(walk)) query->ended = true;
    }
    query_walk_close(walk);
    if (err == OK || count > 0) return (int)count;
    if (err != ERR_SLOW) *query = before;
    return err;
}
