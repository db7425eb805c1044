/* The file of an offset log, cut off at every byte or followed by rubbish, and opened again. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/log.h"
#include "tests/support/scratch.h"

#define RECORDS 6

struct sample {
    char *folder;
    char path[SCRATCH_PATH];
    enum log_codec codec;
    int64_t seqs[RECORDS + 1]; /* the last is the size of the file */
    char *bytes;
    size_t len;
};

static const char *const texts[RECORDS] = { "{\"value\":0}", "x",       "{\"text\":\"some more of it\"}", "yy",
                                            "last but one",  "the last" };

static struct sample sample_make(enum log_codec codec)
{
    struct sample sample = { .folder = scratch_make(), .codec = codec };
    scratch_path(sample.folder, "log.offset", sample.path);
    struct log_offset_options options = { .path = sample.path, .codec = codec };
    struct log *log;
    cr_assert_eq(log_offset_open(&options, NULL, &log), OK);
    for (int i = 0; i < RECORDS; i++) {
        struct slice value = { texts[i], strlen(texts[i]) };
        cr_assert_eq(log_append(log, &value, 1, &sample.seqs[i]), OK);
    }
    sample.seqs[RECORDS] = log_bytes(log);
    log_close(log);
    sample.bytes = scratch_read(sample.path, &sample.len);
    cr_assert_eq(sample.len, (size_t)sample.seqs[RECORDS]);
    return sample;
}

static void sample_free(struct sample *sample)
{
    free(sample->bytes);
    scratch_remove(sample->folder);
}

/* How many records lie wholly within `size` bytes. */
static int whole_records(const struct sample *sample, size_t size)
{
    int n = 0;
    while (n < RECORDS && sample->seqs[n + 1] <= (int64_t)size)
        n++;
    return n;
}

static void expect_records(struct log *log, const struct sample *sample, int n, const char *where)
{
    struct log_range all = LOG_RANGE_ALL;
    struct log_cursor cursor;
    struct log_record record;
    cr_assert_eq(log_since(log), n == 0 ? SEQ_EMPTY : sample->seqs[n - 1], "%s: since", where);
    cr_assert_eq(log_bytes(log), sample->seqs[n], "%s: bytes", where);
    cr_assert_eq(log_cursor_open(log, &all, &cursor), OK, "%s", where);
    for (int i = 0; i < n; i++) {
        cr_assert_eq(log_next(&cursor, &record), 1, "%s: record %d", where, i);
        cr_assert(record.seq == sample->seqs[i] && record.value.len == strlen(texts[i]) &&
                      memcmp(record.value.data, texts[i], record.value.len) == 0,
                  "%s: record %d", where, i);
    }
    cr_assert_eq(log_next(&cursor, &record), 0, "%s", where);
}

static void expect_saved(const struct sample *sample, const struct log_offset_opened *opened, size_t size, int n,
                         const char *where)
{
    int64_t cut = (int64_t)size - sample->seqs[n];
    cr_assert_eq(opened->cut_at, cut > 0 ? sample->seqs[n] : -1, "%s: cut_at", where);
    cr_assert_eq(opened->cut_bytes, cut, "%s: cut_bytes", where);
    cr_assert_eq(scratch_size(sample->path), sample->seqs[n], "%s: the tail is gone", where);
    if (cut == 0) return;
    size_t len;
    char *saved = scratch_read(opened->cut_path, &len);
    cr_assert(len == (size_t)cut && memcmp(saved, sample->bytes + sample->seqs[n], len) == 0, "%s: what was saved",
              where);
    free(saved);
    (void)remove(opened->cut_path);
}

/* Follow, then own, then append to the first `size` bytes of the sample. */
static void check_cut(const struct sample *sample, size_t size, enum log_codec codec)
{
    char where[64];
    (void)snprintf(where, sizeof where, "codec %d, told %d, cut at %zu", (int)sample->codec, (int)codec, size);
    int n = whole_records(sample, size);
    scratch_write(sample->path, sample->bytes, size);
    struct log_offset_options options = { .path = sample->path, .follow = true, .codec = codec };
    struct log_offset_opened opened;
    struct log *log;
    cr_assert_eq(log_offset_open(&options, &opened, &log), OK, "%s: follow", where);
    expect_records(log, sample, n, where);
    cr_assert(opened.cut_at == -1 && scratch_size(sample->path) == (int64_t)size, "%s: follow touches nothing", where);
    /* The rest arrives. */
    scratch_write_at(sample->path, sample->bytes + size, sample->len - size, (int64_t)size);
    cr_assert_eq(log_refresh(log), n == RECORDS ? 0 : 1, "%s: refresh", where);
    expect_records(log, sample, RECORDS, where);
    log_close(log);

    scratch_truncate(sample->path, (int64_t)size);
    options.follow = false;
    cr_assert_eq(log_offset_open(&options, &opened, &log), OK, "%s: own", where);
    expect_records(log, sample, n, where);
    expect_saved(sample, &opened, size, n, where);
    struct slice value = SLICE_LITERAL("appended");
    int64_t seq;
    cr_assert_eq(log_append(log, &value, 1, &seq), OK, "%s", where);
    cr_assert_eq(seq, sample->seqs[n], "%s: goes where the torn one was", where);
    log_close(log);
    (void)remove(sample->path);
}

