#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/err.h"
#include "store/log.h"
#include "store/log_offset_frame.h"
#include "tests/support/scratch.h"
#include "tests/unit/store/offset_kit.h"

#define RECORDS 7

static const enum log_codec codecs[] = { LOG_CODEC_32, LOG_CODEC_48, LOG_CODEC_53, LOG_CODEC_V2 };

/* A log in memory: where each record starts, the last entry is its end. */
struct sample {
    enum log_codec codec;
    int width;
    struct buf bytes;
    int64_t seqs[RECORDS + 1];
};

TestSuite(log_offset_salvage, .init = offset_begin, .fini = offset_end, .timeout = 300);
TestSuite(log_offset_whole, .init = offset_begin, .fini = offset_end, .timeout = 300);

static void sample_make(struct sample *sample, enum log_codec codec)
{
    static const char *const values[RECORDS] = { "{\"key\":\"%a\",\"value\":1}",
                                                 "\"b\"",
                                                 "{\"a\":[1,2,3]}",
                                                 NULL,
                                                 "null",
                                                 "\"a text that is a little longer than the others\"",
                                                 "7" };
    static const char zeros[11];
    sample->codec = codec;
    sample->width = frame_width(codec);
    buf_init(&sample->bytes, 1 << 20);
    for (size_t i = 0; i < RECORDS; i++) {
        struct slice value = { zeros, sizeof zeros }; /* a deleted one */
        if (values[i] != NULL) value = (struct slice){ values[i], strlen(values[i]) };
        sample->seqs[i] = (int64_t)sample->bytes.len;
        cr_assert_eq(frame_put(&sample->bytes, value, sample->seqs[i], sample->width), OK);
    }
    sample->seqs[RECORDS] = (int64_t)sample->bytes.len;
}

static size_t record_at(const struct sample *sample, int64_t at)
{
    size_t i = 0;
    while (sample->seqs[i + 1] <= at)
        i++;
    return i;
}

/* Is the byte part of the frame, not of the data that it holds? */
static bool framing(const struct sample *sample, size_t record, int64_t at)
{
    return at < sample->seqs[record] + FRAME_HEAD || at >= sample->seqs[record + 1] - 4 - sample->width;
}

static int salvage(enum log_codec codec, bool write, struct log_salvaged *ret_told)
{
    const struct log_offset_options options = { .path = offset_path, .follow = true, .codec = codec };
    return log_offset_salvage(&options, write, NULL, NULL, ret_told);
}

static int verify_file(const char *file, enum log_codec codec, int64_t *ret_records, int64_t *ret_deleted)
{
    const struct log_offset_options options = { .path = file, .follow = true, .codec = codec };
    return log_offset_verify(&options, NULL, NULL, NULL, ret_records, ret_deleted);
}

/* The file that should come of it when records `from` to `to` (not included) are gone. */
static void expected_make(const struct sample *sample, const char *damaged, size_t from, size_t to, struct buf *out)
{
    static const char zeros[256];
    buf_init(out, 1 << 20);
    cr_assert_eq(buf_append(out, damaged, (size_t)sample->seqs[from]), OK);
    if (to == RECORDS) return;
    size_t len = (size_t)(sample->seqs[to] - sample->seqs[from]) - 8 - (size_t)sample->width;
    cr_assert_eq(frame_put(out, (struct slice){ zeros, len }, sample->seqs[from], sample->width), OK);
    cr_assert_eq(buf_append(out, damaged + sample->seqs[to], (size_t)(sample->seqs[RECORDS] - sample->seqs[to])), OK);
}

static void expect_salvaged(const struct sample *sample, const char *damaged, size_t from, size_t to, int64_t at)
{
    struct log_salvaged told;
    size_t len, before;
    int err = salvage(sample->codec, true, &told);
    cr_assert_eq(err, OK, "codec %d, offset %lld: %s", sample->codec, (long long)at, err_detail(err));
    cr_expect_eq(told.records, RECORDS - (int64_t)(to - from), "codec %d, offset %lld: %lld records, %zu to %zu",
                 sample->codec, (long long)at, (long long)told.records, from, to);
    cr_expect_eq(told.ranges, to < RECORDS);
    cr_expect_eq(told.filled, to < RECORDS);
    cr_expect_eq(told.cut_bytes, to < RECORDS ? 0 : sample->seqs[to] - sample->seqs[from]);
    struct buf expected;
    expected_make(sample, damaged, from, to, &expected);
    char *got = scratch_read(told.path, &len), *kept = scratch_read(offset_path, &before);
    cr_expect(len == expected.len && memcmp(got, expected.data, len) == 0, "codec %d, offset %lld: %zu bytes, not %zu",
              sample->codec, (long long)at, len, expected.len);
    cr_expect(before == sample->bytes.len && memcmp(kept, damaged, before) == 0, "the damaged file was changed");
    int64_t records, deleted;
    cr_expect_eq(verify_file(told.path, sample->codec, &records, &deleted), OK);
    cr_expect_eq(records, told.records + told.filled);
    free(got);
    free(kept);
    buf_free(&expected);
    (void)unlink(told.path);
}

