#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/err.h"
#include "tests/support/flume_kit.h"
#include "tests/support/scratch.h"
#include "views/flume_internal.h"
#include "views/view_feeds.h"
#include "views/view_messages.h"

static char *dir;
static struct fake_disk *disk;
static struct flume_options options;
static struct flume *flume;
static struct kit_author alice, bob;

static void open_any(void)
{
    dir = scratch_make();
    disk = fake_disk_make(false);
    options = kit_options(disk, dir, NULL);
    flume = kit_open(&options);
}

static void open_ssb(void)
{
    dir = scratch_make();
    disk = fake_disk_make(false);
    options = kit_options(disk, dir, NULL);
    options.accept_any = false;
    options.views = NULL;
    flume = kit_open(&options);
    kit_author_make(&alice, 1);
    kit_author_make(&bob, 2);
}

static void teardown(void)
{
    flume_close(flume);
    fake_disk_free(disk);
    scratch_remove(dir);
}

static void reopen(void)
{
    flume_close(flume);
    flume = kit_open(&options);
}

TestSuite(append_any, .init = open_any, .fini = teardown, .timeout = 60);
TestSuite(append_ssb, .init = open_ssb, .fini = teardown, .timeout = 60);

#define MESSAGES_MAX 300
static struct feed_message messages[MESSAGES_MAX];
static int64_t seqs[MESSAGES_MAX];
static size_t made;

static struct feed_message *make(struct kit_author *author, size_t n)
{
    size_t first = made;
    for (size_t i = 0; i < n; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "message %zu", made);
        kit_message(author, text, &messages[made++]);
    }
    return &messages[first];
}

static void free_all(void)
{
    while (made > 0)
        feed_message_free(&messages[--made]);
}

static int append(struct feed_message *first, size_t n, struct flume_append *ret_job)
{
    return kit_append_messages(flume, first, n, seqs, ret_job);
}

/* ---- any values ------------------------------------------------------------------------------------------------- */

Test(append_any, a_strong_append_is_synced_and_a_relaxed_one_soon)
{
    int64_t seq = SEQ_EMPTY;
    cr_assert_eq(kit_append_text(flume, "{}", false, &seq), OK);
    cr_assert_eq(seq, 0);
    cr_assert_eq(flume_head(flume), 0);
    cr_assert_eq(fake_disk_syncs(disk), 1);
    fake_disk_hold_syncs(disk, true);
    cr_assert_eq(kit_append_text(flume, "{}", true, &seq), OK);
    cr_assert_eq(flume_head(flume), 0, "what is not durable must not be shown");
    cr_assert_eq(flume_since(flume, KIT_BOTH) <= 0, true);
    fake_disk_hold_syncs(disk, false);
    cr_assert_eq(kit_wait(flume, KIT_BOTH, seq, KIT_WAIT_MS), OK);
    cr_assert_eq(flume_head(flume), seq);
    cr_assert_eq(fake_disk_syncs(disk), 2);
}

Test(append_any, a_disk_that_was_slow_once_does_not_hold_back_what_follows)
{
    int64_t usual = 0, pause = 0;
    for (int i = 0; i < 10; i++)
        pause = append_pause(&usual, 1000);
    cr_assert_eq(pause, 7);
    cr_assert_leq(append_pause(&usual, 1000000), 8);
    cr_assert_eq(append_pause(&usual, 1000), 7);
    for (int i = 0; i < 20; i++)
        pause = append_pause(&usual, 10000);
    cr_assert_eq(pause, 70, "but one that is slow gets its rest");
    for (int i = 0; i < 40; i++)
        pause = append_pause(&usual, 1000000);
    cr_assert_eq(pause, 200, "and never more than this");
}

Test(append_any, closing_syncs_relaxed_appends)
{
    cr_assert_eq(kit_append_text(flume, "\"kept\"", true, NULL), OK);
    flume_close(flume);
    fake_disk_lose_unsynced(disk);
    flume = kit_open(&options);
    cr_assert_eq(flume_head(flume), 0);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    cr_assert(kit_view_is_true(flume, "first"));
}

struct many {
    pthread_mutex_t lock;
    pthread_cond_t all;
    size_t left;
    size_t ok;
};

