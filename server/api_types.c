#include "server/api_record.h"
#include "server/rows_log.h"
#include "server/rows_views.h"

int api_counts_list(struct api_request *req, struct api_reply *reply, uint32_t views, rows_counts_open_fn *open)
{
    static const char *const names[] = { "gt", "limit", FOLLOW_PARAMS, API_FRESH_PARAMS, NULL };
    struct counts_params params = { .after = { NULL, 0 } };
    struct rows *rows;
    int answer, format = api_format_of(req, reply);
    if (format < 0 || !api_query_only(req, reply, names) || !page_limit_read(req, reply, format, &params.limit) ||
        !follow_read(req, reply, format, &params.follow))
        return API_DONE;
    if (!api_fresh_now(req, reply, views, &answer)) return answer;
    if (!params.follow.live && api_not_modified(req, reply, views_since(req->server->flume, views))) return API_DONE;
    const struct slice *after = api_query(req, "gt");
    if (after != NULL) params.after = *after;
    int err = open(req->server, &params, &rows);
    return err == OK ? api_reply_rows(req, reply, rows) : api_problem_err(reply, err);
}

int api_types_list(struct api_request *req, struct api_reply *reply)
{
    return api_counts_list(req, reply, VIEW_MASK(types), rows_types_open);
}
