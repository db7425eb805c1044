/* The body of a request: waited for no longer than it may be silent, kept in memory, written to the file of an upload, or thrown away. */
#include "server/ahead.h"
#include "server/gate.h"
#include "server/http_internal.h"
#include "store/blob_dir.h"

/* How much of a body that is too large is read and thrown away before the connection is cut: a client that is still
 * writing sees no answer. */
#define DISCARD_MAX ((uint64_t)8 << 20)

bool body_too_large(struct exchange *exchange)
{
    (void)api_problem(
        &exchange->reply, "too-large", NULL,
        "the body has more than %lld bytes: send less at once, or start the server with a larger --body-max",
        (long long)exchange->http->server->config->body_max);
    return exchange_refuse(exchange);
}

static bool body_crowded(struct exchange *exchange)
{
    (void)api_header_add(&exchange->reply, "Retry-After", "5");
    (void)api_problem(&exchange->reply, "overloaded", NULL,
                      "the bodies and answers in memory have more bytes than --buffered-max allows");
    return exchange_refuse(exchange);
}

/* A body must not be silent for longer than the idle time. One that comes drop by drop never is: beyond that time it has to
 * bring a byte every millisecond on average. */
void body_awaited(struct exchange *exchange, int64_t now_ms)
{
    int64_t idle = exchange->http->server->config->idle_timeout * 1000, silent = now_ms + idle;
    int64_t slow = exchange->req.arrived_ms + idle + (int64_t)exchange->received;
    _Atomic int64_t *until = &exchange->owner->times.body_until_ms;
    int64_t before = atomic_load(until);
    if (before >= 0) (void)atomic_compare_exchange_strong(until, &before, slow < silent ? slow : silent);
}

/* More than the kernels on both sides may hold on its way. Who sends more was able to read, and a connection that is closed with bytes unread is reset,
 * which can take the answer away from a client that has not read it. */
#define TOLD_BYTES_MAX ((uint64_t)64 << 20)

/* Nobody reads on for ever: who has still not ended is told now, and cut a while after it. */
static enum MHD_Result body_endless(struct exchange *exchange, uint64_t over)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info == NULL || over > DISCARD_MAX + TOLD_BYTES_MAX) return MHD_NO;
    (void)gate_tell(&exchange->owner->times, info->connect_fd, flume_now_ms(), "too-large",
                    "the body does not end: send less at once");
    return MHD_YES;
}

static void body_upload(struct exchange *exchange, const char *data, size_t len)
{
    int err = blob_upload_write(exchange->req.upload, data, len);
    if (err == OK) return;
    exchange->close = true;
    (void)api_problem_err(&exchange->reply, err);
    (void)exchange_refuse(exchange);
}

static void body_forget(struct exchange *exchange)
{
    ahead_free(exchange->req.ahead);
    exchange->req.ahead = NULL;
    body_rooms_drop(exchange->http->rooms, &exchange->body);
}

enum MHD_Result body_take(struct exchange *exchange, const char *data, size_t len)
{
    const struct config *config = exchange->http->server->config;
    bool upload = exchange->req.upload != NULL;
    uint64_t max = (uint64_t)(upload ? config->blob_max : config->body_max);
    exchange->received += len;
    if (exchange->received > max + DISCARD_MAX) return body_endless(exchange, exchange->received - max);
    body_awaited(exchange, flume_now_ms());
    if (exchange->refused || exchange->req.method != API_POST) return MHD_YES;
    if (upload) {
        body_upload(exchange, data, len);
        return MHD_YES;
    }
    if (exchange->received > max) {
        body_forget(exchange);
        exchange->close = true;
        (void)body_too_large(exchange);
        return MHD_YES;
    }
    if (body_rooms_append(exchange->http->rooms, &exchange->body, data, len) != OK) return MHD_NO;
    if (exchange_hold(exchange)) {
        api_body_comes(&exchange->req, (struct slice){ exchange->body.data, exchange->body.len });
        return MHD_YES;
    }
    body_forget(exchange);
    (void)exchange_hold(exchange);
    exchange->close = true;
    (void)body_crowded(exchange);
    return MHD_YES;
}
