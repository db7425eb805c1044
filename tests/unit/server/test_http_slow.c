/* Queries that take long: no HTTP thread is held by one. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/api_record.h"
#include "server/http_internal.h"
#include "server/patience.h"
#include "server/rows.h"
#include "tests/support/flume_kit.h"
#include "tests/support/http_kit.h"

#define HEAD(target) "GET " target " HTTP/1.1\r\nHost: localhost\r\n"
#define CLOSE "Connection: close\r\n\r\n"
#define NDJSON "Accept: application/x-ndjson\r\n"

/* ---- a gate that queries stand at ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static bool gate_is_open;
static atomic_uint held, briefly, begun;

/* What a query does that takes long: it gives up where others wait, and otherwise goes on until the gate is opened. */
static int look(void)
{
    if (patience_limited()) {
        (void)atomic_fetch_add(&briefly, 1);
        return err_set(ERR_SLOW, "not here");
    }
    (void)atomic_fetch_add(&held, 1);
    (void)pthread_mutex_lock(&lock);
    while (!gate_is_open)
        (void)pthread_cond_wait(&opened, &lock);
    (void)pthread_mutex_unlock(&lock);
    return OK;
}

static void queries_go_on(void)
{
    (void)pthread_mutex_lock(&lock);
    gate_is_open = true;
    (void)pthread_cond_broadcast(&opened);
    (void)pthread_mutex_unlock(&lock);
}

static bool held_are(void *ctx)
{
    return atomic_load(&held) == *(unsigned *)ctx;
}

static bool briefly_were(void *ctx)
{
    return atomic_load(&briefly) == *(unsigned *)ctx;
}

static struct http_kit kit;

/* Clients whose query has its place. */
static bool given_are(void *ctx)
{
    (void)pthread_mutex_lock(&kit.http->lock);
    size_t waiting = kit.http->waiting;
    (void)pthread_mutex_unlock(&kit.http->lock);
    return waiting == *(size_t *)ctx;
}

/* ---- routes ---- */

static int handle_hello(struct api_request *req, struct api_reply *reply)
{
    (void)req;
    buf_puts(&reply->body, "{\"hello\":true}");
    return API_DONE;
}

/* On which thread it is: libmicrohttpd's have names. */
static int handle_thread(struct api_request *req, struct api_reply *reply)
{
    char name[16] = "";
    (void)req;
    (void)pthread_getname_np(pthread_self(), name, sizeof name);
    buf_puts(&reply->body, strncmp(name, "MHD", 3) == 0 ? "{\"among\":\"others\"}" : "{\"among\":\"itself\"}");
    return API_DONE;
}

static int handle_slow(struct api_request *req, struct api_reply *reply)
{
    (void)req;
    (void)api_header_add(reply, "ETag", "\"once\"");
    buf_puts(&reply->body, "{\"slow\":");
    int err = look();
    if (err != OK) return api_problem_err(reply, err);
    buf_puts(&reply->body, "true}");
    return API_DONE;
}

/* Waits, too, when it is called for the second time. */
static int handle_slow_wait(struct api_request *req, struct api_reply *reply)
{
    static atomic_uint calls;
    unsigned call = atomic_fetch_add(&calls, 1);
    if (call % 3 == 1) {
        req->resume(req->resume_ctx);
        return API_WAIT;
    }
    return call % 3 == 0 ? handle_slow(req, reply) : handle_hello(req, reply);
}

#define LETTERS "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static int handle_slow_id(struct api_request *req, struct api_reply *reply)
{
    (void)req;
    int err = look();
    if (err != OK) return api_problem_err(reply, err);
    buf_puts(&reply->body, "{\"id\":\"%" LETTERS ".sha256\"}");
    return api_json(reply);
}

static int handle_never(struct api_request *req, struct api_reply *reply)
{
    (void)req;
    return api_problem_err(reply, err_set(ERR_SLOW, "not anywhere"));
}

/* Three rows; to find the second one takes long. */
struct slow_rows {
    struct rows rows;
    int at;
};

