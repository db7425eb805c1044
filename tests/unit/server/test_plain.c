#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "server/plain.h"
#include "server/rows.h"
#include "store/err.h"
#include "tests/support/corpus.h"
#include "views/view_record.h"
#include "views/view_types.h"

#define LONG_VALUE "{\"key\":\"%a\",\"value\":{\"text\":\"long enough to have a bit of its own in the table\"}}"

static struct log first, second;

static struct log_record record_at(int64_t seq, const char *value)
{
    return (struct log_record){ seq, { value, strlen(value) } };
}

Test(plain, remembers_what_was_noted_and_nothing_else)
{
    struct plain *plain;
    const struct log_record noted = record_at(640, LONG_VALUE), next = record_at(704, LONG_VALUE);
    cr_assert_eq(plain_open(&plain), OK);
    cr_expect(!plain_known(plain, &first, &noted));
    plain_note(plain, &first, &noted);
    cr_expect(plain_known(plain, &first, &noted));
    cr_expect(!plain_known(plain, &first, &next));
    cr_expect(!plain_known(plain, &second, &noted), "another log has the same seqs");
    plain_note(plain, &second, &next);
    cr_expect(plain_known(plain, &first, &noted));
    cr_expect(!plain_known(plain, &first, &next));
    plain_free(plain);
}

Test(plain, remembers_nothing_of_records_that_may_share_a_bit)
{
    struct plain *plain;
    const struct log_record small = record_at(640, "{\"key\":1}");
    cr_assert_eq(plain_open(&plain), OK);
    plain_note(plain, &first, &small);
    cr_expect(!plain_known(plain, &first, &small));
    plain_free(plain);
}

Test(plain, remembers_nothing_behind_its_table)
{
    struct plain *plain;
    const struct log_record far = record_at(SEQ_MAX, LONG_VALUE);
    cr_assert_eq(plain_open(&plain), OK);
    plain_note(plain, &first, &far);
    cr_expect(!plain_known(plain, &first, &far));
    cr_expect(!plain_known(NULL, &first, &far));
    plain_free(plain);
}

/* The same bytes come out whatever is known of the record. */
static void shown_alike(struct plain *plain, const char *value)
{
    const struct server server = { .plain = plain };
    const struct log_record record = record_at(6400, value);
    struct buf printed, shown;
    buf_init(&printed, 1 << 20);
    buf_init(&shown, 1 << 20);
    cr_assert_eq(record_print(&record, &printed), OK);
    for (int i = 0; i < 2; i++) {
        buf_reset(&shown);
        cr_assert_eq(record_show(&server, &first, &record, &shown), OK);
        cr_assert_eq(shown.len, printed.len, "%s", value);
        cr_assert_eq(memcmp(shown.data, printed.data, shown.len), 0, "%s", value);
    }
    buf_free(&printed);
    buf_free(&shown);
}

Test(plain, shows_every_record_as_record_print_does)
{
    static const char *const values[] = {
        LONG_VALUE,
        "{\"key\":\"%a\",\n\"value\":{\"text\":\"two lines, which are made one where it is shown to the world\"}}",
        "{\"key\":\"%a\",\"value\":{\"text\":\"with a bracket that is never closed and no end to be seen\"}",
        "{ \"key\":\"%a\",\"value\":{\"text\":\"with a space in front of the key, as nobody writes it\"}}",
        "{\"value\":{\"text\":\"without a key in front, which is shown as the value of an object of ours\"}}",
        "{\"key\":\"%a\",\"value\":{\"text\":\"with white space behind it, as nobody writes it either\"}} ",
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct plain *plain;
        cr_assert_eq(plain_open(&plain), OK);
        shown_alike(plain, values[i]);
        shown_alike(NULL, values[i]);
        plain_free(plain);
    }
}

Test(plain, never_shows_a_known_record_that_became_zeros_as_text)
{
    struct plain *plain;
    char value[] = LONG_VALUE;
    const struct log_record record = { 6400, { value, sizeof value - 1 } };
    struct buf out;
    cr_assert_eq(plain_open(&plain), OK);
    const struct server server = { .plain = plain };
    buf_init(&out, 1 << 20);
    cr_assert_eq(record_show(&server, &first, &record, &out), OK);
    memset(value, 0, sizeof value);
    buf_reset(&out);
    cr_assert_eq(record_show(&server, &first, &record, &out), OK);
    cr_expect_eq(memchr(out.data, '\0', out.len), NULL);
    buf_free(&out);
    plain_free(plain);
}

