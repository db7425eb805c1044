#include <criterion/criterion.h>

#include <string.h>

#include "server/sent.h"

static void expect_slice(struct slice slice, const char *expected)
{
    if (expected == NULL)
        cr_expect_null(slice.data);
    else
        cr_expect(slice.len == strlen(expected) && memcmp(slice.data, expected, slice.len) == 0, "%.*s is not %s",
                  (int)slice.len, slice.data, expected);
}

static void expect_sent(const char *text, const char *value, const char *key, const char *timestamp)
{
    struct sent sent;
    sent_read((struct slice){ text, strlen(text) }, &sent);
    expect_slice(sent.value, value);
    expect_slice(sent.key, key);
    expect_slice(sent.timestamp, timestamp);
}

Test(sent, a_record_is_taken_apart)
{
    expect_sent("{\"key\":\"%k\",\"value\":{\"author\":1},\"timestamp\":1.5}", "{\"author\":1}", "\"%k\"", "1.5");
    expect_sent("{ \"value\" : [1] }", "[1]", NULL, NULL);
    expect_sent("{\"value\":1,\"value\":2}", "2", NULL, NULL);
    expect_sent("{\"v\\u0061lue\":3}", "3", NULL, NULL);
}

Test(sent, what_has_an_author_is_a_message_wherever_it_stands)
{
    static const char *const texts[] = {
        "{\"author\":1,\"value\":2,\"key\":3}",
        "{\"key\":3,\"value\":2,\"timestamp\":4,\"author\":1}",
        "{\"a\\u0075thor\":1,\"value\":2}",
        "{\"key\":3,\"timestamp\":4}",
        "{}",
        "[]",
        "1",
        "",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect_sent(texts[i], texts[i], NULL, NULL);
}

/* The rules of the feed then say what is wrong with it, and at which byte. */
Test(sent, what_is_not_json_is_passed_on_whole)
{
    static const char *const texts[] = {
        "{",
        "{\"value\":1",
        "{\"value\":1,}",
        "{\"value\" 1}",
        "{\"value\":1}x",
        "{\"value\":1}}",
        "{\"value\":1} {\"value\":1}",
        "{\"value\":{\"a\":1}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect_sent(texts[i], texts[i], NULL, NULL);
}
