#include <criterion/criterion.h>
#include <string.h>

#include "views/words.h"

/* All words of the text, each with a space behind it; a tail has a ~ in front. */
static void expect_of(struct slice text, bool escaped, const char *expected)
{
    char found[1024] = "";
    size_t used = 0;
    struct words words;
    struct word word;
    words_open(text, escaped, &words);
    while (words_next(&words, &word)) {
        cr_assert(word.begin < word.end && word.end <= text.len);
        if (word.tail) found[used++] = '~';
        memcpy(found + used, word.text, word.len);
        used += word.len;
        found[used++] = ' ';
    }
    found[used] = '\0';
    cr_assert_str_eq(found, expected, "%.*s: %s", (int)text.len, text.data, found);
}

static void expect(const char *text, const char *expected)
{
    expect_of((struct slice){ text, strlen(text) }, false, expected);
}

static void expect_json(const char *text, const char *expected)
{
    expect_of((struct slice){ text, strlen(text) }, true, expected);
}

Test(words, runs_of_letters_and_digits)
{
    expect("Hello, World-wide 2024!", "hello world wide 2024 ");
    expect("don't snake_case a.b", "don t snake case a b ");
    expect("", "");
    expect(" ...!? ", "");
}

Test(words, case_width_and_accents_do_not_matter)
{
    expect("CAFÉ cafe\xCC\x81 Straße STRASSE ΣΊΣΥΦΟΣ σίσυφος", "cafe cafe strasse strasse σισυφοσ σισυφοσ ");
    expect("Ёлка ｆｕｌｌ ﬁsh İ", "елка full fish i ");
    expect("שָׁלוֹם مُحَمَّد", "שלום محمد ");
}

Test(words, marks_of_other_scripts_stay)
{
    expect("हिन्दी", "हिन्दी ");
    /* syllables come apart, however they were written, so that one begins with its letters */
    expect("한", "\u1112\u1161\u11ab ");
    expect("\u1112\u1161\u11ab", "\u1112\u1161\u11ab ");
}

Test(words, scripts_without_spaces_come_in_pairs)
{
    expect("猫", "猫 ");
    expect("猫犬", "猫犬 ~犬 ");
    expect("ssb猫犬鳥!猫", "ssb 猫犬 犬鳥 ~鳥 猫 ");
    expect("カナ ｶﾅ", "カナ ~ナ カナ ~ナ ");
    expect("กี่", "กี่ ");
    expect("🦀🐚", "🦀🐚 ~🐚 ");
    expect("👍🏽", "👍 ");
}

Test(words, references_are_passed_over)
{
    expect("see %AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256 and 100% @ada &c", "see and 100 ada c ");
}

Test(words, escapes_of_json)
{
    expect_json("a\\u0062c\\nde\\\"f \\ud83e\\udd80 \\u00C9 \\\\x", "abc de f 🦀 e x ");
    expect_json("a\\ud83eb \\u12 \\", "a b 12 ");
}

Test(words, bytes_that_are_no_utf8_part_words)
{
    expect("a\xFFz b\xC3", "a z b ");
    expect("\xED\xA0\x80q", "q ");
}

Test(words, long_words_are_cut)
{
    char text[200], expected[WORD_MAX + 2];
    memset(text, 'a', sizeof text);
    memset(expected, 'a', WORD_MAX);
    memcpy(expected + WORD_MAX, " ", 2);
    expect_of((struct slice){ text, sizeof text }, false, expected);
}
