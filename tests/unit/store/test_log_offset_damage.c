/* Files with damage in them: what verify lists, what readers are told. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "store/err.h"
#include "tests/support/scratch.h"
#include "tests/unit/store/offset_kit.h"

TestSuite(log_offset_damage, .init = offset_begin, .fini = offset_end, .timeout = 300);

struct damages {
    struct log_damage list[8];
    size_t n;
};

static void note_damage(void *ctx, const struct log_damage *damage)
{
    struct damages *damages = ctx;
    if (damages->n < 8) damages->list[damages->n] = *damage;
    damages->n++;
}

static int verify(struct damages *damages, enum log_codec *ret_codec, int64_t *ret_records, int64_t *ret_deleted)
{
    struct log_offset_options options = { .path = offset_path };
    *damages = (struct damages){ .n = 0 };
    return log_offset_verify(&options, note_damage, damages, ret_codec, ret_records, ret_deleted);
}

Test(log_offset_damage, verify_counts_a_sound_file)
{
    struct damages damages;
    enum log_codec codec;
    int64_t records;
    int64_t deleted;
    for (size_t i = 0; i < sizeof offset_fixtures / sizeof *offset_fixtures; i++) {
        offset_use(offset_fixtures[i].name);
        cr_expect_eq(verify(&damages, &codec, &records, &deleted), OK, "%s", offset_fixtures[i].name);
        cr_expect(codec == offset_fixtures[i].codec && records == OFFSET_RECORDS && deleted == 0 && damages.n == 0);
    }
    offset_use("offset-v3-32-deleted.log");
    cr_expect_eq(verify(&damages, &codec, &records, &deleted), OK);
    cr_expect(records == OFFSET_RECORDS && deleted == 2);
    cr_expect_eq(scratch_count(offset_folder), 1, "verify writes nothing");
    scratch_truncate(offset_path, 0);
    cr_expect_eq(verify(&damages, &codec, &records, &deleted), OK);
    cr_expect(records == 0 && codec == LOG_CODEC_AUTO);
    (void)remove(offset_path);
    cr_expect_eq(verify(&damages, &codec, &records, &deleted), ERR_NOFILE);
}

/* One byte of each record's frame, in turn: the damage is that record and no other. */
static void check_verify_hole(const struct offset_fixture *fixture, int64_t size)
{
    static const char flipped = (char)0xA5;
    int width = fixture->codec == LOG_CODEC_V2   ? 0
                : fixture->codec == LOG_CODEC_32 ? 4
                : fixture->codec == LOG_CODEC_48 ? 6
                                                 : 8;
    for (int i = 0; i < OFFSET_RECORDS; i++) {
        int64_t start = fixture->seqs[i];
        int64_t end = i + 1 < OFFSET_RECORDS ? fixture->seqs[i + 1] : size;
        for (int64_t k = 0; k < 8 + width; k++) {
            struct damages damages;
            enum log_codec codec;
            int64_t records = -1;
            offset_use(fixture->name);
            int64_t at = k < 4 ? start + k : end - 4 - width + (k - 4);
            scratch_write_at(offset_path, &flipped, 1, at);
            struct log_offset_options options = { .path = offset_path,
                                                  .codec = width == 0 ? LOG_CODEC_V2 : LOG_CODEC_AUTO };
            damages.n = 0;
            int err = log_offset_verify(&options, note_damage, &damages, &codec, &records, NULL);
            cr_assert_eq(err, ERR_CORRUPT, "%s: byte %lld", fixture->name, (long long)at);
            cr_assert(damages.n == 1 && records == OFFSET_RECORDS - 1 && codec == fixture->codec,
                      "%s: byte %lld: %zu damages", fixture->name, (long long)at, damages.n);
            cr_assert(damages.list[0].at == start && damages.list[0].bytes == end - start, "%s: byte %lld",
                      fixture->name, (long long)at);
            cr_assert_eq(damages.list[0].tail, end == size);
        }
    }
}

Test(log_offset_damage, verify_finds_each_damaged_record_and_goes_on)
{
    static const int64_t sizes[] = { 1870, 1894, 1918, 1822 };
    for (size_t i = 0; i < sizeof offset_fixtures / sizeof *offset_fixtures; i++)
        check_verify_hole(&offset_fixtures[i], sizes[i]);
}

