#include "server/blob_jobs.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "server/step_back.h"
#include "store/err.h"
#include "views/flume.h"

/* How often the folder is looked at for those who wait: it has 256 folders, and which of them are there changes. */
#define LOOK_EVERY_MS 100

struct job_list {
    struct blob_job *first;
};

struct blob_jobs {
    struct blob_dir *dir;
    int64_t watches_max;
    pthread_t thread;
    pthread_mutex_t lock; /* for what follows; not held while a job works or is told */
    pthread_cond_t changed;
    struct job_list works, watches;
    struct blob_job *at_work;
    int64_t watching;
    int64_t look_ms; /* when those who look out look next; CLOCK_MONOTONIC */
    bool stopping;
};

static void list_add(struct job_list *list, struct blob_job *job)
{
    job->next = list->first;
    job->link = &list->first;
    if (list->first != NULL) list->first->link = &job->next;
    list->first = job;
}

static void list_remove(struct blob_job *job)
{
    *job->link = job->next;
    if (job->next != NULL) job->next->link = job->link;
    job->next = NULL;
    job->link = NULL;
}

/* The one that has waited longest. */
static struct blob_job *list_last(const struct job_list *list)
{
    struct blob_job *job = list->first;
    while (job != NULL && job->next != NULL)
        job = job->next;
    return job;
}

/* ---- the thread ---- */

/* Under the lock, which is let go meanwhile. */
static void jobs_work(struct blob_jobs *jobs)
{
    struct blob_job *job = list_last(&jobs->works);
    list_remove(job);
    jobs->at_work = job;
    (void)pthread_mutex_unlock(&jobs->lock);
    job->work(job);
    (void)pthread_mutex_lock(&jobs->lock);
    jobs->at_work = NULL;
    (void)pthread_mutex_unlock(&jobs->lock);
    job->done(job->ctx);
    (void)pthread_mutex_lock(&jobs->lock);
}

/* Takes out those whose blob came or whose time is over, and tells them. Under the lock, which is let go meanwhile. */
static void jobs_look(struct blob_jobs *jobs)
{
    struct blob_job *over = NULL, *next;
    int64_t now = flume_now_ms();
    jobs->look_ms = now + LOOK_EVERY_MS;
    for (struct blob_job *job = jobs->watches.first; job != NULL; job = next) {
        next = job->next;
        if (now < job->deadline_ms && !blob_is_here(jobs->dir, job->id)) continue;
        list_remove(job);
        jobs->watching--;
        job->next = over;
        over = job;
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    for (; over != NULL; over = next) {
        next = over->next;
        over->done(over->ctx);
    }
    (void)pthread_mutex_lock(&jobs->lock);
}

static void jobs_pause(struct blob_jobs *jobs)
{
    if (jobs->watches.first == NULL) {
        (void)pthread_cond_wait(&jobs->changed, &jobs->lock);
        return;
    }
    const struct timespec until = { .tv_sec = jobs->look_ms / 1000, .tv_nsec = jobs->look_ms % 1000 * 1000000 };
    (void)pthread_cond_timedwait(&jobs->changed, &jobs->lock, &until);
}

static void *jobs_run(void *ctx)
{
    struct blob_jobs *jobs = ctx;
    step_back();
    (void)pthread_mutex_lock(&jobs->lock);
    while (!jobs->stopping) {
        if (jobs->watches.first != NULL && flume_now_ms() >= jobs->look_ms)
            jobs_look(jobs);
        else if (jobs->works.first != NULL)
            jobs_work(jobs);
        else
            jobs_pause(jobs);
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    return NULL;
}

/* ---- for everybody ---- */

int blob_jobs_start(struct blob_dir *dir, int64_t watches_max, struct blob_jobs **ret_jobs)
{
    struct blob_jobs *jobs = calloc(1, sizeof *jobs);
    if (jobs == NULL) return err_set(ERR_NOMEM, "out of memory");
    jobs->dir = dir;
    jobs->watches_max = watches_max;
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&jobs->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    (void)pthread_mutex_init(&jobs->lock, NULL);
    if (pthread_create(&jobs->thread, NULL, jobs_run, jobs) != 0) {
        free(jobs);
        return err_set(ERR_NOMEM, "no thread can be started");
    }
    *ret_jobs = jobs;
    return OK;
}

void blob_jobs_stop(struct blob_jobs *jobs)
{
    if (jobs == NULL) return;
    (void)pthread_mutex_lock(&jobs->lock);
    jobs->stopping = true;
    if (jobs->at_work != NULL) atomic_store(&jobs->at_work->cancelled, true);
    (void)pthread_cond_broadcast(&jobs->changed);
    (void)pthread_mutex_unlock(&jobs->lock);
    (void)pthread_join(jobs->thread, NULL);
    (void)pthread_cond_destroy(&jobs->changed);
    (void)pthread_mutex_destroy(&jobs->lock);
    free(jobs);
}

int blob_jobs_add(struct blob_jobs *jobs, struct blob_job *job)
{
    int err = OK;
    (void)pthread_mutex_lock(&jobs->lock);
    if (job->work != NULL) {
        list_add(&jobs->works, job);
    } else if (jobs->watching >= jobs->watches_max) {
        err = err_set(ERR_QUEUE, "%lld requests wait for blobs already", (long long)jobs->watches_max);
    } else {
        /* Not looked for at once: who waits for a damaged blob to be mended would be told of it over and over. */
        if (jobs->watching++ == 0) jobs->look_ms = flume_now_ms() + LOOK_EVERY_MS;
        list_add(&jobs->watches, job);
    }
    (void)pthread_cond_signal(&jobs->changed);
    (void)pthread_mutex_unlock(&jobs->lock);
    return err;
}

bool blob_jobs_cancel(struct blob_jobs *jobs, struct blob_job *job)
{
    (void)pthread_mutex_lock(&jobs->lock);
    bool listed = job->link != NULL;
    if (listed) {
        if (job->work == NULL) jobs->watching--;
        list_remove(job);
    } else if (jobs->at_work == job) {
        atomic_store(&job->cancelled, true);
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    return listed;
}

void blob_jobs_look(struct blob_jobs *jobs)
{
    (void)pthread_mutex_lock(&jobs->lock);
    jobs->look_ms = 0;
    (void)pthread_cond_signal(&jobs->changed);
    (void)pthread_mutex_unlock(&jobs->lock);
}
