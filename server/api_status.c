#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "server/api_record.h"
#include "server/version.h"

static const char *const status_names[] = { NULL };

static void status_put_log(const struct server *server, const struct flume_status *status, struct buf *out)
{
    const struct config *config = server->config;
    (void)buf_printf(out, "\"log\":{\"head\":%lld,\"durable\":%lld,\"count\":%lld,\"bytes\":%lld,\"followed\":%s",
                     (long long)status->head, (long long)status->durable, (long long)status->count,
                     (long long)status->bytes, server->owned ? "false" : "true");
    (void)buf_printf(out, ",\"accept\":\"%s\",\"failure\":",
                     config->accept != NULL && strcmp(config->accept, "any") == 0 ? "any" : "ssb");
    int failure = flume_failure(server->flume);
    const char *detail = err_detail(failure);
    if (failure == OK)
        (void)buf_puts(out, "null");
    else
        (void)buf_put_json(out, detail, strlen(detail));
    (void)buf_putc(out, '}');
}

static void status_put_views(const struct flume_status *status, struct buf *out)
{
    (void)buf_puts(out, ",\"views\":{");
    for (size_t i = 0; i < status->view_count; i++)
        (void)buf_printf(out, "%s\"%s\":{\"since\":%lld,\"ready\":%s,\"resting\":%s}", i > 0 ? "," : "",
                         status->views[i].name, (long long)status->views[i].since,
                         status->views[i].ready ? "true" : "false", status->views[i].resting ? "true" : "false");
    (void)buf_puts(out, "}");
}

static void status_put_counters(struct server *server, const struct flume_status *status, struct buf *out)
{
    struct metrics *metrics = &api_server_base(server)->metrics;
    (void)buf_printf(out, ",\"counters\":{\"view_bytes\":%llu,\"commits\":%llu,\"rebuilds\":%llu,\"waiting\":%zu",
                     (unsigned long long)status->view_bytes, (unsigned long long)status->commits,
                     (unsigned long long)status->rebuilds, status->waiting);
#define STATUS_COUNTER(name, kind, help) \
    (void)buf_printf(out, ",\"" #name "\":%lld", (long long)atomic_load(&metrics->name));
    METRICS_LIST(STATUS_COUNTER)
#undef STATUS_COUNTER
    (void)buf_putc(out, '}');
}

int api_status(struct api_request *req, struct api_reply *reply)
{
    struct server *server = req->server;
    struct flume_status status;
    struct buf *out = &reply->body;
    if (!api_query_only(req, reply, status_names)) return API_DONE;
    flume_status(server->flume, &status);
    (void)buf_printf(out, "{\"name\":\"sluice\",\"version\":\"" SLUICE_VERSION "\",\"uptime\":%.3f,",
                     (double)(flume_now_ms() - server->started_ms) / 1000);
    status_put_log(server, &status, out);
    status_put_views(&status, out);
    status_put_counters(server, &status, out);
    (void)buf_putc(out, '}');
    (void)api_header_add(reply, "Cache-Control", "no-store");
    return api_json(reply);
}

int api_healthz(struct api_request *req, struct api_reply *reply)
{
    if (!api_query_only(req, reply, status_names)) return API_DONE;
    (void)api_header_add(reply, "Cache-Control", "no-store");
    (void)buf_puts(&reply->body, "{\"ok\":true}");
    return api_json(reply);
}

/* "links (45%), about (0%)" of the views that are behind; empty if none is. */
static void status_missing(const struct flume_status *status, struct buf *out)
{
    for (size_t i = 0; i < status->view_count; i++) {
        const struct flume_view_status *view = &status->views[i];
        if (view->ready || view->resting) continue;
        int64_t percent = view->total > 0 ? view->done * 100 / view->total : 0;
        (void)buf_printf(out, "%s%s (%lld%%)", out->len > 0 ? ", " : "", view->name, (long long)percent);
    }
}

int api_readyz(struct api_request *req, struct api_reply *reply)
{
    struct flume_status status;
    if (!api_query_only(req, reply, status_names)) return API_DONE;
    (void)api_header_add(reply, "Cache-Control", "no-store");
    int failure = flume_failure(req->server->flume);
    if (failure != OK)
        return api_problem(reply, "not-ready", NULL, "nothing can be written any more: %s", err_detail(failure));
    flume_status(req->server->flume, &status);
    struct buf missing;
    buf_init(&missing, 4096);
    status_missing(&status, &missing);
    bool ready = missing.len == 0;
    if (ready)
        (void)buf_puts(&reply->body, "{\"ok\":true}");
    else
        (void)api_problem(reply, "not-ready", NULL, "views that are still being built: %.*s; see /views",
                          (int)missing.len, missing.data);
    buf_free(&missing);
    return ready ? api_json(reply) : API_DONE;
}

static void status_metric(struct buf *out, const char *name, const char *kind, const char *help)
{
    (void)buf_printf(out, "# HELP sluice_%s %s\n# TYPE sluice_%s %s\n", name, help, name, kind);
}

static void status_gauge(struct buf *out, const char *name, const char *help, int64_t value)
{
    status_metric(out, name, "gauge", help);
    (void)buf_printf(out, "sluice_%s %lld\n", name, (long long)value);
}

static void status_put_view_metrics(const struct flume_status *status, struct buf *out)
{
    status_metric(out, "view_since", "gauge", "The seq up to which the view speaks, -1 while it is empty");
    for (size_t i = 0; i < status->view_count; i++)
        (void)buf_printf(out, "sluice_view_since{view=\"%s\"} %lld\n", status->views[i].name,
                         (long long)status->views[i].since);
    status_metric(out, "view_ready", "gauge", "1 if the view is at the head of the log");
    for (size_t i = 0; i < status->view_count; i++)
        (void)buf_printf(out, "sluice_view_ready{view=\"%s\"} %d\n", status->views[i].name, status->views[i].ready);
}

int api_metrics(struct api_request *req, struct api_reply *reply)
{
    struct flume_status status;
    struct buf *out = &reply->body;
    if (!api_query_only(req, reply, status_names)) return API_DONE;
    flume_status(req->server->flume, &status);
    status_gauge(out, "log_head", "The seq of the log's newest record, -1 while it is empty", status.head);
    status_gauge(out, "log_durable", "The seq of the newest record that may be shown", status.durable);
    status_gauge(out, "log_bytes", "Bytes of whole records in the log", status.bytes);
    status_gauge(out, "view_bytes", "Bytes of the views' file", (int64_t)status.view_bytes);
    status_gauge(out, "views_waiting", "Readers that wait for a view", (int64_t)status.waiting);
    status_metric(out, "view_commits_total", "counter", "Commits of the views");
    (void)buf_printf(out, "sluice_view_commits_total %llu\n", (unsigned long long)status.commits);
    status_metric(out, "view_rebuilds_total", "counter", "Views that were built from zero");
    (void)buf_printf(out, "sluice_view_rebuilds_total %llu\n", (unsigned long long)status.rebuilds);
    status_put_view_metrics(&status, out);
    metrics_print(&api_server_base(req->server)->metrics, out);
    if (out->err != OK) return api_problem_err(reply, out->err);
    reply->status = 200;
    reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
    return API_DONE;
}
