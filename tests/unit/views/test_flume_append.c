/* Any values: when they are synced, shown and answered, what the queue takes, and what becomes of jobs that fail. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "store/err.h"
#include "tests/support/flume_kit.h"
#include "tests/unit/views/append_kit.h"
#include "views/flume_internal.h"

TestSuite(append_any, .init = append_open_any, .fini = append_close, .timeout = 300);

Test(append_any, a_strong_append_is_synced_and_a_relaxed_one_soon)
{
    int64_t seq = SEQ_EMPTY;
    cr_assert_eq(kit_append_text(append_flume, "{}", false, &seq), OK);
    cr_assert_eq(seq, 0);
    cr_assert_eq(flume_head(append_flume), 0);
    cr_assert_eq(fake_disk_syncs(append_disk), 1);
    fake_disk_hold_syncs(append_disk, true);
    cr_assert_eq(kit_append_text(append_flume, "{}", true, &seq), OK);
    cr_assert_eq(flume_head(append_flume), 0, "what is not durable must not be shown");
    cr_assert_eq(flume_since(append_flume, KIT_BOTH) <= 0, true);
    fake_disk_hold_syncs(append_disk, false);
    cr_assert_eq(kit_wait(append_flume, KIT_BOTH, seq, KIT_WAIT_MS), OK);
    cr_assert_eq(flume_head(append_flume), seq);
    cr_assert_eq(fake_disk_syncs(append_disk), 2);
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
    cr_assert_eq(kit_append_text(append_flume, "\"kept\"", true, NULL), OK);
    flume_close(append_flume);
    fake_disk_lose_unsynced(append_disk);
    append_flume = kit_open(&append_options);
    cr_assert_eq(flume_head(append_flume), 0);
    cr_assert_eq(kit_wait_head(append_flume, KIT_BOTH), OK);
    cr_assert(kit_view_is_true(append_flume, "first"));
}

Test(append_any, all_that_wait_share_one_sync)
{
    enum { N = 200 };
    static struct flume_append jobs[N];
    static int64_t where[N];
    struct append_many many = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, N, 0 };
    struct slice value = SLICE_LITERAL("{\"n\":1}");
    append_hold();
    unsigned syncs = fake_disk_syncs(append_disk), appends = fake_disk_appends(append_disk);
    for (size_t i = 0; i < N; i++) {
        jobs[i] = (struct flume_append){
            .values = &value, .count = 1, .seqs = &where[i], .done = append_many_done, .ctx = &many
        };
        cr_assert_eq(flume_append(append_flume, &jobs[i]), OK);
    }
    kit_apply_release();
    append_many_wait(&many);
    cr_assert_eq(many.ok, N);
    cr_assert_leq(fake_disk_syncs(append_disk) - syncs, 2);
    cr_assert_leq(fake_disk_appends(append_disk) - appends, 2);
    for (size_t i = 1; i < N; i++)
        cr_assert_gt(where[i], where[i - 1], "the order of the calls is the order in the log");
    cr_assert_eq(kit_wait_head(append_flume, KIT_BOTH), OK);
    cr_assert(kit_view_is_true(append_flume, "second"));
}

Test(append_any, the_queue_is_bounded)
{
    flume_close(append_flume);
    append_options.append_queue_max = 10000;
    append_flume = kit_open(&append_options);
    enum { N = 100 };
    static struct flume_append jobs[N];
    static int64_t where[N];
    static char text[1000];
    memset(text, '1', sizeof text);
    struct slice value = { text, sizeof text };
    struct append_many many = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0 };
    append_hold();
    int err = OK;
    size_t n = 0;
    for (; err == OK && n < N; n++) {
        jobs[n] = (struct flume_append){
            .values = &value, .count = 1, .seqs = &where[n], .done = append_many_done, .ctx = &many
        };
        (void)pthread_mutex_lock(&many.lock);
        err = flume_append(append_flume, &jobs[n]);
        if (err == OK) many.left++;
        (void)pthread_mutex_unlock(&many.lock);
    }
    cr_assert_eq(err, ERR_QUEUE);
    cr_assert_lt(n, 12);
    kit_apply_release();
    append_many_wait(&many);
    cr_assert_eq(many.ok, n - 1);
    for (int i = 0; i < 20; i++) {
        struct flume_append again = { .values = &value, .count = 1, .relaxed = true, .seqs = where };
        cr_assert_eq(kit_append(append_flume, &again), OK, "room is given back");
    }
    struct slice large[11];
    int64_t large_seqs[11];
    for (size_t i = 0; i < 11; i++)
        large[i] = value;
    struct flume_append job = { .values = large, .count = 11, .seqs = large_seqs };
    cr_assert_eq(kit_append(append_flume, &job), ERR_LIMIT);
}

#define VALUE_COST 64 /* what each value counts beside its bytes */

