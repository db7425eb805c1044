#include "server/api_record.h"
#include "server/rows_log.h"
#include "server/rows_social.h"
#include "views/graph.h"

/* As far as ssb-friends looks unless it is told otherwise. */
#define GRAPH_HOPS_DEFAULT 3

static bool graph_asked(const struct api_request *req, struct api_reply *reply, int format, struct graph_params *params)
{
    int64_t hops = GRAPH_HOPS_DEFAULT;
    if (api_query(req, "from") == NULL) {
        (void)api_problem(reply, "bad-parameter", NULL, "from: the id of the feed where the graph begins is wanted");
        return false;
    }
    if (!api_query_ref(req, reply, "from", "@", &params->from) ||
        !api_query_int(req, reply, "hops", 0, GRAPH_HOPS_MAX, &hops) ||
        !api_query_int(req, reply, "skip", 0, SEQ_MAX, &params->skip) ||
        !page_limit_read(req, reply, format, &params->limit) || !follow_read(req, reply, format, &params->follow))
        return false;
    params->hops = (int)hops;
    return true;
}

int api_graph_list(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { "from", "hops", "skip", "limit", FOLLOW_PARAMS, API_FRESH_PARAMS, NULL };
    struct graph_params params = { .skip = 0 };
    struct rows *rows;
    int answer, format = api_format_of(req, reply);
    if (format < 0 || !api_query_only(req, reply, names) || !graph_asked(req, reply, format, &params)) return API_DONE;
    if (!api_fresh_now(req, reply, VIEW_MASK(contacts), &answer)) return answer;
    if (!params.follow.live && api_not_modified(req, reply, views_since(req->server->flume, VIEW_MASK(contacts))))
        return API_DONE;
    int err = rows_graph_open(req->server, &params, &rows);
    return err == OK ? api_reply_rows(req, reply, rows) : api_problem_err(reply, err);
}
