#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/canonical_indent.h"
#include "store/err.h"

#define OUT_MAX 24576

/* A message around a timestamp and a content. */
#define MESSAGE(timestamp, content)                                                \
    "{\"previous\":null,\"author\":\"@x\",\"sequence\":1,\"timestamp\":" timestamp \
    ",\"hash\":\"sha256\",\"content\":" content ",\"signature\":\"s\"}"

static void print_tree(const char *text, size_t len, struct buf *pretty, struct buf *compact)
{
    struct canonical *doc = NULL;
    buf_init(pretty, SIZE_MAX);
    buf_init(compact, SIZE_MAX);
    cr_assert_eq(canonical_parse(text, len, &doc), OK, "%.*s: %s", (int)len, text, err_detail(ERR_JSON));
    cr_assert_eq(canonical_print(doc, pretty), OK);
    cr_assert_eq(canonical_print_compact(doc, compact), OK);
    canonical_free(doc);
}

/* What was indented must be what the tree prints, of a text that the tree prints compactly as it was given. */
static void same_as_tree(const char *text, size_t len, const char *out, const struct canonical_indent *indent)
{
    struct buf pretty, compact;
    print_tree(text, len, &pretty, &compact);
    cr_assert(compact.len == len && memcmp(compact.data, text, len) == 0, "not compact: %.*s", (int)len, text);
    cr_assert(pretty.len == indent->len && memcmp(pretty.data, out, indent->len) == 0, "not the same: %.*s",
              (int)indent->len, out);
    cr_assert_eq(indent->units, canonical_utf16_length(out, indent->len));
    buf_free(&pretty);
    buf_free(&compact);
}

/* From memory of exactly its size, so that nothing beside it is read unseen. */
static bool indent(const char *text, size_t len, size_t cap)
{
    struct canonical_indent result;
    char *exact = malloc(len + 1), *out = malloc(cap + 1);
    cr_assert(exact != NULL && out != NULL);
    char *at = exact + 1; /* not aligned */
    memcpy(at, text, len);
    bool done = canonical_indent(at, len, out, cap, &result);
    if (done) same_as_tree(at, len, out, &result);
    free(exact);
    free(out);
    return done;
}

static bool indent_text(const char *text)
{
    return indent(text, strlen(text), OUT_MAX);
}

Test(canonical_indent, compact_messages_are_indented_as_the_tree_prints_them)
{
    static const char *const texts[] = {
        MESSAGE("1500000000000", "{\"type\":\"post\",\"text\":\"x\"}"),
        MESSAGE("1500000000000.123", "{\"type\":\"post\",\"text\":\"a\\nb\\t\\\"q\\\" \\\\ \\b\\f\\r end\"}"),
        MESSAGE("-1.5", "{\"type\":\"post\",\"text\":\"\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80 \xE2\x80\xA8\x7F\"}"),
        MESSAGE("0", "{\"a\":[],\"b\":{},\"c\":[[],[{}]],\"d\":[1,2.5,true,false,null,\"\"],\"e\":{\"f\":{\"g\":-7}}}"),
        MESSAGE("1e+21", "\"c2VjcmV0.box\""),
        MESSAGE("null", "[\"type\",{\"type\":\"t\"}]"),
        MESSAGE("5e-324", "{\"nested\":{\"type\":\"no\"},\"type\":\"yes\",\"k\\n\":1,\"\xC3\xA9\":2,\"\":3}"),
        MESSAGE("9007199254740993e4", "{}"),
    };
    for (size_t i = 0; i + 1 < sizeof texts / sizeof *texts; i++)
        cr_expect(indent_text(texts[i]), "%s", texts[i]);
    cr_expect_not(indent_text(texts[sizeof texts / sizeof *texts - 1]));
}

