#include <criterion/criterion.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/json.h"

static struct slice text(const char *s)
{
    return (struct slice){ s, strlen(s) };
}

static bool same(struct slice slice, const char *s)
{
    return slice.len == strlen(s) && memcmp(slice.data, s, slice.len) == 0;
}

static bool skips(const char *s, const char *value)
{
    struct slice got;
    return json_skip(s, strlen(s), &got) == OK && same(got, value);
}

static bool no_value(const char *s)
{
    struct slice got = { "untouched", 9 };
    /* a copy that ends with the text, so that a read past it is seen */
    size_t len = strlen(s);
    char *copy = malloc(len + 1);
    memcpy(copy, s, len);
    copy = realloc(copy, len > 0 ? len : 1);
    int err = json_skip(copy, len, &got);
    free(copy);
    return err == ERR_JSON && same(got, "untouched");
}

Test(json, skip_answers_the_value_without_the_space_around)
{
    cr_expect(skips(" \t\r\n12 ,", "12"));
    cr_expect(skips("\"a\\\"b\" x", "\"a\\\"b\""));
    cr_expect(skips("{\"a\":[1,{\"b\":\"]}\"}]}]", "{\"a\":[1,{\"b\":\"]}\"}]}"));
    cr_expect(skips("[ ]", "[ ]"));
    cr_expect(skips("{ \"a\" : null , \"b\" : [ ] }", "{ \"a\" : null , \"b\" : [ ] }"));
    cr_expect(skips("true}", "true"));
}

