#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/canonical.h"
#include "tests/support/api_kit.h"

static struct api_kit kit;
static struct api_told told;
static struct kit_author ann, bob;
static char ann_id[REF_TEXT_MAX + 1], bob_id[REF_TEXT_MAX + 1];
static char first_id[REF_TEXT_MAX + 1]; /* of Ann's first message */

static void post(struct kit_author *author, const char *content)
{
    char *message = api_kit_message(author, content);
    (void)api_kit_post(&kit, message);
    free(message);
}

/* Ann posts, Bob answers with three links and votes, both say names, Ann says something encrypted. */
static void open_filled(void)
{
    char content[1000];
    api_kit_open(&kit, false);
    kit_author_make(&ann, 1);
    kit_author_make(&bob, 2);
    (void)ref_print(&ann.id, ann_id);
    (void)ref_print(&bob.id, bob_id);
    post(&ann, "{\"type\":\"post\",\"text\":\"hello\"}");
    (void)ref_print(&ann.last, first_id);
    (void)snprintf(
        content, sizeof content,
        "{\"type\":\"post\",\"text\":\"re\",\"root\":\"%s\",\"branch\":\"%s\",\"mentions\":[{\"link\":\"%s\"}]}",
        first_id, first_id, ann_id);
    post(&bob, content);
    (void)snprintf(content, sizeof content, "{\"type\":\"vote\",\"vote\":{\"link\":\"%s\",\"value\":1}}", first_id);
    post(&bob, content);
    (void)snprintf(content, sizeof content, "{\"type\":\"about\",\"about\":\"%s\",\"name\":\"Ann\"}", ann_id);
    post(&ann, content);
    (void)snprintf(content, sizeof content, "{\"type\":\"about\",\"about\":\"%s\",\"name\":\"Annie\"}", ann_id);
    post(&bob, content);
    post(&ann, "\"aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ=.box\"");
}

static void shut(void)
{
    api_kit_close(&kit);
}

TestSuite(api_views, .init = open_filled, .fini = shut);

static const char *get_with(const char *target, const char *accept, bool public_only, int status)
{
    api_told_free(&told);
    api_kit_ask(&kit,
                &(struct api_ask){ .method = API_GET, .target = target, .accept = accept, .public_only = public_only },
                &told);
    cr_assert_eq(told.status, status, "%s: %d %s", target, told.status, told.body);
    return told.body;
}

static void done(void)
{
    api_told_free(&told);
    memset(&told, 0, sizeof told);
}

/* "PATH" with an id behind it. */
static const char *at(const char *path, const char *id, const char *rest)
{
    static char target[400];
    (void)snprintf(target, sizeof target, "%s%s%s", path, id, rest);
    return target;
}

static void get(const char *target, int status, const char *part)
{
    const char *body = get_with(target, NULL, false, status);
    cr_assert_not_null(strstr(body, part), "%s: %s without %s", target, body, part);
    done();
}

static size_t times(const char *text, const char *part)
{
    size_t count = 0;
    while ((text = strstr(text, part)) != NULL) {
        count++;
        text += strlen(part);
    }
    return count;
}

/* The value of "next" of the page in `told`, with its \u and \/ left as they are; empty at the end. */
static void next_of(char target[600])
{
    target[0] = '\0';
    const char *next = strstr(told.body, "\"next\":\"");
    if (next != NULL) (void)snprintf(target, 600, "%.*s", (int)strcspn(next + 8, "\""), next + 8);
}

/* Reads all pages from `target` on; the rows' bodies joined. The caller frees. */
static char *all_pages(const char *target, const char *member)
{
    char here[600], start[100];
    struct buf rows;
    buf_init(&rows, 1 << 20);
    (void)snprintf(here, sizeof here, "%s", target);
    int len = snprintf(start, sizeof start, "{\"%s\":[", member);
    for (int pages = 0; here[0] != '\0'; pages++) {
        cr_assert_lt(pages, 100, "pages without end");
        const char *body = get_with(here, NULL, false, 200);
        const char *end = strstr(body, "],\"since\":");
        cr_assert_not_null(end, "%s", body);
        (void)buf_append(&rows, body + len, (size_t)(end - body) - (size_t)len);
        (void)buf_putc(&rows, '\n');
        next_of(here);
    }
    done();
    (void)buf_putc(&rows, '\0');
    return rows.data;
}

