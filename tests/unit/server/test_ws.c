#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "server/limits.h"
#include "server/ws.h"
#include "tests/support/api_kit.h"

/* The server's end of a socket pair is adopted as an accepted connection is; the client's end is spoken to by hand. */

#define WAIT_MS 30000

static struct api_kit kit;
static struct ws *ws;

static void open_any(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    api_kit_open(&kit, true);
    cr_assert_eq(ws_start(&kit.server, &ws), OK);
}

static void shut(void)
{
    ws_stop(ws, 2000);
    cr_expect_eq(kit.server.metrics.ws_clients, 0);
    cr_expect_eq(kit.server.metrics.ws_subscriptions, 0);
    api_kit_close(&kit);
}

TestSuite(ws, .init = open_any, .fini = shut, .timeout = 300);

static void append(const char *value)
{
    (void)api_kit_post(&kit, value);
    ws_wake(ws);
}

/* ---- a client ---- */

static void take(int fd, void *data, size_t len)
{
    char *at = data;
    while (len > 0) {
        struct pollfd waiting = { .fd = fd, .events = POLLIN };
        cr_assert_eq(poll(&waiting, 1, WAIT_MS), 1, "nothing came");
        ssize_t got = recv(fd, at, len, 0);
        cr_assert_gt(got, 0, "the connection ended");
        at += got;
        len -= (size_t)got;
    }
}

static int dial(const char *target, int *ret_adopted)
{
    int pair[2];
    char head[1024];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    int len = snprintf(head, sizeof head,
                       "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Extensions: permessage-deflate\r\nCookie: a=b\r\n\r\n",
                       target);
    cr_assert_eq(send(pair[1], head, (size_t)len, 0), len);
    *ret_adopted = ws_adopt(ws, pair[0], &(struct access_grant){ .public_only = false });
    return pair[1];
}

/* Reads up to the empty line. */
static void read_head(int fd, char head[1024])
{
    size_t len = 0;
    do
        take(fd, head + len++, 1);
    while (len < 1023 && (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0));
    head[len] = '\0';
}

