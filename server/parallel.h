/* A loop whose rounds do not depend on each other, done by several threads at once. */
#ifndef SERVER_PARALLEL_H
#define SERVER_PARALLEL_H

#include <stddef.h>

typedef void parallel_fn(void *ctx, size_t i);

/* Calls fn for every i below `count`, in no order, and returns when all are done. The caller's thread works too, and threads
 * are started for this loop only: worth it from about a millisecond of work on. */
void parallel_run(size_t count, unsigned threads, parallel_fn *fn, void *ctx);

unsigned parallel_cores(void); /* that this process may use */

#endif