/* One row a page gives the rows of one page. */
static void pages_agree(const char *target, const char *member, size_t expected)
{
    char small[300];
    (void)snprintf(small, sizeof small, "%s%climit=1", target, strchr(target, '?') == NULL ? '?' : '&');
    char *whole = all_pages(target, member), *parts = all_pages(small, member);
    cr_assert_eq(times(parts, "\n"), expected > 0 ? expected : 1, "%s: %s", target, parts);
    for (char *p = parts; (p = strchr(p, '\n')) != NULL && p[1] != '\0';)
        *p = ',';
    cr_assert_str_eq(whole, parts);
    free(whole);
    free(parts);
}

/* ---- messages ---- */

Test(api_views, a_message_by_its_id_in_any_spelling)
{
    char encoded[200];
    get(at("/messages/", first_id, ""), 200, "\"text\":\"hello\"");
    (void)snprintf(encoded, sizeof encoded, "%%25%s", first_id + 1);
    for (char *p; (p = strpbrk(encoded, "/+")) != NULL;)
        *p = *p == '/' ? '_' : '-';
    get(at("/messages/", encoded, ""), 200, "\"text\":\"hello\"");
    get("/messages/%25AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256", 404, "not-found");
    get("/messages/abc", 400, "bad-id");
    get(at("/messages/", ann_id, ""), 400, "bad-id");
}

Test(api_views, raw_is_the_text_that_was_hashed)
{
    struct canonical *doc;
    struct ref id;
    char text[REF_TEXT_MAX + 1] = "";
    const char *body = get_with(at("/messages/", first_id, "/raw"), NULL, false, 200);
    cr_assert_eq(strncmp(body, "{\n  \"previous\": null,\n", 22), 0, "%s", body);
    cr_assert_eq(canonical_parse(body, strlen(body), &doc), OK);
    cr_assert_eq(canonical_id(doc, &id), OK);
    (void)ref_print(&id, text);
    cr_assert_str_eq(text, first_id);
    canonical_free(doc);
    done();
}

Test(api_views, encrypted_messages_are_not_there_for_the_public)
{
    char secret[REF_TEXT_MAX + 1] = "";
    (void)ref_print(&ann.last, secret);
    cr_assert_not_null(strstr(get_with(at("/messages/", secret, ""), NULL, false, 200), ".box"));
    (void)get_with(at("/messages/", secret, ""), NULL, true, 404);
    (void)get_with(at("/messages/", secret, "/raw"), NULL, true, 404);
    (void)get_with(at("/feeds/", ann_id, "/3"), NULL, false, 200);
    (void)get_with(at("/feeds/", ann_id, "/3"), NULL, true, 404);
    cr_assert_null(strstr(get_with(at("/feeds/", ann_id, ""), NULL, true, 200), ".box"));
    cr_assert_not_null(strstr(get_with(at("/feeds/", ann_id, ""), NULL, false, 200), ".box"));
    done();
}

/* ---- feeds ---- */

Test(api_views, feeds_with_their_newest_message)
{
    const char *body = get_with("/feeds", NULL, false, 200);
    cr_assert_eq(times(body, "\"id\":\"@"), 2, "%s", body);
    cr_assert_eq(times(body, "\"sequence\":3,\"key\":\"%"), 2, "%s", body);
    done();
    pages_agree("/feeds", "feeds", 2);
    pages_agree("/feeds?reverse=true", "feeds", 2);
}

Test(api_views, a_feed_in_both_directions)
{
    char target[200];
    pages_agree(at("/feeds/", bob_id, ""), "messages", 3);
    (void)snprintf(target, sizeof target, "/feeds/%s?reverse=true", bob_id);
    pages_agree(target, "messages", 3);
    (void)snprintf(target, sizeof target, "/feeds/%s?gt=1&lt=3", bob_id);
    pages_agree(target, "messages", 1);
    get(target, 200, "\"sequence\":2");
    (void)snprintf(target, sizeof target, "/feeds/%s?reverse=true&limit=1", bob_id);
    get(target, 200, "\"sequence\":3");
    get(at("/feeds/", bob_id, "/2"), 200, "\"type\":\"vote\"");
    get(at("/feeds/", bob_id, "/4"), 404, "not-found");
    get(at("/feeds/", bob_id, "/x"), 400, "bad-parameter");
}

