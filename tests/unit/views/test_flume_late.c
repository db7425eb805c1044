/* A view that may fall behind while the log grows: it rests as long as its limits say, and catches up when one of them is reached or somebody
 * wants it. Limits that shall not be reached are an hour. */
#include <criterion/criterion.h>
#include <stdatomic.h>

#include "store/err.h"
#include "tests/support/corpus.h"
#include "tests/support/flume_kit.h"
#include "tests/support/scratch.h"

#define HOUR_MS 3600000u
#define NEVER_BYTES (INT64_C(1) << 50)
#define MANY 9000 /* records: more than the indexer gathers at once */

static const struct flume_late_limits never = { HOUR_MS, HOUR_MS, NEVER_BYTES };

static char *dir;
static struct fake_disk *disk;
static struct flume *flume;

static void start(struct flume_late_limits limits)
{
    struct flume_options options = kit_options(disk, dir, NULL);
    options.views = kit_views_late;
    options.late = limits;
    flume = kit_open(&options);
}

static void setup(void)
{
    dir = scratch_make();
    disk = fake_disk_make(false);
}

static void teardown(void)
{
    flume_close(flume);
    fake_disk_free(disk);
    scratch_remove(dir);
}

TestSuite(flume_late, .init = setup, .fini = teardown, .timeout = 300);

/* One record, and waits until the first view knows it. */
static int64_t append(void)
{
    int64_t seq = SEQ_EMPTY;
    cr_assert_eq(kit_append_text(flume, "{\"some\":\"text\"}", false, &seq), OK);
    cr_assert_eq(kit_wait(flume, KIT_FIRST, seq, KIT_WAIT_MS), OK);
    return seq;
}

static int64_t append_many(void)
{
    static struct slice values[MANY];
    static int64_t seqs[MANY];
    for (size_t i = 0; i < MANY; i++)
        values[i] = (struct slice){ "{\"one\":\"of many\"}", 17 };
    struct flume_append job = { .values = values, .count = MANY, .seqs = seqs };
    cr_assert_eq(kit_append(flume, &job), OK);
    cr_assert_eq(kit_wait(flume, KIT_FIRST, seqs[MANY - 1], KIT_WAIT_MS), OK);
    return seqs[MANY - 1];
}

static bool second_is_at(void *ctx)
{
    return flume_since(flume, KIT_SECOND) >= *(int64_t *)ctx;
}

static void expect_comes(int64_t seq)
{
    cr_assert(kit_until(second_is_at, &seq), "it stays at %lld", (long long)flume_since(flume, KIT_SECOND));
    cr_expect(kit_view_is_true(flume, "second"));
}

static void expect_rests(int64_t since)
{
    struct flume_status status;
    flume_status(flume, &status);
    cr_expect_eq(flume_since(flume, KIT_SECOND), since);
    cr_expect_eq(flume_resting(flume), KIT_SECOND);
    cr_expect(status.views[0].ready && !status.views[0].resting);
    cr_expect(!status.views[1].ready && status.views[1].resting);
    cr_expect(kit_view_is_true(flume, "second"));
}

Test(flume_late, falls_behind_and_comes_when_it_is_waited_for)
{
    start(never);
    for (int i = 0; i < 20; i++)
        (void)append();
    expect_rests(SEQ_EMPTY);
    int64_t seq = append();
    cr_expect_eq(kit_wait(flume, KIT_BOTH, seq, KIT_WAIT_MS), OK);
    cr_expect_eq(flume_since(flume, KIT_SECOND), seq);
    cr_expect(kit_view_is_true(flume, "second"));
    (void)append();
    expect_rests(seq);
}

Test(flume_late, comes_for_whoever_waits_for_nothing_else)
{
    start(never);
    (void)append();
    expect_rests(SEQ_EMPTY);
    int64_t seq = append();
    cr_expect_eq(kit_wait(flume, KIT_SECOND, seq, KIT_WAIT_MS), OK);
}

Test(flume_late, comes_when_the_log_pauses)
{
    start((struct flume_late_limits){ 1, HOUR_MS, NEVER_BYTES });
    for (int i = 0; i < 5; i++)
        expect_comes(append());
}

Test(flume_late, rests_no_longer_than_its_time)
{
    start((struct flume_late_limits){ HOUR_MS, 1, NEVER_BYTES });
    for (int i = 0; i < 5; i++)
        expect_comes(append());
}

