/* The file of flumelog-offset: its bytes, its boundaries, and what is no such file. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/err.h"
#include "tests/support/scratch.h"
#include "tests/unit/store/offset_kit.h"

TestSuite(log_offset, .init = offset_begin, .fini = offset_end, .timeout = 300);

Test(log_offset, reads_the_files_of_flumelog_offset)
{
    for (size_t i = 0; i < sizeof offset_fixtures / sizeof *offset_fixtures; i++) {
        offset_use(offset_fixtures[i].name);
        for (int follow = 0; follow < 2; follow++)
            for (int told = 0; told < 2; told++) {
                struct log_offset_options options = { offset_path, follow == 1,
                                                      told ? offset_fixtures[i].codec : LOG_CODEC_AUTO };
                struct log_offset_opened opened;
                struct log *log;
                cr_assert_eq(log_offset_open(&options, &opened, &log), OK, "%s", offset_fixtures[i].name);
                cr_expect_eq(opened.codec, offset_fixtures[i].codec);
                cr_expect_eq(opened.cut_at, -1);
                offset_expect(log, &offset_fixtures[i]);
                log_close(log);
            }
    }
}

Test(log_offset, writes_the_same_bytes_as_flumelog_offset)
{
    offset_use("offset-v3-32.log");
    struct log *from = offset_open(true, LOG_CODEC_AUTO);
    for (size_t i = 0; i < 3; i++) {
        struct slice values[OFFSET_RECORDS];
        for (int k = 0; k < OFFSET_RECORDS; k++) {
            struct log_record record;
            cr_assert_eq(log_get(from, offset_fixtures[0].seqs[k], &record), OK);
            values[k] = record.value;
        }
        char made[SCRATCH_PATH];
        char want[SCRATCH_PATH];
        scratch_path(offset_folder, "made", made);
        scratch_path(OFFSET_FIXTURES, offset_fixtures[i].name, want);
        struct log_offset_options options = { .path = made, .codec = offset_fixtures[i].codec };
        struct log *log;
        cr_assert_eq(log_offset_open(&options, NULL, &log), OK);
        cr_assert_eq(log_append(log, values, 5, NULL), OK);
        cr_assert_eq(log_append(log, values + 5, OFFSET_RECORDS - 5, NULL), OK);
        log_close(log);
        size_t made_len;
        size_t want_len;
        char *made_bytes = scratch_read(made, &made_len);
        char *want_bytes = scratch_read(want, &want_len);
        cr_expect(made_len == want_len && memcmp(made_bytes, want_bytes, made_len) == 0, "%s", offset_fixtures[i].name);
        free(made_bytes);
        free(want_bytes);
        (void)remove(made);
    }
    log_close(from);
}

Test(log_offset, deleted_records_are_skipped_and_told)
{
    offset_use("offset-v3-32-deleted.log");
    struct log *log = offset_open(false, LOG_CODEC_AUTO);
    cr_expect_eq(log_since(log), 1696, "the last one is deleted, and still the last");
    cr_expect_eq(offset_get_code(log, 426), ERR_DELETED);
    cr_expect_eq(offset_get_code(log, 1696), ERR_DELETED);
    cr_expect_eq(offset_get_code(log, 281), OK);
    cr_expect_eq(offset_count(log, false), 10);
    cr_expect_eq(offset_count(log, true), 10);
    cr_expect_eq(offset_put(log, "{}"), 1870);
    log_close(log);
}

Test(log_offset, repairs_a_torn_tail_as_flumelog_offset_does)
{
    offset_use("offset-v3-32-torn.log");
    log_close(offset_open(false, LOG_CODEC_AUTO));
    size_t made_len;
    size_t want_len;
    char *made = scratch_read(offset_path, &made_len);
    char *want = scratch_read(OFFSET_FIXTURES "offset-v3-32-torn-repaired.log", &want_len);
    cr_expect(made_len == want_len && memcmp(made, want, made_len) == 0);
    free(made);
    free(want);
    char cut[SCRATCH_PATH];
    scratch_path(offset_folder, "log.offset.cut-1696", cut);
    cr_expect_eq(scratch_size(cut), 1865 - 1696);
}

Test(log_offset, whoever_may_not_read_the_log_may_not_read_what_was_cut_off_it)
{
    static const mode_t modes[] = { 0600, 0640 };
    char cut[SCRATCH_PATH];
    struct stat st;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        offset_use("offset-v3-32-torn.log");
        scratch_path(offset_folder, "log.offset.cut-1696", cut);
        (void)remove(cut);
        cr_assert_eq(chmod(offset_path, modes[i]), 0);
        log_close(offset_open(false, LOG_CODEC_AUTO));
        cr_assert_eq(stat(cut, &st), 0);
        cr_expect_eq(st.st_mode & 0777, modes[i], "%o", st.st_mode & 0777);
    }
}

Test(log_offset, the_older_format_is_read_only)
{
    offset_use("offset-v2-legacy.log");
    struct log *log = offset_open(false, LOG_CODEC_AUTO);
    struct slice value = SLICE_LITERAL("x");
    cr_expect_eq(log_append(log, &value, 1, NULL), ERR_READONLY);
    cr_expect_not_null(strstr(err_detail(ERR_READONLY), "sluice import"));
    cr_expect_eq(log_sync(log), OK);
    log_close(log);
    scratch_truncate(offset_path, 1700);
    log = offset_open(false, LOG_CODEC_AUTO);
    cr_expect_eq(log_since(log), 1485, "a torn tail is passed over");
    cr_expect_eq(scratch_size(offset_path), 1700, "and never cut");
    log_close(log);
}

/* ---- boundaries ------------------------------------------------------------------------------------------- */

