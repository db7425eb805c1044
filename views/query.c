/* The stored evaluator of a filter: posting lists are walked in step, from the end of the log that is asked for. */
#include <stdlib.h>

#include "store/err.h"
#include "views/filter.h"
#include "views/index_list.h"

/* What one query_next works with. Lists of wanted terms first, then those of terms that must be absent. */
struct query_walk {
    struct query *query;
    struct flume_read read;
    bool reverse;
    int64_t horizon; /* nothing above it is answered */
    int64_t deadline_ms;
    unsigned steps;
    size_t wanted, count;
    struct list_iter lists[];
};

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

static void walk_close(struct query_walk *walk)
{
    if (walk == NULL) return;
    for (size_t i = 0; i < walk->count; i++)
        list_iter_close(&walk->lists[i]);
    flume_read_end(&walk->read);
    free(walk);
}

static int walk_open_lists(struct query_walk *walk, bool negate)
{
    const struct filter *filter = &walk->query->filter;
    for (size_t i = 0; i < filter->count; i++) {
        const struct filter_term *term = &filter->terms[i];
        if (term->negate != negate) continue;
        const struct view *view = flume_view(walk->read.flume, (enum view_id)term->view);
        if (view == NULL) return err_set(ERR_NOTFOUND, "%s: its view is not there", term->field->name);
        int64_t since = flume_read_since(&walk->read, view);
        if (since < walk->horizon) walk->horizon = since;
        int err = list_iter_open(walk->read.txn, view->fields[term->index], false, &term->term, walk->reverse,
                                 &walk->lists[walk->count]);
        if (err != OK) return err;
        walk->count++;
    }
    return OK;
}

static int walk_open(struct query *query, struct flume *flume, struct query_walk **ret_walk)
{
    struct query_walk *walk = malloc(sizeof *walk + query->filter.count * sizeof walk->lists[0]);
    if (walk == NULL) return err_set(ERR_NOMEM, "no memory for a query");
    walk->query = query;
    walk->reverse = query->range.reverse;
    walk->wanted = walk->count = 0;
    walk->steps = 0;
    walk->deadline_ms = query->patience_ms == INT64_MAX ? INT64_MAX : flume_now_ms() + query->patience_ms;
    int err = flume_read_begin(flume, &walk->read);
    if (err != OK) {
        free(walk);
        return err;
    }
    walk->horizon = log_durable(walk->read.log);
    err = walk_open_lists(walk, false);
    walk->wanted = walk->count;
    if (err == OK) err = walk_open_lists(walk, true);
    if (err != OK) {
        walk_close(walk);
        return err;
    }
    *ret_walk = walk;
    return OK;
}

/* Looked at once in a while, for the clock costs as much as a step. */
#define STEPS_PER_LOOK 1024

static int walk_patience(struct query_walk *walk, int64_t at)
{
    if (++walk->steps % STEPS_PER_LOOK != 0 || walk->deadline_ms == INT64_MAX || flume_now_ms() < walk->deadline_ms)
        return OK;
    return err_set(ERR_SLOW,
                   "nothing was found in the time that a query may take, and it has come to seq %lld: go on from there "
                   "(gt, lt), or ask for something rarer first",
                   (long long)at);
}

/* Moves every wanted list to `at` or past it, until all stand on one seq: 1 and the seq, 0 = there is no more, <0 error. */
static int walk_agree(struct query_walk *walk, int64_t at, int64_t *ret_seq)
{
    uint64_t place = (uint64_t)at;
    for (size_t agreed = 0, i = 0; agreed < walk->wanted; i = (i + 1) % walk->wanted) {
        struct list_entry entry;
        int found = list_seek(&walk->lists[i], place, &entry);
        if (found != 1) return found;
        agreed = entry.at == place ? agreed + 1 : 1;
        place = entry.at;
        found = walk_patience(walk, (int64_t)place);
        if (found == OK) continue;
        /* nothing in front of it fits */
        if (place <= (uint64_t)SEQ_MAX) walk->query->at = (int64_t)place;
        return found;
    }
    if (place > (uint64_t)SEQ_MAX) return err_set(ERR_CORRUPT, "a list of the views holds a damaged seq; rebuild them");
    *ret_seq = (int64_t)place;
    return 1;
}

/* 1 = none of the terms that must be absent is there, 0, <0 error. */
static int walk_allows(struct query_walk *walk, int64_t seq)
{
    for (size_t i = walk->wanted; i < walk->count; i++) {
        struct list_entry entry;
        int found = list_seek(&walk->lists[i], (uint64_t)seq, &entry);
        if (found < 0) return found;
        if (found == 1 && entry.at == (uint64_t)seq) return 0;
    }
    return 1;
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

/* Is there a record? 1, 0 = deleted, <0 error. */
static int walk_stands(struct query_walk *walk, int64_t seq)
{
    struct log_record record;
    int err = log_get(walk->read.log, seq, &record);
    if (err == ERR_DELETED) return 0;
    return err == OK ? 1 : err;
}

static int walk_lists(struct query_walk *walk, int64_t *seqs, size_t max, size_t *ret_count)
{
    struct query *query = walk->query;
    int64_t seq = 0;
    size_t count = 0;
    int found = 1;
    while (count < max) {
        found = query->at < 0 ? 0 : walk_agree(walk, query->at, &seq);
        if (found != 1 || !walk_inside(walk, seq)) break;
        found = walk_allows(walk, seq);
        if (found == 1) found = walk_stands(walk, seq);
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
        found = walk_patience(walk, record.seq);
        if (found == OK) found = walk_allows(walk, record.seq);
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
    int err = walk_open(query, flume, &walk);
    if (err != OK) return err;
    if (walk_start(walk)) {
        err = walk->wanted > 0 ? walk_lists(walk, seqs, max, &count) : walk_log(walk, seqs, max, &count);
        if (err == OK && count < max && walk_is_over(walk)) query->ended = true;
    }
    walk_close(walk);
    if (err == OK || count > 0) return (int)count;
    if (err != ERR_SLOW) *query = before;
    return err;
}
