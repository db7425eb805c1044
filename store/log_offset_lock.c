#include "store/log_offset_lock.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/err.h"

#define LOCK_PATH_MAX 4096
#define LOCK_PID_DIGITS 10
#define LOCK_END_DIGITS 16 /* of SEQ_MAX */
#define LOCK_BYTES (LOCK_PID_DIGITS + 1 + LOCK_END_DIGITS + 1)

static int lock_path(const struct log_offset *log, char out[LOCK_PATH_MAX])
{
    int len = snprintf(out, LOCK_PATH_MAX, "%s.lock", log->path);
    return len < 0 || len >= LOCK_PATH_MAX ? err_set(ERR_ARG, "%s: the path is too long", log->path) : OK;
}

static int lock_busy(const struct log_offset *log, const char *text)
{
    long pid = strtol(text, NULL, 10);
    char owner[32] = "(unknown)";
    if (pid > 0) (void)snprintf(owner, sizeof owner, "%ld", pid);
    return err_set(ERR_BUSY, "%s: in use by process %s: stop it, or follow the log instead of owning it", log->path,
                   owner);
}

/* Nothing but what lock_write has written counts. */
static int64_t lock_end(const char *text)
{
    int64_t end = 0;
    if (strlen(text) != LOCK_BYTES || text[LOCK_PID_DIGITS] != ' ' || text[LOCK_BYTES - 1] != '\n') return -1;
    for (int i = 0; i < LOCK_END_DIGITS; i++) {
        char digit = text[LOCK_PID_DIGITS + 1 + i];
        if (digit < '0' || digit > '9') return -1;
        end = end * 10 + (digit - '0');
    }
    return end;
}

static int lock_write(struct log_offset *log, long pid)
{
    char path[LOCK_PATH_MAX];
    char text[64];
    int err = lock_path(log, path);
    if (err != OK) return err;
    (void)snprintf(text, sizeof text, "%0*ld %0*" PRId64 "\n", LOCK_PID_DIGITS, pid, LOCK_END_DIGITS, log->synced);
    return file_write(log->lock_fd, path, text, LOCK_BYTES, 0);
}

int lock_open(struct log_offset *log, int64_t *ret_end)
{
    char path[LOCK_PATH_MAX];
    char text[LOCK_BYTES + 2] = { 0 };
    size_t len = 0;
    int fd = -1;
    int err = lock_path(log, path);
    if (err == OK) err = file_open(path, O_RDWR | O_CREAT, &fd);
    if (err != OK) return err;
    int locked = file_lock(fd, path);
    err = locked < 0 ? locked : file_read(fd, path, text, LOCK_BYTES + 1, 0, &len);
    if (err == OK && locked == 0) err = lock_busy(log, text);
    if (err != OK) {
        file_close(fd);
        return err;
    }
    log->lock_fd = fd;
    *ret_end = strtol(text, NULL, 10) > 0 ? lock_end(text) : -1;
    return OK;
}

int lock_mark(struct log_offset *log, bool sync)
{
    int err = lock_write(log, (long)getpid());
    if (err == OK && sync) err = file_sync(log->lock_fd, log->path);
    if (err == OK && sync) err = file_sync_folder(log->path);
    if (err == OK) log->marked = log->synced;
    return err;
}

void lock_close(struct log_offset *log)
{
    if (log->lock_fd < 0) return;
    /* No orderly end, and the old mark stays, if it could not be written yet, or an fsync of the log has failed. */
    if (log->marked >= 0 && !log->sync_failed) (void)lock_write(log, 0);
    file_close(log->lock_fd);
    log->lock_fd = -1;
}
