#include <criterion/criterion.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/json.h"
#include "store/message.h"
#include "tests/support/message_oracle.h"

#define MSG "%gDipinUIe8Mxz3DAX0JDXqqYR5z6M1f4W9/CKL3A7sk=.sha256"
#define MSG2 "%t1KlN4wmSbbwdwBXv2JZUFwwhn9B1RGX22ltpy8cAQE=.sha256"
#define CLOAKED "%gDipinUIe8Mxz3DAX0JDXqqYR5z6M1f4W9/CKL3A7sk=.cloaked"
#define FEED "@84MgSJqW2ndPZdEcgbUznrs2RJ8IuuJg34L88Fnyrak=.ed25519"
#define BLOB "&gDipinUIe8Mxz3DAX0JDXqqYR5z6M1f4W9/CKL3A7sk=.sha256"

#define RECORD(content)                                                                                         \
    "{\"key\":\"" MSG2 "\",\"value\":{\"previous\":null,\"author\":\"" FEED "\",\"sequence\":7,"                \
    "\"timestamp\":1420070373314,\"hash\":\"sha256\",\"content\":" content ",\"signature\":\"x.sig.ed25519\"}," \
    "\"timestamp\":1795249804573.001}"

static struct message message;

static void init(void)
{
    message_init(&message);
}

static void fini(void)
{
    message_free(&message);
}

TestSuite(message, .init = init, .fini = fini);

/* A copy that ends with the text, so that a read past it is seen; it lives until the next scan. */
static void scan(const char *text)
{
    static char *copy;
    free(copy);
    size_t len = strlen(text);
    copy = malloc(len > 0 ? len : 1);
    memcpy(copy, text, len);
    cr_assert_eq(message_scan(&message, copy, len), OK);
}

static bool same(struct slice slice, const char *s)
{
    if (s == NULL) return slice.data == NULL;
    return slice.data != NULL && slice.len == strlen(s) && memcmp(slice.data, s, slice.len) == 0;
}

static bool is_ref(const struct ref *ref, const char *text)
{
    char out[REF_TEXT_MAX];
    size_t len = ref->kind == REF_NONE ? 0 : ref_print(ref, out);
    return len == strlen(text) && memcmp(out, text, len) == 0;
}

static bool has_ref(size_t i, const char *rel, const char *path, const char *text)
{
    struct buf got;
    buf_init(&got, 10000);
    bool good = i < message.ref_count && message_ref_path(&message, i, &got) == OK &&
                same((struct slice){ got.data, got.len }, path) && same(message.refs[i].rel, rel) &&
                is_ref(&message.refs[i].ref, text);
    buf_free(&got);
    return good;
}

static bool is_empty(void)
{
    const struct message *m = &message;
    return m->key.data == NULL && m->author.data == NULL && m->type.data == NULL && m->channel.data == NULL &&
           m->content.data == NULL && m->value.data == NULL && m->id.kind == REF_NONE &&
           m->author_ref.kind == REF_NONE && m->root.kind == REF_NONE && !m->has_sequence && !m->has_timestamp &&
           !m->has_received && !m->is_private && m->ref_count == 0;
}

static void must_agree(const char *text, size_t len, const char *about)
{
    const char *what = "";
    char *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, text, len);
    cr_assert_neq(message_oracle(&message, copy, len, &what), ORACLE_DIFFERS, "%s: %s differs in\n%.*s", about, what,
                  (int)(len < 2000 ? len : 2000), text);
    free(copy);
}

Test(message, finds_every_field_of_a_post)
{
    scan(RECORD("{\"type\":\"post\",\"root\":\"" MSG "\",\"channel\":\"new-people\",\"text\":\"hi\"}"));
    cr_expect(same(message.key, MSG2) && is_ref(&message.id, MSG2));
    cr_expect(same(message.author, FEED) && is_ref(&message.author_ref, FEED));
    cr_expect(same(message.type, "post") && same(message.channel, "new-people"));
    cr_expect(is_ref(&message.root, MSG));
    cr_expect(message.has_sequence && message.sequence == 7);
    cr_expect(message.has_timestamp && message.timestamp == 1420070373314.0);
    cr_expect(message.has_received && message.received == 1795249804573.001);
    cr_expect_not(message.is_private);
    cr_expect(
        same(message.content, "{\"type\":\"post\",\"root\":\"" MSG "\",\"channel\":\"new-people\",\"text\":\"hi\"}"));
    cr_expect_eq(message.value.data[0], '{');
    cr_expect_eq(message.value.data[message.value.len - 1], '}');
}

