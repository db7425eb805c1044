#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/rows.h"
#include "tests/support/flume_kit.h"
#include "tests/support/http_kit.h"

#define HEAD(method, target) method " " target " HTTP/1.1\r\nHost: localhost\r\n"
#define CLOSE "Connection: close\r\n\r\n"

/* ---- routes of the test ---- */

static int handle_hello(struct api_request *req, struct api_reply *reply)
{
    (void)req;
    buf_puts(&reply->body, "{\"hello\":true}");
    return API_DONE;
}

static int handle_echo(struct api_request *req, struct api_reply *reply)
{
    buf_printf(&reply->body, "[%zu]", req->body.len);
    buf_append(&reply->body, req->body.data, req->body.len);
    return API_DONE;
}

static int handle_name(struct api_request *req, struct api_reply *reply)
{
    buf_append(&reply->body, req->path_params[0].value.data, req->path_params[0].value.len);
    return API_DONE;
}

static int handle_grant(struct api_request *req, struct api_reply *reply)
{
    buf_printf(&reply->body, "public_only=%d may_append=%d may_private=%d may_publish=%d", req->public_only,
               req->may_append, req->may_private, req->may_publish);
    return API_DONE;
}

/* /wait/before resumes before the handler has answered, /wait/after by a thread that comes later. */
struct waiter {
    pthread_t thread;
    struct api_request *req;
    bool before;
};

static atomic_uint waiters; /* handlers that have begun to wait */

static void *waiter_run(void *cls)
{
    struct waiter *waiter = cls;
    if (!waiter->before) usleep(30000);
    waiter->req->resume(waiter->req->resume_ctx);
    return NULL;
}

static void waiter_free(void *state)
{
    struct waiter *waiter = state;
    (void)pthread_join(waiter->thread, NULL);
    free(waiter);
}

static int handle_wait(struct api_request *req, struct api_reply *reply)
{
    if (req->state != NULL) {
        buf_puts(&reply->body, "\"waited\"");
        return API_DONE;
    }
    struct waiter *waiter = calloc(1, sizeof *waiter);
    waiter->req = req;
    waiter->before = req->path_params[0].value.data[0] == 'b';
    req->state = waiter;
    req->state_free = waiter_free;
    (void)pthread_create(&waiter->thread, NULL, waiter_run, waiter);
    atomic_fetch_add(&waiters, 1);
    if (waiter->before) usleep(10000);
    return API_WAIT;
}

/* Rows 0 … count-1; live ones go on when `tide` rises. */
static _Atomic int64_t tide;

struct tide_rows {
    struct rows rows;
    int64_t at, fail_at;
    size_t pad, more; /* bytes in each, and in each than in the one before */
};

static int tide_next(struct rows *rows, struct buf *out)
{
    struct tide_rows *self = (struct tide_rows *)rows;
    if (self->at == self->fail_at) return err_set(ERR_CHANGED, "the log was replaced");
    if (self->at >= tide) {
        rows->ended = !rows->live;
        return 0;
    }
    buf_printf(out, "{\"n\":%lld,\"pad\":\"", (long long)self->at);
    for (size_t i = 0; i < self->pad; i++)
        buf_putc(out, 'x');
    buf_puts(out, "\"}");
    self->pad += self->more;
    rows->cursor = self->at++;
    return 1;
}

static int tide_page(struct rows *rows, struct buf *out)
{
    return buf_printf(out, "gt=%lld", (long long)rows->cursor);
}

static void tide_free(struct rows *rows)
{
    free(rows);
}

static const struct rows_ops tide_ops = { .next = tide_next, .next_page = tide_page, .free = tide_free };

static int handle_rows(struct api_request *req, struct api_reply *reply)
{
    struct tide_rows *self = calloc(1, sizeof *self);
    int64_t pad = 0, more = 0;
    self->rows =
        (struct rows){ .ops = &tide_ops, .server = req->server, .member = "rows", .limit = -1, .cursor = SEQ_EMPTY };
    self->fail_at = -1;
    (void)api_query_bool(req, reply, "live", &self->rows.live);
    (void)api_query_int(req, reply, "fail", 0, 1000, &self->fail_at);
    (void)api_query_int(req, reply, "pad", 0, 1 << 20, &pad);
    (void)api_query_int(req, reply, "more", 0, 1000, &more);
    self->pad = (size_t)pad;
    self->more = (size_t)more;
    return api_reply_rows(req, reply, &self->rows);
}

/* Answers of one length whose fields differ: by value, or ("x…") by name. */
static int handle_fields(struct api_request *req, struct api_reply *reply)
{
    struct slice name = req->path_params[0].value;
    (void)api_header_put(reply, "ETag", name);
    if (name.data[0] == 'x') (void)api_header_put(reply, "Cache-Control", SLICE_LITERAL("private"));
    buf_puts(&reply->body, "{\"name\":\"");
    buf_append(&reply->body, name.data, name.len);
    buf_puts(&reply->body, "\"}");
    return API_DONE;
}

