#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "views/flume_internal.h"

/* A slice is what is gathered and applied at once by the indexer itself: small enough that appends are served in between. */
#define SLICE_RECORDS 4096
#define SLICE_BYTES ((int64_t)4 << 20)
#define SLICE_MEMORY ((size_t)64 << 20)
#define SLICE_MS 100
#define SLICE_BYTES_KEPT ((int64_t)1 << 20) /* one of more log than that gives its memory back */

/* A long build is committed in large transactions, which is several times faster. */
#define COMMIT_BYTES ((int64_t)256 << 20)
#define COMMIT_MS 2000

#define RETRY_MS 1000

/* ---- does a view fit the log? ----------------------------------------------------------------------------------- */

static bool position_fits(const struct view_state *state, struct log *log)
{
    struct log_record record;
    if (state->since > log_durable(log)) return false;
    int err = log_get(log, state->since, &record);
    if (err == ERR_DELETED) return state->fingerprint == FINGERPRINT_DELETED;
    return err == OK && state->fingerprint == gather_fingerprint(record.value);
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
    build_cancel(flume);
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
        build_cancel(flume);
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

/* ---- what was gathered ------------------------------------------------------------------------------------------ */

/* Writes one view's part. */
static int gather_write(struct flume *flume, struct flume_slot *slot, struct flume_gather *gather)
{
    int err = index_txn(flume);
    if (err == OK) err = view_batch_write(gather->batches[slot - flume->slots], &slot->view, flume->txn);
    if (err != OK) return err;
    struct view_state state = {
        .version = slot->view.ops->version,
        .log_identity = log_identity(atomic_load(&flume->log)),
        .since = gather->reached,
        .fingerprint = gather->fingerprint,
        .records = slot->state.records + gather->records,
    };
    err = view_store_save(flume->txn, &slot->view, &state);
    if (err == OK) slot->state = state;
    return err;
}

/* The views of a part one after the other, so that appends and fresh views are served in between: 1 = one was written, 0 = nothing is ready. */
static int index_build(struct flume *flume, bool *ret_log_is_bad)
{
    struct flume_gather *gather;
    int found = build_part(flume, &gather, ret_log_is_bad);
    if (found != 1) return found;
    *ret_log_is_bad = false;
    while (flume->build_slot < flume->slot_count && !gather->takes[flume->build_slot])
        flume->build_slot++;
    if (flume->build_slot < flume->slot_count) {
        int err = gather_write(flume, &flume->slots[flume->build_slot++], gather);
        return err == OK ? 1 : err;
    }
    flume->txn_bytes += gather->bytes;
    build_part_done(flume);
    return 1;
}

/* ---- slices ----------------------------------------------------------------------------------------------------- */

struct slice_result {
    int64_t reached; /* the views are applied up to here */
    bool log_is_bad; /* the error is the log's, not the views' */
};

static int slice_gather(struct flume *flume, const bool slots[VIEWS_MAX], int64_t from, int64_t bound,
                        bool *ret_log_is_bad)
{
    const struct gather_limits limits = {
        .records = SLICE_RECORDS, .bytes = SLICE_BYTES, .memory = SLICE_MEMORY, .ms = SLICE_MS, .hurry = flume
    };
    int err = flume->slice == NULL ? gather_new(&flume->slice) : OK;
    if (err == OK) err = gather_begin(flume->slice, flume, slots, from, bound);
    if (err != OK) return err;
    err = gather_run(flume->slice, atomic_load(&flume->log), &limits);
    *ret_log_is_bad = flume->slice->log_is_bad;
    return err;
}

static void slice_forget(struct flume *flume)
{
    if (flume->slice == NULL) return;
    if (flume->slice->bytes > SLICE_BYTES_KEPT) {
        gather_free(flume->slice);
        flume->slice = NULL;
    } else {
        gather_clear(flume->slice);
    }
}

/* Views that cost much leave a long build to the others: they are built when those are there. */
static void slots_leave_late(const struct flume *flume, bool slots[VIEWS_MAX])
{
    bool others = false;
    for (size_t i = 0; i < flume->slot_count; i++)
        others = others || (slots[i] && !flume->slots[i].view.ops->late);
    for (size_t i = 0; others && i < flume->slot_count; i++)
        slots[i] = slots[i] && !flume->slots[i].view.ops->late;
}

/* One slice of all views that stand at `from`, up to `bound`. If that is far, threads build the rest. */
static int index_slice(struct flume *flume, int64_t from, int64_t bound, int64_t head, struct slice_result *result)
{
    bool slots[VIEWS_MAX] = { false };
    for (size_t i = 0; i < flume->slot_count; i++)
        slots[i] = flume->slots[i].state.since == from && !build_takes(flume, i) && !late_slot_rests(flume, i);
    int err = slice_gather(flume, slots, from, bound, &result->log_is_bad);
    if (err != OK) return err;
    bool far = flume->slice->reached != bound && build_possible(flume);
    if (far) slots_leave_late(flume, slots);
    /* What is written to empty tables in one go, and in order, is written several times faster. */
    bool write = !far || from != SEQ_EMPTY;
    result->reached = write ? flume->slice->reached : from;
    for (size_t i = 0; write && err == OK && i < flume->slot_count; i++)
        if (slots[i]) err = gather_write(flume, &flume->slots[i], flume->slice);
    if (write) flume->txn_bytes += flume->slice->bytes;
    slice_forget(flume);
    return err == OK && far ? build_start(flume, slots, result->reached, bound, head) : err;
}

/* ---- groups ------------------------------------------------------------------------------------------------------- */

/* The views stand in groups of equal since. The lowest since above `above`, `head` if there is none. */
static int64_t group_next(const struct flume *flume, int64_t above, int64_t head)
{
    int64_t next = head;
    for (size_t i = 0; i < flume->slot_count; i++) {
        int64_t since = flume->slots[i].state.since;
        if (since > above && since < next && !late_slot_rests(flume, i)) next = since;
    }
    return next;
}

/* The freshest and the most backward group of those that are behind and not waiting for a build. false = none is. */
static bool groups_behind(const struct flume *flume, int64_t head, int64_t *ret_high, int64_t *ret_low)
{
    int64_t high = INT64_MIN, low = head;
    for (size_t i = 0; i < flume->slot_count; i++) {
        int64_t since = flume->slots[i].state.since;
        if (since >= head || build_holds(flume, i) || late_slot_rests(flume, i)) continue;
        if (since > high) high = since;
        if (since < low) low = since;
    }
    if (high == INT64_MIN) return false;
    *ret_high = high;
    *ret_low = low;
    return true;
}

/* A slice for the freshest views, so that they stay fresh, and one for those that are farthest behind, up to where the next ones stand, so that
 * they go on together and read each record once. Where the freshest have farther to go, they wait for the others instead. */
static int index_slices(struct flume *flume, int64_t head, int64_t high, int64_t low, struct slice_result *result)
{
    int err = OK;
    if (low == high || head - high <= high - low || flume->build != NULL) {
        err = index_slice(flume, high, head, head, result);
        if (err != OK || result->reached != head) return err;
        flume->txn_fresh = true;
    }
    if (low == high || flume->build != NULL) return OK;
    return index_slice(flume, low, group_next(flume, low, head), head, result);
}

static bool commit_is_due(struct flume *flume)
{
    return flume->txn_fresh || flume->txn_bytes >= COMMIT_BYTES || flume_now_ms() - flume->txn_began_ms >= COMMIT_MS ||
           atomic_load(&flume->closing);
}

/* What was begun is brought to its end. */
static bool index_yields(const struct flume *flume)
{
    const struct flume_options *options = &flume->options;
    return options->yields != NULL && flume->txn == NULL && flume->build == NULL &&
           options->yields(options->yields_ctx);
}

bool index_step(struct flume *flume)
{
    int64_t head = log_durable(atomic_load(&flume->log)), high, low;
    struct slice_result result = { 0 };
    int err = OK, built = 0;
    flume->late.next_ms = FLUME_NEVER;
    if (!index_may_work(flume) || index_yields(flume)) return false;
    if (flume->build != NULL && !build_fits(flume)) build_cancel(flume);
    late_look(flume, head);
    bool behind = groups_behind(flume, head, &high, &low);
    if (behind) err = index_slices(flume, head, high, low, &result);
    if (err == OK && flume->build != NULL) built = index_build(flume, &result.log_is_bad);
    if (err != OK || built < 0) {
        err = err != OK ? err : built;
        index_fail(flume, err, passes(err) || (result.log_is_bad && flume->follow_path != NULL));
        return false;
    }
    bool worked = behind || built == 1;
    if (flume->txn == NULL || (worked && !commit_is_due(flume))) return worked;
    return index_show(flume);
}

void index_finish(struct flume *flume)
{
    build_cancel(flume);
    (void)index_step(flume);
    if (flume->txn != NULL) (void)index_show(flume);
}
