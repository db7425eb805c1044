/* The other end of HTTP measurements.
 *
 *     bench_http get PORT CONNECTIONS SECONDS FILE ROW WHO      targets of FILE at random on connections that are kept
 *     bench_http stream PORT TARGET LEAST ROW WHO               one NDJSON answer to its end, of LEAST bytes at least
 *     bench_http post PORT CONNECTIONS BATCH FILE COUNT ROW WHO lines of FILE, BATCH in one request; connection i sends what
 *                                                               stands at i, i + CONNECTIONS …
 *     bench_http first PORT TARGET ROW WHO PROGRAM [ARGUMENT]…  starts PROGRAM, seconds until it answers TARGET
 *
 * One thread. Figures are requests, bytes or messages a second; ROW-p99 in seconds and ROW-bytes go with `get`. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/buf.h"
#include "tests/bench/bench.h"
#include "tests/bench/net.h"

#define LATENCIES_MAX ((size_t)4 << 20)
#define FIRST_S 60 /* a program that has not answered by then never will */

static char received[1 << 18];

struct line {
    int fd;
    struct net_http http;
    double asked;
    size_t next; /* request that comes next */
};

struct lines {
    int epoll;
    struct line *all;
    size_t count;
};

static void lines_open(struct lines *lines, uint16_t port, size_t count)
{
    lines->epoll = epoll_create1(EPOLL_CLOEXEC);
    lines->count = count;
    lines->all = calloc(count, sizeof *lines->all);
    if (lines->all == NULL) bench_die("out of memory");
    for (size_t i = 0; i < count; i++) {
        struct line *line = &lines->all[i];
        line->fd = net_connect(port);
        if (line->fd < 0) bench_die("nobody listens on port %u", port);
        net_nonblocking(line->fd);
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = line };
        (void)epoll_ctl(lines->epoll, EPOLL_CTL_ADD, line->fd, &event);
    }
}

static void lines_close(struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        (void)close(lines->all[i].fd);
    (void)close(lines->epoll);
    free(lines->all);
}

/* Calls `answered` for every answer that is there; waits for one if there is none. */
static void lines_serve(struct lines *lines, void (*answered)(void *ctx, struct line *line), void *ctx)
{
    struct epoll_event events[256];
    int n = epoll_wait(lines->epoll, events, 256, 1000);
    for (int i = 0; i < n; i++) {
        struct line *line = events[i].data.ptr;
        ssize_t got = recv(line->fd, received, sizeof received, 0);
        if (got < 0 && errno == EAGAIN) continue;
        if (got <= 0) bench_die("the server closed a connection");
        const char *at = received, *end = received + got;
        while (net_http_take(&line->http, &at, end))
            answered(ctx, line);
    }
}

static void name_of(const char *row, const char *what, char out[128])
{
    (void)snprintf(out, 128, "%s-%s", row, what);
}

/* ---- get ---- */

struct get {
    struct slice *requests;
    size_t request_count;
    uint64_t random;
    double measure_from, end;
    double *latencies;
    size_t answers;
    double bytes;
};

static void get_ask(struct get *get, struct line *line, double now)
{
    const struct slice *request = &get->requests[bench_random(&get->random) % get->request_count];
    line->asked = now;
    net_send(line->fd, request->data, request->len);
}

static void get_answered(void *ctx, struct line *line)
{
    struct get *get = ctx;
    double now = bench_now();
    if (net_http_status(&line->http) != 200) bench_die("answered:\n%s", line->http.head);
    if (now >= get->measure_from && now < get->end) {
        if (get->answers < LATENCIES_MAX) get->latencies[get->answers] = now - line->asked;
        get->answers++;
        get->bytes += (double)net_http_length(&line->http);
    }
    get_ask(get, line, now);
}

static void get_requests(struct get *get, const char *path, const char *port)
{
    struct bench_file file;
    bench_map(path, &file);
    get->requests = bench_lines(&file, &get->request_count);
    for (size_t i = 0; i < get->request_count; i++) {
        char *text;
        int len = asprintf(&text, "GET %.*s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n\r\n", (int)get->requests[i].len,
                           get->requests[i].data, port);
        if (len < 0) bench_die("out of memory");
        get->requests[i] = (struct slice){ text, (size_t)len };
    }
    bench_unmap(&file);
}

static void run_get(char **args)
{
    struct get get = { .random = 3 };
    struct lines lines;
    char name[128];
    double seconds = (double)bench_number(args[2]);
    get_requests(&get, args[3], args[0]);
    get.latencies = malloc(LATENCIES_MAX * sizeof *get.latencies);
    if (get.latencies == NULL) bench_die("out of memory");
    lines_open(&lines, (uint16_t)bench_number(args[0]), bench_number(args[1]));
    double began = bench_now();
    get.measure_from = began + seconds / 5;
    get.end = get.measure_from + seconds;
    for (size_t i = 0; i < lines.count; i++)
        get_ask(&get, &lines.all[i], began);
    while (bench_now() < get.end)
        lines_serve(&lines, get_answered, &get);
    bench_put(args[4], args[5], (double)get.answers / seconds);
    name_of(args[4], "p99", name);
    bench_put(name, args[5],
              bench_rank(get.latencies, get.answers < LATENCIES_MAX ? get.answers : LATENCIES_MAX, 0.99));
    name_of(args[4], "bytes", name);
    bench_put(name, args[5], get.answers == 0 ? 0 : get.bytes / (double)get.answers);
    lines_close(&lines);
}

/* ---- stream ---- */