static void check_codec(enum log_codec codec)
{
    struct sample sample = sample_make(codec);
    for (size_t size = 0; size <= sample.len; size++) {
        check_cut(&sample, size, codec);
        /* A new log is 53 bit: with nothing whole in it, another codec has to be told. */
        if (whole_records(&sample, size) > 0 || codec == LOG_CODEC_53) check_cut(&sample, size, LOG_CODEC_AUTO);
    }
    sample_free(&sample);
}

Test(logs_cut, a_53_bit_log_opens_at_every_byte, .timeout = 300)
{
    check_codec(LOG_CODEC_53);
}

Test(logs_cut, a_48_bit_log_opens_at_every_byte, .timeout = 300)
{
    check_codec(LOG_CODEC_48);
}

Test(logs_cut, a_32_bit_log_opens_at_every_byte, .timeout = 300)
{
    check_codec(LOG_CODEC_32);
}

/* The follower does not know the codec while its file holds a part of the first record. */
Test(logs_cut, a_follower_learns_the_codec_with_the_first_whole_record)
{
    static const enum log_codec codecs[] = { LOG_CODEC_32, LOG_CODEC_48, LOG_CODEC_53 };
    for (size_t c = 0; c < 3; c++) {
        struct sample sample = sample_make(codecs[c]);
        scratch_truncate(sample.path, 0);
        struct log_offset_options options = { .path = sample.path, .follow = true };
        struct log_offset_opened opened;
        struct log *log;
        cr_assert_eq(log_offset_open(&options, &opened, &log), OK);
        cr_assert_eq(opened.codec, LOG_CODEC_AUTO);
        for (size_t size = 1; size <= sample.len; size++) {
            scratch_write_at(sample.path, sample.bytes + size - 1, 1, (int64_t)size - 1);
            int before = whole_records(&sample, size - 1);
            int n = whole_records(&sample, size);
            cr_assert_eq(log_refresh(log), n > before, "codec %d, byte %zu", (int)codecs[c], size);
            expect_records(log, &sample, n, "growing");
            cr_assert_eq(log_durable(log), log_since(log), "followed: durable is what was read whole");
        }
        log_close(log);
        sample_free(&sample);
    }
}

static void expect_cut(const struct log_offset_opened *opened, const char *bytes, size_t len, const char *where)
{
    size_t saved_len = 0;
    char *saved = scratch_read(opened->cut_path, &saved_len);
    cr_assert(saved_len == len && memcmp(saved, bytes, len) == 0, "%s: what was cut off is not in %s", where,
              opened->cut_path);
    free(saved);
}

/* What ends as a record does, at the right place and behind the last record, but does not begin as one. */
Test(logs_cut, an_end_without_its_beginning_is_no_record)
{
    struct sample sample = sample_make(LOG_CODEC_53);
    for (int rounds = 0; rounds < 2; rounds++) {
        char bytes[4 + 8 + 4 + 8] = { 0 };
        uint64_t end = sample.len + sizeof bytes;
        memset(bytes + 4, 'x', 8);
        bytes[3] = (char)(rounds == 0 ? 9 : 0); /* in front: another length than behind */
        bytes[15] = 8;
        for (size_t i = 0; i < 8; i++)
            bytes[16 + i] = (char)(end >> (8 * (7 - i)));
        scratch_write(sample.path, sample.bytes, sample.len);
        scratch_write_at(sample.path, bytes, sizeof bytes, (int64_t)sample.len);
        struct log_offset_options options = { .path = sample.path };
        struct log_offset_opened opened;
        struct log *log;
        cr_assert_eq(log_offset_open(&options, &opened, &log), OK);
        expect_records(log, &sample, RECORDS, "an end without its beginning");
        cr_assert(opened.cut_at == (int64_t)sample.len && opened.cut_bytes == (int64_t)sizeof bytes);
        expect_cut(&opened, bytes, sizeof bytes, "an end without its beginning");
        log_close(log);
    }
    sample_free(&sample);
}