Test(api_views, a_feed_that_nobody_saw)
{
    static const char nobody[] = "@AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.ed25519";
    (void)get_with(at("/feeds/", nobody, ""), NULL, false, 404);
    (void)get_with(at("/feeds/", nobody, ""), "application/x-ndjson", false, 404);
    cr_assert_str_eq(get_with(at("/feeds/", nobody, "?live=true"), "application/x-ndjson", false, 200), "");
    done();
}

Test(api_views, a_feed_is_resumed_behind_a_record)
{
    const char *body = get_with(at("/feeds/", bob_id, "?limit=1"), "text/event-stream", false, 200);
    char seq[32] = "";
    (void)sscanf(body, "id: %31[0-9]", seq);
    api_told_free(&told);
    api_kit_ask(&kit,
                &(struct api_ask){ .method = API_GET,
                                   .target = at("/feeds/", bob_id, "?limit=1"),
                                   .accept = "text/event-stream",
                                   .last_event_id = seq },
                &told);
    cr_assert_not_null(strstr(told.body, "\"sequence\":2"), "%s", told.body);
    done();
}

/* ---- links ---- */

Test(api_views, links_are_rows_and_pages_split_records)
{
    const char *body = get_with("/links?rel=mentions", NULL, false, 200);
    cr_assert_not_null(strstr(body, "\"path\":\"/mentions/0/link\""), "%s", body);
    cr_assert_not_null(strstr(body, "\"rel\":\"mentions\""), "%s", body);
    done();
    pages_agree("/links", "links", 6);
    pages_agree("/links?reverse=true", "links", 6);
    pages_agree(at("/links?dest=", first_id, ""), "links", 3);
    pages_agree(at("/messages/", first_id, "/links"), "links", 3);
    get("/links?count=true", 200, "{\"count\":6,");
    get(at("/links?count=true&source=", bob_id, ""), 200, "{\"count\":5,");
    get("/links?count=true&limit=5", 400, "bad-parameter");
    get("/links?values=true&rel=vote", 200, "\"value\":{\"previous\":");
    get("/links?skip=x", 400, "bad-parameter");
}

/* ---- about, types ---- */

Test(api_views, about_by_every_rule)
{
    get(at("/about/", ann_id, ""), 200, "\"by\":\"social\",\"about\":{\"name\":\"Ann\"}");
    get(at("/about/", ann_id, "?by=latest"), 200, "{\"name\":\"Annie\"}");
    get(at("/about/", ann_id, "?by=self"), 200, "{\"name\":\"Ann\"}");
    get(at("/about/", ann_id, "?by=nobody"), 400, "bad-parameter");
    get(at("/about/", bob_id, ""), 200, "\"about\":{}");
    const char *body = get_with(at("/about/", ann_id, "?by=all"), NULL, false, 200);
    cr_assert_eq(times(body, "\"value\":"), 2, "%s", body);
    cr_assert_not_null(strstr(body, "{\"name\":[{\"value\":\"Ann\",\"author\":\"@"), "%s", body);
    done();
}

Test(api_views, about_as_a_reader_sees_it)
{
    char target[300];
    (void)snprintf(target, sizeof target, "/about/%s?as=%s", ann_id, bob_id);
    get(target, 200, "{\"name\":\"Annie\"}");
}

Test(api_views, types_are_counted)
{
    get("/types", 200, "{\"types\":[{\"type\":\"about\",\"count\":2,\"seq\":");
    get("/types?gt=about", 200, "{\"types\":[{\"type\":\"post\",\"count\":2,\"seq\":");
    pages_agree("/types", "types", 3);
}

/* %00 is no text of a query: the place in the list is named in another way. */
Test(api_views, pages_of_types_go_on_behind_a_name_with_a_zero_byte)
{
    post(&bob, "{\"type\":\"a\\u0000b\"}");
    post(&bob, "{\"type\":\"a\\u0000c\"}");
    post(&bob, "{\"type\":\"a\\u0001c\"}");
    post(&bob, "{\"type\":\"a\\u00010123456789abcdef0123456789abcdef\"}"); /* as a term of "a…" is written */
    get("/types", 200, "{\"type\":\"a\\u0000b\",\"count\":1");
    pages_agree("/types", "types", 7);
}