static int slow_next(struct rows *rows, struct buf *out)
{
    struct slow_rows *self = (struct slow_rows *)rows;
    int err = self->at == 1 ? look() : OK;
    if (err != OK) return err;
    if (self->at == 3) {
        rows->ended = true;
        return 0;
    }
    buf_printf(out, "{\"n\":%d}", self->at);
    rows->cursor = self->at++;
    return 1;
}

/* A thousand rows, each found at once. */
static int many_next(struct rows *rows, struct buf *out)
{
    struct slow_rows *self = (struct slow_rows *)rows;
    if (self->at == 0 && !patience_for_page(INT64_MAX)) (void)atomic_fetch_add(&briefly, 1);
    buf_printf(out, "%d", self->at);
    rows->cursor = self->at++;
    return 1;
}

static int slow_page(struct rows *rows, struct buf *out)
{
    return buf_printf(out, "gt=%lld", (long long)rows->cursor);
}

static void slow_free(struct rows *rows)
{
    free(rows);
}

static const struct rows_ops slow_ops = { .next = slow_next, .next_page = slow_page, .free = slow_free };

static const struct rows_ops many_ops = { .next = many_next, .next_page = slow_page, .free = slow_free };

/* Where such pages are made it stands at the gate before its time begins: how long that takes is not to be the page's. */
static int handle_many(struct api_request *req, struct api_reply *reply)
{
    if (patience_for_page(INT64_MAX)) {
        patience_limit(0);
        (void)look();
        patience_limit(HTTP_KIT_MS);
    }
    struct slow_rows *self = calloc(1, sizeof *self);
    self->rows = (struct rows){ .ops = &many_ops, .server = req->server, .member = "rows", .cursor = SEQ_EMPTY };
    (void)api_query_int(req, reply, "limit", 0, 1000, &self->rows.limit);
    return api_reply_rows(req, reply, &self->rows);
}

/* A page of many rows that costs as much as many messages do. */
static int handle_costly(struct api_request *req, struct api_reply *reply)
{
    (void)atomic_fetch_add(&begun, 1);
    int64_t enough = clock_us(CLOCK_THREAD_CPUTIME_ID) + 2 * HTTP_HEAVY;
    while (patience_for_page(INT64_MAX) && clock_us(CLOCK_THREAD_CPUTIME_ID) < enough)
        continue;
    return handle_many(req, reply);
}

static int handle_rows(struct api_request *req, struct api_reply *reply)
{
    struct slow_rows *self = calloc(1, sizeof *self);
    self->rows =
        (struct rows){ .ops = &slow_ops, .server = req->server, .member = "rows", .limit = -1, .cursor = SEQ_EMPTY };
    (void)api_query_int(req, reply, "limit", 0, 100, &self->rows.limit);
    return api_reply_rows(req, reply, &self->rows);
}

static const struct api_route routes[] = {
    { API_GET, "/hello", handle_hello, "hello", API_SCOPE_READ, false },
    { API_GET, "/slow", handle_slow, "slow", API_SCOPE_READ, false },
    { API_GET, "/thread", handle_thread, "thread", API_SCOPE_READ, false },
    { API_GET, "/slow/id", handle_slow_id, "slowId", API_SCOPE_READ, false },
    { API_GET, "/slow/wait", handle_slow_wait, "slowWait", API_SCOPE_READ, false },
    { API_GET, "/never", handle_never, "never", API_SCOPE_READ, false },
    { API_GET, "/many", handle_many, "many", API_SCOPE_READ, false },
    { API_GET, "/costly", handle_costly, "costly", API_SCOPE_READ, false },
    { API_GET, "/rows", handle_rows, "rows", API_SCOPE_READ, false },
    { 0 },
};

static void start_shared(int64_t threads, int64_t max, int64_t per_address)
{
    http_kit_config(&kit);
    kit.config.query_threads = threads;
    kit.config.queries_max = max;
    kit.config.queries_per_address = per_address;
    http_kit_start(&kit, routes);
}

static void start(int64_t threads, int64_t max)
{
    start_shared(threads, max, max);
}

#define CLIENTS 12

static void ask_all(int fds[CLIENTS], unsigned count, const char *request)
{
    for (unsigned i = 0; i < count; i++) {
        fds[i] = http_kit_connect(&kit);
        http_kit_send(fds[i], request);
    }
}

