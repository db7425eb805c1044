/* Runs of ids against a loop over their items. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "tests/support/scratch.h"
#include "views/id_run.h"

#define ITEMS_MAX 3000

static struct index_sort items[ITEMS_MAX], spare[ITEMS_MAX];

/* Spread as hashes are, or with `alike` first bits the same. */
static void items_make(struct dice *dice, size_t count, unsigned alike)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t prefix = dice_roll(dice, UINT32_MAX) << 32 | dice_roll(dice, UINT32_MAX);
        if (dice_roll(dice, 10) == 0 && i > 0) prefix = items[dice_roll(dice, i)].prefix;
        if (alike > 0) prefix = alike >= 64 ? 7 : prefix >> alike;
        items[i] = (struct index_sort){ prefix, i };
    }
    index_radix_sort(items, spare, count);
}

static void check_find(const struct id_run *run, size_t count, uint64_t prefix, unsigned long long seed)
{
    size_t from, to, expected = 0;
    while (expected < count && items[expected].prefix < prefix)
        expected++;
    id_run_fetch(run, prefix);
    cr_assert_eq(id_run_bucket(run, prefix, &from, &to), OK, "SLUICE_TEST_SEED=%llu", seed);
    size_t at = id_run_lower(run, prefix, from, to);
    for (; expected < count && items[expected].prefix == prefix; expected++, at++) {
        cr_assert_lt(at, to, "SLUICE_TEST_SEED=%llu", seed);
        cr_assert_eq(id_run_prefix(run, at), prefix, "SLUICE_TEST_SEED=%llu", seed);
        cr_assert_eq(id_run_place(run, at), items[expected].id, "SLUICE_TEST_SEED=%llu", seed);
    }
    cr_assert(at >= to || id_run_prefix(run, at) > prefix, "SLUICE_TEST_SEED=%llu", seed);
}

static void check_run(struct dice *dice, size_t count, unsigned alike)
{
    struct id_run run;
    uint8_t *bytes;
    size_t len;
    items_make(dice, count, alike);
    cr_assert_eq(id_run_make(items, count, &bytes, &len), OK);
    cr_assert_eq(id_run_open((struct slice){ (const char *)bytes, len }, &run), OK);
    cr_assert_eq(run.count, count);
    for (size_t i = 0; i < 200; i++) {
        check_find(&run, count, items[dice_roll(dice, count)].prefix + dice_roll(dice, 3) - 1, dice->seed);
        check_find(&run, count, dice_roll(dice, UINT32_MAX) << 32, dice->seed);
    }
    check_find(&run, count, 0, dice->seed);
    check_find(&run, count, UINT64_MAX, dice->seed);
    free(bytes);
}

Test(id_run, finds_what_a_loop_finds)
{
    struct dice dice = dice_make();
    for (size_t count = 1; count <= 40; count++)
        check_run(&dice, count, 0);
    for (int round = 0; round < 20; round++)
        check_run(&dice, 1 + dice_roll(&dice, ITEMS_MAX), 0);
}

Test(id_run, ids_that_were_made_up_are_found_as_well)
{
    struct dice dice = dice_make();
    for (unsigned alike = 1; alike <= 64; alike += 9)
        check_run(&dice, 1 + dice_roll(&dice, ITEMS_MAX), alike);
}

/* Of every number of ids the length says the number. */
Test(id_run, is_opened_by_its_length)
{
    for (size_t count = 1; count <= ITEMS_MAX; count++) {
        struct id_run run;
        uint8_t *bytes;
        size_t len;
        cr_assert_eq(id_run_make(items, count, &bytes, &len), OK);
        cr_assert_eq(id_run_open((struct slice){ (const char *)bytes, len }, &run), OK);
        cr_assert_eq(run.count, count);
        free(bytes);
    }
}

Test(id_run, damage_is_an_error_not_a_crash)
{
    struct dice dice = dice_make();
    struct id_run run;
    uint8_t *bytes;
    size_t len, from, to, refused = 0;
    items_make(&dice, 500, 0);
    cr_assert_eq(id_run_make(items, 500, &bytes, &len), OK);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *part = malloc(cut + 1);
        memcpy(part, bytes, cut);
        if (id_run_open((struct slice){ (const char *)part, cut }, &run) == OK) {
            for (uint64_t top = 0; top < 256; top++)
                if (id_run_bucket(&run, top << 56, &from, &to) == OK) (void)id_run_lower(&run, top << 56, from, to);
        } else {
            refused++;
        }
        free(part);
    }
    cr_assert_gt(refused, len / 2);
    cr_assert_eq(id_run_open((struct slice){ (const char *)bytes, len }, &run), OK);
    memset(bytes, 0xFF, 4);
    cr_assert_eq(id_run_bucket(&run, 0, &from, &to), ERR_CORRUPT);
    free(bytes);
}
