#include <stdio.h>
#include <string.h>

#include "server/api_record.h"
#include "server/rows_log.h"
#include "server/text.h"

int api_log_list(struct api_request *req, struct api_reply *reply)
{
    struct flume *flume = req->server->flume;
    struct filter_params params;
    struct rows *rows;
    int answer, format = api_format_of(req, reply);
    if (format < 0 || !filter_params_read(req, reply, format, &params)) return API_DONE;
    uint32_t views = filter_params_views(&params);
    if (!api_fresh_now(req, reply, views, &answer)) return answer;
    if (!params.live && api_not_modified(req, reply, views_since(flume, views))) return API_DONE;
    (void)api_header_add(reply, "Sluice-Log-Durable", "%lld", (long long)api_head(req));
    (void)api_header_add(reply, "Sluice-Log-Head", "%lld", (long long)log_since(flume_log(req->server->flume)));
    int err = rows_log_open_params(req->server, &params, &rows);
    return err == OK ? api_reply_rows(req, reply, rows) : filter_params_problem(reply, err);
}

/* A record never changes: its tag is its seq, the log it stands in and how it is shown. true = the client has it. */
static bool log_tag_matches(const struct api_request *req, struct api_reply *reply, int64_t seq)
{
    char tag[64];
    int len = snprintf(tag, sizeof tag, "\"%lld-%016llx\"", (long long)seq, (unsigned long long)api_tag_of_log(req));
    (void)api_header_add(reply, "ETag", "%s", tag);
    const struct slice *match = &req->if_none_match;
    return match->data != NULL &&
           (text_is(text_trim(*match), "*") || memmem(match->data, match->len, tag, (size_t)len) != NULL);
}

int api_log_get(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { API_FRESH_PARAMS, NULL };
    struct log_record record;
    int64_t seq;
    int answer;
    if (!api_query_only(req, reply, names)) return API_DONE;
    if (!text_int(req->path_params[0].value, 0, SEQ_MAX, &seq))
        return api_problem(reply, "bad-parameter", NULL,
                           "seq: a whole number from 0 to 2^53-1 is wanted, as records show it");
    if (!api_fresh_now(req, reply, 0, &answer)) return answer;
    int64_t head = api_head(req);
    if (seq > head) {
        api_since_put(req, reply, head);
        return api_problem(reply, "not-found", NULL, "seq %lld is past the end of the log, which is at %lld",
                           (long long)seq, (long long)head);
    }
    struct log *log = flume_log(req->server->flume);
    int err = log_get(log, seq, &record);
    if (err == OK || err == ERR_DELETED) api_since_put(req, reply, head);
    if (err != OK) return api_problem_err(reply, err);
    if (!api_record_hidden(req, &record) && log_tag_matches(req, reply, seq)) {
        reply->status = 304;
        return API_DONE;
    }
    return api_record(req, reply, log, &record);
}
