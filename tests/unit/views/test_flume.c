#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/err.h"
#include "tests/support/flume_kit.h"
#include "tests/support/scratch.h"

static char *dir;
static struct fake_disk *disk;
static struct kit_events events;

static void setup(void)
{
    dir = scratch_make();
    disk = fake_disk_make(false);
}

static void teardown(void)
{
    fake_disk_free(disk);
    scratch_remove(dir);
}

TestSuite(flume, .init = setup, .fini = teardown, .timeout = 300);

static struct flume *open_it(void)
{
    struct flume_options options = kit_options(disk, dir, &events);
    return kit_open(&options);
}

static void fill(struct flume *flume, int from, int to)
{
    for (int i = from; i < to; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "{\"n\":%d}", i);
        cr_assert_eq(kit_append_text(flume, text, false, NULL), OK);
    }
}

static void fill_disk(int from, int to)
{
    for (int i = from; i < to; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "{\"n\":%d}", i);
        (void)fake_disk_write(disk, text);
    }
}

/* The status of "second", the view that can be told what to do. */
static struct flume_view_status second_of(struct flume *flume)
{
    struct flume_status status;
    flume_status(flume, &status);
    cr_assert_eq(status.view_count, 2);
    cr_assert_str_eq(status.views[1].name, "second");
    return status.views[1];
}

static const char *why_of(struct flume *flume)
{
    const char *why = second_of(flume).why;
    return why == NULL ? "" : why;
}

Test(flume, views_follow_what_is_appended)
{
    struct flume *flume = open_it();
    cr_assert_eq(flume_head(flume), SEQ_EMPTY);
    cr_assert_eq(flume_since(flume, KIT_BOTH), SEQ_EMPTY);
    fill(flume, 0, 50);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    cr_assert_eq(flume_since(flume, KIT_BOTH), flume_head(flume));
    cr_assert(kit_view_is_true(flume, "first"));
    cr_assert(kit_view_is_true(flume, "second"));
    struct flume_status status;
    flume_status(flume, &status);
    cr_assert_eq(status.count, 50);
    cr_assert_eq(status.appended, 50);
    cr_assert_eq(status.head, status.durable);
    cr_assert(status.views[0].ready && status.views[1].ready);
    cr_assert_eq(status.views[0].done, status.views[0].total);
    cr_assert_float_eq(status.views[0].eta, 0, 0.001);
    flume_close(flume);
    cr_assert_gt(atomic_load(&events.head), 0);
    cr_assert_gt(atomic_load(&events.indexed), 0);
    cr_assert_eq(atomic_load(&events.failed), 0);
}

Test(flume, an_empty_log_is_ready_at_once)
{
    struct flume *flume = open_it();
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    cr_assert(second_of(flume).ready);
    cr_assert_eq(flume_since(flume, 0), SEQ_MAX);
    flume_close(flume);
    flume_close(NULL);
}

Test(flume, goes_on_where_it_stopped)
{
    struct flume *flume = open_it();
    cr_assert_str_eq(why_of(flume), "new");
    fill(flume, 0, 20);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    flume_close(flume);
    unsigned before = kit_applied();
    flume = open_it();
    cr_assert_str_eq(why_of(flume), "");
    fill(flume, 20, 25);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    cr_assert_eq(kit_applied() - before, 5, "records that were indexed are not indexed again");
    cr_assert(kit_view_is_true(flume, "second"));
    flume_close(flume);
}

Test(flume, reads_records_that_were_there_before)
{
    fill_disk(0, 3000);
    struct flume *flume = open_it();
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    cr_assert(kit_view_is_true(flume, "first"));
    cr_assert(kit_view_is_true(flume, "second"));
    flume_close(flume);
}

Test(flume, a_new_version_is_built_anew_alone)
{
    struct flume *flume = open_it();
    fill(flume, 0, 20);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    flume_close(flume);
    struct flume_options options = kit_options(disk, dir, NULL);
    options.views = kit_views_newer;
    flume = kit_open(&options);
    cr_assert_str_eq(why_of(flume), "version");
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    struct flume_status status;
    flume_status(flume, &status);
    cr_assert_null(status.views[0].why);
    cr_assert_eq(status.rebuilds, 1);
    cr_assert_eq(status.views[1].version, 2);
    cr_assert(kit_view_is_true(flume, "second"));
    flume_close(flume);
}

Test(flume, another_log_is_noticed)
{
    struct flume *flume = open_it();
    fill(flume, 0, 20);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    flume_close(flume);
    fake_disk_replace(disk, false);
    fill_disk(100, 150);
    flume = open_it();
    cr_assert_str_eq(why_of(flume), "log");
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    cr_assert(kit_view_is_true(flume, "second"));
    flume_close(flume);
}

