#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/fnv.h"
#include "store/log_offset_frame.h"
#include "store/log_offset_impl.h"
#include "store/log_offset_lock.h"
#include "store/log_offset_tail.h"
#include "store/mapguard.h"

/* Larger than a log is likely to grow: address space is free, and a second mapping is never needed then. */
#define MAP_SIZE_MIN ((int64_t)64 << 30)

/* A batch goes to the file in one write unless it is larger than this. */
#define WRITE_MAX ((size_t)4 << 20)

/* How much of the first record tells one log from another. */
#define IDENTITY_BYTES ((int64_t)64 << 10)

static const char *changed_text(enum offset_changed reason)
{
    switch (reason) {
    case CHANGED_SHRUNK: return "became shorter than its records";
    case CHANGED_REPLACED: return "was replaced or removed";
    case CHANGED_REWRITTEN: return "was rewritten: its last record is not where it was";
    case CHANGED_GREW: return "was written to by another program while it was open here";
    case CHANGED_FAULT: return "became shorter, or could not be read, while it was being read";
    case CHANGED_NOT: break;
    }
    return "changed";
}

int offset_changed_check(struct log_offset *log)
{
    int reason = atomic_load_explicit(&log->changed, memory_order_relaxed);
    if (reason == CHANGED_NOT) return OK;
    return err_set(ERR_CHANGED, "%s: the file %s; it must be opened anew", log->path,
                   changed_text((enum offset_changed)reason));
}

int offset_changed_mark(struct log_offset *log, enum offset_changed reason)
{
    int unset = CHANGED_NOT;
    (void)atomic_compare_exchange_strong(&log->changed, &unset, (int)reason);
    return offset_changed_check(log);
}

int offset_map_cover(struct log_offset *log, int64_t end)
{
    if (log->n_maps > 0 && (uint64_t)end <= log->maps[log->n_maps - 1].size) return OK;
    if (log->n_maps == OFFSET_MAPS_MAX) return err_set(ERR_LIMIT, "%s: mapped too many times", log->path);
    int64_t want = end < MAP_SIZE_MIN / 2 ? MAP_SIZE_MIN : end * 2;
    int64_t least = end < 4096 ? 4096 : end;
    void *base;
    size_t size;
    int err = file_map(log->fd, log->path, (size_t)want, (size_t)least, &base, &size);
    if (err != OK) return err;
    err = mapguard_add(base, size, &log->changed, CHANGED_FAULT);
    if (err != OK) {
        file_unmap(base, size);
        return err;
    }
    log->maps[log->n_maps].base = base;
    log->maps[log->n_maps++].size = size;
    atomic_store_explicit(&log->map, base, memory_order_release);
    return OK;
}

void offset_publish(struct log_offset *log, int64_t since, int64_t end)
{
    atomic_store_explicit(&log->end, end, memory_order_release);
    atomic_store_explicit(&log->since, since, memory_order_release);
}

/* ---- appending ------------------------------------------------------------------------------------------- */

static int append_allowed(struct log_offset *log)
{
    if (log->follow) return err_set(ERR_READONLY, "%s: followed: only its owner may append", log->path);
    if (atomic_load(&log->width) == 0)
        return err_set(ERR_READONLY,
                       "%s: the v2 format is read only; bring its records into a new log with `sluice import`",
                       log->path);
    if (log->failed != OK) return err_set(ERR_READONLY, "%s: read only since an error: %s", log->path, log->cause);
    int err = offset_changed_check(log);
    struct file_info now = { 0 };
    if (err == OK) err = file_stat(log->fd, log->path, &now);
    if (err != OK || now.size == atomic_load(&log->end)) return err;
    return offset_changed_mark(log, now.size < atomic_load(&log->end) ? CHANGED_SHRUNK : CHANGED_GREW);
}

