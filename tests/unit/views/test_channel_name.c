#include <criterion/criterion.h>
#include <string.h>

#include "views/channel_name.h"

static void expect(const char *text, const char *name)
{
    char out[CHANNEL_BYTES_MAX];
    size_t len = channel_normalize(text, strlen(text), out);
    cr_assert(len == strlen(name) && memcmp(out, name, len) == 0, "%s: %.*s instead of %s", text, (int)len, out, name);
}

/* Expected values are those of the same steps in JavaScript: toLowerCase, replace, substring. */
Test(channel_name, is_made_equal_as_ssb_ref_does_it)
{
    expect("#Foo Bar!(x)", "foobarx");
    expect("ÅÄÖ-é_😀", "åäö-é_😀");
    expect("", "");
    expect("# \t\n\"[]<>().,?!\u00a0\u3000\ufeff", "");
    expect("abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghijklmnopqrstuvwxyz0123");
}

Test(channel_name, lower_case_beyond_ascii)
{
    expect("ПРИВЕТ", "привет");
    expect("ŁÓDŹ", "łódź");
    expect("ΟΔΟΣ ΟΔΟΣΑ Σ", "οδοςοδοσασ");
    expect("ΟΔΟΣ", "οδος");
    expect("İstanbul", "i̇stanbul");
    expect("𐐀ẞǄ", "𐐨ßǆ");
    expect("日本", "日本");
}

Test(channel_name, a_pair_at_the_limit_leaves_its_first_half)
{
    expect("aaaaaaaaaaaaaaaaaaaaaaaaaaaaa😀", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xED\xA0\xBD");
    expect("aaaaaaaaaaaaaaaaaaaaaaaaaaaa😀", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa😀");
}

Test(channel_name, bytes_that_are_no_text_become_the_replacement_character)
{
    expect("a\xFF\xC3", "a\uFFFD\uFFFD");
    expect("\xC0\x80", "\uFFFD\uFFFD");
    expect("\xF4\x90\x80\x80z", "\uFFFD\uFFFD\uFFFD\uFFFDz");
}

Test(channel_name, lower_case_has_no_lower_case)
{
    for (uint32_t c = 0; c < 0x110000; c++)
        cr_assert_eq(channel_lowercase(channel_lowercase(c)), channel_lowercase(c), "U+%04X", c);
}
