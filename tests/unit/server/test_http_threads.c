/* Several HTTP threads: one that has more connections than the others, one that does not come back. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/flume_kit.h"
#include "tests/support/http_kit.h"

#define ASK(target) "GET " target " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
#define CLIENTS 8
#define FILLED 64

static struct http_kit kit;
static atomic_bool held, released;

static bool is_set(void *ctx)
{
    return atomic_load((atomic_bool *)ctx);
}

/* Holds up the thread that it is called on. */
static int handle_hold(struct api_request *req, struct api_reply *reply)
{
    (void)req;
    atomic_store(&held, true);
    (void)kit_until(is_set, &released);
    buf_puts(&reply->body, "{\"held\":true}");
    return API_DONE;
}

static int handle_hello(struct api_request *req, struct api_reply *reply)
{
    (void)req;
    buf_puts(&reply->body, "{\"hello\":true}");
    return API_DONE;
}

static const struct api_route routes[] = {
    { API_GET, "/hold", handle_hold, "hold", API_SCOPE_READ, false },
    { API_GET, "/hello", handle_hello, "hello", API_SCOPE_READ, false },
    { 0 },
};

/* From here on each descriptor that is opened has the next number. */
static void numbers_fill(int filled[FILLED])
{
    for (int i = 0; i < FILLED; i++)
        cr_assert_geq(filled[i] = dup(STDERR_FILENO), 0);
}

static bool connected_are(void *ctx)
{
    return atomic_load(&kit.server.metrics.connections) == *(int64_t *)ctx;
}

/* The server's end has its number when this is over. */
static int ask(const char *text)
{
    int64_t then = atomic_load(&kit.server.metrics.connections) + 1;
    int fd = http_kit_connect(&kit);
    cr_assert(kit_until(connected_are, &then));
    http_kit_send(fd, text);
    return fd;
}

static void expect_answered(int fd)
{
    char *answer = http_kit_read(fd, NULL, HTTP_KIT_MS);
    cr_expect_eq(http_kit_status(answer), 200, "%s", answer);
    free(answer);
    (void)close(fd);
}

/* libmicrohttpd gives a connection to the thread that its number says, and counts it only there: a thread that found more than its share
 * waited for a lock of its own, and the whole server for that. */
Test(http_threads, one_thread_may_have_all_connections, .timeout = 300)
{
    int filled[FILLED], fds[CLIENTS];
    http_kit_config(&kit);
    kit.config.connections_max = CLIENTS + 1;
    http_kit_start(&kit, routes);
    numbers_fill(filled);
    /* a client's end has every other number, and ours those between: all of one thread */
    fds[0] = ask(ASK("/hold"));
    cr_assert(kit_until(is_set, &held));
    for (int i = 1; i < CLIENTS; i++)
        fds[i] = ask(ASK("/hello"));
    /* whoever came before this one, which is the other thread's, has been handed over */
    int between = dup(STDERR_FILENO);
    expect_answered(ask(ASK("/hello")));
    atomic_store(&released, true);
    for (int i = 0; i < CLIENTS; i++)
        expect_answered(fds[i]);
    (void)close(between);
    http_kit_stop(&kit);
    for (int i = 0; i < FILLED; i++)
        (void)close(filled[i]);
}

/* Whoever stopped the server closed the log that a handler still read. */
Test(http_threads, a_server_that_cannot_end_says_so, .timeout = 300)
{
    http_kit_config(&kit);
    http_kit_start(&kit, routes);
    int fd = ask(ASK("/hold"));
    cr_assert(kit_until(is_set, &held));
    listen_stop(kit.listener);
    cr_expect_not(http_stop(kit.http, 0), "a handler is at work");
    atomic_store(&released, true);
    expect_answered(fd);
}