static void many_done(struct flume_append *job)
{
    struct many *many = job->ctx;
    (void)pthread_mutex_lock(&many->lock);
    many->left--;
    if (job->err == OK) many->ok++;
    if (many->left == 0) (void)pthread_cond_signal(&many->all);
    (void)pthread_mutex_unlock(&many->lock);
}

static void many_wait(struct many *many)
{
    (void)pthread_mutex_lock(&many->lock);
    while (many->left > 0)
        (void)pthread_cond_wait(&many->all, &many->lock);
    (void)pthread_mutex_unlock(&many->lock);
}

/* Until kit_apply_release what is appended waits in the queue. */
static void hold_the_indexer(void)
{
    cr_assert_eq(kit_append_text(flume, "{}", false, NULL), OK);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    kit_apply_hold();
    cr_assert_eq(flume_rebuild(flume, "second"), OK);
    kit_apply_await();
}

Test(append_any, all_that_wait_share_one_sync)
{
    enum { N = 200 };
    static struct flume_append jobs[N];
    static int64_t where[N];
    struct many many = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, N, 0 };
    struct slice value = SLICE_LITERAL("{\"n\":1}");
    hold_the_indexer();
    unsigned syncs = fake_disk_syncs(disk), appends = fake_disk_appends(disk);
    for (size_t i = 0; i < N; i++) {
        jobs[i] =
            (struct flume_append){ .values = &value, .count = 1, .seqs = &where[i], .done = many_done, .ctx = &many };
        cr_assert_eq(flume_append(flume, &jobs[i]), OK);
    }
    kit_apply_release();
    many_wait(&many);
    cr_assert_eq(many.ok, N);
    cr_assert_leq(fake_disk_syncs(disk) - syncs, 2);
    cr_assert_leq(fake_disk_appends(disk) - appends, 2);
    for (size_t i = 1; i < N; i++)
        cr_assert_gt(where[i], where[i - 1], "the order of the calls is the order in the log");
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    cr_assert(kit_view_is_true(flume, "second"));
}

Test(append_any, the_queue_is_bounded)
{
    flume_close(flume);
    options.append_queue_max = 10000;
    flume = kit_open(&options);
    enum { N = 100 };
    static struct flume_append jobs[N];
    static int64_t where[N];
    static char text[1000];
    memset(text, '1', sizeof text);
    struct slice value = { text, sizeof text };
    struct many many = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0 };
    hold_the_indexer();
    int err = OK;
    size_t n = 0;
    for (; err == OK && n < N; n++) {
        jobs[n] =
            (struct flume_append){ .values = &value, .count = 1, .seqs = &where[n], .done = many_done, .ctx = &many };
        (void)pthread_mutex_lock(&many.lock);
        err = flume_append(flume, &jobs[n]);
        if (err == OK) many.left++;
        (void)pthread_mutex_unlock(&many.lock);
    }
    cr_assert_eq(err, ERR_QUEUE);
    cr_assert_lt(n, 12);
    kit_apply_release();
    many_wait(&many);
    cr_assert_eq(many.ok, n - 1);
    for (int i = 0; i < 20; i++) {
        struct flume_append again = { .values = &value, .count = 1, .relaxed = true, .seqs = where };
        cr_assert_eq(kit_append(flume, &again), OK, "room is given back");
    }
    struct slice large[11];
    int64_t large_seqs[11];
    for (size_t i = 0; i < 11; i++)
        large[i] = value;
    struct flume_append job = { .values = large, .count = 11, .seqs = large_seqs };
    cr_assert_eq(kit_append(flume, &job), ERR_LIMIT);
}

#define VALUE_COST 64 /* what each value counts beside its bytes */

/* One job that counts for `cost` bytes, and waits. */
static int append_bytes(struct flume_append *job, struct slice *value, int64_t *seq, struct many *many, size_t cost)
{
    static char bytes[10000];
    memset(bytes, '1', sizeof bytes);
    *value = (struct slice){ bytes, cost - VALUE_COST };
    *job = (struct flume_append){ .values = value, .count = 1, .seqs = seq, .done = many_done, .ctx = many };
    return flume_append(flume, job);
}

