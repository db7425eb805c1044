/* System calls, allocations and calls of LMDB that fail when they are told to.
 *
 * The programs of this folder are linked with `-Wl,--wrap=NAME` for every name of fault.names: what store/, views/ and
 * server/ call comes through here first. The C library and LMDB themselves are not touched. Any thread. */
#ifndef TESTS_CRASH_FAULT_H
#define TESTS_CRASH_FAULT_H

#include <stdbool.h>

enum fault_kind {
    FAULT_ALLOC,    /* malloc, calloc, realloc, strdup, strndup: NULL */
    FAULT_OPEN,     /* open */
    FAULT_READ,     /* pread, read of regular files */
    FAULT_WRITE,    /* pwrite, write of regular files */
    FAULT_SYNC,     /* fsync, fdatasync, of folders too */
    FAULT_TRUNCATE, /* ftruncate */
    FAULT_RENAME,   /* rename, unlink */
    FAULT_MAP,      /* mmap of files */
    FAULT_STAT,     /* fstat, stat, flock */
    FAULT_VIEWS,    /* LMDB: begin, put, delete, read, commit, sync … */
    FAULT_THREAD,   /* pthread_create, eventfd, inotify_init1 */
    FAULT_KINDS
};
extern const char *const fault_names[FAULT_KINDS];

enum fault_mode {
    FAULT_ONCE,   /* that call only */
    FAULT_HALF,   /* a write writes half of it; the next one fails */
    FAULT_STUCK,  /* the same, and no truncate takes it back */
    FAULT_FOREVER /* that call and all later ones of the kind */
};

struct fault_plan {
    enum fault_kind kind;
    unsigned long k; /* from 1 */
    int number;      /* errno */
    enum fault_mode mode;
};

/* Counts from zero. Nothing fails outside of fault_arm … fault_disarm. */
void fault_arm(const struct fault_plan *plan);
void fault_disarm(void);

unsigned long fault_fired(void); /* calls that failed since fault_arm */

/* After the disk has said that it could not sync this file: how often it was asked again before it was closed. Must stay 0. */
unsigned long fault_resyncs(void);

/* After a sync that failed the kernel takes the file for clean: how often a later one, of whichever descriptor, was believed without what was
 * lost having been written once more. Must stay 0. */
unsigned long fault_believed(void);

/* Called before a read, after a write of what is no regular file: of eventfds, by which threads wake each other. NULL = not. */
void fault_watch_wakes(void (*before_read)(void), void (*after_write)(void));
void fault_watch_stat(void (*before)(void)); /* before an fstat */

/* Calls of each kind that were looked at, in all runs together. */
unsigned long fault_total(enum fault_kind kind);

#endif
