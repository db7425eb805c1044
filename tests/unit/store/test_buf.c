#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "store/buf.h"
#include "store/err.h"

static void expect_text(struct buf *buf, const char *text)
{
    cr_expect(buf->err == OK && buf->len == strlen(text) && memcmp(buf->data, text, buf->len) == 0, "%.*s != %s",
              (int)buf->len, buf->data, text);
}

static struct buf made(size_t max)
{
    struct buf buf;
    buf_init(&buf, max);
    return buf;
}

Test(buf, appends_of_every_kind_follow_each_other)
{
    struct buf buf = made(1000);
    (void)buf_append(&buf, "abc", 2);
    (void)buf_append(&buf, NULL, 0);
    (void)buf_putc(&buf, '-');
    (void)buf_puts(&buf, "text");
    (void)buf_printf(&buf, "%d%s", 7, "!");
    expect_text(&buf, "ab-text7!");
    buf_free(&buf);
    buf_free(NULL);
}

Test(buf, what_does_not_fit_into_lent_memory_moves)
{
    char lent[16];
    struct buf buf;
    buf_lend(&buf, lent, sizeof lent, 40);
    (void)buf_puts(&buf, "0123456789abcdef");
    cr_expect(buf.lent && buf.data == lent, "it fits to the last byte");
    (void)buf_puts(&buf, "ghij");
    cr_expect(!buf.lent && buf.data != lent);
    expect_text(&buf, "0123456789abcdefghij");
    cr_expect_eq(buf_append(&buf, "0123456789abcdefghijk", 21), ERR_LIMIT);
    buf_free(&buf);
    buf_lend(&buf, lent, sizeof lent, 40);
    (void)buf_putc(&buf, 'x');
    buf_free(&buf);
    cr_expect(buf.data == NULL && lent[0] == 'x', "what is lent is not given back");
}

Test(buf, integers_are_decimal_to_both_ends)
{
    static const int64_t numbers[] = { 0, 9, 10, -1, INT64_MAX, INT64_MIN, 1234567890123 };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct buf buf = made(100);
        char want[32];
        (void)snprintf(want, sizeof want, "%lld", (long long)numbers[i]);
        cr_expect_eq(buf_put_int(&buf, numbers[i]), OK);
        expect_text(&buf, want);
        buf_free(&buf);
    }
}

Test(buf, the_maximum_holds_and_sticks)
{
    struct buf buf = made(10);
    cr_expect_eq(buf_append(&buf, "0123456789", 10), OK, "exactly the maximum fits");
    cr_expect_eq(buf_putc(&buf, 'x'), ERR_LIMIT);
    cr_expect_eq(buf_append(&buf, "", 0), ERR_LIMIT, "the first failure stays");
    cr_expect_eq(buf_reserve(&buf, SIZE_MAX), ERR_LIMIT);
    cr_expect_eq(buf.len, 10);
    cr_expect_leq(buf.cap, 10);
    buf_reset(&buf);
    cr_expect_eq(buf_append(&buf, "abc", 3), OK, "usable again after reset");
    expect_text(&buf, "abc");
    cr_expect_eq(buf_append(&buf, "01234567", 8), ERR_LIMIT, "none of what does not fit");
    cr_expect_eq(buf.len, 3);
    buf_free(&buf);
}

Test(buf, a_failure_of_any_writer_sticks)
{
    struct buf buf = made(4);
    (void)buf_printf(&buf, "%s", "too long");
    (void)buf_puts(&buf, "a");
    (void)buf_put_int(&buf, 5);
    cr_expect(buf.err == ERR_LIMIT && buf.len == 0);
    buf_free(&buf);
}

Test(buf, grows_through_many_sizes)
{
    struct buf buf = made((size_t)1 << 20);
    for (int i = 0; i < 100000; i++)
        (void)buf_putc(&buf, (char)('a' + i % 26));
    cr_assert(buf.err == OK && buf.len == 100000);
    for (size_t i = 0; i < buf.len; i++)
        cr_assert_eq(buf.data[i], (char)('a' + i % 26));
    buf_free(&buf);
    cr_expect(buf.data == NULL && buf.len == 0 && buf.cap == 0);
    cr_expect_eq(buf_putc(&buf, 'x'), OK, "freed is empty, the maximum stays");
    buf_free(&buf);
}

Test(buf, json_strings_are_escaped)
{
    struct buf buf = made(1000);
    (void)buf_put_json(&buf, "a\"\\\b\f\n\r\t\x01\x1f\0z/\x7f", 14);
    expect_text(&buf, "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\\u0000z/\x7f\"");
    buf_free(&buf);
}

Test(buf, json_strings_keep_utf8_and_replace_what_is_none)
{
    static const struct {
        char in[8];
        char out[16];
    } cases[] = {
        { "\xC3\xA9", "\xC3\xA9" },
        { "\xE2\x82\xAC", "\xE2\x82\xAC" },
        { "\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80" },
        { "\xF4\x8F\xBF\xBF", "\xF4\x8F\xBF\xBF" },
        { "\x80", "\xEF\xBF\xBD" },                                 /* continuation alone */
        { "\xC0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD" },                 /* overlong */
        { "\xE0\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" }, /* overlong */
        { "\xED\xA0\x80", "\\ud800" },                              /* a lone surrogate keeps its value */
        { "\xC3", "\xEF\xBF\xBD" },                                 /* cut off */
        { "\xE2\x82", "\xEF\xBF\xBD\xEF\xBF\xBD" },
        { "\xFF"
          "a",
          "\xEF\xBF\xBD"
          "a" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf buf = made(100);
        char want[32];
        (void)snprintf(want, sizeof want, "\"%s\"", cases[i].out);
        cr_expect_eq(buf_put_json(&buf, cases[i].in, strlen(cases[i].in)), OK);
        expect_text(&buf, want);
        buf_free(&buf);
    }
}

Test(buf, json_prints_lone_surrogates_as_escapes)
{
    struct buf out;
    buf_init(&out, 1000);
    const char text[] = "a\xED\xA0\x80"
                        "b\xED\xBF\xBF"
                        "\xED\x9F\xBF"
                        "\xED\xA0";
    buf_put_json(&out, text, sizeof text - 1);
    buf_putc(&out, '\0');
    cr_assert_str_eq(out.data, "\"a\\ud800b\\udfff\xED\x9F\xBF\xEF\xBF\xBD\xEF\xBF\xBD\"");
    buf_free(&out);
}
