/* Power cuts: what a log and a flume do to their files is recorded, then power fails after every operation, and the disk keeps of what
 * was not synced whatever it may keep (disk.h). Each of these disks must open again with all that was promised.
 *
 * Usage: crash_power [CASES]   CASES: disks at most for each place (64) */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/err.h"
#include "tests/crash/check.h"
#include "tests/crash/disk.h"
#include "tests/crash/fault.h"
#include "tests/support/flume_kit.h"

#define TEXT_MAX 4000

struct power {
    const char *name;
    struct dice dice;
    size_t most;       /* disks for each place */
    char *home, *ruin; /* where it happens, and what is left of it */
    char log_path[SCRATCH_PATH];
    struct image {
        char *bytes;
        size_t len;
    } whole, other;    /* the log as it was in the end; as it would be had the write not failed */
    struct image torn; /* what was not whole when the recording began, and where */
    int64_t torn_at;
    size_t place;
    unsigned long disks, cuts, deep;
};

static struct power power;
static unsigned texts;

static struct slice text_next(size_t len)
{
    static char text[TEXT_MAX];
    int head = snprintf(text, sizeof text, "{\"n\":%u,\"seed\":%u,\"text\":\"", ++texts, (unsigned)power.dice.seed);
    if (len < (size_t)head + 2) len = (size_t)head + 2;
    memset(text + head, 'a' + (int)(texts % 26), len - (size_t)head - 2);
    memcpy(text + len - 2, "\"}", 2);
    return (struct slice){ text, len };
}

/* Small ones that share a sector, and large ones that have whole sectors to themselves. */
static struct slice text_any(void)
{
    return text_next(dice_roll(&power.dice, 3) == 0 ? 600 + dice_roll(&power.dice, 1400) : dice_roll(&power.dice, 300));
}

static void where_text(char *out, size_t size)
{
    (void)snprintf(out, size, "power %s, SLUICE_TEST_SEED=%llu, after operation %zu", power.name,
                   (unsigned long long)power.dice.seed, power.place);
}

/* ---- checking a disk ----------------------------------------------------------------------------------------------- */

static bool begins(const struct image *image, const char *bytes, size_t len)
{
    return len <= image->len && memcmp(bytes, image->bytes, len) == 0;
}

/* The log is the beginning of what it was in the end, up to where a record ends there, and all that was promised is in it. */
static void check_prefix(const char *path, int64_t promised, const char *where)
{
    size_t len;
    struct log *log = check_open(path, where);
    int64_t since = log_since(log);
    log_close(log);
    char *bytes = scratch_read(path, &len);
    check_that(since >= promised, where, "seq %lld was promised, the log ends at %lld", (long long)promised,
               (long long)since);
    check_that(begins(&power.whole, bytes, len) || begins(&power.other, bytes, len), where,
               "what is left is not the beginning of the log");
    free(bytes);
    (void)check_whole(path, where);
}

/* It goes on: what is appended now stays. */
static void check_goes_on(const char *path, const char *where)
{
    struct slice text = SLICE_LITERAL("{\"after\":\"the power came back\"}");
    int64_t seq;
    struct log_record record;
    struct log *log = check_open(path, where);
    int err = log_append(log, &text, 1, &seq);
    if (err == OK) err = log_sync(log);
    check_that(err == OK, where, "it does not go on: %s", err_detail(err));
    log_close(log);
    log = check_open(path, where);
    err = log_get(log, seq, &record);
    check_that(err == OK && record.value.len == text.len, where, "the record after the cut: %s", err_detail(err));
    log_close(log);
}

/* A torn tail is not lost, it is beside the log. */
static void check_saved(const struct log_offset_opened *opened, const char *before, size_t before_len,
                        const char *where)
{
    if (opened->cut_at < 0) return;
    size_t len;
    char *saved = scratch_read(opened->cut_path, &len);
    check_that((int64_t)len == opened->cut_bytes && opened->cut_at + (int64_t)len == (int64_t)before_len &&
                   memcmp(saved, before + opened->cut_at, len) == 0,
               where, "what was cut off is not what was saved");
    free(saved);
    power.cuts++;
}

