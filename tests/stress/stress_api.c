/* The API over a log of its own: batches that are checked while their bodies are coming, in pieces, broken off, or with a message that is refused; blobs that
 * are sent; and WebSocket clients, free of sockets, whose lists are opened and looked for by other threads and given up at any moment: to be run
 * under ThreadSanitizer. In the end every batch is there once, and a list that was followed says what the log says.
 *
 *     stress_api [SECONDS]        SLUICE_TEST_SEED repeats the choices of a run, as far as threads allow */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/ahead.h"
#include "server/blob_jobs.h"
#include "server/http_internal.h"
#include "server/live.h"
#include "server/plain.h"
#include "store/json.h"
#include "tests/support/api_kit.h"
#include "tests/support/http_kit.h"
#include "tests/support/scratch.h"

#define WRITERS 3
#define WATCHERS 5 /* clients of the WebSocket thread beside the one that stays */
#define LINES 100  /* of a batch: enough for threads, and for more than 32 KiB */
#define PIECE 9000
#define BLOB_BYTES ((size_t)150 << 10)
#define ALL_VIEWS ((UINT32_C(1) << VIEW_COUNT) - 1)

static struct http_kit kit;
static char *dir;
static char log_path[SCRATCH_PATH];
static atomic_bool stop, back;
static _Atomic uint64_t stored, refused, broken, blobs, rows_given, given_up;
static uint64_t seed;
static struct kit_author authors[WRITERS];
static _Atomic int64_t written[WRITERS]; /* messages of each author that are in the log */

static void expect(bool ok, const char *what, const char *text)
{
    if (ok) return;
    (void)fprintf(stderr, "stress_api: %s (SLUICE_TEST_SEED=%llu): %s\n", what, (unsigned long long)seed, text);
    abort();
}

static struct dice dice_of(size_t thread)
{
    return (struct dice){ .state = seed * 2 + 1 + thread * UINT64_C(0x5851F42D4C957F2D), .seed = seed };
}

/* ---- what is sent ------------------------------------------------------------------------------------------------- */

/* Up to `upto` bytes, in pieces; a server that has had enough is fine. */
static void send_pieces(int fd, struct dice *dice, const char *data, size_t upto)
{
    for (size_t at = 0, len; at < upto; at += len) {
        len = 1 + dice_roll(dice, PIECE);
        if (len > upto - at) len = upto - at;
        for (size_t sent = 0; sent < len;) {
            ssize_t n = send(fd, data + at + sent, len - sent, MSG_NOSIGNAL);
            if (n <= 0) return;
            sent += (size_t)n;
        }
    }
}

/* The status of the answer to all of a body, 0 = the client has gone in the middle of it. */
static int post(struct dice *dice, const char *target, const char *type, const char *body, size_t len)
{
    char head[300];
    int fd = http_kit_connect(&kit), status = 0;
    (void)snprintf(head, sizeof head,
                   "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                   "Connection: close\r\n\r\n",
                   target, type, len);
    http_kit_send(fd, head);
    bool goes = dice_roll(dice, 4) == 0;
    send_pieces(fd, dice, body, goes ? dice_roll(dice, len) : len);
    if (!goes) {
        char *answer = http_kit_read(fd, NULL, HTTP_KIT_MS);
        status = http_kit_status(answer);
        expect(status == 200 || status == 201 || status == 422, "a body was not taken", answer);
        free(answer);
    }
    if (goes) broken++;
    (void)close(fd);
    return status;
}

/* Of one of four kinds, about somebody. */
static void content_make(struct dice *dice, char content[500])
{
    char other[REF_TEXT_MAX];
    int len = (int)ref_print(&authors[dice_roll(dice, WRITERS)].id, other);
    switch (dice_roll(dice, 4)) {
    case 0: (void)snprintf(content, 500, "{\"type\":\"contact\",\"contact\":\"%.*s\"}", len, other); break;
    case 1: (void)snprintf(content, 500, "{\"type\":\"about\",\"name\":\"ali\",\"about\":\"%.*s\"}", len, other); break;
    case 2:
        (void)snprintf(content, 500, "{\"type\":\"vote\",\"vote\":{\"value\":1,\"expression\":\"%300s\"}}", "");
        break;
    default: (void)snprintf(content, 500, "{\"type\":\"post\",\"text\":\"rain on the #roof %300s\"}", ""); break;
    }
}

