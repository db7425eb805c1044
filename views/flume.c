#include "views/flume.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "store/err.h"
#include "views/flume_internal.h"
#include "views/snapshot.h"

#define FLUME_POLL_MS 500
#define FLUME_QUEUE_MAX ((size_t)64 << 20)
#define WARM_AFTER_MS 200 /* of the start */

/* ---- telling ------------------------------------------------------------------------------------------------- */

void flume_wake(struct flume *flume)
{
    uint64_t one = 1;
    ssize_t n = write(flume->wake_fd, &one, sizeof one);
    (void)n; /* fails only when it is set already */
}

void flume_tell(struct flume *flume, enum flume_event event)
{
    if (flume->options.on_event != NULL) flume->options.on_event(flume->options.event_ctx, event);
}

void flume_tell_head(struct flume *flume)
{
    int64_t head = log_durable(atomic_load(&flume->log));
    if (head == flume->told_head) return;
    int64_t grown = head - flume->told_head;
    flume->told_head = head;
    flume_tell(flume, FLUME_HEAD);
    /* Where there is one CPU only, whoever was told goes before the views do. */
    (void)sched_yield();
    lag_moved(flume, grown);
}

void flume_fail(struct flume *flume, struct flume_failure *failure, int err)
{
    (void)pthread_mutex_lock(&flume->lock);
    bool first = failure->err == OK;
    if (first) {
        failure->err = err;
        (void)snprintf(failure->text, sizeof failure->text, "%s", err_detail(err));
    }
    (void)pthread_mutex_unlock(&flume->lock);
    if (first) flume_tell(flume, FLUME_FAILED);
}

int flume_failure(struct flume *flume)
{
    (void)pthread_mutex_lock(&flume->lock);
    const struct flume_failure *failure = flume->log_failure.err != OK ? &flume->log_failure : &flume->view_failure;
    int err = failure->err;
    if (err != OK) err_set(err, "%s", failure->text);
    (void)pthread_mutex_unlock(&flume->lock);
    return err;
}

/* ---- the indexer ----------------------------------------------------------------------------------------------- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t flume_next_ms(struct flume *flume, int64_t now_ms)
{
    int64_t next = append_next_ms(flume);
    (void)pthread_mutex_lock(&flume->lock);
    next = earlier(next, flume->waiters.next_deadline);
    if (flume->view_failure.err != OK) next = earlier(next, flume->retry_ms);
    (void)pthread_mutex_unlock(&flume->lock);
    /* nothing is indexed while they lag, the late ones neither */
    next = earlier(next, flume->lag.next_ms != FLUME_NEVER ? flume->lag.next_ms : flume->late.next_ms);
    if (flume->warm_ms > now_ms) next = earlier(next, flume->warm_ms);
    if (flume->follow_path != NULL) next = earlier(next, now_ms + flume->options.poll_ms);
    return next;
}

static void flume_sleep(struct flume *flume)
{
    int64_t now = flume_now_ms(), next = flume_next_ms(flume, now);
    int64_t ms = next == FLUME_NEVER ? -1 : next <= now ? 0 : earlier(next - now, 60000);
    struct pollfd fds[2] = { { .fd = flume->wake_fd, .events = POLLIN },
                             { .fd = flume->inotify_fd, .events = POLLIN } };
    (void)poll(fds, 2, (int)ms);
}

/* Not in the first moments: pages are mapped under a lock that every new thread and every growing heap wants as well. */
static bool flume_warms(struct flume *flume)
{
    return flume_now_ms() >= flume->warm_ms && log_warm(atomic_load(&flume->log));
}

static void flume_drain(struct flume *flume)
{
    uint64_t count;
    ssize_t n = read(flume->wake_fd, &count, sizeof count);
    (void)n; /* not set is fine: a timer ran out */
    follow_drain(flume);
}

static void flume_finish(struct flume *flume)
{
    append_round(flume, true);
    append_sync_due(flume, true);
    flume_tell_head(flume);
    index_finish(flume);
    (void)err_set(ERR_CLOSED, "the log is being closed");
    waiters_fail(flume, ERR_CLOSED);
}

static void *flume_run(void *arg)
{
    struct flume *flume = arg;
    while (!atomic_load(&flume->closing)) {
        flume_drain(flume);
        follow_look(flume);
        index_rebuild_asked(flume);
        append_round(flume, false);
        append_sync_due(flume, false);
        flume_tell_head(flume);
        bool lags = lag_now(flume);
        bool worked = !lags && index_step(flume);
        waiters_tell(flume, flume_now_ms());
        /* Asked again: flume_close may have woken this thread before the wake-ups were taken. */
        bool idle = !worked && !atomic_load(&flume->closing);
        if (idle && (lags || !flume_warms(flume))) flume_sleep(flume);
    }
    flume_finish(flume);
    return NULL;
}

/* ---- open ------------------------------------------------------------------------------------------------------ */

