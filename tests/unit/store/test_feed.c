#include <criterion/criterion.h>

#include <math.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "store/err.h"
#include "store/feed.h"

#define TEXT_MAX ((size_t)4 << 20)

/* One author with a fixed key, and the text of the message under test. */
struct writer {
    uint8_t public_key[32], secret_key[64];
    char author[REF_TEXT_MAX + 1];
    struct buf text;
};

static void writer_open(struct writer *writer)
{
    static const uint8_t seed[32] = { 7 };
    cr_assert_geq(sodium_init(), 0);
    crypto_sign_seed_keypair(writer->public_key, writer->secret_key, seed);
    struct ref id = { .kind = REF_FEED };
    memcpy(id.id, writer->public_key, 32);
    writer->author[ref_print(&id, writer->author)] = '\0';
    buf_init(&writer->text, TEXT_MAX);
}

static void writer_close(struct writer *writer)
{
    buf_free(&writer->text);
}

/* The fields of a message as JSON; NULL = the usual one. */
struct fields {
    const char *previous, *author, *sequence, *timestamp, *hash, *content;
};

static const char *or_else(const char *text, const char *usual)
{
    return text == NULL ? usual : text;
}

static void writer_sign(struct writer *writer, struct fields fields, const uint8_t *hmac_key)
{
    struct buf value;
    buf_init(&value, TEXT_MAX);
    buf_printf(&value, "{\"previous\":%s,\"author\":", or_else(fields.previous, "null"));
    if (fields.author == NULL)
        buf_printf(&value, "\"%s\"", writer->author);
    else
        buf_puts(&value, fields.author);
    buf_printf(&value, ",\"sequence\":%s,\"timestamp\":%s,\"hash\":%s,\"content\":%s}", or_else(fields.sequence, "1"),
               or_else(fields.timestamp, "1500000000000"), or_else(fields.hash, "\"sha256\""),
               or_else(fields.content, "{\"type\":\"post\",\"text\":\"x\"}"));
    buf_reset(&writer->text);
    cr_assert_eq(feed_sign(value.data, value.len, writer->secret_key, hmac_key, &writer->text), OK, "%s",
                 err_detail(ERR_JSON));
    buf_free(&value);
}

static int check(const struct writer *writer)
{
    struct feed_message message;
    int err = feed_check(writer->text.data, writer->text.len, NULL, &message);
    feed_message_free(&message);
    return err;
}

static void expect_valid(struct fields fields)
{
    struct writer writer;
    writer_open(&writer);
    writer_sign(&writer, fields, NULL);
    int err = check(&writer);
    cr_expect_eq(err, OK, "%.*s: %s", (int)writer.text.len, writer.text.data, err_detail(err));
    writer_close(&writer);
}

static void expect_invalid(struct fields fields, const char *detail)
{
    struct writer writer;
    writer_open(&writer);
    writer_sign(&writer, fields, NULL);
    int err = check(&writer);
    cr_expect_eq(err, ERR_INVALID, "%.*s: %s", (int)writer.text.len, writer.text.data, err_name(err));
    cr_expect_not_null(strstr(err_detail(err), detail), "\"%s\" does not say \"%s\"", err_detail(err), detail);
    writer_close(&writer);
}

Test(feed, a_signed_message_is_valid)
{
    expect_valid((struct fields){ 0 });
    expect_valid((struct fields){ .timestamp = "-1.5" });
    expect_valid((struct fields){ .content = "{\"type\":\"abc\"}" });
    expect_valid((struct fields){ .content = "{\"text\":\"\\ud800 \\u20ac\",\"type\":\"post\",\"7\":1,\"3\":2}" });
}

