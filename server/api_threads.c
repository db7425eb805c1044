#include "server/api_record.h"
#include "server/rows_log.h"
#include "server/rows_threads.h"

/* Names that no message can have are told before anything is waited for. */
static bool threads_named(struct api_reply *reply, const struct threads_query *query)
{
    struct filter filter = { 0 };
    int err = filter_set(&filter, "type", query->type.data, query->type.len);
    if (err == OK && query->channel.data != NULL)
        err = filter_set(&filter, "channel", query->channel.data, query->channel.len);
    if (err != OK) (void)filter_params_problem(reply, err);
    return err == OK;
}

static bool threads_near(const struct api_request *req, struct api_reply *reply, struct near_params *near)
{
    int err = near_params_read(req, near);
    if (err != OK) (void)filter_params_problem(reply, err);
    return err == OK;
}

static bool threads_read(const struct api_request *req, struct api_reply *reply, int format,
                         struct threads_query *query, int64_t *ret_limit, struct follow_params *ret_follow)
{
    const struct slice *type = api_query(req, "type"), *channel = api_query(req, "channel");
    int64_t seen;
    bool secret = false;
    if (!api_query_ref(req, reply, "author", "@", &query->author) ||
        !api_query_ref(req, reply, "participating", "@", &query->participating) ||
        !api_query_ref(req, reply, "followed", "@", &query->followed) ||
        !api_query_bool(req, reply, "private", &secret) ||
        !api_query_int(req, reply, "lt", 0, SEQ_MAX, &query->below) || !page_limit_read(req, reply, format, ret_limit))
        return false;
    if (secret && req->public_only) {
        (void)api_problem(reply, "forbidden", NULL,
                          "private=true: encrypted messages are shown to clients with a token only");
        return false;
    }
    if (api_query(req, "private") != NULL) query->secret = secret ? THREADS_SECRET : THREADS_OPEN;
    query->type = type != NULL ? *type : SLICE_LITERAL("post");
    if (channel != NULL) query->channel = *channel;
    query->hide_private = req->public_only;
    if (!follow_read(req, reply, format, ret_follow)) return false;
    if (!ret_follow->live && last_event_read(req, format, &seen)) query->below = seen;
    return threads_named(reply, query);
}

int api_threads_list(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { "type", "author", "channel", "participating", "followed",    "private",
                                         "from", "hops",   "lt",      "limit",         FOLLOW_PARAMS, API_FRESH_PARAMS,
                                         NULL };
    struct threads_query query = { .below = SEQ_MAX };
    struct near_params near = NEAR_PARAMS_NONE;
    struct follow_params follow;
    struct rows *rows;
    int64_t limit;
    int answer, format = api_format_of(req, reply);
    if (format < 0 || !api_query_only(req, reply, names) ||
        !threads_read(req, reply, format, &query, &limit, &follow) || !threads_near(req, reply, &near))
        return API_DONE;
    uint32_t views = threads_views(&query) | near_params_views(&near);
    if (!api_fresh_now(req, reply, views, &answer)) return answer;
    if (!follow.live && api_not_modified(req, reply, views_since(req->server->flume, views))) return API_DONE;
    int err = rows_threads_open(req->server, &query, &near, limit, &follow, &rows);
    return err == OK ? api_reply_rows(req, reply, rows) : filter_params_problem(reply, err);
}
