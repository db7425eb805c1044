#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/err.h"
#include "tests/support/flume_kit.h"
#include "tests/support/scratch.h"

static char *dir;
static struct fake_disk *disk;
static struct flume *flume;
static int64_t seqs[64]; /* of the records 0 … 63, which the tests append one by one */

/* All callbacks of a test, in the order they came. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    int number;
    int err;
} called[1024];
static size_t called_count;

static void setup(void)
{
    dir = scratch_make();
    disk = fake_disk_make(false);
    struct flume_options options = kit_options(disk, dir, NULL);
    flume = kit_open(&options);
    for (int i = 0; i < 64; i++)
        seqs[i] = 19 * (int64_t)i; /* 7 bytes and the fake log's frame */
}

static void teardown(void)
{
    flume_close(flume);
    fake_disk_free(disk);
    scratch_remove(dir);
}

TestSuite(flume_wait, .init = setup, .fini = teardown, .timeout = 300);

static void note(void *ctx, int err)
{
    (void)pthread_mutex_lock(&lock);
    called[called_count].number = *(int *)ctx;
    called[called_count++].err = err;
    (void)pthread_mutex_unlock(&lock);
}

static size_t calls(void)
{
    (void)pthread_mutex_lock(&lock);
    size_t n = called_count;
    (void)pthread_mutex_unlock(&lock);
    return n;
}

static bool enough_calls(void *ctx)
{
    return calls() >= *(size_t *)ctx;
}

static void await_calls(size_t n)
{
    cr_assert(kit_until(enough_calls, &n), "%zu of %zu were called", calls(), n);
}

static void append(int i)
{
    int64_t seq = SEQ_EMPTY;
    cr_assert_eq(kit_append_text(flume, "\"1234x\"", false, &seq), OK);
    cr_assert_eq(seq, seqs[i]);
}

static int numbers[1024];
static uint64_t wait_for(int number, int64_t seq, int64_t ms)
{
    uint64_t ticket = 0;
    numbers[number] = number;
    cr_assert_eq(flume_wait(flume, KIT_BOTH, seq, flume_now_ms() + ms, note, &numbers[number], &ticket), OK);
    return ticket;
}

Test(flume_wait, nothing_to_wait_for)
{
    append(0);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    cr_assert_eq(flume_wait(flume, KIT_BOTH, SEQ_EMPTY, 0, note, NULL, NULL), 1);
    cr_assert_eq(flume_wait(flume, KIT_BOTH, 0, 0, note, NULL, NULL), 1);
    cr_assert_eq(flume_wait(flume, 0, SEQ_MAX, 0, note, NULL, NULL), 1);
    cr_assert_eq(calls(), 0);
}

Test(flume_wait, for_seq_0_on_an_empty_log)
{
    (void)wait_for(1, 0, KIT_WAIT_MS);
    usleep(20000);
    cr_assert_eq(calls(), 0, "an empty log is not at seq 0");
    append(0);
    await_calls(1);
    cr_assert_eq(called[0].err, OK);
}

Test(flume_wait, waiters_come_in_the_order_of_their_seqs)
{
    static const int asked[] = { 5, 1, 9, 6, 1, 0, 9, 3, 5 };
    static const int order[] = { 0, 1, 1, 3, 5, 5, 6, 9, 9 };
    const size_t n = sizeof asked / sizeof asked[0];
    for (size_t i = 0; i < n; i++)
        (void)wait_for((int)i, seqs[asked[i]], KIT_WAIT_MS);
    struct flume_status status;
    flume_status(flume, &status);
    cr_assert_eq(status.waiting, n);
    for (int i = 0; i < 10; i++)
        append(i);
    await_calls(n);
    for (size_t i = 0; i < n; i++) {
        cr_assert_eq(called[i].err, OK);
        cr_assert_eq(asked[called[i].number], order[i], "call %zu", i);
        if (i > 0 && order[i] == order[i - 1])
            cr_assert_gt(called[i].number, called[i - 1].number, "of the same seq the first to ask is the first");
    }
    usleep(20000);
    cr_assert_eq(calls(), n, "each is called once");
}

/* On the indexer's thread: before all are asked it tells none of them, however long that takes. */
static void ask_with_deadlines(void *ctx, int err)
{
    (void)ctx;
    (void)err;
    (void)wait_for(0, seqs[9], 200);
    (void)wait_for(1, seqs[2], KIT_WAIT_MS);
    (void)wait_for(2, seqs[8], 100);
    (void)wait_for(3, seqs[1], -5);
}

