#include <criterion/criterion.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/message.h"
#include "store/private_record.h"

#define TEXT_MAX ((size_t)1 << 20)

static struct box1_key key;
static struct ref reader;

static void setup(void)
{
    uint8_t seed[32] = { 9 }, secret[64];
    cr_assert_geq(sodium_init(), 0);
    reader.kind = REF_FEED;
    (void)crypto_sign_seed_keypair(reader.id, secret, seed);
    cr_assert_eq(box1_key_of(secret, &key), OK);
}

TestSuite(private_record, .init = setup);

static struct slice text_of(const struct buf *buf)
{
    return (struct slice){ buf->data, buf->len };
}

/* `before`BOX`after` with `plain` in the box. */
static void boxed(const char *before, const char *plain, const char *after, struct buf *out)
{
    buf_init(out, TEXT_MAX);
    cr_assert_eq(buf_puts(out, before), OK);
    cr_assert_eq(box1_seal((struct slice){ plain, strlen(plain) }, &reader, 1, out), OK);
    cr_assert_eq(buf_puts(out, after), OK);
}

static const char before[] =
    "{\"key\":\"%k\",\"value\":{\"previous\":null,\"author\":\"@a\",\"sequence\":1,\"timestamp\":2,"
    "\"hash\":\"sha256\",\"content\":\"";
static const char after[] = "\",\"signature\":\"s\"},\"timestamp\":3}";

static void expect_opens(const char *plain, bool opens)
{
    struct buf record, out;
    boxed(before, plain, after, &record);
    buf_init(&out, TEXT_MAX);
    cr_assert_eq(buf_puts(&out, "before"), OK);
    cr_assert_eq(private_record_open(&key, text_of(&record), &out), opens ? 1 : 0, "%s", plain);
    if (!opens) cr_assert_eq(out.len, 6, "%s", plain);
    buf_free(&record);
    buf_free(&out);
}

Test(private_record, an_opened_record_has_content_and_says_what_it_was)
{
    static const char plain[] = "{\"type\":\"post\",\"text\":\"h\xc3\xa9\"}";
    struct buf record, out, wanted;
    boxed(before, plain, after, &record);
    const char *box = record.data + strlen(before);
    int box_len = (int)(record.len - strlen(before) - strlen(after));
    buf_init(&out, TEXT_MAX);
    buf_init(&wanted, TEXT_MAX);
    cr_assert_eq(private_record_open(&key, text_of(&record), &out), 1);
    cr_assert_eq(
        buf_printf(&wanted,
                   "%.*s%s,\"signature\":\"s\",\"meta\":{\"private\":true,\"original\":{\"content\":\"%.*s\"}},"
                   "\"private\":true},\"timestamp\":3}",
                   (int)strlen(before) - 1, before, plain, box_len, box),
        OK);
    cr_assert_eq(out.len, wanted.len);
    cr_assert_arr_eq(out.data, wanted.data, out.len);
    struct message message;
    message_init(&message);
    cr_assert_eq(message_scan(&message, out.data, out.len), OK);
    cr_assert(message.is_opened && !message.is_private && message.sequence == 1);
    cr_assert(message.type.len == 4 && memcmp(message.type.data, "post", 4) == 0);
    cr_assert_eq(message_scan(&message, record.data, record.len), OK);
    cr_assert(!message.is_opened && message.is_private);
    message_free(&message);
    buf_free(&record);
    buf_free(&out);
    buf_free(&wanted);
}

Test(private_record, only_objects_are_content)
{
    expect_opens("{}", true);
    expect_opens(" {\"type\":\"x\"}\n", true);
    static const char *const others[] = { "",
                                          "7",
                                          "\"text\"",
                                          "[{}]",
                                          "null",
                                          "{",
                                          "{\"a\":1",
                                          "{\"a\":tru}",
                                          "{} {}",
                                          "{\"a\":1,}",
                                          "{\"a\":\"\xff\"}",
                                          "{\"a\":01}",
                                          "{'a':1}",
                                          "{\"a\":\"\t\"}" };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        expect_opens(others[i], false);
}

Test(private_record, a_box_that_is_not_content_stays)
{
    struct buf record, out;
    buf_init(&out, TEXT_MAX);
    boxed("{\"key\":\"%k\",\"value\":{\"content\":{\"type\":\"post\",\"text\":\"", "{}", "\"}}}", &record);
    cr_assert(private_record_likely(text_of(&record)));
    cr_assert_eq(private_record_open(&key, text_of(&record), &out), 0);
    buf_free(&record);
    boxed("{\"key\":\"%k\",\"content\":\"", "{}", "\"}", &record);
    cr_assert_eq(private_record_open(&key, text_of(&record), &out), 0);
    buf_free(&record);
    boxed("[\"", "{}", "\"]", &record);
    cr_assert_eq(private_record_open(&key, text_of(&record), &out), 0);
    buf_free(&record);
    buf_free(&out);
}

/* Cut anywhere it is no record any more, and nothing is read that is not there (asan). */
Test(private_record, a_record_that_is_cut_stays)
{
    struct buf record, out;
    buf_init(&out, TEXT_MAX);
    boxed(before, "{\"type\":\"post\"}", after, &record);
    for (size_t len = 0; len < record.len; len++) {
        char *cut = malloc(len + 1);
        memcpy(cut, record.data, len);
        struct slice format;
        (void)private_record_format((struct slice){ cut, len }, &format);
        int found = private_record_open(&key, (struct slice){ cut, len }, &out);
        cr_assert(found == 0 || (found == 1 && len > record.len - strlen("},\"timestamp\":3}")), "cut at %zu", len);
        buf_reset(&out);
        free(cut);
    }
    buf_free(&record);
    buf_free(&out);
}

static void expect_format(const char *record, const char *format)
{
    struct slice got = { "none", 4 };
    bool encrypted = private_record_format((struct slice){ record, strlen(record) }, &got);
    cr_assert_eq(encrypted, strcmp(format, "none") != 0, "%s", record);
    cr_assert(got.len == strlen(format) && memcmp(got.data, format, got.len) == 0, "%s: %.*s", record, (int)got.len,
              got.data);
}

Test(private_record, the_format_is_told_by_the_suffix)
{
    expect_format("{\"key\":1,\"value\":{\"content\":\"AAAA.box\"}}", "box1");
    expect_format("{\"key\":1,\"value\":{\"content\":\"AAAA.box2\"}}", "box2");
    expect_format("{\"key\":1, \"value\" : { \"content\" : \"AAAA.boxFoo\" } }", "boxFoo");
    expect_format("{\"key\":1,\"value\":{\"content\":\"A.box.tangled\"}}", "tangled");
    expect_format("{\"key\":1,\"value\":{\"content\":\"AAAA\"}}", "unknown");
    expect_format("{\"key\":1,\"value\":{\"content\":\"\"}}", "unknown");
    expect_format("{\"key\":1,\"value\":{\"content\":\"AAAA.\"}}", "unknown");
    expect_format("{\"key\":1,\"value\":{\"content\":\"AAAA.a\\\"b\"}}", "unknown");
    expect_format("{\"key\":1,\"value\":{\"content\":\"AAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}}", "unknown");
    expect_format("{\"key\":1,\"value\":{\"content\":{\"content\":\"AAAA.box\"}}}", "none");
    expect_format("{\"key\":1,\"content\":\"AAAA.box\"}", "none");
    expect_format("{\"key\":1,\"value\":{\"content\":\"A.box\",\"content\":{}}}", "none");
    expect_format("{\"key\":1,\"value\":7}", "none");
    expect_format("\"content\":\"A.box\"", "none");
    expect_format("{", "none");
}