static const struct api_route routes[] = {
    { API_GET, "/fields/{id}", handle_fields, "fields", API_SCOPE_READ },
    { API_GET, "/hello", handle_hello, "hello", API_SCOPE_READ },
    { API_POST, "/echo", handle_echo, "echo", API_SCOPE_READ },
    { API_GET, "/names/{id}", handle_name, "name", API_SCOPE_READ },
    { API_GET, "/grant", handle_grant, "grant", API_SCOPE_READ },
    { API_GET, "/open", handle_hello, "open", 0 },
    { API_GET, "/wait/{how}", handle_wait, "wait", API_SCOPE_READ },
    { API_GET, "/rows", handle_rows, "rows", API_SCOPE_READ },
    { 0 },
};

static struct http_kit kit;

static void start(void)
{
    http_kit_config(&kit);
    http_kit_start(&kit, routes);
}

static void stop(void)
{
    http_kit_stop(&kit);
}

static bool nobody_is_connected(void *ctx)
{
    (void)ctx;
    return kit.server.metrics.connections == 0;
}

static void expect_status(const char *request, int status)
{
    char *answer = http_kit_ask(&kit, request);
    cr_expect_eq(http_kit_status(answer), status, "wanted %d for:\n%s\ngot:\n%s", status, request, answer);
    free(answer);
}

static void expect_part(const char *request, const char *part)
{
    char *answer = http_kit_ask(&kit, request);
    cr_expect(strstr(answer, part) != NULL, "wanted %s for:\n%s\ngot:\n%s", part, request, answer);
    free(answer);
}

TestSuite(http, .init = start, .fini = stop, .timeout = 60);

/* ---- plain requests ---- */

static void expect_once(const char *answer, const char *part)
{
    const char *at = strstr(answer, part);
    cr_expect(at != NULL && strstr(at + 1, part) == NULL, "%s is wanted once in:\n%s", part, answer);
}

Test(http, answers_of_one_length_have_fields_of_their_own)
{
    static const char *const names[] = { "aa", "bb", "bb", "xa", "aa", "xb", "xc", "cc" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char request[200], field[32], body[32];
        (void)snprintf(request, sizeof request, "GET /fields/%s HTTP/1.1\r\nHost: localhost\r\n" CLOSE, names[i]);
        (void)snprintf(field, sizeof field, "ETag: %s\r\n", names[i]);
        (void)snprintf(body, sizeof body, "\r\n\r\n{\"name\":\"%s\"}", names[i]);
        char *answer = http_kit_ask(&kit, request);
        expect_once(answer, "ETag: ");
        expect_once(answer, field);
        expect_once(answer, body);
        expect_once(answer, "Cache-Control: ");
        expect_once(answer, names[i][0] == 'x' ? "Cache-Control: private\r\n" : "Cache-Control: no-cache\r\n");
        expect_once(answer, "Content-Type: application/json\r\n");
        expect_once(answer, "Content-Security-Policy: ");
        expect_once(answer, "X-Content-Type-Options: nosniff\r\n");
        free(answer);
    }
}

/* What remained of a block once went out as a small one of its own. */
Test(http, a_stream_that_has_more_is_sent_in_full_blocks)
{
    tide = 1000;
    char *answer = http_kit_ask(&kit, HEAD("GET", "/rows?pad=700") "Accept: application/x-ndjson\r\n" CLOSE);
    char *at = strstr(answer, "\r\n\r\n");
    cr_assert_not_null(at);
    size_t blocks = 0, small = 0, len = 1;
    for (at += 4; len > 0; at += len + 2) {
        len = strtoul(at, &at, 16);
        at += 2;
        blocks++;
        small += len < 8192;
    }
    cr_expect(blocks > 10 && small <= 2, "%zu of %zu blocks are small", small, blocks);
    free(answer);
}

Test(http, get_is_answered_with_the_standing_headers)
{
    char *answer = http_kit_ask(&kit, HEAD("GET", "/hello") CLOSE);
    cr_expect_eq(http_kit_status(answer), 200);
    cr_expect_str_eq(http_kit_body(answer), "{\"hello\":true}");
    cr_expect(strstr(answer, "X-Content-Type-Options: nosniff\r\n") != NULL);
    cr_expect(strstr(answer, "Cache-Control: no-cache\r\n") != NULL);
    cr_expect(strstr(answer, "Content-Security-Policy: default-src 'none'") != NULL);
    cr_expect(strstr(answer, "Content-Type: application/json\r\n") != NULL);
    free(answer);
}

Test(http, head_has_the_length_and_no_body)
{
    char *answer = http_kit_ask(&kit, HEAD("HEAD", "/hello") CLOSE);
    cr_expect_eq(http_kit_status(answer), 200);
    cr_expect(strstr(answer, "Content-Length: 14\r\n") != NULL, "%s", answer);
    cr_expect_str_empty(http_kit_body(answer));
    free(answer);
}

