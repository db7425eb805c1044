#include "server/api_links.h"
#include "server/api_record.h"
#include "store/canonical.h"
#include "views/view_messages.h"

static const char *const message_names[] = { API_FRESH_PARAMS, NULL };

/* Finds the message of the path: true and the record, or the handler's answer. */
static bool message_find(struct api_request *req, struct api_reply *reply, struct log **ret_log,
                         struct log_record *ret_record, int *ret_answer)
{
    struct flume_read read;
    struct ref id;
    int64_t since = SEQ_EMPTY;
    *ret_answer = API_DONE;
    if (!api_query_only(req, reply, message_names) || !api_path_ref(req, reply, 0, "%", &id)) return false;
    if (!api_fresh_now(req, reply, VIEW_MASK(messages), ret_answer)) return false;
    int err = api_read_begin(req->server, &read);
    if (err == OK) {
        since = flume_read_since(&read, flume_view(read.flume, VIEW_messages));
        err = messages_find(&read, &id, ret_record);
        *ret_log = read.log;
        flume_read_end(&read);
        if (err == OK && !api_record_hidden(req, ret_record) && api_not_modified(req, reply, since)) return false;
    }
    if (err == OK && !api_record_hidden(req, ret_record)) return true;
    if (err != OK && err != ERR_NOTFOUND) {
        (void)api_problem_err(reply, err);
        return false;
    }
    api_since_put(req, reply, since);
    (void)api_problem(reply, "not-found", NULL, "there is no message of that id here");
    return false;
}

int api_message_get(struct api_request *req, struct api_reply *reply)
{
    struct log *log;
    struct log_record record;
    int answer;
    return message_find(req, reply, &log, &record, &answer) ? api_record(req, reply, log, &record) : answer;
}

/* The text that was hashed: the record keeps the value in another spacing. */
int api_message_raw(struct api_request *req, struct api_reply *reply)
{
    struct log *log;
    struct log_record record;
    struct canonical *doc = NULL;
    int answer;
    if (!message_find(req, reply, &log, &record, &answer)) return answer;
    /* what was signed is what was encrypted */
    int err = log_get(flume_log(api_server_base(req->server)->flume), record.seq, &record);
    if (err == OK) err = canonical_parse(record.value.data, record.value.len, &doc);
    if (err == OK) {
        const struct canonical *value = canonical_member(doc, "value");
        err = value == NULL ? err_set(ERR_CORRUPT, "the record at seq %lld has no value", (long long)record.seq)
                            : canonical_print(value, &reply->body);
    }
    canonical_free(doc);
    if (err != OK) return api_problem_err(reply, err);
    reply->status = 200;
    reply->content_type = "application/json";
    return API_DONE;
}

int api_message_links(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { LINKS_PARAMS, "source", "rel", API_FRESH_PARAMS, NULL };
    struct ref id;
    if (!api_query_only(req, reply, names) || !api_path_ref(req, reply, 0, "%", &id)) return API_DONE;
    return api_links_answer(req, reply, &id);
}
