#include <stdlib.h>

#include "server/patience.h"
#include "server/rows_log.h"

/* Seqs of a query, fetched in batches. */
struct seq_queue {
    struct query query;
    size_t batch, count, next;
    int64_t seqs[SEQ_SOURCE_BATCH];
};

static int queue_open(struct seq_source *source, struct flume *flume, const struct filter *filter,
                      const struct log_range *range, size_t batch)
{
    struct seq_queue *queue = malloc(sizeof *queue);
    if (queue == NULL) return err_set(ERR_NOMEM, "no memory to read the log for a client");
    queue->batch = batch == 0 || batch > SEQ_SOURCE_BATCH ? SEQ_SOURCE_BATCH : batch;
    queue->count = queue->next = 0;
    int err = query_open(flume, filter, range, &queue->query);
    if (err == OK)
        source->queue = queue;
    else
        free(queue);
    return err;
}

int seq_source_open(struct seq_source *source, struct flume *flume, const struct filter *filter,
                    const struct filter_params *params, size_t batch)
{
    struct log_range range = params->range;
    if (range.min < 0) range.min = 0;
    /* An excluded end is left out here, not by adding 1 to it: only a seq that is a record can be looked for. */
    *source = (struct seq_source){
        .log = flume_log(flume),
        .above = params->above ? params->range.min : SEQ_EMPTY,
        .below = params->below ? params->range.max : SEQ_EMPTY,
        .horizon = SEQ_EMPTY,
        .patience_ms = INT64_MAX,
    };
    if (filter->count > 0 || range.reverse || near_params_given(&params->near))
        return queue_open(source, flume, filter, &range, batch);
    return log_cursor_open(source->log, &range, &source->cursor);
}

void seq_source_close(struct seq_source *source)
{
    free(source->queue);
    source->queue = NULL;
}

void seq_source_near(struct seq_source *source, const struct near *near)
{
    source->queue->query.filter.near = near;
}

void seq_source_patience(struct seq_source *source, int64_t ms)
{
    source->patience_ms = ms;
}

static bool source_wanted(const struct seq_source *source, int64_t seq)
{
    return seq != source->above && seq != source->below;
}

static int queue_peek(struct seq_source *source, struct flume *flume, int64_t *ret_seq)
{
    struct seq_queue *queue = source->queue;
    for (;;) {
        while (queue->next < queue->count && !source_wanted(source, queue->seqs[queue->next]))
            queue->next++;
        if (queue->next < queue->count) {
            *ret_seq = queue->seqs[queue->next];
            return 1;
        }
        queue->query.patience_ms = patience_of(source->patience_ms);
        int count = query_next(&queue->query, flume, queue->seqs, queue->batch);
        if (count <= 0) return count;
        queue->count = (size_t)count;
        queue->next = 0;
    }
}

/* The cursor knows what was written; what is not durable yet stays in front of it. */
static int cursor_peek(struct seq_source *source, int64_t *ret_seq)
{
    while (!source->held) {
        const struct log_cursor before = source->cursor;
        struct log_record record;
        int got = log_next(&source->cursor, &record);
        if (got != 1) return got;
        if (record.seq > source->horizon) source->horizon = log_durable(source->log);
        if (record.seq > source->horizon) {
            source->cursor = before;
            return 0;
        }
        if (!source_wanted(source, record.seq)) continue;
        source->record = record;
        source->held = true;
    }
    *ret_seq = source->record.seq;
    return 1;
}

int seq_source_peek(struct seq_source *source, struct flume *flume, int64_t *ret_seq)
{
    int got = source->queue != NULL ? queue_peek(source, flume, ret_seq) : cursor_peek(source, ret_seq);
    /* Afterwards: a query goes by the views of the log that is in place when it looks. */
    if (flume_log(flume) == source->log) return got;
    return err_set(ERR_CHANGED, "the log was replaced by its owner: read again from the start");
}

void seq_source_take(struct seq_source *source)
{
    if (source->queue != NULL) source->queue->next++;
    source->held = false;
}

int seq_source_record(const struct seq_source *source, int64_t seq, struct log_record *ret_record)
{
    if (source->queue != NULL) return log_get(source->log, seq, ret_record);
    *ret_record = source->record;
    return OK;
}

bool seq_source_ended(const struct seq_source *source)
{
    const struct seq_queue *queue = source->queue;
    return queue != NULL ? queue->next >= queue->count && queue->query.ended : !source->held && source->cursor.ended;
}

bool seq_source_endless(const struct seq_source *source)
{
    const struct log_cursor *cursor = &source->cursor;
    return source->queue == NULL && !source->held && source->below == SEQ_EMPTY && cursor->range.max == SEQ_MAX &&
           source->above < cursor->at && cursor->range.min <= cursor->at;
}

static int64_t lower(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t views_since(struct flume *flume, uint32_t views)
{
    return lower(flume_since(flume, views), log_durable(flume_log(flume)));
}
