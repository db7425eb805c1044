#include <criterion/criterion.h>

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/canonical.h"
#include "store/canonical_node.h"
#include "store/err.h"

#define TEXT_MAX ((size_t)32 << 20)

static uint64_t random_seed(void)
{
    const char *text = getenv("SLUICE_TEST_SEED");
    return text == NULL ? 20150101 : strtoull(text, NULL, 10);
}

static uint64_t random_next(uint64_t *state)
{
    *state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t x = *state;
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

typedef int print_fn(const struct canonical *doc, struct buf *out);

/* `text` parsed and printed, with a terminator; the caller frees. NULL if it does not parse. */
static char *printed(const char *text, size_t len, print_fn *print)
{
    struct canonical *doc = NULL;
    struct buf out;
    buf_init(&out, TEXT_MAX);
    if (canonical_parse(text, len, &doc) == OK) {
        cr_assert_eq(print(doc, &out), OK);
        cr_assert_eq(buf_putc(&out, '\0'), OK);
    }
    canonical_free(doc);
    return out.data;
}

static void expect_print(const char *text, const char *expected, print_fn *print)
{
    char *got = printed(text, strlen(text), print);
    cr_assert_not_null(got, "%s does not parse: %s", text, err_detail(ERR_JSON));
    cr_expect_str_eq(got, expected, "%s printed as %s, expected %s", text, got, expected);
    free(got);
}

static void expect_compact(const char *text, const char *expected)
{
    expect_print(text, expected, canonical_print_compact);
}

static void expect_error(const char *text, size_t len, int expected)
{
    struct canonical *doc = NULL;
    int err = canonical_parse(text, len, &doc);
    cr_expect_eq(err, expected, "%.*s: %s", (int)len, text, err_name(err));
    cr_expect_null(doc, "the output must stay untouched on failure");
    if (err == OK) canonical_free(doc);
}

static void expect_refused(const char *text)
{
    expect_error(text, strlen(text), ERR_JSON);
}

Test(canonical, indents_by_two_and_keeps_empty_brackets_closed)
{
    expect_print("{\"a\":[1,{\"b\":[]},{}],\"c\":\"x\"}",
                 "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    },\n    {}\n  ],\n  \"c\": \"x\"\n}",
                 canonical_print);
    expect_print("[]", "[]", canonical_print);
    expect_print(" \"x\" ", "\"x\"", canonical_print);
}

Test(canonical, index_keys_come_first_in_ascending_order)
{
    expect_compact(
        "{\"b\":1,\"10\":2,\"2\":3,\"01\":4,\"4294967294\":5,\"4294967295\":6,\"0\":7,\"-1\":8,\"4294967296\":9}",
        "{\"0\":7,\"2\":3,\"10\":2,\"4294967294\":5,\"b\":1,\"01\":4,\"4294967295\":6,\"-1\":8,\"4294967296\":9}");
    expect_compact("[{\"z\":{\"9\":0,\"8\":0}}]", "[{\"z\":{\"8\":0,\"9\":0}}]");
}

Test(canonical, a_key_that_stands_twice_keeps_its_first_place_and_last_value)
{
    expect_compact("{\"a\":1,\"b\":2,\"a\":{\"c\":[3]}}", "{\"a\":{\"c\":[3]},\"b\":2}");
    expect_compact("{\"\\u0061\":1,\"a\":2}", "{\"a\":2}");
    expect_compact("{\"7\":1,\"x\":0,\"7\":2}", "{\"7\":2,\"x\":0}");
    expect_compact("{\"__proto__\":1,\"\":2}", "{\"__proto__\":1,\"\":2}");
}

Test(canonical, duplicates_in_a_large_object_are_united_too)
{
    struct buf text, expected;
    buf_init(&text, TEXT_MAX);
    buf_init(&expected, TEXT_MAX);
    buf_putc(&text, '{');
    buf_putc(&expected, '{');
    for (int i = 0; i < 3000; i++)
        buf_printf(&text, "%s\"k%d\":%d", i > 0 ? "," : "", i % 1000, i);
    for (int i = 0; i < 1000; i++)
        buf_printf(&expected, "%s\"k%d\":%d", i > 0 ? "," : "", i, i + 2000);
    buf_append(&text, "}", 2);
    buf_append(&expected, "}", 2);
    expect_compact(text.data, expected.data);
    buf_free(&text);
    buf_free(&expected);
}

Test(canonical, strings_are_escaped_as_javascript_does)
{
    expect_compact("\"\\u0008\\u0009\\u000A\\u000c\\u000d\\\"\\\\\\/\\u000b\\u001F\"",
                   "\"\\b\\t\\n\\f\\r\\\"\\\\/\\u000b\\u001f\"");
    expect_compact("\"\\u007f\\u0080\\u20AC\\u2028\\ud83d\\ude00\"",
                   "\"\x7f\xC2\x80\xE2\x82\xAC\xE2\x80\xA8\xF0\x9F\x98\x80\"");
    expect_compact("\"\\u0000\"", "\"\\u0000\"");
}

Test(canonical, lone_surrogates_stay_escapes)
{
    expect_compact("\"\\uD800\"", "\"\\ud800\"");
    expect_compact("\"\\udfffx\\uDBFF\"", "\"\\udfffx\\udbff\"");
    expect_compact("\"\\ud800\\ud83d\\ude00\\ude00\"", "\"\\ud800\xF0\x9F\x98\x80\\ude00\"");
    expect_compact("{\"\\udc00\":1}", "{\"\\udc00\":1}");
    expect_compact("\"\xED\x9F\xBF\xEE\x80\x80\"", "\"\xED\x9F\xBF\xEE\x80\x80\"");
}

Test(canonical, numbers_are_printed_as_javascript_does)
{
    static const char *const pairs[][2] = {
        { "0", "0" },
        { "-0", "0" },
        { "1.0", "1" },
        { "-1.50", "-1.5" },
        { "1e3", "1000" },
        { "1E-3", "0.001" },
        { "0.1", "0.1" },
        { "1e21", "1e+21" },
        { "999999999999999900000", "999999999999999900000" },
        { "123456789012345680000", "123456789012345680000" },
        { "0.000001", "0.000001" },
        { "0.0000001", "1e-7" },
        { "1.5e-9", "1.5e-9" },
        { "9007199254740993", "9007199254740992" },
        { "1e400", "null" },
        { "-1e400", "null" },
        { "1e-400", "0" },
        { "5e-324", "5e-324" },
        { "2.5e-324", "5e-324" },
        { "2.4703282292062327e-324", "0" },
        { "1.7976931348623157e308", "1.7976931348623157e+308" },
        { "1795249804573.001", "1795249804573.001" },
        { "0e99999999999", "0" },
        { "100000000000000000000000", "1e+23" },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        expect_compact(pairs[i][0], pairs[i][1]);
}

static void expect_number(double value, const char *expected)
{
    char text[33];
    size_t len = canonical_number(value, text);
    cr_assert_leq(len, 32);
    text[len] = '\0';
    cr_expect_str_eq(text, expected, "%a printed as %s, expected %s", value, text, expected);
}

/* Answers of node 20. At these powers of two the nearest decimal of the shortest length does not read back, its neighbour does. */
Test(canonical, powers_of_two_print_the_short_neighbour_that_reads_back)
{
    expect_number(0x1p-44, "5.684341886080802e-14");
    expect_number(0x1p-1022, "2.2250738585072014e-308");
    expect_number(0x1p-1074, "5e-324");
    expect_number(0x1p-24, "5.960464477539063e-8");
    expect_number(0x1p1023, "8.98846567431158e+307");
    expect_number(0x1p89, "6.189700196426902e+26");
    expect_number(0x1p122, "5.316911983139664e+36");
    expect_number(NAN, "null");
    expect_number(-INFINITY, "null");
}

Test(canonical, thousandths_are_printed_with_their_own_digits)
{
    expect_number(0.001, "0.001");
    expect_number(0.1, "0.1");
    expect_number(-12.25, "-12.25");
    expect_number(1500000000000.001, "1500000000000.001");
    expect_number(1500000000000.0012, "1500000000000.0012");
    expect_number(8796093022207.999, "8796093022207.999");
    expect_number(8796093022208.001, "8796093022208.002");
    expect_number(0.0004999999999999999, "0.0004999999999999999");
    uint64_t seed = random_seed(), state = seed;
    for (int i = 0; i < 100000; i++) {
        uint64_t whole = random_next(&state) >> (11 + random_next(&state) % 40);
        char expected[40];
        int len = snprintf(expected, sizeof expected, "%" PRIu64 ".%03u", whole / 1000 % (UINT64_C(1) << 43),
                           (unsigned)(whole % 1000));
        double value = strtod(expected, NULL);
        while (expected[len - 1] == '0')
            expected[--len] = '\0';
        if (expected[len - 1] == '.') expected[len - 1] = '\0';
        expect_number(value, expected);
    }
}

Test(canonical, every_number_reads_back_as_itself)
{
    uint64_t seed = random_seed(), state = seed;
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = random_next(&state);
        if (i % 4 == 0) bits &= UINT64_C(0x800FFFFFFFFFFFFF);
        if (i % 4 == 1) bits &= UINT64_C(0xFFFFF00000000000);
        double value, again;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) continue;
        char text[33];
        const char *end;
        size_t len = canonical_number(value, text);
        text[len] = '\0';
        cr_assert(canonical_number_read(text, &again, &end), "%s (SLUICE_TEST_SEED=%" PRIu64 ")", text, seed);
        cr_assert(again == value && end == text + len, "%a printed as %s (SLUICE_TEST_SEED=%" PRIu64 ")", value, text,
                  seed);
    }
}

