/* An api_reply as an HTTP response: the header fields that every answer carries, and the body or stream. */
#include <string.h>

#include "server/http_internal.h"
#include "server/refusal.h"
#include "server/step_back.h"
#include "server/text.h"

#define BYTES_BLOCK ((size_t)64 << 10)

static void header_put(struct MHD_Response *response, const char *name, const char *value)
{
    (void)MHD_add_response_header(response, name, value);
}

static bool header_given(const struct api_reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->header_count; i++)
        if (strcasecmp(reply->headers[i].name, name) == 0) return true;
    return false;
}

static void header_put_default(struct MHD_Response *response, const struct api_reply *reply, const char *name,
                               const char *value)
{
    if (!header_given(reply, name)) header_put(response, name, value);
}

static const char *allow_given(const struct api_reply *reply)
{
    for (size_t i = 0; i < reply->header_count; i++)
        if (strcmp(reply->headers[i].name, "Allow") == 0) return reply->headers[i].value;
    return NULL;
}

/* Only pages of origins on the list read our answers; the others get no field at all, and the browser keeps the
 * answer from them. */
static void cors_put(const struct exchange *exchange, struct MHD_Response *response)
{
    if (exchange->http->server->config->allow_origin_count > 0) header_put(response, "Vary", "Origin");
    if (!exchange->grant.cors) return;
    char origin[300];
    size_t len = exchange->fields.origin.len;
    if (len >= sizeof origin) return;
    memcpy(origin, exchange->fields.origin.data, len);
    origin[len] = '\0';
    header_put(response, "Access-Control-Allow-Origin", origin);
    const char *allow = allow_given(&exchange->reply);
    if (exchange->req.method == API_OPTIONS && exchange->fields.preflight_method.data != NULL && allow != NULL) {
        header_put(response, "Access-Control-Allow-Methods", allow);
        header_put(response, "Access-Control-Allow-Headers",
                   "Authorization, Content-Type, Prefer, If-Match, If-None-Match, If-Range, Last-Event-ID, Range");
        header_put(response, "Access-Control-Max-Age", "600");
        return;
    }
    header_put(
        response, "Access-Control-Expose-Headers",
        "Accept-Ranges, Content-Disposition, Content-Range, ETag, Link, Location, Preference-Applied, Retry-After, "
        "Sluice-Log-Durable, Sluice-Log-Head, Sluice-Log-Since, Sluice-Since");
}

/* Those of the handler. */
static void headers_put_given(const struct exchange *exchange, struct MHD_Response *response)
{
    const struct api_reply *reply = &exchange->reply;
    for (size_t i = 0; i < reply->header_count; i++)
        header_put(response, reply->headers[i].name, reply->headers[i].value);
}

/* Those that every answer carries. */
static void headers_put(const struct exchange *exchange, struct MHD_Response *response, bool closing)
{
    const struct api_reply *reply = &exchange->reply;
    bool bodyless = reply->status == 204 || reply->status == 304;
    if (!bodyless) header_put_default(response, reply, "Content-Type", reply->content_type);
    header_put_default(response, reply, "Cache-Control", reply->status >= 400 ? "no-store" : "no-cache");
    header_put_default(response, reply, "Content-Security-Policy", REFUSAL_POLICY);
    header_put(response, "X-Content-Type-Options", "nosniff");
    header_put_default(response, reply, "Cross-Origin-Resource-Policy", "same-origin");
    header_put(response, "Server", "Sluice");
    if (reply->status == 401) header_put(response, "WWW-Authenticate", "Bearer realm=\"sluice\"");
    if (exchange->grant.short_token)
        header_put(response, "WWW-Authenticate", "Bearer realm=\"sluice\", error=\"insufficient_scope\"");
    if (reply->stream != NULL) header_put(response, "X-Accel-Buffering", "no");
    if (closing) header_put(response, "Connection", "close");
    cors_put(exchange, response);
}

/* A body of so many bytes is given in turns where others take as much. */
#define BODY_TURNS ((size_t)128 << 10)
#define BODY_BLOCK ((size_t)32 << 10)

static ssize_t body_read(void *cls, uint64_t at, char *to, size_t max)
{
    struct exchange *exchange = cls;
    const struct buf *body = &exchange->reply.body;
    step_aside();
    if (turn_wait(exchange)) return 0;
    size_t len = body->len - (size_t)at < max ? body->len - (size_t)at : max;
    memcpy(to, body->data + at, len);
    exchange->given += len;
    return (ssize_t)len;
}

