#include "store/log_opened.h"

#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "store/err.h"
#include "store/fnv.h"
#include "store/opened.h"
#include "store/private_record.h"

/* An opened record is longer than the one below by what ssb-db adds to it. */
#define RECORD_MAX (2 * LOG_RECORD_MAX)

struct log_opened {
    struct log base;
    struct log *below;
    struct log_opened_options options; /* without `reader` and `folder` */
    uint64_t reader;                   /* what the reader adds to the log's identity */
    struct opened *opened;
    _Atomic int64_t told; /* the head as of the last look */
};

static struct log_opened *opened_of(struct log *log)
{
    return (struct log_opened *)log;
}

/* ---- records ------------------------------------------------------------------------------------------------------ */

/* Tries to open a record about which nothing is known. */
static int record_try(struct log_opened *log, struct log_record *record)
{
    struct buf text;
    buf_init(&text, RECORD_MAX);
    int found = private_record_open(log->options.key, record->value, &text);
    if (found == 1) {
        found = opened_keep(log->opened, record->seq, (struct slice){ text.data, text.len }, &record->value);
        sodium_memzero(text.data, text.len);
    } else if (found == 0) {
        opened_note_not(log->opened, record->seq);
    }
    buf_free(&text);
    return found;
}

/* Puts what its reader sees in place of an encrypted record. */
static int record_open(struct log_opened *log, struct log_record *record)
{
    if (!private_record_likely(record->value)) return OK;
    switch (opened_look(log->opened, record->seq, &record->value)) {
    case OPENED_UNKNOWN: return record_try(log, record);
    case OPENED_NOT:
    case OPENED_YES: break;
    }
    return OK;
}

static int opened_get(struct log *base, int64_t seq, struct log_record *ret_record)
{
    struct log_opened *log = opened_of(base);
    struct log_record record;
    int err = log_get(log->below, seq, &record);
    if (err == OK) err = record_open(log, &record);
    if (err == OK) *ret_record = record;
    return err;
}

static void opened_prefetch(struct log *base, int64_t seq)
{
    log_prefetch(opened_of(base)->below, seq);
}

/* ---- cursors: those of the log below, which finds itself in them while it moves them -------------------------------- */

static int opened_cursor_open(struct log *base, const struct log_range *range, struct log_cursor *ret_cursor)
{
    int err = log_cursor_open(opened_of(base)->below, range, ret_cursor);
    if (err == OK) ret_cursor->log = base;
    return err;
}

static int opened_cursor_many(struct log_cursor *cursor, struct log_record *records, size_t max)
{
    struct log *base = cursor->log;
    struct log_opened *log = opened_of(base);
    const struct log_cursor before = *cursor;
    cursor->log = log->below;
    int n = log_next_many(cursor, records, max);
    cursor->log = base;
    for (int i = 0; i < n; i++) {
        int err = record_open(log, &records[i]);
        if (err == OK) continue;
        *cursor = before;
        return err;
    }
    return n;
}

static int opened_cursor_next(struct log_cursor *cursor, struct log_record *ret_record)
{
    struct log *base = cursor->log;
    struct log_opened *log = opened_of(base);
    const struct log_cursor before = *cursor;
    struct log_record record;
    cursor->log = log->below;
    int got = log_next(cursor, &record);
    cursor->log = base;
    if (got != 1) return got;
    int err = record_open(log, &record);
    if (err != OK) {
        *cursor = before;
        return err;
    }
    *ret_record = record;
    return 1;
}

/* ---- where it stands ------------------------------------------------------------------------------------------------ */

static int64_t opened_since(struct log *base)
{
    return log_since(opened_of(base)->below);
}

static int64_t opened_durable(struct log *base)
{
    return log_durable(opened_of(base)->below);
}

static int64_t opened_bytes(struct log *base)
{
    return log_bytes(opened_of(base)->below);
}

static uint64_t opened_identity(struct log *base)
{
    const struct log_opened *log = opened_of(base);
    uint64_t below = log_identity(log->below);
    if (below == 0) return 0;
    uint64_t hash = fnv_add(log->reader, &below, sizeof below);
    return hash == 0 ? 1 : hash;
}

static int opened_refresh(struct log *base)
{
    struct log_opened *log = opened_of(base);
    int64_t head = log->options.look(log->options.ctx);
    if (log->options.below(log->options.ctx) != log->below)
        return err_set(ERR_CHANGED, "the log was replaced by its owner");
    return atomic_exchange(&log->told, head) != head;
}

/* ---- what it does not do -------------------------------------------------------------------------------------------- */

static int opened_append(struct log *base, const struct slice *values, size_t n, int64_t *ret_seqs)
{
    (void)base;
    (void)values;
    (void)n;
    (void)ret_seqs;
    return err_set(ERR_READONLY, "this is the log as its reader sees it: append to the log itself");
}

static int opened_sync(struct log *base)
{
    (void)base;
    return OK;
}

static void opened_close(struct log *base)
{
    struct log_opened *log = opened_of(base);
    opened_free(log->opened);
    free(log);
}

static const struct log_ops opened_ops = {
    .name = "opened",
    .append = opened_append,
    .get = opened_get,
    .cursor_open = opened_cursor_open,
    .cursor_next = opened_cursor_next,
    .cursor_many = opened_cursor_many,
    .since = opened_since,
    .durable = opened_durable,
    .identity = opened_identity,
    .bytes = opened_bytes,
    .refresh = opened_refresh,
    .prefetch = opened_prefetch,
    .sync = opened_sync,
    .close = opened_close,
};

static uint64_t reader_hash(const struct ref *reader)
{
    static const uint32_t version = PRIVATE_RECORD_VERSION;
    return fnv_add(fnv_add(FNV_START, &version, sizeof version), reader->id, sizeof reader->id);
}

int log_opened_open(const struct log_opened_options *options, struct log **ret_log)
{
    struct log_opened *log = calloc(1, sizeof *log);
    if (log == NULL) return err_set(ERR_NOMEM, "no memory for a log");
    log->base.ops = &opened_ops;
    log->options = *options;
    log->options.reader = NULL;
    log->options.folder = NULL;
    log->reader = reader_hash(options->reader);
    log->below = options->below(options->ctx);
    atomic_init(&log->told, SEQ_EMPTY - 1);
    int err = opened_new(options->folder, &log->opened);
    if (err == OK)
        *ret_log = &log->base;
    else
        free(log);
    return err;
}
