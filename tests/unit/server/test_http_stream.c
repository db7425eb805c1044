/* Rows as streams: whole and in order, live, with room in the socket while they flow. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/flume_kit.h"
#include "tests/unit/server/site.h"

TestSuite(http_stream, .init = site_start, .fini = site_stop, .timeout = 300);

Test(http_stream, a_stream_of_rows_ends)
{
    site_tide = 3;
    site_expect_part(HEAD("GET", "/rows") NDJSON CLOSE, "{\"n\":2,\"pad\":\"\"}\n");
    site_expect_part(HEAD("GET", "/rows") SSE CLOSE, "id: 1\ndata: {\"n\":1,\"pad\":\"\"}\n\n");
    site_expect_part(HEAD("GET", "/rows") CLOSE, "\"next\":null}");
    site_expect_status(HEAD("HEAD", "/rows") NDJSON CLOSE, 200);
    site_expect_status(HEAD("GET", "/rows") "Accept: image/png\r\n" CLOSE, 406);
    site_expect_status(HEAD("GET", "/rows?live=true") CLOSE, 400);
}

Test(http_stream, an_old_client_gets_a_stream_until_the_connection_ends)
{
    site_tide = 3;
    char *answer = http_kit_ask(&site, "GET /rows HTTP/1.0\r\nHost: localhost\r\n" NDJSON "\r\n");
    cr_expect(strstr(answer, "chunked") == NULL);
    cr_expect_str_eq(http_kit_body(answer), "{\"n\":0,\"pad\":\"\"}\n{\"n\":1,\"pad\":\"\"}\n{\"n\":2,\"pad\":\"\"}\n");
    free(answer);
}

Test(http_stream, large_rows_arrive_whole)
{
    site_tide = 20;
    char *answer = http_kit_ask(&site, "GET /rows?pad=300000 HTTP/1.0\r\nHost: localhost\r\n" NDJSON "\r\n");
    cr_expect_gt(strlen(http_kit_body(answer)), (size_t)20 * 300000);
    cr_expect(strstr(answer, "{\"n\":19,") != NULL);
    free(answer);
}

/* Rows up to several blocks long: those that fit go straight into the library's memory, the others do not. */
Test(http_stream, rows_of_every_size_arrive_whole_and_in_order)
{
    enum { ROWS = 400, MORE = 311 };
    site_tide = ROWS;
    char *answer = http_kit_ask(&site, "GET /rows?more=311 HTTP/1.0\r\nHost: localhost\r\n" NDJSON "\r\n");
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
Test(http_stream, few_streams_have_a_free_send_buffer_and_give_it_back)
{
    enum { CLIENTS = 20, FREE = 16 };
    int fds[CLIENTS], are_free = 0;
    site_tide = INT64_MAX;
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = http_kit_connect(&site);
        http_kit_send(fds[i], HEAD("GET", "/rows?pad=1000") NDJSON "\r\n");
        take_bytes(fds[i], (size_t)3 << 20);
        int is_free = send_buffer_is_free(fds[i]);
        if (is_free < 0) cr_skip_test("SO_BUF_LOCK is not known here");
        are_free += is_free;
    }
    cr_expect_eq(are_free, FREE);
    for (int i = 0; i < CLIENTS; i++)
        (void)close(fds[i]);
    int fd = http_kit_connect(&site);
    http_kit_send(fd, HEAD("GET", "/rows?pad=1000") NDJSON "\r\n");
    int64_t patience = flume_now_ms() + 20000;
    do
        take_bytes(fd, (size_t)1 << 20);
    while (send_buffer_is_free(fd) != 1 && flume_now_ms() < patience);
    cr_expect_eq(send_buffer_is_free(fd), 1, "those who left have given it back");
    (void)close(fd);
}

Test(http_stream, a_stream_that_waits_for_more_has_a_small_send_buffer)
{
    site_tide = 5000;
    int fd = http_kit_connect(&site);
    http_kit_send(fd, HEAD("GET", "/rows?pad=1000&live=true") NDJSON "\r\n");
    char *answer = http_kit_read(fd, "{\"n\":4999,", 20000);
    cr_expect(strstr(answer, "{\"n\":4999,") != NULL);
    free(answer);
    for (int i = 0; i < 1000 && send_buffer_is_free(fd) == 1; i++)
        usleep(10000);
    cr_expect_neq(send_buffer_is_free(fd), 1);
    (void)close(fd);
}