static void expect_all(int fds[CLIENTS], unsigned count, const char *part, const char *then)
{
    for (unsigned i = 0; i < count; i++) {
        char *answer = http_kit_read(fds[i], NULL, HTTP_KIT_MS);
        cr_expect_eq(http_kit_status(answer), 200, "client %u: %s", i, answer);
        const char *at = strstr(answer, part);
        cr_expect(at != NULL, "client %u wanted %s, got %s", i, part, answer);
        /* rows may come in one piece or in several */
        if (at != NULL && then != NULL)
            cr_expect(strstr(at, then) != NULL, "client %u wanted %s, got %s", i, then, answer);
        free(answer);
        (void)close(fds[i]);
    }
}

/* Of every HTTP thread: connections are dealt out to them in turn. */
static void expect_hello(void)
{
    for (int i = 0; i < 8; i++) {
        char *answer = http_kit_ask(&kit, HEAD("/hello") CLOSE);
        cr_assert(strstr(answer, "{\"hello\":true}") != NULL, "%s", answer);
        free(answer);
    }
}

Test(http_slow, who_asks_for_little_is_not_behind_who_asks_for_much, .timeout = 300)
{
    int pages[CLIENTS], streams[CLIENTS];
    unsigned two = 2, all = 2 * CLIENTS;
    start(2, 64);
    /* far more of them than threads of any kind */
    ask_all(pages, CLIENTS, HEAD("/slow") CLOSE);
    ask_all(streams, CLIENTS, HEAD("/rows") NDJSON CLOSE);
    cr_assert(kit_until(held_are, &two));
    cr_assert(kit_until(briefly_were, &all));
    expect_hello();
    cr_expect_eq(atomic_load(&held), 2);
    queries_go_on();
    expect_all(pages, CLIENTS, "ETag: \"once\"", NULL);
    expect_all(streams, CLIENTS, "{\"n\":1}\n", "{\"n\":2}\n");
    cr_expect_eq(atomic_load(&held), all);
    http_kit_stop(&kit);
}

Test(http_slow, what_is_begun_anew_has_the_ids_that_were_asked_for, .timeout = 300)
{
    start(2, 64);
    queries_go_on();
    char *answer = http_kit_ask(&kit, HEAD("/slow/id?ids=uri") CLOSE);
    cr_expect_str_eq(http_kit_body(answer), "{\"id\":\"ssb:message/classic/" LETTERS "\"}\n");
    free(answer);
    http_kit_stop(&kit);
}

Test(http_slow, what_is_begun_anew_says_everything_once, .timeout = 300)
{
    start(2, 64);
    queries_go_on();
    char *answer = http_kit_ask(&kit, HEAD("/slow") CLOSE);
    cr_expect_str_eq(http_kit_body(answer), "{\"slow\":true}");
    const char *tag = strstr(answer, "ETag: ");
    cr_expect(tag != NULL && strstr(tag + 1, "ETag: ") == NULL, "%s", answer);
    free(answer);
    answer = http_kit_ask(&kit, HEAD("/rows") CLOSE);
    cr_expect(strstr(http_kit_body(answer), "[{\"n\":0},{\"n\":1},{\"n\":2}]") != NULL, "%s", answer);
    free(answer);
    /* is there a next page? */
    cr_expect_eq(atomic_load(&held), 2);
    answer = http_kit_ask(&kit, HEAD("/rows?limit=1") CLOSE);
    cr_expect(strstr(http_kit_body(answer), "[{\"n\":0}]") != NULL && strstr(answer, "\"next\":\"/rows") != NULL, "%s",
              answer);
    cr_expect_eq(atomic_load(&held), 3);
    free(answer);
    http_kit_stop(&kit);
}

Test(http_slow, a_query_may_wait_where_it_takes_long, .timeout = 300)
{
    start(2, 64);
    queries_go_on();
    char *answer = http_kit_ask(&kit, HEAD("/slow/wait") CLOSE);
    cr_expect_str_eq(http_kit_body(answer), "{\"hello\":true}");
    free(answer);
    http_kit_stop(&kit);
}

