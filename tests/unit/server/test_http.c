/* Requests and answers over a socket. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/server/site.h"

TestSuite(http, .init = site_start, .fini = site_stop, .timeout = 300);

static void expect_once(const char *answer, const char *part)
{
    const char *at = strstr(answer, part);
    cr_expect(at != NULL && strstr(at + 1, part) == NULL, "%s is wanted once in:\n%s", part, answer);
}

Test(http, answers_of_one_length_have_fields_of_their_own)
{
    static const char *const names[] = { "aa", "bb", "bb", "xa", "aa", "xb", "xc", "cc", "za", "zb", "dd", "zc" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char request[200], field[32], body[32];
        (void)snprintf(request, sizeof request, "GET /fields/%s HTTP/1.1\r\nHost: localhost\r\n" CLOSE, names[i]);
        (void)snprintf(field, sizeof field, "ETag: %s\r\n", names[i] + (names[i][0] == 'z'));
        (void)snprintf(body, sizeof body, "\r\n\r\n{\"name\":\"%s\"}", names[i]);
        char *answer = http_kit_ask(&site, request);
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
    site_tide = 1000;
    char *answer = http_kit_ask(&site, HEAD("GET", "/rows?pad=700") "Accept: application/x-ndjson\r\n" CLOSE);
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
    char *answer = http_kit_ask(&site, HEAD("GET", "/hello") CLOSE);
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
    char *answer = http_kit_ask(&site, HEAD("HEAD", "/hello") CLOSE);
    cr_expect_eq(http_kit_status(answer), 200);
    cr_expect(strstr(answer, "Content-Length: 14\r\n") != NULL, "%s", answer);
    cr_expect_str_empty(http_kit_body(answer));
    free(answer);
}

Test(http, head_of_a_stream_has_no_body_either)
{
    site_tide = 3;
    char *answer = http_kit_ask(&site, HEAD("HEAD", "/rows") "Accept: application/x-ndjson\r\n\r\n");
    cr_expect_eq(http_kit_status(answer), 200);
    cr_expect_str_empty(http_kit_body(answer));
    free(answer);
}

Test(http, a_connection_serves_many_requests)
{
    int fd = http_kit_connect(&site);
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
    int fd = http_kit_connect(&site);
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
    site_expect_status(HEAD("GET", "/none") CLOSE, 404);
    site_expect_status(HEAD("GET", "/hello/") CLOSE, 404);
    site_expect_status(HEAD("GET", "//hello") CLOSE, 404);
    site_expect_status(HEAD("DELETE", "/hello") CLOSE, 405);
    site_expect_part(HEAD("DELETE", "/hello") CLOSE, "Allow: GET, HEAD, OPTIONS\r\n");
    site_expect_part(HEAD("GET", "/none") CLOSE, "Content-Type: application/problem+json\r\n");
    site_expect_part(HEAD("GET", "/none") CLOSE, "Cache-Control: no-store\r\n");
    site_expect_status(HEAD("GET", "/live") CLOSE, 426);
}

Test(http, an_encoded_slash_reaches_the_handler_decoded)
{
    site_expect_part(HEAD("GET", "/names/a%2Fb%2Bc+d") CLOSE, "\r\n\r\na/b+c+d");
    site_expect_status(HEAD("GET", "/names/a%2") CLOSE, 400);
    site_expect_status(HEAD("GET", "/names/a%00b") CLOSE, 400);
}

Test(http, a_pasted_id_reaches_the_handler_as_it_is)
{
    static const char id[] = "%/Ab+d"
                             "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256";
    char request[300], part[100];
    cr_assert_eq(ref_prefix(id, strlen(id)), strlen(id));
    snprintf(request, sizeof request, HEAD("GET", "/names/%s") CLOSE, id);
    snprintf(part, sizeof part, "\r\n\r\n%s", id);
    site_expect_part(request, part);
}

Test(http, an_absolute_target_is_cut_and_its_host_counts)
{
    site_expect_part(HEAD("GET", "http://localhost:1/hello") CLOSE, "{\"hello\":true}");
    site_expect_status(HEAD("GET", "http://evil.example/hello") CLOSE, 403);
    site_expect_status(HEAD("GET", "http://localhost") CLOSE, 404);
}

Test(http, a_target_over_the_limit_is_414)
{
    char request[9200] = "GET /";
    memset(request + 5, 'a', 8200);
    strcpy(request + 5 + 8200, " HTTP/1.1\r\nHost: localhost\r\n" CLOSE);
    site_expect_status(request, 414);
}

Test(http, what_never_ends_is_answered_and_ended)
{
    site.config.header_timeout = 1;
    int fd = http_kit_connect(&site);
    http_kit_send(fd, "GET /hello HT");
    char *answer = http_kit_read(fd, NULL, HTTP_KIT_MS);
    cr_expect_eq(http_kit_status(answer), 408, "%s", answer);
    free(answer);
    (void)close(fd);
}

Test(http, silence_and_tls_are_just_closed)
{
    site.config.header_timeout = 1;
    int silent = http_kit_connect(&site), tls = http_kit_connect(&site);
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

/* ---- access ---- */

