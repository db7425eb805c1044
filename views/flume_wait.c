#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/err.h"
#include "views/flume_internal.h"

int64_t flume_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t flume_since(struct flume *flume, uint32_t mask)
{
    int64_t since = SEQ_MAX;
    for (size_t i = 0; i < flume->slot_count; i++) {
        struct flume_slot *slot = &flume->slots[i];
        if ((mask >> slot->bit & 1) == 0) continue;
        int64_t at = atomic_load(&slot->since);
        if (at < since) since = at;
    }
    return since;
}

static int waiters_reserve(struct flume_waiters *waiters)
{
    if (waiters->count < waiters->cap) return OK;
    if (waiters->count >= FLUME_WAITERS_MAX)
        return err_set(ERR_QUEUE, "%d readers wait for views already; try again later", FLUME_WAITERS_MAX);
    size_t cap = waiters->cap == 0 ? 64 : waiters->cap * 2;
    struct flume_waiter *items = realloc(waiters->items, cap * sizeof *items);
    if (items == NULL) return err_set(ERR_NOMEM, "no memory for one more waiting reader");
    waiters->items = items;
    waiters->cap = cap;
    return OK;
}

/* Where a new waiter for `seq` belongs: behind all of the same seq, since its ticket is the newest. */
static size_t waiters_place(const struct flume_waiters *waiters, int64_t seq)
{
    size_t low = 0, high = waiters->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (waiters->items[middle].seq <= seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int waiters_add(struct flume_waiters *waiters, struct flume_waiter *waiter, bool late)
{
    int err = waiters_reserve(waiters);
    if (err != OK) return err;
    waiter->ticket = ++waiters->last_ticket;
    size_t at = waiters_place(waiters, waiter->seq);
    memmove(&waiters->items[at + 1], &waiters->items[at], (waiters->count - at) * sizeof *waiters->items);
    waiters->items[at] = *waiter;
    waiters->count++;
    if (late) waiters->late++;
    return OK;
}

int flume_wait(struct flume *flume, uint32_t mask, int64_t seq, int64_t deadline_ms, flume_ready_fn *fn, void *ctx,
               uint64_t *ret_ticket)
{
    struct flume_waiter waiter = { .seq = seq, .mask = mask, .deadline_ms = deadline_ms, .fn = fn, .ctx = ctx };
    bool wake = false, late = (mask & flume->late_mask) != 0;
    if (flume_since(flume, mask) >= seq) return 1;
    (void)pthread_mutex_lock(&flume->lock);
    struct flume_waiters *waiters = &flume->waiters;
    int err;
    /* Asked again under the lock: the indexer raises since before it takes the lock to look for waiters. */
    if (flume_since(flume, mask) >= seq)
        err = 1;
    else if (atomic_load(&flume->closing))
        err = err_set(ERR_CLOSED, "the log is being closed");
    else if (flume->view_failure.err != OK)
        err = err_set(flume->view_failure.err, "%s", flume->view_failure.text);
    else
        err = waiters_add(waiters, &waiter, late);
    /* the views may rest, or lag */
    wake = err == OK && (late || atomic_load(&flume->lag.asleep));
    if (err == OK && deadline_ms < waiters->next_deadline) {
        waiters->next_deadline = deadline_ms;
        wake = true;
    }
    /* Set before the lock is let go: fn may be called at once, and may want to see it. */
    if (err == OK && ret_ticket != NULL) *ret_ticket = waiter.ticket;
    (void)pthread_mutex_unlock(&flume->lock);
    if (wake) flume_wake(flume);
    return err;
}

bool flume_wait_cancel(struct flume *flume, uint64_t ticket)
{
    (void)pthread_mutex_lock(&flume->lock);
    struct flume_waiters *waiters = &flume->waiters;
    size_t at = 0;
    while (at < waiters->count && waiters->items[at].ticket != ticket)
        at++;
    bool found = at < waiters->count;
    if (found) {
        waiters->count--;
        if ((waiters->items[at].mask & flume->late_mask) != 0) waiters->late--;
        memmove(&waiters->items[at], &waiters->items[at + 1], (waiters->count - at) * sizeof *waiters->items);
    }
    (void)pthread_mutex_unlock(&flume->lock);
    return found;
}

/* OK, the error to tell, or 1 = goes on waiting. */
static int waiter_verdict(struct flume *flume, const struct flume_waiter *waiter, int64_t now_ms, int err)
{
    if (flume_since(flume, waiter->mask) >= waiter->seq) return OK;
    if (err != OK) return err;
    return waiter->deadline_ms <= now_ms ? ERR_TIMEOUT : 1;
}

static int64_t since_highest(struct flume *flume)
{
    int64_t since = SEQ_EMPTY;
    for (size_t i = 0; i < flume->slot_count; i++) {
        int64_t at = atomic_load(&flume->slots[i].since);
        if (at > since) since = at;
    }
    return since;
}

/* Moves those that are over into `told`, as many as fit. Without a deadline that has passed, only the first ones can
 * be over. Under lock. */
static size_t waiters_take(struct flume *flume, int64_t now_ms, int err)
{
    struct flume_waiters *waiters = &flume->waiters;
    bool all = err != OK || waiters->next_deadline <= now_ms;
    int64_t highest = since_highest(flume), deadline = FLUME_NEVER;
    size_t told = 0, kept = 0, i = 0;
    for (; i < waiters->count && told < FLUME_WAITERS_TOLD && (all || waiters->items[i].seq <= highest); i++) {
        struct flume_waiter waiter = waiters->items[i];
        waiter.err = waiter_verdict(flume, &waiter, now_ms, err);
        if (waiter.err == 1) {
            if (waiter.deadline_ms < deadline) deadline = waiter.deadline_ms;
            waiters->items[kept++] = waiter;
        } else {
            waiters->told[told++] = waiter;
            if ((waiter.mask & flume->late_mask) != 0) waiters->late--;
        }
    }
    bool seen_all = i == waiters->count;
    if (kept != i) memmove(&waiters->items[kept], &waiters->items[i], (waiters->count - i) * sizeof *waiters->items);
    waiters->count -= told;
    if (seen_all) waiters->next_deadline = deadline;
    return told;
}

/* Callbacks run without the lock, so that they may wait again. */
static void waiters_call(struct flume *flume, int64_t now_ms, int err)
{
    size_t count;
    do {
        (void)pthread_mutex_lock(&flume->lock);
        count = waiters_take(flume, now_ms, err);
        (void)pthread_mutex_unlock(&flume->lock);
        for (size_t i = 0; i < count; i++) {
            const struct flume_waiter *waiter = &flume->waiters.told[i];
            waiter->fn(waiter->ctx, waiter->err);
        }
    } while (count == FLUME_WAITERS_TOLD);
}

void waiters_tell(struct flume *flume, int64_t now_ms)
{
    waiters_call(flume, now_ms, OK);
}

void waiters_fail(struct flume *flume, int err)
{
    waiters_call(flume, flume_now_ms(), err);
}
