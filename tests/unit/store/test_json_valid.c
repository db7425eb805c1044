#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "store/json_valid.h"
#include "tests/support/scratch.h"

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
    struct json_look look = { .one_line = false };
    cr_expect(json_valid_look(SLICE_LITERAL("{\"a\\n\": [\t1 ]}"), &look) && look.one_line);
    static const char *const lines[] = { "\n1", "1\r", "{\n}", "{\"a\"\n:1}", "{\"a\":\r1}", "[1\n,2]", "[1,\n2]" };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        cr_expect(json_valid_look((struct slice){ lines[i], strlen(lines[i]) }, &look) && !look.one_line, "%zu", i);
}

Test(json_valid, tells_the_members_of_the_object_itself)
{
    static const struct {
        const char *text;
        size_t members;
        const char *second, *last; /* their first four characters */
    } objects[] = {
        { "{\"a\":1}", 1, NULL, NULL },
        { "[{\"a\":1,\"b\":2}]", 1, NULL, NULL },
        { "{\"a\":1,\"b\":2}", 2, "\"b\":", "\"b\":" },
        { "{\"a\":{\"b\":1,\"c\":[1,2,{\"d\":1,\"e\":2}]},\"f\":[3,4]}", 2, "\"f\":", "\"f\":" },
        { " {\"a\":[], \"b\":{} ,\"c\":\",,,\"}\n", 3, " \"b\"", "\"c\":" },
    };
    for (size_t i = 0; i < sizeof objects / sizeof objects[0]; i++) {
        struct json_look look;
        cr_assert(json_valid_look((struct slice){ objects[i].text, strlen(objects[i].text) }, &look));
        cr_expect_eq(look.members, objects[i].members, "%s", objects[i].text);
        cr_expect(objects[i].last == NULL ? look.last == NULL : strncmp(look.last, objects[i].last, 4) == 0);
        cr_expect(objects[i].last == NULL ? look.second == NULL : strncmp(look.second, objects[i].second, 4) == 0);
    }
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