Test(flume, a_log_that_lost_its_end_is_noticed)
{
    struct flume *flume = open_it();
    fill(flume, 0, 20);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    flume_close(flume);
    fake_disk_replace(disk, false);
    fill_disk(0, 10);
    flume = open_it();
    cr_assert_str_eq(why_of(flume), "position");
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    cr_assert(kit_view_is_true(flume, "second"));
    flume_close(flume);
}

Test(flume, a_record_that_was_rewritten_at_since_is_noticed)
{
    struct flume *flume = open_it();
    fill(flume, 0, 20);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    int64_t head = flume_head(flume);
    flume_close(flume);
    fake_disk_rewrite(disk, head, "{\"n\":99}");
    flume = open_it();
    cr_assert_str_eq(why_of(flume), "position");
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    cr_assert(kit_view_is_true(flume, "second"));
    flume_close(flume);
}

Test(flume, a_record_that_was_deleted_at_since_is_noticed)
{
    struct flume *flume = open_it();
    fill(flume, 0, 20);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    int64_t head = flume_head(flume);
    flume_close(flume);
    fake_disk_delete(disk, head);
    flume = open_it();
    cr_assert_str_eq(why_of(flume), "position");
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    cr_assert(kit_view_is_true(flume, "second"));
    flume_close(flume);
    flume = open_it();
    cr_assert_str_eq(why_of(flume), "", "a view that passed a deleted record at its end stays as it is");
    flume_close(flume);
}

Test(flume, deleted_records_at_the_end_do_not_hold_a_view_up)
{
    fill_disk(0, 5);
    int64_t last = fake_disk_write(disk, "{\"n\":5}");
    fake_disk_delete(disk, last);
    struct flume *flume = open_it();
    cr_assert_eq(kit_wait(flume, KIT_BOTH, last, KIT_WAIT_MS), OK);
    cr_assert_eq(flume_since(flume, KIT_BOTH), last);
    fill(flume, 6, 8);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    cr_assert(kit_view_is_true(flume, "second"));
    struct flume_status status;
    flume_status(flume, &status);
    cr_assert_eq(status.count, 7);
    flume_close(flume);
}

Test(flume, unsafe_views_are_built_anew)
{
    struct flume *flume = open_it();
    fill(flume, 0, 20);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    flume_close(flume);
    char path[SCRATCH_PATH];
    scratch_path(dir, "running", path);
    scratch_write(path, "another boot\n", 13);
    flume = open_it();
    cr_assert_str_eq(why_of(flume), "unsafe");
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    cr_assert(kit_view_is_true(flume, "second"));
    flume_close(flume);
}

static bool was_rebuilt(void *ctx)
{
    return strcmp(why_of(ctx), "asked") == 0 && second_of(ctx).ready;
}

Test(flume, rebuild_builds_the_same_again)
{
    struct flume *flume = open_it();
    fill(flume, 0, 100);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    unsigned before = kit_applied();
    cr_assert_eq(flume_rebuild(flume, "second"), OK);
    cr_assert(kit_until(was_rebuilt, flume));
    cr_assert_eq(kit_applied() - before, 100);
    cr_assert(kit_view_is_true(flume, "second"));
    struct flume_status status;
    flume_status(flume, &status);
    cr_assert_str_eq(status.views[0].why, "new", "the other view is left alone");
    cr_assert_eq(status.count, 100);
    cr_assert_eq(flume_rebuild(flume, "none"), ERR_NOTFOUND);
    cr_assert_eq(flume_rebuild(flume, NULL), OK);
    flume_close(flume);
    flume = open_it();
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    cr_assert(kit_view_is_true(flume, "first"));
    cr_assert(kit_view_is_true(flume, "second"));
    flume_close(flume);
}

static void ignore_append(struct flume_append *job)
{
    (void)job;
}

Test(flume, a_long_build_does_not_keep_fresh_views_waiting)
{
    fill_disk(0, 45000);
    struct flume *flume = open_it();
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    kit_apply_hold();
    cr_assert_eq(flume_rebuild(flume, "second"), OK);
    kit_apply_await(); /* in the first of its slices */
    static const struct slice fresh = { "{\"fresh\":1}", 11 };
    static int64_t seq;
    static struct flume_append job = { .values = &fresh, .count = 1, .seqs = &seq, .done = ignore_append };
    cr_assert_eq(flume_append(flume, &job), OK);
    kit_apply_step(); /* in the second one: what was appended came between them */
    cr_assert_gt(seq, 0);
    cr_assert_eq(flume_since(flume, KIT_FIRST), seq);
    cr_assert_lt(flume_since(flume, KIT_SECOND), seq, "the slow view cannot be there yet");
    kit_apply_release();
    cr_assert_eq(kit_wait(flume, KIT_BOTH, seq, KIT_WAIT_MS), OK);
    cr_assert(kit_view_is_true(flume, "second"));
    flume_close(flume);
}