static int connect_to(const char *target)
{
    char head[1024];
    int adopted, fd = dial(target, &adopted);
    cr_assert_eq(adopted, OK, "%s", err_detail(adopted));
    read_head(fd, head);
    cr_assert_eq(strncmp(head, "HTTP/1.1 101", 12), 0, "%s", head);
    cr_assert_not_null(strstr(head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "%s", head);
    cr_assert_null(strcasestr(head, "permessage-deflate"), "%s", head);
    return fd;
}

/* One frame: its opcode; the payload is terminated. */
static int read_frame(int fd, char *payload, size_t max)
{
    unsigned char head[2], more[8] = { 0 };
    take(fd, head, 2);
    size_t len = head[1] & 0x7f, bytes = len == 126 ? 2 : len == 127 ? 8 : 0;
    take(fd, more, bytes);
    if (bytes > 0) len = 0;
    for (size_t i = 0; i < bytes; i++)
        len = len << 8 | more[i];
    cr_assert_lt(len, max);
    take(fd, payload, len);
    payload[len] = '\0';
    return head[0] & 0x0f;
}

static void frame(int fd, const char *expected)
{
    char text[8192];
    cr_assert_eq(read_frame(fd, text, sizeof text), 1);
    cr_assert_str_eq(text, expected, "%s instead of %s", text, expected);
}

static void frame_with(int fd, const char *part)
{
    char text[8192];
    cr_assert_eq(read_frame(fd, text, sizeof text), 1);
    cr_assert_not_null(strstr(text, part), "%s without %s", text, part);
}

static void closed_with(int fd, int status)
{
    char text[8192];
    cr_assert_eq(read_frame(fd, text, sizeof text), 8);
    cr_assert_eq((unsigned char)text[0] << 8 | (unsigned char)text[1], status);
}

/* `opcode` with the final bit 0x80; the mask is zeros. */
static void say_raw(int fd, int opcode, const char *text, size_t len)
{
    unsigned char head[14] = { (unsigned char)opcode, 0x80 | 127 };
    for (size_t i = 0; i < 8; i++)
        head[2 + i] = (unsigned char)((uint64_t)len >> (56 - 8 * i));
    size_t head_len = 14;
    if (len < 126) {
        head[1] = (unsigned char)(0x80 | len);
        memset(head + 2, 0, 4);
        head_len = 6;
    } else if (len < 65536) {
        head[1] = 0x80 | 126;
        head[2] = (unsigned char)(len >> 8);
        head[3] = (unsigned char)len;
        memset(head + 4, 0, 4);
        head_len = 8;
    }
    cr_assert_eq(send(fd, head, head_len, 0), (ssize_t)head_len);
    cr_assert_eq(send(fd, text, len, 0), (ssize_t)len);
}

static void say(int fd, const char *text)
{
    say_raw(fd, 0x81, text, strlen(text));
}

/* ---- */

Test(ws, old_then_sync_then_new)
{
    append("1");
    int fd = connect_to("/live");
    frame(fd, "{\"seq\":0,\"value\":1}");
    frame(fd, "{\"sync\":true,\"since\":0}");
    append("2");
    frame(fd, "{\"seq\":17,\"value\":2}");
    (void)close(fd);
}

Test(ws, an_unescaped_id_in_the_target_is_understood)
{
    int fd = connect_to("/live?root=%hhhhhhhhhhhhhhhhhhhh+hhhhhhhhhhhh/hhhhhhhhg=.sha256&old=false");
    frame_with(fd, "\"sync\":true");
    (void)close(fd);
}

Test(ws, operations_in_pieces_are_put_together)
{
    static const char op[] = "{\"op\":\"sub\",\"id\":\"a\"}";
    int fd = connect_to("/live?subscribe=false");
    say_raw(fd, 0x01, op, 5);
    say_raw(fd, 0x00, op + 5, 5);
    say_raw(fd, 0x80, op + 10, strlen(op) - 10);
    frame(fd, "{\"id\":\"a\",\"sync\":true,\"since\":-1}");
    say(fd, "{\"op\":\"unsub\",\"id\":\"a\"}");
    frame(fd, "{\"id\":\"a\",\"closed\":true}");
    (void)close(fd);
}

Test(ws, a_long_operation_is_one_operation)
{
    char op[4000];
    int fd = connect_to("/live?subscribe=false");
    int len = snprintf(op, sizeof op, "{\"op\":\"sub\",\"id\":\"a\"%*s}", 3900, "");
    say_raw(fd, 0x81, op, (size_t)len);
    frame(fd, "{\"id\":\"a\",\"sync\":true,\"since\":-1}");
    (void)close(fd);
}

Test(ws, a_bad_target_is_told_and_closed)
{
    int fd = connect_to("/live?gt=x");
    frame_with(fd, "{\"error\":{\"type\":\"/problems/bad-parameter\"");
    closed_with(fd, 1008);
    (void)close(fd);
}

Test(ws, too_large_and_binary_messages_close)
{
    static char large[5000];
    int fd = connect_to("/live?subscribe=false");
    memset(large, 'x', sizeof large);
    say_raw(fd, 0x81, large, sizeof large);
    closed_with(fd, 1009);
    (void)close(fd);
    fd = connect_to("/live?subscribe=false");
    say_raw(fd, 0x82, "x", 1);
    closed_with(fd, 1003);
    (void)close(fd);
}

Test(ws, a_ping_is_answered)
{
    char text[200];
    int fd = connect_to("/live?subscribe=false");
    say_raw(fd, 0x89, "hi", 2);
    cr_assert_eq(read_frame(fd, text, sizeof text), 10);
    cr_assert_str_eq(text, "hi");
    (void)close(fd);
}

Test(ws, there_is_a_most_of_clients)
{
    int fds[17];
    char head[1024];
    for (int i = 0; i < 16; i++)
        fds[i] = connect_to("/live?subscribe=false");
    int adopted;
    fds[16] = dial("/live", &adopted);
    cr_assert_eq(adopted, ERR_QUEUE);
    read_head(fds[16], head);
    cr_assert_eq(strncmp(head, "HTTP/1.1 503", 12), 0, "%s", head);
    for (int i = 0; i < 17; i++)
        (void)close(fds[i]);
    /* their places are free again when the server has seen them go */
    for (int tries = 0; tries < 3000 && kit.server.metrics.ws_clients > 0; tries++)
        (void)usleep(10000);
    (void)close(connect_to("/live"));
}

Test(ws, a_client_that_does_not_read_holds_nobody_up)
{
    char value[2100];
    memset(value, 'x', sizeof value);
    value[0] = value[2098] = '"';
    value[2099] = '\0';
    int stuck = connect_to("/live"), other = connect_to("/live");
    frame(other, "{\"sync\":true,\"since\":-1}");
    for (int i = 0; i < 400; i++) {
        append(value);
        if (i % 40 == 0)
            for (int k = 0; k < (i == 0 ? 1 : 40); k++)
                frame_with(other, "xxxx");
    }
    (void)close(stuck);
    (void)close(other);
}

/* By the time that another client was given all there is. */
Test(ws, little_is_made_ahead_for_a_client_that_does_not_read)
{
    enum { RECORDS = 1500, LENGTH = 2100, KERNEL = 2 * (256 << 10) /* it doubles what is asked for */ };
    struct buf body;
    struct api_told told;
    buf_init(&body, (size_t)16 << 20);
    for (int i = 0; i < RECORDS; i++)
        (void)buf_printf(&body, "\"%0*d\"\n", LENGTH, i);
    (void)buf_putc(&body, '\0');
    cr_assert_eq(body.err, OK);
    kit.config.batch_max = RECORDS;
    const struct api_ask ask = {
        .method = API_POST, .target = "/log", .content_type = "application/x-ndjson", .body = body.data
    };
    api_kit_ask(&kit, &ask, &told);
    cr_assert_eq(told.status, 201, "%s", told.body);
    api_told_free(&told);
    buf_free(&body);
    int stuck = connect_to("/live"), other = connect_to("/live");
    for (int i = 0; i < RECORDS; i++)
        frame_with(other, "\"value\":\"0000");
    frame_with(other, "\"sync\":true");
    int64_t frames = kit.server.metrics.ws_frames - RECORDS - 1, most = LIMIT_FRAMES_AHEAD + KERNEL;
    cr_expect_leq(frames, most / LENGTH + 1, "%lld frames, %lld bytes", (long long)frames, (long long)frames * LENGTH);
    (void)close(stuck);
    (void)close(other);
}

Test(ws, much_log_comes_whole_and_in_order)
{
    char text[64], expected[64];
    for (int i = 0; i < 10; i++) {
        char body[1024] = "";
        for (int k = 0; k < 100; k++) {
            (void)snprintf(text, sizeof text, "%d\n", 1000 + i * 100 + k);
            strcat(body, text);
        }
        struct api_told told;
        api_kit_ask(&kit,
                    &(struct api_ask){
                        .method = API_POST, .target = "/log", .content_type = "application/x-ndjson", .body = body },
                    &told);
        cr_assert_eq(told.status, 201, "%s", told.body);
        api_told_free(&told);
    }
    int fd = connect_to("/live");
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(expected, sizeof expected, "\"value\":%d}", 1000 + i);
        frame_with(fd, expected);
    }
    frame_with(fd, "\"sync\":true");
    (void)close(fd);
}