/* Every byte of every record is spoiled once. What is in the data of a record is nobody's business here: its frame is whole. */
Test(log_offset_salvage, one_bad_byte_anywhere_costs_one_record)
{
    for (size_t c = 0; c < sizeof codecs / sizeof *codecs; c++) {
        struct sample sample;
        sample_make(&sample, codecs[c]);
        char *damaged = malloc(sample.bytes.len);
        for (int64_t at = 0; at < sample.seqs[RECORDS]; at++) {
            size_t record = record_at(&sample, at);
            memcpy(damaged, sample.bytes.data, sample.bytes.len);
            damaged[at] = (char)(damaged[at] ^ (at % 2 == 0 ? 0x01 : 0xff));
            scratch_write(offset_path, damaged, sample.bytes.len);
            if (framing(&sample, record, at)) {
                expect_salvaged(&sample, damaged, record, record + 1, at);
                continue;
            }
            struct log_salvaged told;
            cr_expect_eq(salvage(sample.codec, true, &told), OK);
            cr_expect(told.ranges == 0 && told.cut_bytes == 0 && told.records == RECORDS &&
                      scratch_count(offset_folder) == 1);
        }
        free(damaged);
        buf_free(&sample.bytes);
    }
}

/* Zeroed stretches, as a lost sector leaves them, from any byte to any other: the records they touch are gone, no others. */
Test(log_offset_salvage, zeroed_stretches_cost_the_records_that_they_touch)
{
    struct dice dice = dice_make();
    for (size_t c = 0; c < sizeof codecs / sizeof *codecs; c++) {
        struct sample sample;
        sample_make(&sample, codecs[c]);
        char *damaged = malloc(sample.bytes.len);
        for (int i = 0; i < 150; i++) {
            int64_t from = (int64_t)dice_roll(&dice, (uint64_t)sample.seqs[RECORDS] - 40), to = from + 40;
            to += (int64_t)dice_roll(&dice, (uint64_t)(sample.seqs[RECORDS] - to + 1));
            size_t first = record_at(&sample, from), last = record_at(&sample, to - 1) + 1;
            memcpy(damaged, sample.bytes.data, sample.bytes.len);
            memset(damaged + from, 0, (size_t)(to - from));
            /* what starts and ends within the data of its record has hurt no frame, and so has what changed no bit */
            while (first < last &&
                   memcmp(damaged + sample.seqs[first], sample.bytes.data + sample.seqs[first], 4) == 0 &&
                   memcmp(damaged + sample.seqs[first + 1] - 4 - sample.width,
                          sample.bytes.data + sample.seqs[first + 1] - 4 - sample.width, (size_t)sample.width + 4) == 0)
                first++;
            while (last > first &&
                   memcmp(damaged + sample.seqs[last - 1], sample.bytes.data + sample.seqs[last - 1], 4) == 0 &&
                   memcmp(damaged + sample.seqs[last] - 4 - sample.width,
                          sample.bytes.data + sample.seqs[last] - 4 - sample.width, (size_t)sample.width + 4) == 0)
                last--;
            if (first == last || (first == 0 && last == RECORDS)) continue;
            scratch_write(offset_path, damaged, sample.bytes.len);
            expect_salvaged(&sample, damaged, first, last, from);
            if (sample.width > 0) cr_expect_lt(first, last, "seed %llu", (unsigned long long)dice.seed);
        }
        free(damaged);
        buf_free(&sample.bytes);
    }
}

Test(log_offset_salvage, the_codec_is_found_without_the_first_record)
{
    for (size_t c = 0; c < 3; c++) {
        struct sample sample;
        struct log_salvaged told;
        sample_make(&sample, codecs[c]);
        memset(sample.bytes.data, 0x55, FRAME_HEAD);
        scratch_write(offset_path, sample.bytes.data, sample.bytes.len);
        cr_assert_eq(salvage(LOG_CODEC_AUTO, true, &told), OK);
        cr_expect_eq(told.codec, codecs[c]);
        cr_expect_eq(told.records, RECORDS - 1);
        cr_expect_eq(verify_file(told.path, LOG_CODEC_AUTO, NULL, NULL), OK, "and the new file says it by itself");
        (void)unlink(told.path);
        buf_free(&sample.bytes);
    }
}

