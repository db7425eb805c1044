#include <string.h>

#include "store/err.h"
#include "views/flume_internal.h"

#define RATE_STEP_MS 500 /* between two samples */
#define RATE_WINDOW_MS 10000

void rate_note(struct flume *flume, int64_t now_ms)
{
    (void)pthread_mutex_lock(&flume->lock);
    for (size_t i = 0; i < flume->slot_count; i++) {
        struct flume_rate *rate = &flume->slots[i].rate;
        int64_t since = flume->slots[i].committed.since;
        bool back = rate->count > 0 && since < rate->samples[rate->newest].done;
        if (back) rate->count = 0; /* it was emptied */
        if (rate->count > 0 && now_ms - rate->samples[rate->newest].ms < RATE_STEP_MS) continue;
        rate->newest = rate->count == 0 ? 0 : (rate->newest + 1) % FLUME_RATE_SAMPLES;
        rate->samples[rate->newest].ms = now_ms;
        rate->samples[rate->newest].done = since;
        if (rate->count < FLUME_RATE_SAMPLES) rate->count++;
    }
    (void)pthread_mutex_unlock(&flume->lock);
}

/* Seconds for what is left at the rate of the last seconds; -1 = not known. */
static double rate_eta(const struct flume_rate *rate, int64_t since, int64_t total, int64_t now_ms)
{
    size_t left = rate->count, oldest = 0;
    for (; left > 0; left--) {
        oldest = (rate->newest + FLUME_RATE_SAMPLES + 1 - left) % FLUME_RATE_SAMPLES;
        if (now_ms - rate->samples[oldest].ms <= RATE_WINDOW_MS) break;
    }
    if (left == 0) return -1;
    int64_t done = since - rate->samples[oldest].done, ms = now_ms - rate->samples[oldest].ms;
    if (done <= 0 || ms <= 0) return -1;
    return (double)(total - since) * (double)ms / 1000.0 / (double)done;
}

/* Under lock. */
static void status_of_view(struct flume_slot *slot, uint32_t resting, const struct flume_status *status, int64_t now_ms,
                           struct flume_view_status *ret_view)
{
    int64_t since = atomic_load(&slot->since);
    bool ready = since >= status->durable;
    *ret_view = (struct flume_view_status){
        .name = slot->view.ops->name,
        .version = slot->view.ops->version,
        .since = since,
        .ready = ready,
        .resting = !ready && (resting >> slot->bit & 1) != 0,
        .done = ready                   ? status->bytes
                : since < 0             ? 0
                : since < status->bytes ? since
                                        : status->bytes,
        .total = status->bytes,
        .eta = ready ? 0 : rate_eta(&slot->rate, since, status->bytes, now_ms),
        .why = atomic_load(&slot->why),
    };
}

void flume_status(struct flume *flume, struct flume_status *ret_status)
{
    struct log *log = atomic_load(&flume->log);
    int64_t durable = flume_head(flume), now = flume_now_ms(), farthest = INT64_MIN;
    uint32_t resting = flume_resting(flume);
    struct flume_status status = {
        .head = log_since(log),
        .durable = durable,
        .bytes = log_bytes(log),
        .view_bytes = kv_bytes(flume->kv),
        .appended = atomic_load(&flume->appended),
        .commits = atomic_load(&flume->commits),
        .rebuilds = atomic_load(&flume->rebuilds),
        .view_count = flume->slot_count,
    };
    (void)pthread_mutex_lock(&flume->lock);
    status.waiting = flume->waiters.count;
    for (size_t i = 0; i < flume->slot_count; i++) {
        struct flume_slot *slot = &flume->slots[i];
        status_of_view(slot, resting, &status, now, &status.views[i]);
        if (status.views[i].since <= farthest) continue;
        farthest = status.views[i].since;
        status.count = (int64_t)atomic_load(&slot->records);
    }
    (void)pthread_mutex_unlock(&flume->lock);
    *ret_status = status;
}
