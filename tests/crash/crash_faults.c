/* Faults: everything that a log, and a flume on it, ask the system for fails once, at each place, one place after the other, until a run
 * goes by in which nothing is left to fail.
 *
 * Usage: crash_faults [EVERY]   EVERY: of the places in the core only each so many-th (1 = all; the first place is by the dice) */
#include <errno.h>
#include <lmdb.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/err.h"
#include "tests/crash/check.h"
#include "tests/crash/fault.h"
#include "tests/support/corpus.h"
#include "tests/support/flume_kit.h"

#define RECORDS 24
#define LATE_S 60

struct faults {
    struct dice dice;
    unsigned long every;
    char *folder;
    char path[SCRATCH_PATH], views[SCRATCH_PATH];
    struct slice values[RECORDS]; /* all different */
    struct ledger ledger;
    char where[160];
    unsigned long runs, fired[FAULT_KINDS];
};

static struct faults faults;

static bool value_is_new(const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, faults.values[i].data) == 0) return false;
    return true;
}

static void values_make(struct corpus *corpus)
{
    size_t count = 0;
    corpus_make(&faults.dice, 10 * RECORDS, corpus);
    for (size_t i = 0; i < corpus->count && count < RECORDS; i++)
        if (value_is_new(corpus->texts[i], count))
            faults.values[count++] = (struct slice){ corpus->texts[i], strlen(corpus->texts[i]) };
    check_that(count == RECORDS, "faults", "not enough different records");
}

/* An error is a code with a sentence. */
static void check_error(int err)
{
    check_that(err < 0 && err_detail(err)[0] != '\0', faults.where, "an error without a sentence: %d", err);
}

/* ---- the log ------------------------------------------------------------------------------------------------------ */

static int open_follow(bool follow, struct log **ret_log)
{
    const struct log_offset_options options = { .path = faults.path, .follow = follow };
    struct log_offset_opened opened;
    int err = log_offset_open(&options, &opened, ret_log);
    if (err != OK) check_error(err);
    return err;
}

/* What was appended can be read, whatever has happened to appending. */
static void check_reading(struct log *log)
{
    struct log_range range = LOG_RANGE_ALL;
    struct log_cursor cursor;
    struct log_record record;
    int got = log_cursor_open(log, &range, &cursor);
    int64_t last = SEQ_EMPTY;
    while (got >= 0 && (got = log_next(&cursor, &record)) == 1)
        last = record.seq;
    check_that(got == 0 && last == log_since(log), faults.where, "reading does not go on: %s", err_detail(got));
}

/* After an append that failed: either the log takes the next one, or it takes none any more, and says why. */
static void append_again(struct log *log, const struct slice *values, size_t n, int err, int64_t *seqs)
{
    struct stat st;
    int again = log_append(log, values, n, seqs);
    if (again == OK) {
        check_that(err == ERR_NOSPACE || err == ERR_NOMEM || err == ERR_IO, faults.where, "after %s it goes on",
                   err_name(err));
        return;
    }
    check_error(again);
    check_that(lstat(faults.path, &st) == 0 && st.st_size >= log_bytes(log), faults.where, "records are gone");
}

static void append_some(struct log *log, size_t from, size_t n)
{
    int64_t seqs[4] = { SEQ_EMPTY, SEQ_EMPTY, SEQ_EMPTY, SEQ_EMPTY };
    int err = log_append(log, faults.values + from, n, seqs);
    if (err != OK) {
        check_error(err);
        check_that(seqs[0] == SEQ_EMPTY, faults.where, "a failed append has given seqs");
        check_reading(log);
        append_again(log, faults.values + from, n, err, seqs);
    }
    /* Without a seq it may be there or not: taking it back can have failed as well. */
    for (size_t i = 0; i < n; i++)
        ledger_add(&faults.ledger, faults.values[from + i], seqs[i]);
}

static void sync_some(struct log *log)
{
    int64_t durable = log_durable(log);
    int err = log_sync(log);
    if (err == OK) {
        check_that(log_durable(log) == log_since(log), faults.where, "synced, but not durable");
        ledger_ack(&faults.ledger);
        return;
    }
    check_error(err);
    struct slice value = SLICE_LITERAL("{}");
    check_that(log_durable(log) == durable, faults.where, "durable though the sync has failed");
    check_that(log_sync(log) != OK, faults.where, "a failed sync was tried again and taken for good");
    check_that(log_append(log, &value, 1, NULL) == ERR_READONLY, faults.where,
               "the log takes more after a failed sync");
    check_reading(log);
}