static void recover(const char *path, const char *where)
{
    struct log_offset_options options = { .path = path };
    struct log_offset_opened opened;
    struct log *log = NULL;
    size_t len = 0;
    struct stat st;
    char *before = stat(path, &st) == 0 ? scratch_read(path, &len) : NULL;
    int err = log_offset_open(&options, &opened, &log);
    check_that(err == OK, where, "the log does not open: %s", err_detail(err));
    log_close(log);
    check_saved(&opened, before, len, where);
    free(before);
}

/* Not one byte of a torn tail is ever only in memory: it is still where it was, or in a file beside it. */
static void check_torn(const char *path, const char *where)
{
    char saved[SCRATCH_PATH + 32];
    size_t len;
    if (power.torn.len == 0) return;
    char *bytes = scratch_read(path, &len);
    bool there = len >= (size_t)power.torn_at + power.torn.len &&
                 memcmp(bytes + power.torn_at, power.torn.bytes, power.torn.len) == 0;
    free(bytes);
    if (there) return;
    (void)snprintf(saved, sizeof saved, "%s.cut-%lld", path, (long long)power.torn_at);
    check_that(scratch_size(saved) == (int64_t)power.torn.len, where, "the torn tail is gone and %s is not there",
               saved);
    bytes = scratch_read(saved, &len);
    check_that(memcmp(bytes, power.torn.bytes, len) == 0, where, "%s is not what was torn", saved);
    free(bytes);
}

static void check_disk(void *ctx, disk_choose_fn *choose, void *choose_ctx)
{
    char where[160], path[SCRATCH_PATH];
    (void)ctx;
    where_text(where, sizeof where);
    check_empty(power.ruin);
    disk_play(power.place, choose, choose_ctx, power.ruin);
    scratch_path(power.ruin, "log.offset", path);
    check_torn(path, where);
    recover(path, where);
    check_prefix(path, disk_promised(power.place), where);
    check_goes_on(path, where);
    power.disks++;
}

/* LMDB's file is not synced while it changes: as long as that is so, the mark that says so must be on every disk. */
static void check_views_mark(void *ctx, disk_choose_fn *choose, void *choose_ctx)
{
    char where[160], path[SCRATCH_PATH];
    (void)ctx;
    where_text(where, sizeof where);
    check_empty(power.ruin);
    disk_play(power.place, choose, choose_ctx, power.ruin);
    (void)snprintf(path, sizeof path, "%s/views/running", power.ruin);
    check_that(scratch_size(path) >= 0, where, "the views are changed, and nothing on the disk says so");
}

static void check_places(void)
{
    power.whole.bytes = scratch_read(power.log_path, &power.whole.len);
    for (power.place = 0; power.place <= disk_ops(); power.place++) {
        disk_cases(power.place, power.most, &power.dice, check_disk, NULL);
        if (disk_views_dirty(power.place)) disk_cases(power.place, 8, &power.dice, check_views_mark, NULL);
    }
}

/* ---- the log alone -------------------------------------------------------------------------------------------------- */

struct batch {
    struct slice values[8];
    size_t count;
};

static struct batch batch_make(size_t count)
{
    struct batch batch = { .count = count };
    for (size_t i = 0; i < count; i++) {
        struct slice text = text_any();
        batch.values[i] = (struct slice){ strndup(text.data, text.len), text.len };
    }
    return batch;
}

static void batch_free(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        free((void *)(uintptr_t)batch->values[i].data);
}

static int append_some(struct log *log, size_t count)
{
    struct batch batch = batch_make(count);
    int err = log_append(log, batch.values, count, NULL);
    batch_free(&batch);
    return err;
}

static void sync_and_promise(struct log *log, const char *where)
{
    int err = log_sync(log);
    check_that(err == OK, where, "sync: %s", err_detail(err));
    disk_promise(log_durable(log));
}

