/* What store/log.h promises, held against every kind of log. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "tests/logs/rig.h"

static int next_code(struct log_cursor *cursor)
{
    struct log_record record;
    return log_next(cursor, &record);
}

static int get_code(struct rig *rig, int64_t seq)
{
    struct log_record record = { .seq = -7 };
    int err = log_get(rig->reader, seq, &record);
    cr_assert(err == OK || record.seq == -7, "%s: an output was touched on failure", rig->kind);
    return err;
}

static struct log_cursor cursor_over(struct rig *rig, int64_t min, int64_t max, bool reverse)
{
    struct log_cursor cursor;
    struct log_range range = { min, max, reverse };
    int err = log_cursor_open(rig->reader, &range, &cursor);
    cr_assert_eq(err, OK, "%s: cursor %lld..%lld: %s", rig->kind, (long long)min, (long long)max, err_detail(err));
    return cursor;
}

static void check_empty(struct rig *rig)
{
    cr_expect_eq(log_since(rig->reader), SEQ_EMPTY, "%s", rig->kind);
    cr_expect_eq(log_durable(rig->reader), SEQ_EMPTY, "%s", rig->kind);
    cr_expect_eq(log_bytes(rig->reader), 0, "%s", rig->kind);
    cr_expect_eq(log_identity(rig->reader), 0, "%s", rig->kind);
    cr_expect_eq(get_code(rig, 0), ERR_NOSEQ, "%s", rig->kind);
    cr_expect_eq(get_code(rig, -1), ERR_NOSEQ, "%s", rig->kind);
    struct log_cursor forward = cursor_over(rig, 0, SEQ_MAX, false);
    cr_expect_eq(next_code(&forward), 0, "%s", rig->kind);
    cr_expect_not(forward.ended, "%s: a forward cursor waits for the first record", rig->kind);
    struct log_cursor reverse = cursor_over(rig, 0, SEQ_MAX, true);
    cr_expect_eq(next_code(&reverse), 0, "%s", rig->kind);
    cr_expect(reverse.ended, "%s", rig->kind);
    rig_expect(rig, &forward, rig_put(rig, "first"), "first");
}

Test(logs, an_empty_log_has_nothing_and_waits)
{
    rig_each(check_empty);
}

static void check_append(struct rig *rig)
{
    struct slice values[3] = { SLICE_LITERAL("a"), SLICE_LITERAL("bb\0b"), SLICE_LITERAL("\0c") };
    int64_t seqs[3];
    cr_assert_eq(log_append(rig->writer, values, 3, seqs), OK, "%s", rig->kind);
    rig_settle(rig);
    cr_expect(seqs[0] == 0 && seqs[0] < seqs[1] && seqs[1] < seqs[2], "%s", rig->kind);
    cr_expect_eq(log_since(rig->reader), seqs[2], "%s", rig->kind);
    for (size_t i = 0; i < 3; i++) {
        struct log_record record;
        cr_assert_eq(log_get(rig->reader, seqs[i], &record), OK, "%s", rig->kind);
        cr_expect_eq(record.seq, seqs[i], "%s", rig->kind);
        cr_expect(record.value.len == values[i].len && memcmp(record.value.data, values[i].data, values[i].len) == 0,
                  "%s: record %zu", rig->kind, i);
    }
    cr_expect_eq(get_code(rig, seqs[2] + 1), ERR_NOSEQ, "%s", rig->kind);
    cr_expect_eq(get_code(rig, SEQ_MAX), ERR_NOSEQ, "%s", rig->kind);
    cr_expect_eq(get_code(rig, INT64_MAX), ERR_NOSEQ, "%s", rig->kind);
    cr_expect_eq(get_code(rig, INT64_MIN), ERR_NOSEQ, "%s", rig->kind);
    cr_expect_eq(log_append(rig->writer, values, 1, NULL), OK, "%s: seqs are not wanted", rig->kind);
    cr_expect_eq(log_append(rig->writer, NULL, 0, NULL), OK, "%s: nothing to append", rig->kind);
}

Test(logs, append_answers_rising_seqs_and_get_the_same_bytes)
{
    rig_each(check_append);
}

static void check_refusals(struct rig *rig)
{
    char *large = malloc(LOG_RECORD_MAX + 1);
    cr_assert_not_null(large);
    memset(large, 'x', LOG_RECORD_MAX + 1);
    char zeros[70000] = { 0 };
    struct slice good = SLICE_LITERAL("good");
    struct {
        struct slice value;
        int code;
    } bad[] = { { { "", 0 }, ERR_ARG },
                { { NULL, 0 }, ERR_ARG },
                { { zeros, 1 }, ERR_ARG },
                { { zeros, sizeof zeros }, ERR_ARG },
                { { large, LOG_RECORD_MAX + 1 }, ERR_LIMIT } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct slice batch[2] = { good, bad[i].value };
        int64_t seqs[2] = { -7, -7 };
        cr_expect_eq(log_append(rig->writer, batch, 2, seqs), bad[i].code, "%s: case %zu", rig->kind, i);
        cr_expect(seqs[0] == -7 && log_since(rig->writer) == SEQ_EMPTY, "%s: case %zu: none of a batch", rig->kind, i);
        cr_expect_not_null(strstr(err_detail(bad[i].code), "record 1"), "%s: which one", rig->kind);
    }
    struct slice largest = { large, LOG_RECORD_MAX };
    cr_expect_eq(log_append(rig->writer, &largest, 1, NULL), OK, "%s: the largest record", rig->kind);
    rig_settle(rig);
    struct log_record record;
    cr_assert_eq(log_get(rig->reader, 0, &record), OK, "%s", rig->kind);
    cr_expect(record.value.len == LOG_RECORD_MAX && memcmp(record.value.data, large, LOG_RECORD_MAX) == 0);
    free(large);
}

Test(logs, append_refuses_what_would_read_as_deleted_or_is_too_large)
{
    rig_each(check_refusals);
}

static void check_ranges(struct rig *rig)
{
    int64_t seq[5];
    const char *texts[5] = { "r0", "r1", "r2", "r3", "r4" };
    for (int i = 0; i < 5; i++)
        seq[i] = rig_put(rig, texts[i]);
    for (int min = 0; min < 5; min++)
        for (int max = 0; max < 5; max++) {
            struct log_cursor up = cursor_over(rig, seq[min], seq[max], false);
            for (int i = min; i <= max; i++)
                rig_expect(rig, &up, seq[i], texts[i]);
            cr_expect_eq(next_code(&up), 0, "%s", rig->kind);
            cr_expect(up.ended, "%s: %d..%d is used up", rig->kind, min, max);
            struct log_cursor down = cursor_over(rig, seq[min], seq[max], true);
            for (int i = max; i >= min; i--)
                rig_expect(rig, &down, seq[i], texts[i]);
            cr_expect_eq(next_code(&down), 0, "%s", rig->kind);
            cr_expect(down.ended, "%s", rig->kind);
        }
    struct log_cursor below = cursor_over(rig, INT64_MIN, -1, false);
    cr_expect(below.ended && next_code(&below) == 0, "%s: nothing is below 0", rig->kind);
    struct log_cursor all = cursor_over(rig, -1, SEQ_MAX, true);
    rig_expect(rig, &all, seq[4], "r4");
    struct log_cursor above = cursor_over(rig, seq[4] + 1, SEQ_MAX, true);
    cr_expect(above.ended && next_code(&above) == 0, "%s: reverse, all above the head", rig->kind);
}

Test(logs, cursors_answer_ranges_with_both_ends_in_either_direction)
{
    rig_each(check_ranges);
}

static void check_live(struct rig *rig)
{
    int64_t first = rig_put(rig, "old");
    struct log_cursor all = cursor_over(rig, 0, SEQ_MAX, false);
    struct log_cursor above = cursor_over(rig, first + 1, SEQ_MAX, false);
    rig_expect(rig, &all, first, "old");
    cr_expect(next_code(&all) == 0 && next_code(&all) == 0 && !all.ended, "%s", rig->kind);
    cr_expect(next_code(&above) == 0 && !above.ended, "%s", rig->kind);
    int64_t second = rig_put(rig, "new");
    struct log_cursor copy = all;
    rig_expect(rig, &all, second, "new");
    rig_expect(rig, &copy, second, "new");
    rig_expect(rig, &above, second, "new");
    int64_t third = rig_put(rig, "newer");
    struct log_cursor until = cursor_over(rig, first, third, false);
    rig_expect(rig, &until, first, "old");
    rig_expect(rig, &until, second, "new");
    rig_expect(rig, &until, third, "newer");
    rig_put(rig, "after");
    cr_expect(next_code(&until) == 0 && until.ended, "%s: max is the end for ever", rig->kind);
    rig_expect(rig, &all, third, "newer");
}

Test(logs, a_forward_cursor_goes_on_after_an_append)
{
    rig_each(check_live);
}

static void check_borrowed(struct rig *rig)
{
    rig_put(rig, "borrowed");
    struct log_record first;
    cr_assert_eq(log_get(rig->reader, 0, &first), OK);
    char text[1000];
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 2000; i++)
        rig_put(rig, text);
    cr_expect_eq(memcmp(first.value.data, "borrowed", 8), 0, "%s", rig->kind);
}

Test(logs, a_record_stays_valid_while_the_log_grows)
{
    rig_each(check_borrowed);
}

static void check_durable(struct rig *rig)
{
    int64_t last = rig_put(rig, "one");
    cr_expect_eq(log_sync(rig->writer), OK, "%s", rig->kind);
    cr_expect_eq(log_durable(rig->writer), last, "%s", rig->kind);
    cr_expect_eq(log_durable(rig->reader), last, "%s", rig->kind);
    last = rig_put(rig, "two");
    cr_expect_leq(log_durable(rig->writer), last, "%s", rig->kind);
    uint64_t identity = log_identity(rig->reader);
    cr_expect_neq(identity, 0, "%s", rig->kind);
    int64_t bytes = log_bytes(rig->reader);
    rig_reopen(rig);
    cr_expect_eq(log_since(rig->reader), last, "%s: reopened", rig->kind);
    cr_expect_eq(log_durable(rig->reader), last, "%s: what is found at opening is made durable", rig->kind);
    cr_expect_eq(log_identity(rig->reader), identity, "%s: stable under append and reopening", rig->kind);
    cr_expect_eq(log_bytes(rig->reader), bytes, "%s", rig->kind);
}

Test(logs, sync_makes_durable_and_the_identity_stays)
{
    rig_each(check_durable);
}

static uint64_t identities[16];
static size_t n_identities;

static void check_identity(struct rig *rig)
{
    rig_put(rig, n_identities % 2 == 0 ? "this" : "that");
    identities[n_identities++] = log_identity(rig->reader);
}

Test(logs, another_first_record_is_another_identity)
{
    rig_each(check_identity);
    cr_expect_neq(identities[1], identities[2], "53 bit 'that', 48 bit 'this'");
    cr_expect_neq(identities[1], identities[3], "the codec counts");
    cr_expect_neq(identities[3], identities[4]);
}

static void check_second_frame_sizes(struct rig *rig)
{
    /* Around the sizes of pages and read buffers. */
    static const size_t sizes[] = { 1, 4095, 4096, 4097, 16383, 16384, 65535, 65536, 65537, 200000, 5000000 };
    struct slice values[sizeof sizes / sizeof *sizes];
    int64_t seqs[sizeof sizes / sizeof *sizes];
    size_t n = sizeof sizes / sizeof *sizes;
    char *data = malloc(5000000);
    cr_assert_not_null(data);
    for (size_t i = 0; i < 5000000; i++)
        data[i] = (char)(i * 7 + 1);
    for (size_t i = 0; i < n; i++)
        values[i] = (struct slice){ data, sizes[i] };
    cr_assert_eq(log_append(rig->writer, values, n, seqs), OK);
    rig_settle(rig);
    rig_reopen(rig);
    struct log_cursor down = cursor_over(rig, 0, SEQ_MAX, true);
    struct log_record record;
    for (size_t i = n; i-- > 0;) {
        cr_assert_eq(log_next(&down, &record), 1, "%s: %zu", rig->kind, sizes[i]);
        cr_expect(record.seq == seqs[i] && record.value.len == sizes[i] &&
                      memcmp(record.value.data, data, sizes[i]) == 0,
                  "%s: %zu bytes", rig->kind, sizes[i]);
    }
    free(data);
}

