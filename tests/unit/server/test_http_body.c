/* Bodies: taken whole, too large, late, without an end, of a length that can be read in two ways. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/flume_kit.h"
#include "tests/unit/server/site.h"

TestSuite(http_body, .init = site_start, .fini = site_stop, .timeout = 300);

Test(http_body, a_body_reaches_the_handler_whole)
{
    site_expect_part(HEAD("POST", "/echo") "Content-Type: application/json\r\nContent-Length: 4\r\n" CLOSE "null",
                     "[4]null");
    site_expect_part(HEAD("POST", "/echo") "Transfer-Encoding: chunked\r\n" CLOSE "2\r\nnu\r\n2\r\nll\r\n0\r\n\r\n",
                     "[4]null");
    site_expect_part(HEAD("POST", "/echo") "Content-Length: 0\r\n" CLOSE, "[0]");
}

Test(http_body, a_foreign_content_type_is_415)
{
    site_expect_status(HEAD("POST", "/echo") "Content-Type: text/plain\r\nContent-Length: 4\r\n" CLOSE "null", 415);
    site_expect_status(
        HEAD("POST", "/echo") "Content-Type: application/x-ndjson; charset=utf-8\r\nContent-Length: 4\r\n" CLOSE "null",
        200);
}

Test(http_body, a_large_body_is_413_by_length_and_by_bytes)
{
    site_expect_status(HEAD("POST", "/echo") "Content-Length: 99999999\r\n" CLOSE, 413);
    size_t size = 100000;
    char *request = malloc(size + 300);
    int len = sprintf(request, HEAD("POST", "/echo") "Transfer-Encoding: chunked\r\n" CLOSE "%zx\r\n", size);
    memset(request + len, 'a', size);
    strcpy(request + len + size, "\r\n0\r\n\r\n");
    site_expect_status(request, 413);
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
    http_kit_config(&site);
    site.config.idle_timeout = 1;
    http_kit_start(&site, site_routes);
    int stopped = http_kit_connect(&site), chunked = http_kit_connect(&site), refused = http_kit_connect(&site);
    int dripping = http_kit_connect(&site);
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
    cr_expect(kit_until(site_nobody_is_connected, NULL), "told, and not closed");
    site_stop();
}

/* What is behind on a connection that is used on is its own body. */
Test(http_limits, a_slow_body_is_answered_and_the_next_one_as_well)
{
    http_kit_config(&site);
    site.config.idle_timeout = 5;
    http_kit_start(&site, site_routes);
    int fd = http_kit_connect(&site);
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
    site_stop();
}

Test(http_limits, a_body_without_an_end_is_told_so)
{
    http_kit_config(&site);
    http_kit_start(&site, site_routes);
    int fd = http_kit_connect(&site);
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
    cr_expect(kit_until(site_nobody_is_connected, NULL), "told, and not closed");
    site_stop();
}

Test(http_body, ambiguous_framing_is_400)
{
    site_expect_status(HEAD("POST", "/echo") "Content-Length: 4\r\nContent-Length: 5\r\n\r\nnull", 400);
    site_expect_status(HEAD("POST", "/echo") "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
    site_expect_status(HEAD("POST", "/echo") "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 400);
    site_expect_status("GET /hello HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400);
    site_expect_status("GET /hello HTTP/1.1\r\n\r\n", 400);
}
