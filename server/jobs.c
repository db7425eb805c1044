#include "server/jobs.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "server/step_back.h"
#include "store/err.h"
#include "views/flume.h"

struct jobs {
    pthread_mutex_t lock; /* for what follows; not held while a job is at work */
    pthread_cond_t changed;
    struct job *first, **tail;
    bool stopping;
    _Atomic int64_t count; /* with those at work */
    int64_t max;
    int64_t thread_count;
    pthread_t threads[];
};

/* Takes the first one; NULL = it is over. Under the lock. */
static struct job *jobs_take(struct jobs *jobs)
{
    while (jobs->first == NULL && !jobs->stopping)
        (void)pthread_cond_wait(&jobs->changed, &jobs->lock);
    struct job *job = jobs->first;
    if (job == NULL) return NULL;
    jobs->first = job->next;
    if (jobs->first == NULL) jobs->tail = &jobs->first;
    return job;
}

static void *jobs_run(void *ctx)
{
    struct jobs *jobs = ctx;
    struct job *job;
    step_back_letting();
    flume_read_look(step_let);
    (void)pthread_mutex_lock(&jobs->lock);
    while ((job = jobs_take(jobs)) != NULL) {
        (void)pthread_mutex_unlock(&jobs->lock);
        job->work(job->ctx);
        (void)atomic_fetch_sub(&jobs->count, 1);
        (void)pthread_mutex_lock(&jobs->lock);
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    return NULL;
}

int jobs_start(int64_t threads, int64_t max, struct jobs **ret_jobs)
{
    if (threads < 1) threads = 1;
    struct jobs *jobs = calloc(1, sizeof *jobs + (size_t)threads * sizeof jobs->threads[0]);
    if (jobs == NULL) return err_set(ERR_NOMEM, "out of memory");
    jobs->max = max;
    jobs->tail = &jobs->first;
    (void)pthread_mutex_init(&jobs->lock, NULL);
    (void)pthread_cond_init(&jobs->changed, NULL);
    while (jobs->thread_count < threads &&
           pthread_create(&jobs->threads[jobs->thread_count], NULL, jobs_run, jobs) == 0)
        jobs->thread_count++;
    if (jobs->thread_count == 0) {
        jobs_stop(jobs);
        return err_set(ERR_NOMEM, "no thread can be started");
    }
    *ret_jobs = jobs;
    return OK;
}

void jobs_stop(struct jobs *jobs)
{
    if (jobs == NULL) return;
    (void)pthread_mutex_lock(&jobs->lock);
    jobs->stopping = true;
    (void)pthread_cond_broadcast(&jobs->changed);
    (void)pthread_mutex_unlock(&jobs->lock);
    for (int64_t i = 0; i < jobs->thread_count; i++)
        (void)pthread_join(jobs->threads[i], NULL);
    (void)pthread_cond_destroy(&jobs->changed);
    (void)pthread_mutex_destroy(&jobs->lock);
    free(jobs);
}

bool jobs_reserve(struct jobs *jobs)
{
    if (atomic_fetch_add(&jobs->count, 1) < jobs->max) return true;
    (void)atomic_fetch_sub(&jobs->count, 1);
    return false;
}

void jobs_add(struct jobs *jobs, struct job *job)
{
    job->next = NULL;
    (void)pthread_mutex_lock(&jobs->lock);
    *jobs->tail = job;
    jobs->tail = &job->next;
    (void)pthread_mutex_unlock(&jobs->lock);
    (void)pthread_cond_signal(&jobs->changed);
}

bool jobs_busy(const struct jobs *jobs)
{
    return atomic_load_explicit(&jobs->count, memory_order_relaxed) >= jobs->thread_count;
}
