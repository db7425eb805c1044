/* What the files of the flume core share. Nobody else includes this.
 *
 * Threads: members are the indexer's unless they stand under `lock` or are atomic. `lock` is never held while a
 * callback, the log or LMDB is called. */
#ifndef VIEWS_FLUME_INTERNAL_H
#define VIEWS_FLUME_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "views/flume.h"
#include "views/flume_pending.h"
#include "views/view_batch.h"
#include "views/view_store.h"

#define FLUME_NEVER INT64_MAX /* a time that does not come */

/* ---- waiters (flume_wait.c) ----------------------------------------------------------------------------------- */

#define FLUME_WAITERS_TOLD 256 /* at a time */

struct flume_waiter {
    int64_t seq;
    uint64_t ticket;
    int64_t deadline_ms;
    uint32_t mask;
    int err; /* what it will be told */
    flume_ready_fn *fn;
    void *ctx;
};

struct flume_waiters {
    struct flume_waiter *items; /* sorted by seq, then ticket */
    size_t count, cap;
    struct flume_waiter told[FLUME_WAITERS_TOLD]; /* the indexer's: those that are being called */
    size_t late;                                  /* of them wait for a view that is late */
    uint64_t last_ticket;
    int64_t next_deadline; /* not later than the earliest one */
};

/* ---- progress (flume_status.c) ---------------------------------------------------------------------------------- */

#define FLUME_RATE_SAMPLES 8

/* Where a view stood during the last seconds; a ring. */
struct flume_rate {
    struct {
        int64_t ms;
        int64_t done;
    } samples[FLUME_RATE_SAMPLES];
    size_t count, newest;
};

/* ---- the core ------------------------------------------------------------------------------------------------- */

struct flume_slot {
    struct view view;
    unsigned bit;            /* in masks */
    struct view_state state; /* with what the open transaction holds */
    struct view_state committed;
    _Atomic int64_t since; /* of `committed`, for other threads */
    _Atomic uint64_t records;
    atomic_bool rebuild; /* asked for */
    _Atomic(const char *) why;
    struct flume_rate rate; /* under lock */
};

struct flume_failure {
    int err;
    char text[512];
};

struct flume_old_log {
    struct log *log;
    struct flume_old_log *next;
};

/* ---- gathering (flume_gather.c) ----------------------------------------------------------------------------------- */

/* Fingerprint of a view whose last record was deleted already when the view passed it. */
#define FINGERPRINT_DELETED UINT64_C(0)

/* What a stretch of the log will change in some of the views: gathered by any thread, written by the indexer. */
struct flume_gather {
    struct view_batch *batches[VIEWS_MAX]; /* by the number of the slot; made when it first takes part */
    bool takes[VIEWS_MAX];
    int64_t from, bound;  /* records above `from` up to `bound`, which are both records or SEQ_EMPTY */
    int64_t reached;      /* so far */
    uint64_t fingerprint; /* of the record there */
    uint64_t records;
    int64_t bytes;   /* of log */
    bool log_is_bad; /* an error was the log's, not the views' */
    struct message message;
};

/* Any of them reached: it is full, and may go on later. */
struct gather_limits {
    uint64_t records;
    int64_t bytes; /* of log */
    size_t memory;
    int64_t ms;
    const struct flume *hurry; /* not NULL: few records are enough when an append waits there */
    const atomic_bool *stop;   /* not NULL: give up */
};

int gather_new(struct flume_gather **ret_gather);
void gather_free(struct flume_gather *gather); /* NULL is fine */
/* Empties it for the views of `slots` that stand at `from`. */
int gather_begin(struct flume_gather *gather, struct flume *flume, const bool slots[VIEWS_MAX], int64_t from,
                 int64_t bound);
/* Goes on from where it stands. It is at its end when `reached` is `bound`. */
int gather_run(struct flume_gather *gather, struct log *log, const struct gather_limits *limits);
uint64_t gather_fingerprint(struct slice record); /* of a record for view_state; never that of a deleted one */
void gather_clear(struct flume_gather *gather);   /* what was written is forgotten; it can go on */

/* ---- long builds (flume_build.c) ---------------------------------------------------------------------------------- */

struct flume_build; /* threads that gather ahead of the indexer */

bool build_possible(const struct flume *flume);
/* For the slots of `slots`, which all stand at `from`. Views that are at `head` are kept fresh meanwhile, others wait. The functions
 * of a build are the indexer's. */