Test(message, finds_references_wherever_they_stand)
{
    scan(RECORD("{\"type\":\"post\",\"root\":\"" MSG "\",\"branch\":[\"" MSG "\",\"" MSG2 "\"],"
                "\"mentions\":[{\"link\":\"" FEED "\",\"name\":\"a\"},{\"link\":\"" BLOB "\"}],\"recps\":[[\"" CLOAKED
                "\"]]}"));
    cr_assert_eq(message.ref_count, 6);
    cr_expect(has_ref(0, "root", "/root", MSG));
    cr_expect(has_ref(1, "branch", "/branch/0", MSG));
    cr_expect(has_ref(2, "branch", "/branch/1", MSG2));
    cr_expect(has_ref(3, "mentions", "/mentions/0/link", FEED));
    cr_expect(has_ref(4, "mentions", "/mentions/1/link", BLOB));
    cr_expect(has_ref(5, "recps", "/recps/0/0", CLOAKED));
}

Test(message, only_exact_references_count)
{
    scan(RECORD("{\"a\":\" " MSG "\",\"b\":\"" MSG " \",\"c\":\"" BLOB "?unbox=x\",\"d\":\"[x](" MSG ")\",\"" MSG
                "\":1,"
                "\"e\":\"@84MgSJqW2ndPZdEcgbUznrs2RJ8IuuJg34L88Fnyral=.ed25519\",\"f\":\"\\n" MSG "\"}"));
    cr_expect_eq(message.ref_count, 0);
}

Test(message, references_outside_content_do_not_count)
{
    scan("{\"x\":\"" MSG "\",\"value\":{\"y\":[\"" MSG "\"],\"previous\":\"" MSG "\",\"content\":{\"type\":\"a\"}}}");
    cr_expect_eq(message.ref_count, 0);
    scan("{\"content\":{\"link\":\"" MSG "\"},\"value\":{}}");
    cr_expect_eq(message.ref_count, 0);
}

Test(message, escaped_references_and_keys_are_understood)
{
    scan(RECORD("{\"t\\u0079pe\":\"po\\u0073t\",\"ro\\u006ft\":\"\\u0025gDipinUIe8Mxz3DAX0JDXqqYR5z6M1f4W9\\/"
                "CKL3A7sk=.sha256\","
                "\"a\\/b~\\n\":[{\"\":\"" FEED "\"}],\"channel\":\"\\ud83d\\ude00\"}"));
    cr_expect(same(message.type, "post") && same(message.channel, "\xF0\x9F\x98\x80"));
    cr_expect(is_ref(&message.root, MSG));
    cr_assert_eq(message.ref_count, 2);
    cr_expect(has_ref(0, "root", "/root", MSG));
    cr_expect(has_ref(1, "a/b~\n", "/a~1b~0\n/0/", FEED));
}

Test(message, outer_keys_may_be_escaped_too)
{
    scan("{\"\\u006bey\":\"x\\ty\",\"v\\u0061lue\":{\"\\u0061uthor\":\"\\u0040x\",\"s\\u0065quence\":3,"
         "\"c\\u006fntent\":\"x\"},"
         "\"t\\u0069mestamp\":5}");
    cr_expect(same(message.key, "x\ty") && same(message.author, "@x"));
    cr_expect(message.sequence == 3 && message.received == 5 && message.is_private);
}

Test(message, a_private_message_has_string_content)
{
    scan(RECORD("\"aGVsbG8=.box\""));
    cr_expect(message.is_private && !message.is_opened);
    cr_expect(same(message.content, "\"aGVsbG8=.box\"") && same(message.type, NULL));
    scan(RECORD("\"" MSG "\""));
    cr_expect_eq(message.ref_count, 0);
}

Test(message, content_that_is_neither_object_nor_string_has_no_references)
{
    scan(RECORD("[\"" MSG "\",{\"root\":\"" MSG "\",\"type\":\"x\"}]"));
    cr_expect(message.ref_count == 0 && message.root.kind == REF_NONE && same(message.type, NULL) &&
              !message.is_private);
    scan(RECORD("null"));
    cr_expect(same(message.content, "null") && !message.is_private);
}

