/* Sockets, HTTP heads and WebSocket frames, as little of them as two ends of a measurement need that trust each other. */
#ifndef TESTS_BENCH_NET_H
#define TESTS_BENCH_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int net_listen(uint16_t port);  /* 127.0.0.1, not blocking */
int net_connect(uint16_t port); /* -1 if nobody listens */
void net_nonblocking(int fd);
void net_nodelay(int fd);
void net_send(int fd, const void *data, size_t len); /* waits until all of it is sent */

/* ---- HTTP ---- */

#define NET_HEAD_MAX 8192

/* Heads and sizes of bodies out of a stream of bytes. */
struct net_http {
    char head[NET_HEAD_MAX + 1];
    size_t head_len;
    bool in_body;
    size_t body_left;
};

/* Takes bytes from *at on: true = a message (head and body) is complete and *at stands behind it; false = all bytes were
 * taken. The head of the newest message stays in `head`. */
bool net_http_take(struct net_http *http, const char **at, const char *end);
int net_http_status(const struct net_http *http);
size_t net_http_length(const struct net_http *http); /* of the body */

/* ---- WebSocket ---- */

#define NET_FRAME_HEAD_MAX 10

/* Frames without masks out of a stream of bytes. */
struct net_ws {
    uint8_t head[NET_FRAME_HEAD_MAX];
    size_t head_len;
    uint64_t left;    /* of the payload */
    uint8_t first[8]; /* the payload's first bytes */
    size_t first_len;
};

/* As net_http_take. *ret_op is the frame's opcode. */
bool net_ws_take(struct net_ws *ws, const char **at, const char *end, int *ret_op);

/* The head of a frame of one text; answers its length. */
size_t net_ws_head(size_t payload, uint8_t head[NET_FRAME_HEAD_MAX]);

#endif
