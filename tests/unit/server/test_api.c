#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

#include "server/api.h"

static struct api_reply reply;
static struct api_request req;
static struct api_param query[API_PARAMS_MAX];

static void begin(void)
{
    api_reply_init(&reply);
    req = (struct api_request){ .query = query };
}

static void end(void)
{
    api_reply_free(&reply);
}

TestSuite(api, .init = begin, .fini = end);

static void query_add(const char *name, const char *value)
{
    req.query[req.query_count++] = (struct api_param){ { name, strlen(name) }, { value, strlen(value) } };
}

static bool body_has(const char *part)
{
    return reply.body.data != NULL && memmem(reply.body.data, reply.body.len, part, strlen(part)) != NULL;
}

static bool body_is(const char *text)
{
    return reply.body.len == strlen(text) && memcmp(reply.body.data, text, reply.body.len) == 0;
}

Test(api, a_problem_has_all_members_and_escapes_its_detail)
{
    cr_assert_eq(api_problem(&reply, "fork", ",\"index\":3", "a \"%s\"", "b\n"), API_DONE);
    cr_expect_eq(reply.status, 409);
    cr_expect_str_eq(reply.content_type, "application/problem+json");
    cr_expect(body_is("{\"type\":\"/problems/fork\",\"title\":\"The message would fork its feed\",\"status\":409,"
                      "\"detail\":\"a \\\"b\\n\\\"\",\"index\":3}"));
}

Test(api, a_problem_replaces_what_was_written_before)
{
    buf_puts(&reply.body, "half an answer");
    (void)api_problem(&reply, "no-such-problem", NULL, "x");
    cr_expect_eq(reply.status, 500);
    cr_expect(!body_has("half"));
}

/* Bytes of clients are quoted in details. Half a character is an escape that strict readers of JSON refuse (here jansson), whatever it was in. */
Test(api, a_problem_that_quotes_what_is_no_text_is_one_for_strict_readers)
{
    static const char *const quoted[] = { "\xED\xA7\xA7", "a\xED\xBF\xBF", "\xED\xA0\x80\xED\xB0\x80", "\xFF\xC3" };
    for (size_t i = 0; i < sizeof quoted / sizeof *quoted; i++) {
        json_error_t error;
        (void)api_problem(&reply, "bad-parameter", NULL, "there is no parameter %s here \xC3\xA4", quoted[i]);
        json_t *body = json_loadb(reply.body.data, reply.body.len, 0, &error);
        cr_assert_not_null(body, "%zu: %s", i, error.text);
        const char *detail = json_string_value(json_object_get(body, "detail"));
        cr_expect_not_null(strstr(detail, "\xEF\xBF\xBD"), "%zu", i);
        cr_expect_not_null(strstr(detail, " here \xC3\xA4"), "%zu", i);
        json_decref(body);
    }
}

