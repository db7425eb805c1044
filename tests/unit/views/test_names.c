#include <criterion/criterion.h>
#include <string.h>

#include "views/view_names.h"

static enum name_match match(const char *typed, const char *name)
{
    struct folded_name a, b;
    name_fold((struct slice){ typed, strlen(typed) }, false, &a);
    name_fold((struct slice){ name, strlen(name) }, true, &b);
    return name_matches(&a, &b);
}

Test(names, best_match_first)
{
    cr_assert_eq(match("Alice", "alice"), NAME_EXACT);
    cr_assert_eq(match("ali", "Álice Smith"), NAME_BEGINS);
    cr_assert_eq(match("smi", "Alice Smith"), NAME_WORD);
    cr_assert_eq(match("alice sm", "Alice (Smith)"), NAME_BEGINS);
    cr_assert_eq(match("bob", "alice"), NAME_NONE);
    cr_assert_eq(match("", "alice"), NAME_NONE);
    cr_assert_eq(match("!", "!"), NAME_NONE);
    cr_assert_eq(match("猫", "猫犬"), NAME_BEGINS);
    cr_assert_eq(match("猫犬", "猫犬鳥"), NAME_BEGINS);
}

Test(names, one_mistake_or_two_in_long_names)
{
    cr_assert_eq(match("alcie", "alice"), NAME_NEAR);
    cr_assert_eq(match("allice", "alice"), NAME_NEAR);
    cr_assert_eq(match("alce", "alice"), NAME_NEAR);
    cr_assert_eq(match("alxce", "Dr Alice"), NAME_NEAR);
    cr_assert_eq(match("axce", "alice"), NAME_NONE);
    cr_assert_eq(match("blice", "alice"), NAME_NONE);
    cr_assert_eq(match("ax", "al"), NAME_NONE);
    cr_assert_eq(match("alexnadrr", "alexander"), NAME_NEAR);
    cr_assert_eq(match("björm", "bjorn"), NAME_NEAR);
}

Test(names, long_names_are_cut_at_a_character)
{
    char name[600];
    for (size_t i = 0; i < 596; i += 4)
        memcpy(name + i, "ж б", 4);
    name[596] = '\0';
    struct folded_name folded;
    name_fold((struct slice){ name, strlen(name) }, false, &folded);
    cr_assert(folded.len <= NAME_BYTES_MAX && folded.part_count == NAME_PARTS_MAX);
    cr_assert_eq(match(name, name), NAME_EXACT);
}
