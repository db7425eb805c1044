#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/rows.h"

/* The numbers from 1 to `last`, each with padding. */
struct number_rows {
    struct rows rows;
    int64_t at, last, fail_at;
    size_t pad;
};

static int freed;

static int number_next(struct rows *rows, struct buf *out)
{
    struct number_rows *self = (struct number_rows *)rows;
    if (self->at == self->fail_at) {
        buf_puts(out, "half a ro");
        return err_set(ERR_CORRUPT, "damaged at 17; see `sluice verify`");
    }
    if (self->at == self->last) {
        rows->ended = true;
        return 0;
    }
    rows->cursor = ++self->at;
    buf_printf(out, "{\"n\":%lld", (long long)self->at);
    if (self->pad > 0) buf_printf(out, ",\"pad\":\"%*s\"", (int)self->pad, "");
    buf_putc(out, '}');
    return 1;
}

static int number_page(struct rows *rows, struct buf *out)
{
    return buf_printf(out, "gt=%lld&lt=99", (long long)rows->cursor);
}

static void number_free(struct rows *rows)
{
    freed++;
    free(rows);
}

static const struct rows_ops number_ops = { .next = number_next, .next_page = number_page, .free = number_free };
static const struct config config = { .limit_max = 1000, .query_timeout = 10 };
static struct server server = { .config = &config };
static struct api_request req;
static struct api_param query[API_PARAMS_MAX];
static struct api_reply reply;

static struct number_rows *numbers(int64_t last, int64_t limit)
{
    struct number_rows *self = calloc(1, sizeof *self);
    self->rows = (struct rows){
        .ops = &number_ops, .server = &server, .member = "numbers", .limit = limit, .since = 77, .cursor = SEQ_EMPTY
    };
    self->last = last;
    self->fail_at = -1;
    return self;
}

static void begin(void)
{
    freed = 0;
    api_reply_init(&reply);
    req = (struct api_request){ .server = &server, .method = API_GET, .path = SLICE_LITERAL("/log"), .query = query };
}

static void end(void)
{
    api_reply_free(&reply);
}

TestSuite(rows, .init = begin, .fini = end);

static void expect_body(const char *text)
{
    cr_expect(reply.body.len == strlen(text) && memcmp(reply.body.data, text, reply.body.len) == 0,
              "wanted %s got %.*s", text, (int)reply.body.len, reply.body.data);
}

static void query_add(const char *name, const char *value)
{
    req.query[req.query_count++] = (struct api_param){ { name, strlen(name) }, { value, strlen(value) } };
}

static const char *link_of(void)
{
    for (size_t i = 0; i < reply.header_count; i++)
        if (strcmp(reply.headers[i].name, "Link") == 0) return reply.headers[i].value;
    return "none";
}

Test(rows, a_page_that_holds_all_has_no_next)
{
    (void)api_reply_rows(&req, &reply, &numbers(2, 5)->rows);
    expect_body("{\"numbers\":[{\"n\":1},{\"n\":2}],\"since\":77,\"next\":null}");
    cr_expect_str_eq(link_of(), "none");
    cr_expect_eq(freed, 1);
}

Test(rows, a_page_that_ends_with_the_last_row_has_no_next)
{
    (void)api_reply_rows(&req, &reply, &numbers(2, 2)->rows);
    expect_body("{\"numbers\":[{\"n\":1},{\"n\":2}],\"since\":77,\"next\":null}");
}

Test(rows, an_empty_page_is_a_page)
{
    (void)api_reply_rows(&req, &reply, &numbers(0, -1)->rows);
    expect_body("{\"numbers\":[],\"since\":77,\"next\":null}");
    api_reply_free(&reply);
    begin();
    (void)api_reply_rows(&req, &reply, &numbers(3, 0)->rows);
    expect_body("{\"numbers\":[],\"since\":77,\"next\":null}");
}

Test(rows, next_keeps_the_query_but_for_its_cursor)
{
    query_add("type", "a b&c");
    query_add("gt", "0");
    query_add("lt", "99");
    query_add("limit", "2");
    (void)api_reply_rows(&req, &reply, &numbers(3, 2)->rows);
    expect_body("{\"numbers\":[{\"n\":1},{\"n\":2}],\"since\":77,\"next\":\"/log?type=a%20b%26c&limit=2&gt=2&lt=99\"}");
    cr_expect_str_eq(link_of(), "</log?type=a%20b%26c&limit=2&gt=2&lt=99>; rel=\"next\"");
}

