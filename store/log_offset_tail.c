#include "store/log_offset_tail.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/err.h"
#include "store/zero.h"

#define CUT_NAMES_MAX 1000

/* 1 if a whole frame ends at `end` and is either the first or follows on a frame that ends where it starts. */
static int tail_ends_at(struct file_window *window, int64_t end, int width, int64_t *ret_start)
{
    int64_t start;
    int got = frame_read_back(window, end, width, &start);
    if (got <= 0) return got;
    if (start > 0 && width == 0) {
        int64_t before;
        got = frame_read_back(window, start, width, &before);
    } else if (start > 0) {
        const uint8_t *next;
        got = file_window_get(window, start - width, (size_t)width, &next);
        if (got == 1 && frame_be(next, width) != (uint64_t)start) got = 0;
    }
    if (got == 1) *ret_start = start;
    return got;
}

int tail_find(struct file_window *window, int width, int64_t *ret_end, int64_t *ret_since)
{
    int64_t size = window->size;
    for (int64_t end = size; end > 0; end--) {
        if (size - end > TAIL_CUT_MAX)
            return err_set(ERR_CORRUPT, "%s: no whole record in its last %lld bytes; see `sluice verify`", window->path,
                           (long long)TAIL_CUT_MAX);
        int64_t start = 0;
        int got = tail_ends_at(window, end, width, &start);
        if (got < 0) return got;
        if (got == 0) continue;
        *ret_end = end;
        *ret_since = start;
        return OK;
    }
    *ret_end = 0;
    *ret_since = SEQ_EMPTY;
    return OK;
}

/* What a disk writes all of or nothing. */
#define SECTOR ((int64_t)512)

/* 1 if all bytes from `at` to `end` are zero. */
static int range_is_zero(struct file_window *window, int64_t at, int64_t end)
{
    while (at < end) {
        const uint8_t *bytes;
        size_t len = end - at < SECTOR ? (size_t)(end - at) : (size_t)SECTOR;
        int got = file_window_get(window, at, len, &bytes);
        if (got <= 0) return got;
        if (!bytes_zero((const char *)bytes, len)) return 0;
        at += (int64_t)len;
    }
    return 1;
}

/* 1 if a part of the frame from `at` to `end` never reached the disk although its ends look right: then a sector's share of it, with
 * some of the data in that, is nothing but zeros. Data of nothing but zeros is a deleted record. */
static int frame_has_gap(struct file_window *window, int64_t at, int64_t end, uint32_t len)
{
    int64_t data = at + FRAME_HEAD;
    int zero = 0;
    for (int64_t from = at, to; zero == 0 && from < data + len; from = to) {
        to = (from / SECTOR + 1) * SECTOR;
        if (to > end) to = end;
        if (to > data) zero = range_is_zero(window, from, to);
    }
    if (zero <= 0) return zero;
    int all = range_is_zero(window, data, data + len);
    return all < 0 ? all : !all;
}

int tail_find_from(struct file_window *window, int width, int64_t mark, int64_t *ret_end, int64_t *ret_since)
{
    int64_t since = SEQ_EMPTY;
    int64_t end = mark;
    int got = mark == 0 ? 1 : frame_read_back(window, mark, width, &since);
    if (got <= 0) return got;
    file_window_init(window, window->fd, window->path, window->size, false);
    for (;;) {
        enum frame_state state;
        uint32_t len = 0;
        int err = frame_read(window, end, width, &state, &len);
        if (err != OK) return err;
        if (state != FRAME_WHOLE) break;
        int64_t next = end + frame_size(len, width);
        int gap = frame_has_gap(window, end, next, len);
        if (gap < 0) return gap;
        if (gap == 1) break;
        since = end;
        end = next;
    }
    if (window->size - end > TAIL_CUT_MAX)
        return err_set(ERR_CORRUPT, "%s: damaged record at offset %lld; see `sluice verify`", window->path,
                       (long long)end);
    *ret_end = end;
    *ret_since = since;
    return 1;
}

static int cut_name(const char *path, int64_t end, char *out, size_t size)
{
    for (int i = 1; i <= CUT_NAMES_MAX; i++) {
        char suffix[16] = "";
        if (i > 1) (void)snprintf(suffix, sizeof suffix, "-%d", i);
        int len = snprintf(out, size, "%s.cut-%lld%s", path, (long long)end, suffix);
        if (len < 0 || (size_t)len + sizeof ".tmp" > size) return err_set(ERR_ARG, "%s: the path is too long", path);
        struct file_info info;
        int err = file_stat_path(out, &info);
        if (err == ERR_NOFILE) return OK;
        if (err != OK) return err;
    }
    return err_set(ERR_LIMIT, "%s.cut-%lld: %d such files are there already; move them away", path, (long long)end,
                   CUT_NAMES_MAX);
}

static int copy_range(int from, const char *from_path, int64_t at, int64_t end, int to, const char *to_path)
{
    char block[(size_t)64 << 10];
    for (int64_t done = 0; at + done < end;) {
        size_t want = end - at - done < (int64_t)sizeof block ? (size_t)(end - at - done) : sizeof block;
        size_t len;
        int err = file_read(from, from_path, block, want, at + done, &len);
        if (err == OK && len == 0) err = err_set(ERR_CHANGED, "%s: shrinks while it is read", from_path);
        if (err == OK) err = file_write(to, to_path, block, len, done);
        if (err != OK) return err;
        done += (int64_t)len;
    }
    return OK;
}

int tail_rewrite(int fd, const char *path, int64_t at, int64_t end)
{
    char block[(size_t)64 << 10];
    while (at < end) {
        size_t want = end - at < (int64_t)sizeof block ? (size_t)(end - at) : sizeof block;
        size_t len;
        int err = file_read(fd, path, block, want, at, &len);
        if (err == OK && len == 0) err = err_set(ERR_CHANGED, "%s: shrinks while it is read", path);
        if (err == OK) err = file_write(fd, path, block, len, at);
        if (err != OK) return err;
        at += (int64_t)len;
    }
    return OK;
}

/* All or nothing under its final name, and on the disk when this answers OK. */
static int cut_save(int fd, const char *path, int64_t end, int64_t size, const char *name)
{
    char temp[sizeof((struct log_offset_opened *)0)->cut_path];
    (void)snprintf(temp, sizeof temp, "%.*s.tmp", (int)(sizeof temp - sizeof ".tmp"), name);
    int out_fd = -1;
    int err = file_open(temp, O_WRONLY | O_CREAT | O_TRUNC, &out_fd);
    if (err != OK) return err;
    err = file_take_mode(out_fd, temp, fd);
    if (err == OK) err = copy_range(fd, path, end, size, out_fd, temp);
    if (err == OK) err = file_sync(out_fd, temp);
    file_close(out_fd);
    if (err == OK) err = file_rename(temp, name);
    if (err != OK) (void)unlink(temp);
    return err == OK ? file_sync_folder(name) : err;
}

int tail_cut(int fd, const char *path, int64_t end, int64_t size, struct log_offset_opened *ret_opened)
{
    char name[sizeof ret_opened->cut_path];
    int err = cut_name(path, end, name, sizeof name);
    if (err == OK) err = cut_save(fd, path, end, size, name);
    if (err == OK) err = file_truncate(fd, path, end);
    if (err != OK) return err;
    ret_opened->cut_at = end;
    ret_opened->cut_bytes = size - end;
    memcpy(ret_opened->cut_path, name, sizeof name);
    return OK;
}