/* One job that counts for `cost` bytes, and waits. */
static int append_bytes(struct flume_append *job, struct slice *value, int64_t *seq, struct append_many *many,
                        size_t cost)
{
    static char bytes[10000];
    memset(bytes, '1', sizeof bytes);
    *value = (struct slice){ bytes, cost - VALUE_COST };
    *job = (struct flume_append){ .values = value, .count = 1, .seqs = seq, .done = append_many_done, .ctx = many };
    return flume_append(append_flume, job);
}

Test(append_any, the_queue_takes_what_fits_to_the_byte)
{
    enum { MAX = 10000, FIRST = 6000 };
    flume_close(append_flume);
    append_options.append_queue_max = MAX;
    append_flume = kit_open(&append_options);
    struct flume_append jobs[2], over;
    struct slice values[2], large;
    int64_t where[2], nowhere;
    struct append_many many = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 2, 0 };
    append_hold();
    cr_assert_eq(append_bytes(&jobs[0], &values[0], &where[0], &many, FIRST), OK);
    cr_assert_eq(append_bytes(&over, &large, &nowhere, &many, MAX - FIRST + 1), ERR_QUEUE, "one byte past it");
    cr_assert_eq(append_bytes(&jobs[1], &values[1], &where[1], &many, MAX - FIRST), OK, "at it");
    cr_assert_eq(append_bytes(&over, &large, &nowhere, &many, VALUE_COST + 1), ERR_QUEUE, "full");
    kit_apply_release();
    append_many_wait(&many);
    cr_assert_eq(many.ok, 2);
    /* alone: as much as fits at all is taken, more never is */
    many = (struct append_many){ PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 1, 0 };
    cr_assert_eq(append_bytes(&jobs[0], &values[0], &where[0], &many, MAX), OK);
    append_many_wait(&many);
    cr_assert_eq(many.ok, 1);
    struct slice parts[2] = { { "1", 1 }, values[0] };
    int64_t part_seqs[2];
    over = (struct flume_append){ .values = parts, .count = 2, .seqs = part_seqs };
    cr_assert_eq(kit_append(append_flume, &over), ERR_LIMIT);
}

Test(append_any, a_bad_value_takes_its_job_with_it_and_no_other)
{
    static const char zeros[5];
    struct slice values[] = { SLICE_LITERAL("{}"), { zeros, sizeof zeros } };
    int64_t where[2] = { 7, 7 };
    struct flume_append job = { .values = values, .count = 2, .seqs = where };
    cr_assert_eq(kit_append(append_flume, &job), ERR_ARG);
    cr_assert_eq(job.index, 1);
    cr_assert_neq(job.detail[0], '\0');
    cr_assert_eq(fake_disk_count(append_disk), 0);
    struct slice huge = { "x", LOG_RECORD_MAX + 1 };
    job = (struct flume_append){ .values = &huge, .count = 1, .seqs = where };
    cr_assert_eq(kit_append(append_flume, &job), ERR_LIMIT);
    cr_assert_eq(kit_append_text(append_flume, "{}", false, NULL), OK);
    cr_assert_eq(flume_failure(append_flume), OK);
}

Test(append_any, a_full_disk_fails_the_job_and_not_the_log)
{
    fake_disk_fail(append_disk, ERR_NOSPACE, OK, OK);
    cr_assert_eq(kit_append_text(append_flume, "{}", false, NULL), ERR_NOSPACE);
    cr_assert_eq(flume_failure(append_flume), OK);
    fake_disk_fail(append_disk, OK, OK, OK);
    cr_assert_eq(kit_append_text(append_flume, "{}", false, NULL), OK);
}

