/* Signed messages: the rules of a feed hold whatever else is in the same job, the same round, or not indexed yet. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/err.h"
#include "tests/support/flume_kit.h"
#include "tests/unit/views/append_kit.h"
#include "views/flume_internal.h"
#include "views/view_messages.h"

TestSuite(append_ssb, .init = append_open_ssb, .fini = append_close, .timeout = 300);

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
    return kit_append_messages(append_flume, first, n, seqs, ret_job);
}

static void check_stored(const struct feed_message *message, int64_t seq)
{
    struct flume_read read;
    struct log_record record;
    uint32_t mask = VIEW_MASK(messages) | VIEW_MASK(feeds);
    cr_assert_eq(kit_wait(append_flume, mask, seq, KIT_WAIT_MS), OK);
    cr_assert_eq(flume_read_begin(append_flume, &read), OK);
    cr_assert_eq(messages_find(&read, &message->id, &record), OK);
    cr_assert_eq(record.seq, seq);
    cr_assert_eq(record.value.len, message->record.len);
    cr_assert_eq(memcmp(record.value.data, message->record.data, record.value.len), 0);
    flume_read_end(&read);
}

Test(append_ssb, stores_a_chain)
{
    struct flume_append job;
    struct feed_message *m = make(&append_alice, 4);
    cr_assert_eq(append(m, 1, &job), OK, "%s", job.detail);
    check_stored(&m[0], seqs[0]);
    cr_assert_eq(append(m + 1, 3, &job), OK, "%s", job.detail);
    check_stored(&m[3], seqs[2]);
    cr_assert_eq(job.duplicates, 0);
    cr_assert_eq(fake_disk_count(append_disk), 4);
    append_reopen();
    m = make(&append_alice, 1);
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
    cr_assert_eq(append(make(&append_alice, 200), 200, &job), OK, "%s", job.detail);
    message_init(&scan);
    cr_assert_eq(log_cursor_open(flume_log(append_flume), &LOG_RANGE_ALL, &cursor), OK);
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
    struct feed_message *m = make(&append_alice, 1);
    cr_assert_eq(feed_record(m, 1234.5), OK);
    cr_assert_eq(append(m, 1, &job), OK);
    check_stored(m, seqs[0]);
    cr_assert_not_null(memmem(m->record.data, m->record.len, "1234.5", 6));
    free_all();
}

Test(append_ssb, knows_duplicates)
{
    struct flume_append job;
    struct feed_message *m = make(&append_alice, 3);
    cr_assert_eq(append(m, 2, &job), OK);
    int64_t first = seqs[0], second = seqs[1];
    check_stored(&m[1], second);
    cr_assert_eq(append(m, 3, &job), OK, "%s", job.detail);
    cr_assert_eq(job.duplicates, 2);
    cr_assert_eq(seqs[0], first);
    cr_assert_eq(seqs[1], second);
    cr_assert_gt(seqs[2], second);
    cr_assert_eq(fake_disk_count(append_disk), 3);
    struct flume_status status;
    flume_status(append_flume, &status);
    cr_assert_eq(status.appended, 3);
    free_all();
}

/* Twice in one job, before any of it is in the log. */
Test(append_ssb, knows_duplicates_in_one_job)
{
    struct flume_append job;
    struct feed_message *m = make(&append_alice, 2), both[4] = { m[0], m[1], m[0], m[1] };
    cr_assert_eq(append(both, 4, &job), OK, "%s", job.detail);
    cr_assert_eq(job.duplicates, 2);
    cr_assert_eq(seqs[2], seqs[0]);
    cr_assert_eq(seqs[3], seqs[1]);
    cr_assert_eq(fake_disk_count(append_disk), 2);
    m[0] = both[0];
    m[1] = both[1];
    free_all();
}

Test(append_ssb, refuses_forks_and_gaps)
{
    struct flume_append job;
    struct feed_message *m = make(&append_alice, 3), *fork;
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
    cr_assert_eq(fake_disk_count(append_disk), 2);
    free_all();
}

/* Whether the views know of it yet, it is in the log only, or it came just before in the same batch. */
Test(append_ssb, a_fork_names_the_message_that_stands_in_its_place)
{
    struct flume_append job;
    struct feed_message *m = make(&append_alice, 6);
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
    cr_assert_eq(kit_wait_head(append_flume, VIEW_MASK(feeds)), OK);
    cr_assert_eq(append(fork, 1, &job), ERR_FORK);
    cr_assert(ref_equal(&job.stored, &m[1].id));
    free_all();
}

Test(append_ssb, a_bad_message_takes_back_the_whole_job)
{
    struct flume_append job;
    struct feed_message *m = make(&append_alice, 5), jumbled[3] = { m[0], m[1], m[3] };
    cr_assert_eq(append(jumbled, 3, &job), ERR_INVALID);
    cr_assert_eq(job.index, 2);
    cr_assert_eq(job.duplicates, 0);
    cr_assert_eq(fake_disk_count(append_disk), 0);
    m[0] = jumbled[0];
    m[1] = jumbled[1];
    m[3] = jumbled[2];
    cr_assert_eq(append(m, 5, &job), OK, "what was taken back can be appended: %s", job.detail);
    cr_assert_eq(fake_disk_count(append_disk), 5);
    free_all();
}

