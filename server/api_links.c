#include "server/api_links.h"

#include <string.h>

#include "server/api_record.h"
#include "server/patience.h"
#include "server/rows_log.h"
#include "server/rows_views.h"

static bool links_read_query(const struct api_request *req, struct api_reply *reply, struct links_query *query)
{
    const struct slice *rel = api_query(req, "rel");
    if (rel != NULL) query->rel = *rel;
    query->hide_private = req->public_only;
    return api_query_ref(req, reply, "source", "@", &query->source) &&
           api_query_ref(req, reply, "dest", "%@&", &query->dest);
}

static bool links_read(const struct api_request *req, struct api_reply *reply, int format, struct links_params *params,
                       bool *ret_count)
{
    int64_t seen;
    if (!links_read_query(req, reply, &params->query) || !range_read(req, reply, format, &params->range) ||
        !api_query_int(req, reply, "skip", 0, MESSAGE_REFS_MAX, &params->skip) ||
        !api_query_bool(req, reply, "values", &params->values) || !api_query_bool(req, reply, "count", ret_count))
        return false;
    int err = near_params_read(req, &params->range.near);
    if (err != OK) return filter_params_problem(reply, err), false;
    if (last_event_read(req, format, &seen) && !params->range.range.reverse) {
        params->range.range.min = seen;
        params->range.above = true;
        params->skip = 0;
    }
    return true;
}

/* A count is of all links that were asked for: what makes pages has no place beside it. */
static int links_count_answer(struct api_request *req, struct api_reply *reply, const struct links_params *params)
{
    static const char *const pages[] = { LINKS_PARAMS, NULL };
    for (size_t i = 0; pages[i] != NULL; i++)
        if (strcmp(pages[i], "count") != 0 && api_query(req, pages[i]) != NULL)
            return api_problem(reply, "bad-parameter", NULL,
                               "%s and count=true: a count is of all links, not of a page", pages[i]);
    struct flume_read read;
    uint64_t count = 0;
    int err = api_read_begin(req->server, &read);
    if (err != OK) return api_problem_err(reply, err);
    int64_t since = flume_read_since(&read, flume_view(read.flume, VIEW_links));
    bool known = api_not_modified(req, reply, since);
    struct links_query query = params->query;
    query.deadline_ms = flume_now_ms() + patience_of_query(req->server);
    if (!known) err = links_count(&read, &query, &count);
    flume_read_end(&read);
    if (known) return API_DONE;
    if (err != OK) return api_problem_err(reply, err);
    (void)buf_printf(&reply->body, "{\"count\":%llu,\"since\":%lld}", (unsigned long long)count, (long long)since);
    return api_json(reply);
}

int api_links_answer(struct api_request *req, struct api_reply *reply, const struct ref *dest)
{
    struct links_params params = { .skip = 0 };
    struct rows *rows;
    bool count = false;
    int answer, format = api_format_of(req, reply);
    if (format < 0 || !links_read(req, reply, format, &params, &count)) return API_DONE;
    if (dest != NULL) params.query.dest = *dest;
    struct filter filter = { .count = 0 };
    int err = links_filter(&params.query, &filter);
    if (err != OK) return filter_params_problem(reply, err);
    uint32_t views = filter_views(&filter) | VIEW_MASK(links) | near_params_views(&params.range.near);
    if (!api_fresh_now(req, reply, views, &answer)) return answer;
    if (count) return links_count_answer(req, reply, &params);
    if (!params.range.live && api_not_modified(req, reply, views_since(req->server->flume, views))) return API_DONE;
    err = rows_links_open(req->server, &params, &rows);
    return err == OK ? api_reply_rows(req, reply, rows) : filter_params_problem(reply, err);
}

int api_links_list(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { LINKS_PARAMS, "source", "dest", "rel", API_FRESH_PARAMS, NULL };
    return api_query_only(req, reply, names) ? api_links_answer(req, reply, NULL) : API_DONE;
}
