/* Counters for GET /metrics (Prometheus text format 0.0.4) and /status. Lock-free; any thread. */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "store/buf.h"

#define METRICS_LIST(X)                                                                    \
    X(http_requests, "counter", "HTTP requests answered")                                  \
    X(http_errors, "counter", "HTTP requests answered with a status of 400 or above")      \
    X(http_streams, "gauge", "HTTP streams open now")                                      \
    X(http_bytes, "counter", "Bytes of HTTP bodies sent")                                  \
    X(http_turns, "counter", "Times that an answer waited for others to be given a block") \
    X(connections, "gauge", "Connections open now, of any kind")                           \
    X(connections_refused, "counter", "Connections refused at a limit")                    \
    X(ws_clients, "gauge", "WebSocket clients connected now")                              \
    X(ws_subscriptions, "gauge", "WebSocket subscriptions open now")                       \
    X(ws_frames, "counter", "WebSocket frames sent")                                       \
    X(appended, "counter", "Messages appended by clients")                                 \
    X(append_refused, "counter", "Messages refused")                                       \
    X(blobs_hashed, "counter", "Blobs hashed before they were given out")

struct metrics {
#define METRICS_MEMBER(name, kind, help) _Atomic int64_t name;
    METRICS_LIST(METRICS_MEMBER)
#undef METRICS_MEMBER
};

void metrics_print(const struct metrics *metrics, struct buf *out);

#endif