static void batch_make(struct kit_author *author, struct dice *dice, struct buf *out)
{
    char content[500];
    buf_reset(out);
    for (size_t i = 0; i < LINES; i++) {
        content_make(dice, content);
        char *line = api_kit_message(author, content);
        (void)buf_puts(out, line);
        (void)buf_putc(out, '\n');
        free(line);
    }
    expect(out->err == OK && out->len > (size_t)32 << 10, "a batch is too small to be checked ahead", "");
}

/* One of its messages has another text than was signed: no other one is stored either. */
static void post_damaged(struct dice *dice, const struct buf *batch)
{
    char *text = malloc(batch->len);
    expect(text != NULL, "memory", "");
    memcpy(text, batch->data, batch->len);
    char *at =
        memmem(text + dice_roll(dice, batch->len / 2), batch->len / 2, "\"sha256\",\"content\":{\"type\":\"", 28);
    if (at != NULL) at[28] ^= 1;
    int status = at == NULL ? 0 : post(dice, "/log", "application/x-ndjson", text, batch->len);
    expect(status == 0 || status == 422, "a batch with a damaged message", "was taken");
    refused += status == 422;
    free(text);
}

static void *writer_run(void *cls)
{
    size_t number = (size_t)(uintptr_t)cls;
    struct dice dice = dice_of(number);
    struct buf batch;
    buf_init(&batch, 1 << 20);
    while (!stop) {
        batch_make(&authors[number], &dice, &batch);
        if (dice_roll(&dice, 3) == 0) post_damaged(&dice, &batch);
        /* whoever went in the middle sends all of it again, which makes nothing twice */
        while (post(&dice, "/log", "application/x-ndjson", batch.data, batch.len) == 0) {
        }
        written[number] += LINES;
        stored++;
    }
    buf_free(&batch);
    return NULL;
}

static void *blobs_run(void *cls)
{
    struct dice dice = dice_of((size_t)(uintptr_t)cls);
    char *data = malloc(BLOB_BYTES);
    expect(data != NULL, "memory", "");
    while (!stop) {
        memset(data, (int)dice_roll(&dice, 256), BLOB_BYTES);
        int status = post(&dice, "/blobs", "image/png", data, 1 + dice_roll(&dice, BLOB_BYTES));
        expect(status != 422, "a blob", "was refused");
        blobs += status != 0;
    }
    free(data);
    return NULL;
}

/* ---- the WebSocket thread ------------------------------------------------------------------------------------------ */

static void on_back(void *ctx)
{
    (void)ctx;
    atomic_store(&back, true);
}

static struct live *client_open(void)
{
    static const char target[] = "/live?subscribe=false";
    struct live *live;
    expect(live_open(&kit.server, (struct slice){ target, sizeof target - 1 }, false, NULL, &live) == OK, "live_open",
           err_detail(ERR_IO));
    return live;
}

/* false = the client is to be closed. */
static bool client_says(struct live *live, struct dice *dice)
{
    static const char *const lists[] = { "/feeds",    "/types",         "/channels",
                                         "/threads",  "/log?type=post", "/search?q=rain&order=newest",
                                         "/links",    "/feeds?name=al", "/threads?private=false&old=false",
                                         "/messages", "/log?limit=x" };
    char op[300];
    uint64_t id = dice_roll(dice, 3);
    if (dice_roll(dice, 3) == 0)
        (void)snprintf(op, sizeof op, "{\"op\":\"unsub\",\"id\":\"s%llu\"}", (unsigned long long)id);
    else
        (void)snprintf(op, sizeof op, "{\"op\":\"sub\",\"id\":\"s%llu\",\"list\":\"%s\"}", (unsigned long long)id,
                       lists[dice_roll(dice, sizeof lists / sizeof *lists)]);
    return live_text(live, op, strlen(op)) == OK;
}

