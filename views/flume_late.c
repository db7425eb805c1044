#include "views/flume_internal.h"

#define LATE_PAUSE_MS 50
#define LATE_MS 2000
#define LATE_BYTES ((int64_t)64 << 20)

static bool slot_is_late(const struct flume *flume, size_t slot)
{
    return flume->slots[slot].view.ops->late;
}

void late_open(struct flume *flume)
{
    struct flume_late_limits *limits = &flume->options.late;
    if (limits->pause_ms == 0) limits->pause_ms = LATE_PAUSE_MS;
    if (limits->ms == 0) limits->ms = LATE_MS;
    if (limits->bytes == 0) limits->bytes = LATE_BYTES;
    for (size_t i = 0; i < flume->slot_count; i++)
        if (slot_is_late(flume, i)) flume->late_mask |= UINT32_C(1) << flume->slots[i].bit;
    flume->late.head = flume->told_head;
    flume->late.moved_ms = flume_now_ms() - limits->pause_ms; /* it does not grow yet */
    flume->late.goal = SEQ_EMPTY;
    flume->late.next_ms = FLUME_NEVER;
}

int64_t late_lowest(const struct flume *flume, bool late)
{
    int64_t lowest = SEQ_MAX;
    for (size_t i = 0; i < flume->slot_count; i++)
        if (slot_is_late(flume, i) == late && flume->slots[i].state.since < lowest)
            lowest = flume->slots[i].state.since;
    return lowest;
}

/* Does somebody wait for what the log holds, or for whatever comes? */
static bool late_is_wanted(struct flume *flume, int64_t head)
{
    bool wanted = atomic_load(&flume->late_watchers) > 0;
    (void)pthread_mutex_lock(&flume->lock);
    const struct flume_waiters *waiters = &flume->waiters;
    for (size_t i = 0; !wanted && waiters->late > 0 && i < waiters->count && waiters->items[i].seq <= head; i++)
        wanted = (waiters->items[i].mask & flume->late_mask) != 0;
    (void)pthread_mutex_unlock(&flume->lock);
    return wanted;
}

static bool late_is_due(struct flume *flume, int64_t head, int64_t since, int64_t now_ms)
{
    const struct flume_late_limits *limits = &flume->options.late;
    const struct flume_late *late = &flume->late;
    if (head - since >= limits->bytes || now_ms - late->from_ms >= limits->ms) return true;
    if (atomic_load(&flume->closing) || late_is_wanted(flume, head)) return true;
    return now_ms - late->moved_ms >= limits->pause_ms && late_lowest(flume, false) >= head;
}

/* Whether they rest from now on. Those that were due go on until they are where the head was then. */
static bool late_decide(struct flume *flume, int64_t head, int64_t since, int64_t now_ms)
{
    struct flume_late *late = &flume->late;
    if (since >= head) {
        late->goal = SEQ_EMPTY;
        return false;
    }
    if (!late->rests && since < late->goal) return false;
    if (!late->rests) late->from_ms = now_ms;
    if (!late_is_due(flume, head, since, now_ms)) return true;
    late->goal = head;
    return false;
}

bool late_catches_up(const struct flume *flume)
{
    return !flume->late.rests && late_lowest(flume, true) < flume->late.goal;
}

void late_look(struct flume *flume, int64_t head)
{
    struct flume_late *late = &flume->late;
    if (flume->late_mask == 0) return;
    const struct flume_late_limits *limits = &flume->options.late;
    int64_t now_ms = flume_now_ms();
    if (head != late->head) late->moved_ms = now_ms;
    late->head = head;
    late->rests = late_decide(flume, head, late_lowest(flume, true), now_ms);
    bool grows = now_ms - late->moved_ms < limits->pause_ms;
    atomic_store(&flume->late_rests, late->rests && grows);
    if (!late->rests) return;
    late->next_ms = late->from_ms + limits->ms;
    /* Once the log has paused they wait for the other views, which are under way. */
    if (grows && late->moved_ms + limits->pause_ms < late->next_ms) late->next_ms = late->moved_ms + limits->pause_ms;
}

bool late_slot_rests(const struct flume *flume, size_t slot)
{
    return flume->late.rests && slot_is_late(flume, slot);
}

uint32_t flume_resting(const struct flume *flume)
{
    return atomic_load(&flume->late_rests) ? flume->late_mask : 0;
}

void flume_watch(struct flume *flume, uint32_t mask, bool begins)
{
    size_t some = mask != 0 ? 1 : 0, late = (mask & flume->late_mask) != 0 ? 1 : 0;
    if (begins) {
        (void)atomic_fetch_add(&flume->lag.watchers, some);
        (void)atomic_fetch_add(&flume->late_watchers, late);
        flume_wake(flume);
    } else {
        (void)atomic_fetch_sub(&flume->lag.watchers, some);
        (void)atomic_fetch_sub(&flume->late_watchers, late);
    }
}
