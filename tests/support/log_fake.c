#include "tests/support/log_fake.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/err.h"
#include "store/fnv.h"

#define FRAME_BYTES 12

struct fake_record {
    int64_t seq;
    char *data;
    size_t len;
    bool deleted;
    struct fake_record *older_text; /* bytes that were lent out */
};

struct fake_file {
    struct fake_record *records;
    size_t count, cap, durable;
    int64_t gap;
    struct fake_file *older;
};

struct fake_disk {
    pthread_mutex_t lock;
    bool follow;
    struct fake_file *file; /* the newest; the older ones may be open */
    int fail_append, fail_sync, fail_open;
    unsigned appends, syncs;
    bool held; /* syncs wait for `release` */
    unsigned sync_us;
    pthread_cond_t release;
};

struct fake_log {
    struct log base;
    struct fake_disk *disk;
    struct fake_file *file;
    size_t visible; /* followed: records that a refresh has seen */
};

static struct fake_log *fake_of(struct log *log)
{
    return (struct fake_log *)log;
}

static void *must(void *memory)
{
    if (memory == NULL) abort();
    return memory;
}

static void lock(struct fake_disk *disk)
{
    (void)pthread_mutex_lock(&disk->lock);
}

static void unlock(struct fake_disk *disk)
{
    (void)pthread_mutex_unlock(&disk->lock);
}

static size_t fake_visible(const struct fake_log *log)
{
    return log->disk->follow ? log->visible : log->file->count;
}

static int64_t fake_seq(const struct fake_file *file, size_t count)
{
    return count == 0 ? SEQ_EMPTY : file->records[count - 1].seq;
}

static int64_t file_add(struct fake_file *file, const char *data, size_t len)
{
    if (file->count == file->cap) {
        file->cap = file->cap == 0 ? 64 : file->cap * 2;
        file->records = must(realloc(file->records, file->cap * sizeof *file->records));
    }
    int64_t seq = 0;
    if (file->count > 0)
        seq =
            file->records[file->count - 1].seq + (int64_t)file->records[file->count - 1].len + FRAME_BYTES + file->gap;
    struct fake_record record = { .seq = seq, .data = must(malloc(len)), .len = len };
    memcpy(record.data, data, len);
    file->records[file->count++] = record;
    return seq;
}

