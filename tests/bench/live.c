/* The other end of WebSocket measurements.
 *
 *     bench_live replay PORT TARGET ROW WHO                         everything old to one client: messages a second
 *     bench_live fanout PORT CLIENTS FILE COUNT BATCH RATE ROW WHO  COUNT lines of FILE are posted to /log, each has to reach
 *         every client. RATE 0: BATCH of them a request, as fast as they are taken; deliveries a second. Else one a
 *         request, RATE requests a second; the 99th percentile of the seconds from the moment when a message was due to be posted
 *         until a client has it. ROW-p50 goes with it.
 *     bench_live idle PORT CLIENTS                                  connects, says "ready", ends with its input
 *
 * A client counts as there when it has its frame {"sync":…. One thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/buf.h"
#include "tests/bench/bench.h"
#include "tests/bench/net.h"

#define TEXT 1
#define PING 9
#define CONNECTS_AT_ONCE 100

static char received[1 << 18];

struct client {
    int fd;
    bool upgraded, synced, poster;
    struct net_http http;
    struct net_ws ws;
    size_t count; /* text frames that are records */
};

struct fan {
    int epoll;
    struct client *clients; /* the last one posts */
    size_t count;
    size_t synced;
    size_t delivered;
    bool answered; /* the post under way */

    double *due;       /* when each message was to be posted; NULL in a burst */
    double *latencies; /* of each delivery */
};

static void descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void client_open(struct fan *fan, struct client *client, uint16_t port, const char *target)
{
    char text[1024];
    client->fd = net_connect(port);
    if (client->fd < 0) bench_die("nobody listens on port %u", port);
    if (target != NULL) {
        int len = snprintf(text, sizeof text,
                           "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2x1aWNlIG1lYXN1cmVzIQ==\r\n\r\n",
                           target, port);
        net_send(client->fd, text, (size_t)len);
    }
    client->poster = target == NULL;
    net_nonblocking(client->fd);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };
    (void)epoll_ctl(fan->epoll, EPOLL_CTL_ADD, client->fd, &event);
}

static void client_frame(struct fan *fan, struct client *client, int op, double now)
{
    static const uint8_t pong[] = { 0x8A, 0x80, 0, 0, 0, 0 };
    if (op == PING) net_send(client->fd, pong, sizeof pong);
    if (op > TEXT && op != PING) bench_die("the server closed a client");
    if (op != TEXT) return;
    if (!client->synced && client->ws.first_len == 8 && memcmp(client->ws.first, "{\"sync\":", 8) == 0) {
        client->synced = true;
        fan->synced++;
        return;
    }
    if (fan->latencies != NULL) fan->latencies[fan->delivered] = now - fan->due[client->count];
    client->count++;
    fan->delivered++;
}

static void client_take(struct fan *fan, struct client *client, const char *at, const char *end, double now)
{
    int op;
    if (client->poster) {
        while (net_http_take(&client->http, &at, end)) {
            int status = net_http_status(&client->http);
            if (status != 201 && status != 202) bench_die("a post was answered:\n%s", client->http.head);
            fan->answered = true;
        }
        return;
    }
    if (!client->upgraded) {
        if (!net_http_take(&client->http, &at, end)) return;
        if (net_http_status(&client->http) != 101) bench_die("the handshake was answered:\n%s", client->http.head);
        client->upgraded = true;
    }
    while (at < end && net_ws_take(&client->ws, &at, end, &op))
        client_frame(fan, client, op, now);
}

/* Takes what has come, waiting up to `seconds` for it. */
static void fan_serve(struct fan *fan, double seconds)
{
    struct epoll_event events[256];
    struct timespec wait = { .tv_sec = (time_t)seconds };
    wait.tv_nsec = (long)((seconds - (double)wait.tv_sec) * 1e9);
    int n = epoll_pwait2(fan->epoll, events, 256, &wait, NULL);
    double now = bench_now();
    for (int i = 0; i < n; i++) {
        struct client *client = events[i].data.ptr;
        ssize_t got = recv(client->fd, received, sizeof received, 0);
        if (got < 0 && errno == EAGAIN) continue;
        if (got <= 0) bench_die("the server closed a connection");
        client_take(fan, client, received, received + got, now);
    }
}

/* Clients that are all there, and one connection more for posting. */
static void fan_open(struct fan *fan, uint16_t port, size_t count, const char *target)
{
    descriptors_raise();
    fan->epoll = epoll_create1(EPOLL_CLOEXEC);
    fan->count = count;
    fan->clients = calloc(count + 1, sizeof *fan->clients);
    if (fan->clients == NULL) bench_die("out of memory");
    for (size_t i = 0; i < count; i++) {
        client_open(fan, &fan->clients[i], port, target);
        while (i + 1 >= fan->synced + CONNECTS_AT_ONCE)
            fan_serve(fan, 1);
    }
    while (fan->synced < count)
        fan_serve(fan, 1);
    client_open(fan, &fan->clients[count], port, NULL);
}

