#include "server/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define THREADS_MAX 64

struct loop {
    parallel_fn *fn;
    void *ctx;
    size_t count;
    atomic_size_t next;
};

static void *loop_run(void *arg)
{
    struct loop *loop = arg;
    for (;;) {
        size_t i = atomic_fetch_add(&loop->next, 1);
        if (i >= loop->count) return NULL;
        loop->fn(loop->ctx, i);
    }
}

void parallel_run(size_t count, unsigned threads, parallel_fn *fn, void *ctx)
{
    struct loop loop = { .fn = fn, .ctx = ctx, .count = count };
    pthread_t others[THREADS_MAX];
    unsigned started = 0;
    while (started + 1 < threads && started < THREADS_MAX && started + 1 < count &&
           pthread_create(&others[started], NULL, loop_run, &loop) == 0)
        started++;
    (void)loop_run(&loop);
    for (unsigned i = 0; i < started; i++)
        (void)pthread_join(others[i], NULL);
}

unsigned parallel_cores(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? (unsigned)count : 1;
}