static void log_session(size_t from)
{
    struct log *log = NULL;
    if (open_follow(false, &log) != OK) return;
    append_some(log, from, 3);
    sync_some(log);
    append_some(log, from + 3, 1);
    append_some(log, from + 4, 2);
    sync_some(log);
    (void)log_identity(log);
    log_close(log);
}

static void follow_session(void)
{
    struct log *log = NULL;
    if (open_follow(true, &log) != OK) return;
    int moved = log_refresh(log);
    if (moved < 0) check_error(moved);
    log_close(log);
}

static void tear(void)
{
    struct stat st;
    if (stat(faults.path, &st) != 0 || st.st_size == 0) return;
    scratch_write_at(faults.path, "\0\0\0\x30{\"torn\":", 13, st.st_size);
}

static void run_log(void)
{
    log_session(0);
    fault_disarm();
    tear();
}

/* With a torn tail to cut off. */
static void run_reopen(void)
{
    log_session(6);
    follow_session();
    struct log_offset_options options = { .path = faults.path };
    int err = log_offset_verify(&options, NULL, NULL, NULL, NULL, NULL);
    if (err != OK) check_error(err);
}

static void prepare_reopen(void)
{
    log_session(0);
    tear();
}

/* ---- the core ------------------------------------------------------------------------------------------------------ */

static int flume_open_log(void *ctx, struct log **ret_log)
{
    const struct log_offset_options options = { .path = ctx };
    return log_offset_open(&options, NULL, ret_log);
}

static void flume_append_some(struct flume *flume, size_t from, size_t n, bool relaxed)
{
    int64_t seqs[4] = { SEQ_EMPTY, SEQ_EMPTY, SEQ_EMPTY, SEQ_EMPTY };
    struct flume_append job = { .values = faults.values + from, .count = n, .relaxed = relaxed, .seqs = seqs };
    int err = kit_append(flume, &job);
    if (err != OK) check_error(err);
    for (size_t i = 0; i < n; i++)
        ledger_add(&faults.ledger, faults.values[from + i], err == OK ? seqs[i] : SEQ_EMPTY);
    if (err == OK && !relaxed) ledger_ack(&faults.ledger);
}

static void flume_look(struct flume *flume)
{
    struct flume_read read;
    struct flume_status status;
    int err = kit_wait(flume, (UINT32_C(1) << VIEW_COUNT) - 1, flume_head(flume), KIT_WAIT_MS);
    if (err != OK) check_error(err);
    err = flume_read_begin(flume, &read);
    if (err == OK) {
        (void)flume_read_since(&read, flume_view(flume, VIEW_messages));
        flume_read_end(&read);
    } else {
        check_error(err);
    }
    flume_status(flume, &status);
    (void)flume_failure(flume);
}

static void run_flume(void)
{
    const struct flume_options options = {
        .open_log = flume_open_log, .open_ctx = faults.path, .views_dir = faults.views, .accept_any = true
    };
    struct flume *flume = NULL;
    int err = flume_open(&options, &flume);
    if (err != OK) {
        check_error(err);
        return;
    }
    flume_append_some(flume, 12, 3, false);
    flume_append_some(flume, 15, 1, true);
    flume_append_some(flume, 16, 2, false);
    flume_look(flume);
    err = flume_rebuild(flume, "links");
    if (err != OK) check_error(err);
    flume_append_some(flume, 18, 1, false);
    flume_look(flume);
    flume_close(flume);
    ledger_ack(&faults.ledger);
}

static void prepare_flume(void)
{
    log_session(0);
}

/* ---- closing --------------------------------------------------------------------------------------------------------- */

static sem_t indexer_reads, close_woke;
static atomic_int close_stage;

static void before_read(void)
{
    int at_rest = 0;
    if (!atomic_compare_exchange_strong(&close_stage, &at_rest, 1)) return;
    (void)sem_post(&indexer_reads);
    (void)sem_wait(&close_woke);
}

static void after_write(void)
{
    int reading = 1;
    if (atomic_compare_exchange_strong(&close_stage, &reading, 2)) (void)sem_post(&close_woke);
}

