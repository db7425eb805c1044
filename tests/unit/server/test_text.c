#include <criterion/criterion.h>
#include <string.h>

#include "server/text.h"

static struct slice of(const char *text)
{
    return (struct slice){ text, strlen(text) };
}

Test(text, numbers_have_one_spelling)
{
    int64_t n = 7;
    cr_assert(text_int(of("0"), 0, 10, &n));
    cr_assert_eq(n, 0);
    cr_assert(text_int(of("-1"), -1, 10, &n));
    cr_assert_eq(n, -1);
    cr_assert(text_int(of("9007199254740991"), 0, INT64_MAX, &n));
    cr_assert_eq(n, INT64_C(9007199254740991));
    static const char *const bad[] = {
        "", "-", "-0", "01", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "11", "-2", "99999999999999999999"
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect(!text_int(of(bad[i]), -1, 10, &n), "%s", bad[i]);
}

Test(text, words_and_space)
{
    bool yes = false;
    cr_assert(text_bool(of("true"), &yes));
    cr_assert(yes);
    cr_assert(text_bool(of("false"), &yes));
    cr_assert(!yes);
    cr_assert(!text_bool(of("True"), &yes));
    cr_assert(text_is_nocase(of("Application/JSON"), "application/json"));
    cr_assert(!text_is((struct slice){ NULL, 0 }, ""));
    cr_assert(text_is(text_trim(of(" \t\r\n a b \n")), "a b"));
    cr_assert_eq(text_trim(of("  ")).len, 0);
}

Test(text, a_query_value_holds_no_delimiter)
{
    struct buf out;
    buf_init(&out, 200);
    text_put_query(&out, of("@a+b/c=&d%\xc3\xa9-._~"));
    cr_assert(text_is((struct slice){ out.data, out.len }, "%40a%2Bb%2Fc%3D%26d%25%C3%A9-._~"));
    buf_free(&out);
}

Test(text, json_that_is_none_becomes_null)
{
    struct buf out;
    buf_init(&out, 200);
    json_put_valid(&out, of("[1,\n2]"));
    json_put_valid(&out, of("tru"));
    text_put_json(&out, (struct slice){ NULL, 0 });
    text_put_ref(&out, &(struct ref){ .kind = REF_NONE });
    cr_assert(text_is((struct slice){ out.data, out.len }, "[1, 2]nullnullnull"));
    buf_free(&out);
}

Test(text, prints_every_number)
{
    char room[TEXT_INT_MAX];
    static const struct {
        int64_t n;
        const char *text;
    } cases[] = { { 0, "0" },
                  { -1, "-1" },
                  { 1234567890, "1234567890" },
                  { INT64_MAX, "9223372036854775807" },
                  { INT64_MIN, "-9223372036854775808" } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_expect(text_is(text_of_int(cases[i].n, room), cases[i].text), "%s", cases[i].text);
}
