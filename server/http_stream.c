/* A stream: rows pulled while the client reads. libmicrohttpd asks for bytes when the socket takes some; a live
 * stream that has none suspends its connection and is resumed by a wake, or by the clock for a sign of life, without
 * which a client that vanished would never be noticed. */
#include <string.h>

#include "server/http_internal.h"
#include "server/rows.h"

#define STREAM_BLOCK ((size_t)64 << 10) /* the most that is sent at once; the memory of a connection may allow less */
#define STREAM_LEAST ((size_t)4 << 10)
#define STREAM_TURN ((size_t)512 << 10) /* of all streams together: so much stands between a request and its turn */
#define STREAM_KEEP ((size_t)128 << 10) /* a buffer that one huge row made larger is not kept */
#define STREAM_ROW_MAX ((size_t)64 << 20)

static size_t stream_bytes(const struct exchange *exchange)
{
    return exchange->out.len - exchange->out_at;
}

static size_t stream_give(struct exchange *exchange, char *to, size_t max)
{
    size_t len = stream_bytes(exchange);
    if (len > max) len = max;
    memcpy(to, exchange->out.data + exchange->out_at, len);
    exchange->out_at += len;
    exchange->last_ms = flume_now_ms();
    atomic_fetch_add_explicit(&exchange->http->server->metrics.http_bytes, (int64_t)len, memory_order_relaxed);
    if (stream_bytes(exchange) == 0) {
        exchange->out_at = 0;
        buf_reset(&exchange->out);
        if (exchange->out.cap > STREAM_KEEP) buf_free(&exchange->out);
    }
    return len;
}

/* What was not given goes to the front: less than a row. */
static void stream_compact(struct exchange *exchange)
{
    size_t len = stream_bytes(exchange);
    if (exchange->out_at == 0) return;
    memmove(exchange->out.data, exchange->out.data + exchange->out_at, len);
    exchange->out.len = len;
    exchange->out_at = 0;
}

/* Collects rows until there are `want` bytes, so that nothing but full blocks is sent while there is more. An error ends the
 * stream with a frame that says so. */
static void stream_fill(struct exchange *exchange, size_t want)
{
    struct rows *rows = exchange->reply.stream;
    int got = 1;
    stream_compact(exchange);
    while (got == 1 && exchange->out.len < want)
        got = rows_next_framed(rows, exchange->reply.format, &exchange->out);
    if (got < 0) (void)rows_error_framed(got, exchange->reply.format, &exchange->out);
    if (got < 0 || (got == 0 && (rows->ended || !rows->live))) exchange->finished = true;
}

/* How much of a stream is made at once. With many of them each has a smaller part, so that a request among them is not
 * kept waiting by those who want everything there is. */
static size_t stream_share(const struct http *http)
{
    int64_t flowing = atomic_load_explicit(&http->flowing, memory_order_relaxed);
    size_t share = flowing > 1 ? STREAM_TURN / (size_t)flowing : STREAM_BLOCK;
    return share > STREAM_BLOCK ? STREAM_BLOCK : share < STREAM_LEAST ? STREAM_LEAST : share;
}

static void stream_flows(struct exchange *exchange, bool flows)
{
    if (exchange->flows == flows) return;
    exchange->flows = flows;
    (void)atomic_fetch_add_explicit(&exchange->http->flowing, flows ? 1 : -1, memory_order_relaxed);
}

static bool stream_silent(const struct exchange *exchange, int64_t now_ms)
{
    return now_ms - exchange->last_ms >= exchange->http->server->config->heartbeat * 1000;
}

static void stream_sign_of_life(struct exchange *exchange)
{
    (void)buf_puts(&exchange->out, exchange->reply.format == API_SSE ? ": \n\n" : "\n");
}

/* false = look again: something came between the look and now. */
static bool stream_suspend(struct exchange *exchange)
{
    struct http *http = exchange->http;
    (void)pthread_mutex_lock(&http->lock);
    bool suspend = http->generation == exchange->seen && !http->stopping;
    if (suspend) {
        stream_flows(exchange, false);
        MHD_suspend_connection(exchange->connection);
        exchange_list_add(&http->live, exchange);
    }
    (void)pthread_mutex_unlock(&http->lock);
    return suspend;
}

/* What wakes and stops have done so far. */
static void stream_look(struct exchange *exchange, bool *ret_stopping, bool *ret_ending)
{
    struct http *http = exchange->http;
    (void)pthread_mutex_lock(&http->lock);
    exchange->seen = http->generation;
    *ret_stopping = http->stopping;
    *ret_ending = http->ending;
    (void)pthread_mutex_unlock(&http->lock);
}

static ssize_t stream_read(void *cls, uint64_t at, char *to, size_t max)
{
    struct exchange *exchange = cls;
    size_t share = stream_share(exchange->http);
    (void)at;
    if (max > share) max = share;
    for (;;) {
        bool stopping = false, ending = false;
        if (!exchange->finished && stream_bytes(exchange) < max) {
            stream_look(exchange, &stopping, &ending);
            /* the client must be able to tell a stream that was cut from one that ended */
            if (ending) return MHD_CONTENT_READER_END_WITH_ERROR;
            stream_fill(exchange, max);
        }
        if (stream_bytes(exchange) > 0) return (ssize_t)stream_give(exchange, to, max);
        if (exchange->finished) return MHD_CONTENT_READER_END_OF_STREAM;
        if (stopping)
            exchange->finished = true;
        else if (stream_silent(exchange, flume_now_ms()))
            stream_sign_of_life(exchange);
        else if (stream_suspend(exchange))
            return 0;
    }
}

static bool stream_take_place(struct exchange *exchange)
{
    struct http *http = exchange->http;
    (void)pthread_mutex_lock(&http->lock);
    bool taken = http->streams < http->server->config->streams_max;
    if (taken) http->streams++;
    (void)pthread_mutex_unlock(&http->lock);
    exchange->counted = taken;
    return taken;
}

struct MHD_Response *stream_response(struct exchange *exchange, bool *ret_full)
{
    bool live = exchange->reply.stream->live && exchange->req.method == API_GET;
    *ret_full = live && !stream_take_place(exchange);
    if (*ret_full) return NULL;
    buf_init(&exchange->out, STREAM_ROW_MAX);
    exchange->last_ms = flume_now_ms();
    stream_flows(exchange, true);
    if (exchange->reply.format == API_SSE)
        (void)buf_puts(&exchange->out, "retry: 2000\n\n");
    else if (live)
        (void)buf_putc(&exchange->out,
                       '\n'); /* with it the head leaves at once, even if the first row is long in coming */
    exchange->http->server->metrics.http_streams++;
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read, exchange, NULL);
}

void stream_over(struct exchange *exchange)
{
    struct http *http = exchange->http;
    if (exchange->out.max == 0) return;
    http->server->metrics.http_streams--;
    stream_flows(exchange, false);
    buf_free(&exchange->out);
    (void)pthread_mutex_lock(&http->lock);
    if (exchange->counted) http->streams--;
    (void)pthread_mutex_unlock(&http->lock);
}

void stream_resume(struct http *http, int64_t silent_ms)
{
    int64_t now = flume_now_ms();
    struct exchange *next;
    for (struct exchange *exchange = http->live.first; exchange != NULL; exchange = next) {
        next = exchange->next;
        if (now - exchange->last_ms < silent_ms) continue;
        exchange_list_remove(exchange);
        stream_flows(exchange, true);
        MHD_resume_connection(exchange->connection);
    }
}
