#include "tests/bench/flume.h"

#include <pthread.h>

#include "store/err.h"
#include "tests/bench/bench.h"

#define WAIT_MS (INT64_C(3600) * 1000)

struct ready {
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool over;
    int err;
};

static int open_log(void *ctx, struct log **ret_log)
{
    const char *path = ctx;
    return log_offset_open(&(struct log_offset_options){ .path = path, .follow = true }, NULL, ret_log);
}

void bench_flume_open(const char *log_path, const char *views_dir, struct flume **ret_flume)
{
    union {
        const char *borrowed;
        void *ctx;
    } path = { .borrowed = log_path };
    const struct flume_options options = {
        .open_log = open_log, .open_ctx = path.ctx, .follow_path = log_path, .views_dir = views_dir
    };
    bench_must(flume_open(&options, ret_flume), "opening log and views");
}

static void on_ready(void *ctx, int err)
{
    struct ready *ready = ctx;
    (void)pthread_mutex_lock(&ready->lock);
    ready->over = true;
    ready->err = err;
    (void)pthread_cond_signal(&ready->told);
    (void)pthread_mutex_unlock(&ready->lock);
}

static uint32_t views_early(const struct flume *flume)
{
    uint32_t mask = 0;
    for (uint32_t id = 0; id < VIEW_COUNT; id++)
        if (!flume_view(flume, (enum view_id)id)->ops->late) mask |= UINT32_C(1) << id;
    return mask;
}

void bench_flume_wait(struct flume *flume, bool early)
{
    struct ready ready = { .lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER };
    uint64_t ticket;
    uint32_t views = early ? views_early(flume) : (UINT32_C(1) << VIEW_COUNT) - 1;
    int got = flume_wait(flume, views, flume_head(flume), flume_now_ms() + WAIT_MS, on_ready, &ready, &ticket);
    if (got < 0) bench_must(got, "waiting for the views");
    (void)pthread_mutex_lock(&ready.lock);
    while (got == 0 && !ready.over)
        (void)pthread_cond_wait(&ready.told, &ready.lock);
    (void)pthread_mutex_unlock(&ready.lock);
    bench_must(ready.err, "building the views");
}