/* Frames that were made for one client serve those that stand where it stood; nobody may get them twice, or what is not his. */
Test(ws, many_clients_get_what_each_asked_for)
{
    enum { ALIKE = 4, RECORDS = 300 };
    char text[64], value[16];
    int alike[ALIKE];
    append("1000");
    for (int i = 0; i < ALIKE; i++)
        alike[i] = connect_to("/live?old=false");
    int few = connect_to("/live?gt=0&limit=100"), named = connect_to("/live?subscribe=false");
    say(named, "{\"op\":\"sub\",\"id\":\"n\",\"gt\":0}");
    for (int i = 0; i < ALIKE; i++)
        frame(alike[i], "{\"sync\":true,\"since\":0}");
    frame(few, "{\"sync\":true,\"since\":0}");
    frame(named, "{\"id\":\"n\",\"sync\":true,\"since\":0}");
    for (int i = 1; i <= RECORDS; i++) {
        (void)snprintf(value, sizeof value, "%d", 1000 + i);
        append(value);
        if (i == RECORDS / 2) say(alike[0], "{\"op\":\"unsub\",\"id\":\"nobody\"}");
    }
    int late = connect_to("/live");
    for (int i = 0; i <= RECORDS; i++) {
        (void)snprintf(text, sizeof text, "{\"seq\":%d,\"value\":%d}", 20 * i, 1000 + i);
        frame(late, text);
    }
    frame_with(late, "\"sync\":true");
    for (int i = 1, errors = 0; i <= RECORDS; i++) {
        char got[1024];
        (void)snprintf(text, sizeof text, "{\"seq\":%d,\"value\":%d}", 20 * i, 1000 + i);
        for (int k = 1; k < ALIKE; k++)
            frame(alike[k], text);
        for (bool again = true; again;) {
            cr_assert_eq(read_frame(alike[0], got, sizeof got), 1);
            again = strstr(got, "\"error\"") != NULL;
            errors += again;
            cr_assert(again ? errors == 1 : strcmp(got, text) == 0, "%s instead of %s", got, text);
        }
        if (i <= 100) frame(few, text);
    }
    frame_with(few, "\"closed\":true");
    for (int i = 1; i <= RECORDS; i++) {
        (void)snprintf(text, sizeof text, "{\"id\":\"n\",\"seq\":%d,\"value\":%d}", 20 * i, 1000 + i);
        frame(named, text);
    }
    for (int i = 0; i < ALIKE; i++)
        (void)close(alike[i]);
    (void)close(few);
    (void)close(named);
    (void)close(late);
}