Test(json, skip_refuses_bad_structure)
{
    static const char *const bad[] = {
        "",           " ",
        "{",          "[",
        "[1",         "[1,",
        "[1,]",       "[,1]",
        "[1 2]",      "{\"a\"}",
        "{\"a\":}",   "{\"a\"",
        "{\"a\":1,",  "{\"a\":1,}",
        "{1:2}",      "{\"a\" 1}",
        "[1}",        "{\"a\":1]",
        "\"abc",      "\"abc\\",
        "\"abc\\\"",  "{\"a\":1 \"b\":2}",
        "]",          "}",
        ",",          ":",
        "[[]",        "{a:1}",
        "[\"a]",      "{\"a:1}",
        "{\"a\"::1}", "{,}",
        "[:]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect(no_value(bad[i]), "%s", bad[i]);
}

Test(json, strings_of_every_length_end_where_they_end)
{
    for (size_t len = 0; len < 100; len++)
        for (size_t mark = 0; mark <= len; mark++) {
            char s[160], want[128];
            int n = snprintf(
                want, sizeof want, "\"%.*s%s%.*s\"", (int)mark,
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                mark < len ? "\\\"" : "", (int)(len - mark),
                "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
            snprintf(s, sizeof s, "%s,\"", want);
            struct slice got;
            cr_assert(json_skip(s, strlen(s), &got) == OK && got.len == (size_t)n, "%s", s);
            char *exact = malloc((size_t)n);
            memcpy(exact, want, (size_t)n);
            cr_assert(json_skip(exact, (size_t)n, &got) == OK && got.len == (size_t)n, "%s", want);
            cr_assert_eq(json_skip(exact, (size_t)n - 1, &got), ERR_JSON, "%s", want);
            free(exact);
        }
}

static char *nested(size_t depth)
{
    char *s = malloc(2 * depth + 1);
    memset(s, '[', depth);
    memset(s + depth, ']', depth);
    s[2 * depth] = '\0';
    return s;
}

Test(json, depth_has_a_limit_and_no_recursion)
{
    char *most = nested(JSON_DEPTH_MAX), *more = nested(JSON_DEPTH_MAX + 1), *far = nested(5000000);
    cr_expect(skips(most, most));
    cr_expect(no_value(more));
    cr_expect(no_value(far));
    free(most);
    free(more);
    free(far);
}

Test(json, a_nest_remembers_which_bracket_is_which)
{
    char s[1024] = "";
    for (int i = 0; i < 130; i++)
        strcat(s, i % 3 == 0 ? "{\"\":" : "[");
    strcat(s, "1");
    for (int i = 129; i >= 0; i--)
        strcat(s, i % 3 == 0 ? "}" : "]");
    cr_expect(skips(s, s));
    s[strlen(s) - 64] ^= ']' ^ '}';
    cr_expect(no_value(s));
}

Test(json, iterates_over_members_in_text_order)
{
    struct json_iter iter;
    struct json_member member;
    cr_assert_eq(json_open(text(" { \"a\" : 1 , \"b\\u0063\":[2] , \"a\":\"x\" } "), &iter), OK);
    cr_assert_eq(json_next(&iter, &member), 1);
    cr_expect(same(member.key, "a") && !member.key_escaped && same(member.value, "1"));
    cr_assert_eq(json_next(&iter, &member), 1);
    cr_expect(same(member.key, "b\\u0063") && member.key_escaped && same(member.value, "[2]"));
    cr_expect(json_key_is(&member, "bc"));
    cr_assert_eq(json_next(&iter, &member), 1);
    cr_expect(same(member.value, "\"x\""));
    cr_expect_eq(json_next(&iter, &member), 0);
    cr_expect_eq(json_next(&iter, &member), 0, "the end stays the end");
}

Test(json, iterates_over_elements_without_keys)
{
    struct json_iter iter;
    struct json_member member;
    cr_assert_eq(json_open(text("[1,[],{}]"), &iter), OK);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(json_next(&iter, &member), 1);
        cr_expect_eq(member.key.len, 0);
    }
    cr_expect_eq(json_next(&iter, &member), 0);
}

Test(json, iterating_over_a_torn_text_ends_in_an_error)
{
    static const char whole[] = "{\"a\":{\"b\":[1,\"x\"]},\"c\":true}";
    for (size_t len = 1; len < sizeof whole - 1; len++) {
        struct json_iter iter;
        struct json_member member;
        int more;
        cr_assert_eq(json_open((struct slice){ whole, len }, &iter), OK);
        while ((more = json_next(&iter, &member)) == 1) {
        }
        cr_expect_eq(more, ERR_JSON, "%zu bytes", len);
        cr_expect_eq(json_next(&iter, &member), ERR_JSON, "an error stays one");
    }
}

Test(json, only_containers_open)
{
    struct json_iter iter;
    cr_expect_eq(json_open(text("\"{}\""), &iter), ERR_JSON);
    cr_expect_eq(json_open(text(""), &iter), ERR_JSON);
    cr_expect_eq(json_open(text("12"), &iter), ERR_JSON);
}

Test(json, find_takes_the_last_of_equal_keys)
{
    struct slice value = { NULL, 0 };
    cr_expect_eq(json_find(text("{\"a\":1,\"b\":2,\"\\u0061\":3}"), "a", &value), 1);
    cr_expect(same(value, "3"));
    cr_expect_eq(json_find(text("{\"a\":1}"), "c", &value), 0);
    cr_expect_eq(json_find(text("{\"a\":1"), "a", &value), ERR_JSON);
    cr_expect_eq(json_find(text("[1]"), "", &value), ERR_JSON);
    cr_expect(same(value, "3"), "untouched");
}

static bool key_is(const char *raw, const char *key)
{
    struct json_member member = { .key = text(raw), .key_escaped = strchr(raw, '\\') != NULL };
    return json_key_is(&member, key);
}

Test(json, keys_are_compared_unescaped)
{
    cr_expect(key_is("type", "type"));
    cr_expect_not(key_is("type", "typ"));
    cr_expect_not(key_is("typ", "type"));
    cr_expect(key_is("t\\u0079pe", "type"));
    cr_expect(key_is("\\u0074\\u0079\\u0070\\u0065", "type"));
    cr_expect_not(key_is("t\\u0079p", "type"));
    cr_expect_not(key_is("t\\u0079pes", "type"));
    cr_expect_not(key_is("t\\x79pe", "type"));
    cr_expect_not(key_is("type\\", "type"));
    cr_expect(key_is("\\ud83d\\ude00", "\xF0\x9F\x98\x80"));
    cr_expect(key_is("__proto__", "__proto__"));
    cr_expect(key_is("", ""));
}

static bool unescapes(const char *raw, const char *want, size_t len)
{
    struct buf out;
    buf_init(&out, 1000);
    bool good =
        json_unescape(text(raw), &out) == OK && out.len == len && (len == 0 || memcmp(out.data, want, len) == 0);
    buf_free(&out);
    return good;
}

Test(json, unescapes_all_that_json_escapes)
{
    cr_expect(unescapes("\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\"", "a\"\\/\b\f\n\r\tz", 10));
    cr_expect(unescapes("no quotes", "no quotes", 9));
    cr_expect(unescapes("\"\"", "", 0));
    cr_expect(unescapes("\\u0000", "\0", 1), "NUL is kept");
    cr_expect(unescapes("\\u00e9\\u20AC", "\xC3\xA9\xE2\x82\xAC", 5));
    cr_expect(unescapes("\\ud83d\\ude00", "\xF0\x9F\x98\x80", 4));
    cr_expect(unescapes("\\udbff\\udfff", "\xF4\x8F\xBF\xBF", 4));
    cr_expect(unescapes("\\ud83d", "\xED\xA0\xBD", 3), "half a pair");
    cr_expect(unescapes("\\ud83d\\ud83d\\ude00", "\xED\xA0\xBD\xF0\x9F\x98\x80", 7));
    cr_expect(unescapes("\\ude00\\ud83d", "\xED\xB8\x80\xED\xA0\xBD", 6), "the wrong way round");
    cr_expect(unescapes("\\ud83dx", "\xED\xA0\xBDx", 4));
}

Test(json, bad_escapes_leave_the_buffer_as_it_was)
{
    static const char *const bad[] = { "abc\\x", "abc\\", "\\u12", "\\u12g4", "a\\u", "\\U0041", "\\u 041" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf out;
        buf_init(&out, 1000);
        buf_puts(&out, "kept");
        cr_expect_eq(json_unescape(text(bad[i]), &out), ERR_JSON, "%s", bad[i]);
        cr_expect_eq(out.len, 4);
        buf_free(&out);
    }
}

Test(json, unescape_respects_the_maximum_of_the_buffer)
{
    struct buf out;
    buf_init(&out, 3);
    cr_expect_eq(json_unescape(text("abcd"), &out), ERR_LIMIT);
    buf_free(&out);
}

Test(json, numbers_are_what_strtod_says)
{
    static const char *const good[] = { "0",
                                        "-0",
                                        "12",
                                        "1795249804573.001",
                                        "9007199254740991",
                                        "9007199254740993",
                                        "1e3",
                                        "1.0E+2",
                                        "5e-324",
                                        "0.1",
                                        "-0.5e-2",
                                        "123456789012345680000",
                                        "0.000000000000000000000000000000000000000000001",
                                        "2.2250738585072011e-308",
                                        "1.7976931348623157e308",
                                        "1e-400",
                                        "179524980457.30011" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        double got = NAN;
        cr_expect(json_number(text(good[i]), &got), "%s", good[i]);
        cr_expect(got == strtod(good[i], NULL) && signbit(got) == signbit(strtod(good[i], NULL)), "%s", good[i]);
    }
}

Test(json, what_is_no_json_number_is_refused)
{
    static const char *const bad[] = { "",      "-",     "+1",     "01",   "-01",      "1.",  ".5", "1e",  "1e+",
                                       "0x10",  "inf",   "nan",    "NaN",  "Infinity", "1_",  "1 ", "--1", "1.2.3",
                                       "1e5.5", "1e400", "-1e400", "true", "\"1\"",    "1,2", "-.5" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double got = 7;
        cr_expect_not(json_number(text(bad[i]), &got), "%s", bad[i]);
        cr_expect_eq(got, 7, "%s", bad[i]);
    }
}

Test(json, random_decimals_are_what_strtod_says)
{
    const char *given = getenv("SLUICE_TEST_SEED");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : 1, state = seed;
    for (int i = 0; i < 200000; i++) {
        char s[64];
        long long whole = (long long)rand_r(&state) << (rand_r(&state) % 20);
        snprintf(s, sizeof s, "%lld.%0*d", whole, 1 + rand_r(&state) % 9, rand_r(&state) % 1000);
        if (i % 3 == 0) snprintf(s, sizeof s, "%lld", whole * (1 + rand_r(&state) % 1000));
        double got = NAN;
        cr_assert(json_number(text(s), &got) && got == strtod(s, NULL), "seed %u: %s", seed, s);
    }
}

Test(json, a_number_with_very_many_digits)
{
    size_t len = 100000;
    char *s = malloc(len + 1);
    memset(s, '9', len);
    s[1] = '.';
    s[len] = '\0';
    double got = 0;
    cr_expect(json_number(text(s), &got));
    cr_expect_eq(got, 10);
    free(s);
}

Test(json, truth_is_javascripts)
{
    static const char *const falsy[] = { "false", "null", "0", "-0", "0.0", "0e7", "1e-400", "\"\"" };
    static const char *const truthy[] = {
        "true", "1", "-1", "0.1", "\"0\"", "\" \"", "\"false\"", "[]", "{}", "5e-324"
    };
    for (size_t i = 0; i < sizeof falsy / sizeof *falsy; i++)
        cr_expect_not(json_truthy(text(falsy[i])), "%s", falsy[i]);
    for (size_t i = 0; i < sizeof truthy / sizeof *truthy; i++)
        cr_expect(json_truthy(text(truthy[i])), "%s", truthy[i]);
}

Test(json, is_string)
{
    cr_expect(json_is_string(text("\"\"")));
    cr_expect_not(json_is_string(text("\"")));
    cr_expect_not(json_is_string(text("{}")));
    cr_expect_not(json_is_string(text("")));
}
