#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/api_kit.h"

static struct api_kit kit;
static struct api_told told;

static void open_any(void)
{
    api_kit_open(&kit, true);
}

static void open_ssb(void)
{
    api_kit_open(&kit, false);
}

static void shut(void)
{
    api_kit_close(&kit);
}

static void get(const char *target, int status, const char *body)
{
    api_kit_get(&kit, target, &told);
    cr_assert_eq(told.status, status, "%s: %s", target, told.body);
    if (body != NULL) cr_assert_str_eq(told.body, body, "%s: %s instead of %s", target, told.body, body);
    api_told_free(&told);
}

static void get_as(const char *target, const char *accept, const char *last_event_id, const char *body)
{
    api_kit_ask(
        &kit,
        &(struct api_ask){ .method = API_GET, .target = target, .accept = accept, .last_event_id = last_event_id },
        &told);
    cr_assert_eq(told.status, 200, "%s: %s", target, told.body);
    cr_assert_str_eq(told.body, body, "%s: %s instead of %s", target, told.body, body);
    api_told_free(&told);
}

static void post(const char *type, const char *body, int status, const char *part)
{
    api_kit_ask(&kit, &(struct api_ask){ .method = API_POST, .target = "/log", .content_type = type, .body = body },
                &told);
    cr_assert_eq(told.status, status, "%s: %s", body, told.body);
    cr_assert_not_null(strstr(told.body, part), "%s without %s", told.body, part);
    api_told_free(&told);
}

TestSuite(api_log, .init = open_any, .fini = shut);
TestSuite(api_log_ssb, .init = open_ssb, .fini = shut);

#define NDJSON "application/x-ndjson"
#define SSE "text/event-stream"

/* Three records of one digit stand at 0, 17 and 34. */
static void three(void)
{
    cr_assert_eq(api_kit_post(&kit, "1"), 0);
    cr_assert_eq(api_kit_post(&kit, " 2\n"), 17);
    cr_assert_eq(api_kit_post(&kit, "3"), 34);
}

Test(api_log, an_empty_log_is_an_empty_page)
{
    get("/log", 200, "{\"messages\":[],\"since\":-1,\"next\":null}");
    get("/log?reverse=true", 200, "{\"messages\":[],\"since\":-1,\"next\":null}");
    get("/log?type=post", 200, "{\"messages\":[],\"since\":-1,\"next\":null}");
    get_as("/log?live=true", NDJSON, NULL, "");
}

Test(api_log, lists_in_both_directions_and_within_bounds)
{
    three();
    get("/log", 200,
        "{\"messages\":[{\"seq\":0,\"value\":1},{\"seq\":17,\"value\":2},{\"seq\":34,\"value\":3}],\"since\":34,"
        "\"next\":null}");
    get("/log?gt=0&lt=34", 200, "{\"messages\":[{\"seq\":17,\"value\":2}],\"since\":34,\"next\":null}");
    get("/log?gt=0&lt=34&reverse=true", 200, "{\"messages\":[{\"seq\":17,\"value\":2}],\"since\":34,\"next\":null}");
    get("/log?gte=17&lte=34&reverse=true", 200,
        "{\"messages\":[{\"seq\":34,\"value\":3},{\"seq\":17,\"value\":2}],\"since\":34,\"next\":null}");
    get("/log?gt=34", 200, "{\"messages\":[],\"since\":34,\"next\":null}");
    get("/log?gt=-1&lt=17", 200, "{\"messages\":[{\"seq\":0,\"value\":1}],\"since\":34,\"next\":null}");
    get("/log?lt=0", 200, "{\"messages\":[],\"since\":34,\"next\":null}");
    get("/log?gt=1000", 200, "{\"messages\":[],\"since\":34,\"next\":null}");
}

Test(api_log, pages_follow_each_other_to_the_end)
{
    three();
    get("/log?limit=2", 200,
        "{\"messages\":[{\"seq\":0,\"value\":1},{\"seq\":17,\"value\":2}],\"since\":34,\"next\":\"/"
        "log?limit=2&gt=17\"}");
    get("/log?limit=2&gt=17", 200, "{\"messages\":[{\"seq\":34,\"value\":3}],\"since\":34,\"next\":null}");
    get("/log?limit=1&reverse=true&gte=17", 200,
        "{\"messages\":[{\"seq\":34,\"value\":3}],\"since\":34,\"next\":\"/log?limit=1&reverse=true&lt=34&gte=17\"}");
    get("/log?limit=1&reverse=true&lt=34&gte=17", 200,
        "{\"messages\":[{\"seq\":17,\"value\":2}],\"since\":34,\"next\":null}");
    get("/log?limit=3", 200, NULL);
}

