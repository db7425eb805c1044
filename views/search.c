#include "views/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "views/index_keys.h"
#include "views/query_walk.h"

/* As in BM25: a word that stands often counts no more after a while, and rare words count more than frequent ones. How long a message is does not
 * count: that would have to be looked up for each. */
#define RANK_K 1.2
#define PLACE_WORDS 16.0 /* words that a place is taken to have */

struct ranking {
    struct query query;
    struct query_walk *walk;
    double weights[FILTER_TERMS_MAX]; /* of the walk's parts; 0 = says nothing about how well a message fits */
    struct search_hit *hits;
    size_t count, cap;
    bool complete;
};

static int count_upto(const struct ranking *ranking, kv_table table, const struct term *term, uint64_t *count)
{
    uint64_t more = 0;
    uint64_t upto = (uint64_t)ranking->query.range.max;
    int err = list_count_upto(ranking->walk->read.txn, table, false, term, upto, &more);
    *count += more;
    return err;
}

/* Words weigh the more, the rarer they are among all words. Other filters weigh nothing. */
static int ranking_weigh(struct ranking *ranking)
{
    struct query_walk *walk = ranking->walk;
    const kv_table table = flume_view(walk->read.flume, VIEW_search)->fields[SEARCH_Q];
    uint64_t all = 0;
    struct term any;
    search_term_any(&any);
    int err = count_upto(ranking, table, &any, &all);
    for (size_t i = 0; err == OK && i < walk->part_count; i++) {
        const struct walk_part *part = &walk->parts[i];
        uint64_t some = 0;
        if (part->term->view != VIEW_search || term_equal(&part->term->term, &any)) continue;
        for (size_t k = 0; err == OK && k < part->count; k++)
            err = count_upto(ranking, table, &walk->lists[part->first + k].iter.term, &some);
        ranking->weights[i] = log(1 + (double)all * PLACE_WORDS / ((double)some + 0.5));
    }
    return err;
}

static int ranking_add(struct ranking *ranking, int64_t seq)
{
    struct query_walk *walk = ranking->walk;
    uint64_t times = 0;
    double rank = 0;
    int err = index_grow(&ranking->hits, &ranking->cap, ranking->count, sizeof *ranking->hits);
    for (size_t i = 0; err == OK && i < walk->part_count; i++) {
        if (ranking->weights[i] == 0) continue;
        err = query_walk_times(walk, &walk->parts[i], seq, &times);
        rank += ranking->weights[i] * (double)times * (RANK_K + 1) / ((double)times + RANK_K);
    }
    if (err == OK) ranking->hits[ranking->count++] = (struct search_hit){ seq, rank };
    return err;
}

static int ranking_collect(struct ranking *ranking)
{
    int64_t at = ranking->query.range.max, seq = 0;
    size_t most = query_walk_looks(ranking->walk) ? SEARCH_CHECKED_MAX : SEARCH_RANKED_MAX;
    int found = 1;
    for (size_t looked = 0; at >= ranking->query.range.min; looked++) {
        found = query_walk_agree(ranking->walk, at, &seq);
        if (found != 1 || seq < ranking->query.range.min) break;
        if (looked == most) {
            ranking->complete = false;
            break;
        }
        found = query_walk_allows(ranking->walk, seq);
        if (found == 1 && query_walk_looks(ranking->walk)) found = query_walk_checks(ranking->walk, seq);
        if (found == 1) found = ranking_add(ranking, seq);
        if (found < 0) break;
        at = seq - 1;
    }
    return found < 0 ? found : OK;
}

static int hits_compare(const void *a, const void *b)
{
    const struct search_hit *left = a, *right = b;
    if (left->rank != right->rank) return left->rank > right->rank ? -1 : 1;
    return left->seq > right->seq ? -1 : left->seq < right->seq;
}

/* The ends were looked at as records: what is between them need not begin with one. */
static void ranking_narrow(struct ranking *ranking, struct search_ends ends)
{
    struct log_range *range = &ranking->query.range;
    if (ends.above && range->min < SEQ_MAX) range->min++;
    if (ends.below && range->max > SEQ_EMPTY) range->max--;
}

int search_rank(struct flume *flume, const struct filter *filter, const struct log_range *range,
                struct search_ends ends, int64_t patience_ms, struct search_hit **ret_hits, size_t *ret_count,
                bool *ret_complete)
{
    struct ranking ranking = { .complete = true };
    struct log_range down = *range;
    down.reverse = true;
    int err = query_open(flume, filter, &down, &ranking.query);
    if (err == OK) ranking_narrow(&ranking, ends);
    ranking.query.patience_ms = patience_ms;
    if (err == OK) err = query_walk_open(&ranking.query, flume, &ranking.walk);
    if (err == OK) err = ranking_weigh(&ranking);
    if (err == OK) err = ranking_collect(&ranking);
    query_walk_close(ranking.walk);
    if (err != OK) {
        free(ranking.hits);
        return err;
    }
    if (ranking.count > 0) qsort(ranking.hits, ranking.count, sizeof *ranking.hits, hits_compare);
    *ret_hits = ranking.hits;
    *ret_count = ranking.count;
    *ret_complete = ranking.complete;
    return OK;
}
