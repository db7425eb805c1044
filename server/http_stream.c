/* A stream: rows pulled while the client reads. libmicrohttpd asks for bytes when the socket takes some; a live
 * stream that has none suspends its connection and is resumed by a wake, or by the clock for a sign of life, without
 * which a client that vanished would never be noticed. */
#include <string.h>

#include "server/http_internal.h"
#include "server/patience.h"
#include "server/rows.h"
#include "server/send_buffer.h"
#include "server/step_back.h"

#define STREAM_BLOCK ((size_t)64 << 10) /* the most that is sent at once; the memory of a connection may allow less */
#define STREAM_LEAST ((size_t)4 << 10)
#define STREAM_TURN ((size_t)512 << 10) /* of all streams together: so much stands between a request and its turn */
#define STREAM_KEEP ((size_t)128 << 10) /* a buffer that one huge row made larger is not kept */
#define STREAM_ROW_MAX ((size_t)64 << 20)
#define STREAM_ROOM ((size_t)4 << 10) /* most rows fit in so much */

/* A client that has taken so much in one go is sent to with a free send buffer, as long as few are: with a small one server and
 * client sleep and wake by turns, which costs more than the bytes do. */
#define STREAM_WIDE_AFTER ((size_t)1 << 20)
#define STREAMS_WIDE 16

static size_t stream_bytes(const struct exchange *exchange)
{
    return exchange->out.len - exchange->out_at;
}

static int stream_socket(const struct exchange *exchange)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info != NULL ? info->connect_fd : -1;
}

static void stream_widen(struct exchange *exchange)
{
    struct http *http = exchange->http;
    exchange->wide = atomic_fetch_add(&http->wide, 1) < STREAMS_WIDE;
    if (exchange->wide)
        send_buffer_free(stream_socket(exchange));
    else
        (void)atomic_fetch_sub(&http->wide, 1);
}

/* It ends, or has all there is. */
static void stream_narrow(struct exchange *exchange)
{
    exchange->flown = 0;
    if (!exchange->wide) return;
    exchange->wide = false;
    send_buffer_cap(stream_socket(exchange));
    (void)atomic_fetch_sub(&exchange->http->wide, 1);
}

/* The library has `len` more bytes. */
static void stream_gave(struct exchange *exchange, size_t len)
{
    exchange->last_ms = flume_now_ms();
    atomic_fetch_add_explicit(&exchange->http->server->metrics.http_bytes, (int64_t)len, memory_order_relaxed);
    exchange->flown += len;
    exchange->given += len;
    if (exchange->flown < STREAM_WIDE_AFTER) return;
    exchange->flown = 0;
    if (!exchange->wide) stream_widen(exchange);
}

