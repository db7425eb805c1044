/* Records in log order, through a filter: more than rows.h tells everybody. */
#ifndef SERVER_ROWS_LOG_H
#define SERVER_ROWS_LOG_H

#include "server/filter_params.h"

/* Not live: bounded by what the answer knows when it is opened. ERR_BOUNDARY. */
int rows_log_open_params(struct server *server, const struct filter_params *params, struct rows **ret_rows);

/* 1 = *ret_seq is the seq of the row that comes next (it is not taken), 0 = none now, <0 error. */
int rows_log_peek(struct rows *rows, int64_t *ret_seq);
void rows_log_patience(struct rows *rows, int64_t ms); /* seq_source_patience; --query-timeout by itself */

/* A walk up the whole log without a filter or an end: where it stands says all about the rows that it will give. */
struct rows_log_place {
    struct log_cursor cursor;
    int64_t horizon, last;
};

/* false = the rows are of another kind, or the log was replaced. */
bool rows_log_place(const struct rows *rows, struct rows_log_place *ret_place);
/* As if the rows from their place to this one had been given. Both places are of this kind, of one log. */
void rows_log_go(struct rows *rows, const struct rows_log_place *place);

/* ---- for rows that are made from records: seqs of a filter in batches ------------------------------------------- */

#define SEQ_SOURCE_BATCH 64

struct seq_source {
    struct log *log;      /* as it was at the beginning: another one ends the rows */
    int64_t above, below; /* ends of the range that are themselves left out; SEQ_EMPTY = none */

    /* Upwards without a filter the log itself is read, in place. */
    struct log_cursor cursor;
    struct log_record record; /* peeked */
    bool held;                /* `record` was not taken */
    int64_t horizon;          /* durable when it was last asked for */

    int64_t patience_ms;     /* of one look for the next seqs of a query */
    struct seq_queue *queue; /* otherwise: seqs of a query; NULL = the log is read */
};

/* `batch`: how many seqs are fetched at once, 0 = the most. */
int seq_source_open(struct seq_source *source, struct flume *flume, const struct filter *filter,
                    const struct filter_params *params, size_t batch);
void seq_source_close(struct seq_source *source); /* zeroed is fine */
/* Only records by these authors, from here on. The set outlives the source; params->near was given when it was opened. */
void seq_source_near(struct seq_source *source, const struct near *near);
/* How long one look for the next seqs may take (ERR_SLOW); the next look goes on from where it came to. */
void seq_source_patience(struct seq_source *source, int64_t ms);
/* 1 = *ret_seq, 0 = none now, <0 error. Looking does not take it; seq_source_take does. */
int seq_source_peek(struct seq_source *source, struct flume *flume, int64_t *ret_seq);
void seq_source_take(struct seq_source *source);
/* The record of the seq that was peeked last. OK, ERR_DELETED … as log_get. */
int seq_source_record(const struct seq_source *source, int64_t seq, struct log_record *ret_record);
/* The range is used up: no append will add to it. */
bool seq_source_ended(const struct seq_source *source);

/* It reads the log itself, upwards without an end, and is past whatever its beginning leaves out. */
bool seq_source_endless(const struct seq_source *source);

/* What an answer made from `views` knows: the lowest of the views' since and the head. Without a look at a followed file: a
 * request has looked before (api_head), a stream is woken. */
int64_t views_since(struct flume *flume, uint32_t views);

/* The part of a request that its next page has to repeat. */
struct page_ends {
    struct log_range range;
    bool above, below, min_given, max_given;
};
struct page_ends page_ends_of(const struct filter_params *params);

/* "gt=12" or, reverse, "lt=12", with the other end of the range as it was asked for. `given` rows of `seq` were given, 0 = all there are: then
 * the page starts behind it. `skipped`: the request had a skip of its own, which has to be overwritten. */
int range_next_page(struct page_ends ends, int64_t seq, int64_t given, bool skipped, struct buf *out);

#endif
