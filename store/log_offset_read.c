#include "store/err.h"
#include "store/log_offset_frame.h"
#include "store/log_offset_impl.h"
#include "store/zero.h"

/* From this size on it is worth asking the file system whether the record is a hole before reading it all. */
#define HOLE_MIN ((uint32_t)1 << 20)

/* Bytes; measured on records of 500 to 600 bytes. */
#define PREFETCH_AHEAD 1536
#define PREFETCH_MAX 1024

bool offset_deleted(struct log_offset *log, const struct offset_view *view, int64_t at, uint32_t len)
{
    const uint8_t *data = view->map + at + FRAME_HEAD;
    if (len != 0 && data[0] != 0) return false;
    if (len >= HOLE_MIN && file_is_hole(log->fd, at + FRAME_HEAD, len)) return true;
    return bytes_zero(data, len);
}

enum bad { BAD_STARTS, BAD_ENDS }; /* there: the frame that is not whole */

/* Is there a whole frame when the file is asked, not the mapping? Then somebody cut the file and wrote to it again in between. */
static bool record_is_back(struct log_offset *log, enum bad bad, int64_t at)
{
    struct file_window window;
    enum frame_state state = FRAME_PAST_END;
    uint32_t len;
    int64_t start;
    int width = atomic_load(&log->width);
    file_window_init(&window, log->fd, log->path, atomic_load(&log->end), bad == BAD_ENDS);
    if (bad == BAD_ENDS) return frame_read_back(&window, at, width, &start) == 1;
    return frame_read(&window, at, width, &state, &len) == OK && state == FRAME_WHOLE;
}

/* A frame that was whole when it was published is not any more: is the file another one, or damaged? */
static int record_bad(struct log_offset *log, enum bad bad, int64_t at)
{
    struct file_info now;
    int err = offset_changed_check(log);
    if (err == OK) err = file_stat(log->fd, log->path, &now);
    if (err != OK) return err;
    if (now.size < atomic_load(&log->end)) return offset_changed_mark(log, CHANGED_SHRUNK);
    if (log->follow && record_is_back(log, bad, at)) return offset_changed_mark(log, CHANGED_REWRITTEN);
    return err_set(ERR_CORRUPT, "%s: damaged record at offset %lld; see `sluice verify`", log->path, (long long)at);
}

/* Does the record before `seq` end there? True for 0. */
static bool seq_follows(const struct offset_view *view, int64_t seq)
{
    if (seq == 0) return true;
    if (seq < frame_size(0, view->width)) return false;
    if (view->width != 0) return frame_be(view->map + seq - view->width, view->width) == (uint64_t)seq;
    int64_t before = seq - frame_size(frame_be32(view->map + seq - 4), 0);
    uint32_t len;
    return before >= 0 && frame_check(view->map, before, seq, 0, &len) == seq;
}

/* OK if a whole record starts at `seq`, which must not be above the head; ret_next: where it ends. */
static int seq_check(struct log_offset *log, const struct offset_view *view, int64_t seq, uint32_t *ret_len,
                     int64_t *ret_next)
{
    bool follows = seq_follows(view, seq);
    int64_t next = frame_check(view->map, seq, view->end, view->width, ret_len);
    int err = offset_changed_check(log);
    if (err != OK) return err;
    if (!follows) return err_set(ERR_BOUNDARY, "no record starts at %lld", (long long)seq);
    if (next < 0) return record_bad(log, BAD_STARTS, seq);
    *ret_next = next;
    return OK;
}

int offset_get(struct log *base, int64_t seq, struct log_record *ret_record)
{
    struct log_offset *log = offset_of(base);
    int err = offset_changed_check(log);
    if (err != OK) return err;
    struct offset_view view = offset_view_of(log);
    if (seq < 0 || seq > view.since)
        return err_set(ERR_NOSEQ, "no record at %lld: the last one is at %lld", (long long)seq, (long long)view.since);
    uint32_t len = 0;
    int64_t next;
    err = seq_check(log, &view, seq, &len, &next);
    if (err != OK) return err;
    if (offset_deleted(log, &view, seq, len)) {
        err = offset_changed_check(log);
        return err != OK ? err : err_set(ERR_DELETED, "the record at %lld was deleted", (long long)seq);
    }
    const char *data = (const char *)view.map + seq + FRAME_HEAD;
    *ret_record = (struct log_record){ seq, { data, len } };
    return OK;
}

/* The end of the frame before, which is looked at to know that one begins here, and as much as most records have. */
void offset_prefetch(struct log *base, int64_t seq)
{
    struct offset_view view = offset_view_of(offset_of(base));
    if (seq < 64 || seq > view.since) return;
    int64_t last = seq + PREFETCH_MAX < view.end ? seq + PREFETCH_MAX : view.end;
    for (int64_t at = seq - 64; at < last; at += 64)
        __builtin_prefetch(view.map + at);
}