Test(append_any, the_queue_takes_what_fits_to_the_byte)
{
    enum { MAX = 10000, FIRST = 6000 };
    flume_close(flume);
    options.append_queue_max = MAX;
    flume = kit_open(&options);
    struct flume_append jobs[2], over;
    struct slice values[2], large;
    int64_t where[2], nowhere;
    struct many many = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 2, 0 };
    hold_the_indexer();
    cr_assert_eq(append_bytes(&jobs[0], &values[0], &where[0], &many, FIRST), OK);
    cr_assert_eq(append_bytes(&over, &large, &nowhere, &many, MAX - FIRST + 1), ERR_QUEUE, "one byte past it");
    cr_assert_eq(append_bytes(&jobs[1], &values[1], &where[1], &many, MAX - FIRST), OK, "at it");
    cr_assert_eq(append_bytes(&over, &large, &nowhere, &many, VALUE_COST + 1), ERR_QUEUE, "full");
    kit_apply_release();
    many_wait(&many);
    cr_assert_eq(many.ok, 2);
    /* alone: as much as fits at all is taken, more never is */
    many = (struct many){ PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 1, 0 };
    cr_assert_eq(append_bytes(&jobs[0], &values[0], &where[0], &many, MAX), OK);
    many_wait(&many);
    cr_assert_eq(many.ok, 1);
    struct slice parts[2] = { { "1", 1 }, values[0] };
    int64_t part_seqs[2];
    over = (struct flume_append){ .values = parts, .count = 2, .seqs = part_seqs };
    cr_assert_eq(kit_append(flume, &over), ERR_LIMIT);
}

Test(append_any, a_bad_value_takes_its_job_with_it_and_no_other)
{
    static const char zeros[5];
    struct slice values[] = { SLICE_LITERAL("{}"), { zeros, sizeof zeros } };
    int64_t where[2] = { 7, 7 };
    struct flume_append job = { .values = values, .count = 2, .seqs = where };
    cr_assert_eq(kit_append(flume, &job), ERR_ARG);
    cr_assert_eq(job.index, 1);
    cr_assert_neq(job.detail[0], '\0');
    cr_assert_eq(fake_disk_count(disk), 0);
    struct slice huge = { "x", LOG_RECORD_MAX + 1 };
    job = (struct flume_append){ .values = &huge, .count = 1, .seqs = where };
    cr_assert_eq(kit_append(flume, &job), ERR_LIMIT);
    cr_assert_eq(kit_append_text(flume, "{}", false, NULL), OK);
    cr_assert_eq(flume_failure(flume), OK);
}

Test(append_any, a_full_disk_fails_the_job_and_not_the_log)
{
    fake_disk_fail(disk, ERR_NOSPACE, OK, OK);
    cr_assert_eq(kit_append_text(flume, "{}", false, NULL), ERR_NOSPACE);
    cr_assert_eq(flume_failure(flume), OK);
    fake_disk_fail(disk, OK, OK, OK);
    cr_assert_eq(kit_append_text(flume, "{}", false, NULL), OK);
}

Test(append_any, a_failed_sync_ends_writing_for_good)
{
    int64_t seq = SEQ_EMPTY;
    cr_assert_eq(kit_append_text(flume, "{}", false, &seq), OK);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    fake_disk_fail(disk, OK, ERR_IO, OK);
    struct slice value = SLICE_LITERAL("{}");
    int64_t where;
    struct flume_append job = { .values = &value, .count = 1, .seqs = &where };
    cr_assert_eq(kit_append(flume, &job), ERR_READONLY);
    cr_assert_not_null(strstr(job.detail, "told to fail a sync"), "%s", job.detail);
    fake_disk_fail(disk, OK, OK, OK);
    cr_assert_eq(kit_append(flume, &job), ERR_READONLY);
    cr_assert_not_null(strstr(err_detail(ERR_READONLY), "told to fail a sync"), "the cause is told to everybody");
    cr_assert_eq(flume_failure(flume), ERR_IO);
    cr_assert_not_null(strstr(err_detail(ERR_IO), "told to fail a sync"));
    cr_assert_eq(fake_disk_syncs(disk), 2, "fsync must not be tried again");
    cr_assert_eq(flume_head(flume), seq, "what was not synced is not shown");
    struct log_record record;
    cr_assert_eq(log_get(flume_log(flume), seq, &record), OK);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
}