static void run_stream(char **args)
{
    struct buf request;
    double bytes = 0, least = (double)bench_number(args[2]);
    int fd = net_connect((uint16_t)bench_number(args[0]));
    if (fd < 0) bench_die("nobody listens");
    buf_init(&request, 4096);
    (void)buf_printf(
        &request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nAccept: application/x-ndjson\r\nConnection: close\r\n\r\n",
        args[1], args[0]);
    double began = bench_now();
    net_send(fd, request.data, request.len);
    for (;;) {
        ssize_t got = recv(fd, received, sizeof received, 0);
        if (got < 0) bench_die("receiving: %s", strerror(errno));
        if (bytes == 0 && (got < 12 || memcmp(received + 9, "200", 3) != 0))
            bench_die("answered:\n%.*s", (int)got, received);
        if (got == 0) break;
        bytes += (double)got;
    }
    double took = bench_now() - began;
    if (bytes < least) bench_die("the answer ended after %.0f bytes", bytes);
    bench_put(args[3], args[4], bytes / took);
    buf_free(&request);
    (void)close(fd);
}

/* ---- post ---- */

struct post {
    struct slice *lines;
    size_t line_count, batch, step; /* `step` connections */
    const char *port;
    struct buf request;
    double *latencies;
    size_t asked, answers;
};

/* The next batch of a connection; false = it has none. */
static bool post_ask(struct post *post, struct line *line)
{
    size_t from = line->next * post->batch, bytes = 0;
    if (from >= post->line_count) return false;
    size_t to = post->line_count - from < post->batch ? post->line_count : from + post->batch;
    for (size_t i = from; i < to; i++)
        bytes += post->lines[i].len + 1;
    buf_reset(&post->request);
    (void)buf_printf(&post->request,
                     "POST /log HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nContent-Type: application/%s\r\n"
                     "Content-Length: %zu\r\n\r\n",
                     post->port, post->batch == 1 ? "json" : "x-ndjson", bytes);
    for (size_t i = from; i < to; i++) {
        (void)buf_append(&post->request, post->lines[i].data, post->lines[i].len);
        (void)buf_putc(&post->request, '\n');
    }
    line->next += post->step;
    line->asked = bench_now();
    post->asked++;
    net_send(line->fd, post->request.data, post->request.len); /* in one piece, as clients do */
    return true;
}

static void post_answered(void *ctx, struct line *line)
{
    struct post *post = ctx;
    if (net_http_status(&line->http) != 201) bench_die("answered:\n%s", line->http.head);
    post->latencies[post->answers++] = bench_now() - line->asked;
    (void)post_ask(post, line);
}

static void run_post(char **args)
{
    struct post post = { .port = args[0], .step = bench_number(args[1]), .batch = bench_number(args[2]) };
    struct bench_file file;
    struct lines lines;
    char name[128];
    bench_map(args[3], &file);
    post.lines = bench_lines(&file, &post.line_count);
    size_t most = bench_number(args[4]);
    if (post.line_count > most) post.line_count = most;
    post.latencies = malloc(post.line_count * sizeof *post.latencies);
    if (post.latencies == NULL) bench_die("out of memory");
    buf_init(&post.request, (size_t)64 << 20);
    lines_open(&lines, (uint16_t)bench_number(args[0]), post.step);
    double began = bench_now();
    for (size_t i = 0; i < lines.count; i++) {
        lines.all[i].next = i;
        (void)post_ask(&post, &lines.all[i]);
    }
    while (post.answers < post.asked)
        lines_serve(&lines, post_answered, &post);
    bench_put(args[5], args[6], (double)post.line_count / (bench_now() - began));
    name_of(args[5], "p99", name);
    bench_put(name, args[6], bench_rank(post.latencies, post.answers, 0.99));
    lines_close(&lines);
    buf_free(&post.request);
    free(post.latencies);
    free(post.lines);
    bench_unmap(&file);
}

/* ---- first ---- */

/* One question on a connection of its own; false = no 200 came. */
static bool first_ask(uint16_t port, const char *request, size_t len)
{
    int fd = net_connect(port);
    if (fd < 0) return false;
    net_send(fd, request, len);
    ssize_t got = recv(fd, received, sizeof received, 0);
    (void)close(fd);
    return got > 12 && memcmp(received + 9, "200", 3) == 0;
}

static void run_first(char **args)
{
    uint16_t port = (uint16_t)bench_number(args[0]);
    char request[1024];
    int len = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\n\r\n",
                       args[1], args[0]);
    double began = bench_now();
    pid_t child = fork();
    if (child == 0) {
        (void)execvp(args[4], args + 4);
        _exit(127);
    }
    while (!first_ask(port, request, (size_t)len)) {
        if (bench_now() - began > FIRST_S) bench_die("%s gave no answer", args[4]);
        (void)usleep(100);
    }
    double took = bench_now() - began;
    (void)kill(child, SIGTERM);
    (void)waitpid(child, NULL, 0);
    bench_put(args[2], args[3], took);
}

int main(int argc, char **argv)
{
    const char *mode = argc < 2 ? "" : argv[1];
    if (strcmp(mode, "get") == 0 && argc == 8)
        run_get(argv + 2);
    else if (strcmp(mode, "stream") == 0 && argc == 7)
        run_stream(argv + 2);
    else if (strcmp(mode, "post") == 0 && argc == 9)
        run_post(argv + 2);
    else if (strcmp(mode, "first") == 0 && argc >= 7)
        run_first(argv + 2);
    else
        bench_die("usage: see the head of tests/bench/http.c");
    return 0;
}
