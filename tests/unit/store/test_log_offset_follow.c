/* A log that another process owns: who may write, and what a follower notices of it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/err.h"
#include "tests/support/scratch.h"
#include "tests/unit/store/offset_kit.h"

TestSuite(log_offset_follow, .init = offset_begin, .fini = offset_end, .timeout = 300);

Test(log_offset_follow, the_second_owner_is_told_who_the_first_is)
{
    struct log *first = offset_open(false, LOG_CODEC_AUTO);
    struct log *second = NULL;
    char pid[32];
    (void)snprintf(pid, sizeof pid, "process %ld:", (long)getpid());
    cr_expect_eq(offset_open_code(false, LOG_CODEC_AUTO, &second), ERR_BUSY);
    cr_expect_not_null(strstr(err_detail(ERR_BUSY), pid), "%s", err_detail(ERR_BUSY));
    log_close(offset_open(true, LOG_CODEC_AUTO));
    log_close(first);
    log_close(offset_open(false, LOG_CODEC_AUTO));
}

Test(log_offset_follow, following_needs_no_right_to_write_and_leaves_no_trace)
{
    offset_use("offset-v3-32-torn.log");
    cr_assert_eq(chmod(offset_path, 0444), 0);
    cr_assert_eq(chmod(offset_folder, 0555), 0);
    pid_t pid = fork();
    if (pid == 0) {
        /* Root may write anywhere: drop that where it applies. */
        if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(2);
        struct log_offset_options options = { .path = offset_path, .follow = true };
        struct log *log;
        if (log_offset_open(&options, NULL, &log) != OK) _exit(3);
        struct slice value = SLICE_LITERAL("x");
        bool good = log_since(log) == 1525 && log_append(log, &value, 1, NULL) == ERR_READONLY &&
                    log_refresh(log) == 0 && log_sync(log) == OK && log_durable(log) == 1525;
        log_close(log);
        _exit(good ? 0 : 4);
    }
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(chmod(offset_folder, 0755), 0);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
    cr_expect(scratch_count(offset_folder) == 1 && scratch_size(offset_path) == 1865);
}

Test(log_offset_follow, a_follower_sees_what_the_owner_appends)
{
    struct log *owner = offset_open(false, LOG_CODEC_AUTO);
    struct log *follower = offset_open(true, LOG_CODEC_AUTO);
    cr_expect_eq(log_refresh(follower), 0);
    for (int i = 0; i < 100; i++) {
        int64_t seq = offset_put(owner, "{\"some\":\"record\"}");
        cr_expect_eq(log_refresh(follower), 1);
        cr_expect_eq(log_refresh(follower), 0);
        cr_assert_eq(log_since(follower), seq);
        cr_assert_eq(offset_get_code(follower, seq), OK);
    }
    cr_expect_eq(log_identity(owner), log_identity(follower));
    cr_expect_eq(log_refresh(owner), 0);
    log_close(follower);
    log_close(owner);
}

static void expect_changed(struct log *log, const char *why)
{
    struct log_range range = LOG_RANGE_ALL;
    struct log_cursor cursor;
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(log_refresh(log), ERR_CHANGED, "it stays so");
        cr_expect_not_null(strstr(err_detail(ERR_CHANGED), why), "%s", err_detail(ERR_CHANGED));
        cr_expect_eq(offset_get_code(log, 0), ERR_CHANGED);
        cr_expect_eq(log_cursor_open(log, &range, &cursor), ERR_CHANGED);
    }
    log_close(log);
}

Test(log_offset_follow, a_followed_file_that_shrinks_has_changed)
{
    offset_use("offset-v3-53.log");
    struct log *log = offset_open(true, LOG_CODEC_AUTO);
    scratch_truncate(offset_path, 1740);
    expect_changed(log, "shorter");
}

/* A log, and beside it another one of the same bytes. */
static void use_two(char other[SCRATCH_PATH])
{
    scratch_path(offset_folder, "other", other);
    offset_use("offset-v3-53.log");
    cr_assert_eq(rename(offset_path, other), 0);
    offset_use("offset-v3-53.log");
}

Test(log_offset_follow, a_followed_file_that_is_replaced_or_removed_has_changed)
{
    char other[SCRATCH_PATH];
    use_two(other);
    struct log *log = offset_open(true, LOG_CODEC_AUTO);
    cr_assert_eq(rename(other, offset_path), 0);
    expect_changed(log, "replaced");
    log = offset_open(true, LOG_CODEC_AUTO);
    (void)remove(offset_path);
    expect_changed(log, "removed");
}

/* How long ago the file was changed last; a tick of the file system's clock is far shorter than what it is compared with. */
static double changed_ago(void)
{
    struct stat st;
    struct timespec now;
    cr_assert_eq(stat(offset_path, &st), 0);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (double)(now.tv_sec - st.st_ctim.tv_sec) + (double)(now.tv_nsec - st.st_ctim.tv_nsec) / 1e9;
}

