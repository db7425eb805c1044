/* Requests, waits that end before and after their handler, queries and rows that take long, live streams, clients that vanish, wakes and stops, all at
 * once: to be run under ThreadSanitizer.
 *
 *     stress_http [SECONDS]        SLUICE_TEST_SEED repeats the choices of a run, as far as threads allow */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/patience.h"
#include "server/rows.h"
#include "tests/support/http_kit.h"
#include "tests/support/scratch.h"

#define CLIENTS 8

static struct http_kit kit;
static atomic_bool stop;
static _Atomic int64_t tide;
static _Atomic uint64_t answered, streamed, cut;
static uint64_t seed;

static void expect(bool ok, const char *what, const char *text)
{
    if (ok) return;
    (void)fprintf(stderr, "stress_http: %s (SLUICE_TEST_SEED=%llu): %s\n", what, (unsigned long long)seed, text);
    abort();
}

/* ---- routes ---- */

struct waiter {
    pthread_t thread;
    struct api_request *req;
};

static void *waiter_run(void *cls)
{
    struct waiter *waiter = cls;
    if (waiter->req->path_params[0].value.data[0] == 'l') (void)usleep(2000);
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
    if (req->state != NULL && patience_limited() && req->path_params[0].value.data[1] == 'o')
        return api_problem_err(reply, err_set(ERR_SLOW, "not here"));
    if (req->state != NULL) {
        buf_puts(&reply->body, "\"waited\"");
        return API_DONE;
    }
    struct waiter *waiter = malloc(sizeof *waiter);
    expect(waiter != NULL, "memory", "none");
    waiter->req = req;
    req->state = waiter;
    req->state_free = waiter_free;
    expect(pthread_create(&waiter->thread, NULL, waiter_run, waiter) == 0, "thread", "none");
    return API_WAIT;
}

struct tide_rows {
    struct rows rows;
    int64_t at;
};

static int tide_next(struct rows *rows, struct buf *out)
{
    struct tide_rows *self = (struct tide_rows *)rows;
    if (self->at >= tide) return 0;
    if (self->at % 7 == 0 && patience_limited()) return err_set(ERR_SLOW, "not here");
    buf_printf(out, "{\"n\":%lld}", (long long)self->at);
    rows->cursor = self->at++;
    return 1;
}

static int tide_page(struct rows *rows, struct buf *out)
{
    (void)rows;
    (void)out;
    return OK;
}

static void tide_free(struct rows *rows)
{
    free(rows);
}

static const struct rows_ops tide_ops = { .next = tide_next, .next_page = tide_page, .free = tide_free };

static int handle_rows(struct api_request *req, struct api_reply *reply)
{
    struct tide_rows *self = malloc(sizeof *self);
    expect(self != NULL, "memory", "none");
    *self = (struct tide_rows){ .at = tide };
    self->rows =
        (struct rows){ .ops = &tide_ops, .server = req->server, .limit = -1, .live = true, .cursor = SEQ_EMPTY };
    return api_reply_rows(req, reply, &self->rows);
}

static const struct api_route routes[] = {
    { API_GET, "/wait/{how}", handle_wait, "wait", API_SCOPE_READ, false },
    { API_GET, "/rows", handle_rows, "rows", API_SCOPE_READ, false },
    { 0 },
};

/* ---- clients ---- */

#define HOST " HTTP/1.1\r\nHost: localhost\r\n"

static void client_waits(struct dice *dice)
{
    int fd = http_kit_connect(&kit);
    for (uint64_t i = dice_roll(dice, 10); i > 0 && !stop; i--) {
        http_kit_send(fd, dice_roll(dice, 2) == 0 ? "GET /wait/late" HOST "\r\n" : "GET /wait/soon" HOST "\r\n");
        if (dice_roll(dice, 10) == 0) break; /* vanishes */
        char *answer = http_kit_read(fd, "\"waited\"", HTTP_KIT_MS);
        expect(stop || http_kit_status(answer) == 200, "a wait was not answered", answer);
        free(answer);
        answered++;
    }
    (void)close(fd);
}

/* Every row from where the stream began, none twice, none left out. */
static void client_streams(struct dice *dice)
{
    int fd = http_kit_connect(&kit);
    http_kit_send(fd, "GET /rows" HOST "Accept: application/x-ndjson\r\n\r\n");
    char *text = http_kit_read(fd, NULL, (int)(20 + dice_roll(dice, 200)));
    if (http_kit_status(text) == 503) cut++;
    int64_t last = -1;
    for (const char *at = text; (at = strstr(at, "{\"n\":")) != NULL; at += 5) {
        int64_t n = strtoll(at + 5, NULL, 10);
        if (strchr(at, '}') == NULL) break;
        expect(last < 0 || n == last + 1, "rows are not one after the other", text);
        last = n;
        streamed++;
    }
    free(text);
    (void)close(fd);
}

static void *client_run(void *cls)
{
    struct dice dice = { .state = seed * 3 + (uint64_t)(uintptr_t)cls, .seed = seed };
    while (!stop)
        dice_roll(&dice, 2) == 0 ? client_waits(&dice) : client_streams(&dice);
    return NULL;
}

static void *wake_run(void *cls)
{
    (void)cls;
    while (!stop) {
        tide++;
        http_wake(kit.http);
        (void)usleep(300);
    }
    return NULL;
}

static void round_run(unsigned ms)
{
    pthread_t clients[CLIENTS], waker;
    stop = false;
    http_kit_config(&kit);
    http_kit_start(&kit, routes);
    for (size_t i = 0; i < CLIENTS; i++)
        expect(pthread_create(&clients[i], NULL, client_run, (void *)(uintptr_t)(i + 1)) == 0, "thread", "none");
    expect(pthread_create(&waker, NULL, wake_run, NULL) == 0, "thread", "none");
    (void)usleep(ms * 1000);
    stop = true;
    (void)pthread_join(waker, NULL);
    bool early = ms % 2 == 0; /* stop with clients at work, or after them */
    for (size_t i = 0; !early && i < CLIENTS; i++)
        (void)pthread_join(clients[i], NULL);
    listen_stop(kit.listener);
    http_stop(kit.http, HTTP_KIT_MS);
    for (size_t i = 0; early && i < CLIENTS; i++)
        (void)pthread_join(clients[i], NULL);
    expect(kit.server.metrics.connections == 0, "connections are left in the count", "");
    expect(kit.server.metrics.http_streams == 0, "streams are left in the count", "");
    listen_free(kit.listener);
    access_free(kit.access);
}

int main(int argc, char **argv)
{
    struct dice dice = dice_make();
    seed = dice.seed;
    int64_t until = flume_now_ms() + 1000 * (argc > 1 ? strtol(argv[1], NULL, 10) : 10);
    unsigned rounds = 0;
    while (flume_now_ms() < until) {
        round_run((unsigned)(200 + dice_roll(&dice, 800)));
        rounds++;
    }
    printf("stress_http: %u rounds, %llu waits, %llu rows, %llu refused\n", rounds, (unsigned long long)answered,
           (unsigned long long)streamed, (unsigned long long)cut);
    return answered > 0 && streamed > 0 ? 0 : 1;
}
