/* What is readable of a damaged log, into a new file. Every whole record keeps its bytes and its seq: a damaged range is filled with
 * deleted records, which are zero bytes in this format, so that what follows stays where it is, with the offsets in its frames. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/err.h"
#include "store/log_offset_frame.h"

#define BLOCK ((size_t)1 << 20)
#define NAMES_MAX 1000

/* Zero bytes of one filling record: small enough for every reader. */
#define FILL_MAX ((int64_t)64 << 10)

struct salvage {
    const char *from, *to; /* paths */
    int from_fd, to_fd;    /* to_fd -1: nothing is written */
    int width;
    int64_t copied;  /* of `from`: what is before it is dealt with */
    int64_t written; /* of `to` */
    struct log_salvaged told;
    struct buf block;
    log_damage_fn *fn;
    void *ctx;
    int err;
};

/* ---- writing ---- */

static int salvage_write(struct salvage *salvage, const void *data, size_t len)
{
    int err = salvage->to_fd < 0 ? OK : file_write(salvage->to_fd, salvage->to, data, len, salvage->written);
    salvage->written += (int64_t)len;
    return err;
}

static int salvage_copy(struct salvage *salvage, int64_t end)
{
    if (salvage->to_fd < 0) salvage->written += end - salvage->copied;
    while (salvage->to_fd >= 0 && salvage->copied < end) {
        size_t want = end - salvage->copied < (int64_t)BLOCK ? (size_t)(end - salvage->copied) : BLOCK, len = 0;
        int err = file_read(salvage->from_fd, salvage->from, salvage->block.data, want, salvage->copied, &len);
        if (err == OK && len == 0) err = err_set(ERR_CHANGED, "%s: shrinks while it is read", salvage->from);
        if (err == OK) err = salvage_write(salvage, salvage->block.data, len);
        if (err != OK) return err;
        salvage->copied += (int64_t)len;
    }
    salvage->copied = end;
    return OK;
}

/* Deleted records of `bytes` altogether. */
static int salvage_fill(struct salvage *salvage, int64_t bytes)
{
    static const char zeros[FILL_MAX];
    const int64_t least = frame_size(salvage->width == 0 ? 1 : 0, salvage->width);
    while (bytes > 0) {
        int64_t size = bytes < FILL_MAX ? bytes : FILL_MAX;
        if (bytes > size && bytes - size < least) size -= least;
        buf_reset(&salvage->block);
        int err = frame_put(&salvage->block, (struct slice){ zeros, (size_t)(size - frame_size(0, salvage->width)) },
                            salvage->written, salvage->width);
        if (err == OK) err = salvage_write(salvage, salvage->block.data, salvage->block.len);
        if (err != OK) return err;
        salvage->told.filled++;
        bytes -= size;
    }
    return OK;
}

/* A range that is too short for a record can only stand between frames that do not say where they are. */
static int salvage_range(struct salvage *salvage, const struct log_damage *damage)
{
    int64_t least = frame_size(salvage->width == 0 ? 1 : 0, salvage->width);
    int err = salvage_copy(salvage, damage->at);
    if (err != OK) return err;
    salvage->copied = damage->at + damage->bytes;
    if (damage->tail) {
        salvage->told.cut_bytes = damage->bytes;
        return OK;
    }
    salvage->told.ranges++;
    salvage->told.lost_bytes += damage->bytes;
    if (damage->bytes >= least) return salvage_fill(salvage, damage->bytes);
    if (salvage->width == 0) return OK;
    return err_set(ERR_CORRUPT, "%s: the damaged range at offset %" PRId64 " is shorter than any record", salvage->from,
                   damage->at);
}

static void on_damage(void *ctx, const struct log_damage *damage)
{
    struct salvage *salvage = ctx;
    if (salvage->fn != NULL) salvage->fn(salvage->ctx, damage);
    if (salvage->err == OK && salvage->width >= 0) salvage->err = salvage_range(salvage, damage);
}

/* ---- the new file ---- */

static int salvage_name(const char *path, char *out, size_t size)
{
    for (int i = 1; i <= NAMES_MAX; i++) {
        char suffix[16] = "";
        struct file_info info;
        if (i > 1) (void)snprintf(suffix, sizeof suffix, "-%d", i);
        int len = snprintf(out, size, "%s.salvaged%s", path, suffix);
        if (len < 0 || (size_t)len + sizeof ".tmp" > size) return err_set(ERR_ARG, "%s: the path is too long", path);
        int err = file_stat_path(out, &info);
        if (err == ERR_NOFILE) return OK;
        if (err != OK) return err;
    }
    return err_set(ERR_LIMIT, "%s.salvaged: %d such files are there already; move them away", path, NAMES_MAX);
}