/* More than are looked at together when something is new, and one in the middle that is behind. */
Test(ws, each_of_many_clients_gets_all_that_is_new)
{
    enum { CLIENTS = 40, BEHIND = 20, RECORDS = 300, STEP = 50, LENGTH = 2100 };
    int fds[CLIENTS];
    char value[LENGTH + 3], part[32];
    kit.config.sockets_max = CLIENTS;
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = connect_to("/live?old=false");
    for (int i = 0; i < CLIENTS; i++)
        frame_with(fds[i], "\"sync\":true");
    for (int done = 0; done < RECORDS; done += STEP) {
        for (int k = 1; k <= STEP; k++) {
            (void)snprintf(value, sizeof value, "\"%0*d\"", LENGTH, done + k);
            append(value);
        }
        for (int i = 0; i < CLIENTS; i++) {
            for (int k = 1; k <= STEP && i != BEHIND; k++) {
                (void)snprintf(part, sizeof part, "0000%d\"", done + k);
                frame_with(fds[i], part);
            }
        }
    }
    for (int k = 1; k <= RECORDS; k++) {
        (void)snprintf(part, sizeof part, "0000%d\"", k);
        frame_with(fds[BEHIND], part);
    }
    for (int i = 0; i < CLIENTS; i++)
        (void)close(fds[i]);
}

Test(ws, a_stop_says_going_away)
{
    int fd = connect_to("/live");
    frame(fd, "{\"sync\":true,\"since\":-1}");
    struct timespec before, after;
    (void)clock_gettime(CLOCK_MONOTONIC, &before);
    ws_stop(ws, 500);
    (void)clock_gettime(CLOCK_MONOTONIC, &after);
    closed_with(fd, 1001);
    cr_assert_lt(after.tv_sec - before.tv_sec, 3);
    (void)close(fd);
    cr_assert_eq(ws_start(&kit.server, &ws), OK);
}

Test(ws, what_is_no_handshake_is_refused)
{
    int pair[2];
    char head[1024];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    cr_assert_eq(send(pair[1], "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
    cr_assert_lt(ws_adopt(ws, pair[0], &(struct access_grant){ .public_only = false }), 0);
    read_head(pair[1], head);
    cr_assert_eq(strncmp(head, "HTTP/1.1 400", 12), 0, "%s", head);
    (void)close(pair[1]);
}

Test(ws, clients_that_leave_early_leave_nothing)
{
    for (int i = 0; i < 50; i++) {
        int adopted, fd = dial("/live", &adopted);
        (void)close(fd);
    }
    int fd = -1;
    for (int tries = 0, adopted = ERR_QUEUE; tries < 3000 && adopted != OK; tries++) {
        if (fd >= 0) (void)close(fd);
        (void)usleep(10000);
        fd = dial("/live", &adopted);
    }
    char head[1024];
    read_head(fd, head);
    cr_assert_eq(strncmp(head, "HTTP/1.1 101", 12), 0, "%s", head);
    (void)close(fd);
}
