#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "tests/support/scratch.h"
#include "views/index_keys.h"

#define KEYS 3000

static struct slice key_of(char text[64], unsigned n)
{
    int len = snprintf(text, 64, "%s%u%s", n % 3 == 0 ? "the same beginning " : "", n, n % 5 == 0 ? " and an end" : "");
    return (struct slice){ text, (size_t)len };
}

Test(index_keys, numbers_keys_as_they_come_and_finds_them_again)
{
    struct index_keys keys;
    char text[64];
    uint32_t id;
    index_keys_init(&keys, 0);
    for (unsigned round = 0; round < 2; round++)
        for (unsigned n = 0; n < KEYS; n++) {
            cr_assert_eq(index_keys_add(&keys, key_of(text, n), &id), OK);
            cr_assert_eq(id, n);
        }
    cr_assert_eq(keys.count, KEYS);
    struct slice got = index_keys_get(&keys, 15), expected = key_of(text, 15);
    cr_assert(got.len == expected.len && memcmp(got.data, expected.data, got.len) == 0);
    index_keys_reset(&keys);
    cr_assert_eq(index_keys_add(&keys, key_of(text, 9), &id), OK);
    cr_assert_eq(id, 0);
    index_keys_free(&keys);
}

Test(index_keys, keeps_what_the_owner_adds_to_a_key)
{
    struct index_keys keys;
    char text[64];
    index_keys_init(&keys, sizeof(uint64_t));
    for (unsigned round = 1; round <= 3; round++)
        for (unsigned n = 0; n < KEYS; n++) {
            uint32_t id;
            uint64_t sum;
            struct slice key = key_of(text, n);
            uint32_t hash = index_keys_hash(&keys, key);
            index_keys_fetch_slot(&keys, hash);
            index_keys_fetch_record(&keys, hash);
            cr_assert_eq(index_keys_add_hashed(&keys, key, hash, &id), OK);
            cr_assert_eq(id, n);
            memcpy(&sum, index_keys_extra(&keys, id), sizeof sum);
            cr_assert_eq(sum, (uint64_t)(round - 1) * n);
            sum += n;
            memcpy(index_keys_extra(&keys, id), &sum, sizeof sum);
        }
    index_keys_free(&keys);
}

static int compare(struct slice a, struct slice b)
{
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

Test(index_keys, sorts_by_bytes)
{
    struct index_keys keys;
    struct index_sort *order;
    struct dice dice = dice_make();
    char text[64];
    uint32_t id;
    index_keys_init(&keys, 0);
    for (unsigned n = 0; n < KEYS; n++)
        cr_assert_eq(index_keys_add(&keys, key_of(text, (unsigned)dice_roll(&dice, 100000)), &id), OK);
    cr_assert_eq(index_keys_add(&keys, (struct slice){ "\xFF\x00", 2 }, &id), OK);
    cr_assert_eq(index_keys_add(&keys, (struct slice){ "\xFF", 1 }, &id), OK);
    cr_assert_eq(index_keys_sort(&keys, &order), OK);
    for (size_t i = 1; i < keys.count; i++)
        cr_assert(
            compare(index_keys_get(&keys, (uint32_t)order[i - 1].id), index_keys_get(&keys, (uint32_t)order[i].id)) < 0,
            "SLUICE_TEST_SEED=%llu", (unsigned long long)dice.seed);
    free(order);
    index_keys_free(&keys);
}

Test(index_keys, refuses_a_key_that_no_table_takes)
{
    struct index_keys keys;
    static const char text[600];
    uint32_t id;
    index_keys_init(&keys, 0);
    cr_assert_eq(index_keys_add(&keys, (struct slice){ text, 600 }, &id), ERR_LIMIT);
    cr_assert_eq(keys.count, 0);
    index_keys_free(&keys);
}

Test(index_keys, radix_sort_keeps_equal_ones_in_order)
{
    struct index_sort items[2000], spare[2000];
    struct dice dice = dice_make();
    for (uint32_t i = 0; i < 2000; i++)
        items[i] = (struct index_sort){ dice_roll(&dice, 50) << (8 * dice_roll(&dice, 2) * 7), i };
    index_radix_sort(items, spare, 2000);
    for (size_t i = 1; i < 2000; i++)
        cr_assert(items[i - 1].prefix < items[i].prefix ||
                      (items[i - 1].prefix == items[i].prefix && items[i - 1].id < items[i].id),
                  "SLUICE_TEST_SEED=%llu", (unsigned long long)dice.seed);
    index_radix_sort(items, spare, 0);
}
