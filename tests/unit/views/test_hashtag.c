#include <criterion/criterion.h>
#include <string.h>

#include "views/hashtag.h"

/* All hashtags in the text, each with a space behind it. */
static void expect(const char *json, const char *tags)
{
    char found[512] = "", tag[HASHTAG_BYTES_MAX];
    const struct slice text = { json, strlen(json) };
    size_t len, used = 0;
    for (size_t at = 0; hashtag_next(text, &at, tag, &len); found[used++] = ' ') {
        memcpy(found + used, tag, len);
        used += len;
    }
    found[used] = '\0';
    cr_assert_str_eq(found, tags, "%s: %s", json, found);
}

Test(hashtag, strings_that_are_one)
{
    expect("{\"link\":\"#ssb\"}", "#ssb ");
    expect("[\"#a\",[\"#b\"],{\"x\":\"#c\"}]", "#a #b #c ");
    expect("\"#\\u00e9\\ud83d\\ude00\"", "#é😀 ");
}

Test(hashtag, text_around_it_makes_it_none)
{
    expect("[\"#a b\",\"##\",\"#\",\" #a\",\"#a#\",\"#a\\u00a0\",\"#a\\n\"]", "");
    expect("{\"text\":\"see \\\"#a\\\" and \\\\\"}", "");
    expect("[\"\\\\\",\"#a\"]", "#a ");
}

Test(hashtag, keys_are_none)
{
    expect("{\"#a\":1,\"#b\" :\"#c\"}", "#c ");
}

Test(hashtag, at_its_longest)
{
    expect("\"#1234567890123456789012345678\"", "#1234567890123456789012345678 ");
    expect("\"#12345678901234567890123456789\"", "");
    expect("\"#12345678901234567890123456\\ud83d\\ude00\"", "#12345678901234567890123456😀 ");
    expect("\"#123456789012345678901234567\\ud83d\\ude00\"", "");
}

Test(hashtag, bytes_that_are_no_json_end_it)
{
    expect("\"#abc", "");
    expect("\"#", "");
    expect("\"#\\", "");
    expect("\"#a\\\"", "");
}