static void fan_close(struct fan *fan)
{
    for (size_t i = 0; i <= fan->count; i++)
        (void)close(fan->clients[i].fd);
    (void)close(fan->epoll);
    free(fan->clients);
}

/* ---- replay ---- */

static void run_replay(char **args)
{
    struct fan fan = { .epoll = epoll_create1(EPOLL_CLOEXEC) };
    struct client client = { 0 };
    double began = bench_now();
    client_open(&fan, &client, (uint16_t)bench_number(args[0]), args[1]);
    while (!client.synced)
        fan_serve(&fan, 1);
    bench_put(args[2], args[3], (double)client.count / (bench_now() - began));
    bench_fact(args[2], args[3], (double)client.count);
    (void)close(client.fd);
    (void)close(fan.epoll);
}

/* ---- fan-out ---- */

static void fan_post(struct fan *fan, const char *port, const struct slice *lines, size_t n)
{
    struct buf body;
    char head[256];
    buf_init(&body, (size_t)64 << 20);
    for (size_t i = 0; i < n; i++) {
        (void)buf_append(&body, lines[i].data, lines[i].len);
        (void)buf_putc(&body, '\n');
    }
    int len = snprintf(head, sizeof head,
                       "POST /log HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nContent-Type: application/x-ndjson\r\n"
                       "Prefer: durability=relaxed\r\nContent-Length: %zu\r\n\r\n",
                       port, body.len);
    int fd = fan->clients[fan->count].fd;
    fan->answered = false;
    net_send(fd, head, (size_t)len);
    net_send(fd, body.data, body.len);
    buf_free(&body);
}

static void burst(struct fan *fan, char **args, const struct slice *lines, size_t count)
{
    size_t batch = bench_number(args[4]);
    double began = bench_now();
    for (size_t at = 0; at < count; at += batch) {
        fan_post(fan, args[0], lines + at, count - at < batch ? count - at : batch);
        while (!fan->answered)
            fan_serve(fan, 1);
    }
    while (fan->delivered < count * fan->count)
        fan_serve(fan, 1);
    bench_put(args[6], args[7], (double)fan->delivered / (bench_now() - began));
}

static void paced(struct fan *fan, char **args, const struct slice *lines, size_t count, double rate)
{
    char name[128];
    size_t all = count * fan->count;
    fan->due = malloc(count * sizeof *fan->due);
    fan->latencies = malloc(all * sizeof *fan->latencies);
    if (fan->due == NULL || fan->latencies == NULL) bench_die("out of memory");
    double began = bench_now();
    for (size_t i = 0; i < count; i++) {
        fan->due[i] = began + (double)i / rate;
        for (double left; (left = fan->due[i] - bench_now()) > 0;)
            fan_serve(fan, left);
        while (i > 0 && !fan->answered)
            fan_serve(fan, 1);
        fan_post(fan, args[0], lines + i, 1);
    }
    while (fan->delivered < all)
        fan_serve(fan, 1);
    bench_put(args[6], args[7], bench_rank(fan->latencies, all, 0.99));
    (void)snprintf(name, sizeof name, "%s-p50", args[6]);
    bench_put(name, args[7], bench_rank(fan->latencies, all, 0.5));
    free(fan->due);
    free(fan->latencies);
}

static void run_fanout(char **args)
{
    struct fan fan = { 0 };
    struct bench_file file;
    size_t have, count = bench_number(args[3]);
    bench_map(args[2], &file);
    struct slice *lines = bench_lines(&file, &have);
    if (have < count) bench_die("%s has %zu lines only", args[2], have);
    fan_open(&fan, (uint16_t)bench_number(args[0]), bench_number(args[1]), "/live?old=false");
    double rate = (double)bench_number(args[5]);
    if (rate == 0)
        burst(&fan, args, lines, count);
    else
        paced(&fan, args, lines, count, rate);
    fan_close(&fan);
    free(lines);
    bench_unmap(&file);
}

/* ---- idle ---- */

static void run_idle(char **args)
{
    struct fan fan = { 0 };
    char byte;
    fan_open(&fan, (uint16_t)bench_number(args[0]), bench_number(args[1]), "/live?old=false");
    puts("ready");
    (void)fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    fan_close(&fan);
}

int main(int argc, char **argv)
{
    const char *mode = argc < 2 ? "" : argv[1];
    if (strcmp(mode, "replay") == 0 && argc == 6)
        run_replay(argv + 2);
    else if (strcmp(mode, "fanout") == 0 && argc == 10)
        run_fanout(argv + 2);
    else if (strcmp(mode, "idle") == 0 && argc == 4)
        run_idle(argv + 2);
    else
        bench_die("usage: see the head of tests/bench/live.c");
    return 0;
}
