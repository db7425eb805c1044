/* When things happen inside the core, told from its own thread, so that no test depends on how fast anything is. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "store/err.h"
#include "tests/support/flume_kit.h"
#include "tests/support/scratch.h"

#define SLOW_US 50000 /* a sync; the next one without need is then put off for longer than the tests take to look */

static char *dir;
static struct fake_disk *disk;
static struct flume_options options;
static struct flume *flume;

/* What the indexer did, in its order: a letter each. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static char story[64];
static size_t story_len;

static void tell(char letter)
{
    (void)pthread_mutex_lock(&lock);
    if (story_len + 1 < sizeof story) story[story_len++] = letter;
    (void)pthread_cond_broadcast(&more);
    (void)pthread_mutex_unlock(&lock);
}

static void await_letters(size_t count)
{
    (void)pthread_mutex_lock(&lock);
    while (story_len < count)
        (void)pthread_cond_wait(&more, &lock);
    (void)pthread_mutex_unlock(&lock);
}

static void on_event(void *ctx, enum flume_event event)
{
    (void)ctx;
    if (event == FLUME_HEAD) tell('H');
}

static void setup(void)
{
    dir = scratch_make();
    disk = fake_disk_make(false);
    options = kit_options(disk, dir, NULL);
    options.on_event = on_event;
    flume = kit_open(&options);
}

static void teardown(void)
{
    flume_close(flume);
    fake_disk_free(disk);
    scratch_remove(dir);
}

TestSuite(flume_seen, .init = setup, .fini = teardown, .timeout = 300);

static void ready(void *ctx, int err)
{
    (void)ctx;
    tell(err == OK ? 'R' : 'F');
}

/* A deadline would call a waiter that was lost. */
Test(flume_seen, who_waits_for_the_newest_without_a_deadline_is_called)
{
    for (int64_t i = 0, seq = 0; i < 3; i++, seq += 14) {
        int64_t given = SEQ_EMPTY;
        size_t before = story_len;
        cr_assert_eq(flume_wait(flume, KIT_BOTH, seq, INT64_MAX, ready, NULL, NULL), 0);
        cr_assert_eq(kit_append_text(flume, "{}", false, &given), OK);
        cr_assert_eq(given, seq);
        await_letters(before + 2);
        cr_expect(story[before] == 'H' && story[before + 1] == 'R', "%s", story);
    }
}

/* ---- relaxed appends on a slow disk ------------------------------------------------------------------------------- */

static char big[256 << 10]; /* as much as is put off, and no more */
static int64_t big_seq, small_seq;
static const struct slice small_value = { "2", 1 };
static struct flume_append small_job;

static void small_done(struct flume_append *job)
{
    (void)job;
    tell('2');
}

/* Asked in the indexer's thread: the second job comes in its next round. */
static void big_done(struct flume_append *job)
{
    (void)job;
    tell('1');
    small_job = (struct flume_append){
        .values = &small_value, .count = 1, .relaxed = true, .seqs = &small_seq, .done = small_done
    };
    cr_assert_eq(flume_append(flume, &small_job), OK);
}

static void append_slowly(void)
{
    fake_disk_slow_syncs(disk, SLOW_US);
    cr_assert_eq(kit_append_text(flume, "0", false, NULL), OK);
    await_letters(1);
}

Test(flume_seen, much_relaxed_is_synced_before_anything_else_is_appended)
{
    append_slowly();
    memset(big, '1', sizeof big);
    struct slice value = { big, sizeof big };
    struct flume_append job = { .values = &value, .count = 1, .relaxed = true, .seqs = &big_seq, .done = big_done };
    cr_assert_eq(flume_append(flume, &job), OK);
    await_letters(4);
    cr_expect_eq(memcmp(story, "H1H2", 4), 0, "%s", story);
    await_letters(5);
}

Test(flume_seen, closing_syncs_what_was_put_off)
{
    append_slowly();
    cr_assert_eq(kit_append_text(flume, "\"kept\"", true, NULL), OK);
    flume_close(flume);
    fake_disk_lose_unsynced(disk);
    cr_expect_eq(fake_disk_count(disk), 2);
    flume = kit_open(&options);
    cr_expect_eq(flume_head(flume), 13);
}