/* Up to `most` frames, each given to `take`, which may be NULL. */
static void client_reads(struct live *live, uint64_t most, void (*take)(struct slice frame))
{
    struct buf out;
    buf_init(&out, (size_t)1 << 20);
    int got = 1;
    for (uint64_t i = 0; i < most && got == 1; i++) {
        buf_reset(&out);
        got = live_next(live, &out);
        expect(got == 1 || got == 0 || got == LIVE_LATER, "live_next", err_detail(ERR_IO));
        if (got == 1 && take != NULL) take((struct slice){ out.data, out.len });
        rows_given += got == 1;
    }
    buf_free(&out);
}

static int64_t followed[WRITERS]; /* sequences that the list of feeds has told */

static void take_feed(struct slice frame)
{
    struct slice row, value;
    struct ref id;
    double sequence;
    if (json_find(frame, "row", &row) != 1) return;
    bool read = json_find(row, "sequence", &value) == 1 && json_number(value, &sequence) &&
                json_find(row, "id", &value) == 1 && ref_try(value.data + 1, value.len - 2, &id);
    expect(read, "a row of /feeds", row.data);
    for (size_t i = 0; i < WRITERS; i++) {
        if (!ref_equal(&id, &authors[i].id)) continue;
        expect((int64_t)sequence >= followed[i], "a feed went back", row.data);
        followed[i] = (int64_t)sequence;
    }
}

static bool client_meddles(struct live **live, struct dice *dice)
{
    if (*live == NULL) *live = client_open();
    bool stays = dice_roll(dice, 4) != 0 || client_says(*live, dice);
    if (stays && dice_roll(dice, 40) != 0) return true;
    given_up++;
    live_free(*live);
    *live = NULL;
    return false;
}

/* All that there is in the log was told. */
static bool followed_all(void)
{
    for (size_t i = 0; i < WRITERS; i++)
        if (followed[i] < written[i]) return false;
    return true;
}

static void *watch_run(void *cls)
{
    static const char op[] = "{\"op\":\"sub\",\"id\":\"f\",\"list\":\"/feeds\"}";
    struct dice dice = dice_of((size_t)(uintptr_t)cls);
    struct live *clients[WATCHERS] = { NULL }, *stays = client_open();
    int64_t until = INT64_MAX;
    expect(live_text(stays, op, sizeof op - 1) == OK, "live_text", err_detail(ERR_IO));
    /* the writers have ended before `until` is set */
    for (bool writing = true; writing || !followed_all();) {
        if (writing && stop) until = flume_now_ms() + KIT_WAIT_MS;
        writing = writing && !stop;
        expect(flume_now_ms() < until, "the list of feeds", "does not come to its end");
        for (size_t i = 0; writing && i < WATCHERS; i++)
            if (client_meddles(&clients[i], &dice)) client_reads(clients[i], dice_roll(&dice, 40), NULL);
        client_reads(stays, 100, take_feed);
        if (!atomic_exchange(&back, false)) (void)usleep(500);
        for (size_t i = 0; i < WATCHERS; i++)
            if (clients[i] != NULL) (void)live_wake(clients[i]);
        (void)live_wake(stays);
    }
    for (size_t i = 0; i < WATCHERS; i++)
        live_free(clients[i]);
    live_free(stays);
    return NULL;
}

/* ---- start and stop ----------------------------------------------------------------------------------------------- */

static int open_log(void *ctx, struct log **ret_log)
{
    const struct log_offset_options options = { .path = ctx };
    return log_offset_open(&options, NULL, ret_log);
}