/* Every kind of rubbish behind the last record, also some that flumelog-offset takes for an end. */
Test(logs_cut, rubbish_behind_the_last_record_is_cut_and_saved, .timeout = 300)
{
    struct sample sample = sample_make(LOG_CODEC_53);
    struct dice dice = dice_make();
    for (int round = 0; round < 200; round++) {
        size_t len = 1 + dice_roll(&dice, 400);
        if (len == 16) len++; /* zeros with the right end would be a whole frame of no data */
        char where[64];
        (void)snprintf(where, sizeof where, "rubbish, SLUICE_TEST_SEED=%llu", (unsigned long long)dice.seed);
        char *bytes = malloc(sample.len + len);
        cr_assert_not_null(bytes);
        memcpy(bytes, sample.bytes, sample.len);
        for (size_t i = 0; i < len; i++)
            bytes[sample.len + i] = round % 3 == 0 ? 0 : (char)dice_roll(&dice, 256);
        /* The last 8 bytes name the size of the file, as after a whole record. */
        for (size_t i = 0; round % 2 == 0 && i < 8 && i < len; i++)
            bytes[sample.len + len - 1 - i] = (char)((sample.len + len) >> (8 * i));
        scratch_write(sample.path, bytes, sample.len + len);
        struct log_offset_options options = { .path = sample.path };
        struct log_offset_opened opened;
        struct log *log;
        cr_assert_eq(log_offset_open(&options, &opened, &log), OK, "%s", where);
        expect_records(log, &sample, RECORDS, where);
        cr_assert(opened.cut_at == (int64_t)sample.len && opened.cut_bytes == (int64_t)len);
        expect_cut(&opened, bytes + sample.len, len, where);
        (void)remove(opened.cut_path);
        log_close(log);
        free(bytes);
    }
    sample_free(&sample);
}

Test(logs_cut, an_earlier_cut_file_is_kept)
{
    struct sample sample = sample_make(LOG_CODEC_53);
    static char names[3][4096];
    for (int i = 0; i < 3; i++) {
        scratch_write(sample.path, sample.bytes, sample.len - 1 - (size_t)i);
        struct log_offset_options options = { .path = sample.path };
        struct log_offset_opened opened;
        struct log *log;
        cr_assert_eq(log_offset_open(&options, &opened, &log), OK);
        (void)snprintf(names[i], sizeof names[i], "%s", opened.cut_path);
        log_close(log);
    }
    char plain[4096];
    (void)snprintf(plain, sizeof plain, "%s.cut-%lld", sample.path, (long long)sample.seqs[RECORDS - 1]);
    cr_expect_str_eq(names[0], plain);
    for (int i = 1; i < 3; i++) {
        char numbered[4096 + 16];
        (void)snprintf(numbered, sizeof numbered, "%s-%d", plain, i + 1);
        cr_expect_str_eq(names[i], numbered);
    }
    int64_t cut = sample.seqs[RECORDS] - sample.seqs[RECORDS - 1];
    for (int i = 0; i < 3; i++)
        cr_expect_eq(scratch_size(names[i]), cut - 1 - i);
    char note[4096 + 16];
    (void)snprintf(note, sizeof note, "%s.whole", sample.path);
    (void)remove(note); /* written or not, as the clock has it */
    cr_expect_eq(scratch_count(sample.folder), 5, "log, lock, three saved tails and nothing temporary");
    sample_free(&sample);
}

Test(logs_cut, a_tail_too_long_for_a_crash_is_refused_and_left_alone)
{
    struct sample sample = sample_make(LOG_CODEC_53);
    int64_t size = (int64_t)sample.len + ((int64_t)64 << 20) + 1;
    scratch_truncate(sample.path, size);
    struct log_offset_options options = { .path = sample.path };
    struct log *log = NULL;
    cr_expect_eq(log_offset_open(&options, NULL, &log), ERR_CORRUPT);
    cr_expect_not_null(strstr(err_detail(ERR_CORRUPT), "sluice verify"));
    cr_expect_eq(scratch_size(sample.path), size);
    cr_expect_null(log);
    scratch_truncate(sample.path, size - 1);
    cr_assert_eq(log_offset_open(&options, NULL, &log), OK, "64 MiB are cut");
    cr_expect_eq(log_bytes(log), (int64_t)sample.len);
    log_close(log);
    sample_free(&sample);
}