Test(http_slow, what_takes_too_long_everywhere_is_503, .timeout = 300)
{
    start(2, 64);
    char *answer = http_kit_ask(&kit, HEAD("/never") CLOSE);
    cr_expect_eq(http_kit_status(answer), 503);
    cr_expect(strstr(answer, "/problems/query-timeout") != NULL, "%s", answer);
    free(answer);
    http_kit_stop(&kit);
}

Test(http_slow, a_page_of_many_rows_holds_up_nobody, .timeout = 300)
{
    int fds[CLIENTS];
    unsigned two = 2;
    start(1, 1); /* they take no place of a query that takes long */
    ask_all(fds, CLIENTS, HEAD("/many?limit=1000") CLOSE);
    cr_assert(kit_until(held_are, &two));
    expect_hello();
    queries_go_on();
    expect_all(fds, CLIENTS, ",998,999],", NULL);
    cr_expect_eq(atomic_load(&briefly), 0);
    http_kit_stop(&kit);
}

Test(http_slow, a_page_of_as_many_rows_as_others_wait_for_is_made_at_once, .timeout = 300)
{
    start(1, 1);
    queries_go_on();
    char *answer = http_kit_ask(&kit, HEAD("/many?limit=200") CLOSE);
    cr_expect(strstr(answer, ",198,199],") != NULL, "%s", answer);
    cr_expect_eq(atomic_load(&briefly), 1);
    free(answer);
    http_kit_stop(&kit);
}

static bool clock_is_at(void *ctx)
{
    return flume_now_ms() >= *(int64_t *)ctx;
}

static void ask_on(int fd, const char *request, const char *part)
{
    http_kit_send(fd, request);
    char *answer = http_kit_read(fd, part, HTTP_KIT_MS);
    cr_assert(strstr(answer, part) != NULL, "%s", answer);
    free(answer);
}

/* A query that takes long, and is answered. */
static void ask_for_long(int fd)
{
    unsigned one = 1;
    http_kit_send(fd, HEAD("/slow") "\r\n");
    cr_assert(kit_until(held_are, &one));
    int64_t later = flume_now_ms() + 20;
    cr_assert(kit_until(clock_is_at, &later));
    queries_go_on();
    ask_on(fd, "", "{\"slow\":true}");
}

Test(http_slow, whose_query_took_long_is_not_tried_among_the_others_again, .timeout = 300)
{
    start(2, 64);
    int fd = http_kit_connect(&kit);
    ask_for_long(fd);
    cr_expect_eq(atomic_load(&briefly), 1);
    ask_on(fd, HEAD("/slow") "\r\n", "{\"slow\":true}");
    cr_expect_eq(atomic_load(&briefly), 1);
    (void)close(fd);
    http_kit_stop(&kit);
}

/* That a page is too long to be made on an HTTP thread is found out in no time, and says nothing of what it costs. */
Test(http_slow, whose_pages_cost_much_are_begun_where_they_are_made, .timeout = 300)
{
    const unsigned pages = 8;
    start(1, 1);
    queries_go_on();
    int fd = http_kit_connect(&kit);
    for (unsigned i = 0; i < pages; i++)
        ask_on(fd, HEAD("/costly?limit=1000") "\r\n", ",998,999],");
    cr_expect_eq(atomic_load(&begun), pages + HTTP_HEAVY_TIMES);
    (void)close(fd);
    http_kit_stop(&kit);
}

static bool among_others(int fd)
{
    http_kit_send(fd, HEAD("/thread") "\r\n");
    char *answer = http_kit_read(fd, "\"}", HTTP_KIT_MS);
    bool others = strstr(answer, "\"others\"") != NULL;
    cr_assert(others || strstr(answer, "\"itself\"") != NULL, "%s", answer);
    free(answer);
    return others;
}

Test(http_slow, who_asks_for_little_after_a_query_that_took_long_is_trusted_little_by_little, .timeout = 300)
{
    unsigned apart = 0;
    start(2, 64);
    int fd = http_kit_connect(&kit);
    cr_expect(among_others(fd));
    ask_for_long(fd);
    while (apart < 10000 && !among_others(fd))
        apart++;
    /* more where the machine is busy and a small answer takes long as well */
    cr_expect_geq(apart, HTTP_WARY_TIMES);
    cr_expect_lt(apart, 10000);
    (void)close(fd);
    http_kit_stop(&kit);
}

