#include <criterion/criterion.h>
#include <string.h>

#include "store/err.h"
#include "tests/support/scratch.h"
#include "views/view.h"

static struct term term_of(const char *text, size_t len)
{
    struct term term;
    term_of_string(text, len, &term);
    return term;
}

Test(term, of_a_reference_is_kind_and_id)
{
    struct ref ref = { .kind = REF_BLOB };
    struct term term;
    memset(ref.id, 7, sizeof ref.id);
    term_of_ref(&ref, &term);
    cr_assert_eq(term.len, 33);
    cr_assert_eq(term.bytes[0], '&');
    cr_assert_eq(memcmp(term.bytes + 1, ref.id, 32), 0);
}

Test(term, of_a_short_string_is_its_text_and_a_nul)
{
    struct term term = term_of("post", 4);
    struct slice text;
    cr_assert_eq(term.len, 5);
    cr_assert_eq(memcmp(term.bytes, "post", 5), 0);
    cr_assert(term_text(&term, &text) && text.len == 4);
    term = term_of(NULL, 0);
    cr_assert(term.len == 1 && term_text(&term, &text) && text.len == 0);
}

Test(term, long_strings_differ_by_their_hash)
{
    char a[5000], b[5000];
    struct slice text;
    memset(a, 'x', sizeof a);
    memcpy(b, a, sizeof b);
    b[4999] = 'y';
    struct term left = term_of(a, sizeof a), right = term_of(b, sizeof b), same = term_of(a, sizeof a);
    cr_assert(term_equal(&left, &same));
    cr_assert_not(term_equal(&left, &right));
    cr_assert_eq(memcmp(left.bytes, a, 150), 0);
    cr_assert_not(term_text(&left, &text));
}

Test(term, strings_that_only_differ_behind_a_nul_differ)
{
    struct term plain = term_of("a", 1), one = term_of("a\0b", 3), other = term_of("a\0c", 3), cut = term_of("a\1", 2);
    cr_assert_not(term_equal(&plain, &one));
    cr_assert_not(term_equal(&one, &other));
    cr_assert_not(term_equal(&one, &cut));
}

Test(term, a_string_that_looks_like_a_cut_one_is_another)
{
    struct term cut = term_of("a\0b", 3), forged = term_of((const char *)cut.bytes, (size_t)(cut.len - 1));
    cr_assert_not(term_equal(&cut, &forged));
}

/* Random strings over few bytes, so that they often begin alike. */
static size_t random_text(struct dice *dice, char text[400])
{
    static const char bytes[] = { 'a', 'b', 0, 1, (char)0xFF };
    size_t len = dice_roll(dice, 3) == 0 ? 140 + dice_roll(dice, 30) : dice_roll(dice, 4);
    for (size_t i = 0; i < len; i++)
        text[i] = i + 4 < len ? 'a' : bytes[dice_roll(dice, sizeof bytes)];
    return len;
}

Test(term, none_begins_another_one_and_equal_ones_come_of_equal_strings)
{
    struct dice dice = dice_make();
    for (int round = 0; round < 20000; round++) {
        char left[400], right[400];
        size_t left_len = random_text(&dice, left), right_len = random_text(&dice, right);
        struct term a = term_of(left, left_len), b = term_of(right, right_len);
        bool same = left_len == right_len && memcmp(left, right, left_len) == 0;
        size_t len = a.len < b.len ? a.len : b.len;
        cr_assert_eq(term_equal(&a, &b), same, "SLUICE_TEST_SEED=%llu", (unsigned long long)dice.seed);
        cr_assert_eq(memcmp(a.bytes, b.bytes, len) == 0, same, "SLUICE_TEST_SEED=%llu", (unsigned long long)dice.seed);
    }
}

static void same_term_from(const char *text, size_t len, const struct term *expected)
{
    struct term term;
    term_of_text(text, len, &term);
    cr_expect(term_equal(&term, expected), "%.*s", (int)len, text);
}

Test(term, is_made_again_of_its_own_text)
{
    static const char *const names[] = { "", "post", "a\x01z", "b", "\x01", "0123456789abcdef0123456789abcdef" };
    char longer[400];
    memset(longer, 'l', sizeof longer);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct term term = term_of(names[i], strlen(names[i]));
        same_term_from((const char *)term.bytes, (size_t)term.len - 1, &term);
        same_term_from(names[i], strlen(names[i]), &term);
    }
    for (size_t len = 148; len < 153; len++) {
        struct term term = term_of(longer, len);
        same_term_from((const char *)term.bytes, (size_t)term.len - 1, &term);
        same_term_from(longer, len, &term);
    }
    struct term zero = term_of("a\0b", 3), like = term_of((const char *)zero.bytes, (size_t)zero.len - 1);
    same_term_from((const char *)zero.bytes, (size_t)zero.len - 1, &zero);
    cr_expect_not(term_equal(&zero, &like), "a string that looks like a term is another");
}
