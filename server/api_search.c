#include "server/api_record.h"
#include "server/rows_log.h"
#include "server/rows_search.h"
#include "server/text.h"
#include "views/search.h"

/* By rank if nothing else is said; live: in the order in which messages come; reverse is another word for newest. */
static bool order_read(const struct api_request *req, struct api_reply *reply, struct search_params *search)
{
    const struct slice *order = api_query(req, "order");
    bool reverse = search->params.range.reverse;
    search->order = search->params.live ? SEARCH_OLDEST : reverse ? SEARCH_NEWEST : SEARCH_RANK;
    if (order != NULL && text_is(*order, "rank"))
        search->order = SEARCH_RANK;
    else if (order != NULL && text_is(*order, "newest"))
        search->order = SEARCH_NEWEST;
    else if (order != NULL && text_is(*order, "oldest"))
        search->order = SEARCH_OLDEST;
    else if (order != NULL)
        return api_problem(reply, "bad-parameter", NULL, "order: rank, newest or oldest is wanted"), false;
    if (search->params.live && search->order != SEARCH_OLDEST)
        return api_problem(reply, "bad-parameter", NULL, "live: what comes follows in the order oldest only"), false;
    if (reverse && search->order != SEARCH_NEWEST)
        return api_problem(reply, "bad-parameter", NULL, "reverse: means order=newest, and another order is given"),
               false;
    search->params.range.reverse = search->order == SEARCH_NEWEST;
    return true;
}

static bool search_read(const struct api_request *req, struct api_reply *reply, int format,
                        struct search_params *search)
{
    static const char *const extra[] = { "order", "skip", NULL };
    if (!filter_params_read_with(req, reply, format, extra, &search->params) || !order_read(req, reply, search) ||
        !api_query_int(req, reply, "skip", 0, SEARCH_RANKED_MAX, &search->skip))
        return false;
    if (api_query(req, "q") != NULL) return true;
    (void)api_problem(reply, "bad-parameter", NULL, "q: a word to look for is wanted");
    return false;
}

int api_search(struct api_request *req, struct api_reply *reply)
{
    struct search_params search = { .skip = 0 };
    struct rows *rows;
    int answer, format = api_format_of(req, reply);
    if (format < 0 || !search_read(req, reply, format, &search)) return API_DONE;
    uint32_t views = filter_params_views(&search.params);
    if (!api_fresh_now(req, reply, views, &answer)) return answer;
    if (!search.params.live && api_not_modified(req, reply, views_since(req->server->flume, views))) return API_DONE;
    int err = rows_search_open(req->server, &search, &rows);
    return err == OK ? api_reply_rows(req, reply, rows) : filter_params_problem(reply, err);
}