Test(http, a_connection_serves_many_requests)
{
    int fd = http_kit_connect(&kit);
    for (int i = 0; i < 50; i++) {
        http_kit_send(fd, HEAD("GET", "/hello") "\r\n");
        char *answer = http_kit_read(fd, "{\"hello\":true}", HTTP_KIT_MS);
        cr_assert_eq(http_kit_status(answer), 200, "request %d: %s", i, answer);
        cr_assert(strstr(answer, "Connection: close") == NULL);
        free(answer);
    }
    (void)close(fd);
}

Test(http, a_head_that_comes_byte_by_byte_is_understood)
{
    static const char request[] = HEAD("GET", "/hello") CLOSE;
    int fd = http_kit_connect(&kit);
    for (const char *c = request; *c != '\0'; c++) {
        (void)send(fd, c, 1, MSG_NOSIGNAL);
        usleep(500);
    }
    char *answer = http_kit_read(fd, NULL, HTTP_KIT_MS);
    cr_expect_eq(http_kit_status(answer), 200);
    free(answer);
    (void)close(fd);
}

Test(http, unknown_paths_and_methods_are_problems)
{
    expect_status(HEAD("GET", "/none") CLOSE, 404);
    expect_status(HEAD("GET", "/hello/") CLOSE, 404);
    expect_status(HEAD("GET", "//hello") CLOSE, 404);
    expect_status(HEAD("DELETE", "/hello") CLOSE, 405);
    expect_part(HEAD("DELETE", "/hello") CLOSE, "Allow: GET, HEAD, OPTIONS\r\n");
    expect_part(HEAD("GET", "/none") CLOSE, "Content-Type: application/problem+json\r\n");
    expect_part(HEAD("GET", "/none") CLOSE, "Cache-Control: no-store\r\n");
    expect_status(HEAD("GET", "/live") CLOSE, 426);
}

Test(http, an_encoded_slash_reaches_the_handler_decoded)
{
    expect_part(HEAD("GET", "/names/a%2Fb%2Bc+d") CLOSE, "\r\n\r\na/b+c+d");
    expect_status(HEAD("GET", "/names/a%2") CLOSE, 400);
    expect_status(HEAD("GET", "/names/a%00b") CLOSE, 400);
}

Test(http, a_pasted_id_reaches_the_handler_as_it_is)
{
    static const char id[] = "%/Ab+d"
                             "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256";
    char request[300], part[100];
    cr_assert_eq(ref_prefix(id, strlen(id)), strlen(id));
    snprintf(request, sizeof request, HEAD("GET", "/names/%s") CLOSE, id);
    snprintf(part, sizeof part, "\r\n\r\n%s", id);
    expect_part(request, part);
}

Test(http, an_absolute_target_is_cut_and_its_host_counts)
{
    expect_part(HEAD("GET", "http://localhost:1/hello") CLOSE, "{\"hello\":true}");
    expect_status(HEAD("GET", "http://evil.example/hello") CLOSE, 403);
    expect_status(HEAD("GET", "http://localhost") CLOSE, 404);
}

Test(http, a_target_over_the_limit_is_414)
{
    char request[9200] = "GET /";
    memset(request + 5, 'a', 8200);
    strcpy(request + 5 + 8200, " HTTP/1.1\r\nHost: localhost\r\n" CLOSE);
    expect_status(request, 414);
}

Test(http, what_never_ends_is_answered_and_ended)
{
    kit.config.header_timeout = 1;
    int fd = http_kit_connect(&kit);
    http_kit_send(fd, "GET /hello HT");
    char *answer = http_kit_read(fd, NULL, HTTP_KIT_MS);
    cr_expect_eq(http_kit_status(answer), 408, "%s", answer);
    free(answer);
    (void)close(fd);
}

Test(http, silence_and_tls_are_just_closed)
{
    kit.config.header_timeout = 1;
    int silent = http_kit_connect(&kit), tls = http_kit_connect(&kit);
    (void)send(tls, "\x16\x03\x01\x02", 4, MSG_NOSIGNAL);
    char *answer = http_kit_read(tls, NULL, HTTP_KIT_MS);
    cr_expect_str_empty(answer);
    free(answer);
    answer = http_kit_read(silent, NULL, HTTP_KIT_MS);
    cr_expect_str_empty(answer);
    free(answer);
    (void)close(silent);
    (void)close(tls);
}

/* ---- bodies ---- */

Test(http, a_body_reaches_the_handler_whole)
{
    expect_part(HEAD("POST", "/echo") "Content-Type: application/json\r\nContent-Length: 4\r\n" CLOSE "null",
                "[4]null");
    expect_part(HEAD("POST", "/echo") "Transfer-Encoding: chunked\r\n" CLOSE "2\r\nnu\r\n2\r\nll\r\n0\r\n\r\n",
                "[4]null");
    expect_part(HEAD("POST", "/echo") "Content-Length: 0\r\n" CLOSE, "[0]");
}