Test(log_offset_damage, verify_tells_a_torn_tail_from_a_hole)
{
    struct damages damages;
    enum log_codec codec;
    int64_t records;
    offset_use("offset-v3-32-torn.log");
    scratch_write_at(offset_path, "\xff", 1, 281);
    cr_expect_eq(verify(&damages, &codec, &records, NULL), ERR_CORRUPT);
    cr_expect_eq(damages.n, 2);
    cr_expect(damages.list[0].at == 281 && damages.list[0].bytes == 145 && !damages.list[0].tail);
    cr_expect(damages.list[1].at == 1696 && damages.list[1].bytes == 1865 - 1696 && damages.list[1].tail);
    cr_expect_eq(records, OFFSET_RECORDS - 2);
    scratch_write(offset_path, "no log at all, just some text", 29);
    cr_expect_eq(verify(&damages, &codec, &records, NULL), ERR_FORMAT);
    scratch_write(offset_path, "\0\0\0\x10torn", 8);
    cr_expect_eq(verify(&damages, &codec, &records, NULL), ERR_CORRUPT);
    cr_expect(damages.n == 1 && damages.list[0].tail && records == 0);
}

Test(log_offset_damage, damage_amid_the_log_is_an_error_with_its_place)
{
    offset_use("offset-v3-53.log");
    scratch_write_at(offset_path, "\xff", 1, 745);
    struct log *log = offset_open(true, LOG_CODEC_AUTO);
    cr_expect_eq(log_since(log), 1740);
    cr_expect_eq(offset_count(log, false), ERR_CORRUPT);
    cr_expect_not_null(strstr(err_detail(ERR_CORRUPT), "offset 745"));
    cr_expect_not_null(strstr(err_detail(ERR_CORRUPT), "sluice verify"));
    cr_expect_eq(offset_count(log, true), ERR_CORRUPT);
    cr_expect_eq(offset_get_code(log, 745), ERR_CORRUPT);
    cr_expect_eq(offset_get_code(log, 590), OK);
    cr_expect_eq(offset_get_code(log, 903), OK);
    struct log_range after = { 903, SEQ_MAX, false };
    struct log_cursor cursor;
    struct log_record record;
    cr_assert_eq(log_cursor_open(log, &after, &cursor), OK, "what lies behind can be read");
    cr_expect_eq(log_next(&cursor, &record), 1);
    log_close(log);
}

/* The length of the first record reads as one that leads behind the end, as in a file that holds no more than a torn record. */
Test(log_offset_damage, a_damaged_first_length_does_not_empty_the_log)
{
    for (size_t i = 0; i < sizeof offset_fixtures / sizeof *offset_fixtures; i++)
        for (int told = 0; told < 2; told++) {
            offset_use(offset_fixtures[i].name);
            int64_t size = scratch_size(offset_path);
            scratch_write_at(offset_path, "\x08", 1, 1);
            struct log *log = NULL;
            enum log_codec codec = told ? offset_fixtures[i].codec : LOG_CODEC_AUTO;
            cr_expect_eq(offset_open_code(false, codec, &log), ERR_CORRUPT, "%s", offset_fixtures[i].name);
            cr_expect_eq(offset_open_code(true, codec, &log), ERR_CORRUPT, "%s", offset_fixtures[i].name);
            cr_expect(log == NULL && scratch_size(offset_path) == size, "%s", offset_fixtures[i].name);
        }
}

/* Any bytes: opening, reading, verifying end with an answer, and what is counted fits the file. */
Test(log_offset_damage, survives_any_bytes)
{
    struct dice dice = dice_make();
    for (int round = 0; round < 400; round++) {
        const struct offset_fixture *fixture = &offset_fixtures[dice_roll(&dice, 4)];
        offset_use(fixture->name);
        for (uint64_t i = 1 + dice_roll(&dice, 4); i > 0; i--) {
            char byte = (char)dice_roll(&dice, 256);
            scratch_write_at(offset_path, &byte, 1, (int64_t)dice_roll(&dice, 1900));
        }
        struct damages damages;
        enum log_codec codec;
        (void)verify(&damages, &codec, NULL, NULL);
        struct log *log;
        bool follow = dice_roll(&dice, 2) == 0;
        if (offset_open_code(follow, LOG_CODEC_AUTO, &log) != OK) continue;
        int64_t forward = offset_count(log, false);
        int64_t reverse = offset_count(log, true);
        cr_assert(forward == reverse || forward == ERR_CORRUPT || reverse == ERR_CORRUPT, "SLUICE_TEST_SEED=%llu",
                  (unsigned long long)dice.seed);
        for (int64_t seq = 0; seq < 1900; seq++)
            (void)offset_get_code(log, seq);
        cr_assert_geq(log_refresh(log), 0);
        log_close(log);
    }
}
