#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/err.h"
#include "store/fnv.h"
#include "store/log_offset_frame.h"
#include "store/log_offset_impl.h"
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

/* From here on nothing is appended: what is in the file is not certain any more. */
static void offset_freeze(struct log_offset *log, int code)
{
    (void)snprintf(log->cause, sizeof log->cause, "%s", err_detail(code));
    log->failed = code;
}

/* Takes back what a failed append has left. Answers the code of the append with its detail. */
static int append_undo(struct log_offset *log, int code)
{
    char detail[512];
    (void)snprintf(detail, sizeof detail, "%s", err_detail(code));
    int err = file_truncate(log->fd, log->path, atomic_load(&log->end));
    if (err != OK) offset_freeze(log, err);
    return err_set(code, "%s", detail);
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

static int offset_sync(struct log *base)
{
    struct log_offset *log = offset_of(base);
    if (log->sync_failed) return err_set(log->failed, "%s: not durable since an error: %s", log->path, log->cause);
    int64_t since = atomic_load(&log->since);
    if (atomic_load(&log->durable) == since) return OK;
    int err = file_sync(log->fd, log->path);
    if (err != OK) {
        offset_freeze(log, err);
        log->sync_failed = true;
        return err;
    }
    atomic_store(&log->durable, since);
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
    for (size_t i = 0; i < log->n_maps; i++) {
        mapguard_remove(log->maps[i].base);
        file_unmap(log->maps[i].base, log->maps[i].size);
    }
    file_close(log->fd);
    /* The name of a process that is gone would mislead; the file stays, for removing it would race with the next owner. */
    if (log->lock_fd >= 0) (void)file_truncate(log->lock_fd, log->path, 0);
    file_close(log->lock_fd);
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
    .since = offset_since,
    .durable = offset_durable,
    .identity = offset_identity,
    .bytes = offset_bytes,
    .refresh = offset_refresh,
    .prefetch = offset_prefetch,
    .sync = offset_sync,
    .close = offset_close,
};

static int lock_busy(struct log_offset *log, int lock_fd, const char *lock_path)
{
    char pid[24] = { 0 };
    size_t len = 0;
    (void)file_read(lock_fd, lock_path, pid, sizeof pid - 1, 0, &len);
    pid[strspn(pid, "0123456789")] = '\0';
    return err_set(ERR_BUSY, "%s: in use by process %s: stop it, or follow the log instead of owning it", log->path,
                   pid[0] != '\0' ? pid : "(unknown)");
}

static int open_lock(struct log_offset *log)
{
    char lock_path[4096];
    int len = snprintf(lock_path, sizeof lock_path, "%s.lock", log->path);
    if (len < 0 || (size_t)len >= sizeof lock_path) return err_set(ERR_ARG, "%s: the path is too long", log->path);
    int err = file_open(lock_path, O_RDWR | O_CREAT, &log->lock_fd);
    if (err != OK) return err;
    int locked = file_lock(log->lock_fd, lock_path);
    if (locked <= 0) {
        err = locked < 0 ? locked : lock_busy(log, log->lock_fd, lock_path);
        file_close(log->lock_fd);
        log->lock_fd = -1;
        return err;
    }
    char pid[24];
    len = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    err = file_truncate(log->lock_fd, lock_path, 0);
    return err == OK ? file_write(log->lock_fd, lock_path, pid, (size_t)len, 0) : err;
}

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

/* Finds the codec and the last whole record, cuts a torn tail if the log is owned, and publishes the head. */
static int open_head(struct log_offset *log, struct log_offset_opened *opened)
{
    int64_t size = log->seen.size;
    file_window_init(&log->window, log->fd, log->path, size, true);
    bool torn;
    int err = frame_sniff(&log->window, log->wanted, &opened->codec, &torn);
    if (err != OK) return err;
    bool empty = torn || size == 0;
    if (opened->codec == LOG_CODEC_AUTO && !log->follow) opened->codec = LOG_CODEC_53;
    int width = frame_width(opened->codec);
    int64_t end = 0;
    int64_t since = SEQ_EMPTY;
    if (!empty) err = tail_find(&log->window, width, &end, &since);
    if (err == OK && end < size && !log->follow && width > 0) err = tail_cut(log->fd, log->path, end, size, opened);
    if (err == OK && !log->follow) err = file_sync(log->fd, log->path);
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
    log->follow = options->follow;
    log->wanted = options->codec;
    buf_init(&log->batch, WRITE_MAX + LOG_RECORD_MAX + FRAME_HEAD + FRAME_TAIL_MAX);
    (void)pthread_mutex_init(&log->mutex, NULL);
    atomic_store(&log->since, SEQ_EMPTY);
    atomic_store(&log->durable, SEQ_EMPTY);
    int err = log->follow ? OK : open_lock(log);
    if (err == OK) err = open_file(log);
    if (err == OK) err = open_head(log, &opened);
    if (err != OK) {
        offset_close(&log->base);
        return err;
    }
    if (ret_opened != NULL) *ret_opened = opened;
    *ret_log = &log->base;
    return OK;
}
