#include "server/api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/ahead.h"
#include "server/diag.h"
#include "server/ids.h"
#include "server/rows.h"
#include "server/text.h"
#include "store/blob_dir.h"
#include "store/utf8.h"

/* A JSON page stops growing long before this (rows.c); one record of LOG_RECORD_MAX shown as base64 has to fit. */
#define REPLY_MAX ((size_t)64 << 20)

/* How much of a text from outside a detail quotes. */
#define QUOTE_MAX 100
#define QUOTE(slice) (int)((slice).len < QUOTE_MAX ? (slice).len : QUOTE_MAX), (slice).data

/* ---- servers ---- */

struct server *api_server_of(struct server *server, bool may_private)
{
    return may_private && server->opened != NULL ? server->opened : server;
}

struct server *api_server_base(struct server *server)
{
    return server->base != NULL ? server->base : server;
}

/* ---- requests and replies ---- */

void api_request_free(struct api_request *req)
{
    if (req == NULL) return;
    if (req->state != NULL && req->state_free != NULL) req->state_free(req->state);
    req->state = NULL;
    blob_upload_free(req->upload);
    req->upload = NULL;
    ahead_free(req->ahead);
    req->ahead = NULL;
    free(req->decoded);
    req->decoded = NULL;
    req->query = NULL;
    req->query_count = 0;
    req->route = NULL;
}

void api_reply_init(struct api_reply *reply)
{
    *reply = (struct api_reply){ .status = 200, .content_type = "application/json" };
    buf_init(&reply->body, REPLY_MAX);
}

void api_bytes_free(struct api_bytes *bytes)
{
    if (bytes->there && bytes->fd >= 0) file_close(bytes->fd);
    if (bytes->there && bytes->free != NULL) bytes->free(bytes->ctx);
    *bytes = (struct api_bytes){ .there = false };
}

void api_reply_free(struct api_reply *reply)
{
    if (reply == NULL) return;
    api_bytes_free(&reply->bytes);
    for (size_t i = 0; i < reply->header_count; i++)
        free(reply->headers[i].value);
    reply->header_count = 0;
    buf_free(&reply->body);
    rows_free(reply->stream);
    reply->stream = NULL;
}

int api_header_put(struct api_reply *reply, const char *name, struct slice value)
{
    if (reply->header_count == API_HEADERS_MAX) return err_set(ERR_LIMIT, "header %s: too many header fields", name);
    char *copy = malloc(value.len + 1);
    if (copy == NULL) return err_set(ERR_NOMEM, "header %s: out of memory", name);
    if (value.len > 0) memcpy(copy, value.data, value.len);
    copy[value.len] = '\0';
    reply->headers[reply->header_count++] = (struct api_header){ .name = name, .value = copy };
    return OK;
}

int api_header_add(struct api_reply *reply, const char *name, const char *fmt, ...)
{
    char text[128], *value = text; /* most are short, and vasprintf is slow */
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (len >= 0 && (size_t)len >= sizeof text) {
        va_start(args, fmt);
        len = vasprintf(&value, fmt, args);
        va_end(args);
    }
    if (len < 0) return err_set(ERR_NOMEM, "header %s: out of memory", name);
    int err = api_header_put(reply, name, (struct slice){ value, (size_t)len });
    if (value != text) free(value);
    return err;
}

/* ---- problems ---- */

struct problem {
    const char *name;
    int status;
    const char *title;
};

static const struct problem problems[] = {
#define PROBLEM(name, status, title) { #name, status, title },
#include "server/problems.def"
#undef PROBLEM
};

static const struct problem *problem_named(const char *name)
{
    const struct problem *internal = NULL;
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        if (strcmp(problems[i].name, name) == 0) return &problems[i];
        if (strcmp(problems[i].name, "internal") == 0) internal = &problems[i];
    }
    return internal;
}