static int append_end(struct log_offset *log, const struct slice *values, size_t n, int64_t *ret_end)
{
    int width = atomic_load(&log->width);
    int64_t end = atomic_load(&log->end);
    for (size_t i = 0; i < n; i++) {
        end += frame_size((int64_t)values[i].len, width);
        if (end > frame_next_max(width))
            return err_set(ERR_LIMIT,
                           "%s: full: its %s offsets end here; bring its records into a new log (53 bit) with "
                           "`sluice import`",
                           log->path,
                           width == 4   ? "32 bit"
                           : width == 6 ? "48 bit"
                                        : "53 bit");
    }
    *ret_end = end;
    return OK;
}

static int append_flush(struct log_offset *log, int64_t at)
{
    int err = log->batch.err != OK ? err_set(log->batch.err, "%s: no memory for a batch", log->path)
                                   : file_write(log->fd, log->path, log->batch.data, log->batch.len, at);
    buf_reset(&log->batch);
    return err;
}

static int append_write(struct log_offset *log, const struct slice *values, size_t n)
{
    int width = atomic_load(&log->width);
    int64_t at = atomic_load(&log->end);
    int64_t written = at;
    for (size_t i = 0; i < n; i++) {
        (void)frame_put(&log->batch, values[i], at, width);
        at += frame_size((int64_t)values[i].len, width);
        if (log->batch.len < WRITE_MAX && i + 1 < n) continue;
        int err = append_flush(log, written);
        if (err != OK) return err;
        written = at;
    }
    return OK;
}

/* From here on nothing is appended: what is in the file is not certain any more. Whatever the disk called it, ERR_IO is what it is
 * now: not a want that passes. */
static int offset_freeze(struct log_offset *log, int code)
{
    (void)snprintf(log->cause, sizeof log->cause, "%s", err_detail(code));
    log->failed = ERR_IO;
    return err_set(ERR_IO, "%s", log->cause);
}

/* An error is final: nobody knows what the disk holds then, and asking again would lie. */
static int sync_now(struct log_offset *log)
{
    int err = file_sync(log->fd, log->path);
    if (err != OK) {
        log->sync_failed = true;
        return offset_freeze(log, err);
    }
    log->synced = atomic_load(&log->end);
    atomic_store(&log->durable, atomic_load(&log->since));
    /* Only a bound on what opening looks at after a crash: the old mark will do if this one cannot be written. */
    if (log->synced - log->marked >= LOCK_MARK_STEP) (void)lock_mark(log, false);
    return OK;
}

static int offset_sync(struct log *base)
{
    struct log_offset *log = offset_of(base);
    if (log->sync_failed) return err_set(log->failed, "%s: not durable since an error: %s", log->path, log->cause);
    return atomic_load(&log->durable) == atomic_load(&log->since) ? OK : sync_now(log);
}

/* What passes by itself, and says nothing against the file. */
static bool write_may_be_repeated(int code)
{
    return code == ERR_NOSPACE || code == ERR_NOMEM || code == ERR_LIMIT;
}

/* Takes back what a failed append has left. Answers the code of the append with its detail, ERR_IO if nothing can be appended any more.
 * Synced, because what the next append writes at this place must not meet the rest of this one after a power cut. */
static int append_undo(struct log_offset *log, int code)
{
    char detail[512];
    if (!write_may_be_repeated(code)) code = offset_freeze(log, code);
    (void)snprintf(detail, sizeof detail, "%s", err_detail(code));
    int err = file_truncate(log->fd, log->path, atomic_load(&log->end));
    if (err == OK && log->failed == OK) err = sync_now(log);
    if (err != OK && log->failed == OK) return offset_freeze(log, err);
    return log->failed != OK ? err_set(ERR_IO, "%s", log->cause) : err_set(code, "%s", detail);
}

static void append_tell(int64_t at, int width, const struct slice *values, size_t n, int64_t *ret_seqs)
{
    for (size_t i = 0; i < n; i++) {
        ret_seqs[i] = at;
        at += frame_size((int64_t)values[i].len, width);
    }
}

