#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/err.h"
#include "store/zero.h"
#include "views/flume_internal.h"
#include "views/view_feeds.h"
#include "views/view_messages.h"
#include "views/view_record.h"

#define QUEUE_COUNT_MAX 65536
#define VALUE_COST 64 /* what a value in the queue costs besides its bytes */

/* Relaxed appends are synced at the latest then; sooner as long as the disk is not busy with that for more than one part
 * of its time in SYNC_SHARE, because nobody is shown what is not synced. */
#define SYNC_MS 200
#define SYNC_SHARE 8
#define SYNC_BYTES ((size_t)256 << 10)

/* ---- the queue -------------------------------------------------------------------------------------------------- */

/* The time of its record may be written meanwhile; a job must count the same when it leaves. */
static size_t message_bytes(const struct feed_message *message)
{
    return message->record_head > 0 ? message->record_head : message->record.len;
}

static size_t job_bytes(const struct flume_append *job)
{
    size_t bytes = 0;
    if (job->make != NULL) return VALUE_COST + FEED_MESSAGE_MAX; /* it is not there yet when the job comes */
    for (size_t i = 0; i < job->count; i++)
        bytes += VALUE_COST + (job->messages != NULL ? message_bytes(&job->messages[i]) : job->values[i].len);
    return bytes;
}

/* Why nothing is appended, or OK. Want of space passes and is told as that; everything else makes the log one to read. Under lock. */
static int append_failure(const struct flume *flume)
{
    const struct flume_failure *log = &flume->log_failure, *views = &flume->view_failure;
    if (log->err != OK) return err_set(ERR_READONLY, "nothing can be appended since an error: %s", log->text);
    if (views->err == OK) return OK;
    if (views->err == ERR_NOSPACE || views->err == ERR_NOMEM) return err_set(views->err, "%s", views->text);
    return err_set(ERR_READONLY, "nothing can be appended while the views cannot be written: %s", views->text);
}

static int append_failure_now(struct flume *flume)
{
    (void)pthread_mutex_lock(&flume->lock);
    int err = append_failure(flume);
    (void)pthread_mutex_unlock(&flume->lock);
    return err;
}

/* The log cannot be written any more: what the jobs are told that find it out is what all later ones are told. */
static int append_broken(struct flume *flume, int err)
{
    flume_fail(flume, &flume->log_failure, err);
    return append_failure_now(flume);
}

static int append_refuse(struct flume *flume, const struct flume_append *job, size_t bytes)
{
    size_t max = flume->options.append_queue_max;
    if (atomic_load(&flume->closing)) return err_set(ERR_CLOSED, "the log is being closed");
    if (flume->follow_path != NULL)
        return err_set(ERR_READONLY, "%s: this log is another program's; it is only followed", flume->follow_path);
    int failed = append_failure(flume);
    if (failed != OK) return failed;
    if (job->messages == NULL && !flume->options.accept_any)
        return err_set(ERR_ARG, "this log takes checked messages only");
    if (job->messages != NULL && (flume->by_bit[VIEW_feeds] == NULL || flume->by_bit[VIEW_messages] == NULL))
        return err_set(ERR_ARG, "messages cannot be checked without the views feeds and messages");
    if (bytes > max) return err_set(ERR_LIMIT, "a batch of %zu bytes; the most is %zu: send it in parts", bytes, max);
    if (bytes > max - flume->queue_bytes || flume->queue_count >= QUEUE_COUNT_MAX)
        return err_set(ERR_QUEUE, "%zu appends of %zu bytes are waiting; try again later", flume->queue_count,
                       flume->queue_bytes);
    return OK;
}

int flume_append(struct flume *flume, struct flume_append *job)
{
    size_t bytes = job_bytes(job);
    bool first = false;
    (void)pthread_mutex_lock(&flume->lock);
    int err = append_refuse(flume, job, bytes);
    if (err == OK) {
        first =
            flume->queue == NULL; /* whoever put something there has woken the indexer, and it looks before it sleeps */
        job->err = OK;
        job->index = job->duplicates = 0;
        job->detail[0] = '\0';
        job->next = NULL;
        *flume->queue_tail = job;
        flume->queue_tail = &job->next;
        flume->queue_bytes += bytes;
        flume->queue_count++;
        (void)atomic_fetch_add(&flume->queue_new, 1);
    }
    (void)pthread_mutex_unlock(&flume->lock);
    if (first) flume_wake(flume);
    return err;
}