/* What is no UTF-8 is made a byte that never is, so that it reads as a replacement character: half of a surrogate pair would be an escape that strict
 * readers of JSON refuse, and with it the whole answer. */
static void detail_clean(char *detail, size_t len)
{
    size_t at = 0;
    while (at < len) {
        size_t n = utf8_length((const unsigned char *)detail + at, len - at);
        if (n == 0) detail[at++] = (char)0xFF;
        at += n;
    }
}

int api_problem(struct api_reply *reply, const char *name, const char *extra, const char *fmt, ...)
{
    char detail[1024];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    size_t detail_len = len < 0 ? 0 : (size_t)len < sizeof detail ? (size_t)len : sizeof detail - 1;

    const struct problem *problem = problem_named(name);
    rows_free(reply->stream);
    reply->stream = NULL;
    api_bytes_free(&reply->bytes);
    reply->status = problem->status;
    reply->content_type = "application/problem+json";
    struct buf *body = &reply->body;
    buf_reset(body);
    buf_printf(body, "{\"type\":\"/problems/%s\",\"title\":\"%s\",\"status\":%d,\"detail\":", problem->name,
               problem->title, problem->status);
    detail_clean(detail, detail_len);
    buf_put_json(body, detail, detail_len);
    if (extra != NULL) buf_puts(body, extra);
    buf_putc(body, '}');
    return API_DONE;
}

static const char *problem_of(enum err err)
{
    switch (err) {
    case ERR_READONLY: return "read-only";
    case ERR_NOSPACE: return "no-space";
    case ERR_NOSEQ:
    case ERR_NOTFOUND: return "not-found";
    case ERR_BOUNDARY: return "not-a-record";
    case ERR_DELETED: return "deleted";
    case ERR_LIMIT: return "too-large";
    case ERR_ARG: return "bad-parameter";
    case ERR_JSON: return "bad-request";
    case ERR_REF: return "bad-id";
    case ERR_INVALID: return "invalid-message";
    case ERR_FORK: return "fork";
    case ERR_TIMEOUT:
    case ERR_CLOSED:
    case ERR_CHANGED: return "not-ready";
    case ERR_SLOW: return "query-timeout";
    case ERR_STALE: return "stale-head";
    case ERR_SHARE: return "too-many";
    case ERR_NOMEM:
    case ERR_QUEUE: return "overloaded";
    case OK:
    case ERR_IO:
    case ERR_NOFILE:
    case ERR_PERM:
    case ERR_BUSY:
    case ERR_CORRUPT:
    case ERR_FORMAT: return "internal";
    }
    return "internal";
}

int api_problem_err(struct api_reply *reply, int err)
{
    const char *name = problem_of((enum err)err);
    const char *detail = err_detail(err);
    if (err == ERR_SLOW) reply->slow = true;
    if (strcmp(name, "internal") == 0) {
        char quoted[DIAG_QUOTE_MAX];
        diag_error("request_failed", "code=%s detail=%s", err_name(err), diag_quote(detail, quoted));
    }
    if (strcmp(name, "not-ready") == 0 || strcmp(name, "overloaded") == 0 || strcmp(name, "too-many") == 0)
        (void)api_header_add(reply, "Retry-After", "1");
    return api_problem(reply, name, NULL, "%s", detail);
}

/* ---- parameters ---- */

static void query_unknown(struct api_reply *reply, struct slice name, const char *const *names)
{
    char known[400] = "";
    size_t len = 0;
    for (size_t i = 0; names[i] != NULL && len < sizeof known; i++) {
        int n = snprintf(known + len, sizeof known - len, "%s%s", i == 0 ? "" : ", ", names[i]);
        len += n < 0 ? 0 : (size_t)n;
    }
    if (names[0] == NULL)
        (void)api_problem(reply, "bad-parameter", NULL, "unknown parameter \"%.*s\": none is taken here", QUOTE(name));
    else
        (void)api_problem(reply, "bad-parameter", NULL, "unknown parameter \"%.*s\"; known here: %s", QUOTE(name),
                          known);
}

