/* The life of one request: its head is judged (http_head.c) before its body is read (http_body.c), its handler is called
 * (http_handler.c), and its answer is queued. libmicrohttpd calls exchange_step first with the head, then with pieces of the body, then once more; an
 * answer to the first call costs the connection, so only what must not be read any further is answered there. */
#include <stdlib.h>
#include <string.h>

#include "server/gate.h"
#include "server/http_internal.h"
#include "server/step_back.h"

/* Exchanges, with their buffers up to a size, that wait for the next request. */
#define EXCHANGES_SPARE 128
#define EXCHANGE_KEEP ((size_t)64 << 10)

#define EXCHANGE_SMALL ((size_t)16 << 10) /* body and answer together: never refused for want of room */

/* ---- lists ---- */

void exchange_list_add(struct exchange_list *list, struct exchange *exchange)
{
    exchange->next = list->first;
    exchange->link = &list->first;
    if (list->first != NULL) list->first->link = &exchange->next;
    list->first = exchange;
}

void exchange_list_remove(struct exchange *exchange)
{
    if (exchange->link == NULL) return;
    *exchange->link = exchange->next;
    if (exchange->next != NULL) exchange->next->link = exchange->link;
    exchange->link = NULL;
    exchange->next = NULL;
}

/* ---- from the request line to the end ---- */

/* An exchange whose buffers were used before, or a new one; it counts as under way. */
static struct exchange *exchange_take(struct http *http)
{
    (void)pthread_mutex_lock(&http->lock);
    struct exchange *exchange = http->spare;
    if (exchange != NULL) {
        http->spare = exchange->next;
        http->spare_count--;
    }
    http->exchanges++;
    (void)pthread_mutex_unlock(&http->lock);
    if (exchange == NULL) exchange = calloc(1, sizeof *exchange);
    if (exchange != NULL) return exchange;
    (void)pthread_mutex_lock(&http->lock);
    http->exchanges--;
    (void)pthread_mutex_unlock(&http->lock);
    return NULL;
}

static void exchange_free(struct exchange *exchange)
{
    buf_free(&exchange->target);
    buf_free(&exchange->body);
    buf_free(&exchange->reply.body);
    free(exchange);
}

void exchange_free_spare(struct http *http)
{
    while (http->spare != NULL) {
        struct exchange *exchange = http->spare;
        http->spare = exchange->next;
        exchange_free(exchange);
    }
}

struct buf buf_renew(struct buf old, size_t max)
{
    return (struct buf){ .data = old.data, .cap = old.cap, .max = max };
}

static void exchange_init(struct http *http, struct exchange *exchange)
{
    const struct buf target = exchange->target, body = exchange->body, answer = exchange->reply.body;
    *exchange = (struct exchange){ .http = http };
    exchange->target = buf_renew(target, SIZE_MAX);
    exchange->body = buf_renew(body, (size_t)http->server->config->body_max);
    api_reply_init(&exchange->reply);
    exchange->reply.body = buf_renew(answer, exchange->reply.body.max);
}

static void buf_keep(struct buf *buf)
{
    if (buf->cap > EXCHANGE_KEEP) buf_free(buf);
}

static void body_keep(struct http *http, struct buf *body)
{
    if (body->lent) body_rooms_drop(http->rooms, body);
    buf_keep(body);
}

bool exchange_hold(struct exchange *exchange)
{
    struct http *http = exchange->http;
    size_t len = exchange->body.len + exchange->reply.body.len;
    int64_t now = len > EXCHANGE_SMALL ? (int64_t)len : 0, change = now - exchange->held;
    if (change == 0) return true;
    exchange->held = now;
    return atomic_fetch_add(&http->held, change) + change <= http->server->config->buffered_max;
}