Test(canonical, the_locale_does_not_change_numbers)
{
    /* Any of them that the machine has; all write a comma. */
    if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL && setlocale(LC_ALL, "fr_FR.UTF-8") == NULL)
        setlocale(LC_ALL, "C.UTF-8");
    expect_compact("[0.1,12345.678901234567,1e-9,1.7976931348623157e308]",
                   "[0.1,12345.678901234567,1e-9,1.7976931348623157e+308]");
}

Test(canonical, json_grammar_is_strict)
{
    static const char *const texts[] = {
        "",
        " ",
        "01",
        "-",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x10",
        "-01",
        "nul",
        "nulll",
        "True",
        "NaN",
        "'a'",
        "\"",
        "\"a",
        "\"\\",
        "\"\\u12",
        "\"\\u12g4\"",
        "\"\\x41\"",
        "\"\t\"",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "[1 2]",
        "1 2",
        "{}{}",
        "[]]",
        "\v1",
        "/**/1",
        "[1}",
        "{\"a\":1]",
        "-\"",
        "{\"a\":1,,\"b\":2}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect_refused(texts[i]);
    expect_error("1\0", 2, ERR_JSON);
    expect_error("\"a\0b\"", 5, ERR_JSON);
}

Test(canonical, invalid_utf8_is_refused)
{
    static const char *const texts[] = {
        "\xEF\xBB\xBF{}",
        "\"\x80\"",
        "\"\xC0\xAF\"",
        "\"\xC3\"",
        "\"\xE0\x80\xAF\"",
        "\"\xED\xA0\x80\"",
        "\"\xE2\x82\"",
        "\"\xF0\x80\x80\xAF\"",
        "\"\xF4\x90\x80\x80\"",
        "\"\xF8\x88\x80\x80\x80\"",
        "\"\xC3",
        "\"\xF0\x9F\x98",
        "{\"\xFF\":1}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect_refused(texts[i]);
}

Test(canonical, an_error_says_where)
{
    struct canonical *doc = NULL;
    cr_assert_eq(canonical_parse("{\"a\":tru}", 9, &doc), ERR_JSON);
    cr_assert_not_null(strstr(err_detail(ERR_JSON), "byte 5"), "%s", err_detail(ERR_JSON));
    cr_assert_eq(canonical_parse("{\"a\":", 5, &doc), ERR_JSON);
    cr_assert_not_null(strstr(err_detail(ERR_JSON), "too early"), "%s", err_detail(ERR_JSON));
}

/* depth brackets of arrays around `middle` */
static void nested(struct buf *out, size_t depth, const char *middle)
{
    buf_init(out, TEXT_MAX);
    for (size_t i = 0; i < depth; i++)
        buf_putc(out, '[');
    buf_puts(out, middle);
    for (size_t i = 0; i < depth; i++)
        buf_putc(out, ']');
}

Test(canonical, nesting_has_a_limit)
{
    struct buf text;
    nested(&text, CANONICAL_DEPTH_MAX, "1");
    char *same = printed(text.data, text.len, canonical_print_compact);
    cr_assert_not_null(same);
    cr_expect_eq(memcmp(same, text.data, text.len), 0);
    free(same);
    buf_free(&text);
    nested(&text, CANONICAL_DEPTH_MAX + 1, "1");
    expect_error(text.data, text.len, ERR_LIMIT);
    buf_free(&text);
}

Test(canonical, a_million_open_brackets_end_in_an_error)
{
    struct buf text;
    nested(&text, 1000000, "");
    expect_error(text.data, text.len / 2, ERR_LIMIT);
    buf_free(&text);
}

Test(canonical, indentation_cannot_fill_the_memory)
{
    struct buf text, out;
    nested(&text, 500, "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1");
    struct canonical *doc = NULL;
    cr_assert_eq(canonical_parse(text.data, text.len, &doc), OK);
    buf_init(&out, 10000);
    cr_expect_eq(canonical_print(doc, &out), ERR_LIMIT);
    cr_expect_leq(out.len, 10000);
    canonical_free(doc);
    buf_free(&out);
    buf_free(&text);
}

Test(canonical, members_are_found_and_print_as_documents)
{
    static const char text[] = "{\"a\":{\"b\":[1]},\"a\\u0000\":2,\"ab\":3}";
    struct canonical *doc = NULL;
    struct buf out;
    buf_init(&out, TEXT_MAX);
    cr_assert_eq(canonical_parse(text, sizeof text - 1, &doc), OK);
    cr_assert_eq(canonical_print_compact(canonical_member(doc, "a"), &out), OK);
    cr_expect(out.len == 9 && memcmp(out.data, "{\"b\":[1]}", 9) == 0);
    cr_expect_null(canonical_member(doc, "b"));
    cr_expect_null(canonical_member(canonical_member(doc, "ab"), "a"));
    cr_expect_null(canonical_member(NULL, "a"));
    canonical_free(doc);
    canonical_free(NULL);
    buf_free(&out);
}

Test(canonical, length_counts_utf16_units)
{
    cr_expect_eq(canonical_utf16_length("", 0), 0);
    cr_expect_eq(canonical_utf16_length("a\xC3\xA9\xE2\x82\xAC", 6), 3);
    cr_expect_eq(canonical_utf16_length("\xF0\x9F\x98\x80", 4), 2);
}

/* Long enough to cross the pieces in which it is hashed, with characters of every length at every place. */
Test(canonical, hash_takes_the_low_byte_of_each_unit)
{
    static const char *const chars[] = { "a", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80" };
    static const char cut[] = "a\xE9\xAC\x3D";
    struct buf text, bytes;
    buf_init(&text, TEXT_MAX);
    buf_init(&bytes, TEXT_MAX);
    uint64_t state = 1;
    for (int i = 0; i < 5000; i++) {
        size_t pick = random_next(&state) % 4;
        buf_puts(&text, chars[pick]);
        buf_putc(&bytes, cut[pick]);
        if (pick == 3) buf_putc(&bytes, '\0');
    }
    uint8_t got[32], expected[32];
    canonical_hash(text.data, text.len, got);
    /* Latin-1 text of the same bytes, written as UTF-8 */
    struct buf latin;
    buf_init(&latin, TEXT_MAX);
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        if (c >= 0x80) buf_putc(&latin, (char)(0xC0 | c >> 6));
        buf_putc(&latin, (char)(c >= 0x80 ? 0x80 | (c & 0x3F) : c));
    }
    canonical_hash(latin.data, latin.len, expected);
    cr_expect_eq(memcmp(got, expected, 32), 0);
    buf_free(&latin);
    buf_free(&text);
    buf_free(&bytes);
}

static struct canonical *load_vectors(void)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    FILE *file = fopen("tests/fixtures/ssb/made-encoding-quirks.json", "rb");
    cr_assert_not_null(file);
    char chunk[4096];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, file)) > 0;)
        cr_assert_eq(buf_append(&text, chunk, n), OK);
    fclose(file);
    struct canonical *doc = NULL;
    cr_assert_eq(canonical_parse(text.data, text.len, &doc), OK);
    buf_free(&text);
    return doc;
}