/* Nobody may append meanwhile. A log without a lock file has no owner. */
static int salvage_lock(const char *path, int *ret_fd)
{
    char lock[4096];
    int fd;
    int len = snprintf(lock, sizeof lock, "%s.lock", path);
    if (len < 0 || (size_t)len >= sizeof lock) return err_set(ERR_ARG, "%s: the path is too long", path);
    int err = file_open(lock, O_RDONLY, &fd);
    if (err != OK) return err == ERR_NOFILE ? OK : err;
    int locked = file_lock(fd, lock);
    if (locked == 1) {
        *ret_fd = fd;
        return OK;
    }
    file_close(fd);
    return locked < 0 ? locked : err_set(ERR_BUSY, "%s: another process has it open for writing: stop it first", path);
}

/* Two passes: the first finds out the codec, and whether there is anything to do. */
static int salvage_run(struct salvage *salvage, const struct log_offset_options *options)
{
    struct file_info info;
    salvage->width = -1;
    int err =
        log_offset_verify(options, NULL, NULL, &salvage->told.codec, &salvage->told.records, &salvage->told.deleted);
    if (err != ERR_CORRUPT || salvage->told.codec == LOG_CODEC_AUTO) return err;
    err = file_open(salvage->from, O_RDONLY, &salvage->from_fd);
    if (err == OK && salvage->to != NULL) err = file_open(salvage->to, O_WRONLY | O_CREAT | O_TRUNC, &salvage->to_fd);
    if (err != OK) return err;
    if (salvage->to_fd >= 0) err = file_take_mode(salvage->to_fd, salvage->to, salvage->from_fd);
    if (err != OK) return err;
    struct log_offset_options again = *options;
    again.codec = salvage->told.codec;
    salvage->width = frame_width(again.codec);
    err = log_offset_verify(&again, on_damage, salvage, NULL, &salvage->told.records, &salvage->told.deleted);
    if (err == ERR_CORRUPT) err = salvage->err;
    /* the tail, if it is damaged, was dealt with as the last range */
    if (err == OK) err = file_stat(salvage->from_fd, salvage->from, &info);
    if (err == OK) err = salvage_copy(salvage, info.size);
    if (err == OK && salvage->to_fd >= 0) err = file_sync(salvage->to_fd, salvage->to);
    return err;
}

/* What was written is read once more before it gets its name. */
static int salvage_prove(const struct salvage *salvage)
{
    const struct log_offset_options options = { .path = salvage->to, .follow = true, .codec = salvage->told.codec };
    int64_t records = 0, deleted = 0;
    int err = log_offset_verify(&options, NULL, NULL, NULL, &records, &deleted);
    if (err != OK) return err;
    if (records == salvage->told.records + salvage->told.filled) return OK;
    return err_set(ERR_CORRUPT, "%s: holds %" PRId64 " records, %" PRId64 " were to be in it", salvage->to, records,
                   salvage->told.records + salvage->told.filled);
}

static int salvage_finish(const struct salvage *salvage, const char *name)
{
    int err = salvage_prove(salvage);
    if (err == OK) err = file_rename(salvage->to, name);
    return err == OK ? file_sync_folder(name) : err;
}

int log_offset_salvage(const struct log_offset_options *options, bool write, log_damage_fn *fn, void *ctx,
                       struct log_salvaged *ret_told)
{
    char temp[sizeof ret_told->path];
    struct salvage salvage = { .from = options->path, .from_fd = -1, .to_fd = -1, .fn = fn, .ctx = ctx };
    int lock_fd = -1;
    buf_init(&salvage.block, 2 * BLOCK);
    int err = buf_reserve(&salvage.block, BLOCK);
    if (err != OK) err = err_set(ERR_NOMEM, "%s: no memory to read it", options->path);
    if (err == OK) err = salvage_lock(options->path, &lock_fd);
    if (err == OK) err = salvage_name(options->path, salvage.told.path, sizeof salvage.told.path);
    if (err == OK && write) {
        (void)snprintf(temp, sizeof temp, "%.*s.tmp", (int)(sizeof temp - sizeof ".tmp"), salvage.told.path);
        salvage.to = temp;
    }
    if (err == OK) err = salvage_run(&salvage, options);
    bool made = salvage.to_fd >= 0;
    file_close(salvage.from_fd);
    file_close(salvage.to_fd);
    if (err == OK && made) err = salvage_finish(&salvage, salvage.told.path);
    if (err != OK && made) (void)unlink(temp);
    file_close(lock_fd);
    buf_free(&salvage.block);
    if (err == OK) *ret_told = salvage.told;
    return err;
}