/* ---- what the view types knows ---- */

#define RECORDS 700

static void show(struct plain *plain, const struct log *log, const struct log_record *record, struct buf *out)
{
    const struct server server = { .plain = plain };
    buf_reset(out);
    cr_assert_eq(record_show(&server, log, record, out), OK);
}

/* Every record is shown as if nothing were known, and those that are not plain are not taken for it. */
Test(plain, what_was_learned_changes_no_byte)
{
    struct dice dice = dice_make();
    struct corpus corpus;
    struct corpus_flume served;
    struct plain *plain;
    struct buf with, without;
    size_t known = 0, odd = 0, box1 = 0;
    corpus_make(&dice, RECORDS, &corpus);
    corpus_serve(&corpus, &served);
    cr_assert_eq(plain_open(&plain), OK);
    buf_init(&with, 1 << 20);
    buf_init(&without, 1 << 20);
    plain_learn(plain, served.flume);
    struct log *log = flume_log(served.flume);
    for (size_t i = 0; i < RECORDS; i++) {
        struct log_record record;
        cr_assert_eq(log_get(log, corpus.records[i].seq, &record), OK);
        bool is_plain = record_is_plain(record.value), taken = plain_known(plain, log, &record);
        cr_assert(is_plain || !taken, "SLUICE_TEST_SEED=%llu: %s", (unsigned long long)dice.seed, corpus.texts[i]);
        known += taken;
        box1 += plain_kind(plain, log, &record) == PLAIN_BOX1;
        odd += !is_plain;
        show(plain, log, &record, &with);
        show(NULL, log, &record, &without);
        cr_assert(with.len == without.len && memcmp(with.data, without.data, with.len) == 0,
                  "SLUICE_TEST_SEED=%llu: %s", (unsigned long long)dice.seed, corpus.texts[i]);
    }
    cr_assert(known > RECORDS / 4 && odd > RECORDS / 20 && box1 > 0, "SLUICE_TEST_SEED=%llu: %zu %zu %zu",
              (unsigned long long)dice.seed, known, odd, box1);
    buf_free(&with);
    buf_free(&without);
    plain_free(plain);
    corpus_stop(&served);
    corpus_free(&corpus);
}

/* A page after the start does not wait for all that the view knows; many of them, or a stream, have it learned. */
Test(plain, learns_when_many_rows_are_wanted)
{
    static const char *const texts[] = { LONG_VALUE };
    static const int64_t wanted[][3] = { { 999, 0, 1 }, { 500, 499, 1 }, { 0, 10, -1 }, { 1, 998, 5000 } };
    struct corpus_flume served;
    struct log_record there;
    corpus_serve_texts(texts, 1, &served);
    struct log *log = flume_log(served.flume);
    cr_assert_eq(log_get(log, 0, &there), OK);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        struct plain *plain;
        cr_assert_eq(plain_open(&plain), OK);
        for (size_t k = 0; k < 3; k++) {
            cr_expect(!plain_known(plain, log, &there), "%zu, before %zu", i, k);
            plain_expect(plain, served.flume, wanted[i][k]);
        }
        cr_expect(plain_known(plain, log, &there), "%zu", i);
        plain_free(plain);
    }
    plain_expect(NULL, served.flume, -1);
    corpus_stop(&served);
}

/* What stands behind the view's place is looked at, whatever was learned before it. */
Test(plain, learns_nothing_about_what_comes_later)
{
    static const char *const texts[] = { LONG_VALUE };
    struct corpus_flume served;
    struct plain *plain;
    struct log_record there;
    corpus_serve_texts(texts, 1, &served);
    cr_assert_eq(plain_open(&plain), OK);
    plain_learn(plain, served.flume);
    plain_learn(plain, served.flume);
    plain_learn(NULL, served.flume);
    struct log *log = flume_log(served.flume);
    cr_assert_eq(log_get(log, 0, &there), OK);
    const struct log_record later = record_at((int64_t)there.value.len + 12, LONG_VALUE);
    cr_expect(plain_known(plain, log, &there));
    cr_expect(!plain_known(plain, log, &later));
    cr_expect(!plain_known(plain, &second, &there));
    plain_note(plain, log, &later);
    cr_expect(plain_known(plain, log, &later));
    plain_free(plain);
    corpus_stop(&served);
}
