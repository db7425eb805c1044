#include "server/api_record.h"
#include "server/rows_log.h"
#include "server/rows_views.h"

int api_types_list(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { "gt", "limit", FOLLOW_PARAMS, API_FRESH_PARAMS, NULL };
    struct types_params params = { .after = { NULL, 0 } };
    struct rows *rows;
    int answer, format = api_format_of(req, reply);
    if (format < 0 || !api_query_only(req, reply, names) || !page_limit_read(req, reply, format, &params.limit) ||
        !follow_read(req, reply, format, &params.follow))
        return API_DONE;
    if (!api_fresh_now(req, reply, VIEW_MASK(types), &answer)) return answer;
    if (!params.follow.live && api_not_modified(req, reply, views_since(req->server->flume, VIEW_MASK(types))))
        return API_DONE;
    const struct slice *after = api_query(req, "gt");
    if (after != NULL) params.after = *after;
    int err = rows_types_open(req->server, &params, &rows);
    return err == OK ? api_reply_rows(req, reply, rows) : api_problem_err(reply, err);
}