Test(http, a_foreign_content_type_is_415)
{
    expect_status(HEAD("POST", "/echo") "Content-Type: text/plain\r\nContent-Length: 4\r\n" CLOSE "null", 415);
    expect_status(
        HEAD("POST", "/echo") "Content-Type: application/x-ndjson; charset=utf-8\r\nContent-Length: 4\r\n" CLOSE "null",
        200);
}

Test(http, a_large_body_is_413_by_length_and_by_bytes)
{
    expect_status(HEAD("POST", "/echo") "Content-Length: 99999999\r\n" CLOSE, 413);
    size_t size = 100000;
    char *request = malloc(size + 300);
    int len = sprintf(request, HEAD("POST", "/echo") "Transfer-Encoding: chunked\r\n" CLOSE "%zx\r\n", size);
    memset(request + len, 'a', size);
    strcpy(request + len + size, "\r\n0\r\n\r\n");
    expect_status(request, 413);
    free(request);
}

/* Reads until the answer is there, sending `drop` now and then; 0 = none came. */
static int status_while_dripping(int fd, const char *drop)
{
    char *answer = calloc(1, 1);
    for (int i = 0; i < 600 && http_kit_status(answer) == 0; i++) {
        free(answer);
        http_kit_send(fd, drop);
        answer = http_kit_read(fd, "\r\n\r\n", 50);
    }
    int status = http_kit_status(answer);
    free(answer);
    return status;
}

Test(http_limits, a_body_that_stops_or_comes_drop_by_drop_is_told_so)
{
    http_kit_config(&kit);
    kit.config.idle_timeout = 1;
    http_kit_start(&kit, routes);
    int stopped = http_kit_connect(&kit), chunked = http_kit_connect(&kit), refused = http_kit_connect(&kit);
    int dripping = http_kit_connect(&kit);
    http_kit_send(stopped, HEAD("POST", "/echo") "Content-Length: 100\r\n\r\n{");
    http_kit_send(chunked, HEAD("POST", "/echo") "Transfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n");
    http_kit_send(refused, HEAD("POST", "/echo") "Content-Type: text/plain\r\nContent-Length: 100\r\n\r\n{");
    http_kit_send(dripping, HEAD("POST", "/echo") "Content-Length: 60000\r\n\r\n{");
    cr_expect_eq(status_while_dripping(dripping, " "), 408);
    const int fds[] = { stopped, chunked, refused };
    for (size_t i = 0; i < 3; i++) {
        char *answer = http_kit_read(fds[i], NULL, HTTP_KIT_MS);
        cr_expect_eq(http_kit_status(answer), 408, "%zu: %s", i, answer);
        cr_expect(strstr(answer, "/problems/timeout") != NULL, "%s", answer);
        cr_expect(strstr(answer + 1, "HTTP/1.1 ") == NULL, "a second answer: %s", answer);
        free(answer);
        (void)close(fds[i]);
    }
    (void)close(dripping);
    cr_expect(kit_until(nobody_is_connected, NULL), "told, and not closed");
    stop();
}

/* What is behind on a connection that is used on is its own body. */
Test(http_limits, a_slow_body_is_answered_and_the_next_one_as_well)
{
    http_kit_config(&kit);
    kit.config.idle_timeout = 5;
    http_kit_start(&kit, routes);
    int fd = http_kit_connect(&kit);
    for (int round = 0; round < 2; round++) {
        http_kit_send(fd, HEAD("POST", "/echo") "Content-Length: 3\r\n\r\n");
        char *nothing = http_kit_read(fd, "HTTP", 300);
        cr_expect_str_empty(nothing);
        free(nothing);
        http_kit_send(fd, "[1]");
        char *answer = http_kit_read(fd, "[3][1]", HTTP_KIT_MS);
        cr_expect_eq(http_kit_status(answer), 200, "%s", answer);
        free(answer);
    }
    (void)close(fd);
    stop();
}

Test(http_limits, a_body_without_an_end_is_told_so)
{
    http_kit_config(&kit);
    http_kit_start(&kit, routes);
    int fd = http_kit_connect(&kit);
    char *chunk = malloc((64 << 10) + 20);
    int len = sprintf(chunk, "%x\r\n", 64 << 10);
    memset(chunk + len, 'a', 64 << 10);
    strcpy(chunk + len + (64 << 10), "\r\n");
    http_kit_send(fd, HEAD("POST", "/echo") "Transfer-Encoding: chunked\r\n\r\n");
    char *answer = calloc(1, 1);
    size_t sent = 0;
    for (; sent < 4096 && http_kit_status(answer) == 0; sent++) {
        free(answer);
        http_kit_send(fd, chunk);
        answer = http_kit_read(fd, "\r\n\r\n", 1);
    }
    cr_expect_eq(http_kit_status(answer), 413, "%s", answer);
    cr_expect_lt(sent, 4096, "all was taken");
    free(answer);
    free(chunk);
    (void)close(fd);
    cr_expect(kit_until(nobody_is_connected, NULL), "told, and not closed");
    stop();
}

