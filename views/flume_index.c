#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "views/flume_internal.h"

/* A slice is what is scanned and applied at once: small enough that appends are served in between and memory stays
 * bounded. */
#define SLICE_RECORDS 20000
#define SLICE_BYTES ((int64_t)16 << 20)
#define SLICE_RECORDS_LEAST 1024 /* not cut shorter when an append comes */

/* A long build is committed in large transactions, which is several times faster. */
#define COMMIT_BYTES ((int64_t)256 << 20)
#define COMMIT_MS 2000

#define RETRY_MS 5000

/* A message that needed more than this gives its memory back. */
#define MESSAGE_REFS_KEPT 16
#define MESSAGE_SCRATCH_KEPT 1024

/* Fingerprint of a view whose last record was deleted already when the view passed it. */
#define FINGERPRINT_DELETED UINT64_C(0)

/* ---- does a view fit the log? ----------------------------------------------------------------------------------- */

static uint64_t fingerprint_of(struct slice record)
{
    uint64_t fingerprint = view_fingerprint(record);
    return fingerprint == FINGERPRINT_DELETED ? 1 : fingerprint;
}

static bool position_fits(const struct view_state *state, struct log *log)
{
    struct log_record record;
    if (state->since > log_durable(log)) return false;
    int err = log_get(log, state->since, &record);
    if (err == ERR_DELETED) return state->fingerprint == FINGERPRINT_DELETED;
    return err == OK && state->fingerprint == fingerprint_of(record.value);
}

const char *index_check(const struct flume_slot *slot, struct log *log)
{
    const struct view_state *state = &slot->state;
    if (state->version != slot->view.ops->version) return "version";
    if (state->since == SEQ_EMPTY) return NULL;
    uint64_t identity = log_identity(log);
    if (identity != 0 && identity != state->log_identity) return "log";
    return position_fits(state, log) ? NULL : "position";
}

int index_reset(struct flume *flume, struct flume_slot *slot, struct log *log, const char *why)
{
    int err = view_store_clear(flume->txn, &slot->view);
    if (err != OK) return err;
    struct view_state state = {
        .version = slot->view.ops->version,
        .log_identity = log_identity(log),
        .since = SEQ_EMPTY,
    };
    err = view_store_save(flume->txn, &slot->view, &state);
    if (err != OK) return err;
    slot->state = state;
    atomic_store(&slot->why, why);
    if (strcmp(why, "new") != 0) (void)atomic_fetch_add(&flume->rebuilds, 1);
    return OK;
}

/* ---- transactions ----------------------------------------------------------------------------------------------- */

int index_txn(struct flume *flume)
{
    if (flume->txn != NULL) return OK;
    int err = kv_begin_write(flume->kv, &flume->txn);
    if (err != OK) {
        flume->txn = NULL;
        return err;
    }
    flume->txn_bytes = 0;
    flume->txn_began_ms = flume_now_ms();
    flume->txn_fresh = false;
    return OK;
}

int index_commit(struct flume *flume)
{
    struct kv_txn *txn = flume->txn;
    flume->txn = NULL;
    int err = kv_commit(txn);
    if (err != OK) return err;
    for (size_t i = 0; i < flume->slot_count; i++) {
        struct flume_slot *slot = &flume->slots[i];
        slot->committed = slot->state;
        atomic_store(&slot->records, slot->state.records);
        atomic_store(&slot->since, slot->state.since);
    }
    (void)atomic_fetch_add(&flume->commits, 1);
    rate_note(flume, flume_now_ms());
    return OK;
}

void index_fail(struct flume *flume, int err, bool retry)
{
    kv_abort(flume->txn);
    flume->txn = NULL;
    for (size_t i = 0; i < flume->slot_count; i++)
        flume->slots[i].state = flume->slots[i].committed;
    flume->retry_ms = retry ? flume_now_ms() + RETRY_MS : FLUME_NEVER;
    flume_fail(flume, &flume->view_failure, err);
    waiters_fail(flume, err);
}

/* What passes by itself: a full disk, memory that is short. */
static bool passes(int err)
{
    return err == ERR_NOSPACE || err == ERR_NOMEM;
}

static bool index_may_work(struct flume *flume)
{
    /* only this thread writes it */
    return flume->view_failure.err == OK || flume_now_ms() >= flume->retry_ms;
}

void index_works_again(struct flume *flume)
{
    if (flume->view_failure.err == OK) return;
    (void)pthread_mutex_lock(&flume->lock);
    flume->view_failure.err = OK;
    (void)pthread_mutex_unlock(&flume->lock);
    flume->retry_ms = FLUME_NEVER;
}

