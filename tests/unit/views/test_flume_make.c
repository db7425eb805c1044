/* Messages that are made when their turn has come: flume_append with `make`. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "store/err.h"
#include "tests/support/flume_kit.h"
#include "tests/unit/views/append_kit.h"
#include "views/flume_internal.h"
#include "views/view_feeds.h"

#define THREADS 6
#define EACH 25

static const char *content = "{\"type\":\"test\"}";

TestSuite(flume_make, .init = append_open_ssb, .fini = append_close, .timeout = 300);

struct made {
    struct flume_append job;
    struct feed_message message;
    int64_t seq;
    const struct kit_author *author;
};

static int make_next(struct flume_append *job, const struct feed_state *state)
{
    const struct made *made = (const struct made *)(const void *)job; /* its first member */
    return feed_next(state, &made->author->id, made->author->secret, 1000, (struct slice){ content, strlen(content) },
                     job->messages);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t over = PTHREAD_COND_INITIALIZER;

static void made_done(struct flume_append *job)
{
    (void)pthread_mutex_lock(&lock);
    *(bool *)job->ctx = true;
    (void)pthread_cond_broadcast(&over);
    (void)pthread_mutex_unlock(&lock);
}

static int publish(const struct kit_author *author, const struct flume_expect *expect, struct made *ret_made)
{
    bool done = false;
    *ret_made = (struct made){ .author = author };
    ret_made->job = (struct flume_append){
        .messages = &ret_made->message,
        .count = 1,
        .make = make_next,
        .author = author->id,
        .expect = expect,
        .deadline_ms = flume_now_ms() + KIT_WAIT_MS,
        .done = made_done,
        .ctx = &done,
        .seqs = &ret_made->seq,
    };
    int err = flume_append(append_flume, &ret_made->job);
    if (err != OK) return err;
    (void)pthread_mutex_lock(&lock);
    while (!done)
        (void)pthread_cond_wait(&over, &lock);
    (void)pthread_mutex_unlock(&lock);
    return ret_made->job.err;
}

/* NULL, or something else if any of them failed. */
static void *publish_many(void *ctx)
{
    struct made made;
    int err = OK;
    for (int i = 0; i < EACH && err == OK; i++) {
        err = publish(ctx, NULL, &made);
        feed_message_free(&made.message);
    }
    return err == OK ? NULL : ctx;
}

/* The whole feed, message by message, is a chain whose claimed times increase. */
static int64_t chain_length(const struct kit_author *author)
{
    struct feed_state state = { .exists = false };
    struct flume_read read;
    struct log_record record;
    cr_assert_eq(kit_wait_head(append_flume, VIEW_MASK(feeds)), OK);
    cr_assert_eq(flume_read_begin(append_flume, &read), OK);
    for (int64_t n = 1; feeds_get(&read, &author->id, n, &record) == OK; n++) {
        static const char before[] = "\"value\":";
        const char *value = memmem(record.value.data, record.value.len, before, sizeof before - 1);
        const char *end = memrchr(record.value.data, ',', record.value.len);
        cr_assert(value != NULL && end != NULL);
        value += sizeof before - 1;
        struct feed_message message;
        cr_assert_eq(feed_check(value, (size_t)(end - value), NULL, &message), OK, "%s", err_detail(ERR_INVALID));
        cr_assert_eq(feed_check_next(&state, &message), OK, "%s", err_detail(ERR_FORK));
        cr_assert(!state.exists || message.timestamp > state.timestamp);
        state = (struct feed_state){
            .exists = true, .id = message.id, .sequence = message.sequence, .timestamp = message.timestamp
        };
        feed_message_free(&message);
    }
    struct feed_entry entries[2 * THREADS * EACH];
    int count = feeds_range(&read, &author->id, 1, 0, false, entries, sizeof entries / sizeof *entries);
    cr_expect_eq(count, state.exists ? state.sequence : 0, "one message a sequence");
    flume_read_end(&read);
    return state.exists ? state.sequence : 0;
}