static struct flume_append *queue_take(struct flume *flume)
{
    (void)pthread_mutex_lock(&flume->lock);
    struct flume_append *jobs = flume->queue;
    flume->queue = NULL;
    flume->queue_tail = &flume->queue;
    atomic_store(&flume->queue_new, 0);
    (void)pthread_mutex_unlock(&flume->lock);
    return jobs;
}

/* The jobs are their callers' again from here on. */
static void jobs_done(struct flume *flume, struct flume_append *jobs)
{
    size_t bytes = 0, count = 0;
    for (const struct flume_append *job = jobs; job != NULL; job = job->next, count++)
        bytes += job_bytes(job);
    (void)pthread_mutex_lock(&flume->lock);
    flume->queue_bytes -= bytes;
    flume->queue_count -= count;
    (void)pthread_mutex_unlock(&flume->lock);
    for (struct flume_append *job = jobs, *next; job != NULL; job = next) {
        next = job->next;
        job->next = NULL;
        job->done(job);
    }
}

static void job_set_detail(struct flume_append *job, int err)
{
    job->err = err;
    (void)snprintf(job->detail, sizeof job->detail, "%s", err_detail(err));
}

static void job_succeed(struct flume_append *job)
{
    job->err = OK;
    job->detail[0] = '\0'; /* a duplicate left one */
}

/* The verdict `err` and what this thread knows about it. */
static void job_set_failed(struct flume_append *job, int err)
{
    job_set_detail(job, err);
    job->duplicates = 0;
    for (size_t i = 0; i < job->count; i++)
        job->seqs[i] = SEQ_EMPTY;
}

static void job_fail(struct flume *flume, struct flume_append *job, int err)
{
    job_set_failed(job, err);
    job->next = NULL;
    jobs_done(flume, job);
}

/* ---- a round: all jobs that wait, one append, one sync ---------------------------------------------------------- */

struct round {
    struct flume *flume;
    struct slice *values;
    size_t count, cap;
    struct flume_read read;
    bool reading;
    struct flume_append *good, **good_tail;
    bool strong;
};

static int round_add(struct round *round, struct slice value)
{
    if (value.len == 0 || bytes_zero(value.data, value.len))
        return err_set(ERR_ARG, "an empty value, or one of zero bytes only, would read as deleted");
    if (value.len > LOG_RECORD_MAX)
        return err_set(ERR_LIMIT, "a value of %zu bytes; the most is %zu", value.len, LOG_RECORD_MAX);
    if (round->count == round->cap) {
        size_t cap = round->cap == 0 ? 256 : round->cap * 2;
        struct slice *values = realloc(round->values, cap * sizeof *values);
        if (values == NULL) return err_set(ERR_NOMEM, "no memory to append %zu values", cap);
        round->values = values;
        round->cap = cap;
    }
    round->values[round->count++] = value;
    return OK;
}

/* When the log got it: the wall clock, but never the same twice nor backwards. */
static double append_received(struct flume *flume)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (ms > flume->received_ms) {
        flume->received_ms = ms;
        flume->received_part = 0;
    } else if (++flume->received_part == 1000) {
        flume->received_ms++;
        flume->received_part = 0;
    }
    return (double)flume->received_ms + (double)flume->received_part / 1000.0;
}

/* Where the feed stands in the views. */
static int feed_state_stored(struct round *round, const struct ref *author, struct feed_state *ret_state)
{
    struct feed_latest latest;
    struct log_record record;
    int err = feeds_latest(&round->read, author, &latest);
    if (err == ERR_NOTFOUND) {
        *ret_state = (struct feed_state){ 0 };
        return OK;
    }
    if (err == OK) err = log_get(round->read.log, latest.seq, &record);
    if (err == ERR_DELETED)
        return err_set(ERR_INVALID,
                       "the feed's newest message, %" PRId64 ", was deleted from the log: nothing can follow it",
                       latest.sequence);
    struct message *scan = &round->flume->scan;
    if (err == OK) err = message_scan(scan, record.value.data, record.value.len);
    if (err != OK) return err;
    *ret_state = (struct feed_state){ .exists = true,
                                      .id = scan->id,
                                      .sequence = latest.sequence,
                                      .timestamp = scan->has_timestamp ? scan->timestamp : NAN };
    return OK;
}

static int feed_state_now(struct round *round, const struct ref *author, struct feed_state *ret_state)
{
    const struct pending_entry *entry = pending_find(&round->flume->pending, author);
    if (entry == NULL) return feed_state_stored(round, author, ret_state);
    *ret_state = (struct feed_state){
        .exists = true, .id = entry->id, .sequence = entry->sequence, .timestamp = entry->timestamp
    };
    return OK;
}

