/* All views may fall behind for as long as the limits of a lag say. Those that shall not be reached are an hour. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "store/err.h"
#include "tests/support/flume_kit.h"
#include "tests/unit/views/append_kit.h"

#define HOUR_MS 3600000u
#define NEVER_ENTRIES ((size_t)1 << 40)
#define NEVER_BYTES (INT64_C(1) << 50)
#define MANY 9000 /* records: more than the indexer gathers at once */

static const struct flume_lag_limits never = { HOUR_MS, HOUR_MS, NEVER_ENTRIES, NEVER_BYTES };

static void start(struct flume_lag_limits limits)
{
    append_options.lag = limits;
    append_reopen();
}

TestSuite(flume_lag, .init = append_open_any, .fini = append_close, .timeout = 300);

static int64_t append(void)
{
    int64_t seq = SEQ_EMPTY;
    cr_assert_eq(kit_append_text(append_flume, "{\"some\":\"text\"}", false, &seq), OK);
    return seq;
}

struct place {
    uint32_t views;
    int64_t seq;
};

static bool views_are_at(void *ctx)
{
    const struct place *place = ctx;
    return flume_since(append_flume, place->views) >= place->seq;
}

/* Looked at from outside: who waits in the flume would end a lag. */
static bool come(uint32_t views, int64_t seq)
{
    struct place place = { views, seq };
    return kit_until(views_are_at, &place);
}

static void expect_come(int64_t seq)
{
    cr_assert(come(KIT_BOTH, seq), "they stay at %lld and %lld", (long long)flume_since(append_flume, KIT_FIRST),
              (long long)flume_since(append_flume, KIT_SECOND));
    cr_expect(kit_view_is_true(append_flume, "first") && kit_view_is_true(append_flume, "second"));
}

Test(flume_lag, lasts_until_somebody_waits_for_a_view)
{
    start(never);
    for (int i = 0; i < 20; i++)
        (void)append();
    cr_expect_eq(flume_since(append_flume, KIT_BOTH), SEQ_EMPTY);
    int64_t seq = append();
    cr_expect_eq(kit_wait(append_flume, KIT_FIRST, seq, KIT_WAIT_MS), OK);
    expect_come(seq);
    (void)append();
    cr_expect_eq(flume_since(append_flume, KIT_BOTH), seq);
}

Test(flume_lag, does_not_linger_for_whoever_follows_a_view)
{
    start(never);
    flume_watch(append_flume, KIT_FIRST, true);
    int64_t seq = append();
    expect_come(seq);
    flume_watch(append_flume, KIT_FIRST, false);
    (void)append();
    cr_expect_eq(flume_since(append_flume, KIT_BOTH), seq);
    flume_watch(append_flume, KIT_SECOND, true);
    expect_come(append());
    flume_watch(append_flume, KIT_SECOND, false);
}

Test(flume_lag, ends_when_the_log_pauses)
{
    start((struct flume_lag_limits){ 1, HOUR_MS, NEVER_ENTRIES, NEVER_BYTES });
    for (int i = 0; i < 5; i++)
        expect_come(append());
}

Test(flume_lag, lasts_no_longer_than_its_time)
{
    start((struct flume_lag_limits){ HOUR_MS, 1, NEVER_ENTRIES, NEVER_BYTES });
    for (int i = 0; i < 5; i++)
        expect_come(append());
}

Test(flume_lag, misses_no_more_than_so_many_bytes)
{
    start(never);
    int64_t first = append(), apart = append() - first;
    cr_assert_eq(kit_wait_head(append_flume, KIT_BOTH), OK);
    start((struct flume_lag_limits){ HOUR_MS, HOUR_MS, NEVER_ENTRIES, 3 * apart });
    (void)append();
    (void)append();
    cr_expect_eq(flume_since(append_flume, KIT_BOTH), first + apart);
    expect_come(append());
}

/* While the log grows on nobody else would ever make them go on. */
Test(flume_lag, leaves_late_views_that_catch_up_alone)
{
    static struct slice values[MANY];
    static int64_t seqs[MANY];
    append_options.views = kit_views_late;
    append_options.late = (struct flume_late_limits){ HOUR_MS, HOUR_MS, 1 };
    start((struct flume_lag_limits){ HOUR_MS, HOUR_MS, NEVER_ENTRIES, 1000 });
    for (size_t i = 0; i < MANY; i++)
        values[i] = (struct slice){ "{\"one\":\"of many\"}", 17 };
    struct flume_append job = { .values = values, .count = MANY, .seqs = seqs };
    cr_assert_eq(kit_append(append_flume, &job), OK);
    expect_come(seqs[MANY - 1]);
}

TestSuite(flume_lag_ssb, .init = append_open_ssb, .fini = append_close, .timeout = 300);

/* A message is held until the views know it, and its feed is: that is memory. */
Test(flume_lag_ssb, holds_no_more_than_so_many_entries)
{
    struct feed_message messages[6];
    int64_t seqs[6];
    struct flume_append job;
    const uint32_t views = VIEW_MASK(messages) | VIEW_MASK(feeds);
    start((struct flume_lag_limits){ HOUR_MS, HOUR_MS, 6, NEVER_BYTES });
    for (size_t i = 0; i < 6; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "message %zu", i);
        kit_message(&append_alice, text, &messages[i]);
    }
    cr_assert_eq(kit_append_messages(append_flume, messages, 4, seqs, &job), OK, "%s", job.detail);
    cr_expect_eq(flume_since(append_flume, views), SEQ_EMPTY);
    cr_assert_eq(kit_append_messages(append_flume, messages + 4, 1, seqs + 4, &job), OK, "%s", job.detail);
    cr_assert(come(views, seqs[4]));
    cr_assert_eq(kit_append_messages(append_flume, messages + 5, 1, seqs + 5, &job), OK, "%s", job.detail);
    cr_expect_eq(flume_since(append_flume, views), seqs[4]);
    for (size_t i = 0; i < 6; i++)
        feed_message_free(&messages[i]);
}