bool api_query_only(const struct api_request *req, struct api_reply *reply, const char *const *names)
{
    return api_query_only_but(req, reply, names, NULL);
}

bool api_query_only_but(const struct api_request *req, struct api_reply *reply, const char *const *names,
                        const char *many)
{
    for (size_t i = 0; i < req->query_count; i++) {
        struct slice name = req->query[i].name;
        size_t k = 0;
        while (names[k] != NULL && !text_is(name, names[k]))
            k++;
        if (names[k] == NULL) {
            query_unknown(reply, name, names);
            return false;
        }
        bool uris;
        if (text_is(name, "ids") && !ids_text(req->query[i].value, &uris)) {
            (void)api_problem(reply, "bad-parameter", NULL, "ids: sigil or uri is wanted");
            return false;
        }
        bool once = many == NULL || strcmp(names[k], many) != 0;
        for (size_t j = 0; once && j < i; j++) {
            if (!text_is(req->query[j].name, names[k])) continue;
            (void)api_problem(reply, "bad-parameter", NULL, "%s is given twice", names[k]);
            return false;
        }
    }
    return true;
}

const struct slice *api_query(const struct api_request *req, const char *name)
{
    for (size_t i = 0; i < req->query_count; i++)
        if (text_is(req->query[i].name, name)) return &req->query[i].value;
    return NULL;
}

bool api_query_int(const struct api_request *req, struct api_reply *reply, const char *name, int64_t min, int64_t max,
                   int64_t *ret)
{
    const struct slice *text = api_query(req, name);
    if (text == NULL) return true;
    if (text_int(*text, min, max, ret)) return true;
    (void)api_problem(reply, "bad-parameter", NULL, "%s=%.*s: a whole number from %lld to %lld is wanted", name,
                      QUOTE(*text), (long long)min, (long long)max);
    return false;
}

bool api_query_bool(const struct api_request *req, struct api_reply *reply, const char *name, bool *ret)
{
    const struct slice *text = api_query(req, name);
    if (text == NULL) return true;
    if (text_bool(*text, ret)) return true;
    (void)api_problem(reply, "bad-parameter", NULL, "%s=%.*s: true or false is wanted", name, QUOTE(*text));
    return false;
}

static char ref_sigil(const struct ref *ref)
{
    switch ((enum ref_kind)ref->kind) {
    case REF_MESSAGE:
    case REF_CLOAKED: return '%';
    case REF_FEED:
    case REF_FEED_SHA256: return '@';
    case REF_BLOB: return '&';
    case REF_NONE: break;
    }
    return '\0';
}

bool api_ref_of(struct api_reply *reply, const char *what, struct slice text, const char *kinds, struct ref *ret)
{
    struct ref ref;
    int err = ref_parse_any(text.data, text.len, &ref);
    if (err == OK && ref_sigil(&ref) != '\0' && strchr(kinds, ref_sigil(&ref)) != NULL) {
        *ret = ref;
        return true;
    }
    if (err == OK)
        (void)api_problem(reply, "bad-id", NULL, "%s %.*s: an id that starts with one of %s is wanted", what,
                          QUOTE(text), kinds);
    else
        (void)api_problem(
            reply, "bad-id", NULL,
            "%s \"%.*s\" is no id: sigil (%s), 44 characters of base64 and suffix, or an ssb: URI, is wanted", what,
            QUOTE(text), kinds);
    return false;
}

bool api_query_ref(const struct api_request *req, struct api_reply *reply, const char *name, const char *kinds,
                   struct ref *ret)
{
    const struct slice *text = api_query(req, name);
    return text == NULL || api_ref_of(reply, name, *text, kinds, ret);
}

bool api_path_ref(const struct api_request *req, struct api_reply *reply, size_t i, const char *kinds, struct ref *ret)
{
    return api_ref_of(reply, "the path's", req->path_params[i].value, kinds, ret);
}