Test(canonical_indent, long_strings_are_copied_whatever_stands_where)
{
    static const char *const odd[] = { "", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\\n", "\\\"", "\x7F" };
    char text[512], fill[80];
    for (size_t length = 0; length < sizeof fill - 1; length++) {
        memset(fill, 'x', length);
        fill[length] = '\0';
        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
            (void)snprintf(text, sizeof text, MESSAGE("1", "{\"type\":\"post\",\"t\":\"%s%s%s\"}"), fill, odd[i], fill);
            cr_expect(indent_text(text), "%s", text);
        }
    }
}

Test(canonical_indent, what_the_checks_need_is_kept)
{
    static const char text[] = MESSAGE("1.5", "{\"a\":{\"type\":\"no\"},\"type\":\"yes\"}");
    char out[OUT_MAX];
    struct canonical_indent indent;
    cr_assert(canonical_indent(text, sizeof text - 1, out, sizeof out, &indent));
    cr_expect_eq(indent.root.kind, CANONICAL_OBJECT);
    cr_expect_eq(indent.root.len, 7);
    cr_expect_eq(canonical_member(&indent.root, "previous")->kind, CANONICAL_NULL);
    cr_expect_eq(canonical_member(&indent.root, "timestamp")->as.number, 1.5);
    struct slice author = canonical_string(canonical_member(&indent.root, "author"));
    cr_expect(author.len == 2 && memcmp(author.data, "@x", 2) == 0);
    const struct canonical *content = canonical_member(&indent.root, "content");
    cr_assert_eq(content->kind, CANONICAL_OBJECT);
    struct slice type = canonical_string(canonical_member(content, "type"));
    cr_expect(type.len == 3 && memcmp(type.data, "yes", 3) == 0);
    cr_expect_eq(canonical_string(content).data, NULL);
}

static const char *const other_forms[] = {
    "",
    "{",
    "{}",
    "[]",
    "null",
    "\"x\"",
    "{\"a\":1}",
    " " MESSAGE("1", "{}"),
    MESSAGE("1", "{}") "\n",
    MESSAGE("1", "{}") "}",
    MESSAGE("1", "{}") ",",
    MESSAGE("1", "{ }"),
    MESSAGE(" 1", "{}"),
    MESSAGE("1", "{\"a\" :1}"),
    MESSAGE("1", "{\"a\":1,}"),
    MESSAGE("1", "{,}"),
    MESSAGE("1", "[1,]"),
    MESSAGE("1", "[,1]"),
    MESSAGE("1", "[1 ,2]"),
    MESSAGE("1", "[1}"),
    MESSAGE("1", "{\"a\"}"),
    MESSAGE("1", "{\"a\":}"),
    MESSAGE("1", "{\"a\":1"),
    MESSAGE("1", "{a:1}"),
    MESSAGE("1", "{1:1}"),
    MESSAGE("1", "{\"a\":1,\"a\":2}"),
    MESSAGE("1", "{\"b\":1,\"7\":2}"),
    MESSAGE("1", "{\"7\":2}"),
    MESSAGE("1", "{\"a\":\"\\/\"}"),
    MESSAGE("1", "{\"a\":\"\\u0041\"}"),
    MESSAGE("1", "{\"a\":\"\\u0001\"}"),
    MESSAGE("1", "{\"a\":\"\\ud800\"}"),
    MESSAGE("1", "{\"a\":\"\\x\"}"),
    MESSAGE("1", "{\"a\":\"\\"),
    MESSAGE("1", "{\"a\":\"\n\"}"),
    MESSAGE("1", "{\"a\":\"\x01\"}"),
    MESSAGE("1", "{\"a\":\"\xFF\"}"),
    MESSAGE("1", "{\"a\":\"\xED\xA0\x80\"}"),
    MESSAGE("1", "{\"a\":\"\xC3\"}"),
    MESSAGE("1", "{\"a\":\"\xC3"),
    MESSAGE("1.0", "{}"),
    MESSAGE("1e3", "{}"),
    MESSAGE("-0", "{}"),
    MESSAGE("01", "{}"),
    MESSAGE("1.", "{}"),
    MESSAGE(".5", "{}"),
    MESSAGE("+1", "{}"),
    MESSAGE("-", "{}"),
    MESSAGE("1e400", "{}"),
    MESSAGE("1E+21", "{}"),
    MESSAGE("0.1000000000000000055511151231257827", "{}"),
    MESSAGE("nul", "{}"),
    MESSAGE("nulll", "{}"),
    MESSAGE("truE", "{}"),
    MESSAGE("NaN", "{}"),
    MESSAGE("1", "{},\"x\":1"),
    MESSAGE("1", "{},\"hash\":1"),
    MESSAGE("\"\\n\"", "{}"),
    MESSAGE("1", "{\"type\":\"a\\nb\"}"),
};