Test(message, fields_of_another_type_are_absent)
{
    scan("{\"key\":7,\"value\":{\"author\":{\"a\":1},\"sequence\":\"3\",\"timestamp\":\"4\",\"content\":{\"type\":["
         "\"post\"],"
         "\"channel\":null,\"root\":{\"link\":\"" MSG "\"}}},\"timestamp\":true}");
    cr_expect(same(message.key, NULL) && same(message.author, NULL) && same(message.type, NULL) &&
              same(message.channel, NULL));
    cr_expect_not(message.has_sequence || message.has_timestamp || message.has_received);
    cr_expect_eq(message.root.kind, REF_NONE);
    cr_expect(has_ref(0, "root", "/root/link", MSG));
}

Test(message, author_must_be_a_feed_and_root_a_message)
{
    scan("{\"key\":\"" BLOB "\",\"value\":{\"author\":\"" MSG "\",\"content\":{\"root\":\"" CLOAKED "\"}}}");
    cr_expect(same(message.author, MSG) && message.author_ref.kind == REF_NONE);
    cr_expect_eq(message.root.kind, REF_NONE);
    cr_expect(has_ref(0, "root", "/root", CLOAKED));
    cr_expect(is_ref(&message.id, BLOB), "any reference may be a key");
}

Test(message, of_a_key_that_stands_twice_the_last_counts)
{
    scan("{\"key\":\"a\",\"value\":{\"author\":\"x\",\"sequence\":1,\"content\":{\"root\":\"" MSG
         "\",\"type\":\"a\"}},\"timestamp\":1,"
         "\"key\":\"b\",\"value\":{\"timestamp\":2,\"content\":{\"q\":\"" FEED "\"}},\"timestamp\":3}");
    cr_expect(same(message.key, "b") && same(message.author, NULL) && same(message.type, NULL));
    cr_expect(!message.has_sequence && message.timestamp == 2 && message.received == 3);
    cr_expect_eq(message.root.kind, REF_NONE);
    cr_assert_eq(message.ref_count, 1);
    cr_expect(has_ref(0, "q", "/q", FEED));
}

Test(message, the_last_may_be_of_another_type)
{
    scan("{\"key\":\"a\",\"key\":1,\"value\":{\"author\":\"x\",\"author\":[],\"sequence\":1,\"sequence\":null,"
         "\"content\":{\"type\":\"a\",\"type\":1,\"root\":\"" MSG "\",\"root\":0}}}");
    cr_expect(same(message.key, NULL) && same(message.author, NULL) && same(message.type, NULL));
    cr_expect(!message.has_sequence && message.root.kind == REF_NONE && message.ref_count == 0);
}

Test(message, replaced_members_lose_their_references_at_every_level)
{
    scan(RECORD("{\"a\":\"" MSG "\",\"b\":{\"x\":\"" MSG "\",\"y\":{\"z\":\"" BLOB "\"},\"y\":[\"" FEED "\"],\"x\":0},"
                "\"\\u0061\":[{\"k\":1,\"l\":\"" MSG2 "\",\"\\u006b\":\"" MSG "\"}]}"));
    cr_assert_eq(message.ref_count, 3);
    cr_expect(has_ref(0, "b", "/b/y/0", FEED));
    cr_expect(has_ref(1, "a", "/a/0/l", MSG2));
    cr_expect(has_ref(2, "a", "/a/0/k", MSG));
}

Test(message, replaced_members_are_found_among_very_many_keys)
{
    struct buf text;
    buf_init(&text, 1 << 24);
    buf_puts(&text, "{\"value\":{\"content\":{");
    for (int i = 0; i < 60000; i++)
        buf_printf(&text, "%s\"key-number-%d\":\"%s\"", i > 0 ? "," : "", i % 40000, MSG);
    buf_puts(&text, "}}}");
    cr_assert_eq(text.err, OK);
    cr_assert_eq(message_scan(&message, text.data, text.len), OK);
    cr_expect_eq(message.ref_count, 40000);
    cr_expect(has_ref(0, "key-number-20000", "/key-number-20000", MSG));
    buf_free(&text);
}

Test(message, proto_is_an_ordinary_key)
{
    scan(RECORD("{\"__proto__\":{\"link\":\"" MSG "\"},\"constructor\":\"" FEED "\"}"));
    cr_expect(has_ref(0, "__proto__", "/__proto__/link", MSG));
    cr_expect(has_ref(1, "constructor", "/constructor", FEED));
}