Test(append_ssb, a_failed_append_is_forgotten)
{
    struct flume_append job;
    struct feed_message *m = make(&append_alice, 2);
    fake_disk_fail(append_disk, ERR_NOSPACE, OK, OK);
    cr_assert_eq(append(m, 2, &job), ERR_NOSPACE);
    fake_disk_fail(append_disk, OK, OK, OK);
    cr_assert_eq(append(m, 2, &job), OK, "%s", job.detail);
    cr_assert_eq(job.duplicates, 0);
    free_all();
}

/* The first message is not indexed yet, so that what the others leave behind would be met again. */
Test(append_ssb, what_failed_is_forgotten_while_others_are_pending)
{
    struct feed_message *m = make(&append_alice, 5), jumbled[3] = { m[1], m[2], m[4] };
    struct flume_append job = { .messages = m, .count = 1, .relaxed = true, .seqs = seqs };
    cr_assert_eq(kit_append(append_flume, &job), OK);
    cr_assert_eq(append(jumbled, 3, &job), ERR_INVALID);
    m[1] = jumbled[0];
    m[2] = jumbled[1];
    m[4] = jumbled[2];
    fake_disk_fail(append_disk, ERR_NOSPACE, OK, OK);
    cr_assert_eq(append(&m[1], 2, &job), ERR_NOSPACE);
    fake_disk_fail(append_disk, OK, OK, OK);
    cr_assert_eq(append(&m[1], 4, &job), OK, "%s", job.detail);
    cr_assert_eq(job.duplicates, 0);
    cr_assert_eq(fake_disk_count(append_disk), 5);
    free_all();
}

Test(append_ssb, a_bad_job_leaves_nothing_for_its_neighbour)
{
    append_open_gated();
    struct feed_message *m = make(&append_alice, 4), bad_ones[2] = { m[1], m[3] };
    struct flume_append job;
    struct flume_append bad = { .messages = bad_ones, .count = 2, .seqs = &seqs[10] };
    struct flume_append good = { .messages = &m[1], .count = 2, .seqs = &seqs[20] };
    (void)pthread_mutex_lock(&append_gate);
    cr_assert_eq(append(m, 1, &job), OK);
    bad.deadline_ms = good.deadline_ms = flume_now_ms() + KIT_WAIT_MS;
    buf_init(&bad_ones[0].record, 65536); /* each has its own bytes */
    (void)buf_append(&bad_ones[0].record, m[1].record.data, m[1].record.len);
    cr_assert_eq(append_two(&bad, &good), 1);
    cr_assert_eq(bad.err, ERR_INVALID);
    cr_assert_eq(good.duplicates, 0, "%s", good.detail);
    cr_assert_eq(fake_disk_count(append_disk), 3);
    buf_free(&bad_ones[0].record);
    m[3] = bad_ones[1];
    free_all();
}

Test(append_ssb, relaxed_messages_follow_each_other_before_they_are_indexed)
{
    struct feed_message *m = make(&append_alice, 60);
    for (size_t i = 0; i < 60; i++) {
        struct flume_append job = { .messages = &m[i], .count = 1, .relaxed = true, .seqs = &seqs[i] };
        cr_assert_eq(kit_append(append_flume, &job), OK, "%zu: %s", i, job.detail);
        if (i % 7 != 0) continue;
        int64_t again;
        job = (struct flume_append){ .messages = &m[i / 2], .count = 1, .relaxed = i % 2 == 0, .seqs = &again };
        cr_assert_eq(kit_append(append_flume, &job), OK, "%zu: %s", i, job.detail);
        cr_assert_eq(job.duplicates, 1);
        cr_assert_eq(again, seqs[i / 2]);
    }
    check_stored(&m[59], seqs[59]);
    cr_assert_eq(fake_disk_count(append_disk), 60);
    free_all();
}

Test(append_ssb, jobs_of_one_round_do_not_harm_each_other)
{
    enum { N = 30 };
    static struct flume_append jobs[N];
    struct append_many many = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, N, 0 };
    struct feed_message *a = make(&append_alice, N), *b = make(&append_bob, N);
    for (size_t i = 0; i < N; i++) {
        /* every third is bob's and leaves one out: of bob's feed the first only can be good */
        struct feed_message *m = i % 3 == 2 ? &b[i - 2] : &a[i / 3 * 2 + i % 3];
        jobs[i] = (struct flume_append){ .messages = m,
                                         .count = 1,
                                         .relaxed = i % 2 == 0,
                                         .seqs = &seqs[i],
                                         .done = append_many_done,
                                         .ctx = &many,
                                         .deadline_ms = flume_now_ms() + KIT_WAIT_MS };
        cr_assert_eq(flume_append(append_flume, &jobs[i]), OK);
    }
    append_many_wait(&many);
    for (size_t i = 0; i < N; i++) {
        bool good = i % 3 != 2 || i == 2;
        cr_assert_eq(jobs[i].err, good ? OK : ERR_INVALID, "job %zu: %s", i, jobs[i].detail);
    }
    cr_assert_eq(many.ok, 21);
    cr_assert_eq(fake_disk_count(append_disk), 21);
    free_all();
}