Test(http, foreign_hosts_and_origins_are_refused)
{
    site_expect_status("GET /hello HTTP/1.1\r\nHost: evil.example\r\n" CLOSE, 403);
    site_expect_part("GET /hello HTTP/1.1\r\nHost: evil.example\r\n" CLOSE, "/problems/foreign-host");
    site_expect_status(HEAD("POST", "/echo") "Origin: http://evil.example\r\nContent-Length: 0\r\n" CLOSE, 403);
    site_expect_status(HEAD("POST", "/echo") "Origin: http://localhost\r\nContent-Length: 0\r\n" CLOSE, 200);
    site_expect_part(HEAD("GET", "/grant") CLOSE, "public_only=0 may_append=1 may_private=0 may_publish=0");
}

Test(http, a_refused_handshake_is_a_plain_answer)
{
    site_expect_part(
        HEAD("GET", "/live") "Upgrade: websocket\r\nOrigin: http://evil.example\r\nConnection: Upgrade, close\r\n\r\n",
        "/problems/foreign-origin");
}

Test(http, options_tells_what_is_allowed)
{
    site_expect_part(HEAD("OPTIONS", "/echo") CLOSE, "Allow: POST, OPTIONS\r\n");
    site_expect_status(HEAD("OPTIONS", "*") CLOSE, 204);
    char *answer = http_kit_ask(
        &site, HEAD("OPTIONS", "/echo") "Origin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n" CLOSE);
    cr_expect(strstr(answer, "Access-Control") == NULL, "%s", answer);
    free(answer);
}

Test(http_origins, pages_of_a_listed_origin_may_read)
{
    http_kit_config(&site);
    static char origin[] = "https://app.example";
    site.config.allow_origin[site.config.allow_origin_count++] = origin;
    http_kit_start(&site, site_routes);
    char *answer = http_kit_ask(
        &site, HEAD("OPTIONS", "/echo") "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n" CLOSE);
    cr_expect_eq(http_kit_status(answer), 204);
    cr_expect(strstr(answer, "Access-Control-Allow-Origin: https://app.example\r\n") != NULL, "%s", answer);
    cr_expect(strstr(answer, "Access-Control-Allow-Methods: POST, OPTIONS\r\n") != NULL, "%s", answer);
    cr_expect(strstr(answer, "Vary: Origin\r\n") != NULL, "%s", answer);
    free(answer);
    site_expect_part(HEAD("GET", "/hello") "Origin: https://app.example\r\n" CLOSE,
                     "Access-Control-Allow-Origin: https://app.example\r\n");
    answer = http_kit_ask(&site, HEAD("GET", "/hello") "Origin: https://other.example\r\n" CLOSE);
    cr_expect(strstr(answer, "Access-Control-Allow-Origin") == NULL);
    free(answer);
    site_stop();
}

/* ---- waits ---- */

Test(http, a_handler_that_waits_is_called_again)
{
    site_expect_part(HEAD("GET", "/wait/after") CLOSE, "\"waited\"");
    site_expect_part(HEAD("GET", "/wait/before") CLOSE, "\"waited\"");
}

Test(http, waits_on_many_connections_all_end)
{
    enum { CLIENTS = 40 };
    int fds[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = http_kit_connect(&site);
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