Test(message, sequence_is_a_whole_number_that_javascript_holds)
{
    static const struct {
        const char *text;
        int64_t want; /* -1 = absent */
    } rows[] = { { "0", 0 },
                 { "1e3", 1000 },
                 { "1.0", 1 },
                 { "-0", 0 },
                 { "1.5", -1 },
                 { "-1", -1 },
                 { "1e0", 1 },
                 { "10e-1", 1 },
                 { "9007199254740991", 9007199254740991 },
                 { "1e400", -1 },
                 { "1e22", -1 },
                 { "9007199254740992", -1 },
                 { "01", -1 },
                 { "null", -1 },
                 { "9007199254740993", -1 },
                 { "9007199254740990.9", 9007199254740991 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"value\":{\"sequence\":%s}}", rows[i].text);
        scan(text);
        cr_expect_eq(message.has_sequence, rows[i].want >= 0, "%s", rows[i].text);
        if (rows[i].want >= 0) cr_expect_eq(message.sequence, rows[i].want, "%s", rows[i].text);
    }
}

Test(message, rts_is_the_earlier_of_the_two_times)
{
    scan("{\"value\":{\"timestamp\":5},\"timestamp\":7}");
    cr_expect_eq(message_rts(&message), 5);
    scan("{\"value\":{\"timestamp\":9},\"timestamp\":7}");
    cr_expect_eq(message_rts(&message), 7);
    scan("{\"value\":{\"timestamp\":9}}");
    cr_expect_eq(message_rts(&message), 9);
    scan("{\"value\":{},\"timestamp\":7}");
    cr_expect_eq(message_rts(&message), 7);
    scan("{\"value\":{}}");
    cr_expect_eq(message_rts(&message), 0);
}

Test(message, white_space_may_stand_between_all_tokens)
{
    scan(" \n{ \"key\" :\t\"k\" , \"value\"\r\n: { \"content\" : { \"l\" : [ [ ] , { } , \"" MSG "\" ] } } } \n");
    cr_expect(same(message.key, "k"));
    cr_expect(has_ref(0, "l", "/l/2", MSG));
    cr_expect(same(message.content, "{ \"l\" : [ [ ] , { } , \"" MSG "\" ] }"));
}

Test(message, every_cut_of_a_record_is_empty)
{
    static const char whole[] =
        RECORD("{\"type\":\"po\\u0073t\",\"root\":\"" MSG "\",\"l\":[{\"x\":\"" FEED "\"},1,true]}");
    for (size_t len = 0; len < sizeof whole - 1; len++) {
        char *copy = malloc(len > 0 ? len : 1);
        memcpy(copy, whole, len);
        cr_assert_eq(message_scan(&message, copy, len), OK);
        cr_assert(is_empty(), "cut at %zu", len);
        cr_assert(message.record.data == copy && message.record.len == len);
        free(copy);
    }
}

Test(message, what_is_no_record_is_empty)
{
    static const char *const texts[] = { "",
                                         " ",
                                         "null",
                                         "[]",
                                         "{}",
                                         "{}x",
                                         "5",
                                         "\"x\"",
                                         "{\"key\":}",
                                         "{\"key\"}",
                                         "{key:1}",
                                         "{\"key\":\"a\",}",
                                         "\xFF",
                                         "{\"key\":\"a\"}}",
                                         "{\"key\":\"a\" \"value\":1}",
                                         "{\"key\\x\":1}" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        scan(texts[i]);
        cr_expect(is_empty(), "%s", texts[i]);
    }
    static const char zeros[100];
    cr_assert_eq(message_scan(&message, zeros, sizeof zeros), OK);
    cr_expect(is_empty());
}

Test(message, nothing_of_an_earlier_record_is_left)
{
    scan(RECORD("{\"type\":\"post\",\"root\":\"" MSG "\",\"channel\":\"x\"}"));
    cr_assert_not(is_empty());
    scan("{}");
    cr_expect(is_empty());
}

/* Brackets within brackets below a key of content, which is itself the third level. */
static char *nested_record(size_t depth)
{
    static const char head[] = "{\"value\":{\"content\":{\"deep\":", last[] = "\"" MSG "\"", tail[] = "}}}";
    char *text = malloc(sizeof head + sizeof last + sizeof tail + 7 * depth), *at = text;
    at = stpcpy(at, head);
    for (size_t i = 0; i < depth; i++)
        at = stpcpy(at, i % 2 == 0 ? "[" : "{\"x\":");
    at = stpcpy(at, last);
    for (size_t i = depth; i > 0; i--)
        *at++ = (i - 1) % 2 == 0 ? ']' : '}';
    stpcpy(at, tail);
    return text;
}