Test(api_log, streams_carry_the_same_rows)
{
    three();
    get_as("/log?gte=17", NDJSON, NULL, "{\"seq\":17,\"value\":2}\n{\"seq\":34,\"value\":3}\n");
    get_as("/log?limit=1", SSE, NULL, "id: 0\ndata: {\"seq\":0,\"value\":1}\n\n");
    get_as("/log?gte=0", SSE, "17", "id: 34\ndata: {\"seq\":34,\"value\":3}\n\n");
    get_as("/log?live=true&old=false", NDJSON, NULL, "");
}

Test(api_log, refuses_what_makes_no_sense)
{
    three();
    static const char *const bad[] = {
        "/log?gt=1&gte=2", "/log?lt=1&lte=2",          "/log?gt=x",       "/log?limit=0",   "/log?limit=1001",
        "/log?live=true",  "/log?old=false",           "/log?nonsense=1", "/log?gt=0&gt=0", "/log?reverse=yes",
        "/log?gt=-2",      "/log?gt=9007199254740993", "/log?private=x",  "/log?stale=no",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        get(bad[i], 400, NULL);
    api_kit_get(&kit, "/log?gt=5", &told);
    cr_assert_not_null(strstr(told.body, "not-a-record"), "%s", told.body);
    api_told_free(&told);
    api_kit_get(&kit, "/log?root=abc", &told);
    cr_assert_not_null(strstr(told.body, "bad-id"), "%s", told.body);
    api_told_free(&told);
}

Test(api_log, one_record_by_its_seq)
{
    three();
    get("/log/17", 200, "{\"seq\":17,\"value\":2}\n");
    get("/log/14", 400, NULL);
    get("/log/39", 404, NULL);
    get("/log/x", 400, NULL);
    get("/log/-1", 400, NULL);
}

Test(api_log, a_record_is_sent_once_to_a_client_that_keeps_it)
{
    three();
    api_kit_get(&kit, "/log/17", &told);
    char *tag = strdup(api_told_header(&told, "ETag"));
    api_told_free(&told);
    api_kit_ask(&kit, &(struct api_ask){ .method = API_GET, .target = "/log/17", .if_none_match = tag }, &told);
    cr_assert_eq(told.status, 304);
    api_told_free(&told);
    api_kit_ask(&kit, &(struct api_ask){ .method = API_GET, .target = "/log/34", .if_none_match = tag }, &told);
    cr_assert_eq(told.status, 200);
    api_told_free(&told);
    free(tag);
}

Test(api_log, a_page_changes_its_tag_with_the_log)
{
    three();
    api_kit_get(&kit, "/log", &told);
    char *tag = strdup(api_told_header(&told, "ETag"));
    cr_assert_str_eq(api_told_header(&told, "Sluice-Log-Durable"), "34");
    api_told_free(&told);
    api_kit_ask(&kit, &(struct api_ask){ .method = API_GET, .target = "/log", .if_none_match = tag }, &told);
    cr_assert_eq(told.status, 304);
    api_told_free(&told);
    (void)api_kit_post(&kit, "4");
    api_kit_ask(&kit, &(struct api_ask){ .method = API_GET, .target = "/log", .if_none_match = tag }, &told);
    cr_assert_eq(told.status, 200);
    api_told_free(&told);
    free(tag);
}

Test(api_log, appends_any_json_where_any_is_accepted)
{
    post("application/json", " {\"a\": 1}\n", 201, "{\"seq\":0}");
    get("/log/0", 200, "{\"seq\":0,\"value\":{\"a\": 1}}\n");
    post("application/json", "{\"a\": 1", 400, "\"index\":0");
    post("application/json", "", 400, "bad-request");
    post("text/plain", "1", 415, "unsupported-type");
    post(NDJSON "; charset=utf-8", "1\n\n 2 \n3", 201, "{\"count\":3,\"since\":");
    post(NDJSON, "1\n\n{]\n3", 400, "\"index\":2");
}

Test(api_log, a_batch_has_a_limit)
{
    char body[302] = "";
    for (int i = 0; i < 101; i++)
        strcat(body, "1\n");
    post(NDJSON, body, 413, "too-large");
}

Test(api_log_ssb, appends_a_signed_message_once)
{
    struct kit_author author;
    kit_author_make(&author, 1);
    char *first = api_kit_message(&author, "{\"type\":\"post\",\"text\":\"a\"}");
    post("application/json", first, 201, "{\"seq\":0,\"key\":\"%");
    post("application/json", first, 200, "{\"seq\":0,\"key\":\"%");
    get("/log?type=post&limit=1", 200, NULL);
    free(first);
}

Test(api_log_ssb, takes_a_whole_record_if_its_key_is_right)
{
    struct kit_author author;
    char *wrapped = NULL, id[REF_TEXT_MAX + 1] = "";
    kit_author_make(&author, 1);
    char *first = api_kit_message(&author, "{\"type\":\"post\",\"text\":\"a\"}");
    int len = (int)ref_print(&author.last, id);
    cr_assert_geq(asprintf(&wrapped, "{\"key\":\"%.*s\",\"value\":%s,\"timestamp\":1}", len, id, first), 0);
    wrapped[10] ^= 1;
    post(NULL, wrapped, 422, "invalid-message");
    wrapped[10] ^= 1;
    post(NULL, wrapped, 201, id);
    free(wrapped);
    free(first);
}

Test(api_log_ssb, a_fork_is_refused_with_its_place)
{
    struct kit_author author, twin;
    char *body = NULL;
    kit_author_make(&author, 1);
    twin = author;
    char *first = api_kit_message(&author, "{\"type\":\"post\",\"text\":\"a\"}");
    char *other = api_kit_message(&twin, "{\"type\":\"post\",\"text\":\"b\"}");
    char *third = api_kit_message(&author, "{\"type\":\"post\",\"text\":\"c\"}");
    cr_assert_geq(asprintf(&body, "%s\n%s\n", first, other), 0);
    post(NDJSON, body, 409, "\"index\":1,\"reason\":");
    get("/log", 200, "{\"messages\":[],\"since\":-1,\"next\":null}");
    free(body);
    cr_assert_geq(asprintf(&body, "%s\n%s\n", first, third), 0);
    post(NDJSON, body, 201, "\"duplicates\":0");
    post(NDJSON, body, 200, "\"duplicates\":2");
    free(body);
    free(first);
    free(other);
    free(third);
}

Test(api_log_ssb, a_gap_and_a_changed_text_are_invalid)
{
    struct kit_author author;
    kit_author_make(&author, 1);
    char *first = api_kit_message(&author, "{\"type\":\"post\",\"text\":\"a\"}");
    char *second = api_kit_message(&author, "{\"type\":\"post\",\"text\":\"b\"}");
    post(NULL, second, 422, "\"index\":0");
    char *text = strstr(first, "\"a\"");
    text[1] = 'x';
    post(NULL, first, 422, "invalid-message");
    post(NULL, "[]", 422, "invalid-message");
    post(NULL, "{\"value\":3}", 422, "invalid-message");
    free(first);
    free(second);
}

Test(api_log_ssb, relaxed_durability_is_said_to_be_applied)
{
    struct kit_author author;
    kit_author_make(&author, 1);
    char *first = api_kit_message(&author, "{\"type\":\"post\",\"text\":\"a\"}");
    api_kit_ask(
        &kit,
        &(struct api_ask){
            .method = API_POST, .target = "/log", .body = first, .prefer = "return=minimal, durability=relaxed" },
        &told);
    cr_assert_eq(told.status, 202, "%s", told.body);
    cr_assert_str_eq(api_told_header(&told, "Preference-Applied"), "durability=relaxed");
    cr_assert_str_eq(api_told_header(&told, "Location"), "/log/0");
    api_told_free(&told);
    free(first);
}

Test(api_log_ssb, nothing_is_appended_where_that_is_not_allowed)
{
    api_kit_ask(&kit, &(struct api_ask){ .method = API_POST, .target = "/log", .body = "{}", .public_only = true },
                &told);
    cr_assert_eq(told.status, 403, "%s", told.body);
    api_told_free(&told);
    kit.server.owned = false;
    post(NULL, "{}", 503, "read-only");
}

Test(api_log_ssb, encrypted_messages_are_hidden_from_the_public)
{
    struct kit_author author;
    kit_author_make(&author, 1);
    char *open = api_kit_message(&author, "{\"type\":\"post\",\"text\":\"a\"}");
    char *secret = api_kit_message(&author, "\"aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ=.box\"");
    (void)api_kit_post(&kit, open);
    int64_t seq = api_kit_post(&kit, secret);
    char target[64];
    (void)snprintf(target, sizeof target, "/log/%lld", (long long)seq);
    get(target, 200, NULL);
    const char *const hidden[] = { target, NULL };
    for (size_t i = 0; hidden[i] != NULL; i++) {
        api_kit_ask(&kit, &(struct api_ask){ .method = API_GET, .target = hidden[i], .public_only = true }, &told);
        cr_assert_eq(told.status, 404, "%s: %s", hidden[i], told.body);
        api_told_free(&told);
    }
    api_kit_ask(&kit, &(struct api_ask){ .method = API_GET, .target = "/log", .public_only = true }, &told);
    cr_assert_null(strstr(told.body, ".box"), "%s", told.body);
    cr_assert_not_null(strstr(told.body, "\"seq\":0"), "%s", told.body);
    api_told_free(&told);
    api_kit_ask(&kit, &(struct api_ask){ .method = API_GET, .target = "/log?private=true", .public_only = true },
                &told);
    cr_assert_eq(told.status, 403, "%s", told.body);
    api_told_free(&told);
    api_kit_get(&kit, "/log?private=true", &told);
    cr_assert_not_null(strstr(told.body, ".box"), "%s", told.body);
    api_told_free(&told);
    free(open);
    free(secret);
}
