/* Log and views together: the flume core.
 *
 * One indexer thread owns the log's write side and every write to the views. Everybody else reads: the log directly (log.h), views through a
 * read snapshot, and waits by leaving a function that is called when a seq is indexed. All functions are for any thread unless they say otherwise. */
#ifndef VIEWS_FLUME_H
#define VIEWS_FLUME_H

#include "store/feed.h"
#include "views/flume_expect.h"
#include "views/view.h"

struct flume;

/* What happened, told from the indexer thread. Must return at once and must not call flume_close. */
enum flume_event {
    FLUME_HEAD,    /* records became durable: live readers of the log can go on */
    FLUME_INDEXED, /* at least one view went forward and is committed */
    FLUME_CHANGED, /* the followed log was replaced: streams over the old one must end */
    FLUME_FAILED,  /* the log or the views cannot be written any more; flume_failure says why */
};
typedef void flume_event_fn(void *ctx, enum flume_event event);

/* How far the views that are `late` (view.h) may fall behind while the log grows; 0 = as it comes. A reader who waits for them, or follows
 * them (flume_watch), makes them catch up at once. */
struct flume_late_limits {
    unsigned pause_ms; /* the log has not grown for so long: they catch up; 50 */
    unsigned ms;       /* the longest that they rest; 2000 */
    int64_t bytes;     /* of log that they miss at most; 64 MiB */
};

/* How far all views may fall behind while the log grows, so that a commit takes many records; 0 = as it comes. A reader who waits for views, or
 * follows them, ends it at once. What the views do not know is held in memory, some 200 to 400 bytes a message. */
struct flume_lag_limits {
    unsigned linger_ms; /* after the log has grown, if no more appends wait; 2, and longer after a large batch */
    unsigned ms;        /* the longest; 100, but 20 at most while somebody follows a view (flume_watch) */
    size_t entries;     /* of what is held: one a message, and one a feed; 8000 */
    int64_t bytes;      /* of log; 4 MiB */
};

struct flume_options {
    /* Opens the log; called again when a followed log was replaced. */
    int (*open_log)(void *ctx, struct log **ret_log);
    void *open_ctx;
    const char
        *follow_path; /* the followed file, watched with inotify and polled slowly besides; NULL = owned log, "" = a log
                                that is no file: it is looked at by flume_head and by the clock */
    const char *views_dir; /* created if absent */
    bool accept_any;       /* appends take any JSON value instead of valid messages */
    /* Ended by NULL; NULL = view_list. In masks a built-in view has the bit of its view_id, whatever else is in the list; others
     * have the bits from VIEW_COUNT on, in the order of the list. */
    const struct view_ops *const *views;
    /* While it says so no indexing is begun, for the sake of others; asked by the indexer, at the latest after poll_ms again. NULL = never. */
    bool (*yields)(void *ctx);
    void *yields_ctx;
    flume_event_fn *on_event; /* may be NULL */
    void *event_ctx;
    unsigned poll_ms;        /* how often a followed file is looked at without an event; 0 = 500 */
    uint64_t gather_max;     /* records gathered at once in a long build; 0 = as memory allows */
    size_t append_queue_max; /* bytes of records waiting for the indexer, 0 = 64 MiB; over it ERR_QUEUE */
    struct flume_late_limits late;
    struct flume_lag_limits lag;
};

/* Opens log and views and starts the indexer; views that are behind are built while everything else works. */
int flume_open(const struct flume_options *options, struct flume **ret_flume);

/* Finishes the appends that were taken, makes them durable, ends waiters with ERR_CLOSED, commits. Reading goes on until flume_close. */
void flume_end(struct flume *flume);

/* flume_end, and closes log and views. NULL is fine. */
void flume_close(struct flume *flume);

/* Nobody waits for an answer any more: whatever goes through much ends with ERR_CLOSED when it looks at the clock next, so that flume_close can
 * come. Any thread. */
void flume_give_up(struct flume *flume);

/* The log as it is now. A log that was replaced stays open (and its records valid) until flume_close. */
struct log *flume_log(struct flume *flume);

/* The newest seq that may be shown: durable, and in a followed log what the file holds as of this call. */
int64_t flume_head(struct flume *flume);

/* 0, or why nothing can be appended or indexed any more (err_detail for this thread is set). Reading goes on. */
int flume_failure(struct flume *flume);

/* ---- reading views ------------------------------------------------------------------------------------------- */

/* A snapshot of all views. Hold it only while answering. */
struct flume_read {
    struct flume *flume;
    struct log *log;
    struct kv_txn *txn;
    int64_t deadline_ms; /* CLOCK_MONOTONIC: what goes through much gives up then; INT64_MAX after flume_read_begin */
};
int flume_read_begin(struct flume *flume, struct flume_read *ret_read);

/* OK, ERR_SLOW once the deadline is over, ERR_CLOSED after flume_give_up. Looks at the clock. */
int flume_read_late(const struct flume_read *read);

/* `fn` is called by flume_read_late in this thread from now on: whoever goes through much lets others go first there. NULL = nothing is. */
void flume_read_look(void (*fn)(void));
void flume_read_end(struct flume_read *read);

/* A view by its id or name, with the handles of its tables; NULL if there is none. */
const struct view *flume_view(const struct flume *flume, enum view_id id);
const struct view *flume_view_named(const struct flume *flume, const char *name);