Test(message, deep_content_is_followed_to_the_limit)
{
    char *most = nested_record(JSON_DEPTH_MAX - 3), *more = nested_record(JSON_DEPTH_MAX - 2),
         *far = nested_record(1000000);
    cr_assert_eq(message_scan(&message, most, strlen(most)), OK);
    cr_assert_eq(message.ref_count, 1);
    struct buf path;
    buf_init(&path, 1 << 20);
    cr_expect_eq(message_ref_path(&message, 0, &path), OK);
    cr_expect_eq(path.len, strlen("/deep") + 2 * (JSON_DEPTH_MAX - 3));
    buf_free(&path);
    cr_assert_eq(message_scan(&message, more, strlen(more)), OK);
    cr_expect(is_empty());
    cr_assert_eq(message_scan(&message, far, strlen(far)), OK);
    cr_expect(is_empty());
    free(most);
    free(more);
    free(far);
}

Test(message, references_past_the_limit_are_not_taken)
{
    struct buf text;
    buf_init(&text, 1 << 24);
    buf_puts(&text, "{\"value\":{\"content\":{\"l\":[");
    for (int i = 0; i < MESSAGE_REFS_MAX + 10; i++)
        buf_puts(&text, "\"" MSG "\",");
    buf_puts(&text, "1],\"root\":\"" MSG2 "\"}}}");
    cr_assert_eq(message_scan(&message, text.data, text.len), OK);
    cr_expect_eq(message.ref_count, MESSAGE_REFS_MAX);
    cr_expect(is_ref(&message.root, MSG2));
    buf_free(&text);
}

Test(message, paths_are_for_references_that_are_there)
{
    struct buf path;
    buf_init(&path, 3);
    scan(RECORD("{\"root\":\"" MSG "\"}"));
    cr_expect_eq(message_ref_path(&message, 1, &path), ERR_ARG);
    cr_expect_eq(message_ref_path(&message, 0, &path), ERR_LIMIT, "no room for it");
    buf_free(&path);
}

Test(message, repeated_scans_need_no_memory)
{
    static const char text[] =
        RECORD("{\"type\":\"po\\u0073t\",\"l\":[\"" MSG "\",\"" FEED "\"],\"l\":[\"\\u0025x\"]}");
    cr_assert_eq(message_scan(&message, text, sizeof text - 1), OK);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(message_scan(&message, text, sizeof text - 1), OK);
    cr_expect_eq(mallinfo2().uordblks, before);
}

/* ---- random records, judged by jansson ---- */

struct random {
    unsigned state;
    struct buf text;
};

static unsigned below(struct random *r, unsigned n)
{
    return (unsigned)rand_r(&r->state) % n;
}

static void put_space(struct random *r)
{
    static const char *const spaces[] = { " ", "\n", "\t\r", "  " };
    if (below(r, 8) == 0) buf_puts(&r->text, spaces[below(r, 4)]);
}

/* A string of JSON, some of its characters escaped in one way or another. */
static void put_string(struct random *r, const char *s)
{
    bool escapes = below(r, 4) == 0;
    buf_putc(&r->text, '"');
    for (; *s != '\0'; s++) {
        bool plain = (unsigned char)*s >= 0x20 && *s != '"' && *s != '\\';
        if (!plain || (escapes && (unsigned char)*s < 0x80 && below(r, 5) == 0))
            buf_printf(&r->text, below(r, 2) == 0 ? "\\u%04x" : "\\u%04X", (unsigned)(unsigned char)*s);
        else if (*s == '/' && escapes)
            buf_puts(&r->text, "\\/");
        else
            buf_putc(&r->text, *s);
    }
    buf_putc(&r->text, '"');
}

static void put_key(struct random *r)
{
    static const char *const keys[] = { "key",
                                        "value",
                                        "timestamp",
                                        "author",
                                        "sequence",
                                        "content",
                                        "type",
                                        "root",
                                        "channel",
                                        "link",
                                        "__proto__",
                                        "",
                                        "a/b",
                                        "m~n",
                                        "x",
                                        "y",
                                        "\xF0\x9F\x98\x80",
                                        "a rather long key that is no field",
                                        "a rather long key that is no fielt" };
    put_string(r, keys[below(r, sizeof keys / sizeof *keys)]);
}

