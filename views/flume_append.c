/* Rounds: all jobs that wait, one append, one sync. */
#include <stdlib.h>
#include <time.h>

#include "store/err.h"
#include "views/flume_internal.h"

/* Relaxed appends are synced at the latest then; sooner as long as the disk is not busy with that for more than one part
 * of its time in SYNC_SHARE, because nobody is shown what is not synced. */
#define SYNC_MS 200
#define SYNC_SHARE 8
#define SYNC_BYTES ((size_t)256 << 10)

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

static int round_read(struct flume_round *round)
{
    if (round->reading) return OK;
    int err = flume_read_begin(round->flume, &round->read);
    round->reading = err == OK;
    return err;
}

static void round_take(struct flume_round *round, struct flume_append *job, bool closing)
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

static void round_collect(struct flume_round *round, bool closing)
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

static void round_fail(struct flume_round *round, int err)
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

static int round_append(struct flume_round *round)
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
static void round_done(struct flume_round *round, bool relaxed, int err)
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
    struct flume_round round = { .flume = flume };
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
