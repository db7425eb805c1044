#include <stdlib.h>

#include "store/err.h"
#include "views/flume_internal.h"

#define LOOK_EVERY 256 /* records between two looks at memory and clock */
#define HURRY_RECORDS 1024

/* A message that needed more than this gives its memory back. */
#define MESSAGE_REFS_KEPT 4096
#define MESSAGE_SCRATCH_KEPT 65536

uint64_t gather_fingerprint(struct slice record)
{
    uint64_t fingerprint = view_fingerprint(record);
    return fingerprint == FINGERPRINT_DELETED ? 1 : fingerprint;
}

int gather_new(struct flume_gather **ret_gather)
{
    struct flume_gather *gather = calloc(1, sizeof *gather);
    if (gather == NULL) return err_set(ERR_NOMEM, "no memory to gather records");
    message_init(&gather->message);
    *ret_gather = gather;
    return OK;
}

void gather_free(struct flume_gather *gather)
{
    if (gather == NULL) return;
    for (size_t i = 0; i < VIEWS_MAX; i++)
        view_batch_free(gather->batches[i]);
    message_free(&gather->message);
    free(gather);
}

void gather_clear(struct flume_gather *gather)
{
    for (size_t i = 0; i < VIEWS_MAX; i++)
        if (gather->batches[i] != NULL) view_batch_reset(gather->batches[i]);
    gather->from = gather->reached;
    gather->records = 0;
    gather->bytes = 0;
}

int gather_begin(struct flume_gather *gather, struct flume *flume, const bool slots[VIEWS_MAX], int64_t from,
                 int64_t bound)
{
    gather_clear(gather);
    gather->from = gather->reached = from;
    gather->bound = bound;
    gather->fingerprint = FINGERPRINT_DELETED;
    gather->log_is_bad = false;
    for (size_t i = 0; i < flume->slot_count; i++) {
        gather->takes[i] = slots[i];
        if (!slots[i] || gather->batches[i] != NULL) continue;
        int err = view_batch_new(flume->slots[i].view.ops, &gather->batches[i]);
        if (err != OK) return err;
    }
    return OK;
}

static int gather_add(struct flume_gather *gather, const struct log_record *record)
{
    struct message *message = &gather->message;
    int err = message_scan(message, record->value.data, record->value.len);
    const struct view_record view_record = { .seq = record->seq, .message = message };
    for (size_t i = 0; err == OK && i < VIEWS_MAX; i++)
        if (gather->takes[i]) err = view_batch_gather(gather->batches[i], &view_record);
    if (message->ref_cap > MESSAGE_REFS_KEPT || message->scratch.cap > MESSAGE_SCRATCH_KEPT) {
        message_free(message);
        message_init(message);
    }
    return err;
}

static size_t gather_memory(const struct flume_gather *gather)
{
    size_t bytes = 0;
    for (size_t i = 0; i < VIEWS_MAX; i++)
        if (gather->takes[i]) bytes += view_batch_bytes(gather->batches[i]);
    return bytes;
}

static bool gather_is_full(const struct flume_gather *gather, const struct gather_limits *limits, int64_t began_ms)
{
    if (gather->records >= limits->records || gather->bytes >= limits->bytes) return true;
    if (limits->stop != NULL && atomic_load_explicit(limits->stop, memory_order_relaxed)) return true;
    const struct flume *hurry = limits->hurry;
    if (hurry != NULL && gather->records >= HURRY_RECORDS &&
        (atomic_load(&hurry->queue_new) > 0 || atomic_load(&hurry->closing)))
        return true;
    if (gather->records % LOOK_EVERY != 0) return false;
    return gather_memory(gather) >= limits->memory || flume_now_ms() - began_ms >= limits->ms;
}

int gather_run(struct flume_gather *gather, struct log *log, const struct gather_limits *limits)
{
    struct log_range range = { .min = gather->reached < 0 ? 0 : gather->reached, .max = gather->bound };
    struct log_cursor cursor;
    struct log_record record, last = { .seq = SEQ_EMPTY };
    int64_t passed = gather->reached, began_ms = flume_now_ms();
    gather->log_is_bad = true;
    int more = log_cursor_open(log, &range, &cursor);
    if (more != OK) return more;
    while ((more = log_next(&cursor, &record)) == 1) {
        if (record.seq <= passed) continue;
        gather->log_is_bad = false;
        int err = gather_add(gather, &record);
        if (err != OK) return err;
        gather->log_is_bad = true;
        last = record;
        gather->records++;
        gather->bytes += (int64_t)record.value.len;
        if (gather_is_full(gather, limits, began_ms)) break;
    }
    if (more < 0) return more;
    /* Deleted records at the end of the range are passed, too: else no view would ever reach such a head. */
    gather->reached = more == 1 ? last.seq : gather->bound;
    gather->fingerprint = last.seq == gather->reached ? gather_fingerprint(last.value) : FINGERPRINT_DELETED;
    gather->log_is_bad = false;
    return OK;
}
