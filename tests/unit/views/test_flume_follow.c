#include <criterion/criterion.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/err.h"
#include "tests/support/flume_kit.h"
#include "tests/support/scratch.h"

static char *dir;
static char path[SCRATCH_PATH];
static struct fake_disk *disk;
static struct flume_options options;
static struct flume *flume;
static struct kit_events events;

static void setup(void)
{
    dir = scratch_make();
    disk = fake_disk_make(true);
    scratch_path(dir, "log.offset", path);
    scratch_write(path, "", 0);
    for (int i = 0; i < 30; i++)
        (void)fake_disk_write(disk, "{\"first\":1}");
    options = kit_options(disk, dir, &events);
    options.follow_path = path;
    flume = kit_open(&options);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
}

static void teardown(void)
{
    flume_close(flume);
    fake_disk_free(disk);
    scratch_remove(dir);
}

TestSuite(flume_follow, .init = setup, .fini = teardown, .timeout = 300);

static bool indexed(void *ctx)
{
    return flume_since(flume, KIT_BOTH) == *(int64_t *)ctx;
}

static bool changed(void *ctx)
{
    return atomic_load(&events.changed) >= *(unsigned *)ctx;
}

Test(flume_follow, head_is_what_the_file_holds_now)
{
    for (int i = 0; i < 20; i++) {
        int64_t seq = fake_disk_write(disk, "{\"more\":1}");
        cr_assert_eq(flume_head(flume), seq);
        cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
        cr_assert_eq(flume_since(flume, KIT_BOTH), seq);
    }
    cr_assert(kit_view_is_true(flume, "second"));
}

Test(flume_follow, polls_when_nobody_asks)
{
    unsigned heads = atomic_load(&events.head);
    int64_t seq = fake_disk_write(disk, "{\"more\":1}");
    cr_assert(kit_until(indexed, &seq));
    cr_assert_gt(atomic_load(&events.head), heads);
}

Test(flume_follow, inotify_is_quicker_than_the_poll)
{
    flume_close(flume);
    options.poll_ms = 3600000;
    flume = kit_open(&options);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    usleep(20000);
    int64_t seq = fake_disk_write(disk, "{\"more\":1}");
    scratch_write(path, "x", 1);
    cr_assert(kit_until(indexed, &seq), "writing to the file did not wake the indexer");
}

Test(flume_follow, appends_are_refused)
{
    cr_assert_eq(kit_append_text(flume, "{}", false, NULL), ERR_READONLY);
    cr_assert_not_null(strstr(err_detail(ERR_READONLY), path));
}

Test(flume_follow, a_replaced_log_is_opened_anew)
{
    struct log *old = flume_log(flume);
    struct log_record before, after;
    unsigned once = 1;
    cr_assert_eq(log_get(old, 0, &before), OK);
    fake_disk_replace(disk, false);
    for (int i = 0; i < 10; i++)
        (void)fake_disk_write(disk, "{\"other\":1}");
    cr_assert(kit_until(changed, &once));
    cr_assert_neq(flume_log(flume), old);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    cr_assert(kit_view_is_true(flume, "first"));
    cr_assert(kit_view_is_true(flume, "second"));
    struct flume_status status;
    flume_status(flume, &status);
    cr_assert_eq(status.count, 10);
    cr_assert_str_eq(status.views[0].why, "log");
    cr_assert_eq(log_get(old, 0, &after), OK, "the old log can be read until the end");
    cr_assert_eq(after.value.data, before.value.data);
    cr_assert_eq(memcmp(after.value.data, "{\"first\":1}", after.value.len), 0);
    int64_t seq = fake_disk_write(disk, "{\"other\":2}");
    cr_assert_eq(flume_head(flume), seq);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
}

Test(flume_follow, a_copy_in_its_place_keeps_the_views)
{
    unsigned once = 1, applied = kit_applied();
    fake_disk_replace(disk, true);
    int64_t seq = fake_disk_write(disk, "{\"more\":1}");
    cr_assert(kit_until(changed, &once));
    cr_assert(kit_until(indexed, &seq));
    cr_assert_eq(kit_applied() - applied, 1);
    cr_assert(kit_view_is_true(flume, "second"));
}

Test(flume_follow, goes_on_trying_while_the_new_log_cannot_be_opened)
{
    unsigned once = 1;
    fake_disk_fail(disk, OK, OK, ERR_NOFILE);
    fake_disk_replace(disk, false);
    usleep(100000);
    cr_assert_eq(atomic_load(&events.changed), 0);
    cr_assert_eq(flume_failure(flume), OK);
    int64_t seq = fake_disk_write(disk, "{\"other\":1}");
    fake_disk_fail(disk, OK, OK, OK);
    cr_assert(kit_until(changed, &once));
    cr_assert(kit_until(indexed, &seq));
}

Test(flume_follow, a_new_log_makes_failed_views_work_again)
{
    unsigned once = 1;
    kit_apply_fails(ERR_IO);
    int64_t seq = fake_disk_write(disk, "{\"more\":1}");
    cr_assert_eq(kit_wait(flume, KIT_BOTH, seq, KIT_WAIT_MS), ERR_IO);
    kit_apply_fails(OK);
    fake_disk_replace(disk, false);
    seq = fake_disk_write(disk, "{\"other\":1}");
    cr_assert(kit_until(changed, &once));
    cr_assert(kit_until(indexed, &seq));
    cr_assert_eq(flume_failure(flume), OK);
}

Test(flume_follow, may_be_replaced_again_and_again)
{
    for (unsigned i = 1; i <= 20; i++) {
        fake_disk_replace(disk, false);
        int64_t seq = SEQ_EMPTY;
        for (unsigned j = 0; j < i; j++) {
            char text[32];
            (void)snprintf(text, sizeof text, "{\"%u\":%u}", i, j);
            seq = fake_disk_write(disk, text);
        }
        cr_assert(kit_until(changed, &i));
        cr_assert(kit_until(indexed, &seq));
        cr_assert(kit_view_is_true(flume, "first"));
    }
}

static sigset_t indexer_signals;

static void note_signals(void *ctx, enum flume_event event)
{
    if (event == FLUME_INDEXED) (void)pthread_sigmask(SIG_BLOCK, NULL, &indexer_signals);
    kit_on_event(ctx, event);
}

/* Blocked, a SIGBUS ended the process when the indexer read a followed file that was cut under it: mapguard was never asked. */
Test(flume_follow, the_indexer_takes_the_fault_of_a_file_that_is_cut_and_leaves_other_signals_alone)
{
    flume_close(flume);
    (void)sigfillset(&indexer_signals);
    options.on_event = note_signals;
    flume = kit_open(&options);
    (void)fake_disk_write(disk, "{\"more\":1}");
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    flume_close(flume); /* joins: the set is written */
    options.on_event = kit_on_event;
    flume = kit_open(&options);
    cr_assert_eq(sigismember(&indexer_signals, SIGBUS), 0);
    cr_assert_eq(sigismember(&indexer_signals, SIGTERM), 1);
}
