#include <stdio.h>

#include "server/api_record.h"
#include "server/text.h"

static void views_put(struct buf *out, const struct flume_view_status *view)
{
    (void)buf_printf(out, "{\"name\":\"%s\",\"version\":%u,\"since\":%lld,\"ready\":%s,\"resting\":%s", view->name,
                     view->version, (long long)view->since, view->ready ? "true" : "false",
                     view->resting ? "true" : "false");
    (void)buf_printf(out, ",\"done\":%lld,\"total\":%lld", (long long)view->done, (long long)view->total);
    if (view->eta < 0)
        (void)buf_puts(out, ",\"eta\":null");
    else
        (void)buf_printf(out, ",\"eta\":%.1f", view->eta);
    if (view->why == NULL)
        (void)buf_puts(out, ",\"why\":null}");
    else
        (void)buf_printf(out, ",\"why\":\"%s\"}", view->why);
}

int api_views_list(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { NULL };
    struct flume_status status;
    struct buf *out = &reply->body;
    if (!api_query_only(req, reply, names)) return API_DONE;
    flume_status(req->server->flume, &status);
    (void)buf_puts(out, "{\"views\":[");
    for (size_t i = 0; i < status.view_count; i++) {
        if (i > 0) (void)buf_putc(out, ',');
        views_put(out, &status.views[i]);
    }
    (void)buf_printf(out, "],\"log\":{\"head\":%lld,\"durable\":%lld,\"count\":%lld}}", (long long)status.head,
                     (long long)status.durable, (long long)status.count);
    (void)api_header_add(reply, "Cache-Control", "no-store");
    return api_json(reply);
}

int api_view_rebuild(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { NULL };
    char name[64];
    if (!api_query_only(req, reply, names)) return API_DONE;
    if (!req->may_append)
        return api_problem(reply, "forbidden", NULL, "rebuilding a view needs a token: Authorization: Bearer TOKEN");
    struct slice asked = req->path_params[0].value;
    if (asked.len == 0 || asked.len >= sizeof name)
        return api_problem(reply, "not-found", NULL, "there is no such view; GET /views lists them");
    (void)snprintf(name, sizeof name, "%.*s", (int)asked.len, asked.data);
    const char *wanted = text_is(asked, "all") ? NULL : name;
    int err = flume_rebuild(req->server->flume, wanted);
    if (err == OK && req->server->opened != NULL) err = flume_rebuild(req->server->opened->flume, wanted);
    if (err == ERR_NOTFOUND)
        return api_problem(reply, "not-found", NULL, "there is no such view; GET /views lists them");
    if (err != OK) return api_problem_err(reply, err);
    (void)buf_puts(&reply->body, "{\"name\":");
    (void)buf_put_json(&reply->body, asked.data, asked.len);
    (void)buf_puts(&reply->body, ",\"rebuild\":true}");
    (void)api_json(reply);
    if (reply->status == 200) reply->status = 202;
    return API_DONE;
}
