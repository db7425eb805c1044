#include "server/api_record.h"

#include "server/ids.h"

bool api_record_hidden(const struct api_request *req, const struct log_record *record)
{
    if (!req->public_only) return false;
    struct message message;
    message_init(&message);
    bool hidden = message_scan(&message, record->value.data, record->value.len) != OK || message_is_secret(&message);
    message_free(&message);
    return hidden;
}

int api_json(struct api_reply *reply)
{
    if (reply->uri_ids) (void)ids_to_uris(&reply->body, 0);
    (void)buf_putc(&reply->body, '\n');
    if (reply->body.err != OK) return api_problem_err(reply, reply->body.err);
    reply->status = 200;
    reply->content_type = "application/json";
    return API_DONE;
}

int api_record(struct api_request *req, struct api_reply *reply, const struct log *log, const struct log_record *record)
{
    if (api_record_hidden(req, record))
        return api_problem(reply, "not-found", NULL, "there is no such message for clients without a token");
    (void)record_show(req->server, log, record, &reply->body);
    return api_json(reply);
}

bool api_fresh_now(struct api_request *req, struct api_reply *reply, uint32_t views, int *ret_answer)
{
    int fresh = api_fresh(req, reply, views);
    *ret_answer = fresh == API_WAIT ? API_WAIT : API_DONE;
    return fresh == API_DONE;
}
