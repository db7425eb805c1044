/* Who begins with a large body is read by threads of its own. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/body_rooms.h"
#include "tests/support/http_kit.h"

#define CONNECTIONS 8

static struct http_kit kit;

/* The thread that answers, and how long the body was. */
static int handle_thread(struct api_request *req, struct api_reply *reply)
{
    (void)buf_printf(&reply->body, "{\"thread\":%d,\"bytes\":%zu}", (int)gettid(), req->body.len);
    return API_DONE;
}

static const struct api_route routes[] = {
    { API_GET, "/thread", handle_thread, "thread", API_SCOPE_READ, false },
    { API_POST, "/thread", handle_thread, "threadOfBody", API_SCOPE_APPEND, false },
    { 0 },
};

static void start(void)
{
    http_kit_config(&kit);
    kit.config.body_max = 1 << 20;
    http_kit_start(&kit, routes);
}

static void stop(void)
{
    http_kit_stop(&kit);
}

TestSuite(http_bulk, .init = start, .fini = stop, .timeout = 300);

static int thread_of_answer(int fd, size_t bytes)
{
    int thread = 0;
    size_t got = 0;
    char *answer = http_kit_read(fd, "}", HTTP_KIT_MS);
    cr_assert_eq(http_kit_status(answer), 200, "%s", answer);
    cr_assert_eq(sscanf(http_kit_body(answer), "{\"thread\":%d,\"bytes\":%zu}", &thread, &got), 2, "%s", answer);
    cr_assert_eq(got, bytes);
    free(answer);
    return thread;
}

/* POSTs so many bytes; the thread that answers. */
static int thread_of_body(int fd, size_t bytes, bool chunked)
{
    char *request = calloc(1, bytes + 400), field[64], size[32];
    (void)snprintf(field, sizeof field, chunked ? "Transfer-Encoding: chunked" : "Content-Length: %zu", bytes);
    (void)snprintf(size, sizeof size, "%zx\r\n", bytes);
    size_t len = (size_t)sprintf(request, "POST /thread HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n%s", field,
                                 chunked ? size : "");
    memset(request + len, 'x', bytes);
    if (chunked) strcpy(request + len + bytes, "\r\n0\r\n\r\n");
    http_kit_send(fd, request);
    free(request);
    return thread_of_answer(fd, bytes);
}

static int thread_of_question(int fd)
{
    http_kit_send(fd, "GET /thread HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return thread_of_answer(fd, 0);
}

static bool among(int thread, const int *threads)
{
    for (size_t i = 0; i < CONNECTIONS; i++)
        if (threads[i] == thread) return true;
    return false;
}

Test(http_bulk, large_bodies_are_read_by_threads_that_answer_nothing_else)
{
    int usual[CONNECTIONS], fds[3 * CONNECTIONS];
    for (size_t i = 0; i < CONNECTIONS; i++) {
        fds[i] = http_kit_connect(&kit);
        usual[i] = i % 2 == 0 ? thread_of_question(fds[i]) : thread_of_body(fds[i], BODY_ROOM_FROM, false);
    }
    for (size_t i = CONNECTIONS; i < 3 * CONNECTIONS; i++) {
        fds[i] = http_kit_connect(&kit);
        int thread = i % 2 == 0 ? thread_of_body(fds[i], BODY_ROOM_FROM + 1, false) : thread_of_body(fds[i], 10, true);
        cr_expect(!among(thread, usual));
        cr_expect_eq(thread_of_question(fds[i]), thread);
        cr_expect_eq(thread_of_body(fds[i], (size_t)300 << 10, i % 2 == 0), thread);
    }
    for (size_t i = 0; i < 3 * CONNECTIONS; i++)
        (void)close(fds[i]);
}

Test(http_bulk, a_large_body_arrives_whole_on_any_connection)
{
    int fd = http_kit_connect(&kit);
    int thread = thread_of_question(fd);
    cr_expect_eq(thread_of_body(fd, (size_t)1 << 20, false), thread);
    cr_expect_eq(thread_of_body(fd, (size_t)1 << 20, true), thread);
    (void)close(fd);
}