/* What the disk was asked by the time that an append was answered, seen from the thread that answers. */
struct answered {
    pthread_mutex_t lock;
    pthread_cond_t rung;
    bool done;
    unsigned syncs;
    int64_t durable;
};

static void note_answer(struct flume_append *job)
{
    struct answered *answered = job->ctx;
    (void)pthread_mutex_lock(&answered->lock);
    answered->syncs = fake_disk_syncs(disk);
    answered->durable = log_durable(flume_log(flume));
    answered->done = true;
    (void)pthread_cond_signal(&answered->rung);
    (void)pthread_mutex_unlock(&answered->lock);
}

Test(append_any, a_strong_append_is_answered_after_its_sync)
{
    struct answered answered = { .lock = PTHREAD_MUTEX_INITIALIZER, .rung = PTHREAD_COND_INITIALIZER };
    static const struct slice value = { "{}", 2 };
    int64_t seq = SEQ_EMPTY;
    struct flume_append job = { .values = &value, .count = 1, .seqs = &seq, .done = note_answer, .ctx = &answered };
    cr_assert_eq(flume_append(flume, &job), OK);
    (void)pthread_mutex_lock(&answered.lock);
    while (!answered.done)
        (void)pthread_cond_wait(&answered.rung, &answered.lock);
    (void)pthread_mutex_unlock(&answered.lock);
    cr_expect_eq(answered.syncs, 1);
    cr_expect_eq(answered.durable, seq);
}

static bool built_anew(void *ctx)
{
    struct flume_status status;
    (void)ctx;
    flume_status(flume, &status);
    return status.rebuilds == 2 && flume_since(flume, KIT_BOTH) >= 0;
}

/* A record that was written but never synced is in the log; views that are built anew then leave it out. */
Test(append_any, nothing_shows_before_it_is_durable)
{
    int64_t seq = SEQ_EMPTY;
    cr_assert_eq(kit_append_text(flume, "{}", false, &seq), OK);
    fake_disk_fail(disk, OK, ERR_IO, OK);
    cr_assert_neq(kit_append_text(flume, "{}", false, NULL), OK);
    cr_assert_gt(log_since(flume_log(flume)), seq);
    cr_expect_eq(flume_head(flume), seq);
    cr_assert_eq(flume_rebuild(flume, NULL), OK);
    cr_assert(kit_until(built_anew, NULL));
    cr_expect_eq(flume_since(flume, KIT_BOTH), seq);
}

Test(append_any, refuses_what_it_cannot_take)
{
    kit_author_make(&alice, 1);
    struct flume_append job;
    cr_assert_eq(append(make(&alice, 1), 1, &job), ERR_ARG, "without the views of the chain rule");
    free_all();
}

/* Holds the indexer in its next event while it is locked. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void gate_event(void *ctx, enum flume_event event)
{
    (void)ctx;
    (void)event;
    (void)pthread_mutex_lock(&gate);
    (void)pthread_mutex_unlock(&gate);
}

static void open_with_gate(void)
{
    flume_close(flume);
    options.on_event = gate_event;
    flume = kit_open(&options);
}

/* Both come into one round. Answers how many were good. */
static size_t append_two(struct flume_append *first, struct flume_append *second)
{
    struct many many = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 2, 0 };
    struct flume_append *const jobs[] = { first, second };
    for (size_t i = 0; i < 2; i++) {
        jobs[i]->done = many_done;
        jobs[i]->ctx = &many;
        cr_assert_eq(flume_append(flume, jobs[i]), OK);
    }
    (void)pthread_mutex_unlock(&gate);
    many_wait(&many);
    return many.ok;
}