Test(log_offset_salvage, large_ranges_become_many_small_records)
{
    struct sample sample;
    struct log_salvaged told;
    sample_make(&sample, LOG_CODEC_53);
    struct buf big;
    buf_init(&big, 8 << 20);
    for (int i = 0; i < 3; i++) {
        char *text = malloc(1500000);
        memset(text, 'x', 1500000);
        cr_assert_eq(frame_put(&big, (struct slice){ text, 1500000 - (size_t)i }, (int64_t)big.len, 8), OK);
        free(text);
    }
    memset(big.data + 1500016 - 20, 0, 1500000);
    scratch_write(offset_path, big.data, big.len);
    cr_assert_eq(salvage(LOG_CODEC_53, true, &told), OK);
    cr_expect_eq(told.records, 1);
    cr_expect_gt(told.filled, 40);
    int64_t records, deleted;
    cr_expect_eq(verify_file(told.path, LOG_CODEC_53, &records, &deleted), OK);
    cr_expect_eq(deleted, told.filled);
    cr_expect_eq(scratch_size(told.path), (int64_t)big.len);
    buf_free(&big);
    buf_free(&sample.bytes);
}

Test(log_offset_salvage, a_trial_writes_nothing_and_tells_the_same)
{
    struct sample sample;
    struct log_salvaged trial, done, again;
    sample_make(&sample, LOG_CODEC_32);
    sample.bytes.data[sample.seqs[2]] = 9;
    scratch_write(offset_path, sample.bytes.data, sample.bytes.len - 1);
    cr_assert_eq(chmod(offset_path, 0600), 0);
    cr_assert_eq(salvage(LOG_CODEC_AUTO, false, &trial), OK);
    cr_expect_eq(scratch_count(offset_folder), 1);
    cr_assert_eq(salvage(LOG_CODEC_AUTO, true, &done), OK);
    cr_expect_str_eq(trial.path, done.path);
    cr_expect(trial.records == done.records && trial.filled == done.filled && trial.cut_bytes == done.cut_bytes &&
              trial.lost_bytes == done.lost_bytes);
    struct stat st;
    cr_expect(stat(done.path, &st) == 0 && (st.st_mode & 0777) == 0600, "no more readable than the log");
    cr_assert_eq(salvage(LOG_CODEC_AUTO, true, &again), OK);
    cr_expect_str_neq(again.path, done.path, "a file that is there is never written over");
    cr_expect_eq(scratch_count(offset_folder), 3);
    buf_free(&sample.bytes);
}

Test(log_offset_salvage, what_is_no_log_at_all_is_left_alone)
{
    struct log_salvaged told;
    char text[5000];
    memset(text, 'a', sizeof text);
    scratch_write(offset_path, text, sizeof text);
    cr_expect_eq(salvage(LOG_CODEC_AUTO, true, &told), ERR_FORMAT);
    cr_expect_eq(scratch_count(offset_folder), 1);
    cr_expect_eq(salvage(LOG_CODEC_53, true, &told), OK, "whoever says that it is one loses all of it");
    cr_expect_eq(told.cut_bytes, 5000);
    (void)unlink(offset_path);
    cr_expect_eq(salvage(LOG_CODEC_AUTO, true, &told), ERR_NOFILE);
}

Test(log_offset_salvage, not_while_an_owner_has_it_open)
{
    struct log *log = NULL;
    struct log_salvaged told;
    const struct log_offset_options options = { .path = offset_path, .codec = LOG_CODEC_53 };
    cr_assert_eq(log_offset_open(&options, NULL, &log), OK);
    struct slice value = { "\"x\"", 3 };
    cr_assert_eq(log_append(log, &value, 1, NULL), OK);
    cr_expect_eq(salvage(LOG_CODEC_AUTO, true, &told), ERR_BUSY);
    cr_expect_eq(salvage(LOG_CODEC_AUTO, false, &told), ERR_BUSY);
    log_close(log);
    cr_expect_eq(salvage(LOG_CODEC_AUTO, true, &told), OK);
    cr_expect_eq(told.ranges, 0);
}

/* ---- opening for writing ---------------------------------------------------------------------------------------- */

