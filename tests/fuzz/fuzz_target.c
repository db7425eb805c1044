/* A request target, its method and its headers through all handlers: an answer of the list of problems or of the format asked for, whole
 * JSON, no newline in a line; `next` leads on. Percent-encoding is undone to what it was made of. The first byte chooses what
 * stands around the target. Run with tests/fuzz/corpus/target. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/rows.h"
#include "server/text.h"
#include "store/json.h"
#include "tests/support/stock.h"

#define PAGES_MAX 3 /* followed */
#define ROWS_MAX 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool right, const char *what, struct slice text)
{
    if (right) return;
    (void)fprintf(stderr, "fuzz_target: %s: %.*s\n", what, (int)text.len, text.data);
    abort();
}

static struct slice slice_of(const char *text)
{
    return (struct slice){ text, text == NULL ? 0 : strlen(text) };
}

/* ---- percent-encoding ---- */

static struct slice encoded_from;

static int decoded_same(struct api_request *req, struct api_reply *reply)
{
    (void)reply;
    must(req->query_count == 1 && text_is(req->query[0].name, "v"), "an encoded value makes more of them", req->target);
    struct slice value = req->query[0].value;
    must(value.len == encoded_from.len && memcmp(value.data, encoded_from.data, value.len) == 0, "decoded otherwise",
         req->target);
    return API_DONE;
}

static const struct api_route decode_routes[] = { { API_GET, "/v", decoded_same, "v", 0, false }, { 0 } };

static void check_encoding(struct stock *stock, struct slice text)
{
    struct server only = { .config = &stock->config, .flume = stock->server.flume, .routes = decode_routes };
    struct api_reply reply;
    struct buf target;
    buf_init(&target, 65536);
    (void)buf_puts(&target, "/v?v=");
    text_put_query(&target, text);
    encoded_from = text;
    struct api_request req = { .server = &only, .method = API_GET, .target = { target.data, target.len } };
    api_reply_init(&reply);
    (void)api_dispatch(&req, &reply);
    bool zero = text.len > 0 && memchr(text.data, 0, text.len) != NULL;
    must(reply.status == (zero ? 400 : 200), "encoding is not undone", req.target);
    api_reply_free(&reply);
    api_request_free(&req);
    buf_free(&target);
}

/* ---- answers ---- */

struct bell {
    pthread_mutex_t lock;
    pthread_cond_t rung;
    bool resumed;
};

static void bell_ring(void *ctx)
{
    struct bell *bell = ctx;
    (void)pthread_mutex_lock(&bell->lock);
    bell->resumed = true;
    (void)pthread_cond_signal(&bell->rung);
    (void)pthread_mutex_unlock(&bell->lock);
}

/* A request waits for a seq that never comes: its time is over at once, or it is ended here. */
static void wait_end(struct api_request *req, struct bell *bell)
{
    if (api_fresh_cancel(req)) return;
    (void)pthread_mutex_lock(&bell->lock);
    while (!bell->resumed)
        (void)pthread_cond_wait(&bell->rung, &bell->lock);
    (void)pthread_mutex_unlock(&bell->lock);
}

static void check_stream(struct api_reply *reply)
{
    struct buf out;
    buf_init(&out, (size_t)8 << 20);
    for (int rows = 0;; rows++) {
        must(rows < ROWS_MAX, "rows without end", SLICE_LITERAL(""));
        buf_reset(&out);
        int got = rows_next_framed(reply->stream, reply->format, &out);
        must(got >= 0, "a row that cannot be made", slice_of(err_detail(got)));
        if (got == 0) break;
        struct slice frame = { out.data, out.len };
        const char *first = memchr(out.data, '\n', out.len);
        if (reply->format == API_SSE) continue;
        must(first == out.data + out.len - 1 && json_valid(frame), "a line that is no line of JSON", frame);
    }
    buf_free(&out);
}

static int64_t member_number(struct slice object, const char *name)
{
    struct slice value;
    double number = -1;
    if (json_find(object, name, &value) != 1 || !json_number(value, &number)) return -1;
    return (int64_t)number;
}

/* The URL of the next page, or NULL. The caller frees. */
static char *check_page(struct api_reply *reply)
{
    struct slice body = { reply->body.data, reply->body.len }, value;
    struct buf next;
    if (strstr(reply->content_type, "json") == NULL || body.len == 0) return NULL;
    must(json_valid(body), "an answer that is no JSON", body);
    if (reply->status >= 400) must(member_number(body, "status") == reply->status, "a problem", body);
    if (json_find(body, "next", &value) != 1 || !json_is_string(value)) return NULL;
    buf_init(&next, 65536);
    must(json_unescape(value, &next) == OK && buf_putc(&next, '\0') == OK, "the next page", body);
    return next.data;
}

static const int statuses[] = { 200, 204, 304, 400, 403, 404, 405, 406, 410, 426, 503 };

static bool status_known(int status)
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i] == status) return true;
    return false;
}

static void check_headers(const struct api_reply *reply)
{
    for (size_t i = 0; i < reply->header_count; i++)
        for (const char *at = reply->headers[i].value; *at != '\0'; at++)
            must((unsigned char)*at >= 0x20 && *at != 0x7f, "a control character in a header",
                 slice_of(reply->headers[i].value));
}

/* Answers the URL of the next page. */
static char *ask(struct stock *stock, struct slice target, uint8_t how, int *ret_status)
{
    static const char *const accepts[] = { NULL, "application/x-ndjson", "text/event-stream",
                                           "*/*;q=0.1, application/json;q=0.5" };
    static const enum api_method methods[] = { API_GET, API_GET, API_HEAD, API_OPTIONS };
    struct api_reply reply;
    struct bell bell = { .lock = PTHREAD_MUTEX_INITIALIZER, .rung = PTHREAD_COND_INITIALIZER };
    struct api_request req = { .server = &stock->server,
                               .method = methods[how / 4 % 4],
                               .target = target,
                               .accept = slice_of(accepts[how % 4]),
                               .last_event_id = slice_of(how / 16 % 2 == 1 ? "0" : NULL),
                               .public_only = how / 32 % 2 == 1,
                               .arrived_ms = flume_now_ms(),
                               .fresh_seq = SEQ_EMPTY,
                               .resume = bell_ring,
                               .resume_ctx = &bell };
    api_reply_init(&reply);
    int answer = api_dispatch(&req, &reply);
    char *next = NULL;
    if (answer == API_WAIT) {
        wait_end(&req, &bell);
        answer = api_dispatch(&req, &reply);
        must(answer == API_DONE, "it waits again", target);
    }
    must(status_known(reply.status), "an odd status", (struct slice){ reply.body.data, reply.body.len });
    check_headers(&reply);
    if (reply.stream != NULL)
        check_stream(&reply);
    else
        next = check_page(&reply);
    *ret_status = reply.status;
    api_reply_free(&reply);
    api_request_free(&req);
    return next;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 8000) return 0;
    struct stock *stock = stock_open();
    struct slice target = { (const char *)data + 1, size - 1 };
    int status;
    check_encoding(stock, target);
    char *next = ask(stock, target, data[0], &status);
    for (int page = 0; next != NULL && page < PAGES_MAX; page++) {
        char *here = next;
        next = ask(stock, slice_of(here), data[0], &status);
        must(status == 200, "the next page is an error", slice_of(here));
        must(next == NULL || strcmp(next, here) != 0, "the next page is this one", slice_of(here));
        free(here);
    }
    free(next);
    return 0;
}