Test(flume_make, a_feed_that_many_publish_to_never_forks)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, publish_many, i % 3 == 2 ? &append_bob : &append_alice), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        (void)pthread_join(threads[i], &failed);
        cr_expect_null(failed);
    }
    cr_expect_eq(chain_length(&append_alice), 4 * EACH);
    cr_expect_eq(chain_length(&append_bob), 2 * EACH);
    cr_expect_eq(append_flume->queue_bytes, 0);
}

Test(flume_make, it_follows_messages_that_were_signed_elsewhere_and_are_not_durable_yet)
{
    struct feed_message message;
    struct flume_append job;
    struct made made;
    int64_t seq;
    for (int i = 0; i < 5; i++) {
        kit_message(&append_alice, "signed elsewhere", &message);
        job = (struct flume_append){
            .messages = &message, .count = 1, .seqs = &seq, .relaxed = true, .deadline_ms = flume_now_ms() + KIT_WAIT_MS
        };
        cr_assert_eq(kit_append(append_flume, &job), OK, "%s", job.detail);
        cr_assert_eq(publish(&append_alice, NULL, &made), OK, "%s", made.job.detail);
        cr_expect_eq(made.message.sequence, 2 * i + 2);
        cr_expect(ref_equal(&made.message.previous, &message.id));
        append_alice.last = made.message.id;
        append_alice.sequence = made.message.sequence;
        feed_message_free(&message);
        feed_message_free(&made.message);
    }
    cr_expect_eq(chain_length(&append_alice), 10);
}

Test(flume_make, a_message_that_cannot_be_made_ends_its_job_alone)
{
    struct made made;
    content = "{}";
    cr_expect_eq(publish(&append_alice, NULL, &made), ERR_INVALID);
    cr_expect_not_null(strstr(made.job.detail, "type"), "%s", made.job.detail);
    feed_message_free(&made.message);
    content = "{\"type\":\"test\"}";
    cr_expect_eq(publish(&append_alice, NULL, &made), OK);
    cr_expect_eq(made.message.sequence, 1);
    feed_message_free(&made.message);
    cr_expect_eq(append_flume->queue_bytes, 0);
}

Test(flume_make, it_can_depend_on_where_the_feed_stands)
{
    struct made made;
    struct flume_expect some = { .some = true, .head = SEQ_EMPTY - 1 }, none = { .none = true, .head = SEQ_EMPTY - 1 };
    cr_expect_eq(publish(&append_alice, &some, &made), ERR_STALE);
    cr_expect_eq(made.job.stored.kind, REF_NONE);
    feed_message_free(&made.message);
    cr_assert_eq(publish(&append_alice, &none, &made), OK, "%s", made.job.detail);
    struct ref head = made.message.id;
    feed_message_free(&made.message);
    cr_expect_eq(publish(&append_alice, &none, &made), ERR_STALE);
    cr_expect(ref_equal(&made.job.stored, &head));
    feed_message_free(&made.message);
    struct flume_expect exact = { .heads = &head, .count = 1, .head = SEQ_EMPTY - 1 };
    cr_assert_eq(publish(&append_alice, &exact, &made), OK, "%s", made.job.detail);
    feed_message_free(&made.message);
    cr_expect_eq(publish(&append_alice, &exact, &made), ERR_STALE, "the same once more");
    feed_message_free(&made.message);
    cr_expect_eq(chain_length(&append_alice), 2);
}

Test(flume_make, what_the_disk_refused_leaves_no_trace)
{
    struct made made;
    cr_assert_eq(publish(&append_alice, NULL, &made), OK);
    feed_message_free(&made.message);
    fake_disk_fail(append_disk, ERR_NOSPACE, OK, OK);
    cr_expect_eq(publish(&append_alice, NULL, &made), ERR_NOSPACE);
    feed_message_free(&made.message);
    fake_disk_fail(append_disk, OK, OK, OK);
    cr_assert_eq(publish(&append_alice, NULL, &made), OK, "%s", made.job.detail);
    cr_expect_eq(made.message.sequence, 2);
    feed_message_free(&made.message);
    cr_expect_eq(chain_length(&append_alice), 2);
}