Test(http, ambiguous_framing_is_400)
{
    expect_status(HEAD("POST", "/echo") "Content-Length: 4\r\nContent-Length: 5\r\n\r\nnull", 400);
    expect_status(HEAD("POST", "/echo") "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
    expect_status(HEAD("POST", "/echo") "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 400);
    expect_status("GET /hello HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400);
    expect_status("GET /hello HTTP/1.1\r\n\r\n", 400);
}

/* ---- access ---- */

Test(http, foreign_hosts_and_origins_are_refused)
{
    expect_status("GET /hello HTTP/1.1\r\nHost: evil.example\r\n" CLOSE, 403);
    expect_part("GET /hello HTTP/1.1\r\nHost: evil.example\r\n" CLOSE, "/problems/foreign-host");
    expect_status(HEAD("POST", "/echo") "Origin: http://evil.example\r\nContent-Length: 0\r\n" CLOSE, 403);
    expect_status(HEAD("POST", "/echo") "Origin: http://localhost\r\nContent-Length: 0\r\n" CLOSE, 200);
    expect_part(HEAD("GET", "/grant") CLOSE, "public_only=0 may_append=1 may_private=0 may_publish=0");
}

Test(http, a_refused_handshake_is_a_plain_answer)
{
    expect_part(
        HEAD("GET", "/live") "Upgrade: websocket\r\nOrigin: http://evil.example\r\nConnection: Upgrade, close\r\n\r\n",
        "/problems/foreign-origin");
}

Test(http, options_tells_what_is_allowed)
{
    expect_part(HEAD("OPTIONS", "/echo") CLOSE, "Allow: POST, OPTIONS\r\n");
    expect_status(HEAD("OPTIONS", "*") CLOSE, 204);
    char *answer = http_kit_ask(
        &kit, HEAD("OPTIONS", "/echo") "Origin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n" CLOSE);
    cr_expect(strstr(answer, "Access-Control") == NULL, "%s", answer);
    free(answer);
}

Test(http_origins, pages_of_a_listed_origin_may_read)
{
    http_kit_config(&kit);
    static char origin[] = "https://app.example";
    kit.config.allow_origin[kit.config.allow_origin_count++] = origin;
    http_kit_start(&kit, routes);
    char *answer = http_kit_ask(
        &kit, HEAD("OPTIONS", "/echo") "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n" CLOSE);
    cr_expect_eq(http_kit_status(answer), 204);
    cr_expect(strstr(answer, "Access-Control-Allow-Origin: https://app.example\r\n") != NULL, "%s", answer);
    cr_expect(strstr(answer, "Access-Control-Allow-Methods: POST, OPTIONS\r\n") != NULL, "%s", answer);
    cr_expect(strstr(answer, "Vary: Origin\r\n") != NULL, "%s", answer);
    free(answer);
    expect_part(HEAD("GET", "/hello") "Origin: https://app.example\r\n" CLOSE,
                "Access-Control-Allow-Origin: https://app.example\r\n");
    answer = http_kit_ask(&kit, HEAD("GET", "/hello") "Origin: https://other.example\r\n" CLOSE);
    cr_expect(strstr(answer, "Access-Control-Allow-Origin") == NULL);
    free(answer);
    stop();
}

/* ---- waits ---- */

Test(http, a_handler_that_waits_is_called_again)
{
    expect_part(HEAD("GET", "/wait/after") CLOSE, "\"waited\"");
    expect_part(HEAD("GET", "/wait/before") CLOSE, "\"waited\"");
}

Test(http, waits_on_many_connections_all_end)
{
    enum { CLIENTS = 40 };
    int fds[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = http_kit_connect(&kit);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < CLIENTS; i++)
            http_kit_send(fds[i], i % 2 == 0 ? HEAD("GET", "/wait/after") "\r\n" : HEAD("GET", "/wait/before") "\r\n");
        for (int i = 0; i < CLIENTS; i++) {
            char *answer = http_kit_read(fds[i], "\"waited\"", HTTP_KIT_MS);
            cr_assert_eq(http_kit_status(answer), 200, "client %d: %s", i, answer);
            free(answer);
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        (void)close(fds[i]);
}

/* ---- streams ---- */

#define NDJSON "Accept: application/x-ndjson\r\n"
#define SSE "Accept: text/event-stream\r\n"

Test(http, a_stream_of_rows_ends)
{
    tide = 3;
    expect_part(HEAD("GET", "/rows") NDJSON CLOSE, "{\"n\":2,\"pad\":\"\"}\n");
    expect_part(HEAD("GET", "/rows") SSE CLOSE, "id: 1\ndata: {\"n\":1,\"pad\":\"\"}\n\n");
    expect_part(HEAD("GET", "/rows") CLOSE, "\"next\":null}");
    expect_status(HEAD("HEAD", "/rows") NDJSON CLOSE, 200);
    expect_status(HEAD("GET", "/rows") "Accept: image/png\r\n" CLOSE, 406);
    expect_status(HEAD("GET", "/rows?live=true") CLOSE, 400);
}

Test(http, an_old_client_gets_a_stream_until_the_connection_ends)
{
    tide = 3;
    char *answer = http_kit_ask(&kit, "GET /rows HTTP/1.0\r\nHost: localhost\r\n" NDJSON "\r\n");
    cr_expect(strstr(answer, "chunked") == NULL);
    cr_expect_str_eq(http_kit_body(answer), "{\"n\":0,\"pad\":\"\"}\n{\"n\":1,\"pad\":\"\"}\n{\"n\":2,\"pad\":\"\"}\n");
    free(answer);
}

Test(http, large_rows_arrive_whole)
{
    tide = 20;
    char *answer = http_kit_ask(&kit, "GET /rows?pad=300000 HTTP/1.0\r\nHost: localhost\r\n" NDJSON "\r\n");
    cr_expect_gt(strlen(http_kit_body(answer)), (size_t)20 * 300000);
    cr_expect(strstr(answer, "{\"n\":19,") != NULL);
    free(answer);
}

/* Rows up to several blocks long: those that fit go straight into the library's memory, the others do not. */
Test(http, rows_of_every_size_arrive_whole_and_in_order)
{
    enum { ROWS = 400, MORE = 311 };
    tide = ROWS;
    char *answer = http_kit_ask(&kit, "GET /rows?more=311 HTTP/1.0\r\nHost: localhost\r\n" NDJSON "\r\n");
    const char *at = http_kit_body(answer);
    for (size_t n = 0; n < ROWS; n++) {
        char head[40];
        size_t head_len = (size_t)snprintf(head, sizeof head, "{\"n\":%zu,\"pad\":\"", n);
        cr_assert(strncmp(at, head, head_len) == 0, "row %zu: %.60s", n, at);
        at += head_len;
        cr_assert_eq(strspn(at, "x"), n * MORE, "row %zu", n);
        at += n * MORE;
        cr_assert(strncmp(at, "\"}\n", 3) == 0, "row %zu", n);
        at += 3;
    }
    cr_expect_eq(*at, '\0');
    free(answer);
}

/* The server's end of a connection; this process has both. */
static int server_socket(int client)
{
    struct sockaddr_storage mine = { 0 }, other;
    socklen_t mine_len = sizeof mine;
    (void)getsockname(client, (struct sockaddr *)&mine, &mine_len);
    for (int fd = 3; fd < 1024; fd++) {
        socklen_t len = sizeof other;
        memset(&other, 0, sizeof other);
        if (getpeername(fd, (struct sockaddr *)&other, &len) == 0 && len == mine_len && memcmp(&mine, &other, len) == 0)
            return fd;
    }
    return -1;
}

/* -1 = this system does not say. */
static int send_buffer_is_free(int client)
{
#ifdef SO_BUF_LOCK
    int lock = 0;
    socklen_t len = sizeof lock;
    if (getsockopt(server_socket(client), SOL_SOCKET, SO_BUF_LOCK, &lock, &len) == 0) return (lock & 1) == 0;
#endif
    (void)client;
    return -1;
}

static void take_bytes(int fd, size_t bytes)
{
    static char taken[1 << 16];
    while (bytes > 0) {
        ssize_t got = recv(fd, taken, bytes < sizeof taken ? bytes : sizeof taken, 0);
        cr_assert(got > 0, "the stream ended");
        bytes -= (size_t)got;
    }
}

/* What the kernel keeps for clients that do not read is memory, too. */
Test(http, few_streams_have_a_free_send_buffer_and_give_it_back)
{
    enum { CLIENTS = 20, FREE = 16 };
    int fds[CLIENTS], are_free = 0;
    tide = INT64_MAX;
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = http_kit_connect(&kit);
        http_kit_send(fds[i], HEAD("GET", "/rows?pad=1000") NDJSON "\r\n");
        take_bytes(fds[i], (size_t)3 << 20);
        int is_free = send_buffer_is_free(fds[i]);
        if (is_free < 0) cr_skip_test("SO_BUF_LOCK is not known here");
        are_free += is_free;
    }
    cr_expect_eq(are_free, FREE);
    for (int i = 0; i < CLIENTS; i++)
        (void)close(fds[i]);
    int fd = http_kit_connect(&kit);
    http_kit_send(fd, HEAD("GET", "/rows?pad=1000") NDJSON "\r\n");
    int64_t patience = flume_now_ms() + 20000;
    do
        take_bytes(fd, (size_t)1 << 20);
    while (send_buffer_is_free(fd) != 1 && flume_now_ms() < patience);
    cr_expect_eq(send_buffer_is_free(fd), 1, "those who left have given it back");
    (void)close(fd);
}

Test(http, a_stream_that_waits_for_more_has_a_small_send_buffer)
{
    tide = 5000;
    int fd = http_kit_connect(&kit);
    http_kit_send(fd, HEAD("GET", "/rows?pad=1000&live=true") NDJSON "\r\n");
    char *answer = http_kit_read(fd, "{\"n\":4999,", 20000);
    cr_expect(strstr(answer, "{\"n\":4999,") != NULL);
    free(answer);
    for (int i = 0; i < 1000 && send_buffer_is_free(fd) == 1; i++)
        usleep(10000);
    cr_expect_neq(send_buffer_is_free(fd), 1);
    (void)close(fd);
}

Test(http, an_error_in_the_middle_is_the_last_frame)
{
    tide = 3;
    expect_part(HEAD("GET", "/rows?fail=2") NDJSON CLOSE,
                "{\"n\":1,\"pad\":\"\"}\n{\"error\":{\"type\":\"/problems/not-ready\"");
    expect_part(HEAD("GET", "/rows?fail=2") SSE CLOSE, "event: error\ndata: {\"type\":\"/problems/not-ready\"");
    expect_status(HEAD("GET", "/rows?fail=2") CLOSE, 503);
}

Test(http, a_live_stream_goes_on_when_woken)
{
    tide = 1;
    int fd = http_kit_connect(&kit);
    http_kit_send(fd, HEAD("GET", "/rows?live=true") SSE "\r\n");
    char *text = http_kit_read(fd, "{\"n\":0,", HTTP_KIT_MS);
    cr_assert(strstr(text, "{\"n\":0,") != NULL, "%s", text);
    free(text);
    for (int n = 1; n < 100; n++) {
        char row[40];
        snprintf(row, sizeof row, "id: %d\ndata: {\"n\":%d,", n, n);
        tide++;
        http_wake(kit.http);
        text = http_kit_read(fd, row, HTTP_KIT_MS);
        cr_assert(strstr(text, row) != NULL, "row %d: %s", n, text);
        free(text);
    }
    (void)close(fd);
}

Test(http, no_wake_is_lost_when_rows_come_fast)
{
    tide = 0;
    int fd = http_kit_connect(&kit);
    http_kit_send(fd, HEAD("GET", "/rows?live=true") NDJSON "\r\n");
    for (int n = 0; n < 20000; n++) {
        tide++;
        http_wake(kit.http);
    }
    char *text = http_kit_read(fd, "{\"n\":19999,", HTTP_KIT_MS);
    cr_expect(strstr(text, "{\"n\":19999,") != NULL);
    free(text);
    (void)close(fd);
}

Test(http, a_quiet_stream_shows_its_head_and_signs_of_life)
{
    tide = 0;
    kit.config.heartbeat = 3600; /* the head does not wait for one */
    int fd = http_kit_connect(&kit);
    http_kit_send(fd, HEAD("GET", "/rows?live=true") NDJSON "\r\n");
    char *text = http_kit_read(fd, "\r\n\r\n", HTTP_KIT_MS);
    cr_expect_eq(http_kit_status(text), 200, "%s", text);
    free(text);
    kit.config.heartbeat = 1;
    /* the one that came with the head, and another */
    text = http_kit_read(fd, "1\r\n\n\r\n1\r\n\n\r\n", HTTP_KIT_MS);
    cr_expect(strstr(text, "1\r\n\n\r\n1\r\n\n\r\n") != NULL);
    free(text);
    (void)close(fd);
}

Test(http, a_client_that_vanished_gives_its_place_back)
{
    tide = 0;
    for (int i = 0; i < 8; i++) {
        int fd = http_kit_connect(&kit);
        http_kit_send(fd, HEAD("GET", "/rows?live=true") NDJSON "\r\n");
        char *text = http_kit_read(fd, "\r\n\r\n", HTTP_KIT_MS);
        cr_assert_eq(http_kit_status(text), 200);
        free(text);
        if (i < 7) continue;
        expect_status(HEAD("GET", "/rows?live=true") NDJSON CLOSE, 503);
        (void)close(fd);
    }
    int status = 503;
    for (int i = 0; i < 300 && status == 503; i++) {
        usleep(100000);
        int fd = http_kit_connect(&kit);
        http_kit_send(fd, HEAD("GET", "/rows?live=true") NDJSON "\r\n");
        char *text = http_kit_read(fd, "\r\n\r\n", HTTP_KIT_MS);
        status = http_kit_status(text);
        free(text);
        (void)close(fd);
    }
    cr_expect_eq(status, 200);
}

/* ---- limits and ends ---- */

Test(http_limits, connections_of_one_address_are_counted)
{
    http_kit_config(&kit);
    kit.config.connections_per_address = 3;
    http_kit_start(&kit, routes);
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = http_kit_connect(&kit);
        http_kit_send(fds[i], HEAD("GET", "/hello") "\r\n");
        char *answer = http_kit_read(fds[i], "true}", HTTP_KIT_MS);
        cr_expect_eq(http_kit_status(answer), 200);
        free(answer);
    }
    cr_expect_eq(kit.server.metrics.connections, 3);
    expect_status("", 429);
    for (int i = 0; i < 3; i++)
        (void)close(fds[i]);
    cr_assert(kit_until(nobody_is_connected, NULL));
    expect_status(HEAD("GET", "/hello") CLOSE, 200);
    cr_expect_eq(kit.server.metrics.connections_refused, 1);
    stop();
}

Test(http_stop, live_streams_end_properly_and_the_process_lives)
{
    for (int round = 0; round < 5; round++) {
        start();
        tide = 2;
        int fds[6];
        for (int i = 0; i < 6; i++) {
            fds[i] = http_kit_connect(&kit);
            http_kit_send(fds[i], HEAD("GET", "/rows?live=true") NDJSON "\r\n");
            char *text = http_kit_read(fds[i], "{\"n\":1,", HTTP_KIT_MS);
            cr_assert_eq(http_kit_status(text), 200);
            free(text);
        }
        stop(); /* gives them far more time than they need: one that took it all would be cut */
        for (int i = 0; i < 6; i++) {
            char *text = http_kit_read(fds[i], NULL, HTTP_KIT_MS);
            cr_expect(strstr(text, "0\r\n\r\n") != NULL, "the stream was cut: %s", text);
            free(text);
            (void)close(fds[i]);
        }
    }
}

static bool somebody_waits(void *ctx)
{
    (void)ctx;
    return atomic_load(&waiters) > 0;
}

Test(http_stop, requests_that_wait_are_answered_first)
{
    start();
    int fd = http_kit_connect(&kit);
    http_kit_send(fd, HEAD("GET", "/wait/after") "\r\n");
    cr_assert(kit_until(somebody_waits, NULL));
    stop();
    char *answer = http_kit_read(fd, NULL, HTTP_KIT_MS);
    cr_expect(strstr(answer, "\"waited\"") != NULL, "%s", answer);
    free(answer);
    (void)close(fd);
}

Test(http_stop, a_stream_to_a_client_that_does_not_read_is_cut)
{
    start();
    tide = 100000;
    int fd = http_kit_connect(&kit);
    http_kit_send(fd, HEAD("GET", "/rows?pad=1000") NDJSON "\r\n");
    char *head = http_kit_read(fd, "\r\n\r\n", HTTP_KIT_MS);
    cr_expect_eq(http_kit_status(head), 200);
    free(head);
    kit.stop_ms = 100;
    int64_t began = flume_now_ms();
    stop();
    cr_expect_lt(flume_now_ms() - began, HTTP_KIT_MS);
    (void)close(fd);
}

Test(http_doors, a_unix_socket_is_a_door_and_leaves_nothing_behind)
{
    http_kit_config(&kit);
    char door[100];
    snprintf(door, sizeof door, "unix:/tmp/sluice-door-%ld", (long)getpid());
    kit.config.listen[1] = door;
    kit.config.listen_count = 2;
    http_kit_start(&kit, routes);
    cr_expect_eq(access(door + 5, F_OK), 0);
    stop();
    cr_expect_neq(access(door + 5, F_OK), 0);
}

Test(http_doors, a_door_to_the_world_needs_a_token_or_public)
{
    http_kit_config(&kit);
    static char door[] = "0.0.0.0:0";
    kit.config.listen[0] = door;
    kit.server.config = &kit.config;
    struct listener *listener = NULL;
    cr_expect_eq(listen_open(&kit.server, &listener), ERR_PERM);
    cr_expect(strstr(err_detail(ERR_PERM), "--token-file") != NULL);
    cr_expect(strstr(err_detail(ERR_PERM), "--public") != NULL);
    kit.config.public_read = true;
    http_kit_start(&kit, routes);
    expect_part(HEAD("GET", "/grant") CLOSE, "public_only=1 may_append=0 may_private=0 may_publish=0");
    stop();
}

Test(http_doors, bad_doors_are_errors)
{
    static char bad[][40] = {
        "8990", "localhost", "host:", "host:99999", "host:1x", "[::1:80", "::1:80", "unix:", ":80"
    };
    http_kit_config(&kit);
    kit.server.config = &kit.config;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct listener *listener = NULL;
        kit.config.listen[0] = bad[i];
        cr_expect_eq(listen_open(&kit.server, &listener), ERR_ARG, "%s", bad[i]);
    }
}