static int own(void)
{
    struct log *log = NULL;
    const struct log_offset_options options = { .path = offset_path };
    int err = log_offset_open(&options, NULL, &log);
    if (err == OK) log_close(log);
    return err;
}

static int follow(void)
{
    struct log *log = NULL;
    const struct log_offset_options options = { .path = offset_path, .follow = true };
    int err = log_offset_open(&options, NULL, &log);
    if (err == OK) log_close(log);
    return err;
}

Test(log_offset_whole, damage_in_the_middle_is_refused_with_its_offset_and_nothing_is_changed)
{
    for (size_t c = 0; c < 3; c++) {
        struct sample sample;
        sample_make(&sample, codecs[c]);
        for (size_t record = 1; record + 1 < RECORDS; record++) {
            /* and a torn tail besides: it is not cut off either */
            struct buf bytes;
            buf_init(&bytes, 1 << 20);
            (void)buf_append(&bytes, sample.bytes.data, sample.bytes.len);
            (void)buf_append(&bytes, "\0\0\0\x09torn", 8);
            bytes.data[sample.seqs[record] + FRAME_HEAD - 1] ^= 2;
            scratch_write(offset_path, bytes.data, bytes.len);
            char where[40];
            (void)snprintf(where, sizeof where, "offset %lld:", (long long)sample.seqs[record]);
            cr_expect_eq(own(), ERR_CORRUPT);
            cr_expect_not_null(strstr(err_detail(ERR_CORRUPT), where), "%s: %s", where, err_detail(ERR_CORRUPT));
            cr_expect_not_null(strstr(err_detail(ERR_CORRUPT), "sluice verify"));
            size_t len;
            char *kept = scratch_read(offset_path, &len);
            cr_expect(len == bytes.len && memcmp(kept, bytes.data, len) == 0);
            cr_expect_eq(follow(), OK, "reading goes on");
            free(kept);
            buf_free(&bytes);
        }
        buf_free(&sample.bytes);
    }
}

Test(log_offset_whole, the_note_of_the_last_owner_is_believed_as_long_as_nobody_touched_the_log)
{
    struct sample sample;
    char note[SCRATCH_PATH];
    sample_make(&sample, LOG_CODEC_53);
    scratch_path(offset_folder, "log.offset.whole", note);
    scratch_write(offset_path, sample.bytes.data, sample.bytes.len);
    /* a small log that was written in this very tick of the clock gets no note */
    const struct timespec before[2] = { { .tv_sec = 1600000000, .tv_nsec = 1 },
                                        { .tv_sec = 1600000000, .tv_nsec = 1 } };
    cr_assert_eq(utimensat(AT_FDCWD, offset_path, before, 0), 0);
    cr_assert_eq(own(), OK);
    cr_assert_gt(scratch_size(note), 0, "the note was not written");
    /* the note alone decides: with the time put back, the damage is not looked for */
    struct stat st;
    cr_assert_eq(stat(offset_path, &st), 0);
    const struct timespec times[2] = { st.st_atim, st.st_mtim };
    scratch_write_at(offset_path, "\x01", 1, sample.seqs[3]);
    cr_assert_eq(utimensat(AT_FDCWD, offset_path, times, 0), 0);
    cr_expect_eq(own(), OK);
    /* any other time, size or note, and it is */
    scratch_write_at(offset_path, "\x01", 1, sample.seqs[3]);
    cr_expect_eq(own(), ERR_CORRUPT);
    cr_assert_eq(utimensat(AT_FDCWD, offset_path, times, 0), 0);
    scratch_write(note, "whole 1", 7);
    cr_expect_eq(own(), ERR_CORRUPT);
    (void)unlink(note);
    cr_expect_eq(own(), ERR_CORRUPT);
    scratch_write_at(offset_path, "\0", 1, sample.seqs[3]);
    cr_expect_eq(own(), OK);
    buf_free(&sample.bytes);
}

Test(log_offset_whole, a_log_that_failed_or_grew_under_its_owner_gets_no_note)
{
    struct sample sample;
    struct log *log = NULL;
    char note[SCRATCH_PATH];
    const struct log_offset_options options = { .path = offset_path };
    sample_make(&sample, LOG_CODEC_53);
    scratch_path(offset_folder, "log.offset.whole", note);
    scratch_write(offset_path, sample.bytes.data, sample.bytes.len);
    cr_assert_eq(log_offset_open(&options, NULL, &log), OK);
    scratch_write_at(offset_path, "garbage", 7, sample.seqs[RECORDS]);
    log_close(log);
    cr_expect_eq(scratch_size(note), -1);
    buf_free(&sample.bytes);
}