/* The library is done with the answer, so that its memory can serve the next one. */
static void exchange_release(struct http *http, struct exchange *exchange)
{
    turn_end(exchange);
    stream_over(exchange);
    stream_flows(exchange, false);
    ready_over(exchange);
    if (exchange->held > 0) (void)atomic_fetch_sub(&http->held, exchange->held);
    api_request_free(&exchange->req);
    const struct buf answer = exchange->reply.body;
    exchange->reply.body = (struct buf){ .max = answer.max };
    api_reply_free(&exchange->reply);
    exchange->reply.body = answer;
    buf_keep(&exchange->target);
    body_keep(http, &exchange->body);
    buf_keep(&exchange->reply.body);
    (void)pthread_mutex_lock(&http->lock);
    exchange_list_remove(exchange);
    http->exchanges--;
    bool keep = http->spare_count < EXCHANGES_SPARE;
    if (keep) {
        exchange->next = http->spare;
        http->spare = exchange;
        http->spare_count++;
    }
    if (http->stopping) (void)pthread_cond_broadcast(&http->changed);
    (void)pthread_mutex_unlock(&http->lock);
    if (!keep) exchange_free(exchange);
}

void connection_drop(struct http *http, struct http_connection *owner)
{
    struct exchange *exchange = owner->open;
    owner->open = NULL;
    if (exchange != NULL) exchange_release(http, exchange);
}

static struct http_connection *connection_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

void *exchange_open(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct http *http = cls;
    struct http_connection *owner = connection_of(connection);
    if (owner == NULL) return NULL;
    connection_drop(http, owner);
    struct exchange *exchange = exchange_take(http);
    if (exchange == NULL) return NULL;
    exchange_init(http, exchange);
    size_t target_len = strlen(target);
    if (buf_append(&exchange->target, target, target_len + 1) != OK) {
        exchange_release(http, exchange);
        return NULL;
    }
    exchange->connection = connection;
    exchange->owner = owner;
    exchange->req = (struct api_request){
        .server = http->server,
        .arrived_ms = flume_now_ms(),
        .fresh_seq = SEQ_EMPTY,
        .resume = handler_resume,
        .resume_ctx = exchange,
        .target = { exchange->target.data, target_len },
    };
    owner->open = exchange;
    return exchange;
}

void exchange_over(void *cls, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why)
{
    struct http *http = cls;
    struct exchange *exchange = *state;
    struct http_connection *owner = connection_of(connection);
    (void)why;
    if (owner != NULL) atomic_store(&owner->times.waiting_ms, flume_now_ms());
    if (exchange == NULL) return;
    *state = NULL;
    if (owner != NULL) owner->open = NULL;
    exchange_release(http, exchange);
}

/* ---- what libmicrohttpd tells ---- */

/* An answer is queued now only if nothing may be read after it. */
static enum MHD_Result exchange_begin(struct exchange *exchange, const char *method, const char *version)
{
    exchange->begun = true;
    atomic_store(&exchange->owner->times.waiting_ms, 0);
    head_judge(exchange, method, version);
    if (exchange->refused && exchange->close) return exchange_answer(exchange);
    body_awaited(exchange, exchange->req.arrived_ms);
    return MHD_YES;
}

static enum MHD_Result exchange_next(struct exchange *exchange, const char *method, const char *version,
                                     const char *upload, size_t *upload_len)
{
    if (!exchange->begun) return exchange_begin(exchange, method, version);
    if (*upload_len > 0) {
        size_t len = *upload_len;
        *upload_len = 0;
        return body_take(exchange, upload, len);
    }
    if (!gate_body_over(&exchange->owner->times)) return MHD_NO;
    if (!exchange->refused && !exchange->done) {
        exchange->req.body = (struct slice){ exchange->body.data, exchange->body.len };
        if (handler_run(exchange)) return MHD_YES;
    }
    return exchange_answer(exchange);
}

enum MHD_Result exchange_step(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_len, void **state)
{
    struct exchange *exchange = *state;
    (void)cls;
    (void)connection;
    (void)url;
    if (exchange == NULL) return MHD_NO;
    if (exchange->begun) step_aside(); /* a head alone is soon judged */
    return exchange_next(exchange, method, version, upload, upload_len);
}