/* Appends without a pause: the end of each begins the next, so that there always is one waiting when a round is over. */
struct stream {
    struct flume_append job;
    struct feed_message *messages;
    size_t at, count; /* the last one is sent again and again */
    atomic_bool stop;
    struct append_many over;
};

static void stream_next(struct stream *stream, flume_append_fn *done)
{
    stream->job = (struct flume_append){ .messages = &stream->messages[stream->at],
                                         .count = 1,
                                         .seqs = &seqs[stream->at],
                                         .done = done,
                                         .ctx = stream,
                                         .deadline_ms = flume_now_ms() + KIT_WAIT_MS };
    if (flume_append(append_flume, &stream->job) == OK) return;
    stream->job.ctx = &stream->over;
    append_many_done(&stream->job);
}

static void stream_done(struct flume_append *job)
{
    struct stream *stream = job->ctx;
    job->ctx = &stream->over;
    if (job->err != OK || atomic_load(&stream->stop)) {
        append_many_done(job);
        return;
    }
    if (stream->at + 1 < stream->count) stream->at++;
    stream_next(stream, stream_done);
}

Test(append_ssb, the_chain_rule_holds_and_readers_are_served_while_appends_never_pause)
{
    struct stream stream = { .messages = make(&append_alice, MESSAGES_MAX - 1), .count = MESSAGES_MAX - 1 };
    stream.over = (struct append_many){ PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 1, 0 };
    stream_next(&stream, stream_done);
    uint32_t both = UINT32_C(1) << VIEW_feeds | UINT32_C(1) << VIEW_messages;
    for (int i = 0; i < 20; i++)
        cr_expect_eq(kit_wait(append_flume, both, flume_head(append_flume), KIT_WAIT_MS), OK);
    while (fake_disk_count(append_disk) < MESSAGES_MAX - 1)
        cr_assert_eq(kit_wait(append_flume, both, flume_head(append_flume), KIT_WAIT_MS), OK);
    struct flume_append job;
    cr_expect_eq(append(make(&append_bob, 1), 1, &job), OK, "%s", job.detail);
    atomic_store(&stream.stop, true);
    append_many_wait(&stream.over);
    cr_expect_eq(stream.job.err, OK, "%zu: %s", stream.at, stream.job.detail);
    cr_expect_eq(fake_disk_count(append_disk), MESSAGES_MAX);
    check_stored(&messages[MESSAGES_MAX - 2], seqs[MESSAGES_MAX - 2]);
    free_all();
}

/* While the views of the chain rule are built, appends wait, up to their deadline. */
static atomic_bool early, slow;
static int slow_write(const struct view *view, struct kv_txn *txn, struct view_batch *batch)
{
    (void)view, (void)txn, (void)batch;
    while (atomic_load(&early)) /* nobody is about to append */
        usleep(1000);
    if (atomic_load(&slow)) usleep(400000);
    return OK;
}

Test(append_ssb, wait_for_the_views_of_the_chain_rule)
{
    struct flume_append job;
    struct feed_message *m = make(&append_alice, 3);
    cr_assert_eq(append(m, 1, &job), OK);
    static struct view_ops slow_feeds;
    static const struct view_ops *views[3];
    slow_feeds = *view_list[VIEW_feeds];
    slow_feeds.version++;
    slow_feeds.write = slow_write;
    views[0] = &slow_feeds;
    views[1] = view_list[VIEW_messages];
    flume_close(append_flume);
    for (int i = 0; i < 45000; i++) /* more than one part of a build */
        (void)fake_disk_write(append_disk, "{}");
    append_options.views = views;
    atomic_store(&early, true);
    atomic_store(&slow, true);
    append_flume = kit_open(&append_options);
    job = (struct flume_append){ .messages = &m[1], .count = 1, .seqs = seqs, .deadline_ms = flume_now_ms() + 20 };
    atomic_store(&early, false);
    cr_assert_eq(kit_append(append_flume, &job), ERR_TIMEOUT);
    cr_assert_not_null(strstr(job.detail, "feeds"), "%s", job.detail);
    cr_assert_eq(append(&m[1], 1, &job), OK, "%s", job.detail);
    atomic_store(&slow, false);
    cr_assert_eq(append(&m[2], 1, &job), OK, "%s", job.detail);
    free_all();
}