static int offset_append(struct log *base, const struct slice *values, size_t n, int64_t *ret_seqs)
{
    struct log_offset *log = offset_of(base);
    int64_t end = 0;
    int err = append_allowed(log);
    if (err == OK) err = append_end(log, values, n, &end);
    if (err == OK) err = offset_map_cover(log, end);
    if (err != OK) return err;
    err = append_write(log, values, n);
    if (log->batch.cap > 2 * WRITE_MAX) buf_free(&log->batch);
    if (err != OK) return append_undo(log, err);
    int width = atomic_load(&log->width);
    if (ret_seqs != NULL) append_tell(atomic_load(&log->end), width, values, n, ret_seqs);
    offset_publish(log, end - frame_size((int64_t)values[n - 1].len, width), end);
    return OK;
}

/* ---- what it says of itself ------------------------------------------------------------------------------ */

static int64_t offset_since(struct log *base)
{
    return atomic_load_explicit(&offset_of(base)->since, memory_order_acquire);
}

static int64_t offset_durable(struct log *base)
{
    return atomic_load_explicit(&offset_of(base)->durable, memory_order_acquire);
}

static int64_t offset_bytes(struct log *base)
{
    return atomic_load_explicit(&offset_of(base)->end, memory_order_acquire);
}

static uint64_t offset_identity(struct log *base)
{
    struct log_offset *log = offset_of(base);
    uint64_t identity = atomic_load(&log->identity);
    if (identity != 0 || offset_since(base) < 0) return identity;
    const uint8_t *map = atomic_load(&log->map);
    int64_t len = frame_be32(map);
    int width = atomic_load(&log->width);
    uint64_t hash = fnv_add(fnv_add(FNV_START, &width, 1), map, FRAME_HEAD);
    /* The owner of a followed file may have written over it: no length read from it is trusted here. */
    int64_t most = offset_bytes(base) - FRAME_HEAD;
    if (most > IDENTITY_BYTES) most = IDENTITY_BYTES;
    hash = fnv_add(hash, map + FRAME_HEAD, (size_t)(len < most ? len : most));
    if (hash == 0) hash = 1;
    /* Not kept if the file went away under the mapping meanwhile: then the bytes were zeros. */
    if (atomic_load(&log->changed) == CHANGED_NOT) atomic_store(&log->identity, hash);
    return hash;
}

/* ---- opening and closing --------------------------------------------------------------------------------- */

static void offset_close(struct log *base)
{
    struct log_offset *log = offset_of(base);
    if (log->fd >= 0 && !log->follow) (void)offset_sync(base);
    offset_whole_note(log);
    for (size_t i = 0; i < log->n_maps; i++) {
        mapguard_remove(log->maps[i].base);
        file_unmap(log->maps[i].base, log->maps[i].size);
    }
    file_close(log->fd);
    lock_close(log); /* its file stays, for removing it would race with the next owner */
    buf_free(&log->batch);
    (void)pthread_mutex_destroy(&log->mutex);
    free(log->path);
    free(log);
}

static const struct log_ops offset_ops = {
    .name = "offset",
    .append = offset_append,
    .get = offset_get,
    .cursor_open = offset_cursor_open,
    .cursor_next = offset_cursor_next,
    .cursor_many = offset_cursor_many,
    .since = offset_since,
    .durable = offset_durable,
    .identity = offset_identity,
    .bytes = offset_bytes,
    .refresh = offset_refresh,
    .prefetch = offset_prefetch,
    .warm = offset_warm,
    .sync = offset_sync,
    .close = offset_close,
};

static int open_file(struct log_offset *log)
{
    int err;
    if (log->follow) {
        err = file_open(log->path, O_RDONLY, &log->fd);
    } else {
        err = file_open(log->path, O_RDWR, &log->fd);
        if (err == ERR_NOFILE) {
            err = file_open(log->path, O_RDWR | O_CREAT | O_EXCL, &log->fd);
            if (err == OK) err = file_sync_folder(log->path);
        }
    }
    if (err == OK) err = file_stat(log->fd, log->path, &log->seen);
    if (err == OK && !log->seen.regular) err = err_set(ERR_FORMAT, "%s: not a regular file", log->path);
    return err;
}

