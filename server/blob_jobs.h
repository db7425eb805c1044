/* What must not be done, or waited for, on an HTTP thread: hashing a large blob, keeping a new one, and looking out for one that is not here
 * yet. One thread of its own does it all, one thing after the other. Any thread may ask. */
#ifndef SERVER_BLOB_JOBS_H
#define SERVER_BLOB_JOBS_H

#include "store/blob_dir.h"

struct blob_jobs;

/* The caller's, alive until `done` was called or blob_jobs_cancel answered true. */
struct blob_job {
    /* filled by the caller */
    void (*work)(struct blob_job *job); /* done on the thread; NULL = looks out for the blob `id` until deadline_ms */
    uint8_t id[BLOB_ID_BYTES];
    int64_t deadline_ms;     /* CLOCK_MONOTONIC; 0 = none */
    void (*done)(void *ctx); /* once, from the thread; the job is not touched after it */
    void *ctx;

    atomic_bool cancelled;         /* `work` is to give up */
    struct blob_job *next, **link; /* in a list; link == NULL: in none */
};

/* `watches_max`: how many look out at once. The folder has to outlive it. */
int blob_jobs_start(struct blob_dir *dir, int64_t watches_max, struct blob_jobs **ret_jobs);
/* Jobs that are still there are not told. NULL is fine. */
void blob_jobs_stop(struct blob_jobs *jobs);

/* OK: `done` will be called; ERR_QUEUE: too many look out already. */
int blob_jobs_add(struct blob_jobs *jobs, struct blob_job *job);
/* true = it will not be told; false = it was told or is being told, or is at work and was asked to give up. */
bool blob_jobs_cancel(struct blob_jobs *jobs, struct blob_job *job);
/* A blob came: those who look out for one look now. */
void blob_jobs_look(struct blob_jobs *jobs);

#endif
