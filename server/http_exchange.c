/* The life of one request: its fields are judged before its body is read, its handler is called (http_handler.c), and its
 * answer is queued. libmicrohttpd calls exchange_step first with the head, then with pieces of the body, then once more; an
 * answer to the first call costs the connection, so only what must not be read any further is answered there. */
#include <stdlib.h>
#include <string.h>

#include "server/ahead.h"
#include "server/gate.h"
#include "server/handshake.h"
#include "server/http_internal.h"
#include "server/step_back.h"
#include "server/text.h"
#include "store/blob_dir.h"

/* How much of a body that is too large is read and thrown away before the connection is cut: a client that is still
 * writing sees no answer. */
#define DISCARD_MAX ((uint64_t)8 << 20)

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

/* ---- header fields ---- */

static void field_set(struct exchange *exchange, struct slice *field, struct slice value, bool single)
{
    if (field->data == NULL)
        *field = value;
    else if (single)
        exchange->fields.ambiguous = true;
}

/* libmicrohttpd lets pass "Content-Length : 5" and folded lines, and then takes the body for a request. The first head of a
 * connection was judged before it came here; this is for those that follow. */
static bool field_plain(struct slice name, struct slice value)
{
    return handshake_token(name) && handshake_value(value) &&
           (value.len == 0 || (value.data[0] != ' ' && value.data[0] != '\t'));
}

#define FIELD(name) name, sizeof(name) - 1

static enum MHD_Result field_take(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_len,
                                  const char *value, size_t value_len)
{
    struct exchange *exchange = cls;
    struct exchange_fields *fields = &exchange->fields;
    struct api_request *req = &exchange->req;
    const struct {
        const char *name;
        size_t len;
        struct slice *field;
        bool single; /* two of them make the request ambiguous */
    } known[] = {
        { FIELD("Host"), &fields->host, true },
        { FIELD("Origin"), &fields->origin, true },
        { FIELD("Referer"), &fields->referer, false },
        { FIELD("Authorization"), &fields->authorization, true },
        { FIELD("Content-Length"), &fields->content_length, true },
        { FIELD("Transfer-Encoding"), &fields->transfer_encoding, true },
        { FIELD("Content-Type"), &req->content_type, true },
        { FIELD("Upgrade"), &fields->upgrade, false },
        { FIELD("Sec-WebSocket-Protocol"), &fields->socket_protocol, false },
        { FIELD("Access-Control-Request-Method"), &fields->preflight_method, false },
        { FIELD("Accept"), &req->accept, false },
        { FIELD("Prefer"), &req->prefer, false },
        { FIELD("If-None-Match"), &req->if_none_match, false },
        { FIELD("If-Match"), &req->if_match, true },
        { FIELD("Last-Event-ID"), &req->last_event_id, false },
        { FIELD("Range"), &req->range, false },
        { FIELD("If-Range"), &req->if_range, false },
    };
    (void)kind;
    struct slice text = value == NULL ? (struct slice){ "", 0 } : (struct slice){ value, value_len };
    fields->odd |= !field_plain((struct slice){ key, key_len }, text);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (key_len != known[i].len || strncasecmp(key, known[i].name, key_len) != 0) continue;
        field_set(exchange, known[i].field, text, known[i].single);
    }
    return MHD_YES;
}

static enum api_method method_of(const char *name)
{
    if (strcmp(name, "GET") == 0) return API_GET;
    if (strcmp(name, "HEAD") == 0) return API_HEAD;
    if (strcmp(name, "POST") == 0) return API_POST;
    if (strcmp(name, "OPTIONS") == 0) return API_OPTIONS;
    return API_OTHER;
}

/* "GET http://host/path": the authority counts as the Host field (RFC 9112 3.2.2). */
static void target_cut(struct exchange *exchange)
{
    struct slice *target = &exchange->req.target;
    if (target->len < 7 || strncasecmp(target->data, "http://", 7) != 0) return;
    const char *host = target->data + 7;
    size_t host_len = strcspn(host, "/?#");
    exchange->fields.host = (struct slice){ host, host_len };
    *target = (struct slice){ host + host_len, target->len - 7 - host_len };
    if (target->len == 0) *target = SLICE_LITERAL("/");
}

