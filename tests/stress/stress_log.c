/* One appender, readers of its log and of a follower of its file, and threads that refresh the follower: for ThreadSanitizer. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/log.h"
#include "tests/support/scratch.h"

#define RECORDS 20000

struct stress {
    struct log *owner;
    struct log *follower;
    atomic_int done;
    atomic_int failed;
};

static void fail(struct stress *stress, const char *what, int code)
{
    (void)fprintf(stderr, "stress: %s: %s\n", what, code < 0 ? err_detail(code) : "wrong answer");
    atomic_store(&stress->failed, 1);
}

static void read_all(struct stress *stress, struct log *log)
{
    struct log_range range = LOG_RANGE_ALL;
    struct log_cursor cursor;
    struct log_record record;
    int n = 0;
    int got = log_cursor_open(log, &range, &cursor);
    while (got >= 0 && n < RECORDS && atomic_load(&stress->failed) == 0) {
        got = log_next(&cursor, &record);
        if (got != 1) continue;
        if (record.value.len != (size_t)(n % 200) + 1 || record.value.data[0] != (char)('a' + n % 26))
            fail(stress, "a record", 0);
        struct log_record again;
        if (n % 16 == 0 && (log_get(log, record.seq, &again) != OK || again.value.data != record.value.data))
            fail(stress, "get", 0);
        if (log_since(log) < record.seq || log_bytes(log) <= record.seq) fail(stress, "the head is behind", 0);
        n++;
    }
    if (got < 0) fail(stress, "next", got);
    if (log_identity(log) == 0) fail(stress, "identity", 0);
}

static void *read_owner(void *arg)
{
    struct stress *stress = arg;
    read_all(stress, stress->owner);
    return NULL;
}

static void *read_follower(void *arg)
{
    struct stress *stress = arg;
    read_all(stress, stress->follower);
    return NULL;
}

static void *refresh(void *arg)
{
    struct stress *stress = arg;
    bool done;
    do {
        done = atomic_load(&stress->done) != 0;
        int moved = log_refresh(stress->follower);
        if (moved < 0) fail(stress, "refresh", moved);
        if (log_durable(stress->follower) > log_since(stress->follower)) fail(stress, "durable", 0);
    } while (!done && atomic_load(&stress->failed) == 0);
    return NULL;
}

static void append_all(struct stress *stress)
{
    char text[200];
    for (int n = 0; n < RECORDS; n++) {
        memset(text, 'a' + n % 26, sizeof text);
        struct slice value = { text, (size_t)(n % 200) + 1 };
        int err = log_append(stress->owner, &value, 1, NULL);
        if (err == OK && n % 5000 == 0) err = log_sync(stress->owner);
        if (err != OK) fail(stress, "append", err);
    }
    atomic_store(&stress->done, 1);
}

int main(void)
{
    char *folder = scratch_make();
    char path[SCRATCH_PATH];
    scratch_path(folder, "log.offset", path);
    struct stress stress = { 0 };
    struct log_offset_options options = { .path = path };
    if (log_offset_open(&options, NULL, &stress.owner) != OK) return 1;
    options.follow = true;
    if (log_offset_open(&options, NULL, &stress.follower) != OK) return 1;
    void *(*const bodies[])(void *) = { read_owner, read_owner, read_follower, read_follower, refresh, refresh };
    pthread_t threads[6];
    for (size_t i = 0; i < 6; i++)
        if (pthread_create(&threads[i], NULL, bodies[i], &stress) != 0) return 1;
    append_all(&stress);
    for (size_t i = 0; i < 6; i++)
        (void)pthread_join(threads[i], NULL);
    log_close(stress.follower);
    log_close(stress.owner);
    scratch_remove(folder);
    return atomic_load(&stress.failed);
}
