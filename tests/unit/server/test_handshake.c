/* Heads of requests before a library has them: what two parsers could read differently is refused. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/handshake.h"

static bool live(const char *head)
{
    struct handshake handshake;
    /* a copy without a terminator, so that a look past its end shows */
    size_t len = strlen(head);
    char *copy = malloc(len + (len == 0));
    memcpy(copy, head, len);
    bool is_live =
        handshake_end(copy, len) == len && handshake_parse(copy, len, &handshake) && handshake_live(&handshake);
    free(copy);
    return is_live;
}

#define SOCKET "Sec-WebSocket-Version: 13\r\n\r\n"

Test(handshake, only_a_plain_handshake_for_live_is_one)
{
    cr_expect(live("GET /live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" SOCKET));
    cr_expect(live("GET /live?gt=1 HTTP/1.1\r\nhost:a\r\nupgrade: h2c, WebSocket\r\nconnection: keep-alive, "
                   "upgrade\r\nX: y\r\n" SOCKET));
    cr_expect(!live("GET /live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n" SOCKET));
    cr_expect(!live("GET /live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n" SOCKET));
    cr_expect(!live("GET /live HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" SOCKET));
    cr_expect(!live("GET /lively HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" SOCKET));
    cr_expect(!live("POST /live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" SOCKET));
    cr_expect(!live("GET /live HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" SOCKET));
    cr_expect(!live("GET /live x HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" SOCKET));
}

Test(handshake, what_two_parsers_could_read_differently_is_none)
{
#define REST "Upgrade: websocket\r\nConnection: Upgrade\r\n" SOCKET
    cr_expect(!live("GET /live HTTP/1.1\r\nHost: a\r\nHost: b\r\n" REST));
    cr_expect(!live("GET /live HTTP/1.1\r\nHost: a\r\nOrigin: b\r\norigin: c\r\n" REST));
    cr_expect(!live("GET /live HTTP/1.1\r\nHost: a\r\n folded\r\n" REST));
    cr_expect(!live("GET /live HTTP/1.1\r\nHost : a\r\n" REST));
    cr_expect(!live("GET /live HTTP/1.1\r\nHost: a\r\nno colon\r\n" REST));
    cr_expect(!live("GET /live HTTP/1.1\r\nHost: a\r\nX: \x01\r\n" REST));
    cr_expect(!live("GET /live HTTP/1.1\r\nHost: a\r\nX: b\nOrigin: c\r\n" REST));
    cr_expect(!live("GET /live HTTP/1.1\r\nHost: a\r\n: b\r\n" REST));
    cr_expect(!live("\r\n\r\n"));
    cr_expect(!live(""));
#undef REST
}

/* "" = the head is good. */
static const char *fault(const char *head)
{
    struct handshake handshake;
    size_t len = strlen(head);
    char *copy = malloc(len + (len == 0));
    memcpy(copy, head, len);
    const struct handshake_fault *found = handshake_judge(copy, len, &handshake);
    free(copy);
    return found == NULL ? "" : found->problem;
}

static void expect_fault(const char *head, const char *problem)
{
    cr_expect_str_eq(fault(head), problem, "%s", head);
}

Test(handshake, a_head_that_everybody_reads_the_same_way_is_good)
{
    expect_fault("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "");
    expect_fault("GET / HTTP/1.0\r\n\r\n", "");
    expect_fault("POST / HTTP/1.9\r\nHost: [::1]:80\r\nContent-Length: 12\r\n\r\n", "");
    expect_fault("POST / HTTP/1.1\r\nHost:\r\nTransfer-Encoding: Chunked\r\nX: \xff\t\r\n\r\n", "");
    expect_fault("GET http://a/ HTTP/1.1\r\nHost: a\r\nX: a\r\nX: b\r\n\r\n", "");
}

Test(handshake, a_head_that_can_be_read_two_ways_is_refused)
{
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n X: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 \r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\t\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\n\r\n",
        "GET\r\n\r\n",
        "\r\n\r\n",
        "",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_fault(bad[i], "bad-request");
    expect_fault("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "wrong-version");
    expect_fault("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000000\r\n\r\n", "too-large");
}

Test(handshake, a_key_and_no_body_are_wanted_for_a_socket)
{
#define LIVE                                                                         \
    "GET /live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
    "Sec-WebSocket-Version: 13\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    static const char *const heads[] = {
        LIVE KEY "\r\n",
        LIVE KEY "Content-Length: 0\r\n\r\n",
        LIVE "\r\n",
        LIVE "Sec-WebSocket-Key:\r\n\r\n",
        LIVE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n\r\n",
        LIVE "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA\r\n\r\n",
        LIVE "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAA\r\n\r\n",
        LIVE "Sec-WebSocket-Key: \xAFGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        LIVE KEY "Content-Length: 1\r\n\r\n",
        LIVE KEY "Transfer-Encoding: chunked\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct handshake handshake;
        cr_assert_null(handshake_judge(heads[i], strlen(heads[i]), &handshake), "%s", heads[i]);
        cr_expect(handshake_live(&handshake));
        cr_expect_eq(handshake_live_judge(&handshake) == NULL, i < 2, "%s", heads[i]);
    }
    expect_fault(LIVE KEY KEY "\r\n", "bad-request");
#undef KEY
#undef LIVE
}

Test(handshake, fields_parameters_and_cookies_are_counted)
{
    char head[2000];
    size_t len = (size_t)sprintf(head, "GET /?a&b HTTP/1.1\r\nHost: a\r\nCookie: a=b; c=d\r\n");
    for (int i = 0; i < 96; i++) /* one parameter more, one cookie more, two fields */
        len += (size_t)sprintf(head + len, "X: y\r\n");
    strcpy(head + len, "\r\n");
    expect_fault(head, "");
    strcpy(head + len, "X: y\r\n\r\n");
    expect_fault(head, "headers-too-large");
}

Test(handshake, half_a_head_is_judged_as_far_as_it_goes)
{
    static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\nX: y\rz";
    const size_t len = sizeof head - 1;
    for (size_t i = 1; i < len; i++)
        cr_expect_null(handshake_glance(head, i, i - 1), "%zu", i);
    cr_expect_not_null(handshake_glance(head, len, len - 1), "a bare CR shows with the byte behind it");
    cr_expect_not_null(handshake_glance("GET /\r\n", 7, 0));
    cr_expect_null(handshake_glance("GET /\r", 6, 0));
    cr_expect_eq(handshake_start("\r\nGET", 5), 2);
    cr_expect_eq(handshake_start("\r", 1), 0);
}
