#include <time.h>

#include "store/err.h"
#include "store/log_offset_frame.h"
#include "store/log_offset_impl.h"

#define PATH_CHECK_MS 1000

/* Two changes of a file may get the same time where clocks tick slowly: this long after one, the next gets another. */
#define TICK_NS INT64_C(100000000)

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool ctime_settled(const struct file_info *info)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - info->ctime > TICK_NS;
}

/* Is the file at the path still the one that is open? While it grows, it is asked for once a second only. */
static int follow_check_path(struct log_offset *log, const struct file_info *now)
{
    int64_t ms = now_ms();
    if (now->size > log->seen.size && ms - log->path_checked < PATH_CHECK_MS) return OK;
    log->path_checked = ms;
    log->path_settled = ctime_settled(now);
    struct file_info there;
    int err = file_stat_path(log->path, &there);
    if (err == ERR_NOFILE) return offset_changed_mark(log, CHANGED_REPLACED);
    if (err != OK) return err;
    return there.dev == now->dev && there.ino == now->ino ? OK : offset_changed_mark(log, CHANGED_REPLACED);
}

/* The last record that was published must still be there (it may have been deleted: its frame stays). */
static int follow_check_head(struct log_offset *log, int width)
{
    int64_t since = atomic_load(&log->since);
    if (since < 0) return OK;
    enum frame_state state;
    uint32_t len = 0;
    int err = frame_read(&log->window, since, width, &state, &len);
    if (err != OK) return err;
    bool same = state == FRAME_WHOLE && since + frame_size(len, width) == atomic_load(&log->end);
    return same ? OK : offset_changed_mark(log, CHANGED_REWRITTEN);
}

static int follow_width(struct log_offset *log, int *ret_width)
{
    int width = atomic_load(&log->width);
    if (width < 0) {
        enum log_codec codec = LOG_CODEC_AUTO;
        bool torn;
        int err = frame_sniff(&log->window, log->wanted, &codec, &torn);
        if (err != OK) return err;
        width = frame_width(codec);
        atomic_store(&log->width, width);
    }
    *ret_width = width;
    return OK;
}

/* Counts whole frames from the old end on. A torn one is the owner's write in flight: it is looked at again next time. */
static int follow_advance(struct log_offset *log, int width)
{
    int64_t since = atomic_load(&log->since);
    int64_t end = atomic_load(&log->end);
    int64_t before = since;
    for (;;) {
        enum frame_state state;
        uint32_t len = 0;
        int err = frame_read(&log->window, end, width, &state, &len);
        if (err != OK) return err;
        if (state != FRAME_WHOLE) break;
        since = end;
        end += frame_size(len, width);
    }
    if (since == before) return 0;
    int err = offset_map_cover(log, end);
    if (err != OK) return err;
    offset_publish(log, since, end);
    atomic_store(&log->durable, since);
    return 1;
}

static int refresh_locked(struct log_offset *log)
{
    struct file_info now;
    int err = offset_changed_check(log);
    if (err == OK) err = file_stat(log->fd, log->path, &now);
    if (err != OK) return err;
    if (now.size < atomic_load(&log->end)) return offset_changed_mark(log, CHANGED_SHRUNK);
    err = follow_check_path(log, &now);
    if (err != OK) return err;
    if (now.size == log->seen.size && now.mtime == log->seen.mtime) {
        log->seen.ctime = now.ctime;
        return 0;
    }
    file_window_init(&log->window, log->fd, log->path, now.size, false);
    int width;
    err = follow_width(log, &width);
    if (err != OK) return err;
    if (width < 0) return 0;
    err = follow_check_head(log, width);
    if (err != OK) return err;
    int moved = follow_advance(log, width);
    if (moved >= 0) log->seen = now;
    return moved;
}

/* Nothing was done to the file since the last look. The path itself needs a look now and then all the same: a folder above may
 * have got another name. */
static bool follow_quiet(const struct log_offset *log, const struct file_info *now)
{
    const struct file_info *seen = &log->seen;
    return now->size == seen->size && now->mtime == seen->mtime && now->ctime == seen->ctime && log->path_settled &&
           now_ms() - log->path_checked < PATH_CHECK_MS;
}

/* Every request that wants to be fresh comes here: most of the time it costs one fstat, made without the lock. */
int offset_refresh(struct log *base)
{
    struct log_offset *log = offset_of(base);
    struct file_info now;
    int err = offset_changed_check(log);
    if (!log->follow || err != OK) return err;
    err = file_stat(log->fd, log->path, &now);
    if (err != OK) return err;
    (void)pthread_mutex_lock(&log->mutex);
    int moved = follow_quiet(log, &now) ? 0 : refresh_locked(log);
    (void)pthread_mutex_unlock(&log->mutex);
    return moved;
}
