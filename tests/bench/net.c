#include "tests/bench/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/bench.h"

static struct sockaddr_in net_address(uint16_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

void net_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) bench_die("a socket: %s", strerror(errno));
}

void net_nodelay(int fd)
{
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

int net_listen(uint16_t port)
{
    struct sockaddr_in address = net_address(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0) bench_die("no socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4096) != 0)
        bench_die("port %u: %s", port, strerror(errno));
    net_nonblocking(fd);
    return fd;
}

int net_connect(uint16_t port)
{
    struct sockaddr_in address = net_address(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) bench_die("no socket: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(fd);
        return -1;
    }
    net_nodelay(fd);
    return fd;
}

void net_send(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd wait = { .fd = fd, .events = POLLOUT };
            (void)poll(&wait, 1, -1);
        } else if (sent <= 0) {
            bench_die("a connection was closed while sending");
        } else {
            at += sent;
            len -= (size_t)sent;
        }
    }
}

/* ---- HTTP ---- */

int net_http_status(const struct net_http *http)
{
    return http->head_len > 12 ? (int)strtol(http->head + 9, NULL, 10) : 0;
}

size_t net_http_length(const struct net_http *http)
{
    const char *field = strcasestr(http->head, "\r\ncontent-length:");
    return field == NULL ? 0 : (size_t)strtoull(field + 17, NULL, 10);
}

/* Bytes up to the end of the head; true when it is there. */
static bool net_head_take(struct net_http *http, const char **at, const char *end)
{
    size_t before = http->head_len, n = (size_t)(end - *at);
    if (n > NET_HEAD_MAX - before) n = NET_HEAD_MAX - before;
    memcpy(http->head + before, *at, n);
    http->head_len += n;
    http->head[http->head_len] = '\0';
    const char *stop = memmem(http->head, http->head_len, "\r\n\r\n", 4);
    if (stop == NULL) {
        if (http->head_len == NET_HEAD_MAX) bench_die("a head is too long");
        *at += n;
        return false;
    }
    http->head_len = (size_t)(stop - http->head) + 4;
    http->head[http->head_len] = '\0';
    *at += http->head_len - before;
    return true;
}

bool net_http_take(struct net_http *http, const char **at, const char *end)
{
    if (!http->in_body) {
        if (*at < end && http->head_len >= 4 && memcmp(http->head + http->head_len - 4, "\r\n\r\n", 4) == 0)
            http->head_len = 0; /* the one before */
        if (*at == end || !net_head_take(http, at, end)) return false;
        http->in_body = true;
        http->body_left = net_http_length(http);
        if (strcasestr(http->head, "\r\ntransfer-encoding:") != NULL) bench_die("a chunked answer was not expected");
    }
    size_t n = (size_t)(end - *at) < http->body_left ? (size_t)(end - *at) : http->body_left;
    *at += n;
    http->body_left -= n;
    if (http->body_left > 0) return false;
    http->in_body = false;
    return true;
}

/* ---- WebSocket ---- */

/* Bytes of a head whose first two are known. */
static size_t net_ws_head_size(const uint8_t *head)
{
    int len = head[1] & 0x7F;
    return len == 127 ? 10 : len == 126 ? 4 : 2;
}

static uint64_t net_ws_length(const uint8_t *head, size_t size)
{
    if (size == 2) return head[1] & 0x7F;
    uint64_t length = 0;
    for (size_t i = 2; i < size; i++)
        length = length << 8 | head[i];
    return length;
}

bool net_ws_take(struct net_ws *ws, const char **at, const char *end, int *ret_op)
{
    size_t size = ws->head_len < 2 ? 2 : net_ws_head_size(ws->head);
    while (ws->head_len < size) {
        if (*at == end) return false;
        ws->head[ws->head_len++] = (uint8_t) * (*at)++;
        if (ws->head_len == 2) size = net_ws_head_size(ws->head);
        if (ws->head_len < size) continue;
        ws->left = net_ws_length(ws->head, size);
        ws->first_len = 0;
    }
    size_t n = (size_t)(end - *at) < ws->left ? (size_t)(end - *at) : (size_t)ws->left;
    if (ws->first_len < sizeof ws->first) {
        size_t keep = sizeof ws->first - ws->first_len < n ? sizeof ws->first - ws->first_len : n;
        memcpy(ws->first + ws->first_len, *at, keep);
        ws->first_len += keep;
    }
    *at += n;
    ws->left -= n;
    if (ws->left > 0) return false;
    *ret_op = ws->head[0] & 0x0F;
    ws->head_len = 0;
    return true;
}

size_t net_ws_head(size_t payload, uint8_t head[NET_FRAME_HEAD_MAX])
{
    head[0] = 0x81;
    if (payload < 126) {
        head[1] = (uint8_t)payload;
        return 2;
    }
    size_t size = payload < 65536 ? 4 : 10;
    head[1] = size == 4 ? 126 : 127;
    for (size_t i = 2; i < size; i++)
        head[i] = (uint8_t)(payload >> 8 * (size - 1 - i));
    return size;
}