Test(api_views, pages_of_channels_go_on_behind_a_name_with_a_zero_byte)
{
    post(&bob, "{\"type\":\"post\",\"channel\":\"a\\u0000b\"}");
    post(&bob, "{\"type\":\"post\",\"channel\":\"a\\u0000c\"}");
    post(&bob, "{\"type\":\"post\",\"channel\":\"b\"}");
    pages_agree("/channels", "channels", 3);
}

/* ---- the server itself ---- */

Test(api_views, views_are_listed_and_rebuilt)
{
    get("/views", 200, "\"name\":\"messages\",\"version\":");
    api_told_free(&told);
    api_kit_ask(&kit, &(struct api_ask){ .method = API_POST, .target = "/views/links/rebuild" }, &told);
    cr_assert_eq(told.status, 202, "%s", told.body);
    cr_assert_str_eq(told.body, "{\"name\":\"links\",\"rebuild\":true}\n");
    api_told_free(&told);
    api_kit_ask(&kit, &(struct api_ask){ .method = API_POST, .target = "/views/nonsense/rebuild" }, &told);
    cr_assert_eq(told.status, 404, "%s", told.body);
    api_told_free(&told);
    api_kit_ask(&kit, &(struct api_ask){ .method = API_POST, .target = "/views/all/rebuild", .public_only = true },
                &told);
    cr_assert_eq(told.status, 403, "%s", told.body);
    done();
    get("/links?count=true", 200, "{\"count\":6,");
}

Test(api_views, status_health_and_metrics)
{
    get("/links?count=true", 200, "count");
    get("/status", 200, "\"name\":\"sluice\"");
    get("/healthz", 200, "{\"ok\":true}");
    cr_assert_eq(kit_wait_head(kit.flume, (UINT32_C(1) << VIEW_COUNT) - 1), OK);
    get("/readyz", 200, "{\"ok\":true}");
    get("/metrics", 200, "sluice_view_ready{view=\"links\"} 1\n");
    get("/metrics", 200, "# TYPE sluice_log_head gauge\nsluice_log_head ");
    get("/metrics?x=1", 400, "bad-parameter");
}

Test(api_views, the_page_and_the_specifications)
{
    get("/", 200, "");
    get("/openapi.yaml", 200, "");
    get("/asyncapi.yaml", 200, "");
}

/* ---- a log with forks, as only a followed one can have it ---- */

static void open_forked(void)
{
    static const int sequences[] = { 1, 2, 1, 1, 2, 3 };
    api_kit_open(&kit, true);
    kit_author_make(&ann, 1);
    (void)ref_print(&ann.id, ann_id);
    for (size_t i = 0; i < sizeof sequences / sizeof sequences[0]; i++) {
        char record[500];
        (void)snprintf(record, sizeof record,
                       "{\"key\":\"%%%zu\",\"value\":{\"author\":\"%s\",\"sequence\":%d,\"content\":{\"type\":\"t\"}}}",
                       i, ann_id, sequences[i]);
        (void)api_kit_post(&kit, record);
    }
}

TestSuite(api_forked, .init = open_forked, .fini = shut);

Test(api_forked, pages_split_a_sequence_that_stands_several_times)
{
    char target[200];
    pages_agree(at("/feeds/", ann_id, ""), "messages", 6);
    (void)snprintf(target, sizeof target, "/feeds/%s?reverse=true", ann_id);
    pages_agree(target, "messages", 6);
    (void)snprintf(target, sizeof target, "/feeds/%s?lte=2", ann_id);
    pages_agree(target, "messages", 5);
}

Test(api_forked, resumes_between_two_of_one_sequence)
{
    const char *body = get_with(at("/feeds/", ann_id, "?limit=2"), "text/event-stream", false, 200);
    char seq[32] = "";
    const char *second = strstr(body + 1, "id: ");
    cr_assert_not_null(second, "%s", body);
    (void)sscanf(second, "id: %31[0-9]", seq);
    api_told_free(&told);
    api_kit_ask(&kit,
                &(struct api_ask){ .method = API_GET,
                                   .target = at("/feeds/", ann_id, ""),
                                   .accept = "text/event-stream",
                                   .last_event_id = seq },
                &told);
    cr_assert_eq(times(told.body, "data: "), 4, "%s", told.body);
    cr_assert_eq(times(told.body, "\"sequence\":1"), 1, "%s", told.body);
    done();
}
