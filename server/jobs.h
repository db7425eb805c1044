/* Threads for what takes long: an HTTP thread answers many clients, and none of them is to wait for another one's query. First come, first
 * served. Any thread may ask. */
#ifndef SERVER_JOBS_H
#define SERVER_JOBS_H

#include <stdbool.h>
#include <stdint.h>

struct jobs;

/* The caller's, untouched until `work` is called. */
struct job {
    void (*work)(void *ctx); /* once, on one of the threads; it may give the job away or free it */
    void *ctx;
    struct job *next;
};

/* `max`: how many there may be at once, those at work included. */
int jobs_start(int64_t threads, int64_t max, struct jobs **ret_jobs);
/* Does what was added, then ends. NULL is fine. */
void jobs_stop(struct jobs *jobs);

bool jobs_reserve(struct jobs *jobs);              /* a place for a job; false = there are too many */
void jobs_add(struct jobs *jobs, struct job *job); /* takes a place that was reserved */
bool jobs_busy(const struct jobs *jobs);           /* one that is added now has to wait */

#endif