static bool is_start(const struct offset_fixture *fixture, int64_t seq)
{
    for (int i = 0; i < OFFSET_RECORDS; i++)
        if (fixture->seqs[i] == seq) return true;
    return false;
}

Test(log_offset, only_the_starts_of_records_are_seqs)
{
    for (size_t i = 0; i < sizeof offset_fixtures / sizeof *offset_fixtures; i++) {
        const struct offset_fixture *fixture = &offset_fixtures[i];
        offset_use(fixture->name);
        struct log *log = offset_open(true, LOG_CODEC_AUTO);
        struct log_cursor cursor;
        for (int64_t seq = 0; seq < log_bytes(log) + 20; seq++) {
            int want = seq > fixture->since ? ERR_NOSEQ : is_start(fixture, seq) ? OK : ERR_BOUNDARY;
            cr_assert_eq(offset_get_code(log, seq), want, "%s: get %lld", fixture->name, (long long)seq);
            if (want == ERR_NOSEQ) want = OK;
            for (int reverse = 0; reverse < 2; reverse++) {
                struct log_range from = { seq, SEQ_MAX, reverse == 1 };
                struct log_range to = { 0, seq, reverse == 1 };
                cr_assert_eq(log_cursor_open(log, &from, &cursor), want, "%s: from %lld", fixture->name,
                             (long long)seq);
                cr_assert_eq(log_cursor_open(log, &to, &cursor), want, "%s: to %lld", fixture->name, (long long)seq);
            }
        }
        log_close(log);
    }
}