static unsigned view_bit(const struct view_ops *ops, unsigned *other)
{
    static const char *const names[] = {
#define VIEW(name) #name,
#include "views/views.def"
#undef VIEW
    };
    for (unsigned i = 0; i < VIEW_COUNT; i++)
        if (strcmp(ops->name, names[i]) == 0) return i;
    return (*other)++;
}

static int flume_add_views(struct flume *flume)
{
    const struct view_ops *const *list = flume->options.views != NULL ? flume->options.views : view_list;
    unsigned other = VIEW_COUNT;
    for (; *list != NULL; list++) {
        unsigned bit = view_bit(*list, &other);
        if (bit >= VIEWS_MAX || flume->by_bit[bit] != NULL)
            return err_set(ERR_ARG, "view %s: there are too many views, or it is there twice", (*list)->name);
        struct flume_slot *slot = &flume->slots[flume->slot_count++];
        slot->view.ops = *list;
        slot->bit = bit;
        flume->by_bit[bit] = slot;
        atomic_init(&slot->since, SEQ_EMPTY);
    }
    return OK;
}

static int flume_load_view(struct flume *flume, struct flume_slot *slot, bool wiped)
{
    int err = view_store_open(flume->txn, slot->view.ops, &slot->view);
    if (err != OK) return err;
    struct log *log = atomic_load(&flume->log);
    int found = view_store_load(flume->txn, &slot->view, &slot->state);
    if (found < 0 && found != ERR_CORRUPT) return found;
    const char *why = found == 1 ? index_check(slot, log) : found < 0 || wiped ? "unsafe" : "new";
    return why == NULL ? OK : index_reset(flume, slot, log, why);
}

/* Nobody reads yet: when this is done no view says anything that does not fit the log. */
static int flume_load_views(struct flume *flume, bool wiped)
{
    int err = index_txn(flume);
    for (size_t i = 0; err == OK && i < flume->slot_count; i++)
        err = flume_load_view(flume, &flume->slots[i], wiped);
    if (err == OK) return index_commit(flume);
    kv_abort(flume->txn);
    flume->txn = NULL;
    return err;
}

/* Signals that somebody sends are the main thread's. Those that a thread raises itself stay open: a blocked SIGBUS would end
 * the process where store/mapguard.h means to go on. */
static void signals_asked(sigset_t *ret_signals)
{
    static const int own[] = { SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP };
    (void)sigfillset(ret_signals);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        (void)sigdelset(ret_signals, own[i]);
}

static int flume_start(struct flume *flume)
{
    sigset_t asked, before;
    signals_asked(&asked);
    (void)pthread_sigmask(SIG_SETMASK, &asked, &before);
    int number = pthread_create(&flume->indexer, NULL, flume_run, flume);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (number != 0) return err_set(ERR_NOMEM, "starting the indexer: %s", strerror(number));
    flume->indexer_runs = true;
    return OK;
}

static int flume_copy_options(struct flume *flume, const struct flume_options *options)
{
    flume->options = *options;
    if (flume->options.poll_ms == 0) flume->options.poll_ms = FLUME_POLL_MS;
    if (flume->options.append_queue_max == 0) flume->options.append_queue_max = FLUME_QUEUE_MAX;
    flume->views_dir = strdup(options->views_dir);
    if (options->follow_path != NULL) flume->follow_path = strdup(options->follow_path);
    if (flume->views_dir == NULL || (options->follow_path != NULL && flume->follow_path == NULL))
        return err_set(ERR_NOMEM, "no memory to open the log");
    flume->options.views_dir = flume->views_dir;
    flume->options.follow_path = flume->follow_path;
    return OK;
}

static struct flume *flume_new(void)
{
    struct flume *flume = calloc(1, sizeof *flume);
    if (flume == NULL) return NULL;
    (void)pthread_mutex_init(&flume->lock, NULL);
    flume->wake_fd = flume->inotify_fd = -1;
    flume->queue_tail = &flume->queue;
    flume->waiters.next_deadline = FLUME_NEVER;
    flume->sync_due_ms = flume->retry_ms = FLUME_NEVER;
    pending_init(&flume->pending);
    message_init(&flume->scan);
    return flume;
}

int flume_open(const struct flume_options *options, struct flume **ret_flume)
{
    struct flume *flume = flume_new();
    if (flume == NULL) return err_set(ERR_NOMEM, "no memory to open the log");
    struct log *log = NULL;
    bool wiped = false;
    int err = flume_copy_options(flume, options);
    if (err == OK) err = flume_add_views(flume);
    if (err == OK) err = options->open_log(options->open_ctx, &log);
    if (err != OK) goto out;
    atomic_store(&flume->log, log);
    flume->told_head = log_durable(log);
    flume->pending_from = log_since(log);
    flume->warm_ms = flume_now_ms() + WARM_AFTER_MS;
    late_open(flume);
    lag_open(flume);
    err = kv_open(flume->views_dir, true, &wiped, &flume->kv);
    if (err == OK) err = flume_load_views(flume, wiped);
    if (err != OK) goto out;
    flume->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (flume->wake_fd < 0) err = err_errno(flume->views_dir, "making an eventfd");
    if (err != OK) goto out;
    follow_start(flume);
    err = flume_start(flume);
out:
    if (err != OK) {
        flume_close(flume);
        return err;
    }
    *ret_flume = flume;
    return OK;
}

