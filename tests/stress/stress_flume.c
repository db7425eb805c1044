/* Everything that the flume core can do, at once, from many threads: to be run under ThreadSanitizer.
 *
 *     stress_flume [SECONDS]        SLUICE_TEST_SEED repeats the choices of a run, as far as threads allow
 *
 * First an owned log with appends, waiters, cancelling, readers and rebuilds; then a followed one that is written and
 * replaced by its owner. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/err.h"
#include "tests/support/flume_kit.h"
#include "tests/support/scratch.h"

#define THREADS_MAX 16

static struct flume *flume;
static struct fake_disk *disk;
static struct kit_events events;
static atomic_bool stop;
static uint64_t seed;
static _Atomic uint64_t appended, reads, asked, told, cancelled, timed_out;

static void expect(bool ok, const char *what)
{
    if (ok) return;
    (void)fprintf(stderr, "stress_flume: %s (SLUICE_TEST_SEED=%llu): %s\n", what, (unsigned long long)seed,
                  err_detail(ERR_IO));
    abort();
}

static struct dice dice_of(size_t thread)
{
    return (struct dice){ .state = seed * 2 + 1 + thread * UINT64_C(0x5851F42D4C957F2D), .seed = seed };
}

/* ---- threads ---------------------------------------------------------------------------------------------------- */

static void append_some(struct dice *dice)
{
    char texts[8][64];
    struct slice values[8];
    int64_t seqs[8];
    size_t n = 1 + dice_roll(dice, 8);
    for (size_t i = 0; i < n; i++) {
        int len = snprintf(texts[i], sizeof texts[i], "{\"n\":%llu}", (unsigned long long)dice_roll(dice, UINT64_MAX));
        values[i] = (struct slice){ texts[i], (size_t)len };
    }
    struct flume_append job = { .values = values, .count = n, .relaxed = dice_roll(dice, 2) == 0, .seqs = seqs };
    int err = kit_append(flume, &job);
    expect(err == OK, "append");
    for (size_t i = 1; i < n; i++)
        expect(seqs[i] > seqs[i - 1], "seqs of a job must go up");
    (void)atomic_fetch_add(&appended, n);
    if (!job.relaxed) expect(flume_head(flume) >= seqs[n - 1], "a strong append must be durable");
    if (dice_roll(dice, 4) == 0) expect(kit_wait(flume, KIT_FIRST, seqs[n - 1], KIT_WAIT_MS) == OK, "read your writes");
}

static void *appender(void *arg)
{
    struct dice dice = dice_of((size_t)(uintptr_t)arg);
    while (!atomic_load(&stop))
        append_some(&dice);
    return NULL;
}

struct waiting {
    _Atomic unsigned calls;
    uint32_t mask;
    int64_t seq;
};

static void waited(void *ctx, int err)
{
    struct waiting *waiting = ctx;
    expect(err == OK || err == ERR_TIMEOUT || err == ERR_CLOSED, "what a waiter is told");
    if (err == ERR_TIMEOUT) (void)atomic_fetch_add(&timed_out, 1);
    (void)atomic_fetch_add(&told, 1);
    (void)atomic_fetch_add(&waiting->calls, 1);
}

/* Some wait for what is there, some for what will come, some for what will not; some give up. */
static void wait_once(struct dice *dice, struct waiting *waiting)
{
    uint64_t ticket;
    waiting->mask = dice_roll(dice, 2) == 0 ? KIT_FIRST : KIT_BOTH;
    waiting->seq = flume_head(flume) + (int64_t)dice_roll(dice, 400) - 200;
    int64_t deadline = flume_now_ms() + (int64_t)dice_roll(dice, 100);
    int err = flume_wait(flume, waiting->mask, waiting->seq, deadline, waited, waiting, &ticket);
    expect(err == 0 || err == 1, "flume_wait");
    if (err == 1) {
        (void)atomic_fetch_add(&waiting->calls, 1);
        return;
    }
    (void)atomic_fetch_add(&asked, 1);
    if (dice_roll(dice, 3) != 0) return;
    usleep((unsigned)dice_roll(dice, 3000));
    if (!flume_wait_cancel(flume, ticket)) return;
    (void)atomic_fetch_add(&cancelled, 1);
    (void)atomic_fetch_add(&waiting->calls, 1);
}

static void *waiter(void *arg)
{
    enum { N = 64 };
    struct dice dice = dice_of((size_t)(uintptr_t)arg);
    static struct waiting all[THREADS_MAX][N];
    struct waiting *mine = all[(size_t)(uintptr_t)arg % THREADS_MAX];
    while (!atomic_load(&stop)) {
        for (size_t i = 0; i < N; i++) {
            atomic_store(&mine[i].calls, 0);
            wait_once(&dice, &mine[i]);
        }
        for (size_t i = 0; i < N; i++)
            while (atomic_load(&mine[i].calls) == 0)
                usleep(500);
        for (size_t i = 0; i < N; i++)
            expect(atomic_load(&mine[i].calls) == 1, "each waiter is called or cancelled exactly once");
    }
    return NULL;
}

