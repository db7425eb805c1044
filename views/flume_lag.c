#include "views/flume_internal.h"

/* For so long after the head has moved, if nobody wants the views: whoever sends a large batch sends another one, which takes its time to come and
 * to be checked. */
#define LINGER_MS 2
#define LINGER_BYTES_PER_MS 8192

/* The most that they lag while the head goes on moving, or more appends wait. */
#define LAG_MS 100
#define LAG_FOLLOWED_MS 20 /* while somebody follows what they say */
#define LAG_ENTRIES 8000   /* of what is pending */
#define LAG_BYTES ((int64_t)4 << 20)

void lag_open(struct flume *flume)
{
    struct flume_lag_limits *limits = &flume->options.lag;
    if (limits->linger_ms == 0) limits->linger_ms = LINGER_MS;
    if (limits->ms == 0) limits->ms = LAG_MS;
    if (limits->entries == 0) limits->entries = LAG_ENTRIES;
    if (limits->bytes == 0) limits->bytes = LAG_BYTES;
    flume->lag.linger_ms = INT64_MIN;
    flume->lag.from_ms = flume->lag.next_ms = FLUME_NEVER;
}

void lag_moved(struct flume *flume, int64_t bytes)
{
    flume->lag.linger_ms = flume_now_ms() + flume->options.lag.linger_ms + bytes / LINGER_BYTES_PER_MS;
}

/* What was begun is brought to its end: it is shown to nobody before. */
static bool lag_cuts_in(const struct flume *flume)
{
    return flume->parked != NULL || flume->txn != NULL || flume->build != NULL || late_catches_up(flume);
}

/* May they be behind at all? */
static bool lag_possible(const struct flume *flume)
{
    const struct flume_lag_limits *limits = &flume->options.lag;
    return !lag_cuts_in(flume) && flume->pending.count < limits->entries &&
           flume->told_head - late_lowest(flume, false) < limits->bytes;
}

/* Somebody waits for what they could know. */
static bool lag_is_noticed(struct flume *flume)
{
    (void)pthread_mutex_lock(&flume->lock);
    const struct flume_waiters *waiters = &flume->waiters;
    bool noticed = waiters->count > 0 && waiters->items[0].seq <= flume->told_head;
    (void)pthread_mutex_unlock(&flume->lock);
    return noticed;
}

/* Whether they lag from now on, by the clock alone. */
static bool lag_goes_on(struct flume *flume)
{
    struct flume_lag *lag = &flume->lag;
    int64_t now = flume_now_ms(), most = flume->options.lag.ms;
    bool queued = atomic_load(&flume->queue_new) > 0, followed = atomic_load(&lag->watchers) > 0;
    bool lingers = now < lag->linger_ms && !followed;
    if (!queued && !lingers) return false;
    if (followed && most > LAG_FOLLOWED_MS) most = LAG_FOLLOWED_MS;
    if (lag->from_ms == FLUME_NEVER) lag->from_ms = now;
    int64_t until = lag->from_ms + most;
    lag->next_ms = queued ? now : lag->linger_ms < until ? lag->linger_ms : until;
    return now < until;
}

bool lag_now(struct flume *flume)
{
    struct flume_lag *lag = &flume->lag;
    bool lags = lag_possible(flume) && lag_goes_on(flume);
    /* In this order: who begins to wait after the look sees it. */
    atomic_store(&lag->asleep, lags);
    if (lags && lag_is_noticed(flume)) lags = false;
    if (lags) return true;
    atomic_store(&lag->asleep, false);
    lag->from_ms = lag->next_ms = FLUME_NEVER;
    return false;
}