Test(canonical, ids_of_the_quirk_vectors_are_those_of_ssb_validate)
{
    struct canonical *doc = load_vectors();
    const struct canonical *vectors = canonical_member(doc, "vectors");
    cr_assert_geq(vectors->len, 9);
    for (uint32_t i = 0; i < vectors->len; i++) {
        struct slice key = canonical_string(canonical_member(&vectors->as.items[i], "key"));
        struct ref id;
        char text[REF_TEXT_MAX];
        cr_assert_eq(canonical_id(canonical_member(&vectors->as.items[i], "value"), &id), OK);
        size_t len = ref_print(&id, text);
        cr_expect(len == key.len && memcmp(text, key.data, len) == 0, "vector %u", i);
    }
    canonical_free(doc);
}

static void expect_hex(const struct buf *text, struct slice hex)
{
    cr_assert_eq(hex.len, 2 * text->len);
    for (size_t i = 0; i < text->len; i++) {
        char pair[3];
        snprintf(pair, sizeof pair, "%02x", (unsigned)(unsigned char)text->data[i]);
        cr_assert(memcmp(hex.data + 2 * i, pair, 2) == 0, "byte %zu", i);
    }
}

/* The bytes that were signed are the whole text with its last member, the signature, cut off. */
Test(canonical, texts_of_the_quirk_vectors_are_those_that_were_signed)
{
    struct canonical *doc = load_vectors();
    const struct canonical *vectors = canonical_member(doc, "vectors");
    uint32_t compared = 0;
    for (uint32_t i = 0; i < vectors->len; i++) {
        struct slice hex = canonical_string(canonical_member(&vectors->as.items[i], "signing_bytes_hex"));
        if (hex.data == NULL) continue;
        struct buf text;
        buf_init(&text, TEXT_MAX);
        cr_assert_eq(canonical_print(canonical_member(&vectors->as.items[i], "value"), &text), OK);
        text.len = (size_t)((char *)memmem(text.data, text.len, ",\n  \"signature\"", 15) - text.data);
        buf_append(&text, "\n}", 2);
        expect_hex(&text, hex);
        buf_free(&text);
        compared++;
    }
    cr_expect_geq(compared, 8);
    canonical_free(doc);
}
