#include "tests/unit/server/site.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/rows.h"

static int handle_hello(struct api_request *req, struct api_reply *reply)
{
    (void)req;
    buf_puts(&reply->body, "{\"hello\":true}");
    return API_DONE;
}

static int handle_echo(struct api_request *req, struct api_reply *reply)
{
    buf_printf(&reply->body, "[%zu]", req->body.len);
    buf_append(&reply->body, req->body.data, req->body.len);
    return API_DONE;
}

static int handle_name(struct api_request *req, struct api_reply *reply)
{
    buf_append(&reply->body, req->path_params[0].value.data, req->path_params[0].value.len);
    return API_DONE;
}

static int handle_grant(struct api_request *req, struct api_reply *reply)
{
    buf_printf(&reply->body, "public_only=%d may_append=%d may_private=%d may_publish=%d", req->public_only,
               req->may_append, req->may_private, req->may_publish);
    return API_DONE;
}

/* /wait/before resumes before the handler has answered, /wait/after by a thread that comes later. */
struct waiter {
    pthread_t thread;
    struct api_request *req;
    bool before;
};

atomic_uint site_waiters;

static void *waiter_run(void *cls)
{
    struct waiter *waiter = cls;
    if (!waiter->before) usleep(30000);
    waiter->req->resume(waiter->req->resume_ctx);
    return NULL;
}

static void waiter_free(void *state)
{
    struct waiter *waiter = state;
    (void)pthread_join(waiter->thread, NULL);
    free(waiter);
}

static int handle_wait(struct api_request *req, struct api_reply *reply)
{
    if (req->state != NULL) {
        buf_puts(&reply->body, "\"waited\"");
        return API_DONE;
    }
    struct waiter *waiter = calloc(1, sizeof *waiter);
    waiter->req = req;
    waiter->before = req->path_params[0].value.data[0] == 'b';
    req->state = waiter;
    req->state_free = waiter_free;
    (void)pthread_create(&waiter->thread, NULL, waiter_run, waiter);
    atomic_fetch_add(&site_waiters, 1);
    if (waiter->before) usleep(10000);
    return API_WAIT;
}

/* Rows 0 … count-1; live ones go on when `tide` rises. */
_Atomic int64_t site_tide;

struct tide_rows {
    struct rows rows;
    int64_t at, fail_at;
    size_t pad, more; /* bytes in each, and in each than in the one before */
};

static int tide_next(struct rows *rows, struct buf *out)
{
    struct tide_rows *self = (struct tide_rows *)rows;
    if (self->at == self->fail_at) return err_set(ERR_CHANGED, "the log was replaced");
    if (self->at >= site_tide) {
        rows->ended = !rows->live;
        return 0;
    }
    buf_printf(out, "{\"n\":%lld,\"pad\":\"", (long long)self->at);
    for (size_t i = 0; i < self->pad; i++)
        buf_putc(out, 'x');
    buf_puts(out, "\"}");
    self->pad += self->more;
    rows->cursor = self->at++;
    return 1;
}

static int tide_page(struct rows *rows, struct buf *out)
{
    return buf_printf(out, "gt=%lld", (long long)rows->cursor);
}

static void tide_free(struct rows *rows)
{
    free(rows);
}

static const struct rows_ops tide_ops = { .next = tide_next, .next_page = tide_page, .free = tide_free };

static int handle_rows(struct api_request *req, struct api_reply *reply)
{
    struct tide_rows *self = calloc(1, sizeof *self);
    int64_t pad = 0, more = 0;
    self->rows =
        (struct rows){ .ops = &tide_ops, .server = req->server, .member = "rows", .limit = -1, .cursor = SEQ_EMPTY };
    self->fail_at = -1;
    (void)api_query_bool(req, reply, "live", &self->rows.live);
    (void)api_query_int(req, reply, "fail", 0, 1000, &self->fail_at);
    (void)api_query_int(req, reply, "pad", 0, 1 << 20, &pad);
    (void)api_query_int(req, reply, "more", 0, 1000, &more);
    self->pad = (size_t)pad;
    self->more = (size_t)more;
    return api_reply_rows(req, reply, &self->rows);
}

/* Answers of one length whose fields differ: by value, ("x…") by name, or ("z…") by the length of the value. */
static int handle_fields(struct api_request *req, struct api_reply *reply)
{
    struct slice name = req->path_params[0].value;
    size_t cut = name.data[0] == 'z';
    (void)api_header_put(reply, "ETag", (struct slice){ name.data + cut, name.len - cut });
    if (name.data[0] == 'x') (void)api_header_put(reply, "Cache-Control", SLICE_LITERAL("private"));
    buf_puts(&reply->body, "{\"name\":\"");
    buf_append(&reply->body, name.data, name.len);
    buf_puts(&reply->body, "\"}");
    return API_DONE;
}

const struct api_route site_routes[] = {
    { API_GET, "/fields/{id}", handle_fields, "fields", API_SCOPE_READ, false },
    { API_GET, "/hello", handle_hello, "hello", API_SCOPE_READ, false },
    { API_POST, "/echo", handle_echo, "echo", API_SCOPE_READ, false },
    { API_GET, "/names/{id}", handle_name, "name", API_SCOPE_READ, false },
    { API_GET, "/grant", handle_grant, "grant", API_SCOPE_READ, false },
    { API_GET, "/open", handle_hello, "open", 0, false },
    { API_GET, "/wait/{how}", handle_wait, "wait", API_SCOPE_READ, false },
    { API_GET, "/rows", handle_rows, "rows", API_SCOPE_READ, false },
    { 0 },
};

struct http_kit site;

void site_start(void)
{
    http_kit_config(&site);
    http_kit_start(&site, site_routes);
}

void site_stop(void)
{
    http_kit_stop(&site);
}

bool site_nobody_is_connected(void *ctx)
{
    (void)ctx;
    return site.server.metrics.connections == 0;
}

void site_expect_status(const char *request, int status)
{
    char *answer = http_kit_ask(&site, request);
    cr_expect_eq(http_kit_status(answer), status, "wanted %d for:\n%s\ngot:\n%s", status, request, answer);
    free(answer);
}

void site_expect_part(const char *request, const char *part)
{
    char *answer = http_kit_ask(&site, request);
    cr_expect(strstr(answer, part) != NULL, "wanted %s for:\n%s\ngot:\n%s", part, request, answer);
    free(answer);
}