Test(log_offset, a_deleted_record_larger_than_any_block_is_skipped)
{
    struct log *log = offset_open(false, LOG_CODEC_32);
    static char large[200000];
    memset(large, 'x', sizeof large);
    static char zeros[200000];
    struct slice values[5] = { SLICE_LITERAL("first"),
                               { large, 20000 },
                               SLICE_LITERAL("middle"),
                               { large, sizeof large },
                               SLICE_LITERAL("last") };
    int64_t seqs[5];
    cr_assert_eq(log_append(log, values, 5, seqs), OK);
    scratch_write_at(offset_path, zeros, 20000, seqs[1] + 4);
    scratch_write_at(offset_path, zeros, sizeof zeros, seqs[3] + 4);
    cr_expect_eq(offset_count(log, false), 3);
    cr_expect_eq(offset_count(log, true), 3);
    cr_expect_eq(offset_get_code(log, seqs[1]), ERR_DELETED);
    cr_expect_eq(offset_get_code(log, seqs[3]), ERR_DELETED);
    scratch_write_at(offset_path, "x", 1, seqs[3] + 4 + 199999);
    cr_expect_eq(offset_get_code(log, seqs[3]), OK, "zeros but for the last byte are a record");
    log_close(log);
}

/* flumelog-offset can store an empty value and then fails on it. */
Test(log_offset, an_empty_record_in_the_file_reads_as_deleted)
{
    static const unsigned char bytes[] = { 0, 0, 0, 1, 'a', 0, 0, 0, 1, 0, 0, 0,  13, /* a */
                                           0, 0, 0, 0, 0,   0, 0, 0, 0, 0, 0, 25,     /* nothing */
                                           0, 0, 0, 1, 'b', 0, 0, 0, 1, 0, 0, 0,  38 };
    scratch_write(offset_path, bytes, sizeof bytes);
    struct log *log = offset_open(false, LOG_CODEC_AUTO);
    cr_expect_eq(log_since(log), 25);
    cr_expect_eq(offset_count(log, false), 2);
    cr_expect_eq(offset_count(log, true), 2);
    cr_expect_eq(offset_get_code(log, 13), ERR_DELETED);
    log_close(log);
}

/* ---- files that are no log -------------------------------------------------------------------------------- */

Test(log_offset, a_file_that_is_no_log_is_refused_and_left_alone)
{
    static const struct {
        char bytes[64];
        size_t len;
    } cases[] = { { "{\"this\":\"is JSON, not a log\"}", 29 },
                  { "hi", 2 },
                  { { 0, 0, 0, 1, 'a', 0, 0, 0, 2, 0, 0, 0, 13 }, 17 },
                  { { 0, 0, 0, 1, 'a', 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9 }, 17 },
                  { { 0 }, 40 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int follow = 0; follow < 2; follow++) {
            scratch_write(offset_path, cases[i].bytes, cases[i].len);
            struct log *log = NULL;
            cr_expect_eq(offset_open_code(follow == 1, LOG_CODEC_AUTO, &log), ERR_FORMAT, "case %zu", i);
            cr_expect_null(log);
            cr_expect_eq(scratch_size(offset_path), (int64_t)cases[i].len, "case %zu", i);
        }
    offset_use("offset-v3-32.log");
    struct log *log = NULL;
    cr_expect_eq(offset_open_code(false, LOG_CODEC_53, &log), ERR_FORMAT, "another codec than it has");
    cr_expect_eq(scratch_size(offset_path), 1870, "never cut on a wrong word of the user");
    cr_expect_eq(offset_open_code(false, (enum log_codec)7, &log), ERR_ARG);
}

Test(log_offset, what_is_missing_or_no_file_is_told)
{
    struct log *log = NULL;
    cr_expect_eq(offset_open_code(true, LOG_CODEC_AUTO, &log), ERR_NOFILE);
    cr_expect_eq(scratch_count(offset_folder), 0, "following creates nothing");
    cr_assert_eq(mkfifo(offset_path, 0600), 0);
    cr_expect_eq(offset_open_code(true, LOG_CODEC_AUTO, &log), ERR_FORMAT);
    cr_expect_eq(offset_open_code(false, LOG_CODEC_AUTO, &log), ERR_FORMAT);
    (void)remove(offset_path);
    scratch_path(offset_folder, "no/such/folder", offset_path);
    cr_expect_eq(offset_open_code(false, LOG_CODEC_AUTO, &log), ERR_NOFILE);
    cr_expect_null(log);
}