/* Commits and tells whoever waits for it. */
static bool index_show(struct flume *flume)
{
    bool forward = false;
    for (size_t i = 0; i < flume->slot_count; i++)
        forward = forward || flume->slots[i].state.since > flume->slots[i].committed.since;
    int err = index_commit(flume);
    if (err != OK) {
        index_fail(flume, err, passes(err));
        return false;
    }
    index_works_again(flume);
    waiters_tell(flume, flume_now_ms());
    if (forward) flume_tell(flume, FLUME_INDEXED);
    return true;
}

void index_rebuild_asked(struct flume *flume)
{
    bool asked = false;
    int err = OK;
    for (size_t i = 0; err == OK && i < flume->slot_count; i++) {
        struct flume_slot *slot = &flume->slots[i];
        if (!index_may_work(flume) || !atomic_exchange(&slot->rebuild, false)) continue;
        asked = true;
        err = index_txn(flume);
        if (err == OK) err = index_reset(flume, slot, atomic_load(&flume->log), "asked");
    }
    if (err != OK)
        index_fail(flume, err, passes(err));
    else if (asked)
        (void)index_show(flume);
}

int flume_rebuild(struct flume *flume, const char *name)
{
    bool found = name == NULL;
    for (size_t i = 0; i < flume->slot_count; i++) {
        struct flume_slot *slot = &flume->slots[i];
        if (name != NULL && strcmp(name, slot->view.ops->name) != 0) continue;
        found = true;
        atomic_store(&slot->rebuild, true);
    }
    if (!found) return err_set(ERR_NOTFOUND, "there is no view \"%s\"", name);
    flume_wake(flume);
    return OK;
}

/* ---- a batch of scanned records --------------------------------------------------------------------------------- */

void batch_free(struct flume_batch *batch)
{
    for (size_t i = 0; i < batch->made; i++)
        message_free(&batch->messages[i]);
    free(batch->messages);
    free(batch->records);
    *batch = (struct flume_batch){ 0 };
}

static int batch_make(struct flume_batch *batch)
{
    if (batch->messages != NULL) return OK;
    batch->messages = calloc(SLICE_RECORDS, sizeof *batch->messages);
    batch->records = calloc(SLICE_RECORDS, sizeof *batch->records);
    if (batch->messages != NULL && batch->records != NULL) return OK;
    batch_free(batch);
    return err_set(ERR_NOMEM, "no memory to index %d records", SLICE_RECORDS);
}

static int batch_add(struct flume_batch *batch, const struct log_record *record)
{
    struct message *message = &batch->messages[batch->count];
    if (batch->count == batch->made) {
        message_init(message);
        batch->made++;
    }
    int err = message_scan(message, record->value.data, record->value.len);
    if (err != OK) return err;
    batch->records[batch->count++] = (struct view_record){ .seq = record->seq, .message = message };
    return OK;
}

/* Forgets the records. One odd message must not keep its memory for ever, 20000 of them would be a lot. */
static void batch_reset(struct flume_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct message *message = &batch->messages[i];
        if (message->ref_cap <= MESSAGE_REFS_KEPT && message->scratch.cap <= MESSAGE_SCRATCH_KEPT) continue;
        message_free(message);
        message_init(message);
    }
    batch->count = 0;
}

/* ---- slices ----------------------------------------------------------------------------------------------------- */

struct slice_result {
    int64_t reached; /* the views are applied up to here */
    uint64_t fingerprint;
    int64_t bytes;
    bool log_is_bad; /* the error is the log's, not the views' */
};

static bool slice_is_full(struct flume *flume, int64_t bytes)
{
    size_t count = flume->batch.count;
    if (count == SLICE_RECORDS || bytes >= SLICE_BYTES) return true;
    return count >= SLICE_RECORDS_LEAST && (atomic_load(&flume->queue_new) > 0 || atomic_load(&flume->closing));
}

