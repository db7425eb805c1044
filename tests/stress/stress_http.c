/* Requests, waits that end before and after their handler, queries and rows that take long, answers in turns, bodies that are cut off, live streams, clients
 * that vanish, wakes and stops, all at once: to be run under ThreadSanitizer. Behind clients that have gone nothing is left in any count.
 *
 *     stress_http [SECONDS]        SLUICE_TEST_SEED repeats the choices of a run, as far as threads allow */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/http_internal.h"
#include "server/patience.h"
#include "server/rows.h"
#include "tests/support/flume_kit.h"
#include "tests/support/http_kit.h"
#include "tests/support/scratch.h"

#define CLIENTS 12
#define PLACES 3                       /* of an address, for queries that take long */
#define BODY_BYTES ((size_t)200 << 10) /* an answer that is given in turns */

static struct http_kit kit;
static atomic_bool stop;
static _Atomic int64_t tide;
static _Atomic uint64_t answered, streamed, cut, many, slow, refused, sent, turns;
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
        buf_puts(&reply->body, "{\"waited\":true}");
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

/* Takes longer than others can wait for it. */
static int handle_slow(struct api_request *req, struct api_reply *reply)
{
    (void)req;
    if (patience_limited()) return api_problem_err(reply, err_set(ERR_SLOW, "not here"));
    (void)usleep(500);
    buf_puts(&reply->body, "{\"slow\":true}");
    return API_DONE;
}

static int handle_many(struct api_request *req, struct api_reply *reply)
{
    (void)req;
    for (size_t i = 0; i < BODY_BYTES / 8; i++)
        (void)buf_puts(&reply->body, "01234567");
    return API_DONE;
}

static int handle_echo(struct api_request *req, struct api_reply *reply)
{
    (void)buf_append(&reply->body, req->body.data, req->body.len);
    return API_DONE;
}