/* 1 and where the message stands already, 0 = nowhere. */
static int message_where(struct round *round, const struct ref *id, int64_t *ret_where)
{
    const struct pending_entry *entry = pending_find(&round->flume->pending, id);
    if (entry != NULL) {
        *ret_where = entry->where;
        return 1;
    }
    struct log_record record;
    int err = messages_find(&round->read, id, &record);
    if (err == OK) *ret_where = record.seq;
    return err == OK ? 1 : err == ERR_NOTFOUND || err == ERR_DELETED ? 0 : err;
}

static int message_take(struct round *round, struct feed_message *message, int64_t *ret_where)
{
    struct pending *pending = &round->flume->pending;
    int err = OK;
    if (message->record.len <= message->record_head) err = feed_record(message, append_received(round->flume));
    if (err == OK) err = round_add(round, (struct slice){ message->record.data, message->record.len });
    if (err != OK) return err;
    int64_t where = -(int64_t)round->count; /* -1 - (count - 1) */
    struct pending_entry feed = {
        .key = message->author, .id = message->id, .sequence = message->sequence, .timestamp = message->timestamp
    };
    struct pending_entry id = { .key = message->id, .where = where };
    err = pending_set(pending, &feed);
    if (err == OK) err = pending_set(pending, &id);
    if (err == OK) *ret_where = where;
    return err;
}

/* The value of a message that is pending, in the log or in the batch that is being made: OK, or it is not there. */
static int pending_value(struct round *round, const struct ref *id, struct slice *ret_value)
{
    const struct pending_entry *entry = pending_find(&round->flume->pending, id);
    struct log_record record;
    if (entry == NULL) return ERR_NOTFOUND;
    if (entry->where < 0) {
        *ret_value = round->values[-1 - entry->where];
        return OK;
    }
    int err = log_get(round->read.log, entry->where, &record);
    if (err == OK) *ret_value = record.value;
    return err;
}

/* The message with this sequence among what is pending, on the way back from the feed's newest one. */
static bool pending_back_to(struct round *round, const struct feed_state *state, int64_t sequence, struct ref *ret_id)
{
    struct ref id = state->id;
    struct slice value;
    for (int64_t at = state->sequence; at > sequence; at--)
        if (pending_value(round, &id, &value) != OK || record_previous(value, &id) != OK) return false;
    *ret_id = id;
    return true;
}

/* Names the message that stands where this one would, and adds both to the sentence in job->detail. */
static void message_fork(struct round *round, struct flume_append *job, const struct feed_message *message,
                         const struct feed_state *state)
{
    struct message *scan = &round->flume->scan;
    struct log_record record;
    job->stored = state->id;
    if (message->sequence < state->sequence && !pending_back_to(round, state, message->sequence, &job->stored) &&
        feeds_get(&round->read, &message->author, message->sequence, &record) == OK &&
        message_scan(scan, record.value.data, record.value.len) == OK && scan->id.kind != REF_NONE)
        job->stored = scan->id;
    char stored[REF_TEXT_MAX], refused[REF_TEXT_MAX];
    int stored_len = (int)ref_print(&job->stored, stored), refused_len = (int)ref_print(&message->id, refused);
    size_t len = strlen(job->detail);
    (void)snprintf(job->detail + len, sizeof job->detail - len, "; stored is %.*s, refused is %.*s", stored_len, stored,
                   refused_len, refused);
}

static int message_check(struct round *round, struct flume_append *job, size_t i)
{
    struct feed_message *message = &job->messages[i];
    struct feed_state state;
    int err = feed_state_now(round, job->make != NULL ? &job->author : &message->author, &state);
    if (err == OK && job->make != NULL) err = job->make(job, &state);
    if (err != OK) return err;
    err = feed_check_next(&state, message);
    if (err == OK) return message_take(round, message, &job->seqs[i]);
    /* What follows the newest message cannot be there yet, so only what does not is looked up. */
    job_set_detail(job, err);
    int found = message_where(round, &message->id, &job->seqs[i]);
    if (found < 0) return found;
    if (found == 0 && err == ERR_FORK) message_fork(round, job, message, &state);
    if (found == 0) return err_set(err, "%s", job->detail);
    job->duplicates++;
    return OK;
}

static int value_take(struct round *round, struct flume_append *job, size_t i)
{
    int err = round_add(round, job->values[i]);
    if (err == OK) job->seqs[i] = -(int64_t)round->count;
    return err;
}

static int state_now(void *ctx, const struct ref *author, struct feed_state *ret_state)
{
    return feed_state_now(ctx, author, ret_state);
}

