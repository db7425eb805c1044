/* Lines that are copied, many at once, are those that are made one by one. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "server/plain.h"
#include "server/rows_log.h"
#include "tests/support/corpus.h"

#define RECORDS 700
#define BLOCK_MAX 9000

static struct dice dice;
static struct corpus corpus;
static struct corpus_flume served;
static const struct config config = { .query_timeout = 60 };
static struct server server;
static char block[BLOCK_MAX];

static void setup(void)
{
    dice = dice_make();
    corpus_make(&dice, RECORDS, &corpus);
    corpus_serve(&corpus, &served);
    server = (struct server){ .config = &config, .flume = served.flume };
    cr_assert_eq(plain_open(&server.plain), OK);
    plain_learn(server.plain, served.flume);
}

static void teardown(void)
{
    plain_free(server.plain);
    corpus_stop(&served);
    corpus_free(&corpus);
}

TestSuite(rows_copy, .init = setup, .fini = teardown, .timeout = 300);

static struct rows *rows_open(const struct filter_params *params)
{
    struct rows *rows;
    cr_assert_eq(rows_log_open_params(&server, params, &rows), OK);
    return rows;
}

static void collect_one_by_one(const struct filter_params *params, struct buf *out)
{
    struct rows *rows = rows_open(params);
    while (rows_next_framed(rows, API_NDJSON, out) == 1) {
    }
    rows_free(rows);
}

/* In blocks of many lengths, as a stream does it. *ret_copied: bytes that needed no rows_next_framed. */
static void collect_copies(const struct filter_params *params, struct buf *out, size_t *ret_copied)
{
    struct rows *rows = rows_open(params);
    int got = 1;
    *ret_copied = 0;
    while (got == 1) {
        struct buf lent;
        buf_lend(&lent, block, dice_roll(&dice, BLOCK_MAX), 1 << 20);
        rows_copy_framed(rows, API_NDJSON, &lent);
        *ret_copied += lent.len;
        int64_t cursor = rows->cursor;
        buf_append(out, lent.data, lent.len);
        buf_free(&lent);
        got = rows_next_framed(rows, API_NDJSON, out);
        cr_assert(got != 1 || rows->cursor > cursor);
    }
    cr_expect(rows->ended);
    rows_free(rows);
}

static void copies_are_the_same(const struct filter_params *params, size_t *ret_copied)
{
    struct buf alone, together;
    buf_init(&alone, 64 << 20);
    buf_init(&together, 64 << 20);
    collect_one_by_one(params, &alone);
    collect_copies(params, &together, ret_copied);
    bool same = alone.len == together.len && (alone.len == 0 || memcmp(alone.data, together.data, alone.len) == 0);
    cr_assert(same, "SLUICE_TEST_SEED=%llu: %zu and %zu bytes", (unsigned long long)dice.seed, alone.len, together.len);
    buf_free(&alone);
    buf_free(&together);
}

Test(rows_copy, the_whole_log_is_the_same_in_blocks_of_any_size)
{
    struct filter_params params;
    size_t copied;
    filter_params_init(&params);
    for (int i = 0; i < 20; i++) {
        copies_are_the_same(&params, &copied);
        cr_assert_gt(copied, 20000, "SLUICE_TEST_SEED=%llu", (unsigned long long)dice.seed);
    }
}

Test(rows_copy, deleted_records_and_ends_that_are_left_out_are_left_out)
{
    struct filter_params params;
    size_t copied;
    for (int i = 0; i < 20; i++) {
        size_t a = dice_roll(&dice, RECORDS), b = dice_roll(&dice, RECORDS);
        filter_params_init(&params);
        params.range.min = corpus.records[a < b ? a : b].seq;
        params.range.max = corpus.records[a < b ? b : a].seq;
        params.above = dice_roll(&dice, 2) == 1;
        params.below = dice_roll(&dice, 2) == 1;
        copies_are_the_same(&params, &copied);
        size_t deleted = (size_t)i * (RECORDS / 20) + dice_roll(&dice, RECORDS / 20);
        corpus_delete(&served, corpus.records[deleted].seq);
    }
}