/* The body stays where it is until exchange_over, which comes after the last byte was sent. */
static struct MHD_Response *body_response(struct exchange *exchange)
{
    struct buf *body = &exchange->reply.body;
    if (body->len >= BODY_TURNS && exchange->req.method != API_HEAD) {
        stream_flows(exchange, true);
        if (turns_crowded(exchange->http))
            return MHD_create_response_from_callback(body->len, BODY_BLOCK, body_read, exchange, NULL);
    }
    void *data = body->len > 0 ? body->data : (void *)(uintptr_t) "";
    return MHD_create_response_from_buffer(body->len, data, MHD_RESPMEM_PERSISTENT);
}

static ssize_t bytes_read(void *cls, uint64_t at, char *to, size_t max)
{
    const struct api_bytes *bytes = cls;
    size_t len = 0;
    int64_t left = bytes->len - (int64_t)at;
    if (left < (int64_t)max) max = (size_t)left;
    int err = bytes->read(bytes->ctx, bytes->at + (int64_t)at, to, max, &len);
    return err != OK || len == 0 ? MHD_CONTENT_READER_END_WITH_ERROR : (ssize_t)len;
}

/* The library sends a file without a copy, and closes it. */
static struct MHD_Response *bytes_response(struct exchange *exchange)
{
    struct api_bytes *bytes = &exchange->reply.bytes;
    if (bytes->fd < 0)
        return MHD_create_response_from_callback((uint64_t)bytes->len, BYTES_BLOCK, bytes_read, bytes, NULL);
    struct MHD_Response *response =
        MHD_create_response_from_fd_at_offset64((uint64_t)bytes->len, bytes->fd, (uint64_t)bytes->at);
    if (response != NULL) bytes->fd = -1;
    return response;
}

/* Made for this answer, or made ready by an earlier one. *ret_ready: it is not the caller's. */
static struct MHD_Response *body_response_complete(struct exchange *exchange, bool *ret_ready)
{
    bool complete = false, closing = exchange->close || atomic_load(&exchange->http->stopping);
    struct MHD_Response *response = closing ? NULL : ready_response(exchange, &complete);
    *ret_ready = response != NULL;
    if (response == NULL) {
        response = body_response(exchange);
        if (response != NULL) headers_put_given(exchange, response);
    }
    if (response != NULL && !complete) headers_put(exchange, response, closing);
    return response;
}

static bool reply_broken(const struct api_reply *reply)
{
    return reply->stream == NULL && reply->body.err != OK;
}

/* Large answers are given while there is room for them: clients that do not read keep them in memory. */
static void reply_hold(struct exchange *exchange)
{
    struct api_reply *reply = &exchange->reply;
    if (reply->stream != NULL || exchange_hold(exchange)) return;
    buf_free(&reply->body);
    (void)api_header_add(reply, "Retry-After", "5");
    (void)api_problem(reply, "overloaded", NULL,
                      "the bodies and answers in memory have more bytes than --buffered-max allows");
    (void)exchange_hold(exchange);
}

/* What the owner was shown is nobody else's, in caches between us neither. */
static void reply_mark_owner(struct exchange *exchange)
{
    struct api_reply *reply = &exchange->reply;
    if (exchange->req.server == exchange->http->server) return;
    if (reply->status < 400 && !header_given(reply, "Cache-Control"))
        (void)api_header_add(reply, "Cache-Control", "private, no-cache");
    (void)api_header_add(reply, "Vary", "Authorization");
}

enum MHD_Result exchange_answer(struct exchange *exchange)
{
    struct http *http = exchange->http;
    struct api_reply *reply = &exchange->reply;
    reply_mark_owner(exchange);
    if (reply_broken(reply)) (void)api_problem_err(reply, err_set(reply->body.err, "the answer is too large"));
    reply_hold(exchange);
    int64_t bytes = (int64_t)reply->body.len;
    struct MHD_Response *response = NULL;
    bool full = false, ready = false;
    if (reply->stream != NULL) {
        response = stream_response(exchange, &full);
        bytes = 0;
    }
    if (reply->bytes.there) {
        response = bytes_response(exchange);
        bytes = reply->bytes.len;
    }
    if (response != NULL) {
        headers_put_given(exchange, response);
        headers_put(exchange, response, exchange->close || atomic_load(&http->stopping));
    }
    if (full) {
        (void)api_header_add(reply, "Retry-After", "5");
        (void)api_problem(reply, "overloaded", NULL, "there are %lld live streams already",
                          (long long)http->server->config->streams_max);
    }
    if (reply->stream == NULL && !reply->bytes.there) response = body_response_complete(exchange, &ready);
    if (response == NULL) return MHD_NO;

    http->server->metrics.http_requests++;
    if (reply->status >= 400) http->server->metrics.http_errors++;
    if (exchange->req.method != API_HEAD) http->server->metrics.http_bytes += bytes;
    enum MHD_Result queued = MHD_queue_response(exchange->connection, (unsigned)reply->status, response);
    if (!ready) MHD_destroy_response(response);
    return queued;
}