static void put_scalar(struct random *r)
{
    static const char *const refs[] = { MSG,  MSG2,    FEED,
                                        BLOB, CLOAKED, "@84MgSJqW2ndPZdEcgbUznrs2RJ8IuuJg34L88Fnyrak=.sha256" };
    static const char *const numbers[] = { "0",
                                           "1",
                                           "1e3",
                                           "1.0",
                                           "-0",
                                           "2.5",
                                           "1795249804573.001",
                                           "9007199254740991",
                                           "9007199254740993",
                                           "-7",
                                           "1E-2",
                                           "0.1",
                                           "123456789012.3456789",
                                           "1e308",
                                           "12345678901234567" };
    static const char *const words[] = { "true", "false", "null" };
    static const char *const texts[] = { "", "post", "x\"y\\z\n",
                                         "a much longer text than sixteen bytes, with \"quotes\" and so on\n\n",
                                         "%gDipinUIe8Mxz3DAX0JDXqqYR5z6M1f4W9/CKL3A7sl=.sha256" };
    unsigned kind = below(r, 10);
    if (kind < 5)
        put_string(r, refs[below(r, 6)]);
    else if (kind < 7)
        buf_puts(&r->text, numbers[below(r, sizeof numbers / sizeof *numbers)]);
    else if (kind < 8)
        buf_puts(&r->text, words[below(r, 3)]);
    else
        put_string(r, texts[below(r, 5)]);
}

static void put_value(struct random *r, int depth);

static void put_members(struct random *r, int depth, bool object, unsigned n)
{
    buf_putc(&r->text, object ? '{' : '[');
    for (unsigned i = 0; i < n; i++) {
        if (i > 0) buf_putc(&r->text, ',');
        put_space(r);
        if (object) {
            put_key(r);
            put_space(r);
            buf_putc(&r->text, ':');
            put_space(r);
        }
        put_value(r, depth + 1);
        put_space(r);
    }
    buf_putc(&r->text, object ? '}' : ']');
}

static void put_value(struct random *r, int depth)
{
    if (depth > 6 || below(r, 3) == 0)
        put_scalar(r);
    else
        put_members(r, depth, below(r, 3) > 0, below(r, 30) == 0 ? below(r, 40) : below(r, 6));
}

/* Mostly in the shape of a record, so that the random parts are where the scan looks. */
static void put_record(struct random *r)
{
    static const char *const frames[] = { "{\"key\":",       ",\"value\":{\"author\":", ",\"sequence\":",
                                          ",\"timestamp\":", ",\"content\":",           "},\"timestamp\":" };
    if (below(r, 8) == 0) {
        put_value(r, 0);
        return;
    }
    for (size_t i = 0; i < 6; i++) {
        buf_puts(&r->text, frames[i]);
        if (i == 4)
            put_members(r, 2, true, below(r, 9));
        else
            put_value(r, below(r, 3) == 0 ? 5 : 7);
    }
    buf_putc(&r->text, '}');
}

static void damage(struct random *r)
{
    static const char marks[] = "\"\\{}[],:0 x\xFF";
    if (r->text.len == 0) return;
    for (unsigned n = 1 + below(r, 3); n > 0; n--)
        r->text.data[below(r, (unsigned)r->text.len)] = marks[below(r, sizeof marks - 1)];
}

Test(message, random_records_are_what_jansson_says)
{
    const char *given = getenv("SLUICE_TEST_SEED");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : 1;
    struct random r = { .state = seed };
    size_t refs = 0, judged = 0;
    char about[64];
    buf_init(&r.text, 1 << 20);
    for (int round = 0; round < 6000; round++) {
        buf_reset(&r.text);
        put_record(&r);
        cr_assert_eq(r.text.err, OK);
        snprintf(about, sizeof about, "SLUICE_TEST_SEED=%u, round %d", seed, round);
        must_agree(r.text.data, r.text.len, about);
        refs += message.ref_count;
        judged += message.value.data != NULL;
        damage(&r);
        must_agree(r.text.data, r.text.len, about);
    }
    buf_free(&r.text);
    cr_expect_gt(refs, 6000, "the generator must give the scan something to find");
    cr_expect_gt(judged, 4000);
}