Test(append_any, a_bad_job_leaves_nothing_for_its_neighbour)
{
    open_with_gate();
    struct slice values[] = { SLICE_LITERAL("{\"bad\":1}"), { "", 0 } }, value = SLICE_LITERAL("{\"good\":1}");
    int64_t bad_seqs[2], seq = SEQ_EMPTY;
    struct flume_append bad = { .values = values, .count = 2, .seqs = bad_seqs };
    struct flume_append good = { .values = &value, .count = 1, .seqs = &seq };
    (void)pthread_mutex_lock(&gate);
    cr_assert_eq(kit_append_text(flume, "{}", false, NULL), OK);
    cr_assert_eq(append_two(&bad, &good), 1);
    cr_assert_eq(bad.err, ERR_ARG);
    cr_assert_eq(fake_disk_count(disk), 2);
    struct log_record record;
    cr_assert_eq(log_get(flume_log(flume), seq, &record), OK);
    cr_assert_eq(memcmp(record.value.data, value.data, value.len), 0);
}

/* ---- messages --------------------------------------------------------------------------------------------------- */

static void check_stored(const struct feed_message *message, int64_t seq)
{
    struct flume_read read;
    struct log_record record;
    uint32_t mask = VIEW_MASK(messages) | VIEW_MASK(feeds);
    cr_assert_eq(kit_wait(flume, mask, seq, KIT_WAIT_MS), OK);
    cr_assert_eq(flume_read_begin(flume, &read), OK);
    cr_assert_eq(messages_find(&read, &message->id, &record), OK);
    cr_assert_eq(record.seq, seq);
    cr_assert_eq(record.value.len, message->record.len);
    cr_assert_eq(memcmp(record.value.data, message->record.data, record.value.len), 0);
    flume_read_end(&read);
}

Test(append_ssb, stores_a_chain)
{
    struct flume_append job;
    struct feed_message *m = make(&alice, 4);
    cr_assert_eq(append(m, 1, &job), OK, "%s", job.detail);
    check_stored(&m[0], seqs[0]);
    cr_assert_eq(append(m + 1, 3, &job), OK, "%s", job.detail);
    check_stored(&m[3], seqs[2]);
    cr_assert_eq(job.duplicates, 0);
    cr_assert_eq(fake_disk_count(disk), 4);
    reopen();
    m = make(&alice, 1);
    cr_assert_eq(append(m, 1, &job), OK, "%s", job.detail);
    free_all();
}

Test(append_ssb, received_times_go_up)
{
    struct flume_append job;
    struct message scan;
    struct log_cursor cursor;
    struct log_record record;
    double last = 0;
    size_t n = 0;
    cr_assert_eq(append(make(&alice, 200), 200, &job), OK, "%s", job.detail);
    message_init(&scan);
    cr_assert_eq(log_cursor_open(flume_log(flume), &LOG_RANGE_ALL, &cursor), OK);
    for (; log_next(&cursor, &record) == 1; n++) {
        cr_assert_eq(message_scan(&scan, record.value.data, record.value.len), OK);
        cr_assert(scan.has_received);
        cr_assert_gt(scan.received, last);
        last = scan.received;
    }
    cr_assert_eq(n, 200);
    message_free(&scan);
    free_all();
}

Test(append_ssb, a_record_made_by_the_caller_is_kept)
{
    struct flume_append job;
    struct feed_message *m = make(&alice, 1);
    cr_assert_eq(feed_record(m, 1234.5), OK);
    cr_assert_eq(append(m, 1, &job), OK);
    check_stored(m, seqs[0]);
    cr_assert_not_null(memmem(m->record.data, m->record.len, "1234.5", 6));
    free_all();
}

Test(append_ssb, knows_duplicates)
{
    struct flume_append job;
    struct feed_message *m = make(&alice, 3);
    cr_assert_eq(append(m, 2, &job), OK);
    int64_t first = seqs[0], second = seqs[1];
    check_stored(&m[1], second);
    cr_assert_eq(append(m, 3, &job), OK, "%s", job.detail);
    cr_assert_eq(job.duplicates, 2);
    cr_assert_eq(seqs[0], first);
    cr_assert_eq(seqs[1], second);
    cr_assert_gt(seqs[2], second);
    cr_assert_eq(fake_disk_count(disk), 3);
    struct flume_status status;
    flume_status(flume, &status);
    cr_assert_eq(status.appended, 3);
    free_all();
}