/* Scans records above `from` and up to `bound`, which are both records or SEQ_EMPTY. */
static int slice_scan(struct flume *flume, int64_t from, int64_t bound, struct slice_result *result)
{
    struct log_range range = { .min = from < 0 ? 0 : from, .max = bound };
    struct log_cursor cursor;
    struct log_record record, last = { .seq = SEQ_EMPTY };
    *result = (struct slice_result){ .log_is_bad = true };
    int more = log_cursor_open(atomic_load(&flume->log), &range, &cursor);
    if (more != OK) return more;
    while ((more = log_next(&cursor, &record)) == 1) {
        if (record.seq <= from) continue;
        int err = batch_add(&flume->batch, &record);
        if (err != OK) return err;
        last = record;
        result->bytes += (int64_t)record.value.len;
        if (slice_is_full(flume, result->bytes)) break;
    }
    if (more < 0) return more;
    /* Deleted records at the end of the range are passed, too: else no view would ever reach such a head. */
    result->reached = more == 1 ? last.seq : bound;
    result->fingerprint = last.seq == result->reached ? fingerprint_of(last.value) : FINGERPRINT_DELETED;
    result->log_is_bad = false;
    return OK;
}

static int slice_apply(struct flume *flume, struct flume_slot *slot, const struct slice_result *result)
{
    const struct flume_batch *batch = &flume->batch;
    int err = OK;
    if (batch->count > 0) err = view_store_apply(flume->txn, &slot->view, batch->records, batch->count);
    if (err != OK) return err;
    struct view_state state = {
        .version = slot->view.ops->version,
        .log_identity = log_identity(atomic_load(&flume->log)),
        .since = result->reached,
        .fingerprint = result->fingerprint,
        .records = slot->state.records + batch->count,
    };
    err = view_store_save(flume->txn, &slot->view, &state);
    if (err == OK) slot->state = state;
    return err;
}

/* One slice of all views that stand at `from`. */
static int index_slice(struct flume *flume, int64_t from, int64_t bound, struct slice_result *result)
{
    int err = batch_make(&flume->batch);
    if (err == OK) err = slice_scan(flume, from, bound, result);
    if (err == OK) err = index_txn(flume);
    for (size_t i = 0; err == OK && i < flume->slot_count; i++)
        if (flume->slots[i].state.since == from) err = slice_apply(flume, &flume->slots[i], result);
    flume->txn_bytes += result->bytes;
    batch_reset(&flume->batch);
    return err;
}

/* The views stand in groups of equal since. The lowest since above `above`, `head` if there is none. */
static int64_t group_next(const struct flume *flume, int64_t above, int64_t head)
{
    int64_t next = head;
    for (size_t i = 0; i < flume->slot_count; i++) {
        int64_t since = flume->slots[i].state.since;
        if (since > above && since < next) next = since;
    }
    return next;
}

/* The freshest and the most backward group of those that are behind. false = none is. */
static bool groups_behind(const struct flume *flume, int64_t head, int64_t *ret_high, int64_t *ret_low)
{
    int64_t high = INT64_MIN, low = head;
    for (size_t i = 0; i < flume->slot_count; i++) {
        int64_t since = flume->slots[i].state.since;
        if (since >= head) continue;
        if (since > high) high = since;
        if (since < low) low = since;
    }
    if (high == INT64_MIN) return false;
    *ret_high = high;
    *ret_low = low;
    return true;
}

/* One slice for the freshest views, so that they stay fresh, and one for those that are farthest behind, up to where
 * the next ones stand, so that they go on together and read each record once. */
static int index_slices(struct flume *flume, int64_t head, int64_t high, int64_t low, bool *ret_log_is_bad)
{
    struct slice_result result = { 0 };
    int err = index_slice(flume, high, head, &result);
    if (err == OK && result.reached == head) flume->txn_fresh = true;
    if (err == OK && low != high) err = index_slice(flume, low, group_next(flume, low, head), &result);
    *ret_log_is_bad = result.log_is_bad;
    return err;
}

static bool commit_is_due(struct flume *flume)
{
    return flume->txn_fresh || flume->txn_bytes >= COMMIT_BYTES || flume_now_ms() - flume->txn_began_ms >= COMMIT_MS ||
           atomic_load(&flume->closing);
}

bool index_step(struct flume *flume)
{
    int64_t head = log_durable(atomic_load(&flume->log)), high, low;
    bool log_is_bad = false;
    if (!index_may_work(flume)) return false;
    if (!groups_behind(flume, head, &high, &low)) return flume->txn != NULL && index_show(flume);
    int err = index_slices(flume, head, high, low, &log_is_bad);
    if (err != OK) {
        index_fail(flume, err, passes(err) || (log_is_bad && flume->follow_path != NULL));
        return false;
    }
    return commit_is_due(flume) ? index_show(flume) : true;
}

void index_finish(struct flume *flume)
{
    (void)index_step(flume);
    if (flume->txn != NULL) (void)index_show(flume);
}