/* ---- what is wrong with the head ---- */

static bool refuse(struct exchange *exchange)
{
    exchange->refused = true;
    return false;
}

static bool head_framing(struct exchange *exchange)
{
    const struct exchange_fields *fields = &exchange->fields;
    const char *why = NULL;
    int64_t length;
    if (fields->odd)
        why = "a header field is folded or is not: NAME: VALUE";
    else if (fields->ambiguous)
        why = "a header field that may stand once stands twice";
    else if (fields->transfer_encoding.data != NULL && fields->content_length.data != NULL)
        why = "Content-Length and Transfer-Encoding contradict each other";
    else if (fields->transfer_encoding.data != NULL && fields->old)
        why = "HTTP/1.0 knows no Transfer-Encoding";
    else if (fields->transfer_encoding.data != NULL && !text_is_nocase(fields->transfer_encoding, "chunked"))
        why = "the only Transfer-Encoding taken here is chunked";
    else if (fields->content_length.data != NULL && !text_int(fields->content_length, 0, INT64_MAX, &length))
        why = "Content-Length is no number";
    if (why == NULL) {
        /* A body whose length got lost in the library's reading (it passes over a folded Content-Length) is not to be
         * read as the next request. Everybody who posts nothing at all says so by Content-Length: 0. */
        bool framed = fields->content_length.data != NULL || fields->transfer_encoding.data != NULL;
        if (!framed && (exchange->req.method == API_POST || exchange->req.method == API_OTHER)) exchange->close = true;
        return true;
    }
    /* where the body ends is anybody's guess: nothing more is read from this connection */
    exchange->close = true;
    (void)api_problem(&exchange->reply, "bad-request", NULL, "%s", why);
    return refuse(exchange);
}

static bool head_access(struct exchange *exchange)
{
    struct api_request *req = &exchange->req;
    const struct server *server = exchange->http->server;
    const struct access_request request = {
        .host = exchange->fields.host,
        .origin = exchange->fields.origin,
        .referer = exchange->fields.referer,
        .authorization = exchange->fields.authorization,
        .protocols = exchange->fields.upgrade.data != NULL ? exchange->fields.socket_protocol : (struct slice){ 0 },
        .target = req->target,
        /* a preflight carries no token, and tells nothing */
        .needs = req->method == API_OPTIONS ? 0 : api_target_needs(server, req->method, req->target),
        .loopback = exchange->owner->loopback,
    };
    access_check(server->access, &request, &exchange->grant);
    req->public_only = exchange->grant.public_only;
    req->may_append = exchange->grant.may_append;
    req->may_private = exchange->grant.may_private;
    req->may_publish = exchange->grant.may_publish;
    req->may_embed = exchange->grant.may_embed;
    if (exchange->grant.problem == NULL) {
        bool reads = req->method == API_GET || req->method == API_HEAD;
        req->server = api_server_of(req->server, reads && req->may_private);
        return true;
    }
    (void)api_problem(&exchange->reply, exchange->grant.problem, NULL, "%s", exchange->grant.detail);
    return refuse(exchange);
}

static bool head_target(struct exchange *exchange)
{
    int64_t max = exchange->http->server->config->target_max;
    if (exchange->req.target.len <= (size_t)max) return true;
    (void)api_problem(&exchange->reply, "target-too-long", NULL,
                      "the request target has %zu bytes, at most %lld are taken", exchange->req.target.len,
                      (long long)max);
    return refuse(exchange);
}

static bool body_too_large(struct exchange *exchange)
{
    (void)api_problem(
        &exchange->reply, "too-large", NULL,
        "the body has more than %lld bytes: send less at once, or start the server with a larger --body-max",
        (long long)exchange->http->server->config->body_max);
    return refuse(exchange);
}

