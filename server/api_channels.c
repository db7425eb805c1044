#include "server/api_record.h"
#include "server/reader.h"
#include "server/rows_log.h"
#include "server/rows_social.h"
#include "server/rows_views.h"
#include "server/text.h"
#include "views/channel_name.h"
#include "views/view_channels.h"

int api_channels_list(struct api_request *req, struct api_reply *reply)
{
    return api_counts_list(req, reply, VIEW_MASK(channels), rows_channels_open);
}

/* Names that no channel can have are told before anything is waited for. */
static bool channel_named(const struct api_request *req, struct api_reply *reply)
{
    struct filter filter = { 0 };
    const struct slice name = req->path_params[0].value;
    int err = filter_set(&filter, "channel", name.data, name.len);
    if (err != OK) (void)filter_params_problem(reply, err);
    return err == OK;
}

static int channel_print(const struct flume_read *read, struct slice asked, struct buf *out)
{
    struct channel_count count = { .seq = SEQ_EMPTY };
    struct said_list subscribers = { NULL, 0 };
    struct buf name;
    buf_init(&name, CHANNEL_BYTES_MAX);
    int err = channels_get(read, asked, &name, &count);
    if (err >= 0) err = channels_subscribers(read, asked, &subscribers);
    if (err == OK) {
        (void)buf_puts(out, "{\"channel\":");
        (void)buf_put_json(out, name.data, name.len);
        (void)buf_printf(out, ",\"count\":%llu,\"seq\":%lld,\"subscribers\":%zu", (unsigned long long)count.count,
                         (long long)count.seq, subscribers.count);
    }
    said_free(&subscribers);
    buf_free(&name);
    return err;
}

/* Its name as it is normalised, so that all spellings lead to one document. */
static int channel_reader(struct api_request *req, struct api_reply *reply, int format)
{
    char name[CHANNEL_BYTES_MAX];
    const struct slice asked = req->path_params[0].value;
    const struct reader_source source = { .kind = READER_CHANNEL,
                                          .channel = { name, channel_normalize(asked.data, asked.len, name) } };
    return reader_answer(req, reply, format, &source);
}

int api_channel_get(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { READER_PARAMS, "limit", API_FRESH_PARAMS, NULL };
    struct flume_read read;
    int answer, format = reader_format(req, reply);
    if (format < 0 || !api_query_only(req, reply, names) || !channel_named(req, reply)) return API_DONE;
    if (format >= API_ATOM) return channel_reader(req, reply, format);
    int64_t limit; /* there are no rows, but a number is a number */
    if (!page_limit_read(req, reply, API_JSON, &limit)) return API_DONE;
    if (!api_fresh_now(req, reply, CHANNELS_VIEWS, &answer)) return answer;
    int64_t since = views_since(req->server->flume, CHANNELS_VIEWS);
    if (api_not_modified(req, reply, since)) return API_DONE;
    int err = api_read_begin(req->server, &read);
    if (err != OK) return api_problem_err(reply, err);
    err = channel_print(&read, req->path_params[0].value, &reply->body);
    flume_read_end(&read);
    if (err != OK) return api_problem_err(reply, err);
    (void)buf_printf(&reply->body, ",\"since\":%lld}", (long long)since);
    return api_json(reply);
}

int api_channel_subscribers(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { "gt", "limit", FOLLOW_PARAMS, API_FRESH_PARAMS, NULL };
    struct subscribers_params params = { .after = { .kind = REF_NONE } };
    struct rows *rows;
    int answer, format = api_format_of(req, reply);
    if (format < 0 || !api_query_only(req, reply, names) || !channel_named(req, reply) ||
        !api_query_ref(req, reply, "gt", "@", &params.after) || !page_limit_read(req, reply, format, &params.limit) ||
        !follow_read(req, reply, format, &params.follow))
        return API_DONE;
    if (!api_fresh_now(req, reply, CHANNELS_VIEWS, &answer)) return answer;
    if (!params.follow.live && api_not_modified(req, reply, views_since(req->server->flume, CHANNELS_VIEWS)))
        return API_DONE;
    params.channel = req->path_params[0].value;
    int err = rows_subscribers_open(req->server, &params, &rows);
    return err == OK ? api_reply_rows(req, reply, rows) : api_problem_err(reply, err);
}