/* Twice in one job, before any of it is in the log. */
Test(append_ssb, knows_duplicates_in_one_job)
{
    struct flume_append job;
    struct feed_message *m = make(&alice, 2), both[4] = { m[0], m[1], m[0], m[1] };
    cr_assert_eq(append(both, 4, &job), OK, "%s", job.detail);
    cr_assert_eq(job.duplicates, 2);
    cr_assert_eq(seqs[2], seqs[0]);
    cr_assert_eq(seqs[3], seqs[1]);
    cr_assert_eq(fake_disk_count(disk), 2);
    m[0] = both[0];
    m[1] = both[1];
    free_all();
}

Test(append_ssb, refuses_forks_and_gaps)
{
    struct flume_append job;
    struct feed_message *m = make(&alice, 3), *fork;
    cr_assert_eq(append(m, 1, &job), OK);
    cr_assert_eq(append(m + 2, 1, &job), ERR_INVALID);
    cr_assert_neq(job.detail[0], '\0');
    cr_assert_eq(append(m + 1, 1, &job), OK);
    struct kit_author twin;
    kit_author_make(&twin, 1);
    twin.sequence = 1;
    twin.last = m[0].id;
    fork = make(&twin, 1); /* a second message 2 */
    cr_assert_eq(append(fork, 1, &job), ERR_FORK);
    cr_assert_eq(fake_disk_count(disk), 2);
    free_all();
}

/* Whether the views know of it yet, it is in the log only, or it came just before in the same batch. */
Test(append_ssb, a_fork_names_the_message_that_stands_in_its_place)
{
    struct flume_append job;
    struct feed_message *m = make(&alice, 6);
    struct kit_author twin;
    kit_author_make(&twin, 1);
    twin.sequence = 1;
    twin.last = m[0].id;
    struct feed_message *fork = make(&twin, 1);
    struct feed_message batch[] = { m[0], m[1], m[2], *fork };
    cr_assert_eq(append(batch, 4, &job), ERR_FORK);
    cr_assert(ref_equal(&job.stored, &m[1].id));
    for (size_t i = 0; i < 3; i++)
        m[i] = batch[i];
    *fork = batch[3];
    cr_assert_eq(append(m, 6, &job), OK);
    cr_assert_eq(append(fork, 1, &job), ERR_FORK);
    cr_assert(ref_equal(&job.stored, &m[1].id));
    cr_assert_eq(kit_wait_head(flume, VIEW_MASK(feeds)), OK);
    cr_assert_eq(append(fork, 1, &job), ERR_FORK);
    cr_assert(ref_equal(&job.stored, &m[1].id));
    free_all();
}

Test(append_ssb, a_bad_message_takes_back_the_whole_job)
{
    struct flume_append job;
    struct feed_message *m = make(&alice, 5), jumbled[3] = { m[0], m[1], m[3] };
    cr_assert_eq(append(jumbled, 3, &job), ERR_INVALID);
    cr_assert_eq(job.index, 2);
    cr_assert_eq(job.duplicates, 0);
    cr_assert_eq(fake_disk_count(disk), 0);
    m[0] = jumbled[0];
    m[1] = jumbled[1];
    m[3] = jumbled[2];
    cr_assert_eq(append(m, 5, &job), OK, "what was taken back can be appended: %s", job.detail);
    cr_assert_eq(fake_disk_count(disk), 5);
    free_all();
}

Test(append_ssb, a_failed_append_is_forgotten)
{
    struct flume_append job;
    struct feed_message *m = make(&alice, 2);
    fake_disk_fail(disk, ERR_NOSPACE, OK, OK);
    cr_assert_eq(append(m, 2, &job), ERR_NOSPACE);
    fake_disk_fail(disk, OK, OK, OK);
    cr_assert_eq(append(m, 2, &job), OK, "%s", job.detail);
    cr_assert_eq(job.duplicates, 0);
    free_all();
}