static void log_session(enum log_codec codec, const char *where)
{
    struct log_offset_options options = { .path = power.log_path, .codec = codec };
    struct log *log = NULL;
    int err = log_offset_open(&options, NULL, &log);
    check_that(err == OK, where, "open: %s", err_detail(err));
    disk_promise(log_durable(log));
    for (int i = 0; i < 4; i++) {
        for (uint64_t n = 1 + dice_roll(&power.dice, 3); n > 0; n--)
            check_that(append_some(log, 1 + dice_roll(&power.dice, 3)) == OK, where, "append");
        if (i != 3) sync_and_promise(log, where);
    }
    log_close(log); /* syncs the rest */
}

/* What the log at power.log_path would be with the batch in it. */
static struct image image_with(const struct batch *batch, const char *where)
{
    char path[SCRATCH_PATH];
    struct image image;
    size_t len;
    char *bytes = scratch_read(power.log_path, &len);
    scratch_path(power.ruin, "with", path);
    scratch_write(path, bytes, len);
    struct log *log = check_open(path, where);
    check_that(log_append(log, batch->values, batch->count, NULL) == OK, where, "append");
    log_close(log);
    image.bytes = scratch_read(path, &image.len);
    free(bytes);
    return image;
}

static void log_append_that_fails(const char *where)
{
    struct log *log = check_open(power.log_path, where);
    check_that(append_some(log, 1) == OK, where, "append");
    struct batch batch = batch_make(5);
    power.other = image_with(&batch, where);
    fault_arm(&(struct fault_plan){ FAULT_WRITE, 1, ENOSPC, FAULT_HALF });
    int err = log_append(log, batch.values, batch.count, NULL);
    fault_disarm();
    check_that(err == ERR_NOSPACE && fault_fired() == 1, where, "a write to a full disk: %s", err_name(err));
    /* Others, but of the same lengths: where the two met in one record, nothing would show it. */
    for (size_t i = 0; i < batch.count; i++)
        memset((char *)(uintptr_t)batch.values[i].data + 1, '#', batch.values[i].len - 2);
    err = log_append(log, batch.values, batch.count, NULL);
    check_that(err == OK, where, "append once there is room: %s", err_detail(err));
    sync_and_promise(log, where);
    log_close(log);
    batch_free(&batch);
}

static void begin(const char *name)
{
    power.name = name;
    check_empty(power.home);
    scratch_path(power.home, "log.offset", power.log_path);
    disk_record(power.home);
}

static void finish(const char *name)
{
    disk_stop();
    unsigned long before = power.disks;
    size_t ops = disk_ops();
    check_places();
    (void)printf("  power %-28s %4zu operations, %6lu disks\n", name, ops, power.disks - before);
    check_that(power.disks - before > ops, name, "no disks were made");
    free(power.whole.bytes);
    disk_forget();
}

static void run_log(enum log_codec codec, const char *name)
{
    begin(name);
    log_session(codec, name);
    log_session(codec, name);
    finish(name);
}

/* The log is there, who owned it last is not known. */
static void run_first_session(void)
{
    const char *name = "a log that comes from elsewhere";
    char lock[SCRATCH_PATH];
    begin(name);
    log_session(LOG_CODEC_48, name);
    disk_stop();
    scratch_path(power.home, "log.offset.lock", lock);
    (void)unlink(lock);
    disk_record(power.home);
    log_session(LOG_CODEC_48, name);
    finish(name);
}

static void run_failed_write(void)
{
    const char *name = "a write that fails half-way";
    begin(name);
    log_append_that_fails(name);
    finish(name);
    free(power.other.bytes);
    power.other = (struct image){ 0 };
}