/* ---- close ------------------------------------------------------------------------------------------------------ */

static void flume_close_logs(struct flume *flume)
{
    while (flume->old_logs != NULL) {
        struct flume_old_log *old = flume->old_logs;
        flume->old_logs = old->next;
        log_close(old->log);
        free(old);
    }
    log_close(atomic_load(&flume->log));
}

void flume_end(struct flume *flume)
{
    if (!flume->indexer_runs) return;
    /* Under the lock: whoever comes later is refused, whoever was earlier is served. */
    (void)pthread_mutex_lock(&flume->lock);
    atomic_store(&flume->closing, true);
    (void)pthread_mutex_unlock(&flume->lock);
    flume_wake(flume);
    (void)pthread_join(flume->indexer, NULL);
    flume->indexer_runs = false;
}

void flume_close(struct flume *flume)
{
    if (flume == NULL) return;
    flume_end(flume);
    follow_stop(flume);
    if (flume->wake_fd >= 0) close(flume->wake_fd);
    kv_close(flume->kv);
    flume_close_logs(flume);
    build_cancel(flume);
    gather_free(flume->slice);
    pending_free(&flume->pending);
    message_free(&flume->scan);
    free(flume->waiters.items);
    (void)pthread_mutex_destroy(&flume->lock);
    free(flume->follow_path);
    free(flume->views_dir);
    free(flume);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

struct log *flume_log(struct flume *flume)
{
    return atomic_load(&flume->log);
}

int64_t flume_head(struct flume *flume)
{
    struct log *log = atomic_load(&flume->log);
    if (flume->follow_path != NULL) {
        int moved = log_refresh(log);
        if (moved == ERR_CHANGED) atomic_store(&flume->log_changed, true);
        if (moved != 0) flume_wake(flume);
    }
    return log_durable(log);
}

int flume_read_begin(struct flume *flume, struct flume_read *ret_read)
{
    for (;;) {
        struct log *log = atomic_load(&flume->log);
        struct kv_txn *txn;
        int err = kv_begin_read(flume->kv, &txn);
        if (err != OK) return err;
        /* A replaced log is put in place after the commit that emptied its views: if it is the same one before and
         * after the snapshot was taken, the snapshot cannot speak of another. */
        if (atomic_load(&flume->log) == log) {
            *ret_read = (struct flume_read){ .flume = flume, .log = log, .txn = txn, .deadline_ms = INT64_MAX };
            return OK;
        }
        kv_abort(txn);
    }
}

void flume_give_up(struct flume *flume)
{
    atomic_store(&flume->gives_up, true);
}

static _Thread_local void (*read_look)(void);

void flume_read_look(void (*fn)(void))
{
    read_look = fn;
}

int flume_read_late(const struct flume_read *read)
{
    if (read_look != NULL) read_look();
    if (atomic_load(&read->flume->gives_up)) return err_set(ERR_CLOSED, "the server is closing");
    if (read->deadline_ms == INT64_MAX || flume_now_ms() < read->deadline_ms) return OK;
    return err_set(ERR_SLOW, "there is more to go through than the time for a query allows");
}

void flume_read_end(struct flume_read *read)
{
    kv_abort(read->txn);
    read->txn = NULL;
}

const struct view *flume_view(const struct flume *flume, enum view_id id)
{
    return (unsigned)id < VIEWS_MAX && flume->by_bit[id] != NULL ? &flume->by_bit[id]->view : NULL;
}

const struct view *flume_view_named(const struct flume *flume, const char *name)
{
    for (size_t i = 0; i < flume->slot_count; i++)
        if (strcmp(flume->slots[i].view.ops->name, name) == 0) return &flume->slots[i].view;
    return NULL;
}

static size_t slot_of(const struct flume *flume, const struct view *view)
{
    _Static_assert(offsetof(struct flume_slot, view) == 0, "a view stands in front of its slot");
    return (size_t)((const struct flume_slot *)(const void *)view - flume->slots);
}

int64_t flume_read_since(const struct flume_read *read, const struct view *view)
{
    struct snapshot *snapshot = snapshot_of(read);
    struct view_state state;
    int64_t unasked = 0, *noted = snapshot != NULL ? &snapshot->sinces[slot_of(read->flume, view)] : &unasked;
    if (*noted != 0) return *noted - SNAPSHOT_SINCE;
    int found = view_store_load(read->txn, view, &state);
    if (found < 0) return SEQ_EMPTY;
    int64_t since = found == 1 ? state.since : SEQ_EMPTY;
    *noted = since + SNAPSHOT_SINCE;
    return since;
}
