/* The offset log from inside, shared by log_offset*.c only.
 *
 * How a record becomes visible: its bytes are in the file, the mapping covers them, then `end` and last `since` are stored
 * with release. Who has loaded `since` may read every frame up to it without a lock. */
#ifndef STORE_LOG_OFFSET_IMPL_H
#define STORE_LOG_OFFSET_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/buf.h"
#include "store/file.h"
#include "store/log.h"

/* Each mapping is at least twice as large as the one before: more cannot be needed. */
#define OFFSET_MAPS_MAX 32

enum offset_changed {
    CHANGED_NOT = 0,
    CHANGED_SHRUNK,
    CHANGED_REPLACED,
    CHANGED_REWRITTEN,
    CHANGED_GREW, /* an owned log to which somebody else has written */
    CHANGED_FAULT,
};

struct log_offset {
    struct log base;
    char *path;
    int fd;
    int lock_fd; /* -1 in a followed log */
    bool follow;
    enum log_codec wanted;

    atomic_int width;   /* bytes of `next`; -1 while no whole record has told */
    atomic_int changed; /* enum offset_changed; the first reason stays; also set by the SIGBUS handler */
    _Atomic(const uint8_t *) map;
    _Atomic int64_t end; /* bytes of whole records = where the next one goes */
    _Atomic int64_t since;
    _Atomic int64_t durable;
    _Atomic uint64_t identity; /* 0 until asked for */

    /* The mappings: the newest is `map`; the older ones hold records that were lent out. Appender, or under `mutex`. */
    struct {
        void *base;
        size_t size;
    } maps[OFFSET_MAPS_MAX];
    size_t n_maps;

    /* Owned: the appending thread's. */
    struct buf batch;
    int failed;       /* the code after which nothing is appended any more, or OK */
    bool sync_failed; /* nor synced */
    char cause[256];
    int64_t synced; /* bytes that are durable */
    int64_t marked; /* of them, as the lock file says; -1 = it was not written yet */

    /* Followed: under `mutex`. */
    pthread_mutex_t mutex;
    struct file_info seen; /* the file as of the last refresh that read it */
    int64_t path_checked;  /* milliseconds, monotonic */
    bool path_settled;     /* another file at the path would show in the ctime of this one */
    struct file_window window;

    /* Of the thread that calls log_warm: what lies at `warm_at` and behind it was looked at. */
    bool warming;
    int64_t warm_at, warm_least;

    _Atomic uint32_t frame_mean; /* bytes of a frame as last seen by a scan; a guess */
};

static inline struct log_offset *offset_of(struct log *log)
{
    return (struct log_offset *)log;
}

/* What readers need of the log, loaded once per call, in the order that makes it consistent. */
struct offset_view {
    int64_t since;
    int64_t end;
    int width;
    const uint8_t *map;
};

static inline struct offset_view offset_view_of(struct log_offset *log)
{
    struct offset_view view = { .since = atomic_load_explicit(&log->since, memory_order_acquire) };
    view.end = atomic_load_explicit(&log->end, memory_order_acquire);
    view.width = atomic_load_explicit(&log->width, memory_order_relaxed);
    view.map = atomic_load_explicit(&log->map, memory_order_relaxed);
    return view;
}

/* Is the whole frame of `len` bytes at `at` a deleted record? Zeros may also be pages that vanished: check for a change after it. */
bool offset_deleted(struct log_offset *log, const struct offset_view *view, int64_t at, uint32_t len);

/* ERR_CHANGED with the reason if the file is not the one that was opened any more, else OK. */
int offset_changed_check(struct log_offset *log);

/* Remembers the reason (unless there is one) and answers ERR_CHANGED. */
int offset_changed_mark(struct log_offset *log, enum offset_changed reason);

/* Makes the mapping cover `end` bytes. */
int offset_map_cover(struct log_offset *log, int64_t end);

/* ERR_CORRUPT with the offset unless an owned log is whole records up to `end`. Before anything is changed in it. */
int offset_whole_check(struct log_offset *log, int width, int64_t end);

/* Leaves a note that all is well, so that the next owner need not look. At an orderly close. */
void offset_whole_note(struct log_offset *log);

/* Lets readers see everything up to `end`, whose last record is `since`. */
void offset_publish(struct log_offset *log, int64_t since, int64_t end);

int offset_get(struct log *base, int64_t seq, struct log_record *ret_record);
void offset_prefetch(struct log *base, int64_t seq);
bool offset_warm(struct log *base);
int offset_cursor_open(struct log *base, const struct log_range *range, struct log_cursor *ret_cursor);
int offset_cursor_next(struct log_cursor *cursor, struct log_record *ret_record);
int offset_cursor_many(struct log_cursor *cursor, struct log_record *records, size_t max);
int offset_refresh(struct log *base);

#endif