Test(logs, records_of_all_sizes_survive_one_batch_and_reopening)
{
    rig_each(check_second_frame_sizes);
}

/* ---- many at once -------------------------------------------------------------------------------------------- */

#define MANY 1024

static void put_be(char *out, uint64_t n, int width)
{
    for (int i = width; i-- > 0; n >>= 8)
        out[i] = (char)n;
}

static int width_of(const struct rig *rig)
{
    return rig->codec == LOG_CODEC_53 ? 8 : rig->codec == LOG_CODEC_48 ? 6 : 4;
}

/* Data of `len` bytes for a record at `seq` that holds whole frames, each with the offset at which it really lies. */
static void frames_inside(char *data, size_t len, int64_t seq, int width)
{
    size_t size = 4 + 4 + 4 + (size_t)width;
    memset(data, 'x', len);
    for (size_t at = 5; at + size <= len; at += size) {
        put_be(data + at, 4, 4);
        memcpy(data + at + 4, "fake", 4);
        put_be(data + at + 8, 4, 4);
        put_be(data + at + 12, (uint64_t)seq + 4 + at + size, width);
    }
}

static void check_many_misled(struct rig *rig)
{
    static struct log_record records[MANY];
    static char data[6000][700];
    static struct slice values[6000];
    int width = width_of(rig);
    int64_t seq = 0;
    size_t lens[] = { 40, 700, 333, 555, 1 }, n = sizeof values / sizeof *values, count = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = lens[i % 5];
        frames_inside(data[i], len, seq, width);
        values[i] = (struct slice){ data[i], len };
        seq += (int64_t)len + 8 + width;
    }
    cr_assert_eq(log_append(rig->writer, values, n, NULL), OK, "%s", rig->kind);
    rig_settle(rig);
    struct log_cursor many = cursor_over(rig, 0, SEQ_MAX, false), one = many;
    for (int got; (got = log_next_many(&many, records, MANY)) > 0;) {
        for (int i = 0; i < got; i++, count++) {
            struct log_record record;
            cr_assert_eq(log_next(&one, &record), 1, "%s", rig->kind);
            cr_assert_eq(records[i].seq, record.seq, "%s: record %zu", rig->kind, count);
            cr_assert(records[i].value.data == record.value.data && records[i].value.len == record.value.len);
        }
    }
    cr_expect_eq(count, n, "%s", rig->kind);
    cr_expect_not(many.ended, "%s: more may come", rig->kind);
}

Test(logs, many_at_once_are_not_misled_by_records_that_hold_frames)
{
    rig_each(check_many_misled);
}

static void check_many_damage(struct rig *rig)
{
    static struct log_record records[MANY];
    static int64_t seqs[5000];
    const struct slice good = SLICE_LITERAL("{\"a record as good as any\":1}");
    struct slice values[5000];
    size_t count = 0;
    int got;
    if (rig->folder == NULL) return;
    for (size_t i = 0; i < 5000; i++)
        values[i] = good;
    cr_assert_eq(log_append(rig->writer, values, 5000, seqs), OK, "%s", rig->kind);
    rig_settle(rig);
    scratch_write_at(rig->path, "\x01", 1, seqs[3333]);
    struct log_cursor cursor = cursor_over(rig, 0, SEQ_MAX, false);
    while ((got = log_next_many(&cursor, records, MANY)) > 0)
        count += (size_t)got;
    cr_expect_eq(got, ERR_CORRUPT, "%s", rig->kind);
    cr_expect_eq(count, 3333, "%s: all before the damage, nothing behind it", rig->kind);
}

Test(logs, many_at_once_end_at_a_damaged_record)
{
    rig_each(check_many_damage);
}