static const struct api_route routes[] = {
    { API_GET, "/slow", handle_slow, "slow", API_SCOPE_READ, false },
    { API_GET, "/many", handle_many, "many", API_SCOPE_READ, false },
    { API_POST, "/echo", handle_echo, "echo", API_SCOPE_READ, false },
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
        char *answer = http_kit_read(fd, "}", HTTP_KIT_MS);
        int status = http_kit_status(answer);
        expect(stop || status == 200 || status == 429, "a wait was not answered", answer);
        free(answer);
        answered += status == 200;
        refused += status == 429;
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

/* Several at once on one connection; whoever goes may be in line, at work or at his turn. */
static void client_takes_much(struct dice *dice)
{
    int fd = http_kit_connect(&kit);
    uint64_t requests = 1 + dice_roll(dice, 3);
    for (uint64_t i = 0; i < requests; i++)
        http_kit_send(fd, "GET /many" HOST "\r\n");
    bool stays = dice_roll(dice, 3) != 0;
    char *text = http_kit_read(fd, NULL, (int)(stays ? 100 : dice_roll(dice, 5)));
    for (const char *at = text; (at = strstr(at, "HTTP/1.1 200")) != NULL; at++)
        many++;
    free(text);
    (void)close(fd);
}

static void client_is_slow(struct dice *dice)
{
    int fd = http_kit_connect(&kit);
    for (uint64_t i = dice_roll(dice, 5); i > 0 && !stop; i--) {
        http_kit_send(fd, "GET /slow" HOST "\r\n");
        if (dice_roll(dice, 4) == 0) break;
        char *answer = http_kit_read(fd, "}", 30);
        int status = http_kit_status(answer);
        slow += status == 200;
        refused += status == 429;
        bool known = status == 0 || status == 200 || status == 429 || status == 503;
        free(answer);
        expect(known, "a slow query was answered in an odd way", "");
        if (status != 200) break;
    }
    (void)close(fd);
}

/* A body in pieces, cut off now and then. */
static void client_sends(struct dice *dice)
{
    char piece[1001];
    int fd = http_kit_connect(&kit);
    memset(piece, 'x', sizeof piece - 1);
    piece[sizeof piece - 1] = '\0';
    http_kit_send(fd, "POST /echo" HOST "Content-Length: 40000\r\n\r\n");
    uint64_t pieces = dice_roll(dice, 2) == 0 ? 40 : dice_roll(dice, 40);
    for (uint64_t i = 0; i < pieces; i++)
        http_kit_send(fd, piece);
    if (dice_roll(dice, 2) == 0) (void)shutdown(fd, SHUT_WR);
    if (pieces == 40) {
        char *answer = http_kit_read(fd, "xxxx", HTTP_KIT_MS);
        expect(stop || http_kit_status(answer) == 200, "a body was not answered", answer);
        free(answer);
        sent++;
    }
    (void)close(fd);
}

static void *client_run(void *cls)
{
    static void (*const what[])(struct dice *) = { client_waits,      client_waits,   client_streams, client_takes_much,
                                                   client_takes_much, client_is_slow, client_sends };
    struct dice dice = { .state = seed * 3 + (uint64_t)(uintptr_t)cls, .seed = seed };
    while (!stop)
        what[dice_roll(&dice, sizeof what / sizeof *what)](&dice);
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

static bool nothing_is_left(void *ctx)
{
    struct http *http = ctx;
    tide++; /* a stream notices when it has something to give */
    http_wake(http);
    (void)pthread_mutex_lock(&http->lock);
    bool none = http->exchanges == 0 && http->waiting == 0 && http->streams == 0 && http->live.first == NULL &&
                http->parked.first == NULL && atomic_load(&http->held) == 0 && atomic_load(&http->flowing) == 0 &&
                atomic_load(&http->wide) == 0 && atomic_load(&http->handling) == 0;
    (void)pthread_mutex_unlock(&http->lock);
    return none && !jobs_busy(http->jobs) && atomic_load(&kit.server.metrics.connections) == 0;
}

/* The clients have gone. */
static void expect_nothing_left(void)
{
    char text[300] = "";
    bool none = kit_until(nothing_is_left, kit.http);
    if (!none)
        (void)snprintf(text, sizeof text,
                       "exchanges %zu, waiting %zu, streams %lld, held %lld, flowing %lld, wide %lld, connections %lld",
                       kit.http->exchanges, kit.http->waiting, (long long)kit.http->streams, (long long)kit.http->held,
                       (long long)kit.http->flowing, (long long)kit.http->wide,
                       (long long)kit.server.metrics.connections);
    expect(none, "something is left behind clients that have gone", text);
    char *answer = http_kit_ask(&kit, "GET /slow" HOST "Connection: close\r\n\r\n");
    expect(http_kit_status(answer) == 200, "places for queries were not given back", answer);
    free(answer);
}

static void round_run(unsigned ms)
{
    pthread_t clients[CLIENTS], waker;
    stop = false;
    http_kit_config(&kit);
    kit.config.queries_per_address = PLACES;
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
    if (!early) expect_nothing_left();
    listen_stop(kit.listener);
    expect(http_stop(kit.http, HTTP_KIT_MS), "something is at work for ever", "");
    for (size_t i = 0; early && i < CLIENTS; i++)
        (void)pthread_join(clients[i], NULL);
    expect(kit.server.metrics.connections == 0, "connections are left in the count", "");
    expect(kit.server.metrics.http_streams == 0, "streams are left in the count", "");
    turns += (uint64_t)kit.server.metrics.http_turns;
    listen_free(kit.listener);
    access_free(kit.access);
}

static bool all_happened(void)
{
    return answered > 0 && streamed > 0 && many > 0 && turns > 0 && slow > 0 && sent > 0;
}

int main(int argc, char **argv)
{
    struct dice dice = dice_make();
    seed = dice.seed;
    int64_t until = flume_now_ms() + 1000 * (argc > 1 ? strtol(argv[1], NULL, 10) : 10);
    unsigned rounds = 0;
    while (flume_now_ms() < until || (!all_happened() && flume_now_ms() < until + HTTP_KIT_MS)) {
        round_run((unsigned)(200 + dice_roll(&dice, 800)));
        rounds++;
    }
    printf("stress_http: %u rounds, %llu waits, %llu rows, %llu refused, %llu large in %llu turns, %llu slow, "
           "%llu too many, %llu bodies\n",
           rounds, (unsigned long long)answered, (unsigned long long)streamed, (unsigned long long)cut,
           (unsigned long long)many, (unsigned long long)turns, (unsigned long long)slow, (unsigned long long)refused,
           (unsigned long long)sent);
    return all_happened() ? 0 : 1;
}
