#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "server/plain.h"
#include "server/rows.h"
#include "server/text.h"
#include "tests/support/scratch.h"

static void shown(const char *stored, size_t len, const char *expected)
{
    struct buf out;
    struct log_record record = { 12, { stored, len } };
    buf_init(&out, 1 << 20);
    cr_assert_eq(record_print(&record, &out), OK);
    cr_assert_eq(out.len, strlen(expected), "%.*s instead of %s", (int)out.len, out.data, expected);
    cr_assert_eq(memcmp(out.data, expected, out.len), 0, "%.*s instead of %s", (int)out.len, out.data, expected);
    buf_free(&out);
}

static void shown_text(const char *stored, const char *expected)
{
    shown(stored, strlen(stored), expected);
}

Test(record, puts_seq_in_front_of_the_stored_bytes)
{
    shown_text("{\"key\":\"%a\",\"value\":{\"n\":1.50,\"n\":2},\"timestamp\":3}",
               "{\"seq\":12,\"key\":\"%a\",\"value\":{\"n\":1.50,\"n\":2},\"timestamp\":3}");
}

Test(record, makes_one_line_of_many)
{
    shown_text("{\n  \"key\": 1,\r\n  \"value\": \"a\\nb\"\n}\n",
               "{\"seq\":12,   \"key\": 1,    \"value\": \"a\\nb\" }");
}

Test(record, wraps_json_without_a_key_in_front)
{
    shown_text("[1,2]", "{\"seq\":12,\"value\":[1,2]}");
    shown_text("{}", "{\"seq\":12,\"value\":{}}");
    shown_text("{\"keys\":1}", "{\"seq\":12,\"value\":{\"keys\":1}}");
    shown_text("null", "{\"seq\":12,\"value\":null}");
}

Test(record, shows_what_is_no_json_as_base64)
{
    shown_text("{\"key\":tru}", "{\"seq\":12,\"base64\":\"eyJrZXkiOnRydX0=\"}");
    shown("\0\1", 2, "{\"seq\":12,\"base64\":\"AAE=\"}");
    shown("\"\xff\"", 3, "{\"seq\":12,\"base64\":\"Iv8i\"}");
}

/* What the owner of an encrypted message sees of it is another record, which is not this one's affair. */
Test(record, an_encrypted_message_says_how_it_is)
{
    static const char stored[] = "{\"key\":\"%a\",\"value\":{\"content\":\"AAAA.box2\"},\"timestamp\":3}";
    struct server server = { .plain = NULL };
    struct log_record record = { 12, { stored, sizeof stored - 1 } };
    struct buf out;
    buf_init(&out, 1 << 20);
    cr_assert_eq(plain_open(&server.plain), OK);
    for (int i = 0; i < 2; i++) {
        buf_reset(&out);
        cr_assert_eq(record_show(&server, NULL, &record, &out), OK);
        cr_assert_eq(buf_append(&out, "", 1), OK);
        cr_assert_str_eq(out.data,
                         "{\"seq\":12,\"encrypted\":\"box2\",\"key\":\"%a\",\"value\":{\"content\":\"AAAA.box2\"},"
                         "\"timestamp\":3}");
    }
    plain_free(server.plain);
    buf_free(&out);
}

Test(record, grows_no_further_than_its_buffer_may)
{
    struct buf out;
    struct log_record record = { 1, SLICE_LITERAL("\"0123456789012345678901234567890123456789\"") };
    buf_init(&out, 20);
    cr_assert_eq(record_print(&record, &out), ERR_LIMIT);
    buf_free(&out);
}