/* A job that is stale because it was done before, and whose answer was lost, is no mistake: all of it is here already. */
static int job_expect(struct round *round, struct flume_append *job)
{
    if (job->messages == NULL && round->count > 0 && !job->expect->some)
        return err_set(ERR_STALE, "something else is being appended at this moment");
    if (job->messages == NULL) return expect_log(job->expect, log_since(atomic_load(&round->flume->log)));
    if (job->make != NULL) job->messages->author = job->author;
    int stale = expect_feeds(job->expect, job->messages, job->count, state_now, round, &job->index, &job->stored);
    if (stale != ERR_STALE) return stale;
    if (job->make != NULL) return stale;
    job_set_detail(job, stale);
    for (size_t i = 0; i < job->count; i++) {
        int found = message_where(round, &job->messages[i].id, &job->seqs[i]);
        if (found <= 0) return found < 0 ? found : err_set(stale, "%s", job->detail);
    }
    return OK;
}

/* All of the job's values, or none. */
static int job_check(struct round *round, struct flume_append *job)
{
    size_t before = round->count, mark = pending_mark(&round->flume->pending);
    job->duplicates = 0;
    job->stored = (struct ref){ .kind = REF_NONE };
    int err = job->expect != NULL ? job_expect(round, job) : OK;
    for (size_t i = 0; err == OK && i < job->count; i++) {
        job->index = i;
        err = job->messages != NULL ? message_check(round, job, i) : value_take(round, job, i);
    }
    if (err != OK) {
        round->count = before;
        pending_undo(&round->flume->pending, mark);
        return err;
    }
    job->index = 0;
    return OK;
}

/* ---- may messages be checked? ----------------------------------------------------------------------------------- */

/* The view of the chain rule that does not know all records up to `seq` yet, or NULL. */
static const struct flume_slot *append_missing(const struct flume *flume, int64_t seq)
{
    static const enum view_id needed[] = { VIEW_feeds, VIEW_messages };
    for (size_t i = 0; i < 2; i++)
        if (flume->by_bit[needed[i]]->committed.since < seq) return flume->by_bit[needed[i]];
    return NULL;
}

static void job_park(struct flume *flume, struct flume_append *job)
{
    struct flume_append **tail = &flume->parked;
    while (*tail != NULL)
        tail = &(*tail)->next;
    job->next = NULL;
    *tail = job;
}

static void job_wait(struct flume *flume, struct flume_append *job, const struct flume_slot *slot, bool closing)
{
    if (closing) {
        job_fail(flume, job, err_set(ERR_CLOSED, "the log is being closed before its views were built"));
    } else if (job->deadline_ms <= flume_now_ms()) {
        int64_t since = slot->committed.since, head = log_durable(atomic_load(&flume->log));
        int percent = since <= 0 ? 0 : (int)((double)since * 100.0 / (double)head);
        job_fail(flume, job,
                 err_set(ERR_TIMEOUT, "the view %s is being rebuilt: %d %% done; try again later", slot->view.ops->name,
                         percent));
    } else {
        job_park(flume, job);
    }
}

int64_t append_next_ms(const struct flume *flume)
{
    int64_t next = flume->sync_due_ms;
    for (const struct flume_append *job = flume->parked; job != NULL; job = job->next)
        if (job->deadline_ms < next) next = job->deadline_ms;
    return next;
}

/* Everything appended is in the views: they answer for it from now on. */
static void pending_forget(struct flume *flume)
{
    int64_t since = log_since(atomic_load(&flume->log));
    if (flume->pending.count == 0 || flume->sync_due_ms != FLUME_NEVER || append_missing(flume, since) != NULL) return;
    pending_clear(&flume->pending);
    flume->pending_from = since;
}

/* ---- the round itself ------------------------------------------------------------------------------------------- */

static int round_read(struct round *round)
{
    if (round->reading) return OK;
    int err = flume_read_begin(round->flume, &round->read);
    round->reading = err == OK;
    return err;
}

static void round_take(struct round *round, struct flume_append *job, bool closing)
{
    struct flume *flume = round->flume;
    const struct flume_slot *missing = job->messages != NULL ? append_missing(flume, flume->pending_from) : NULL;
    int failed = append_failure_now(flume);
    if (failed != OK) {
        job_fail(flume, job, failed);
        return;
    }
    if (missing != NULL) {
        job_wait(flume, job, missing, closing);
        return;
    }
    int err = job->messages != NULL ? round_read(round) : OK;
    if (err == OK) err = job_check(round, job);
    if (err != OK) {
        job_fail(flume, job, err);
        return;
    }
    job->next = NULL;
    *round->good_tail = job;
    round->good_tail = &job->next;
    if (!job->relaxed) round->strong = true;
}

