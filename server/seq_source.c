#include "server/rows_log.h"

int seq_source_open(struct seq_source *source, struct flume *flume, const struct filter *filter,
                    const struct filter_params *params, size_t batch)
{
    struct log_range range = params->range;
    /* An excluded end is left out here, not by adding 1 to it: only a seq that is a record can be looked for. */
    source->above = params->above ? range.min : SEQ_EMPTY;
    source->below = params->below ? range.max : SEQ_EMPTY;
    source->log = flume_log(flume);
    source->batch = batch == 0 || batch > SEQ_SOURCE_BATCH ? SEQ_SOURCE_BATCH : batch;
    source->count = source->next = 0;
    if (range.min < 0) range.min = 0;
    return query_open(flume, filter, &range, &source->query);
}

static bool source_wanted(const struct seq_source *source, int64_t seq)
{
    return seq != source->above && seq != source->below;
}

static int source_fetch(struct seq_source *source, struct flume *flume)
{
    if (flume_log(flume) != source->log)
        return err_set(ERR_CHANGED, "the log was replaced by its owner: read again from the start");
    int count = query_next(&source->query, flume, source->seqs, source->batch);
    if (count < 0) return count;
    source->count = (size_t)count;
    source->next = 0;
    return count;
}

int seq_source_peek(struct seq_source *source, struct flume *flume, int64_t *ret_seq)
{
    for (;;) {
        while (source->next < source->count && !source_wanted(source, source->seqs[source->next]))
            source->next++;
        if (source->next < source->count) {
            *ret_seq = source->seqs[source->next];
            return 1;
        }
        int count = source_fetch(source, flume);
        if (count <= 0) return count;
    }
}

void seq_source_take(struct seq_source *source)
{
    source->next++;
}

bool seq_source_ended(const struct seq_source *source)
{
    return source->next >= source->count && source->query.ended;
}

int64_t views_since(struct flume *flume, uint32_t views)
{
    int64_t since = flume_since(flume, views), head = flume_head(flume);
    return since < head ? since : head;
}