/* The first message is not indexed yet, so that what the others leave behind would be met again. */
Test(append_ssb, what_failed_is_forgotten_while_others_are_pending)
{
    struct feed_message *m = make(&alice, 5), jumbled[3] = { m[1], m[2], m[4] };
    struct flume_append job = { .messages = m, .count = 1, .relaxed = true, .seqs = seqs };
    cr_assert_eq(kit_append(flume, &job), OK);
    cr_assert_eq(append(jumbled, 3, &job), ERR_INVALID);
    m[1] = jumbled[0];
    m[2] = jumbled[1];
    m[4] = jumbled[2];
    fake_disk_fail(disk, ERR_NOSPACE, OK, OK);
    cr_assert_eq(append(&m[1], 2, &job), ERR_NOSPACE);
    fake_disk_fail(disk, OK, OK, OK);
    cr_assert_eq(append(&m[1], 4, &job), OK, "%s", job.detail);
    cr_assert_eq(job.duplicates, 0);
    cr_assert_eq(fake_disk_count(disk), 5);
    free_all();
}

Test(append_ssb, a_bad_job_leaves_nothing_for_its_neighbour)
{
    open_with_gate();
    struct feed_message *m = make(&alice, 4), bad_ones[2] = { m[1], m[3] };
    struct flume_append job;
    struct flume_append bad = { .messages = bad_ones, .count = 2, .seqs = &seqs[10] };
    struct flume_append good = { .messages = &m[1], .count = 2, .seqs = &seqs[20] };
    (void)pthread_mutex_lock(&gate);
    cr_assert_eq(append(m, 1, &job), OK);
    bad.deadline_ms = good.deadline_ms = flume_now_ms() + KIT_WAIT_MS;
    buf_init(&bad_ones[0].record, 65536); /* each has its own bytes */
    (void)buf_append(&bad_ones[0].record, m[1].record.data, m[1].record.len);
    cr_assert_eq(append_two(&bad, &good), 1);
    cr_assert_eq(bad.err, ERR_INVALID);
    cr_assert_eq(good.duplicates, 0, "%s", good.detail);
    cr_assert_eq(fake_disk_count(disk), 3);
    buf_free(&bad_ones[0].record);
    m[3] = bad_ones[1];
    free_all();
}

Test(append_ssb, relaxed_messages_follow_each_other_before_they_are_indexed)
{
    struct feed_message *m = make(&alice, 60);
    for (size_t i = 0; i < 60; i++) {
        struct flume_append job = { .messages = &m[i], .count = 1, .relaxed = true, .seqs = &seqs[i] };
        cr_assert_eq(kit_append(flume, &job), OK, "%zu: %s", i, job.detail);
        if (i % 7 != 0) continue;
        int64_t again;
        job = (struct flume_append){ .messages = &m[i / 2], .count = 1, .relaxed = i % 2 == 0, .seqs = &again };
        cr_assert_eq(kit_append(flume, &job), OK, "%zu: %s", i, job.detail);
        cr_assert_eq(job.duplicates, 1);
        cr_assert_eq(again, seqs[i / 2]);
    }
    check_stored(&m[59], seqs[59]);
    cr_assert_eq(fake_disk_count(disk), 60);
    free_all();
}

Test(append_ssb, jobs_of_one_round_do_not_harm_each_other)
{
    enum { N = 30 };
    static struct flume_append jobs[N];
    struct many many = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, N, 0 };
    struct feed_message *a = make(&alice, N), *b = make(&bob, N);
    for (size_t i = 0; i < N; i++) {
        /* every third is bob's and leaves one out: of bob's feed the first only can be good */
        struct feed_message *m = i % 3 == 2 ? &b[i - 2] : &a[i / 3 * 2 + i % 3];
        jobs[i] = (struct flume_append){ .messages = m,
                                         .count = 1,
                                         .relaxed = i % 2 == 0,
                                         .seqs = &seqs[i],
                                         .done = many_done,
                                         .ctx = &many,
                                         .deadline_ms = flume_now_ms() + KIT_WAIT_MS };
        cr_assert_eq(flume_append(flume, &jobs[i]), OK);
    }
    many_wait(&many);
    for (size_t i = 0; i < N; i++) {
        bool good = i % 3 != 2 || i == 2;
        cr_assert_eq(jobs[i].err, good ? OK : ERR_INVALID, "job %zu: %s", i, jobs[i].detail);
    }
    cr_assert_eq(many.ok, 21);
    cr_assert_eq(fake_disk_count(disk), 21);
    free_all();
}