Test(feed, each_field_has_its_rule)
{
    expect_invalid((struct fields){ .author = "\"x\"" }, "author");
    expect_invalid((struct fields){ .author = "\"%AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256\"" }, "author");
    expect_invalid((struct fields){ .author = "\"@AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256\"" }, "author");
    expect_invalid((struct fields){ .author = "null" }, "author");
    expect_invalid((struct fields){ .sequence = "0" }, "sequence");
    expect_invalid((struct fields){ .sequence = "1.5" }, "sequence");
    expect_invalid((struct fields){ .sequence = "2147483648" }, "sequence");
    expect_invalid((struct fields){ .sequence = "1e400" }, "sequence");
    expect_invalid((struct fields){ .sequence = "\"1\"" }, "sequence");
    expect_invalid((struct fields){ .previous = "\"\"" }, "previous");
    expect_invalid((struct fields){ .previous = "[]" }, "previous");
    expect_invalid((struct fields){ .previous = "\"&AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256\"" },
                   "previous");
    expect_invalid((struct fields){ .timestamp = "\"now\"" }, "timestamp");
    expect_invalid((struct fields){ .hash = "\"sha512\"" }, "hash");
    expect_invalid((struct fields){ .hash = "null" }, "hash");
}

Test(feed, content_is_an_object_with_a_type)
{
    expect_invalid((struct fields){ .content = "null" }, "content");
    expect_invalid((struct fields){ .content = "[]" }, "content");
    expect_invalid((struct fields){ .content = "1" }, "content");
    expect_invalid((struct fields){ .content = "{}" }, "content.type");
    expect_invalid((struct fields){ .content = "{\"type\":1}" }, "content.type");
    expect_invalid((struct fields){ .content = "{\"type\":\"ab\"}" }, "not 2");
    expect_invalid((struct fields){ .content = "{\"type\":\"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz1\"}" },
                   "not 53");
    expect_valid((struct fields){ .content = "{\"type\":\"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\"}" });
    expect_valid((struct fields){ .content = "{\"type\":\"\xF0\x9F\x98\x80x\"}" });
}

