#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/fnv.h"
#include "store/log.h"

/* One mutex around an array: this log is the model of the others, so it is kept too plain to be wrong. */
struct log_memory {
    struct log base;
    pthread_mutex_t mutex;
    struct slice *values; /* each data is malloced and never moves: records are borrowed until close */
    size_t count;
    size_t cap;
};

static struct log_memory *memory_of(struct log *log)
{
    return (struct log_memory *)log;
}

static int memory_reserve(struct log_memory *log, size_t extra)
{
    if (extra > SIZE_MAX / sizeof *log->values / 2 - log->count) return err_set(ERR_LIMIT, "too many records");
    size_t cap = log->cap;
    while (cap < log->count + extra)
        cap = cap == 0 ? 64 : cap * 2;
    if (cap == log->cap) return OK;
    struct slice *values = realloc(log->values, cap * sizeof *values);
    if (values == NULL) return err_set(ERR_NOMEM, "no memory for %zu records", cap);
    log->values = values;
    log->cap = cap;
    return OK;
}

static int memory_copy(struct log_memory *log, const struct slice *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *data = malloc(values[i].len);
        if (data == NULL) {
            while (i-- > 0)
                free((void *)(uintptr_t)log->values[log->count + i].data);
            return err_set(ERR_NOMEM, "no memory for a record of %zu bytes", values[i].len);
        }
        memcpy(data, values[i].data, values[i].len);
        log->values[log->count + i] = (struct slice){ data, values[i].len };
    }
    return OK;
}

static int memory_append(struct log *base, const struct slice *values, size_t n, int64_t *ret_seqs)
{
    struct log_memory *log = memory_of(base);
    (void)pthread_mutex_lock(&log->mutex);
    int err = memory_reserve(log, n);
    if (err == OK) err = memory_copy(log, values, n);
    if (err == OK) {
        for (size_t i = 0; ret_seqs != NULL && i < n; i++)
            ret_seqs[i] = (int64_t)(log->count + i);
        log->count += n;
    }
    (void)pthread_mutex_unlock(&log->mutex);
    return err;
}

static bool memory_read(struct log_memory *log, int64_t seq, struct log_record *ret_record)
{
    (void)pthread_mutex_lock(&log->mutex);
    bool found = seq >= 0 && (uint64_t)seq < log->count;
    if (found) *ret_record = (struct log_record){ seq, log->values[seq] };
    (void)pthread_mutex_unlock(&log->mutex);
    return found;
}

static int memory_get(struct log *base, int64_t seq, struct log_record *ret_record)
{
    if (memory_read(memory_of(base), seq, ret_record)) return OK;
    return err_set(ERR_NOSEQ, "no record at seq %lld", (long long)seq);
}

static int64_t memory_since(struct log *base)
{
    struct log_memory *log = memory_of(base);
    (void)pthread_mutex_lock(&log->mutex);
    int64_t since = (int64_t)log->count - 1;
    (void)pthread_mutex_unlock(&log->mutex);
    return since;
}

static int memory_cursor_open(struct log *base, const struct log_range *range, struct log_cursor *ret_cursor)
{
    int64_t since = memory_since(base);
    struct log_cursor cursor = { .log = base, .range = *range, .at = range->min };
    if (range->reverse) cursor.at = range->max < since ? range->max : since;
    cursor.ended = range->reverse && cursor.at < range->min;
    *ret_cursor = cursor;
    return OK;
}

static int memory_cursor_next(struct log_cursor *cursor, struct log_record *ret_record)
{
    if (!memory_read(memory_of(cursor->log), cursor->at, ret_record)) return 0;
    cursor->at += cursor->range.reverse ? -1 : 1;
    cursor->ended = cursor->at < cursor->range.min || cursor->at > cursor->range.max;
    return 1;
}

static uint64_t memory_identity(struct log *base)
{
    struct log_record first;
    if (!memory_read(memory_of(base), 0, &first)) return 0;
    uint64_t hash = fnv_add(fnv_add(FNV_START, "memory", 6), first.value.data, first.value.len);
    return hash == 0 ? 1 : hash;
}

/* Counts records instead of bytes: what matters is that a seq divided by it is the part done. */
static int64_t memory_bytes(struct log *base)
{
    return memory_since(base) + 1;
}

static int memory_nothing(struct log *base)
{
    (void)base;
    return OK;
}

static void memory_close(struct log *base)
{
    struct log_memory *log = memory_of(base);
    for (size_t i = 0; i < log->count; i++)
        free((void *)(uintptr_t)log->values[i].data);
    free(log->values);
    (void)pthread_mutex_destroy(&log->mutex);
    free(log);
}

static const struct log_ops memory_ops = {
    .name = "memory",
    .append = memory_append,
    .get = memory_get,
    .cursor_open = memory_cursor_open,
    .cursor_next = memory_cursor_next,
    .since = memory_since,
    .durable = memory_since,
    .identity = memory_identity,
    .bytes = memory_bytes,
    .refresh = memory_nothing,
    .sync = memory_nothing,
    .close = memory_close,
};

int log_memory_open(struct log **ret_log)
{
    struct log_memory *log = calloc(1, sizeof *log);
    if (log == NULL) return err_set(ERR_NOMEM, "no memory for a log");
    log->base.ops = &memory_ops;
    (void)pthread_mutex_init(&log->mutex, NULL);
    *ret_log = &log->base;
    return OK;
}