/* A forward cursor's `at` is where the next frame starts; a reverse one's is where the next frame to answer ends. */
static int cursor_start(struct log_offset *log, const struct offset_view *view, struct log_cursor *cursor)
{
    const struct log_range *range = &cursor->range;
    uint32_t len = 0;
    int64_t next = 0;
    bool above = range->min > view->since;
    cursor->at = 0;
    cursor->ended = range->reverse && above;
    if (view->since < 0 || cursor->ended) return OK;
    int64_t start = range->reverse && range->max < view->since ? range->max : view->since;
    if (!range->reverse && !above) start = range->min;
    /* Not `end`: it may be newer than `since`, and what lies between them must not be passed over. */
    int err = seq_check(log, view, start, &len, &next);
    if (err == OK) cursor->at = range->reverse || above ? next : start;
    return err;
}

int offset_cursor_open(struct log *base, const struct log_range *range, struct log_cursor *ret_cursor)
{
    struct log_offset *log = offset_of(base);
    int err = offset_changed_check(log);
    if (err != OK) return err;
    struct offset_view view = offset_view_of(log);
    uint32_t len = 0;
    int64_t next;
    if (range->min > 0 && range->min <= view.since) err = seq_check(log, &view, range->min, &len, &next);
    if (err == OK && range->max < view.since) err = seq_check(log, &view, range->max, &len, &next);
    struct log_cursor cursor = { .log = base, .range = *range };
    if (err == OK) err = cursor_start(log, &view, &cursor);
    if (err == OK) *ret_cursor = cursor;
    return err;
}

/* Where a frame lies is known only once the one before was read, so a scan would wait for memory at each. Asking for the lines
 * that come up, as many as were just passed, makes it several times as fast. `len` is negative on the way back.
 * Always inline: gcc drops the call of a function that does nothing but prefetch. */
__attribute__((always_inline)) static inline void scan_prefetch(const struct offset_view *view, int64_t at, int64_t len,
                                                                int64_t ahead)
{
    if (len > PREFETCH_MAX) len = PREFETCH_MAX;
    if (len < -PREFETCH_MAX) len = -PREFETCH_MAX;
    int64_t from = at + ahead;
    if (len < 0) {
        from += len;
        len = -len;
    }
    if (from < 0 || from + len > view->end) return;
    for (int64_t i = 0; i < len; i += 64)
        __builtin_prefetch(view->map + from + i);
}

static int next_forward(struct log_offset *log, const struct offset_view *view, struct log_cursor *cursor,
                        struct log_record *ret_record)
{
    int64_t at = cursor->at;
    int64_t max = cursor->range.max;
    /* By `since`, not by `end`, which may be newer: what is shown here must be there for log_since and log_get too. */
    while (at <= view->since && at <= max) {
        uint32_t len;
        int64_t next = frame_check(view->map, at, view->end, view->width, &len);
        if (next < 0) return record_bad(log, BAD_STARTS, at);
        scan_prefetch(view, next, next - at, PREFETCH_AHEAD);
        if (at >= cursor->range.min && !offset_deleted(log, view, at, len)) {
            cursor->at = next;
            cursor->ended = next > max;
            *ret_record = (struct log_record){ at, { (const char *)view->map + at + FRAME_HEAD, len } };
            return 1;
        }
        /* A page that vanished under the mapping reads as zeros, as a deleted record does. */
        int err = offset_changed_check(log);
        if (err != OK) return err;
        at = next;
        cursor->at = at;
    }
    cursor->ended = at > max;
    return 0;
}

static int next_reverse(struct log_offset *log, const struct offset_view *view, struct log_cursor *cursor,
                        struct log_record *ret_record)
{
    int64_t end = cursor->at;
    int overhead = (int)frame_size(0, view->width);
    while (end > cursor->range.min) {
        int64_t room = end - overhead;
        uint32_t len = room < 0 ? 0 : frame_be32(view->map + end - 4 - view->width);
        int64_t at = room - (int64_t)len;
        if (at < 0 || frame_check(view->map, at, end, view->width, &len) != end) return record_bad(log, BAD_ENDS, end);
        if (at < cursor->range.min) break;
        scan_prefetch(view, at, at - end, -PREFETCH_AHEAD);
        cursor->at = at;
        if (!offset_deleted(log, view, at, len)) {
            cursor->ended = at <= cursor->range.min;
            *ret_record = (struct log_record){ at, { (const char *)view->map + at + FRAME_HEAD, len } };
            return 1;
        }
        int err = offset_changed_check(log);
        if (err != OK) return err;
        end = at;
    }
    cursor->ended = true;
    return 0;
}

int offset_cursor_next(struct log_cursor *cursor, struct log_record *ret_record)
{
    struct log_offset *log = offset_of(cursor->log);
    if (atomic_load_explicit(&log->changed, memory_order_relaxed) != CHANGED_NOT) return offset_changed_check(log);
    struct offset_view view = offset_view_of(log);
    return cursor->range.reverse ? next_reverse(log, &view, cursor, ret_record)
                                 : next_forward(log, &view, cursor, ret_record);
}