Test(feed, content_may_be_encrypted)
{
    static const char *const good[] = { "\"AAAA.box\"", "\".box\"", "\"AA==.box\"", "\"AAA=.box2\"",
                                        "\"AAAA.boxer \xE2\x82\xAC\"" };
    static const char *const bad[] = { "\"\"",
                                       "\"AAAA\"",
                                       "\"AAAA.bo\"",
                                       "\"AAA.box\"",
                                       "\"AB==.box\"",
                                       "\"AAB=.box\"",
                                       "\"A===.box\"",
                                       "\"A*AA.box\"",
                                       "\"AAAA.box\\n\"",
                                       "\"AAAA.box\\r1\"",
                                       "\"AA==AAAA.box\"",
                                       "\"AAAA .box\"",
                                       "\"AAAA.box\\u2028\"",
                                       "\"AAAA.box\\u2029x\"" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        expect_valid((struct fields){ .content = good[i] });
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_invalid((struct fields){ .content = bad[i] }, "content");
}

Test(feed, only_a_first_message_needs_a_number_as_timestamp)
{
    static const char previous[] = "\"%AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256\"";
    expect_valid((struct fields){ .previous = previous, .sequence = "2", .timestamp = "\"later\"" });
    expect_valid((struct fields){ .previous = previous, .sequence = "2147483647" });
}

/* The text of a signed message with `from` replaced, judged. */
static int check_replaced(const char *from, const char *to)
{
    struct writer writer;
    writer_open(&writer);
    writer_sign(&writer, (struct fields){ 0 }, NULL);
    struct buf text;
    buf_init(&text, TEXT_MAX);
    char *at = memmem(writer.text.data, writer.text.len, from, strlen(from));
    cr_assert_not_null(at);
    buf_append(&text, writer.text.data, (size_t)(at - writer.text.data));
    buf_puts(&text, to);
    at += strlen(from);
    buf_append(&text, at, (size_t)(writer.text.data + writer.text.len - at));
    struct feed_message message;
    int err = feed_check(text.data, text.len, NULL, &message);
    feed_message_free(&message);
    buf_free(&text);
    writer_close(&writer);
    return err;
}

Test(feed, keys_must_be_seven_in_order)
{
    cr_expect_eq(check_replaced("\"previous\":null", "\"previous\" : null"), OK);
    cr_expect_eq(check_replaced("\"previous\":null", "\"before\":null"), ERR_INVALID);
    cr_expect_eq(check_replaced(",\"hash\":\"sha256\"", ""), ERR_INVALID);
    cr_expect_eq(check_replaced(",\"signature\"", ",\"extra\":1,\"signature\""), ERR_INVALID);
    cr_expect_eq(check_replaced("\"timestamp\":1500000000000,\"hash\":\"sha256\"",
                                "\"hash\":\"sha256\",\"timestamp\":1500000000000"),
                 ERR_INVALID);
    cr_expect_eq(check_replaced("{\"previous\":null,", "{\"0\":0,\"previous\":null,"), ERR_INVALID);
}

Test(feed, a_changed_message_fails_its_signature)
{
    cr_expect_eq(check_replaced("\"text\":\"x\"", "\"text\":\"y\""), ERR_INVALID);
    cr_expect_not_null(strstr(err_detail(ERR_INVALID), "signature"));
    cr_expect_eq(check_replaced("\"text\":\"x\"", "\"text\":\"\\u0078\""), OK, "another spelling of the same text");
    cr_expect_eq(check_replaced(".sig.ed25519", ".sig.sha256"), ERR_INVALID);
    cr_expect_eq(check_replaced("==.sig", "=.sig"), ERR_INVALID);
}

static int check_bytes(const char *text, size_t len)
{
    struct feed_message message;
    int err = feed_check(text, len, NULL, &message);
    feed_message_free(&message);
    return err;
}

Test(feed, what_is_no_message_is_an_error)
{
    cr_expect_eq(check_bytes("", 0), ERR_JSON);
    cr_expect_eq(check_bytes("{", 1), ERR_JSON);
    cr_expect_eq(check_bytes("null", 4), ERR_INVALID);
    cr_expect_eq(check_bytes("[1,2,3,4,5,6,7]", 15), ERR_INVALID);
    cr_expect_eq(check_bytes("{}", 2), ERR_INVALID);
    feed_message_free(NULL);
}

/* A message whose canonical text has `units` UTF-16 units, of characters of three bytes. */
static int check_size_of(size_t units)
{
    struct writer writer;
    struct buf content;
    writer_open(&writer);
    buf_init(&content, TEXT_MAX);
    writer_sign(&writer, (struct fields){ .content = "{\"type\":\"post\",\"text\":\"\"}" }, NULL);
    size_t empty = writer.text.len + 11 + 24 + 9; /* line breaks, indents, blanks after colons */
    buf_puts(&content, "{\"type\":\"post\",\"text\":\"");
    for (size_t i = empty; i < units; i++)
        buf_puts(&content, "\xE2\x82\xAC");
    buf_append(&content, "\"}", 3);
    writer_sign(&writer, (struct fields){ .content = content.data }, NULL);
    int err = check(&writer);
    buf_free(&content);
    writer_close(&writer);
    return err;
}

Test(feed, size_counts_utf16_units_of_the_signed_text)
{
    cr_expect_eq(check_size_of(FEED_MESSAGE_MAX), OK, "%s", err_detail(ERR_INVALID));
    cr_expect_eq(check_size_of(FEED_MESSAGE_MAX + 1), ERR_INVALID);
    cr_expect_not_null(strstr(err_detail(ERR_INVALID), "8193"), "%s", err_detail(ERR_INVALID));
    cr_expect_eq(check_size_of(20 * FEED_MESSAGE_MAX), ERR_INVALID);
}

Test(feed, white_space_has_an_end_too)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    for (size_t i = 0; i < 3000000; i++)
        buf_putc(&text, ' ');
    cr_expect_eq(check_bytes(text.data, text.len), ERR_LIMIT);
    buf_free(&text);
}

Test(feed, an_hmac_key_makes_another_network)
{
    static const uint8_t one[32] = { 1 }, two[32] = { 2 };
    struct writer writer;
    writer_open(&writer);
    writer_sign(&writer, (struct fields){ 0 }, one);
    struct feed_message message;
    cr_expect_eq(feed_check(writer.text.data, writer.text.len, one, &message), OK);
    feed_message_free(&message);
    cr_expect_eq(feed_check(writer.text.data, writer.text.len, two, &message), ERR_INVALID);
    feed_message_free(&message);
    cr_expect_eq(feed_check(writer.text.data, writer.text.len, NULL, &message), ERR_INVALID);
    feed_message_free(&message);
    cr_expect_eq(feed_check_unsigned(writer.text.data, writer.text.len, &message), OK);
    feed_message_free(&message);
    writer_close(&writer);
}

