/* Where a log ends after a crash: by what was known to be durable. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "tests/support/scratch.h"
#include "tests/unit/store/offset_kit.h"

TestSuite(log_offset_crash, .init = offset_begin, .fini = offset_end, .timeout = 300);

static void lock_say(long pid, int64_t end)
{
    char lock[SCRATCH_PATH];
    char text[64];
    scratch_path(offset_folder, "log.offset.lock", lock);
    (void)snprintf(text, sizeof text, "%010ld %016lld\n", pid, (long long)end);
    scratch_write(lock, text, strlen(text));
}

static int64_t since_after(long pid, int64_t end)
{
    lock_say(pid, end);
    struct log *log = offset_open(false, LOG_CODEC_AUTO);
    int64_t since = log_since(log);
    log_close(log);
    return since;
}

static void refused_after(long pid, int64_t end, const char *why)
{
    struct log *log = NULL;
    lock_say(pid, end);
    cr_expect_eq(offset_open_code(false, LOG_CODEC_AUTO, &log), ERR_CORRUPT, "%s", why);
    cr_expect_not_null(strstr(err_detail(ERR_CORRUPT), "offset 745"));
}

Test(log_offset_crash, an_orderly_end_is_written_down)
{
    char lock[SCRATCH_PATH];
    struct log *log = offset_open(false, LOG_CODEC_AUTO);
    (void)offset_put(log, "{}");
    log_close(log);
    scratch_path(offset_folder, "log.offset.lock", lock);
    size_t len;
    char *text = scratch_read(lock, &len);
    cr_expect_str_eq(text, "0000000000 0000000000000018\n");
    free(text);
}

/* 745 is the start of a record whose length is lost; whole ones follow. */
Test(log_offset_crash, a_hole_above_what_is_durable_is_where_the_log_ends)
{
    static const int64_t durables[] = { 0, 143, 745 };
    for (size_t i = 0; i < 3; i++) {
        offset_use("offset-v3-53.log");
        scratch_write_at(offset_path, "\0\0\0\0", 4, 745);
        cr_expect_eq(since_after(1, durables[i]), 590, "durable up to %lld", (long long)durables[i]);
        cr_expect_eq(scratch_size(offset_path), 745);
    }
    offset_use("offset-v3-53.log");
    scratch_write_at(offset_path, "\0\0\0\0", 4, 745);
    refused_after(1, 1740, "below it a hole is damage, and nothing is cut");
    refused_after(0, 143, "nor after an orderly end");
    refused_after(1, 144, "nor where no record ends: that is another file");
    cr_expect_eq(scratch_size(offset_path), 1918);
}

Test(log_offset_crash, data_of_which_a_sector_is_lost_is_where_the_log_ends)
{
    static char text[3000], zeros[3000];
    memset(text, 'x', sizeof text);
    struct slice values[3] = { SLICE_LITERAL("first"), { text, sizeof text }, SLICE_LITERAL("last") };
    int64_t seqs[3];
    struct log *log = offset_open(false, LOG_CODEC_AUTO);
    cr_assert_eq(log_append(log, values, 3, seqs), OK);
    log_close(log);
    scratch_write_at(offset_path, zeros, sizeof zeros, seqs[1] + 4);
    cr_expect_eq(since_after(1, 0), seqs[2], "nothing but zeros is a deleted record");
    scratch_write_at(offset_path, text, sizeof text, seqs[1] + 4);
    scratch_write_at(offset_path, zeros, 511, 1024);
    cr_expect_eq(since_after(1, 0), seqs[2], "less than a sector was never lost");
    scratch_write_at(offset_path, zeros, 512, 1024);
    cr_expect_eq(since_after(1, 0), seqs[0]);
}

Test(log_offset_crash, a_whole_file_is_never_cut_off)
{
    struct log *log = NULL;
    offset_use("offset-v3-53.log");
    scratch_write_at(offset_path, "\0\0\0\0", 4, 745);
    scratch_truncate(offset_path, INT64_C(65) << 20);
    lock_say(1, 0);
    cr_expect_eq(offset_open_code(false, LOG_CODEC_AUTO, &log), ERR_CORRUPT, "more than a crash can lose");
    cr_expect_not_null(strstr(err_detail(ERR_CORRUPT), "offset 745"));
    cr_expect_eq(scratch_size(offset_path), INT64_C(65) << 20);
}