Test(append_any, a_failed_sync_ends_writing_for_good)
{
    int64_t seq = SEQ_EMPTY;
    cr_assert_eq(kit_append_text(append_flume, "{}", false, &seq), OK);
    cr_assert_eq(kit_wait_head(append_flume, KIT_BOTH), OK);
    fake_disk_fail(append_disk, OK, ERR_IO, OK);
    struct slice value = SLICE_LITERAL("{}");
    int64_t where;
    struct flume_append job = { .values = &value, .count = 1, .seqs = &where };
    cr_assert_eq(kit_append(append_flume, &job), ERR_READONLY);
    cr_assert_not_null(strstr(job.detail, "told to fail a sync"), "%s", job.detail);
    fake_disk_fail(append_disk, OK, OK, OK);
    cr_assert_eq(kit_append(append_flume, &job), ERR_READONLY);
    cr_assert_not_null(strstr(err_detail(ERR_READONLY), "told to fail a sync"), "the cause is told to everybody");
    cr_assert_eq(flume_failure(append_flume), ERR_IO);
    cr_assert_not_null(strstr(err_detail(ERR_IO), "told to fail a sync"));
    cr_assert_eq(fake_disk_syncs(append_disk), 2, "fsync must not be tried again");
    cr_assert_eq(flume_head(append_flume), seq, "what was not synced is not shown");
    struct log_record record;
    cr_assert_eq(log_get(flume_log(append_flume), seq, &record), OK);
    cr_assert_eq(kit_wait_head(append_flume, KIT_BOTH), OK);
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
    answered->syncs = fake_disk_syncs(append_disk);
    answered->durable = log_durable(flume_log(append_flume));
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
    cr_assert_eq(flume_append(append_flume, &job), OK);
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
    flume_status(append_flume, &status);
    return status.rebuilds == 2 && flume_since(append_flume, KIT_BOTH) >= 0;
}

/* A record that was written but never synced is in the log; views that are built anew then leave it out. */
Test(append_any, nothing_shows_before_it_is_durable)
{
    int64_t seq = SEQ_EMPTY;
    cr_assert_eq(kit_append_text(append_flume, "{}", false, &seq), OK);
    fake_disk_fail(append_disk, OK, ERR_IO, OK);
    cr_assert_neq(kit_append_text(append_flume, "{}", false, NULL), OK);
    cr_assert_gt(log_since(flume_log(append_flume)), seq);
    cr_expect_eq(flume_head(append_flume), seq);
    cr_assert_eq(flume_rebuild(append_flume, NULL), OK);
    cr_assert(kit_until(built_anew, NULL));
    cr_expect_eq(flume_since(append_flume, KIT_BOTH), seq);
}

Test(append_any, refuses_what_it_cannot_take)
{
    struct feed_message message;
    int64_t seq;
    kit_author_make(&append_alice, 1);
    struct flume_append job;
    kit_message(&append_alice, "a message", &message);
    cr_assert_eq(kit_append_messages(append_flume, &message, 1, &seq, &job), ERR_ARG,
                 "without the views of the chain rule");
    feed_message_free(&message);
}

Test(append_any, a_bad_job_leaves_nothing_for_its_neighbour)
{
    append_open_gated();
    struct slice values[] = { SLICE_LITERAL("{\"bad\":1}"), { "", 0 } }, value = SLICE_LITERAL("{\"good\":1}");
    int64_t bad_seqs[2], seq = SEQ_EMPTY;
    struct flume_append bad = { .values = values, .count = 2, .seqs = bad_seqs };
    struct flume_append good = { .values = &value, .count = 1, .seqs = &seq };
    (void)pthread_mutex_lock(&append_gate);
    cr_assert_eq(kit_append_text(append_flume, "{}", false, NULL), OK);
    cr_assert_eq(append_two(&bad, &good), 1);
    cr_assert_eq(bad.err, ERR_ARG);
    cr_assert_eq(fake_disk_count(append_disk), 2);
    struct log_record record;
    cr_assert_eq(log_get(flume_log(append_flume), seq, &record), OK);
    cr_assert_eq(memcmp(record.value.data, value.data, value.len), 0);
}