Test(http_slow, more_of_them_than_allowed_are_refused, .timeout = 300)
{
    int fds[CLIENTS];
    size_t three = 3;
    start_shared(1, 3, 5);
    ask_all(fds, 3, HEAD("/slow") CLOSE);
    cr_assert(kit_until(given_are, &three));
    char *answer;
    for (int i = 0; i < 4; i++) { /* who is refused holds no place, and none of his address's */
        answer = http_kit_ask(&kit, HEAD("/slow") CLOSE);
        cr_expect_eq(http_kit_status(answer), 503);
        cr_expect(strstr(answer, "/problems/overloaded") != NULL && strstr(answer, "Retry-After: ") != NULL, "%s",
                  answer);
        free(answer);
    }
    answer = http_kit_ask(&kit, HEAD("/rows") NDJSON CLOSE);
    cr_expect(strstr(answer, "{\"n\":0}\n") != NULL && strstr(answer, "/problems/overloaded") != NULL, "%s", answer);
    free(answer);
    queries_go_on();
    expect_all(fds, 3, "{\"slow\":true}", NULL);
    answer = http_kit_ask(&kit, HEAD("/slow") CLOSE);
    cr_expect_eq(http_kit_status(answer), 200);
    free(answer);
    http_kit_stop(&kit);
}

/* The threads are all at work, and others' places are free. */
Test(http_slow, one_address_does_not_take_the_places_of_all, .timeout = 300)
{
    int fds[CLIENTS];
    size_t three = 3, four = 4;
    start_shared(1, 64, 3);
    ask_all(fds, 3, HEAD("/slow") CLOSE);
    cr_assert(kit_until(given_are, &three));
    for (int i = 0; i < 4; i++) { /* who is refused holds no place */
        char *answer = http_kit_ask(&kit, HEAD("/slow") CLOSE);
        cr_expect_eq(http_kit_status(answer), 429, "%s", answer);
        cr_expect(strstr(answer, "/problems/too-many") != NULL && strstr(answer, "Retry-After: ") != NULL, "%s",
                  answer);
        free(answer);
    }
    char *rows = http_kit_ask(&kit, HEAD("/rows") NDJSON CLOSE);
    cr_expect(strstr(rows, "{\"n\":0}\n") != NULL && strstr(rows, "/problems/too-many") != NULL, "%s", rows);
    free(rows);
    expect_hello(); /* what takes no time is answered */
    fds[3] = http_kit_connect_from(&kit, 2);
    http_kit_send(fds[3], HEAD("/slow") CLOSE);
    cr_assert(kit_until(given_are, &four));
    queries_go_on();
    expect_all(fds, 4, "{\"slow\":true}", NULL);
    char *answer = http_kit_ask(&kit, HEAD("/slow") CLOSE);
    cr_expect_eq(http_kit_status(answer), 200);
    free(answer);
    http_kit_stop(&kit);
}

static void *stop_run(void *ctx)
{
    (void)ctx;
    http_kit_stop(&kit);
    return NULL;
}

static bool nobody_listens(void *ctx)
{
    (void)ctx;
    int fd = http_kit_connect(&kit);
    if (fd >= 0) (void)close(fd);
    return fd < 0;
}

Test(http_slow, a_server_that_stops_answers_those_in_line, .timeout = 300)
{
    int pages[CLIENTS], streams[CLIENTS];
    unsigned one = 1, eight = 8;
    pthread_t stopper;
    start(1, 64);
    ask_all(pages, 4, HEAD("/slow") "\r\n");
    ask_all(streams, 4, HEAD("/rows") NDJSON "\r\n");
    cr_assert(kit_until(held_are, &one));
    cr_assert(kit_until(briefly_were, &eight));
    cr_assert_eq(pthread_create(&stopper, NULL, stop_run, NULL), 0);
    cr_assert(kit_until(nobody_listens, NULL));
    queries_go_on();
    expect_all(pages, 4, "{\"slow\":true}", NULL);
    expect_all(streams, 4, "{\"n\":2}\n", NULL);
    (void)pthread_join(stopper, NULL);
}
