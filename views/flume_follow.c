#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "store/err.h"
#include "views/flume_internal.h"

/* The folder is watched, not the file, so that a file which takes the place of another by rename is seen as well. */
void follow_start(struct flume *flume)
{
    if (flume->follow_path == NULL) return;
    char path[PATH_MAX];
    if (realpath(flume->follow_path, path) == NULL) return;
    flume->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    uint32_t mask = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE;
    if (flume->inotify_fd < 0 || inotify_add_watch(flume->inotify_fd, dirname(path), mask) < 0)
        follow_stop(flume); /* the poll alone will do */
}

void follow_stop(struct flume *flume)
{
    if (flume->inotify_fd >= 0) close(flume->inotify_fd);
    flume->inotify_fd = -1;
}

/* What the events say does not matter: the file is looked at after every wake-up. */
void follow_drain(struct flume *flume)
{
    char events[4096];
    if (flume->inotify_fd < 0) return;
    for (int i = 0; i < 64; i++)
        if (read(flume->inotify_fd, events, sizeof events) <= 0) return;
}

static int follow_check_views(struct flume *flume, struct log *log)
{
    int err = index_txn(flume);
    for (size_t i = 0; err == OK && i < flume->slot_count; i++) {
        struct flume_slot *slot = &flume->slots[i];
        const char *why = index_check(slot, log);
        if (why != NULL) err = index_reset(flume, slot, log, why);
    }
    if (err == OK) err = index_commit(flume);
    if (err == OK) index_works_again(flume);
    return err;
}

/* The views are made to fit the new log and committed before it is put in place: see flume_read_begin. */
static void follow_reopen(struct flume *flume)
{
    struct log *log = NULL;
    struct flume_old_log *old = malloc(sizeof *old);
    if (old == NULL) return;
    if (flume->options.open_log(flume->options.open_ctx, &log) != OK) {
        free(old);
        return;
    }
    int err = follow_check_views(flume, log);
    if (err != OK) {
        index_fail(flume, err, true);
        log_close(log);
        free(old);
        return;
    }
    *old = (struct flume_old_log){ .log = atomic_load(&flume->log), .next = flume->old_logs };
    flume->old_logs = old;
    atomic_store(&flume->log, log);
    atomic_store(&flume->log_changed, false);
    follow_stop(flume);
    follow_start(flume);
    flume->told_head = log_durable(log);
    flume_tell(flume, FLUME_CHANGED);
    flume_tell(flume, FLUME_HEAD);
}

void follow_look(struct flume *flume)
{
    if (flume->follow_path == NULL) return;
    if (log_refresh(atomic_load(&flume->log)) == ERR_CHANGED) atomic_store(&flume->log_changed, true);
    if (!atomic_load(&flume->log_changed)) return;
    int64_t now = flume_now_ms();
    if (now < flume->reopen_ms) return;
    flume->reopen_ms = now + flume->options.poll_ms;
    follow_reopen(flume);
}
