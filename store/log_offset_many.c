/* Many records of a forward walk at once.
 *
 * Where a frame lies is known only once the one before it was read, so a walk waits for memory at each. Here several walks, the
 * chains, go side by side: the first from the cursor's place, the others from places ahead that look like the end of a frame. What
 * a chain found counts only if the one before it ended exactly where it began, so a place that only looked like it does no harm. */
#include <string.h>

#include "store/err.h"
#include "store/log_offset_frame.h"
#include "store/log_offset_impl.h"

#define CHAINS 8
#define CHAIN_RECORDS_MIN 32 /* for fewer it is not worth looking for its beginning */

/* How far is looked for the end of a frame. */
#define BEGIN_BYTES INT64_C(16384)

#define FRAME_MEAN_FIRST 512

struct chain {
    int64_t from, at; /* where it began and where it goes on */
    int64_t stop;     /* where the next one begins; the last one: behind all that is wanted */
    struct log_record *records;
    size_t count;
};

struct chains {
    struct log_offset *log;
    struct offset_view view;
    int64_t limit; /* a record above it is not wanted */
    size_t room;   /* records of one chain */
    size_t count;
    struct chain items[CHAINS];
};

/* The next place behind `from` where a frame may begin, -1 = none is near. Lengths have a zero in front, texts have none. */
static int64_t chain_find(const struct chains *chains, int64_t from)
{
    const uint8_t *map = chains->view.map;
    int width = chains->view.width;
    int64_t last = from + BEGIN_BYTES; /* the last byte of `len` that is looked at */
    if (last > chains->limit - 4 - width) last = chains->limit - 4 - width;
    while (from <= last) {
        const uint8_t *zero = memchr(map + from, 0, (size_t)(last - from + 1));
        if (zero == NULL) return -1;
        int64_t begin = zero - map + 4 + width;
        if (frame_be(zero + 4, width) == (uint64_t)begin) return begin;
        from = zero - map + 1;
    }
    return -1;
}

/* Cuts what comes up into chains. */
static void chains_begin(struct chains *chains, int64_t at, struct log_record *records)
{
    uint32_t mean = atomic_load_explicit(&chains->log->frame_mean, memory_order_relaxed);
    if (mean == 0) mean = FRAME_MEAN_FIRST;
    /* A little less than would fill them, for what a chain has no room for is lost with all that follows. */
    int64_t stretch = (int64_t)(chains->room - chains->room / 8) * mean;
    for (size_t i = 0; i < CHAINS; i++) {
        int64_t from = i == 0 ? at : chain_find(chains, at + (int64_t)i * stretch);
        if (from < 0 || (i > 0 && from <= chains->items[i - 1].from)) break;
        if (i > 0) chains->items[i - 1].stop = from;
        chains->items[i] = (struct chain){ from, from, chains->limit + 1, records + i * chains->room, 0 };
        chains->count = i + 1;
    }
    if (chains->count == CHAINS) {
        int64_t stop = chains->items[CHAINS - 1].from + stretch;
        if (stop <= chains->limit) chains->items[CHAINS - 1].stop = stop;
    }
}

/* Takes one record and asks for where the next but one begins: false = the chain is at its end. A record that may be deleted, or
 * is not whole, is left for the ordinary walk. */
__attribute__((always_inline)) static inline bool chain_step(const struct chains *chains, struct chain *chain)
{
    const struct offset_view *view = &chains->view;
    int64_t at = chain->at;
    uint32_t len;
    if (at >= chain->stop || chain->count == chains->room) return false;
    int64_t next = frame_check(view->map, at, view->end, view->width, &len);
    if (next < 0) return false;
    const uint8_t *data = view->map + at + FRAME_HEAD;
    if (len == 0 || (data[0] == 0 && offset_deleted(chains->log, view, at, len))) return false;
    chain->records[chain->count++] = (struct log_record){ at, { (const char *)data, len } };
    chain->at = next;
    if (next > chains->limit) return true;
    int64_t behind = next + frame_size(frame_be32(view->map + next), view->width);
    __builtin_prefetch(view->map + behind - FRAME_TAIL_MAX);
    __builtin_prefetch(view->map + behind + FRAME_HEAD);
    return true;
}

static void chains_walk(struct chains *chains)
{
    struct chain *active[CHAINS];
    size_t n = chains->count;
    for (size_t i = 0; i < n; i++)
        active[i] = &chains->items[i];
    while (n > 0)
        for (size_t i = 0; i < n; i++)
            if (!chain_step(chains, active[i])) active[i--] = active[--n];
}

/* Puts the chains one behind the other as far as they fit: how many records that makes, and where the walk goes on. */
static size_t chains_join(const struct chains *chains, struct log_record *records, int64_t *ret_at)
{
    size_t n = 0;
    int64_t at = chains->items[0].from;
    for (size_t i = 0; i < chains->count && chains->items[i].from == at; i++) {
        const struct chain *chain = &chains->items[i];
        memmove(records + n, chain->records, chain->count * sizeof *records);
        n += chain->count;
        at = chain->at;
    }
    *ret_at = at;
    return n;
}

static size_t many_take(struct log_offset *log, struct log_cursor *cursor, struct log_record *records, size_t max)
{
    struct chains chains = { .log = log, .view = offset_view_of(log), .room = max / CHAINS };
    const struct log_range *range = &cursor->range;
    int64_t from = cursor->at, at;
    chains.limit = range->max < chains.view.since ? range->max : chains.view.since;
    if (range->reverse || chains.view.width <= 0 || chains.room < CHAIN_RECORDS_MIN) return 0;
    if (from < range->min || from > chains.limit) return 0;
    chains_begin(&chains, from, records);
    chains_walk(&chains);
    size_t n = chains_join(&chains, records, &at);
    if (n == 0) return 0;
    cursor->at = at;
    cursor->ended = at > range->max;
    int64_t mean = (at - from) / (int64_t)n;
    atomic_store_explicit(&log->frame_mean, mean < UINT32_MAX ? (uint32_t)mean : UINT32_MAX, memory_order_relaxed);
    return n;
}

int offset_cursor_many(struct log_cursor *cursor, struct log_record *records, size_t max)
{
    struct log_offset *log = offset_of(cursor->log);
    int got = offset_changed_check(log);
    if (got != OK) return got;
    size_t n = many_take(log, cursor, records, max);
    /* Where chains come to nothing, as among deleted records, the ordinary walk goes on. */
    got = 1;
    while (n < max / 4 + 1 && n < max && got == 1 && !cursor->ended) {
        got = offset_cursor_next(cursor, &records[n]);
        if (got == 1) n++;
    }
    /* Pages that vanish under the mapping read as zeros. */
    int err = offset_changed_check(log);
    if (err != OK) return err;
    return n > 0 ? (int)n : got < 0 ? got : 0;
}