/* Where the whole records end, and with which codec. `mark` is what the last owner, which did not end orderly, knew to be durable; else -1. */
static int open_find(struct log_offset *log, int64_t mark, enum log_codec *ret_codec, int64_t *ret_end,
                     int64_t *ret_since)
{
    int64_t size = log->seen.size;
    file_window_init(&log->window, log->fd, log->path, size, true);
    enum log_codec codec = log->wanted;
    bool torn = false;
    int err = frame_sniff(&log->window, log->wanted, &codec, &torn);
    /* Before the first fsync nothing in a new log is certain, its first record neither. */
    if ((err == ERR_FORMAT || err == ERR_CORRUPT) && mark == 0 && size <= TAIL_CUT_MAX) {
        torn = true;
        err = OK;
    }
    if (err != OK) return err;
    if (codec == LOG_CODEC_AUTO && !log->follow) codec = LOG_CODEC_53;
    *ret_codec = codec;
    *ret_end = 0;
    *ret_since = SEQ_EMPTY;
    if (torn || size == 0) return OK;
    int width = frame_width(codec);
    int found = mark < 0 || width <= 0 ? 0 : tail_find_from(&log->window, width, mark, ret_end, ret_since);
    return found != 0 ? found < 0 ? found : OK : tail_find(&log->window, width, ret_end, ret_since);
}

/* Finds the codec and the last whole record, cuts a torn tail if the log is owned, and publishes the head. */
static int open_head(struct log_offset *log, int64_t mark, struct log_offset_opened *opened)
{
    int64_t size = log->seen.size;
    int64_t end = 0;
    int64_t since = SEQ_EMPTY;
    int err = open_find(log, mark, &opened->codec, &end, &since);
    int width = frame_width(opened->codec);
    if (err == OK) err = offset_whole_check(log, width, end);
    if (err == OK && end < size && !log->follow && width > 0) err = tail_cut(log->fd, log->path, end, size, opened);
    if (err == OK && mark >= 0 && width > 0) err = tail_rewrite(log->fd, log->path, mark < end ? mark : end, end);
    if (err == OK && !log->follow) err = file_sync(log->fd, log->path);
    log->synced = end;
    if (err == OK && !log->follow) err = lock_mark(log, true);
    if (err == OK) err = offset_map_cover(log, end);
    if (err != OK) return err;
    /* A followed log with a torn tail must read it again although neither size nor time may change. */
    if (end < size) log->seen.mtime = -1;
    atomic_store(&log->width, width);
    offset_publish(log, since, end);
    atomic_store(&log->durable, since);
    return OK;
}

int log_offset_open(const struct log_offset_options *options, struct log_offset_opened *ret_opened,
                    struct log **ret_log)
{
    struct log_offset_opened opened = { .codec = LOG_CODEC_AUTO, .cut_at = -1 };
    struct log_offset *log = calloc(1, sizeof *log);
    char *path = strdup(options->path);
    if (log == NULL || path == NULL) {
        free(log);
        free(path);
        return err_set(ERR_NOMEM, "%s: no memory to open the log", options->path);
    }
    log->base.ops = &offset_ops;
    log->path = path;
    log->fd = -1;
    log->lock_fd = -1;
    log->marked = -1;
    log->follow = options->follow;
    log->wanted = options->codec;
    buf_init(&log->batch, WRITE_MAX + LOG_RECORD_MAX + FRAME_HEAD + FRAME_TAIL_MAX);
    (void)pthread_mutex_init(&log->mutex, NULL);
    atomic_store(&log->since, SEQ_EMPTY);
    atomic_store(&log->durable, SEQ_EMPTY);
    int64_t mark = -1;
    int err = log->follow ? OK : lock_open(log, &mark);
    if (err == OK) err = open_file(log);
    if (err == OK) err = open_head(log, mark, &opened);
    if (err != OK) {
        offset_close(&log->base);
        return err;
    }
    if (ret_opened != NULL) *ret_opened = opened;
    *ret_log = &log->base;
    return OK;
}
