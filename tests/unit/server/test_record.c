#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "server/plain.h"
#include "server/rows.h"
#include "server/text.h"
#include "views/view_record.h"

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

#define ID "%AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256"

/* It stood in the answer beside the log's own, and most JSON parsers take the last one. */
Test(record, wraps_a_record_that_has_a_name_of_ours)
{
    static const char *const records[] = {
        "{\"key\":\"%a\",\"seq\":3}",
        "{\"key\":\"%a\",\"value\":{},\"encrypted\":\"box9\",\"timestamp\":3}",
        "{\"key\":\"%a\",\"s\\u0065q\":3}",
        "{ \"key\" : 1, \"id\":2}",
        "{\"key\":\"%a\",\"rank\":2}",
        "{\"key\":\"%a\",\"snippet\":2}",
        "{\"key\":\"" ID "\",\"value\":{},\"seq\":1,\"timestamp\":3}",
        "{\"key\":\"" ID "\",\"value\":{},\"seq\":{\"a\":1,\"timestamp\":3}}",
        "{\"key\":\"" ID "\",\"value\":{},\"seq\":[{\"a\":1},\"timestamp\",3]}",
        "{\"key\":\"\",\"seq\":{\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\":\"\",\"value\":2},\"timestamp\":3}",
    };
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        char expected[300];
        (void)snprintf(expected, sizeof expected, "{\"seq\":12,\"value\":%s}", records[i]);
        shown_text(records[i], expected);
        cr_expect_not(record_is_line((struct slice){ records[i], strlen(records[i]) }), "%s", records[i]);
    }
}

Test(record, names_of_ours_elsewhere_are_not_looked_at)
{
    static const char *const records[] = {
        "{\"key\":\"" ID "\",\"value\":{\"seq\":1,\"id\":2,\"content\":{\"encrypted\":1}},\"timestamp\":3.5}",
        "{\"key\":\"" ID "\",\"value\":\"\\\"seq\\\":1\",\"timestamp\":3}",
        "{\"key\":\"" ID "\",\"value\":{},\"seqs\":1,\"Seq\":2,\"timestamp\":3}",
        "{\"key\":{\"seq\":1},\"timestamp\":[{\"id\":1}]}",
    };
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        char expected[300];
        (void)snprintf(expected, sizeof expected, "{\"seq\":12,%s", records[i] + 1);
        shown_text(records[i], expected);
        cr_expect(record_is_line((struct slice){ records[i], strlen(records[i]) }), "%s", records[i]);
    }
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