/* In one snapshot the last entry of a table is the record at the view's since, and the log of the snapshot has it. */
static void read_once(const char *name)
{
    struct flume_read read;
    struct kv_cursor *cursor;
    struct slice key, value;
    struct log_record record;
    const struct view *view = flume_view_named(flume, name);
    expect(flume_read_begin(flume, &read) == OK, "flume_read_begin");
    int64_t since = flume_read_since(&read, view);
    expect(kv_cursor_open(read.txn, view->tables[0], &cursor) == OK, "kv_cursor_open");
    int found = kv_last(cursor, &key, &value);
    expect(found == (since != SEQ_EMPTY), "an empty view has no entry, another one has");
    if (found == 1) {
        int64_t seq = 0;
        for (size_t i = 0; i < key.len; i++)
            seq = seq << 8 | (uint8_t)key.data[i];
        expect(seq == since, "state and table of a view must be of one commit");
        expect(log_get(read.log, seq, &record) == OK, "the log of a snapshot must be the one its views speak of");
        expect(record.value.len == value.len && memcmp(record.value.data, value.data, value.len) == 0, "the text");
    }
    kv_cursor_close(cursor);
    flume_read_end(&read);
    (void)atomic_fetch_add(&reads, 1);
}

static void *reader(void *arg)
{
    struct dice dice = dice_of((size_t)(uintptr_t)arg);
    while (!atomic_load(&stop)) {
        read_once(dice_roll(&dice, 2) == 0 ? "first" : "second");
        if (dice_roll(&dice, 8) == 0) usleep(1000);
    }
    return NULL;
}

static void *meddler(void *arg)
{
    struct dice dice = dice_of((size_t)(uintptr_t)arg);
    struct flume_status status;
    while (!atomic_load(&stop)) {
        static const char *const names[] = { "first", "second", NULL };
        if (dice_roll(&dice, 4) == 0) expect(flume_rebuild(flume, names[dice_roll(&dice, 3)]) == OK, "flume_rebuild");
        flume_status(flume, &status);
        expect(status.view_count == 2 && status.durable <= status.head, "flume_status");
        expect(flume_failure(flume) == OK, "flume_failure");
        usleep((unsigned)dice_roll(&dice, 40000));
    }
    return NULL;
}

static void *owner(void *arg)
{
    struct dice dice = dice_of((size_t)(uintptr_t)arg);
    for (unsigned n = 1; !atomic_load(&stop); n++) {
        char text[64];
        (void)snprintf(text, sizeof text, "{\"n\":%llu}", (unsigned long long)dice_roll(&dice, UINT64_MAX));
        if (n == 10 || dice_roll(&dice, 400) == 0) fake_disk_replace(disk, dice_roll(&dice, 2) == 0);
        (void)fake_disk_write(disk, text);
        (void)atomic_fetch_add(&appended, 1);
        if (dice_roll(&dice, 8) == 0) usleep(500);
    }
    return NULL;
}

/* ---- runs ------------------------------------------------------------------------------------------------------- */

static void run(void *(*const *threads)(void *), unsigned seconds)
{
    pthread_t started[THREADS_MAX];
    size_t n = 0;
    atomic_store(&stop, false);
    for (; threads[n] != NULL; n++)
        expect(pthread_create(&started[n], NULL, threads[n], (void *)(uintptr_t)n) == 0, "pthread_create");
    sleep(seconds);
    atomic_store(&stop, true);
    while (n-- > 0)
        (void)pthread_join(started[n], NULL);
    expect(atomic_load(&asked) == atomic_load(&told) + atomic_load(&cancelled), "waiters asked == told + cancelled");
}

static void check_views(void)
{
    expect(kit_wait_head(flume, KIT_BOTH) == OK, "the views must come to the head");
    expect(kit_view_is_true(flume, "first"), "first must say what the log says");
    expect(kit_view_is_true(flume, "second"), "second must say what the log says");
}

static void report(const char *what)
{
    (void)printf("%s: %llu records, %llu reads, %llu waits told (%llu timed out), %llu cancelled\n", what,
                 (unsigned long long)atomic_exchange(&appended, 0), (unsigned long long)atomic_exchange(&reads, 0),
                 (unsigned long long)atomic_exchange(&told, 0), (unsigned long long)atomic_exchange(&timed_out, 0),
                 (unsigned long long)atomic_exchange(&cancelled, 0));
    (void)atomic_exchange(&asked, 0);
}

static int open_offset(void *ctx, struct log **ret_log)
{
    struct log_offset_options options = { .path = ctx };
    return log_offset_open(&options, NULL, ret_log);
}

static void stress_owned(unsigned seconds)
{
    static void *(*const threads[])(void *) = { appender, appender, waiter, waiter, reader, reader, meddler, NULL };
    char *log_dir = scratch_make(), *views_dir = scratch_make(), path[SCRATCH_PATH];
    scratch_path(log_dir, "log.offset", path);
    struct flume_options options = kit_options(NULL, views_dir, &events);
    options.open_log = open_offset;
    options.open_ctx = path;
    flume = kit_open(&options);
    run(threads, seconds);
    uint64_t count = atomic_load(&appended);
    flume_close(flume);
    flume = kit_open(&options);
    check_views();
    struct flume_status status;
    flume_status(flume, &status);
    expect((uint64_t)status.count == count, "every append is there once");
    flume_close(flume);
    scratch_remove(log_dir);
    scratch_remove(views_dir);
    report("owned");
}

static void stress_followed(unsigned seconds)
{
    static void *(*const threads[])(void *) = { owner, waiter, waiter, reader, reader, meddler, NULL };
    char *dir = scratch_make(), path[SCRATCH_PATH];
    scratch_path(dir, "log.offset", path);
    scratch_write(path, "", 0);
    disk = fake_disk_make(true);
    struct flume_options options = kit_options(disk, dir, &events);
    options.follow_path = path;
    flume = kit_open(&options);
    run(threads, seconds);
    usleep(200000);
    check_views();
    flume_close(flume);
    expect(atomic_load(&events.changed) > 0, "the log must have been replaced");
    fake_disk_free(disk);
    scratch_remove(dir);
    report("followed");
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 5;
    seed = dice_make().seed;
    stress_owned(seconds);
    stress_followed(seconds);
    return 0;
}
