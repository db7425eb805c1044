/* Jobs that append, from flume_append to the answer: who is let in, and what each is told. */
#include <stdio.h>
#include <string.h>

#include "store/err.h"
#include "views/flume_internal.h"

#define QUEUE_COUNT_MAX 65536
#define VALUE_COST 64 /* what a value in the queue costs besides its bytes */

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

int append_failure_now(struct flume *flume)
{
    (void)pthread_mutex_lock(&flume->lock);
    int err = append_failure(flume);
    (void)pthread_mutex_unlock(&flume->lock);
    return err;
}

int append_broken(struct flume *flume, int err)
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

struct flume_append *queue_take(struct flume *flume)
{
    (void)pthread_mutex_lock(&flume->lock);
    struct flume_append *jobs = flume->queue;
    flume->queue = NULL;
    flume->queue_tail = &flume->queue;
    atomic_store(&flume->queue_new, 0);
    (void)pthread_mutex_unlock(&flume->lock);
    return jobs;
}

void jobs_done(struct flume *flume, struct flume_append *jobs)
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

void job_set_detail(struct flume_append *job, int err)
{
    job->err = err;
    (void)snprintf(job->detail, sizeof job->detail, "%s", err_detail(err));
}

void job_succeed(struct flume_append *job)
{
    job->err = OK;
    job->detail[0] = '\0'; /* a duplicate left one */
}

void job_set_failed(struct flume_append *job, int err)
{
    job_set_detail(job, err);
    job->duplicates = 0;
    for (size_t i = 0; i < job->count; i++)
        job->seqs[i] = SEQ_EMPTY;
}

void job_fail(struct flume *flume, struct flume_append *job, int err)
{
    job_set_failed(job, err);
    job->next = NULL;
    jobs_done(flume, job);
}