Test(feed, record_is_what_ssb_db_stores)
{
    static const char value[] =
        "{ \"previous\":null,\"sequence\":1,\"author\":\"@iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=.ed25519\","
        "\"timestamp\":1491901740000.0,\"hash\":\"sha256\",\"content\":{\"type\":\"post\",\"text\":\"plain\"},"
        "\"signature\":\"G5kYOVdyASoDTlJxhoH8KavXQBHv6PjbqWmYlufkjzWJMnIeBkj/"
        "g42lmqcoXG259AQLPc9MW0klRvnKgXriBQ==.sig.ed25519\"}";
    static const char record[] =
        "{\"key\":\"%n8T0c44ojJG5MulIgohU6bnyWO2I66WEcpeo8qDRf7A=.sha256\",\"value\":{\"previous\":null,\"sequence\":1,"
        "\"author\":\"@iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=.ed25519\",\"timestamp\":1491901740000,\"hash\":"
        "\"sha256\","
        "\"content\":{\"type\":\"post\",\"text\":\"plain\"},\"signature\":"
        "\"G5kYOVdyASoDTlJxhoH8KavXQBHv6PjbqWmYlufkjzWJMnIeBkj/"
        "g42lmqcoXG259AQLPc9MW0klRvnKgXriBQ==.sig.ed25519\"},\"timestamp\":1491901740001.001}";
    struct feed_message message;
    cr_assert_eq(feed_check(value, sizeof value - 1, NULL, &message), OK, "%s", err_detail(ERR_INVALID));
    cr_expect_eq(feed_record(&message, 5), OK);
    cr_expect_eq(feed_record(&message, 1491901740001.001), OK, "a record may be made again with another time");
    cr_assert_eq(message.record.len, sizeof record - 1);
    cr_expect_eq(memcmp(message.record.data, record, sizeof record - 1), 0);
    cr_expect_eq(message.sequence, 1);
    cr_expect_not(message.has_previous);
    cr_expect_eq(message.timestamp, 1491901740000.0);
    feed_message_free(&message);
}

Test(feed, no_record_of_an_invalid_message)
{
    struct feed_message message;
    cr_assert_eq(feed_check("{}", 2, NULL, &message), ERR_INVALID);
    cr_expect_eq(feed_record(&message, 1), ERR_ARG);
    feed_message_free(&message);
}

static struct ref ref_of(uint8_t first)
{
    return (struct ref){ .kind = REF_MESSAGE, .id = { first } };
}

static void expect_next(bool exists, int64_t at, bool has_previous, uint8_t previous, int64_t sequence, int expected,
                        const char *detail)
{
    struct feed_state state = { .exists = exists, .sequence = at, .id = ref_of(3) };
    struct feed_message message = { .id = ref_of((uint8_t)sequence),
                                    .sequence = sequence,
                                    .has_previous = has_previous,
                                    .previous = ref_of(previous) };
    int err = feed_check_next(&state, &message);
    cr_expect_eq(err, expected, "%s: %s", err_name(err), err_detail(err));
    if (expected != OK) cr_expect_not_null(strstr(err_detail(err), detail), "%s", err_detail(err));
}

Test(feed, a_message_must_come_next_in_its_feed)
{
    expect_next(false, 0, false, 0, 1, OK, "");
    expect_next(false, 0, false, 0, 2, ERR_INVALID, "sequence must be 1 (the feed has no messages here), not 2");
    expect_next(false, 0, true, 1, 1, ERR_INVALID, "previous must be null");
    expect_next(true, 3, true, 3, 4, OK, "");
    expect_next(true, 3, true, 3, 6, ERR_INVALID, "sequence must be 4 (the feed's newest message is 3), not 6");
    expect_next(true, 3, true, 9, 4, ERR_FORK, "previous must be %AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256");
    expect_next(true, 3, false, 0, 4, ERR_FORK, "not null");
    expect_next(true, 3, true, 3, 3, ERR_FORK, "here already");
    expect_next(true, 3, true, 3, 2, ERR_FORK, "not 2");
    expect_next(true, 3, false, 0, 1, ERR_FORK, "not 1");
}

