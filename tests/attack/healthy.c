/* The healthy client of `make attack`: one kept connection, one question after the other, each half a millisecond after
 * the answer before it.
 *
 *     attack_healthy PORT SECONDS FILE      targets of FILE, one after the other
 *
 * Prints { count, failed, p50, p99, worst } in milliseconds. A connection that ends is opened again; what was asked on it
 * counts as failed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "store/buf.h"
#include "tests/bench/bench.h"
#include "tests/bench/net.h"

#define TIMES_MAX ((size_t)1 << 20)
#define PAUSE_NS 500000
#define PATIENCE_S 10

static char received[1 << 16];

static int healthy_connect(uint16_t port)
{
    const struct timeval patience = { .tv_sec = PATIENCE_S };
    int fd = net_connect(port);
    if (fd >= 0) (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

/* true = answered with 200. */
static bool healthy_ask(int fd, struct slice target)
{
    char request[4096];
    struct net_http http = { .head_len = 0 };
    int len =
        snprintf(request, sizeof request, "GET %.*s HTTP/1.1\r\nHost: localhost\r\n\r\n", (int)target.len, target.data);
    if (len >= (int)sizeof request || send(fd, request, (size_t)len, MSG_NOSIGNAL) != len) return false;
    for (;;) {
        ssize_t got = recv(fd, received, sizeof received, 0);
        if (got <= 0) return false;
        const char *at = received;
        if (net_http_take(&http, &at, received + got)) return net_http_status(&http) == 200;
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) bench_die("attack_healthy PORT SECONDS FILE");
    uint16_t port = (uint16_t)bench_number(argv[1]);
    double *times = malloc(TIMES_MAX * sizeof *times), until = bench_now() + (double)bench_number(argv[2]);
    struct bench_file file;
    size_t targets = 0, count = 0, failed = 0;
    bench_map(argv[3], &file);
    struct slice *lines = bench_lines(&file, &targets);
    if (times == NULL || targets == 0) bench_die("nothing to ask for");
    int fd = -1;
    while (bench_now() < until && count < TIMES_MAX) {
        const struct timespec pause = { .tv_nsec = PAUSE_NS };
        (void)nanosleep(&pause, NULL);
        if (fd < 0) fd = healthy_connect(port);
        double began = bench_now();
        bool good = fd >= 0 && healthy_ask(fd, lines[count % targets]);
        times[count++] = (bench_now() - began) * 1000;
        if (good) continue;
        failed++;
        if (fd >= 0) (void)close(fd);
        fd = -1;
    }
    double worst = bench_rank(times, count, 1);
    printf("{\"count\":%zu,\"failed\":%zu,\"p50\":%.4f,\"p99\":%.4f,\"worst\":%.4f}\n", count, failed,
           bench_median(times, count), bench_rank(times, count, 0.99), worst);
    if (fd >= 0) (void)close(fd);
    free(lines);
    free(times);
    bench_unmap(&file);
    return 0;
}