static void server_start(void)
{
    char blobs_path[SCRATCH_PATH];
    struct server *server = &kit.server;
    dir = scratch_make();
    scratch_path(dir, "log.offset", log_path);
    scratch_path(dir, "blobs", blobs_path);
    http_kit_config(&kit);
    kit.config.body_max = kit.config.blob_max = 1 << 20;
    kit.config.batch_max = 1000;
    kit.config.query_threads = 2;
    kit.config.subscriptions_max = 4;
    server->owned = true;
    server->config = &kit.config;
    const struct flume_options options = { .open_log = open_log, .open_ctx = log_path, .views_dir = dir };
    server->flume = kit_open(&options);
    int err = plain_open(&server->plain);
    if (err == OK) err = blob_dir_open(blobs_path, true, &server->blobs);
    if (err == OK) err = blob_jobs_start(server->blobs, 16, &server->blob_jobs);
    if (err == OK) err = jobs_start(1, INT64_MAX, &server->lists);
    server->live_back = on_back;
    expect(err == OK, "starting", err_detail(err));
    http_kit_start(&kit, NULL);
}

/* Of clients that went in the middle of a body the server learns a moment later. */
static bool nothing_is_left(void *ctx)
{
    struct http *http = ctx;
    (void)pthread_mutex_lock(&http->lock);
    bool none = http->exchanges == 0 && http->waiting == 0 && atomic_load(&http->held) == 0;
    (void)pthread_mutex_unlock(&http->lock);
    return none && ahead_pool_bytes(kit.server.ahead) == 0 && atomic_load(&kit.server.metrics.connections) == 0;
}

static void server_stop(void)
{
    struct server *server = &kit.server;
    expect(kit_until(nothing_is_left, kit.http), "bodies, batches or connections", "are left");
    listen_stop(kit.listener);
    jobs_stop(server->lists);
    expect(http_stop(kit.http, HTTP_KIT_MS), "something is at work for ever", "");
    blob_jobs_stop(server->blob_jobs);
    blob_dir_free(server->blobs);
    flume_close(server->flume);
    plain_free(server->plain);
    listen_free(kit.listener);
    access_free(kit.access);
    expect(server->metrics.connections == 0, "connections are left in the count", "");
    scratch_remove(dir);
}

/* Every batch is there once: the newest message of each feed says how many there are, and the log has no more. */
static void check_log(void)
{
    struct flume_status status;
    uint64_t all = 0;
    expect(kit_wait_head(kit.server.flume, ALL_VIEWS) == OK, "the views must come to the head", "");
    flume_status(kit.server.flume, &status);
    for (size_t i = 0; i < WRITERS; i++)
        all += (uint64_t)written[i];
    expect((uint64_t)status.count == all && stored * LINES == all, "every message is there once", "");
}

static bool all_happened(void)
{
    return stored > 0 && refused > 0 && broken > 0 && blobs > 0 && given_up > 0 && rows_given > 0;
}

int main(int argc, char **argv)
{
    static void *(*const runs[])(void *) = { writer_run, writer_run, writer_run, blobs_run, watch_run };
    enum { THREADS = sizeof runs / sizeof *runs };
    pthread_t threads[THREADS];
    seed = dice_make().seed;
    for (size_t i = 0; i < WRITERS; i++)
        kit_author_make(&authors[i], (uint8_t)(i + 1));
    server_start();
    for (size_t i = 0; i < THREADS; i++)
        expect(pthread_create(&threads[i], NULL, runs[i], (void *)(uintptr_t)i) == 0, "pthread_create", "");
    int64_t until = flume_now_ms() + 1000 * (argc > 1 ? strtol(argv[1], NULL, 10) : 2);
    while (flume_now_ms() < until || (!all_happened() && flume_now_ms() < until + HTTP_KIT_MS))
        (void)usleep(10000);
    atomic_store(&stop, true);
    for (size_t i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    check_log();
    server_stop();
    printf(
        "stress_api: %llu batches, %llu refused, %llu bodies broken off, %llu blobs, %llu frames, %llu clients gone\n",
        (unsigned long long)stored, (unsigned long long)refused, (unsigned long long)broken, (unsigned long long)blobs,
        (unsigned long long)rows_given, (unsigned long long)given_up);
    return all_happened() ? 0 : 1;
}