static void round_collect(struct round *round, bool closing)
{
    struct flume *flume = round->flume;
    struct flume_append *parked = flume->parked, *taken = queue_take(flume);
    flume->parked = NULL;
    for (int i = 0; i < 2; i++) {
        for (struct flume_append *job = i == 0 ? parked : taken, *next; job != NULL; job = next) {
            next = job->next;
            round_take(round, job, closing);
        }
    }
}

static void round_fail(struct round *round, int err)
{
    pending_undo(&round->flume->pending, 0);
    if (err == ERR_IO || err == ERR_READONLY || err == ERR_CORRUPT || err == ERR_CHANGED)
        err = append_broken(round->flume, err);
    while (round->good != NULL) {
        struct flume_append *job = round->good;
        round->good = job->next;
        job_fail(round->flume, job, err);
    }
}

static int round_append(struct round *round)
{
    struct flume *flume = round->flume;
    if (round->count == 0) return OK;
    int64_t *seqs = calloc(round->count, sizeof *seqs);
    if (seqs == NULL) return err_set(ERR_NOMEM, "no memory to append %zu values", round->count);
    int err = log_append(atomic_load(&flume->log), round->values, round->count, seqs);
    if (err == OK) {
        pending_settle(&flume->pending, seqs);
        for (struct flume_append *job = round->good; job != NULL; job = job->next) {
            for (size_t i = 0; i < job->count; i++)
                if (job->seqs[i] < 0) job->seqs[i] = seqs[-1 - job->seqs[i]];
            /* of raw values only the views can tell whether they are messages */
            if (job->messages == NULL && job->count > 0) flume->pending_from = job->seqs[job->count - 1];
        }
        (void)atomic_fetch_add(&flume->appended, round->count);
        for (size_t i = 0; i < round->count; i++)
            flume->unsynced += round->values[i].len;
        if (flume->sync_due_ms == FLUME_NEVER) flume->sync_due_ms = flume->sync_next_ms;
    }
    free(seqs);
    return err;
}

/* Ends the good jobs that are relaxed, or the other ones. */
static void round_done(struct round *round, bool relaxed, int err)
{
    struct flume_append *jobs = round->good, *over = NULL, **over_tail = &over;
    round->good = NULL;
    round->good_tail = &round->good;
    for (struct flume_append *job = jobs, *next; job != NULL; job = next) {
        struct flume_append ***tail = job->relaxed == relaxed ? &over_tail : &round->good_tail;
        next = job->next;
        job->next = NULL;
        **tail = job;
        *tail = &job->next;
        if (job->relaxed != relaxed) continue;
        if (err != OK)
            job_set_failed(job, err);
        else
            job_succeed(job);
    }
    if (over != NULL) jobs_done(round->flume, over);
}

/* As flume_now_ms, finer. */
static int64_t append_now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* By what syncs usually take: a disk that was busy with something else for once would otherwise hold back many that follow. */
int64_t append_pause(int64_t *usual_us, int64_t took_us)
{
    int64_t most = *usual_us + *usual_us / 4 + 1;
    *usual_us = *usual_us == 0 || took_us < most ? took_us : most;
    int64_t pause_us = *usual_us * (SYNC_SHARE - 1);
    return pause_us < SYNC_MS * 1000 ? pause_us / 1000 : SYNC_MS;
}

static int append_sync(struct flume *flume)
{
    if (flume->sync_due_ms == FLUME_NEVER) return OK;
    flume->sync_due_ms = FLUME_NEVER;
    flume->unsynced = 0;
    int64_t began = append_now_us();
    int err = log_sync(atomic_load(&flume->log));
    int64_t now = append_now_us();
    flume->sync_next_ms = now / 1000 + append_pause(&flume->sync_usual_us, now - began);
    return err == OK ? OK : append_broken(flume, err);
}

void append_sync_due(struct flume *flume, bool now)
{
    if (now || flume->unsynced >= SYNC_BYTES || flume_now_ms() >= flume->sync_due_ms) (void)append_sync(flume);
}

void append_round(struct flume *flume, bool closing)
{
    struct round round = { .flume = flume };
    round.good_tail = &round.good;
    pending_forget(flume);
    round_collect(&round, closing);
    if (round.reading) flume_read_end(&round.read);
    if (round.good != NULL) {
        int err = round_append(&round);
        if (err != OK) {
            round_fail(&round, err);
        } else {
            round_done(&round, true, OK);
            if (round.strong) round_done(&round, false, append_sync(flume));
        }
    }
    free(round.values);
}