Test(json_valid, knows_json_from_what_looks_like_it)
{
    static const char *const good[] = { "0",
                                        "-0",
                                        "1.5e-3",
                                        "\"\\u00e9\\n\"",
                                        " [ ] ",
                                        "{ }",
                                        "[[],{}]",
                                        "{\"a\":[1,{\"b\":null}],\"c\":true}",
                                        "\"\xc3\xa9\xf0\x9f\x98\x80\"" };
    static const char *const bad[] = { "",
                                       " ",
                                       "01",
                                       "1.",
                                       ".5",
                                       "+1",
                                       "1e",
                                       "tru",
                                       "nulll",
                                       "\"",
                                       "\"\\x\"",
                                       "\"\\u12\"",
                                       "\"\t\"",
                                       "[1,]",
                                       "[,1]",
                                       "{\"a\"}",
                                       "{\"a\":1,}",
                                       "{a:1}",
                                       "[1}",
                                       "{\"a\":1]",
                                       "[",
                                       "]",
                                       "1 2",
                                       "\"\xc0\x80\"",
                                       "\"\xed\xa0\x80\"",
                                       "\"\xf4\x90\x80\x80\"",
                                       "\"\xe2\x82\"" };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        cr_expect(json_valid((struct slice){ good[i], strlen(good[i]) }), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect(!json_valid((struct slice){ bad[i], strlen(bad[i]) }), "%s", bad[i]);
}

Test(json_valid, refuses_what_is_nested_too_deep)
{
    char *deep = malloc(100000);
    memset(deep, '[', 100000);
    cr_assert(!json_valid((struct slice){ deep, 100000 }));
    memset(deep + 4000, ']', 4000);
    cr_assert(json_valid((struct slice){ deep, 8000 }));
    free(deep);
}

Test(json_valid, tells_whether_a_text_stands_on_one_line)
{
    bool one_line = false;
    cr_expect(json_valid_look(SLICE_LITERAL("{\"a\\n\": [\t1 ]}"), &one_line) && one_line);
    static const char *const lines[] = { "\n1", "1\r", "{\n}", "{\"a\"\n:1}", "{\"a\":\r1}", "[1\n,2]", "[1,\n2]" };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        cr_expect(json_valid_look((struct slice){ lines[i], strlen(lines[i]) }, &one_line) && !one_line, "%zu", i);
}

/* A record with one byte changed to what matters to JSON, wherever it stands: strings longer than a vector, too. */
Test(json_valid, one_changed_byte_is_judged_as_a_parser_does)
{
    static const char record[] =
        "{\"key\":\"%zUVL4xBPMQ+vqG3QStp7m+qPM1o7exoGqjImNnaNWnM=.sha256\",\"value\":{\"previous\":null,"
        "\"sequence\":12,\"timestamp\":1420070390666.5,\"content\":{\"type\":\"post\",\"text\":"
        "\"a \xc3\xa9 \\u00e9 \\\"quoted\\\" text\",\"list\":[1,-2.5e3,{},[],true]}},\"timestamp\":1420070400260}";
    static const char bytes[] = "\"\\{}[],: 0-.\n\x1f\x80\xc3\xffx";
    char text[sizeof record];
    memcpy(text, record, sizeof record);
    cr_assert(json_valid((struct slice){ text, sizeof record - 1 }));
    for (size_t i = 0; i < sizeof record - 1; i++) {
        for (size_t k = 0; k < sizeof bytes - 1; k++) {
            text[i] = bytes[k];
            json_t *doc = json_loadb(text, sizeof record - 1, JSON_DECODE_ANY, NULL);
            cr_expect_eq(json_valid((struct slice){ text, sizeof record - 1 }), doc != NULL, "%s", text);
            json_decref(doc);
        }
        text[i] = record[i];
    }
}

/* Random texts from the alphabet of JSON, judged by jansson too. */
Test(json_valid, agrees_with_a_parser)
{
    static const char *const pieces[] = { "{",     "}",    "[", "]",  ",",           ":",
                                          "\"a\"", "1",    "-", "0",  ".5",          "e-1",
                                          "true",  "null", " ", "\n", "\"\\u0041\"", "\"\xc3\xa9\"",
                                          "\"",    "\\" };
    struct dice dice = dice_make();
    size_t valid = 0;
    for (int round = 0; round < 20000; round++) {
        char text[128] = "";
        for (uint64_t n = dice_roll(&dice, 9); n > 0; n--)
            strcat(text, pieces[dice_roll(&dice, sizeof pieces / sizeof pieces[0])]);
        json_t *doc = json_loads(text, JSON_DECODE_ANY, NULL);
        bool ours = json_valid((struct slice){ text, strlen(text) });
        cr_assert_eq(ours, doc != NULL, "%s, seed %llu", text, (unsigned long long)dice.seed);
        valid += ours;
        json_decref(doc);
    }
    cr_assert_gt(valid, 100, "seed %llu", (unsigned long long)dice.seed);
}
