/* The head of a request: its fields and target are taken over from the library and judged before its body is read. */
#include <string.h>

#include "server/handshake.h"
#include "server/http_internal.h"
#include "server/limits.h"
#include "server/text.h"

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
        { FIELD("Content-Encoding"), &fields->content_encoding, false },
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
    fields->bytes += key_len + text.len + sizeof ": \r\n" - 1;
    if (key_len == 6 && strncasecmp(key, "cookie", 6) == 0) fields->bytes += text.len;
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

bool exchange_refuse(struct exchange *exchange)
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
    return exchange_refuse(exchange);
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
    return exchange_refuse(exchange);
}

static bool head_target(struct exchange *exchange)
{
    int64_t max = exchange->http->server->config->target_max;
    if (exchange->req.target.len <= (size_t)max) return true;
    (void)api_problem(&exchange->reply, "target-too-long", NULL,
                      "the request target has %zu bytes, at most %lld are taken", exchange->req.target.len,
                      (long long)max);
    return exchange_refuse(exchange);
}

/* As of the first head of a connection, in front of the library: what is larger may leave it no memory for the answer. */
static bool head_size(struct exchange *exchange, const char *method)
{
    size_t line = strlen(method) + sizeof "  HTTP/1.1\r\n\r\n" - 1 + exchange->req.target.len;
    size_t max = LIMIT_HEAD_BYTES + (size_t)exchange->http->server->config->target_max;
    if (line + exchange->fields.bytes <= max) return true;
    exchange->close = true;
    (void)api_problem(&exchange->reply, "headers-too-large", NULL, HEAD_TOO_LARGE);
    return exchange_refuse(exchange);
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
        return exchange_refuse(exchange);
    }
    return api_upload_begin(&exchange->req, &exchange->reply) || exchange_refuse(exchange);
}

/* What is packed would be stored, or read, as if it were not. */
static bool head_packed(const struct exchange *exchange)
{
    struct slice coding = exchange->fields.content_encoding;
    return coding.len > 0 && !text_is_nocase(coding, "identity");
}

static bool head_body(struct exchange *exchange)
{
    const struct exchange_fields *fields = &exchange->fields;
    int64_t length = 0;
    if (exchange->req.method != API_POST) return true;
    if (head_packed(exchange)) {
        (void)api_header_add(&exchange->reply, "Accept-Encoding", "identity");
        (void)api_problem(&exchange->reply, "unsupported-type", NULL,
                          "send the body as it is: no Content-Encoding is taken");
        return exchange_refuse(exchange);
    }
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
        return exchange_refuse(exchange);
    }
    if (fields->content_length.data != NULL && text_int(fields->content_length, 0, INT64_MAX, &length) &&
        length > exchange->http->server->config->body_max) {
        exchange->close = true;
        return body_too_large(exchange);
    }
    return true;
}

/* ---- all of it ---- */

void head_judge(struct exchange *exchange, const char *method, const char *version)
{
    exchange->fields.old = strcmp(version, "HTTP/1.0") == 0;
    /* what follows a CONNECT is no request to those who think that it opened a tunnel */
    exchange->close = strcmp(method, "CONNECT") == 0;
    exchange->req.method = method_of(method);
    (void)MHD_get_connection_values_n(exchange->connection, MHD_HEADER_KIND, field_take, exchange);
    target_cut(exchange);
    (void)(head_framing(exchange) && head_target(exchange) && head_size(exchange, method) && head_access(exchange) &&
           head_body(exchange));
}