/* The seq up to which the view's tables in this snapshot speak; SEQ_EMPTY while empty. */
int64_t flume_read_since(const struct flume_read *read, const struct view *view);

/* ---- waiting: read your writes ------------------------------------------------------------------------------- */

/* err: OK = the views are there; ERR_TIMEOUT, ERR_CLOSED, ERR_IO… = they will not be. Called exactly once, from the indexer thread. */
typedef void flume_ready_fn(void *ctx, int err);

/* The lowest since of the views in `mask` as committed now; SEQ_MAX for an empty mask. */
int64_t flume_since(struct flume *flume, uint32_t mask);

#define FLUME_WAITERS_MAX 65536

/* 1 = the views of `mask` are at `seq` already and fn is not called; 0 = fn will be called, at the latest at `deadline_ms` of CLOCK_MONOTONIC;
 * <0 error (ERR_QUEUE: there are FLUME_WAITERS_MAX already), fn is not called. A seq above the log's head waits for it to come. Waiters
 * are called in the order of their seqs. */
int flume_wait(struct flume *flume, uint32_t mask, int64_t seq, int64_t deadline_ms, flume_ready_fn *fn, void *ctx,
               uint64_t *ret_ticket);
/* true = it will not be called any more; false = it was called or is being called. */
bool flume_wait_cancel(struct flume *flume, uint64_t ticket);
int64_t flume_now_ms(void); /* CLOCK_MONOTONIC */

/* Somebody begins or ceases to follow what the views of `mask` say: late ones among them do not rest meanwhile. */
void flume_watch(struct flume *flume, uint32_t mask, bool begins);

/* The late views that are left behind at this moment because the log grows. */
uint32_t flume_resting(const struct flume *flume);

/* ---- appending ------------------------------------------------------------------------------------------------ */

struct flume_append;
/* Makes job->messages[0] as the one that comes next in the feed, which stands at `state`: checked by feed_check, without its record's time. Indexer
 * thread; must not block. OK, or the error that the job ends with. */
typedef int flume_make_fn(struct flume_append *job, const struct feed_state *state);

/* Called once from the indexer thread when the job is over; the job is the caller's again. */
typedef void flume_append_fn(struct flume_append *job);

/* All or none of `count` values. The caller fills the first part and keeps everything alive until `done` was called. */
struct flume_append {
    /* accept ssb: messages checked by feed_check, with their records made; accept any: NULL */
    struct feed_message *messages;
    /* accept any: raw values as they will be stored */
    const struct slice *values;
    size_t count;
    /* Instead of one message that is there already: `messages` is room for one, zeroed, and it is made when its turn in the feed of
     * `author` has come. So messages of one feed can come from many threads and none of them forks it. */
    flume_make_fn *make; /* NULL: the messages are there */
    struct ref author;
    const struct flume_expect *expect; /* NULL: nothing is */
    bool relaxed;                      /* done as soon as the log has it; otherwise after fsync */
    int64_t deadline_ms; /* give up (ERR_TIMEOUT) if the views that the chain rule needs are not built by then */
    flume_append_fn *done;
    void *ctx;

    /* results */
    int err; /* OK, ERR_FORK, ERR_STALE, ERR_INVALID, ERR_READONLY, ERR_NOSPACE, ERR_IO, ERR_TIMEOUT, ERR_CLOSED … */
    size_t index; /* of the value that is to blame, for ERR_FORK, ERR_STALE and ERR_INVALID */
    struct ref
        stored; /* ERR_FORK: the message that it would stand beside; ERR_STALE: the feed's newest, or kind REF_NONE */
    char detail[512];  /* the sentence that goes with err */
    int64_t *seqs;     /* count of them, given by the caller: where each value stands */
    size_t duplicates; /* values that were in the log already: their first seq is answered, nothing is stored */

    struct flume_append *next; /* the queue's */
};

/* 0 = queued, `done` will be called; <0 (ERR_QUEUE, ERR_READONLY, ERR_CLOSED) = it will not. */
int flume_append(struct flume *flume, struct flume_append *job);

/* ---- views as such -------------------------------------------------------------------------------------------- */

/* Empties the view and builds it anew in the background; name NULL = all. ERR_NOTFOUND. */
int flume_rebuild(struct flume *flume, const char *name);

struct flume_view_status {
    const char *name;
    uint32_t version;
    int64_t since;
    bool ready;    /* at the head (of the moment) */
    bool resting;  /* not ready, because it is late and the log grows: whoever waits for it has it at once */
    int64_t done;  /* bytes of log that are indexed */
    int64_t total; /* bytes of log */
    double eta;    /* seconds until it is ready at the present rate; 0 when ready, -1 = not known yet */
    const char *
        why; /* of the last build from zero since the start: "new", "version", "log", "position", "asked", "unsafe"; NULL = there was none */
};

struct flume_status {
    int64_t head; /* the log's since */
    int64_t durable;
    int64_t bytes; /* whole records of the log */
    int64_t
        count; /* records indexed by the view that is farthest, deleted ones left out: the log's when that view is ready */
    uint64_t view_bytes; /* the file of the views */
    uint64_t appended;   /* values appended since the start */
    uint64_t commits;
    uint64_t rebuilds;
    size_t waiting; /* readers waiting for a view */
    size_t view_count;
    struct flume_view_status views[VIEWS_MAX];
};
void flume_status(struct flume *flume, struct flume_status *ret_status);

#endif
