#include "store/log.h"

#include <limits.h>

#include "store/err.h"
#include "store/zero.h"

static int log_check_values(const struct slice *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (values[i].len == 0) return err_set(ERR_ARG, "record %zu of the batch is empty: a record needs one byte", i);
        if (values[i].len > LOG_RECORD_MAX)
            return err_set(ERR_LIMIT, "record %zu of the batch has %zu bytes: the most is %zu", i, values[i].len,
                           LOG_RECORD_MAX);
        if (bytes_zero(values[i].data, values[i].len))
            return err_set(ERR_ARG, "record %zu of the batch is all zero bytes: it would read as deleted", i);
    }
    return OK;
}

int log_append(struct log *log, const struct slice *values, size_t n, int64_t *ret_seqs)
{
    int err = log_check_values(values, n);
    return err != OK || n == 0 ? err : log->ops->append(log, values, n, ret_seqs);
}

int log_get(struct log *log, int64_t seq, struct log_record *ret_record)
{
    return log->ops->get(log, seq, ret_record);
}

void log_prefetch(struct log *log, int64_t seq)
{
    if (log->ops->prefetch != NULL) log->ops->prefetch(log, seq);
}

bool log_warm(struct log *log)
{
    return log->ops->warm != NULL && log->ops->warm(log);
}

int log_cursor_open(struct log *log, const struct log_range *range, struct log_cursor *ret_cursor)
{
    struct log_range clean = *range;
    if (clean.min < 0) clean.min = 0;
    if (clean.max < clean.min) {
        *ret_cursor = (struct log_cursor){ .log = log, .range = clean, .at = SEQ_EMPTY, .ended = true };
        return OK;
    }
    return log->ops->cursor_open(log, &clean, ret_cursor);
}

int log_next(struct log_cursor *cursor, struct log_record *ret_record)
{
    return cursor->ended ? 0 : cursor->log->ops->cursor_next(cursor, ret_record);
}

int log_next_many(struct log_cursor *cursor, struct log_record *records, size_t max)
{
    const struct log_ops *ops = cursor->log->ops;
    if (max > INT_MAX) max = INT_MAX;
    if (ops->cursor_many != NULL && !cursor->ended) return ops->cursor_many(cursor, records, max);
    size_t n = 0;
    int got = 1;
    while (n < max && (got = log_next(cursor, &records[n])) == 1)
        n++;
    return n > 0 ? (int)n : got < 0 ? got : 0;
}

int64_t log_since(struct log *log)
{
    return log->ops->since(log);
}

int64_t log_durable(struct log *log)
{
    return log->ops->durable(log);
}

uint64_t log_identity(struct log *log)
{
    return log->ops->identity(log);
}

int64_t log_bytes(struct log *log)
{
    return log->ops->bytes(log);
}

int log_refresh(struct log *log)
{
    return log->ops->refresh(log);
}

int log_sync(struct log *log)
{
    return log->ops->sync(log);
}

void log_close(struct log *log)
{
    if (log != NULL) log->ops->close(log);
}
