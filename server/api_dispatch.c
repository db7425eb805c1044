/* From a raw request target to a handler. Ids are recognised before anything is decoded, because an unescaped one
 * holds the very characters ('/', '+', '%', '&') that paths and queries are made of. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "server/api.h"
#include "server/ids.h"
#include "server/text.h"

const struct api_route api_routes[] = {
#define OPEN 0
#define READ API_SCOPE_READ
#define APPEND API_SCOPE_APPEND
#define PRIVATE (API_SCOPE_READ | API_SCOPE_PRIVATE)
#define PUBLISH API_SCOPE_PUBLISH
#define BOTH API_SCOPES_BOTH
#define ROUTE(method, pattern, handler, operation, needs) { API_##method, pattern, handler, operation, needs, false },
#define LIST(method, pattern, handler, operation, needs) { API_##method, pattern, handler, operation, needs, true },
#include "server/routes.def"
#undef LIST
#undef ROUTE
#undef BOTH
#undef APPEND
#undef READ
#undef OPEN
    { 0 },
};

/* ---- decoding ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes into `out` (room for raw.len bytes). false for a broken escape and for %00, which would end texts
 * early further on. */
static bool decode(struct slice raw, bool plus_is_space, char *out, size_t *ret_len)
{
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.data[i];
        if (c == '%') {
            int high = i + 2 < raw.len ? hex_digit(raw.data[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(raw.data[i + 2]) : -1;
            if (low < 0) return false;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0') return false;
        out[len++] = c;
    }
    *ret_len = len;
    return true;
}

/* Where decoded texts go: room for the target, since decoding never makes longer. */
struct decoder {
    char *at;
    struct slice failed; /* the text that could not be decoded */
};

static bool decoder_take(struct decoder *decoder, struct slice raw, bool plus_is_space, struct slice *ret)
{
    size_t len;
    if (!decode(raw, plus_is_space, decoder->at, &len)) {
        decoder->failed = raw;
        return false;
    }
    *ret = (struct slice){ decoder->at, len };
    decoder->at += len;
    return true;
}

/* ---- the query ---- */

static size_t span_until(struct slice text, char stop)
{
    const char *end = text.len == 0 ? NULL : memchr(text.data, stop, text.len);
    return end == NULL ? text.len : (size_t)(end - text.data);
}

static struct slice slice_from(struct slice text, size_t at)
{
    return (struct slice){ text.data + at, text.len - at };
}

/* A raw id at the start of a value, sigil '&' and plusses included; 0 if there is none that reaches to the value's
 * end. */
static size_t query_id(struct slice rest)
{
    size_t len = ref_prefix(rest.data, rest.len);
    return len > 0 && (len == rest.len || rest.data[len] == '&') ? len : 0;
}

/* One "name=value" at the start of `rest`; cuts it off. */
static bool query_take(struct decoder *decoder, struct slice *rest, struct api_param *ret)
{
    size_t name_len = span_until(*rest, '&');
    size_t equals = span_until((struct slice){ rest->data, name_len }, '=');
    if (!decoder_take(decoder, (struct slice){ rest->data, equals }, true, &ret->name)) return false;
    ret->value = (struct slice){ "", 0 };
    if (equals == name_len) {
        *rest = slice_from(*rest, name_len);
        return true;
    }
    *rest = slice_from(*rest, equals + 1);
    size_t id_len = query_id(*rest);
    if (id_len > 0) {
        ret->value = (struct slice){ rest->data, id_len };
        *rest = slice_from(*rest, id_len);
        return true;
    }
    size_t value_len = span_until(*rest, '&');
    if (!decoder_take(decoder, (struct slice){ rest->data, value_len }, true, &ret->value)) return false;
    *rest = slice_from(*rest, value_len);
    return true;
}

/* NULL, or what is wrong. */
static const char *query_parse(struct api_request *req, struct decoder *decoder, struct slice rest)
{
    req->query_count = 0;
    while (rest.len > 0) {
        if (rest.data[0] == '&') {
            rest = slice_from(rest, 1);
            continue;
        }
        if (req->query_count == API_PARAMS_MAX) return "too many query parameters";
        struct api_param *param = &req->query[req->query_count];
        if (!query_take(decoder, &rest, param)) return "a % in the query is not followed by two hex digits (or is %00)";
        if (param->name.len == 0) return "a query parameter without a name";
        req->query_count++;
    }
    return NULL;
}

/* ---- the path ---- */

#define PATH_ID_MAX 200 /* bytes of an id in any spelling, with room */

/* An id with slashes of its own that is not in raw text form: ssb:message/classic/…, or what JavaScript's encodeURI
 * makes of an id ("%25ab/c…"), which escapes '%' but not '/'. 0 if there is none up to a slash or the end. */
static size_t path_id_across(struct slice rest)
{
    bool uri = rest.len > 4 && strncasecmp(rest.data, "ssb:", 4) == 0;
    if (!uri && (rest.len == 0 || memchr("%@&", rest.data[0], 3) == NULL)) return 0;
    size_t len = span_until(rest, '/');
    if (len == rest.len) return 0;
    while (len <= PATH_ID_MAX) {
        struct ref ref;
        if (ref_parse_any(rest.data, len, &ref) == OK) return len;
        if (len == rest.len) return 0;
        len += 1 + span_until(slice_from(rest, len + 1), '/');
    }
    return 0;
}

/* The length of what stands for a {…} at the start of `rest`. */
static size_t path_param_span(struct slice rest, bool *ret_raw)
{
    size_t len = ref_prefix(rest.data, rest.len);
    *ret_raw = len > 0 && (len == rest.len || rest.data[len] == '/');
    if (*ret_raw) return len;
    len = path_id_across(rest);
    return len > 0 ? len : span_until(rest, '/');
}

struct match {
    struct slice params[4]; /* as sent */
    bool raw[4];            /* an unescaped id: not to be decoded */
    size_t count;
};

static bool path_match(const char *pattern, struct slice path, struct match *match)
{
    match->count = 0;
    while (*pattern != '\0') {
        if (*pattern != '{') {
            if (path.len == 0 || path.data[0] != *pattern) return false;
            path = slice_from(path, 1);
            pattern++;
            continue;
        }
        bool raw;
        size_t len = path_param_span(path, &raw);
        if (len == 0) return false;
        match->params[match->count] = (struct slice){ path.data, len };
        match->raw[match->count++] = raw;
        path = slice_from(path, len);
        pattern = strchr(pattern, '}') + 1;
    }
    return path.len == 0;
}

/* Most patterns differ from a path in their second character, behind the slash. */
static inline bool path_may_match(const char *pattern, struct slice path)
{
    return path.len < 2 || pattern[1] == path.data[1] || pattern[1] == '{';
}

static bool path_params(struct api_request *req, struct decoder *decoder, const struct match *match)
{
    for (size_t i = 0; i < match->count; i++) {
        struct api_param *param = &req->path_params[i];
        param->name = (struct slice){ "", 0 };
        param->value = match->params[i];
        if (!match->raw[i] && !decoder_take(decoder, match->params[i], false, &param->value)) return false;
    }
    req->path_param_count = match->count;
    return true;
}

/* ---- routes ---- */

static const struct api_route *routes_of(const struct server *server)
{
    return server->routes != NULL ? server->routes : api_routes;
}

static struct slice target_path(struct slice target)
{
    return (struct slice){ target.data, span_until(target, '?') };
}

/* A raw id may hold no '?', so the query starts at the first one. */
static const struct api_route *route_find(const struct server *server, enum api_method method, struct slice path,
                                          struct match *match)
{
    if (method == API_HEAD) method = API_GET;
    for (const struct api_route *route = routes_of(server); route->pattern != NULL; route++)
        if (route->method == method && path_may_match(route->pattern, path) && path_match(route->pattern, path, match))
            return route;
    return NULL;
}

bool api_target_lists(const struct server *server, struct slice target, const char **ret_name)
{
    struct match match;
    const struct api_route *route = route_find(server, API_GET, target_path(target), &match);
    *ret_name = route != NULL ? route->operation : NULL;
    return route != NULL && route->lists;
}

/* No path fits the patterns of two routes of a method, so those that need what most of them need no look. */
unsigned api_target_needs(const struct server *server, enum api_method method, struct slice target)
{
    struct match match;
    const struct slice path = target_path(target);
    if (method == API_HEAD) method = API_GET;
    for (const struct api_route *route = routes_of(server); route->pattern != NULL; route++)
        if (route->needs != API_SCOPE_READ && route->method == method && path_may_match(route->pattern, path) &&
            path_match(route->pattern, path, &match))
            return route->needs;
    return API_SCOPE_READ;
}

#define ALLOW_MAX 32

/* The value of Allow for a path; "" if there is no such path. */
static void allow_of(const struct server *server, struct slice path, char out[ALLOW_MAX])
{
    struct match match;
    bool any = path.len == 1 && path.data[0] == '*';
    bool get = any || route_find(server, API_GET, path, &match) != NULL;
    bool post = any || route_find(server, API_POST, path, &match) != NULL;
    (void)snprintf(out, ALLOW_MAX, "%s%s%s", get ? "GET, HEAD, " : "", post ? "POST, " : "",
                   get || post ? "OPTIONS" : "");
}

static int answer_options(struct api_request *req, struct api_reply *reply)
{
    char allow[ALLOW_MAX];
    allow_of(req->server, req->path, allow);
    if (allow[0] == '\0')
        return api_problem(reply, "not-found", NULL, "there is no such path: see /openapi.yaml for what there is");
    reply->status = 204;
    (void)api_header_add(reply, "Allow", "%s", allow);
    return API_DONE;
}

static int answer_no_route(struct api_request *req, struct api_reply *reply)
{
    if (text_is(req->path, "/live")) {
        (void)api_header_add(reply, "Upgrade", "websocket");
        (void)api_header_add(reply, "Sec-WebSocket-Version", "13");
        return api_problem(reply, "upgrade-needed", NULL,
                           "/live is a WebSocket: connect with ws://, on a connection of its own; GET /log?live=true "
                           "is the same over HTTP");
    }
    char allow[ALLOW_MAX];
    allow_of(req->server, req->path, allow);
    if (allow[0] == '\0')
        return api_problem(reply, "not-found", NULL, "there is no such path: see /openapi.yaml for what there is");
    (void)api_header_add(reply, "Allow", "%s", allow);
    return api_problem(reply, "wrong-method", NULL, "this path takes %s", allow);
}

/* No fewer than the query has: a raw id may hold a '&' of its own. */
static size_t query_room(struct slice query)
{
    size_t count = query.len > 0;
    for (size_t i = 0; i < query.len && count < API_PARAMS_MAX; i++)
        count += query.data[i] == '&';
    return count;
}

/* Parameters of a request whose route is known. false = the reply is made. */
static bool request_parse(struct api_request *req, struct api_reply *reply, const struct match *match)
{
    struct slice query = slice_from(req->target, req->path.len);
    size_t room = query_room(query) * sizeof *req->query;
    req->decoded = malloc(room + req->target.len + 1);
    if (req->decoded == NULL) {
        (void)api_problem_err(reply, err_set(ERR_NOMEM, "out of memory"));
        return false;
    }
    req->query = req->decoded;
    struct decoder decoder = { .at = (char *)req->decoded + room };
    if (!path_params(req, &decoder, match)) {
        (void)api_problem(reply, "bad-request", NULL,
                          "\"%.*s\" in the path is neither a whole id nor percent-encoded text",
                          (int)decoder.failed.len, decoder.failed.data);
        return false;
    }
    const char *why = query.len > 0 ? query_parse(req, &decoder, slice_from(query, 1)) : NULL;
    if (why != NULL) (void)api_problem(reply, "bad-request", NULL, "%s", why);
    return why == NULL;
}

static const struct log *log_now(const struct server *server)
{
    return server->flume != NULL ? flume_log(server->flume) : NULL;
}

/* What a read was refused for while the owner of the log put another one in its place was looked for in both. */
static int handler_call(struct api_request *req, struct api_reply *reply)
{
    req->log = log_now(req->server);
    int answer = req->route->handler(req, reply);
    bool refused = answer == API_DONE && reply->status >= 400 && reply->status != 503;
    if (!refused || req->method == API_POST || log_now(req->server) == req->log) return answer;
    return api_problem_err(reply, err_set(ERR_CHANGED, "the log was replaced by its owner meanwhile: ask again"));
}

int api_dispatch(struct api_request *req, struct api_reply *reply)
{
    /* the reply is a new one where a handler is begun anew */
    reply->uri_ids = req->uri_ids;
    if (req->route != NULL) return handler_call(req, reply);
    if (req->target.len == 0 ||
        (req->target.data[0] != '/' && !(req->method == API_OPTIONS && text_is(req->target, "*"))))
        return api_problem(reply, "bad-request", NULL, "the request target has to start with /");
    req->path = target_path(req->target);
    if (req->method == API_OPTIONS) return answer_options(req, reply);
    struct match match;
    const struct api_route *route =
        req->method == API_OTHER ? NULL : route_find(req->server, req->method, req->path, &match);
    if (route == NULL) return answer_no_route(req, reply);
    free(req->decoded);
    req->decoded = NULL;
    if (!request_parse(req, reply, &match)) return API_DONE;
    req->route = route;
    const struct slice *ids = api_query(req, "ids");
    if (ids != NULL) (void)ids_text(*ids, &req->uri_ids); /* what is none of them, api_query_only refuses */
    reply->uri_ids = req->uri_ids;
    return handler_call(req, reply);
}