int build_start(struct flume *flume, const bool slots[VIEWS_MAX], int64_t from, int64_t bound, int64_t head);
bool build_takes(const struct flume *flume, size_t slot);
bool build_holds(const struct flume *flume, size_t slot); /* it is in a build, or must wait for the end of one */
/* The next part in the order of the log: 1, 0 = not ready yet (the indexer will be woken), <0 = the error that ended it. */
int build_part(struct flume *flume, struct flume_gather **ret_gather, bool *ret_log_is_bad);
bool build_fits(const struct flume *flume); /* false: the log was replaced */
void build_part_done(struct flume *flume);  /* it is written; after the last one the build is over */
void build_cancel(struct flume *flume);     /* stops it, forgets what was not written; none is fine */

/* ---- views that are late (flume_late.c) ---------------------------------------------------------------------------- */

/* They rest while the log grows, and catch up in one go: what they write costs less the more of it there is, and appends have the processors
 * meanwhile. */
struct flume_late {
    bool rests;
    int64_t head;     /* of the log when it was last looked at */
    int64_t moved_ms; /* when it was seen to move */
    int64_t from_ms;  /* since when they rest */
    int64_t goal;     /* up to which they catch up, before they may rest again */
    int64_t next_ms;  /* when to look again; FLUME_NEVER = they do not rest */
};

/* ---- views that lag (flume_lag.c) ---------------------------------------------------------------------------------- */

/* All views may stay behind for a moment: whoever sends what is new goes first, and a commit costs about the same for many records as for a few. */
struct flume_lag {
    int64_t linger_ms;  /* the head moved a moment before */
    int64_t from_ms;    /* since when they lag; FLUME_NEVER = they do not */
    int64_t next_ms;    /* when to look again; FLUME_NEVER = there is no lag */
    atomic_bool asleep; /* whoever wants the views must wake the indexer */
    atomic_size_t watchers;
};

/* ---- the core ------------------------------------------------------------------------------------------------- */

struct flume {
    struct flume_options options;
    char *follow_path;
    char *views_dir;

    _Atomic(struct log *) log;
    struct flume_old_log *old_logs;
    struct kv *kv;
    size_t slot_count;
    struct flume_slot slots[VIEWS_MAX];
    struct flume_slot *by_bit[VIEWS_MAX];

    pthread_t indexer;
    bool indexer_runs;
    int wake_fd;
    atomic_bool closing;
    atomic_bool gives_up;    /* flume_give_up */
    atomic_bool log_changed; /* a reader saw that the followed file is another one */

    pthread_mutex_t lock;
    /* under lock */
    struct flume_failure log_failure, view_failure;
    struct flume_waiters waiters;
    struct flume_append *queue, **queue_tail;
    size_t queue_bytes, queue_count; /* of all jobs that are not done, waiting ones of the indexer included */
    _Atomic size_t queue_new;        /* jobs the indexer has not looked at yet; atomic so that a slice can peek */

    /* indexing */
    struct kv_txn *txn; /* NULL while nothing was applied since the last commit */
    int64_t txn_bytes;
    int64_t txn_began_ms;
    bool txn_fresh;             /* holds what readers wait for, not only a step of a long build */
    int64_t retry_ms;           /* when a failure of the views is tried again */
    struct flume_gather *slice; /* NULL, or kept for the next slice */
    struct flume_build *build;  /* NULL = none */
    bool build_refused;         /* there are no threads to be had */
    size_t build_slot;          /* of the part that is being written: the next view */
    uint32_t late_mask;         /* the same for the life of the flume */
    struct flume_late late;
    struct flume_lag lag;
    atomic_bool late_rests;      /* because the log grows */
    atomic_size_t late_watchers; /* of those */

    /* appending */
    struct flume_append *parked; /* jobs that wait for the views of the chain rule */
    struct pending pending;
    int64_t pending_from; /* all messages above are in `pending`, whatever the views know */
    struct message scan;
    int64_t sync_due_ms;  /* FLUME_NEVER = everything is durable */
    int64_t sync_next_ms; /* when the disk may be asked again */
    int64_t sync_usual_us;
    size_t unsynced;
    int64_t received_ms;
    unsigned received_part; /* thousandths of a ms past it */

    int64_t warm_ms; /* from when on idle moments go to log_warm */