/* The wake-up of flume_close comes just before the indexer takes all wake-ups that there are. */
static void run_close(void)
{
    (void)snprintf(faults.where, sizeof faults.where, "faults: closing while the indexer wakes up");
    (void)sem_init(&indexer_reads, 0, 0);
    (void)sem_init(&close_woke, 0, 0);
    check_empty(faults.folder);
    const struct flume_options options = {
        .open_log = flume_open_log, .open_ctx = faults.path, .views_dir = faults.views, .accept_any = true
    };
    struct flume *flume = kit_open(&options);
    fault_watch_wakes(before_read, after_write);
    check_that(flume_rebuild(flume, NULL) == OK, faults.where, "rebuild");
    (void)sem_wait(&indexer_reads);
    flume_close(flume);
    fault_watch_wakes(NULL, NULL);
    check_that(atomic_load(&close_stage) == 2, faults.where, "it did not meet");
    (void)printf("  %s\n", faults.where);
}

/* ---- a followed file ----------------------------------------------------------------------------------------------- */

static char *whole;
static size_t whole_len;

static void write_whole(void)
{
    fault_watch_stat(NULL);
    scratch_write_at(faults.path, whole, whole_len, 0);
}

/* Its owner cuts it and writes it again, and a reader that has met the gap looks at the size only when it is over. */
static void run_regrown(void)
{
    char zeros[600] = { 0 };
    struct log_range ranges[2] = { { 0, SEQ_MAX, false }, { 0, SEQ_MAX, true } };
    (void)snprintf(faults.where, sizeof faults.where, "faults: a followed file is cut and grown under a reader");
    check_empty(faults.folder);
    faults.ledger.count = 0;
    log_session(0);
    whole = scratch_read(faults.path, &whole_len);
    for (int i = 0; i < 3; i++) {
        struct log *log = NULL;
        struct log_cursor cursor;
        struct log_record record;
        check_that(open_follow(true, &log) == OK, faults.where, "open");
        int64_t last = log_since(log);
        if (i < 2) check_that(log_cursor_open(log, &ranges[i], &cursor) == OK, faults.where, "cursor");
        int64_t gap = i == 0 ? 0 : last;
        scratch_write_at(faults.path, zeros,
                         whole_len - (size_t)gap < sizeof zeros ? whole_len - (size_t)gap : sizeof zeros, gap);
        fault_watch_stat(write_whole);
        int got = i < 2 ? log_next(&cursor, &record) : log_get(log, last, &record);
        check_that(got == ERR_CHANGED, faults.where, "%s instead of ERR_CHANGED", err_name(got));
        log_close(log);
    }
    free(whole);
    (void)printf("  %s\n", faults.where);
}

/* ---- each place --------------------------------------------------------------------------------------------------- */

struct scene {
    const char *name;
    void (*prepare)(void); /* without faults; may be NULL */
    void (*run)(void);
    bool core;
};

static const struct scene scenes[] = {
    { "a new log", NULL, run_log, false },
    { "a log with a torn tail", prepare_reopen, run_reopen, false },
    { "log and views", prepare_flume, run_flume, true },
};

/* Nothing here takes long: what does not end is a failure as well. */
static void on_late(int number)
{
    (void)number;
    static const char text[] = "\nFAILED: hangs in ";
    ssize_t n = write(2, text, sizeof text - 1);
    n += write(2, faults.where, strlen(faults.where));
    _exit(n > 0 ? 1 : 2);
}

static const struct {
    struct fault_plan plan;
    const char *name;
    bool log, reopen, core; /* does it happen in that scene? */
} plans[] = {
    { { FAULT_ALLOC, 0, ENOMEM, FAULT_ONCE }, "no memory", true, true, true },
    { { FAULT_OPEN, 0, EMFILE, FAULT_ONCE }, "no descriptor", true, true, true },
    { { FAULT_READ, 0, EIO, FAULT_ONCE }, "a read fails", true, true, true },
    { { FAULT_WRITE, 0, EIO, FAULT_ONCE }, "a write fails", true, true, true },
    { { FAULT_WRITE, 0, ENOSPC, FAULT_ONCE }, "no space for a moment", true, true, true },
    { { FAULT_WRITE, 0, ENOSPC, FAULT_HALF }, "space for a half", true, true, true },
    { { FAULT_WRITE, 0, ENOSPC, FAULT_FOREVER }, "no space any more", true, true, true },
    { { FAULT_WRITE, 0, ENOSPC, FAULT_STUCK }, "a half that stays", true, true, true },
    { { FAULT_WRITE, 0, EROFS, FAULT_FOREVER }, "read-only from now on", true, true, true },
    { { FAULT_SYNC, 0, EIO, FAULT_ONCE }, "an fsync fails", true, true, true },
    { { FAULT_SYNC, 0, ENOSPC, FAULT_ONCE }, "an fsync finds no space", true, true, true },
    { { FAULT_TRUNCATE, 0, EIO, FAULT_ONCE }, "a truncate fails", false, true, true },
    { { FAULT_RENAME, 0, EIO, FAULT_ONCE }, "a rename fails", false, true, true },
    { { FAULT_MAP, 0, ENOMEM, FAULT_ONCE }, "no address space once", true, true, true },
    { { FAULT_MAP, 0, EACCES, FAULT_ONCE }, "no mapping", true, true, true },
    { { FAULT_STAT, 0, EIO, FAULT_ONCE }, "a stat fails", true, true, true },
    { { FAULT_VIEWS, 0, ENOMEM, FAULT_ONCE }, "LMDB has no memory", false, false, true },
    { { FAULT_VIEWS, 0, ENOSPC, FAULT_ONCE }, "LMDB has no space", false, false, true },
    { { FAULT_VIEWS, 0, MDB_CORRUPTED, FAULT_ONCE }, "LMDB finds damage", false, false, true },
    { { FAULT_THREAD, 0, EAGAIN, FAULT_ONCE }, "no thread", false, false, true },
};