/* Appends without a pause: the end of each begins the next, so that there always is one waiting when a round is over. */
struct stream {
    struct flume_append job;
    struct feed_message *messages;
    size_t at, count; /* the last one is sent again and again */
    atomic_bool stop;
    struct many over;
};

static void stream_next(struct stream *stream, flume_append_fn *done)
{
    stream->job = (struct flume_append){ .messages = &stream->messages[stream->at],
                                         .count = 1,
                                         .seqs = &seqs[stream->at],
                                         .done = done,
                                         .ctx = stream,
                                         .deadline_ms = flume_now_ms() + KIT_WAIT_MS };
    if (flume_append(flume, &stream->job) == OK) return;
    stream->job.ctx = &stream->over;
    many_done(&stream->job);
}

static void stream_done(struct flume_append *job)
{
    struct stream *stream = job->ctx;
    job->ctx = &stream->over;
    if (job->err != OK || atomic_load(&stream->stop)) {
        many_done(job);
        return;
    }
    if (stream->at + 1 < stream->count) stream->at++;
    stream_next(stream, stream_done);
}

Test(append_ssb, the_chain_rule_holds_and_readers_are_served_while_appends_never_pause)
{
    struct stream stream = { .messages = make(&alice, MESSAGES_MAX - 1), .count = MESSAGES_MAX - 1 };
    stream.over = (struct many){ PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 1, 0 };
    stream_next(&stream, stream_done);
    uint32_t both = UINT32_C(1) << VIEW_feeds | UINT32_C(1) << VIEW_messages;
    for (int i = 0; i < 20; i++)
        cr_expect_eq(kit_wait(flume, both, flume_head(flume), KIT_WAIT_MS), OK);
    while (fake_disk_count(disk) < MESSAGES_MAX - 1)
        cr_assert_eq(kit_wait(flume, both, flume_head(flume), KIT_WAIT_MS), OK);
    struct flume_append job;
    cr_expect_eq(append(make(&bob, 1), 1, &job), OK, "%s", job.detail);
    atomic_store(&stream.stop, true);
    many_wait(&stream.over);
    cr_expect_eq(stream.job.err, OK, "%zu: %s", stream.at, stream.job.detail);
    cr_expect_eq(fake_disk_count(disk), MESSAGES_MAX);
    check_stored(&messages[MESSAGES_MAX - 2], seqs[MESSAGES_MAX - 2]);
    free_all();
}

/* While the views of the chain rule are built, appends wait, up to their deadline. */
static atomic_bool slow;
static int slow_write(const struct view *view, struct kv_txn *txn, struct view_batch *batch)
{
    (void)view, (void)txn, (void)batch;
    if (atomic_load(&slow)) usleep(400000);
    return OK;
}

Test(append_ssb, wait_for_the_views_of_the_chain_rule)
{
    struct flume_append job;
    struct feed_message *m = make(&alice, 3);
    cr_assert_eq(append(m, 1, &job), OK);
    static struct view_ops slow_feeds;
    static const struct view_ops *views[3];
    slow_feeds = *view_list[VIEW_feeds];
    slow_feeds.version++;
    slow_feeds.write = slow_write;
    views[0] = &slow_feeds;
    views[1] = view_list[VIEW_messages];
    flume_close(flume);
    for (int i = 0; i < 45000; i++) /* more than one part of a build */
        (void)fake_disk_write(disk, "{}");
    options.views = views;
    atomic_store(&slow, true);
    flume = kit_open(&options);
    job = (struct flume_append){ .messages = &m[1], .count = 1, .seqs = seqs, .deadline_ms = flume_now_ms() + 20 };
    cr_assert_eq(kit_append(flume, &job), ERR_TIMEOUT);
    cr_assert_not_null(strstr(job.detail, "feeds"), "%s", job.detail);
    cr_assert_eq(append(&m[1], 1, &job), OK, "%s", job.detail);
    atomic_store(&slow, false);
    cr_assert_eq(append(&m[2], 1, &job), OK, "%s", job.detail);
    free_all();
}