Test(flume_late, misses_no_more_than_so_many_bytes)
{
    start(never);
    int64_t first = append(), apart = append() - first;
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    flume_close(flume);
    start((struct flume_late_limits){ HOUR_MS, HOUR_MS, 3 * apart });
    int64_t since = first + apart;
    (void)append();
    (void)append();
    expect_rests(since);
    int64_t third = append();
    expect_comes(third);
    (void)append();
    (void)append();
    expect_rests(third);
}

Test(flume_late, does_not_rest_while_somebody_follows_it)
{
    start(never);
    flume_watch(flume, KIT_FIRST, true);
    int64_t seq = append();
    expect_rests(SEQ_EMPTY);
    flume_watch(flume, KIT_BOTH, true);
    flume_watch(flume, KIT_SECOND, true);
    expect_comes(seq);
    expect_comes(append());
    flume_watch(flume, KIT_SECOND, false);
    expect_comes(seq = append());
    flume_watch(flume, KIT_BOTH, false);
    (void)append();
    expect_rests(seq);
    flume_watch(flume, KIT_FIRST, false);
}

static atomic_int told = 1;

static void tell(void *ctx, int err)
{
    (void)ctx;
    atomic_store(&told, err);
}

static bool is_told(void *ctx)
{
    (void)ctx;
    return atomic_load(&told) != 1;
}

Test(flume_late, comes_for_whoever_waits_for_what_is_not_there_yet)
{
    start(never);
    int64_t first = append(), apart = append() - first, third = first + 2 * apart;
    cr_assert_eq(flume_wait(flume, KIT_BOTH, third, flume_now_ms() + KIT_WAIT_MS, tell, NULL, NULL), OK);
    expect_rests(SEQ_EMPTY);
    cr_assert_eq(append(), third);
    cr_assert(kit_until(is_told, NULL));
    cr_expect_eq(atomic_load(&told), OK);
    cr_expect_eq(flume_since(flume, KIT_SECOND), third);
}

Test(flume_late, rests_again_when_the_only_one_who_waited_gave_up)
{
    start(never);
    int64_t first = append(), apart = append() - first;
    uint64_t ticket;
    cr_assert_eq(flume_wait(flume, KIT_BOTH, first + 2 * apart, flume_now_ms() + KIT_WAIT_MS, tell, NULL, &ticket), OK);
    cr_assert(flume_wait_cancel(flume, ticket));
    (void)append();
    expect_rests(SEQ_EMPTY);
}

Test(flume_late, catches_up_with_much_at_once)
{
    start(never);
    (void)append_many();
    expect_rests(SEQ_EMPTY);
    int64_t seq = append_many();
    expect_rests(SEQ_EMPTY);
    cr_assert_eq(kit_wait(flume, KIT_BOTH, seq, KIT_WAIT_MS), OK);
    cr_expect(kit_view_is_true(flume, "second"));
    cr_expect_eq(flume_since(flume, KIT_SECOND), seq);
}

Test(flume_late, goes_on_from_where_it_was_after_a_restart)
{
    start(never);
    int64_t seq = append_many();
    expect_rests(SEQ_EMPTY);
    flume_close(flume);
    start(never);
    /* the log does not grow any more: nothing keeps it from coming by itself */
    expect_comes(seq);
    (void)append();
    expect_rests(seq);
}

Test(flume_late, is_built_anew_while_the_log_grows)
{
    start(never);
    (void)append_many();
    cr_assert_eq(flume_rebuild(flume, "second"), OK);
    int64_t seq = append();
    cr_assert_eq(kit_wait(flume, KIT_BOTH, seq, KIT_WAIT_MS), OK);
    cr_expect(kit_view_is_true(flume, "second"));
}

/* Waits and appends by turns, with limits that are reached now and then: what is waited for is always there. */
Test(flume_late, never_answers_less_than_was_waited_for)
{
    struct dice dice = dice_make();
    for (int round = 0; round < 8; round++) {
        start((struct flume_late_limits){ 1 + (unsigned)dice_roll(&dice, 3), 1 + (unsigned)dice_roll(&dice, 20),
                                          1 + (int64_t)dice_roll(&dice, 2000) });
        for (int i = 0; i < 60; i++) {
            int64_t seq = append();
            if (dice_roll(&dice, 5) > 0) continue;
            int err = kit_wait(flume, KIT_SECOND, seq, KIT_WAIT_MS);
            cr_assert(err == OK && flume_since(flume, KIT_SECOND) >= seq && kit_view_is_true(flume, "second"),
                      "SLUICE_TEST_SEED=%llu", (unsigned long long)dice.seed);
        }
        if (round == 7) break;
        flume_close(flume);
    }
}