Test(canonical_indent, every_other_form_is_left_to_the_tree)
{
    for (size_t i = 0; i < sizeof other_forms / sizeof *other_forms; i++)
        cr_expect_not(indent_text(other_forms[i]), "%s", other_forms[i]);
}

Test(canonical_indent, nested_too_deep_or_with_too_many_keys_is_left_to_the_tree)
{
    bool deepest = false;
    for (size_t depth = 1; depth < 40; depth++) {
        char open[64] = "", close[64] = "", text[512];
        memset(open, '[', depth);
        memset(close, ']', depth);
        (void)snprintf(text, sizeof text, MESSAGE("1", "%s%s"), open, close);
        bool done = indent_text(text);
        cr_expect(done || depth > 16);
        cr_expect(!done || depth < 32);
        deepest = deepest || !done;
    }
    cr_expect(deepest);
    struct buf text;
    buf_init(&text, OUT_MAX);
    for (int keys = 1; keys < 60; keys++) {
        buf_reset(&text);
        buf_puts(&text, "{\"previous\":1,\"author\":1,\"sequence\":1,\"timestamp\":1,\"hash\":1,\"content\":{");
        for (int i = 0; i < keys; i++)
            buf_printf(&text, "%s\"k%d\":%d", i == 0 ? "" : ",", i, i);
        buf_puts(&text, "},\"signature\":1}");
        bool done = indent(text.data, text.len, OUT_MAX);
        cr_expect(done ? keys < 50 : keys > 20, "%d", keys);
    }
    buf_free(&text);
}

Test(canonical_indent, nothing_is_written_behind_the_room_that_is_given)
{
    static const char text[] =
        MESSAGE("1500000000000.5", "{\"type\":\"post\",\"a\":[[[[{\"b\":\"xxxxxxxxxxxxxxxxxxxxxx\"}]]]]}");
    bool done = false;
    for (size_t cap = 0; cap < 1024; cap++)
        done = indent(text, sizeof text - 1, cap);
    cr_expect(done);
}

/* Whatever is made of a message: either it is left alone, or it is what the tree says. */
Test(canonical_indent, changed_bytes_never_lead_to_another_answer)
{
    static const char base[] =
        MESSAGE("1500000000000.5", "{\"type\":\"post\",\"text\":\"h\xC3\xA9llo \\n "
                                   "\xF0\x9F\x98\x80\",\"mentions\":[{\"link\":\"@a\",\"n\":-12.25}],\"x\":{}}");
    static const char bytes[] = "{}[],:\"\\ \n0123456789.-+eEntfaul\x80\xC3\xE2\xF0\x01";
    uint64_t random = 7;
    size_t kept = 0;
    for (int turn = 0; turn < 30000; turn++) {
        char text[sizeof base + 8];
        size_t len = sizeof base - 1;
        memcpy(text, base, len);
        for (int change = turn % 3; change >= 0; change--) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            size_t at = (size_t)(random >> 33) % len;
            char byte = bytes[(random >> 20) % (sizeof bytes - 1)];
            size_t cut = (random >> 12) % 3; /* bytes that it stands for */
            if (cut > len - at) cut = len - at;
            if (len + 1 - cut > sizeof text) cut = 1;
            memmove(text + at + 1, text + at + cut, len - at - cut);
            text[at] = byte;
            len = len + 1 - cut;
        }
        kept += indent(text, len, OUT_MAX);
    }
    cr_expect_gt(kept, 100);
}