    /* following */
    int inotify_fd;
    int64_t reopen_ms;

    int64_t told_head;
    _Atomic uint64_t appended, commits, rebuilds;
};

/* flume.c */
void flume_wake(struct flume *flume);
void flume_tell(struct flume *flume, enum flume_event event);
void flume_tell_head(struct flume *flume); /* the event, if the head moved */
/* Keeps the first failure of its kind, with the detail of this thread, and tells it. */
void flume_fail(struct flume *flume, struct flume_failure *failure, int err);

/* flume_index.c */
/* Compares the saved state of a view with `log`: why it must be built anew, or NULL. */
const char *index_check(const struct flume_slot *slot, struct log *log);
/* Empties a view in the open transaction. */
int index_reset(struct flume *flume, struct flume_slot *slot, struct log *log, const char *why);
int index_txn(struct flume *flume);    /* makes sure that there is an open transaction */
int index_commit(struct flume *flume); /* and shows it to readers; nobody is told */
/* Throws the open transaction away and remembers why. */
void index_fail(struct flume *flume, int err, bool retry);
void index_works_again(struct flume *flume); /* a failure of the views is over */
bool index_step(struct flume *flume);        /* true = there was something to do */
void index_finish(struct flume *flume);      /* the newest records, and what is not committed yet */
void index_rebuild_asked(struct flume *flume);

/* ---- appending ------------------------------------------------------------------------------------------------ */

/* flume_queue.c: jobs from flume_append to their answer. */

struct flume_append *queue_take(struct flume *flume); /* all that wait, in the order they came */
/* Ends them: they are their callers' again from here on. */
void jobs_done(struct flume *flume, struct flume_append *jobs);
/* The verdict `err`, and what this thread knows about it; nothing of the job was stored. */
void job_set_failed(struct flume_append *job, int err);
void job_set_detail(struct flume_append *job, int err); /* the same, but for what it has of seqs */
void job_succeed(struct flume_append *job);
void job_fail(struct flume *flume, struct flume_append *job, int err); /* ends a single one */

/* Why nothing can be appended now, or OK. */
int append_failure_now(struct flume *flume);
/* The log cannot be written any more because of `err`: the code that the jobs that find it out, and all later ones, are told. */
int append_broken(struct flume *flume, int err);

/* A round: all jobs that wait, one append, one sync. The indexer's. */
struct flume_round {
    struct flume *flume;
    struct slice *values; /* of the good jobs, whose seqs and `pending` call the i-th of them -1 - i until it has one */
    size_t count, cap;
    struct flume_read read;
    bool reading;
    struct flume_append *good, **good_tail;
    bool strong; /* some of them wait for the sync */
};

/* flume_check.c: puts all of the job's values into the round, or none. With messages round->read has been begun, and the views of the chain rule
 * know, together with `pending`, all that was appended. */
int job_check(struct flume_round *round, struct flume_append *job);

/* flume_append.c */
void append_round(struct flume *flume, bool closing);
void append_sync_due(struct flume *flume, bool now);
/* How long the disk is left alone, in ms, after a sync that took `took_us`. *usual_us is the caller's memory, 0 at the beginning. */
int64_t append_pause(int64_t *usual_us, int64_t took_us);
int64_t append_next_ms(const struct flume *flume); /* the next time it has something to do */

/* flume_wait.c */
void waiters_tell(struct flume *flume, int64_t now_ms);
void waiters_fail(struct flume *flume, int err); /* all of them */

/* flume_lag.c */
void lag_open(struct flume *flume);
void lag_moved(struct flume *flume, int64_t bytes); /* the head was told, so much farther */
bool lag_now(struct flume *flume);                  /* the views may wait */

/* flume_late.c */
void late_open(struct flume *flume);                       /* before there are other threads */
void late_look(struct flume *flume, int64_t head);         /* at the beginning of a step: decides for it */
int64_t late_lowest(const struct flume *flume, bool late); /* since of the late views, or of the others */
bool late_catches_up(const struct flume *flume);           /* begun, and not to be left off by a lag of all views */
bool late_slot_rests(const struct flume *flume, size_t slot);

/* flume_follow.c */
void follow_start(struct flume *flume);
void follow_stop(struct flume *flume);
void follow_look(struct flume *flume);
void follow_drain(struct flume *flume);

/* flume_status.c */
void rate_note(struct flume *flume, int64_t now_ms); /* after a commit */

#endif