Test(feed, only_an_unsigned_object_can_be_signed)
{
    uint8_t key[64] = { 0 };
    struct buf out;
    buf_init(&out, TEXT_MAX);
    cr_expect_eq(feed_sign("[]", 2, key, NULL, &out), ERR_ARG);
    cr_expect_eq(feed_sign("{\"signature\":1}", 15, key, NULL, &out), ERR_ARG);
    cr_expect_eq(feed_sign("{", 1, key, NULL, &out), ERR_JSON);
    cr_expect_eq(out.len, 0);
    cr_expect_eq(feed_sign("{}", 2, key, NULL, &out), OK);
    cr_expect(out.len > 14 && memcmp(out.data, "{\"signature\":\"", 14) == 0);
    buf_free(&out);
}

static void *check_often(void *arg)
{
    const struct writer *writer = arg;
    for (int i = 0; i < 100; i++)
        if (check(writer) != OK) return arg;
    return NULL;
}

Test(feed, messages_are_checked_in_several_threads)
{
    struct writer writer;
    writer_open(&writer);
    writer_sign(&writer, (struct fields){ 0 }, NULL);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, check_often, &writer), 0);
    for (size_t i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        cr_expect_null(failed);
    }
    writer_close(&writer);
}

/* Each character at each place: as libsodium decides, which takes everything beyond ASCII for a slash. */
Test(feed, signatures_are_canonical_base64)
{
    uint8_t bytes[REF_SIGNATURE_BYTES], got[REF_SIGNATURE_BYTES], expected[REF_SIGNATURE_BYTES];
    char text[REF_SIGNATURE_TEXT + 1];
    size_t taken = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37 + 251);
    (void)sodium_bin2base64(text, sizeof text, bytes, sizeof bytes, sodium_base64_VARIANT_ORIGINAL);
    cr_assert(ref_signature(text, got) && memcmp(got, bytes, sizeof bytes) == 0);
    for (size_t at = 0; at < REF_SIGNATURE_TEXT; at++) {
        char right = text[at];
        for (int c = 1; c < 256; c++) {
            text[at] = (char)c;
            size_t len = 0;
            bool valid = c < 128 &&
                         sodium_base642bin(expected, sizeof expected, text, REF_SIGNATURE_TEXT, NULL, &len, NULL,
                                           sodium_base64_VARIANT_ORIGINAL) == 0 &&
                         len == sizeof expected;
            cr_assert_eq(ref_signature(text, got), valid, "%c at %zu", c, at);
            if (valid) cr_assert_eq(memcmp(got, expected, sizeof got), 0, "%c at %zu", c, at);
            taken += valid;
        }
        text[at] = right;
    }
    cr_expect_eq(taken, 85 * 64 + 4 + 2);
}

/* A decoder that takes other characters for a slash would let anybody make a second message of a signed one. */
Test(feed, no_second_message_can_be_made_of_one_by_writing_its_signature_differently)
{
    struct writer writer;
    writer_open(&writer);
    char time[32], *slashes = NULL;
    for (int i = 0; slashes == NULL && i < 10000; i++) {
        (void)snprintf(time, sizeof time, "%d", i);
        writer_sign(&writer, (struct fields){ .timestamp = time }, NULL);
        (void)buf_putc(&writer.text, '\0');
        char *signature = strstr(writer.text.data, "\"signature\"");
        slashes = signature == NULL ? NULL : strstr(signature, "//");
    }
    cr_assert_not_null(slashes);
    writer.text.len--;
    cr_expect_eq(check(&writer), OK);
    memcpy(slashes, "\xC3\xA9", 2);
    cr_expect_eq(check(&writer), ERR_INVALID);
    writer_close(&writer);
}
