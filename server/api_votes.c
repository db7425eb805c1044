#include "server/api_record.h"
#include "server/rows_log.h"
#include "server/rows_social.h"
#include "views/votes.h"

int api_votes_get(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { "gt", "limit", FOLLOW_PARAMS, API_FRESH_PARAMS, NULL };
    struct votes_params params = { .limit = -1 };
    struct rows *rows;
    int answer, format = api_format_of(req, reply);
    if (format < 0 || !api_query_only(req, reply, names) || !api_path_ref(req, reply, 0, "%@&", &params.target) ||
        !api_query_ref(req, reply, "gt", "@", &params.after) || !page_limit_read(req, reply, format, &params.limit) ||
        !follow_read(req, reply, format, &params.follow))
        return API_DONE;
    if (!api_fresh_now(req, reply, VOTES_VIEWS, &answer)) return answer;
    if (!params.follow.live && api_not_modified(req, reply, views_since(req->server->flume, VOTES_VIEWS)))
        return API_DONE;
    int err = rows_votes_open(req->server, &params, &rows);
    return err == OK ? api_reply_rows(req, reply, rows) : api_problem_err(reply, err);
}