/* Recovery itself: the disk is what a cut has left, and power fails again while the torn tail is cut off. */
static void run_recovery(void)
{
    const char *name = "power fails while recovering";
    size_t len;
    begin(name);
    log_session(LOG_CODEC_53, name);
    char *bytes = scratch_read(power.log_path, &len);
    disk_stop();
    for (size_t lost = 1; lost < 1200 && lost < len; lost += 1 + dice_roll(&power.dice, 300)) {
        scratch_write(power.log_path, bytes, len - lost);
        disk_record(power.home);
        struct log *log = check_open(power.log_path, name);
        disk_promise(log_since(log));
        power.torn_at = log_bytes(log);
        power.torn = (struct image){ bytes + power.torn_at, len - lost - (size_t)power.torn_at };
        check_that(append_some(log, 2) == OK, name, "append");
        sync_and_promise(log, name);
        log_close(log);
        disk_stop();
        check_places();
        free(power.whole.bytes);
        disk_forget();
        char saved[SCRATCH_PATH + 32];
        (void)snprintf(saved, sizeof saved, "%s.cut-%lld", power.log_path, (long long)power.torn_at);
        check_that(power.torn.len == 0 || unlink(saved) == 0, name, "%s is not there", saved);
        power.deep++;
    }
    power.torn = (struct image){ 0 };
    free(bytes);
    (void)printf("  power %-28s %4lu times\n", name, power.deep);
}

/* ---- with the core on top ------------------------------------------------------------------------------------------- */

static struct flume *running; /* for events */

static int open_log(void *ctx, struct log **ret_log)
{
    const struct log_offset_options options = { .path = ctx };
    return log_offset_open(&options, NULL, ret_log);
}

/* Told from the indexer thread, which does all the writing: so it stands in the recording where it happened. */
static void on_event(void *ctx, enum flume_event event)
{
    (void)ctx;
    if (event == FLUME_HEAD && running != NULL) disk_promise(log_durable(flume_log(running)));
}

struct job {
    struct flume_append append;
    struct slice value;
    int64_t seq;
    atomic_int *left;
};

static void job_done(struct flume_append *append)
{
    struct job *job = append->ctx;
    if (append->err == OK && !append->relaxed) disk_promise(job->seq);
    (void)atomic_fetch_sub(job->left, 1);
}

static bool none_left(void *ctx)
{
    return atomic_load((atomic_int *)ctx) == 0;
}

static void run_flume(void)
{
    const char *name = "appends through the core";
    enum { JOBS = 40 };
    static struct job jobs[JOBS];
    atomic_int left = JOBS;
    char views[SCRATCH_PATH];
    begin(name);
    scratch_path(power.home, "views", views);
    const struct flume_options options = {
        .open_log = open_log, .open_ctx = power.log_path, .views_dir = views, .accept_any = true, .on_event = on_event
    };
    struct flume *flume = kit_open(&options);
    running = flume;
    for (int i = 0; i < JOBS; i++) {
        struct slice text = text_any();
        jobs[i] = (struct job){ .value = { strndup(text.data, text.len), text.len }, .left = &left };
        jobs[i].append = (struct flume_append){ .values = &jobs[i].value,
                                                .count = 1,
                                                .relaxed = dice_roll(&power.dice, 3) > 0,
                                                .done = job_done,
                                                .ctx = &jobs[i],
                                                .seqs = &jobs[i].seq };
        check_that(flume_append(flume, &jobs[i].append) == OK, name, "append");
        if (dice_roll(&power.dice, 4) == 0) usleep((useconds_t)dice_roll(&power.dice, 3000));
    }
    check_that(kit_until(none_left, &left), name, "not all appends were answered");
    flume_close(flume);
    running = NULL;
    for (int i = 0; i < JOBS; i++)
        free((void *)(uintptr_t)jobs[i].value.data);
    finish(name);
}

int main(int argc, char **argv)
{
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    power.dice = dice_make();
    power.most = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 64;
    power.home = scratch_make();
    power.ruin = scratch_make();
    (void)printf("power: SLUICE_TEST_SEED=%llu, up to %zu disks for each place\n", (unsigned long long)power.dice.seed,
                 power.most);
    run_log(LOG_CODEC_53, "a log, 53 bit");
    run_log(LOG_CODEC_32, "a log, 32 bit");
    run_first_session();
    run_failed_write();
    run_recovery();
    run_flume();
    check_that(power.cuts > 0, "power", "no torn tail was cut off");
    (void)printf("power: %lu disks, %lu torn tails cut off and saved\n", power.disks, power.cuts);
    check_empty(power.home);
    check_empty(power.ruin);
    scratch_remove(power.home);
    scratch_remove(power.ruin);
    return 0;
}