Test(api, every_code_has_a_problem)
{
    static const struct {
        int err, status;
    } rows[] = {
        { ERR_READONLY, 503 }, { ERR_NOSEQ, 404 }, { ERR_BOUNDARY, 400 }, { ERR_DELETED, 410 }, { ERR_LIMIT, 413 },
        { ERR_ARG, 400 },      { ERR_JSON, 400 },  { ERR_REF, 400 },      { ERR_INVALID, 422 }, { ERR_FORK, 409 },
        { ERR_TIMEOUT, 503 },  { ERR_IO, 500 },    { ERR_NOSPACE, 507 },  { ERR_QUEUE, 503 },   { ERR_NOTFOUND, 404 },
        { ERR_SLOW, 503 },     { ERR_STALE, 412 }, { ERR_SHARE, 429 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin();
        (void)api_problem_err(&reply, err_set(rows[i].err, "the sentence"));
        cr_expect_eq(reply.status, rows[i].status, "%s", err_name(rows[i].err));
        cr_expect(body_has("the sentence"), "%s", err_name(rows[i].err));
        end();
    }
}

Test(api, headers_are_bounded)
{
    for (int i = 0; i < API_HEADERS_MAX; i++)
        cr_assert_eq(api_header_add(&reply, "X", "%d", i), OK);
    cr_expect_eq(api_header_add(&reply, "X", "more"), ERR_LIMIT);
    cr_expect_str_eq(reply.headers[3].value, "3");
}

Test(api, only_known_parameters_and_each_once)
{
    static const char *const names[] = { "limit", API_FRESH_PARAMS, NULL };
    static const char *const none[] = { NULL };
    query_add("limit", "1");
    query_add("stale", "ok");
    cr_expect(api_query_only(&req, &reply, names));
    cr_expect(!api_query_only(&req, &reply, none));
    query_add("limit", "2");
    cr_expect(!api_query_only(&req, &reply, names));
    cr_expect(body_has("limit is given twice"));
    req.query_count = 2;
    query_add("colour", "red");
    cr_expect(!api_query_only(&req, &reply, names));
    cr_expect(body_has("unknown parameter \\\"colour\\\"; known here: limit, after, stale"));
    cr_expect_eq(reply.status, 400);
}

Test(api, numbers_are_exact_and_bounded)
{
    static const char *const bad[] = { "",    "-",   "+1",  " 1",  "1 ", "01",
                                       "1.0", "1e3", "0x1", "101", "-1", "99999999999999999999" };
    int64_t n = 7;
    cr_expect(api_query_int(&req, &reply, "n", 0, 100, &n));
    cr_expect_eq(n, 7);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        req.query_count = 0;
        query_add("n", bad[i]);
        cr_expect(!api_query_int(&req, &reply, "n", 0, 100, &n), "%s", bad[i]);
        cr_expect_eq(n, 7);
    }
    req.query_count = 0;
    query_add("n", "100");
    cr_expect(api_query_int(&req, &reply, "n", 0, 100, &n));
    cr_expect_eq(n, 100);
}

Test(api, bools_are_two_words)
{
    bool b = false;
    query_add("a", "true");
    query_add("b", "1");
    cr_expect(api_query_bool(&req, &reply, "a", &b) && b);
    cr_expect(!api_query_bool(&req, &reply, "b", &b));
    cr_expect(api_query_bool(&req, &reply, "c", &b) && b);
}

#define ID "+/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

Test(api, ids_must_be_of_a_wanted_kind)
{
    struct ref ref = { 0 };
    query_add("a", "@" ID ".ed25519");
    query_add("b", "%25" ID ".sha256");
    query_add("c", "% /AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256");
    query_add("d", "hello");
    cr_expect(api_query_ref(&req, &reply, "a", "@", &ref));
    cr_expect_eq(ref.kind, REF_FEED);
    cr_expect(api_query_ref(&req, &reply, "b", "%&@", &ref));
    cr_expect_eq(ref.kind, REF_MESSAGE);
    cr_expect(api_query_ref(&req, &reply, "c", "%", &ref), "a plus that became a space");
    cr_expect(!api_query_ref(&req, &reply, "a", "%&", &ref));
    cr_expect_eq(reply.status, 400);
    cr_expect(!api_query_ref(&req, &reply, "d", "%&@", &ref));
    cr_expect(body_has("/problems/bad-id"));
}

Test(api, the_format_follows_accept)
{
    static const struct {
        const char *accept;
        int format;
    } rows[] = {
        { "*/*", API_JSON },
        { "application/json", API_JSON },
        { "application/x-ndjson", API_NDJSON },
        { "APPLICATION/NDJSON", API_NDJSON },
        { "application/jsonl;q=0.9, */*;q=0.1", API_NDJSON },
        { "text/event-stream", API_SSE },
        { "text/*", API_SSE },
        { "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", API_JSON },
        { "application/x-ndjson, */*", API_NDJSON },
        { "application/json;q=0, */*", API_NDJSON },
        { "application/json;q=0.5, application/x-ndjson;q=0.6", API_NDJSON },
        { "application/json;q=0.500, text/event-stream;q=0.501", API_SSE },
        { "application/*;q=0.2, text/event-stream;q=0.1", API_JSON },
        { "image/png", -1 },
        { "application/json;q=0", -1 },
        { "application/json;q=x", -1 },
        { ",;,=", -1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        req.accept = (struct slice){ rows[i].accept, strlen(rows[i].accept) };
        cr_expect_eq(api_format_of(&req, &reply), rows[i].format, "%s", rows[i].accept);
    }
    cr_expect_eq(reply.status, 406);
    req.accept = (struct slice){ NULL, 0 };
    cr_expect_eq(api_format_of(&req, &reply), API_JSON);
}