Test(http_stream, an_error_in_the_middle_is_the_last_frame)
{
    site_tide = 3;
    site_expect_part(HEAD("GET", "/rows?fail=2") NDJSON CLOSE,
                     "{\"n\":1,\"pad\":\"\"}\n{\"error\":{\"type\":\"/problems/not-ready\"");
    site_expect_part(HEAD("GET", "/rows?fail=2") SSE CLOSE, "event: error\ndata: {\"type\":\"/problems/not-ready\"");
    site_expect_status(HEAD("GET", "/rows?fail=2") CLOSE, 503);
}

Test(http_stream, a_live_stream_goes_on_when_woken)
{
    site_tide = 1;
    int fd = http_kit_connect(&site);
    http_kit_send(fd, HEAD("GET", "/rows?live=true") SSE "\r\n");
    char *text = http_kit_read(fd, "{\"n\":0,", HTTP_KIT_MS);
    cr_assert(strstr(text, "{\"n\":0,") != NULL, "%s", text);
    free(text);
    for (int n = 1; n < 100; n++) {
        char row[40];
        snprintf(row, sizeof row, "id: %d\ndata: {\"n\":%d,", n, n);
        site_tide++;
        http_wake(site.http);
        text = http_kit_read(fd, row, HTTP_KIT_MS);
        cr_assert(strstr(text, row) != NULL, "row %d: %s", n, text);
        free(text);
    }
    (void)close(fd);
}

Test(http_stream, no_wake_is_lost_when_rows_come_fast)
{
    site_tide = 0;
    int fd = http_kit_connect(&site);
    http_kit_send(fd, HEAD("GET", "/rows?live=true") NDJSON "\r\n");
    for (int n = 0; n < 20000; n++) {
        site_tide++;
        http_wake(site.http);
    }
    char *text = http_kit_read(fd, "{\"n\":19999,", HTTP_KIT_MS);
    cr_expect(strstr(text, "{\"n\":19999,") != NULL);
    free(text);
    (void)close(fd);
}

Test(http_stream, a_quiet_stream_shows_its_head_and_signs_of_life)
{
    site_tide = 0;
    site.config.heartbeat = 3600; /* the head does not wait for one */
    int fd = http_kit_connect(&site);
    http_kit_send(fd, HEAD("GET", "/rows?live=true") NDJSON "\r\n");
    char *text = http_kit_read(fd, "\r\n\r\n", HTTP_KIT_MS);
    cr_expect_eq(http_kit_status(text), 200, "%s", text);
    free(text);
    site.config.heartbeat = 1;
    /* the one that came with the head, and another */
    text = http_kit_read(fd, "1\r\n\n\r\n1\r\n\n\r\n", HTTP_KIT_MS);
    cr_expect(strstr(text, "1\r\n\n\r\n1\r\n\n\r\n") != NULL);
    free(text);
    (void)close(fd);
}

Test(http_stream, a_client_that_vanished_gives_its_place_back)
{
    site_tide = 0;
    for (int i = 0; i < 8; i++) {
        int fd = http_kit_connect(&site);
        http_kit_send(fd, HEAD("GET", "/rows?live=true") NDJSON "\r\n");
        char *text = http_kit_read(fd, "\r\n\r\n", HTTP_KIT_MS);
        cr_assert_eq(http_kit_status(text), 200);
        free(text);
        if (i < 7) continue;
        site_expect_status(HEAD("GET", "/rows?live=true") NDJSON CLOSE, 503);
        (void)close(fd);
    }
    int status = 503;
    for (int i = 0; i < 300 && status == 503; i++) {
        usleep(100000);
        int fd = http_kit_connect(&site);
        http_kit_send(fd, HEAD("GET", "/rows?live=true") NDJSON "\r\n");
        char *text = http_kit_read(fd, "\r\n\r\n", HTTP_KIT_MS);
        status = http_kit_status(text);
        free(text);
        (void)close(fd);
    }
    cr_expect_eq(status, 200);
}