static bool body_crowded(struct exchange *exchange)
{
    (void)api_header_add(&exchange->reply, "Retry-After", "5");
    (void)api_problem(&exchange->reply, "overloaded", NULL,
                      "the bodies and answers in memory have more bytes than --buffered-max allows");
    return refuse(exchange);
}

/* A body that goes into a file may be of any type, and is not kept in memory. */
static bool head_upload(struct exchange *exchange)
{
    int64_t length = 0, max = exchange->http->server->config->blob_max;
    struct slice said = exchange->fields.content_length;
    if (said.data != NULL && text_int(said, 0, INT64_MAX, &length) && length > max) {
        exchange->close = true;
        (void)api_problem(&exchange->reply, "too-large", NULL,
                          "the blob has more than %lld bytes: start the server with a larger --blob-max",
                          (long long)max);
        return refuse(exchange);
    }
    return api_upload_begin(&exchange->req, &exchange->reply) || refuse(exchange);
}

static bool head_body(struct exchange *exchange)
{
    const struct exchange_fields *fields = &exchange->fields;
    int64_t length = 0;
    if (exchange->req.method != API_POST) return true;
    if (api_uploads(&exchange->req)) return head_upload(exchange);
    struct slice type = exchange->req.content_type;
    const char *end = type.len == 0 ? NULL : memchr(type.data, ';', type.len);
    if (end != NULL) type.len = (size_t)(end - type.data);
    type = text_trim(type);
    bool known = type.len == 0 || text_is_nocase(type, "application/json") ||
                 text_is_nocase(type, "application/x-ndjson") || text_is_nocase(type, "application/ndjson") ||
                 text_is_nocase(type, "application/jsonl");
    if (!known) {
        (void)api_problem(&exchange->reply, "unsupported-type", NULL, "send application/json or application/x-ndjson");
        return refuse(exchange);
    }
    if (fields->content_length.data != NULL && text_int(fields->content_length, 0, INT64_MAX, &length) &&
        length > exchange->http->server->config->body_max) {
        exchange->close = true;
        return body_too_large(exchange);
    }
    return true;
}

/* A body must not be silent for longer than the idle time. One that comes drop by drop never is: beyond that time it has to
 * bring a byte every millisecond on average. */
static void body_awaited(struct exchange *exchange, int64_t now_ms)
{
    int64_t idle = exchange->http->server->config->idle_timeout * 1000, silent = now_ms + idle;
    int64_t slow = exchange->req.arrived_ms + idle + (int64_t)exchange->received;
    _Atomic int64_t *until = &exchange->owner->times.body_until_ms;
    int64_t before = atomic_load(until);
    if (before >= 0) (void)atomic_compare_exchange_strong(until, &before, slow < silent ? slow : silent);
}

/* Judges the head. An answer is queued now only if nothing may be read after it. */
static enum MHD_Result exchange_begin(struct exchange *exchange, const char *method, const char *version)
{
    exchange->begun = true;
    atomic_store(&exchange->owner->times.waiting_ms, 0);
    exchange->fields.old = strcmp(version, "HTTP/1.0") == 0;
    /* what follows a CONNECT is no request to those who think that it opened a tunnel */
    exchange->close = strcmp(method, "CONNECT") == 0;
    exchange->req.method = method_of(method);
    (void)MHD_get_connection_values_n(exchange->connection, MHD_HEADER_KIND, field_take, exchange);
    target_cut(exchange);
    (void)(head_framing(exchange) && head_target(exchange) && head_access(exchange) && head_body(exchange));
    if (exchange->refused && exchange->close) return exchange_answer(exchange);
    body_awaited(exchange, exchange->req.arrived_ms);
    return MHD_YES;
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
    (void)refuse(exchange);
}

static void body_forget(struct exchange *exchange)
{
    ahead_free(exchange->req.ahead);
    exchange->req.ahead = NULL;
    body_rooms_drop(exchange->http->rooms, &exchange->body);
}

static enum MHD_Result body_take(struct exchange *exchange, const char *data, size_t len)
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
    step_aside();
    return exchange_next(exchange, method, version, upload, upload_len);
}