static void check_after(const struct scene *scene)
{
    check_that(fault_resyncs() == 0, faults.where, "an fsync that failed was tried again");
    check_ledger(&faults.ledger, faults.path, faults.where);
    check_that(fault_believed() == 0, faults.where, "an fsync was believed that came after one that failed");
    (void)check_whole(faults.path, faults.where);
    if (scene->core) check_views(faults.path, faults.views, faults.where);
}

/* One run in which place k fails; false when there is no such place any more. */
static bool run_place(const struct scene *scene, const struct fault_plan *plan)
{
    check_empty(faults.folder);
    faults.ledger.count = 0;
    if (scene->prepare != NULL) scene->prepare();
    (void)alarm(LATE_S);
    fault_arm(plan);
    scene->run();
    fault_disarm();
    bool fired = fault_fired() > 0;
    if (fired) faults.fired[plan->kind]++;
    faults.runs++;
    check_after(scene);
    return fired;
}

static void run_plan(const struct scene *scene, size_t p, bool expected)
{
    struct fault_plan plan = plans[p].plan;
    unsigned long every = scene->core ? faults.every : 1, places = 0;
    plan.k = 1 + (every > 1 ? dice_roll(&faults.dice, every) : 0);
    for (;; plan.k += every) {
        (void)snprintf(faults.where, sizeof faults.where, "faults %s: %s, place %lu, SLUICE_TEST_SEED=%llu",
                       scene->name, plans[p].name, plan.k, (unsigned long long)faults.dice.seed);
        if (!run_place(scene, &plan)) break;
        places++;
    }
    if (every > 1 && places == 0) { /* fewer than one step: the first */
        plan.k = 1;
        places = run_place(scene, &plan);
    }
    check_that((places > 0) == expected, faults.where,
               expected ? "it never fired" : "it fired where it is said not to");
    if (places > 0) (void)printf("  faults %-24s %-24s %5lu places\n", scene->name, plans[p].name, places);
}

int main(int argc, char **argv)
{
    struct corpus corpus;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    faults.dice = dice_make();
    faults.every = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    if (faults.every == 0) faults.every = 1;
    faults.folder = scratch_make();
    scratch_path(faults.folder, "log.offset", faults.path);
    scratch_path(faults.folder, "views", faults.views);
    (void)printf("faults: SLUICE_TEST_SEED=%llu, each %lu-th place of the core\n", (unsigned long long)faults.dice.seed,
                 faults.every);
    (void)signal(SIGALRM, on_late);
    values_make(&corpus);
    (void)alarm(LATE_S);
    run_close();
    run_regrown();
    ledger_reserve(&faults.ledger, 8 * RECORDS); /* what the harness needs must not fail */
    for (size_t s = 0; s < sizeof scenes / sizeof *scenes; s++)
        for (size_t p = 0; p < sizeof plans / sizeof *plans; p++)
            run_plan(&scenes[s], p, s == 0 ? plans[p].log : s == 1 ? plans[p].reopen : plans[p].core);
    for (int i = 0; i < FAULT_KINDS; i++)
        check_that(faults.fired[i] > 0, "faults", "nothing of the kind \"%s\" ever failed", fault_names[i]);
    (void)printf("faults: %lu runs\n", faults.runs);
    ledger_free(&faults.ledger);
    corpus_free(&corpus);
    check_empty(faults.folder);
    scratch_remove(faults.folder);
    return 0;
}