/* Of a file at rest the path is not looked at each time: that it lost its name must show all the same. */
Test(log_offset_follow, a_followed_file_at_rest_is_seen_to_be_replaced_or_removed_at_once)
{
    char other[SCRATCH_PATH];
    use_two(other);
    struct log *log = offset_open(true, LOG_CODEC_AUTO);
    while (changed_ago() < 0.2)
        cr_assert_eq(log_refresh(log), 0);
    cr_assert_eq(log_refresh(log), 0);
    cr_assert_eq(rename(other, offset_path), 0);
    expect_changed(log, "replaced");

    log = offset_open(true, LOG_CODEC_AUTO);
    while (changed_ago() < 0.2)
        cr_assert_eq(log_refresh(log), 0);
    cr_assert_eq(log_refresh(log), 0);
    (void)remove(offset_path);
    expect_changed(log, "removed");
}

Test(log_offset_follow, a_followed_file_that_is_rewritten_in_place_has_changed)
{
    offset_use("offset-v3-53.log");
    struct log *log = offset_open(true, LOG_CODEC_AUTO);
    char larger[4000];
    memset(larger, 'x', sizeof larger);
    scratch_write(offset_path, larger, sizeof larger);
    expect_changed(log, "rewritten");
}

Test(log_offset_follow, a_record_deleted_by_the_owner_is_no_change)
{
    offset_use("offset-v3-53.log");
    struct log *log = offset_open(true, LOG_CODEC_AUTO);
    static const char zeros[1918 - 1740 - 16];
    scratch_write_at(offset_path, zeros, sizeof zeros, 1740 + 4);
    cr_expect_eq(log_refresh(log), 0);
    cr_expect_eq(offset_get_code(log, 1740), ERR_DELETED);
    cr_expect_eq(offset_count(log, false), OFFSET_RECORDS - 1);
    log_close(log);
}

/* The owner dies amid a write, comes back, cuts its torn tail and goes on. */
Test(log_offset_follow, a_follower_outlives_the_repair_of_its_owner)
{
    offset_use("offset-v3-32-torn.log");
    struct log *follower = offset_open(true, LOG_CODEC_AUTO);
    cr_expect_eq(log_refresh(follower), 0);
    struct log *owner = offset_open(false, LOG_CODEC_AUTO);
    cr_expect_eq(log_refresh(follower), 0);
    int64_t seq = offset_put(owner, "{}");
    cr_expect_eq(log_refresh(follower), 1);
    cr_expect(log_since(follower) == seq && seq == 1696);
    log_close(owner);
    log_close(follower);
}

/* Without a guard these reads die of SIGBUS. */
Test(log_offset_follow, a_file_cut_under_its_readers_is_no_crash)
{
    static char large[100000];
    memset(large, 'x', sizeof large);
    struct slice value = { large, sizeof large };
    struct log *owner = offset_open(false, LOG_CODEC_AUTO);
    int64_t seqs[10];
    for (int i = 0; i < 10; i++)
        cr_assert_eq(log_append(owner, &value, 1, &seqs[i]), OK);
    struct log *log[4];
    for (int i = 0; i < 4; i++)
        log[i] = offset_open(true, LOG_CODEC_AUTO);
    struct log_range up = LOG_RANGE_ALL;
    struct log_range down = { 0, SEQ_MAX, true };
    struct log_cursor cursors[2];
    struct log_record record;
    cr_assert_eq(log_cursor_open(log[0], &up, &cursors[0]), OK);
    cr_assert_eq(log_cursor_open(log[1], &down, &cursors[1]), OK);
    cr_assert_eq(log_next(&cursors[0], &record), 1);
    scratch_truncate(offset_path, 5000);
    unsigned sum = 0;
    for (size_t i = 0; i < record.value.len; i++)
        sum += (unsigned char)record.value.data[i];
    cr_expect_eq(sum, (5000 - 4) * 'x', "what is gone reads as zeros");
    cr_expect_eq(log_next(&cursors[0], &record), ERR_CHANGED);
    cr_expect_eq(log_next(&cursors[1], &record), ERR_CHANGED);
    cr_expect_eq(offset_get_code(log[2], seqs[9]), ERR_CHANGED);
    cr_expect_eq(offset_get_code(log[2], seqs[0]), ERR_CHANGED);
    cr_expect_neq(log_identity(log[3]), 0);
    cr_expect_eq(log_append(owner, &value, 1, NULL), ERR_CHANGED, "the owner does not write behind a hole");
    for (int i = 0; i < 4; i++)
        log_close(log[i]);
    log_close(owner);
}