Test(rows, next_is_a_url_even_if_the_id_was_pasted)
{
    req.path = SLICE_LITERAL("/messages/%+/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256/links");
    (void)api_reply_rows(&req, &reply, &numbers(2, 1)->rows);
    cr_expect_str_eq(
        link_of(),
        "</messages/%25%2B%2FAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D.sha256/links?gt=1&lt=99>; rel=\"next\"");
}

Test(rows, the_default_page_has_fifty_rows)
{
    (void)api_reply_rows(&req, &reply, &numbers(1000, -1)->rows);
    cr_expect(memmem(reply.body.data, reply.body.len, "{\"n\":50}]", 9) != NULL);
    cr_expect(strstr(link_of(), "gt=50&") != NULL);
}

Test(rows, a_page_of_huge_rows_ends_early_and_goes_on)
{
    struct number_rows *self = numbers(1000, 1000);
    self->pad = 100000;
    (void)api_reply_rows(&req, &reply, &self->rows);
    cr_expect_lt(reply.body.len, (size_t)5 << 20);
    cr_expect(strstr(link_of(), "gt=42&") != NULL, "%s", link_of());
}

Test(rows, too_large_a_page_and_a_live_page_are_refused)
{
    (void)api_reply_rows(&req, &reply, &numbers(3, 1001)->rows);
    cr_expect_eq(reply.status, 400);
    struct number_rows *self = numbers(3, -1);
    self->rows.live = true;
    (void)api_reply_rows(&req, &reply, &self->rows);
    cr_expect_eq(reply.status, 400);
    cr_expect_eq(freed, 2);
}

Test(rows, an_error_makes_the_page_a_problem)
{
    struct number_rows *self = numbers(9, -1);
    self->fail_at = 3;
    (void)api_reply_rows(&req, &reply, &self->rows);
    cr_expect_eq(reply.status, 500);
    cr_expect(memmem(reply.body.data, reply.body.len, "damaged at 17", 13) != NULL);
    cr_expect(memmem(reply.body.data, reply.body.len, "\"n\"", 3) == NULL);
}

Test(rows, ndjson_becomes_a_stream_without_a_limit)
{
    req.accept = SLICE_LITERAL("application/x-ndjson");
    (void)api_reply_rows(&req, &reply, &numbers(3, -1)->rows);
    cr_expect_str_eq(reply.content_type, "application/x-ndjson");
    cr_assert_not_null(reply.stream);
    cr_expect_eq(reply.stream->limit, -1);
    api_reply_free(&reply);
    cr_expect_eq(freed, 1);
}

static void expect_frames(struct number_rows *self, enum api_format format, int64_t last, const char *text)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    int got;
    while ((got = rows_next_framed(&self->rows, format, &out)) == 1)
        continue;
    if (got < 0) (void)rows_error_framed(got, format, &out);
    cr_expect_eq(got, last);
    cr_expect(out.len >= strlen(text) && memcmp(out.data, text, strlen(text)) == 0, "%.*s", (int)out.len, out.data);
    buf_free(&out);
    rows_free(&self->rows);
}

Test(rows, frames_are_lines_or_events)
{
    expect_frames(numbers(2, -1), API_NDJSON, 0, "{\"n\":1}\n{\"n\":2}\n");
    expect_frames(numbers(2, 1), API_NDJSON, 0, "{\"n\":1}\n");
    expect_frames(numbers(2, -1), API_SSE, 0, "id: 1\ndata: {\"n\":1}\n\nid: 2\ndata: {\"n\":2}\n\n");
}

Test(rows, the_frame_of_an_error_follows_whole_frames)
{
    struct number_rows *self = numbers(9, -1);
    self->fail_at = 1;
    expect_frames(self, API_NDJSON, ERR_CORRUPT, "{\"n\":1}\n{\"error\":{\"type\":\"/problems/internal\"");
    self = numbers(9, -1);
    self->fail_at = 1;
    expect_frames(self, API_SSE, ERR_CORRUPT,
                  "id: 1\ndata: {\"n\":1}\n\nevent: error\ndata: {\"type\":\"/problems/internal\"");
}

Test(rows, the_limit_is_counted_down)
{
    struct number_rows *self = numbers(9, 2);
    struct buf out;
    buf_init(&out, 1000);
    cr_expect_eq(rows_next(&self->rows, &out), 1);
    cr_expect(!self->rows.ended);
    cr_expect_eq(rows_next(&self->rows, &out), 1);
    cr_expect(self->rows.ended);
    cr_expect_eq(rows_next(&self->rows, &out), 0);
    buf_free(&out);
    rows_free(&self->rows);
}