static bool has_begun(void *ctx)
{
    (void)ctx;
    return kit_applied() > 0;
}

Test(flume, a_build_that_was_stopped_goes_on)
{
    fill_disk(0, 70000);
    kit_apply_waits(300000); /* each of several parts: the end is far when the first was written */
    struct flume *flume = open_it();
    cr_assert(kit_until(has_begun, NULL));
    flume_close(flume);
    unsigned before = kit_applied();
    cr_assert_gt(before, 0);
    cr_assert_lt(before, 70000, "the build should not have been finished");
    kit_apply_waits(0);
    flume = open_it();
    cr_assert_str_eq(why_of(flume), "");
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    cr_assert_eq(kit_applied(), 70000);
    cr_assert(kit_view_is_true(flume, "second"));
    flume_close(flume);
}

Test(flume, views_that_cannot_be_written_stop_and_say_why)
{
    struct flume *flume = open_it();
    fill(flume, 0, 5);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    int64_t before = flume_head(flume), seq = SEQ_EMPTY;
    kit_apply_fails(ERR_IO);
    cr_assert_eq(kit_append_text(flume, "{}", false, &seq), OK);
    cr_assert_eq(kit_wait(flume, KIT_BOTH, seq, KIT_WAIT_MS), ERR_IO);
    cr_assert_eq(flume_failure(flume), ERR_IO);
    cr_assert_not_null(strstr(err_detail(ERR_IO), "told to fail"));
    cr_assert_eq(flume_since(flume, KIT_BOTH), before);
    cr_assert_eq(kit_wait(flume, KIT_BOTH, before, KIT_WAIT_MS), OK, "what is indexed can be read");
    struct log_record record;
    cr_assert_eq(log_get(flume_log(flume), seq, &record), OK, "the log can be read");
    cr_assert_eq(kit_append_text(flume, "{}", false, NULL), ERR_READONLY);
    cr_assert_eq(atomic_load(&events.failed), 1);
    flume_close(flume);
    kit_apply_fails(OK);
    flume = open_it();
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    cr_assert(kit_view_is_true(flume, "second"));
    flume_close(flume);
}

static bool works_again(void *ctx)
{
    return flume_failure(ctx) == OK;
}

Test(flume, views_go_on_when_there_is_room_again)
{
    struct flume *flume = open_it();
    kit_apply_fails(ERR_NOSPACE);
    cr_assert_eq(kit_append_text(flume, "{}", false, NULL), OK);
    cr_assert_eq(kit_wait(flume, KIT_BOTH, flume_head(flume), KIT_WAIT_MS), ERR_NOSPACE);
    kit_apply_fails(OK);
    cr_assert(kit_until(works_again, flume));
    cr_assert_eq(kit_append_text(flume, "{}", false, NULL), OK);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    cr_assert(kit_view_is_true(flume, "first"), "what was applied beside the failure is applied again");
    cr_assert(kit_view_is_true(flume, "second"));
    flume_close(flume);
}

Test(flume, a_snapshot_stays_as_it_is)
{
    struct flume *flume = open_it();
    fill(flume, 0, 3);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    struct flume_read read;
    cr_assert_eq(flume_read_begin(flume, &read), OK);
    const struct view *view = flume_view_named(flume, "first");
    int64_t since = flume_read_since(&read, view);
    cr_assert_eq(since, flume_head(flume));
    fill(flume, 3, 6);
    cr_assert_eq(kit_wait_head(flume, KIT_BOTH), OK);
    cr_assert_eq(flume_read_since(&read, view), since);
    flume_read_end(&read);
    cr_assert_null(flume_view_named(flume, "none"));
    cr_assert_null(flume_view(flume, VIEW_messages), "a built-in view that is not in the list");
    flume_close(flume);
}

Test(flume, opening_fails_cleanly)
{
    struct flume_options options = kit_options(disk, dir, NULL);
    struct flume *flume = NULL;
    fake_disk_fail(disk, OK, OK, ERR_NOFILE);
    cr_assert_eq(flume_open(&options, &flume), ERR_NOFILE);
    fake_disk_fail(disk, OK, OK, OK);
    options.views_dir = "/proc/none";
    cr_assert_lt(flume_open(&options, &flume), 0);
    struct flume *held = open_it();
    options.views_dir = dir;
    cr_assert_eq(flume_open(&options, &flume), ERR_BUSY);
    cr_assert_null(flume);
    flume_close(held);
}
