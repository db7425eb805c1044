/* Is every record of a log whole before anything is written behind them? All frames are hopped over, unless the file is still what it was
 * when its last owner closed it: then a note beside it says so.
 *
 * The note is a hint for time only. It is believed if size, time and inode of the log are those that it names; whoever loses it
 * waits a little longer. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/err.h"
#include "store/log_offset_frame.h"
#include "store/log_offset_impl.h"

#define NOTE_MAX 128
#define SECOND INT64_C(1000000000)

static bool note_path(const struct log_offset *log, char out[4096])
{
    int len = snprintf(out, 4096, "%s.whole", log->path);
    return len > 0 && len < 4096;
}

static size_t note_text(const struct file_info *info, char out[NOTE_MAX])
{
    int len = snprintf(out, NOTE_MAX, "whole %" PRId64 " %" PRId64 " %" PRIu64 " %" PRIu64 "\n", info->size,
                       info->mtime, info->dev, info->ino);
    return len > 0 && len < NOTE_MAX ? (size_t)len : 0;
}

static bool note_fits(const struct log_offset *log)
{
    char path[4096], text[NOTE_MAX], found[NOTE_MAX];
    size_t len = note_text(&log->seen, text), found_len = 0;
    int fd;
    if (len == 0 || !note_path(log, path) || file_open(path, O_RDONLY, &fd) != OK) return false;
    bool read = file_read(fd, path, found, sizeof found, 0, &found_len) == OK;
    file_close(fd);
    return read && found_len == len && memcmp(found, text, len) == 0;
}

/* A look at all frames of a smaller log is over before a tick of the clock is. */
#define WAIT_FROM ((int64_t)16 << 20)

/* A change in the same tick of the clock would leave the same time behind, so that tick has to be over. It is waited for where that pays. */
static bool time_is_over(int64_t mtime, int64_t size)
{
    for (int tries = 0; tries < (size < WAIT_FROM ? 1 : 3); tries++) {
        struct timespec now;
        (void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
        if ((int64_t)now.tv_sec * SECOND + now.tv_nsec > mtime) return true;
        const struct timespec tick = { .tv_nsec = SECOND / 100 };
        if (size >= WAIT_FROM) (void)nanosleep(&tick, NULL);
    }
    return false;
}

void offset_whole_note(struct log_offset *log)
{
    char path[4096], text[NOTE_MAX];
    struct file_info now;
    int fd;
    if (log->follow || log->fd < 0 || log->failed != OK || log->sync_failed || atomic_load(&log->width) < 0) return;
    if (atomic_load(&log->changed) != CHANGED_NOT || file_stat(log->fd, log->path, &now) != OK) return;
    /* a time in whole seconds comes from a file system that keeps no better one */
    bool sharp = now.mtime % SECOND != 0 && now.size == atomic_load(&log->end) && time_is_over(now.mtime, now.size);
    size_t len = sharp ? note_text(&now, text) : 0;
    if (len == 0 || !note_path(log, path) || file_open(path, O_RDWR | O_CREAT | O_TRUNC, &fd) != OK) return;
    (void)file_write(fd, path, text, len, 0);
    file_close(fd);
}

int offset_whole_check(struct log_offset *log, int width, int64_t end)
{
    if (log->follow || end == 0 || width < 0 || note_fits(log)) return OK;
    int err = offset_map_cover(log, end);
    if (err != OK) return err;
    const uint8_t *map = atomic_load(&log->map);
    int64_t at = 0;
    while (at < end) {
        uint32_t len;
        int64_t next = frame_check(map, at, end, width, &len);
        if (next < 0) break;
        at = next;
    }
    err = offset_changed_check(log);
    if (err != OK || at == end) return err;
    return err_set(ERR_CORRUPT,
                   "%s: damaged at offset %" PRId64 ": nothing is written to such a log. `sluice verify` lists every "
                   "damaged range, `sluice verify --repair --dry-run` says what can be saved into a new file",
                   log->path, at);
}