/* The first record at or above `seq`. */
static size_t file_find(const struct fake_file *file, int64_t seq)
{
    size_t low = 0, high = file->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (file->records[middle].seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- the log ------------------------------------------------------------------------------------------------- */

static int fake_append(struct log *base, const struct slice *values, size_t n, int64_t *ret_seqs)
{
    struct fake_log *log = fake_of(base);
    lock(log->disk);
    int err = log->disk->fail_append;
    for (size_t i = 0; err == OK && i < n; i++) {
        int64_t seq = file_add(log->file, values[i].data, values[i].len);
        if (ret_seqs != NULL) ret_seqs[i] = seq;
    }
    log->disk->appends++;
    unlock(log->disk);
    return err == OK ? OK : err_set(err, "the fake disk was told to fail an append");
}

static int fake_get(struct log *base, int64_t seq, struct log_record *ret_record)
{
    struct fake_log *log = fake_of(base);
    lock(log->disk);
    size_t at = file_find(log->file, seq);
    int err = at >= fake_visible(log) ? ERR_NOSEQ : log->file->records[at].seq != seq ? ERR_BOUNDARY : OK;
    if (err == OK && log->file->records[at].deleted) err = ERR_DELETED;
    if (err == OK)
        *ret_record = (struct log_record){ seq, { log->file->records[at].data, log->file->records[at].len } };
    unlock(log->disk);
    return err;
}

static int fake_cursor_open(struct log *base, const struct log_range *range, struct log_cursor *ret_cursor)
{
    struct fake_log *log = fake_of(base);
    lock(log->disk);
    int64_t ends[2] = { range->min, range->max };
    int err = OK;
    for (int i = 0; err == OK && i < 2; i++) {
        size_t at = file_find(log->file, ends[i]);
        if (at < fake_visible(log) && log->file->records[at].seq != ends[i]) err = ERR_BOUNDARY;
    }
    unlock(log->disk);
    if (err != OK)
        return err_set(err, "the fake log has no record at %lld or %lld", (long long)ends[0], (long long)ends[1]);
    *ret_cursor = (struct log_cursor){ .log = base, .range = *range, .at = range->reverse ? range->max : range->min };
    return OK;
}

/* cursor->at is what may be answered next, in either direction. */
static int fake_next_reverse(struct log_cursor *cursor, struct log_record *ret_record)
{
    const struct fake_log *log = fake_of(cursor->log);
    size_t i = file_find(log->file, cursor->at + 1);
    if (i > fake_visible(log)) i = fake_visible(log);
    for (; i > 0; i--) {
        const struct fake_record *record = &log->file->records[i - 1];
        if (record->seq < cursor->range.min) break;
        cursor->at = record->seq - 1;
        if (record->deleted) continue;
        *ret_record = (struct log_record){ record->seq, { record->data, record->len } };
        return 1;
    }
    return 0;
}

static int fake_cursor_next(struct log_cursor *cursor, struct log_record *ret_record)
{
    struct fake_log *log = fake_of(cursor->log);
    int found = 0;
    lock(log->disk);
    if (cursor->range.reverse) {
        found = fake_next_reverse(cursor, ret_record);
        unlock(log->disk);
        return found;
    }
    for (size_t i = file_find(log->file, cursor->at); found == 0 && i < fake_visible(log); i++) {
        const struct fake_record *record = &log->file->records[i];
        if (record->seq > cursor->range.max) break;
        cursor->at = record->seq + 1;
        if (record->deleted) continue;
        *ret_record = (struct log_record){ record->seq, { record->data, record->len } };
        found = 1;
    }
    unlock(log->disk);
    return found;
}

static int64_t fake_since(struct log *base)
{
    struct fake_log *log = fake_of(base);
    lock(log->disk);
    int64_t since = fake_seq(log->file, fake_visible(log));
    unlock(log->disk);
    return since;
}

static int64_t fake_durable(struct log *base)
{
    struct fake_log *log = fake_of(base);
    lock(log->disk);
    int64_t durable = fake_seq(log->file, log->disk->follow ? log->visible : log->file->durable);
    unlock(log->disk);
    return durable;
}

static uint64_t fake_identity(struct log *base)
{
    struct fake_log *log = fake_of(base);
    lock(log->disk);
    uint64_t hash = 0;
    if (fake_visible(log) > 0) hash = fnv_add(FNV_START, log->file->records[0].data, log->file->records[0].len);
    unlock(log->disk);
    return hash;
}

static int64_t fake_bytes(struct log *base)
{
    struct fake_log *log = fake_of(base);
    lock(log->disk);
    size_t count = fake_visible(log);
    int64_t bytes =
        count == 0 ? 0 : log->file->records[count - 1].seq + (int64_t)log->file->records[count - 1].len + FRAME_BYTES;
    unlock(log->disk);
    return bytes;
}

static int fake_refresh(struct log *base)
{
    struct fake_log *log = fake_of(base);
    lock(log->disk);
    int moved = 0;
    if (log->disk->follow && log->file != log->disk->file) {
        moved = ERR_CHANGED;
    } else if (log->disk->follow) {
        moved = log->visible < log->file->count;
        log->visible = log->file->count;
    }
    unlock(log->disk);
    return moved;
}

static int fake_sync(struct log *base)
{
    struct fake_log *log = fake_of(base);
    lock(log->disk);
    while (log->disk->held)
        (void)pthread_cond_wait(&log->disk->release, &log->disk->lock);
    unsigned us = log->disk->sync_us;
    unlock(log->disk);
    if (us > 0) (void)usleep(us);
    lock(log->disk);
    int err = log->disk->fail_sync;
    if (err == OK) log->file->durable = log->file->count;
    log->disk->syncs++;
    unlock(log->disk);
    return err == OK ? OK : err_set(err, "the fake disk was told to fail a sync");
}

static void fake_close(struct log *base)
{
    free(base);
}

static const struct log_ops fake_ops = {
    .name = "fake",
    .append = fake_append,
    .get = fake_get,
    .cursor_open = fake_cursor_open,
    .cursor_next = fake_cursor_next,
    .since = fake_since,
    .durable = fake_durable,
    .identity = fake_identity,
    .bytes = fake_bytes,
    .refresh = fake_refresh,
    .sync = fake_sync,
    .close = fake_close,
};

/* ---- the disk ------------------------------------------------------------------------------------------------- */

struct fake_disk *fake_disk_make(bool follow)
{
    struct fake_disk *disk = must(calloc(1, sizeof *disk));
    (void)pthread_mutex_init(&disk->lock, NULL);
    (void)pthread_cond_init(&disk->release, NULL);
    disk->follow = follow;
    disk->file = must(calloc(1, sizeof *disk->file));
    return disk;
}

static void record_free(struct fake_record *record)
{
    struct fake_record *older = record->older_text;
    free(record->data);
    if (older == NULL) return;
    record_free(older);
    free(older);
}

void fake_disk_free(struct fake_disk *disk)
{
    for (struct fake_file *file = disk->file, *older; file != NULL; file = older) {
        older = file->older;
        for (size_t i = 0; i < file->count; i++)
            record_free(&file->records[i]);
        free(file->records);
        free(file);
    }
    (void)pthread_mutex_destroy(&disk->lock);
    (void)pthread_cond_destroy(&disk->release);
    free(disk);
}

int fake_disk_open(void *ctx, struct log **ret_log)
{
    struct fake_disk *disk = ctx;
    lock(disk);
    int err = disk->fail_open;
    struct fake_file *file = disk->file;
    size_t visible = file->count;
    if (err == OK && !disk->follow) file->durable = file->count;
    unlock(disk);
    if (err != OK) return err_set(err, "the fake disk was told to fail an open");
    struct fake_log *log = must(calloc(1, sizeof *log));
    *log = (struct fake_log){ .base = { &fake_ops }, .disk = disk, .file = file, .visible = visible };
    *ret_log = &log->base;
    return OK;
}

void fake_disk_spread(struct fake_disk *disk, int64_t gap)
{
    lock(disk);
    disk->file->gap = gap;
    unlock(disk);
}

int64_t fake_disk_write(struct fake_disk *disk, const char *text)
{
    lock(disk);
    int64_t seq = file_add(disk->file, text, strlen(text));
    unlock(disk);
    return seq;
}

void fake_disk_replace(struct fake_disk *disk, bool keep_records)
{
    struct fake_file *file = must(calloc(1, sizeof *file));
    lock(disk);
    for (size_t i = 0; keep_records && i < disk->file->count; i++)
        (void)file_add(file, disk->file->records[i].data, disk->file->records[i].len);
    file->older = disk->file;
    disk->file = file;
    unlock(disk);
}

void fake_disk_delete(struct fake_disk *disk, int64_t seq)
{
    lock(disk);
    disk->file->records[file_find(disk->file, seq)].deleted = true;
    unlock(disk);
}

void fake_disk_rewrite(struct fake_disk *disk, int64_t seq, const char *text)
{
    lock(disk);
    struct fake_record *record = &disk->file->records[file_find(disk->file, seq)];
    struct fake_record *old = must(malloc(sizeof *old));
    *old = *record;
    record->older_text = old;
    record->data = must(malloc(record->len));
    memcpy(record->data, text, record->len);
    unlock(disk);
}

void fake_disk_lose_unsynced(struct fake_disk *disk)
{
    lock(disk);
    while (disk->file->count > disk->file->durable)
        record_free(&disk->file->records[--disk->file->count]);
    unlock(disk);
}

void fake_disk_fail(struct fake_disk *disk, int append, int sync, int open)
{
    lock(disk);
    disk->fail_append = append;
    disk->fail_sync = sync;
    disk->fail_open = open;
    unlock(disk);
}

void fake_disk_hold_syncs(struct fake_disk *disk, bool hold)
{
    lock(disk);
    disk->held = hold;
    (void)pthread_cond_broadcast(&disk->release);
    unlock(disk);
}

void fake_disk_slow_syncs(struct fake_disk *disk, unsigned us)
{
    lock(disk);
    disk->sync_us = us;
    unlock(disk);
}

unsigned fake_disk_appends(struct fake_disk *disk)
{
    lock(disk);
    unsigned n = disk->appends;
    unlock(disk);
    return n;
}

unsigned fake_disk_syncs(struct fake_disk *disk)
{
    lock(disk);
    unsigned n = disk->syncs;
    unlock(disk);
    return n;
}

size_t fake_disk_count(struct fake_disk *disk)
{
    lock(disk);
    size_t n = disk->file->count;
    unlock(disk);
    return n;
}