Test(flume_wait, deadlines_pass_in_any_order)
{
    cr_assert_eq(flume_wait(flume, KIT_BOTH, seqs[0], flume_now_ms() + KIT_WAIT_MS, ask_with_deadlines, NULL, NULL),
                 OK);
    append(0);
    await_calls(3);
    cr_assert_eq(called[0].number, 3);
    cr_assert_eq(called[1].number, 2);
    cr_assert_eq(called[2].number, 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(called[i].err, ERR_TIMEOUT);
    append(1);
    append(2);
    await_calls(4);
    cr_assert_eq(called[3].number, 1);
    cr_assert_eq(called[3].err, OK);
}

Test(flume_wait, only_the_views_asked_for_count)
{
    kit_apply_fails(OK);
    append(0);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    kit_apply_waits(300000);
    cr_assert_eq(flume_rebuild(flume, "second"), OK);
    usleep(20000);
    append(1);
    cr_assert_eq(kit_wait(flume, KIT_FIRST, seqs[1], KIT_WAIT_MS), OK);
    kit_apply_waits(0);
    cr_assert_eq(kit_wait(flume, KIT_BOTH, seqs[1], KIT_WAIT_MS), OK);
}

Test(flume_wait, cancelled_ones_are_not_called)
{
    uint64_t tickets[6];
    for (int i = 0; i < 6; i++)
        tickets[i] = wait_for(i, seqs[i % 3], KIT_WAIT_MS);
    cr_assert(flume_wait_cancel(flume, tickets[1]));
    cr_assert(flume_wait_cancel(flume, tickets[5]));
    cr_assert_not(flume_wait_cancel(flume, tickets[5]), "once");
    cr_assert_not(flume_wait_cancel(flume, 999), "a ticket that was never given");
    for (int i = 0; i < 3; i++)
        append(i);
    await_calls(4);
    usleep(20000);
    cr_assert_eq(calls(), 4);
    for (int i = 0; i < 4; i++)
        cr_assert(called[i].number != 1 && called[i].number != 5);
    cr_assert_not(flume_wait_cancel(flume, tickets[0]), "it was called");
}

/* A canceller that races with the indexer: each waiter is either cancelled or called, never both, never neither. */
Test(flume_wait, cancel_races_with_the_call)
{
    size_t cancelled = 0;
    for (int i = 0; i < 60; i++) {
        uint64_t ticket = wait_for(i, seqs[i], KIT_WAIT_MS);
        struct slice value = SLICE_LITERAL("\"1234x\"");
        int64_t seq;
        struct flume_append job = { .values = &value, .count = 1, .relaxed = false, .seqs = &seq };
        cr_assert_eq(kit_append(flume, &job), OK);
        if (flume_wait_cancel(flume, ticket)) cancelled++;
    }
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    await_calls(60 - cancelled);
    usleep(20000);
    cr_assert_eq(calls(), 60 - cancelled);
}

Test(flume_wait, close_ends_all)
{
    for (int i = 0; i < 600; i++)
        (void)wait_for(i, seqs[10] + i, KIT_WAIT_MS);
    flume_close(flume);
    flume = NULL;
    cr_assert_eq(calls(), 600);
    for (int i = 0; i < 600; i++) {
        cr_assert_eq(called[i].number, i);
        cr_assert_eq(called[i].err, ERR_CLOSED);
    }
}

static void nothing(void *ctx, int err)
{
    (void)ctx;
    (void)err;
}

Test(flume_wait, has_a_limit)
{
    size_t n = 0;
    int err;
    while ((err = flume_wait(flume, KIT_BOTH, SEQ_MAX, flume_now_ms() + 100000, nothing, NULL, NULL)) == OK &&
           n < 100000)
        n++;
    cr_assert_eq(err, ERR_QUEUE); /* a matter of the moment, not of what was asked */
    cr_assert_eq(n, FLUME_WAITERS_MAX);
}

/* A waiter that waits again from its callback, as a long poll does. */
static void wait_again(void *ctx, int err)
{
    note(ctx, err);
    if (err != OK || calls() >= 5) return;
    cr_assert_eq(flume_wait(flume, KIT_BOTH, seqs[calls()], flume_now_ms() + KIT_WAIT_MS, wait_again, ctx, NULL), OK);
}

Test(flume_wait, may_wait_again_when_called)
{
    int number = 7;
    cr_assert_eq(flume_wait(flume, KIT_BOTH, seqs[0], flume_now_ms() + KIT_WAIT_MS, wait_again, &number, NULL), OK);
    for (int i = 0; i < 5; i++) {
        append(i);
        await_calls((size_t)i + 1);
    }
    cr_assert_eq(calls(), 5);
}