static size_t stream_give(struct exchange *exchange, char *to, size_t max)
{
    size_t len = stream_bytes(exchange);
    if (len > max) len = max;
    memcpy(to, exchange->out.data + exchange->out_at, len);
    exchange->out_at += len;
    stream_gave(exchange, len);
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
static void stream_collect(struct exchange *exchange, struct buf *out, size_t want)
{
    struct rows *rows = exchange->reply.stream;
    int got = 1;
    while (got == 1 && out->len < want) {
        /* what is lent ends with the block */
        if (out->lent) rows_copy_framed(rows, exchange->reply.format, out);
        if (out->len < want) got = rows_next_framed(rows, exchange->reply.format, out);
    }
    exchange->slow = got == ERR_SLOW && patience_limited();
    if (exchange->slow) return;
    if (got < 0) (void)rows_error_framed(got, exchange->reply.format, out);
    if (got < 0 || (got == 0 && (rows->ended || !rows->live))) exchange->finished = true;
}

/* Rows straight into the library's memory: how many bytes; 0 = there were none, or they are in `out` because one was too
 * large. */
static size_t stream_fill_direct(struct exchange *exchange, char *to, size_t max)
{
    struct buf direct;
    buf_lend(&direct, to, max, exchange->out.max);
    stream_collect(exchange, &direct, max > STREAM_ROOM ? max - STREAM_ROOM : max);
    if (direct.lent) {
        if (direct.len > 0) stream_gave(exchange, direct.len);
        return direct.len;
    }
    buf_free(&exchange->out);
    exchange->out = direct;
    return 0;
}

static void stream_fill(struct exchange *exchange, size_t want)
{
    stream_compact(exchange);
    stream_collect(exchange, &exchange->out, want);
}

/* How much of a stream is made at once. With many of them each has a smaller part, so that a request among them is not
 * kept waiting by those who want everything there is. */
static size_t stream_share(const struct http *http)
{
    int64_t flowing = atomic_load_explicit(&http->flowing, memory_order_relaxed);
    size_t share = flowing > 1 ? STREAM_TURN / (size_t)flowing : STREAM_BLOCK;
    return share > STREAM_BLOCK ? STREAM_BLOCK : share < STREAM_LEAST ? STREAM_LEAST : share;
}

void stream_flows(struct exchange *exchange, bool flows)
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
        turn_end(exchange);
        stream_flows(exchange, false);
        stream_narrow(exchange);
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

/* What a job does of a stream before it gives it back: a row, and as many more as come within STREAM_WORK_MS, up to a block. */
#define STREAM_WORK_MS 5

/* A block that took so much of a thread's time, in us, is made by a job the next time, too: others would wait for it on an HTTP thread. */
#define STREAM_HEAVY 500

static void stream_fill_slowly(struct exchange *exchange)
{
    int64_t began_ms = flume_now_ms(), began = clock_us(CLOCK_THREAD_CPUTIME_ID), took_ms;
    size_t had;
    do {
        had = stream_bytes(exchange);
        stream_fill(exchange, had + 1);
        took_ms = flume_now_ms() - began_ms;
    } while (stream_bytes(exchange) > had && had < STREAM_BLOCK && took_ms < STREAM_WORK_MS && !exchange->finished);
    /* the rows after these will take long as well */
    bool heavy = took_ms >= STREAM_WORK_MS || clock_us(CLOCK_THREAD_CPUTIME_ID) - began >= STREAM_HEAVY;
    exchange->slow = heavy && stream_bytes(exchange) > had && !exchange->finished;
}

/* Looks for the next row on a thread of the jobs. */
static void stream_work(void *ctx)
{
    struct exchange *exchange = ctx;
    struct http *http = exchange->http;
    atomic_fetch_add(&http->handling, 1);
    if (!atomic_load(&http->ending)) stream_fill_slowly(exchange);
    stream_flows(exchange, true);
    atomic_fetch_sub(&http->handling, 1);
    exchange_give_back(exchange);
}

/* false = there are too many jobs: the stream ends with an error that says so; or the server ends, and there is none. */
static bool stream_give_away(struct exchange *exchange)
{
    exchange->slow = false;
    stream_flows(exchange, false);
    turn_end(exchange);
    int err = exchange_give(exchange, exchange->http->jobs, stream_work);
    if (err == OK) return true;
    stream_flows(exchange, true);
    if (atomic_load(&exchange->http->ending)) return false;
    (void)rows_error_framed(err, exchange->reply.format, &exchange->out);
    exchange->finished = true;
    return false;
}

/* What there is to give without looking for long: bytes put into `to`, 0 = they are in `out`, or there are none. */
static size_t stream_look_for(struct exchange *exchange, char *to, size_t max)
{
    size_t len = 0;
    patience_limit(http_patience(exchange->http));
    if (stream_bytes(exchange) == 0)
        len = stream_fill_direct(exchange, to, max);
    else
        stream_fill(exchange, max);
    patience_limit(0);
    return len;
}

static ssize_t stream_read(void *cls, uint64_t at, char *to, size_t max)
{
    struct exchange *exchange = cls;
    size_t share = stream_share(exchange->http);
    (void)at;
    step_aside();
    if (turn_wait(exchange)) return 0;
    /* in a turn of its own it holds up nobody */
    if (max > share && exchange->turn == 0) max = share;
    for (;;) {
        bool stopping = false, ending = false;
        if (!exchange->finished && stream_bytes(exchange) < max) {
            stream_look(exchange, &stopping, &ending);
            /* the client must be able to tell a stream that was cut from one that ended */
            if (ending) return MHD_CONTENT_READER_END_WITH_ERROR;
            size_t len = exchange->slow ? 0 : stream_look_for(exchange, to, max);
            if (len > 0) return (ssize_t)len;
        }
        if (stream_bytes(exchange) > 0) return (ssize_t)stream_give(exchange, to, max);
        if (exchange->finished) return MHD_CONTENT_READER_END_OF_STREAM;
        if (exchange->slow) {
            if (stream_give_away(exchange)) return 0;
            continue;
        }
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
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read, exchange, NULL);
    /* the library ends chunks that the answer to a HEAD never had, which the client takes for the next answer */
    if (response != NULL && exchange->req.method == API_HEAD)
        (void)MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    return response;
}

void stream_over(struct exchange *exchange)
{
    struct http *http = exchange->http;
    if (exchange->out.max == 0) return;
    http->server->metrics.http_streams--;
    stream_flows(exchange, false);
    stream_narrow(exchange);
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
