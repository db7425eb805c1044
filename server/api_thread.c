#include "server/api_record.h"
#include "server/filter_params.h"
#include "server/reader.h"
#include "server/rows_thread.h"
#include "store/fnv.h"

static int facts_of(struct api_request *req, const struct ref *root, struct thread_facts *ret_facts)
{
    struct flume_read read;
    int err = api_read_begin(req->server, &read);
    if (err != OK) return err;
    err = thread_facts_read(&read, root, req->public_only, ret_facts);
    flume_read_end(&read);
    return err;
}

int api_thread_get(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { "skip", "limit", FOLLOW_PARAMS, READER_PARAMS, API_FRESH_PARAMS, NULL };
    struct thread_facts facts;
    struct rows *rows;
    struct ref root;
    struct thread_params params = { .hide_private = req->public_only };
    int answer, format = reader_format(req, reply);
    if (format < 0 || !api_query_only(req, reply, names) || !api_path_ref(req, reply, 0, "%", &root)) return API_DONE;
    const struct reader_source source = { .kind = READER_THREAD, .id = root };
    if (format >= API_ATOM) return reader_answer(req, reply, format, &source);
    if (!api_query_int(req, reply, "skip", 0, SEQ_MAX, &params.skip) ||
        !page_limit_read(req, reply, format, &params.limit) || !follow_read(req, reply, format, &params.follow))
        return API_DONE;
    if (!api_fresh_now(req, reply, THREAD_VIEWS, &answer)) return answer;
    int64_t since = views_since(req->server->flume, THREAD_VIEWS);
    int err = facts_of(req, &root, &facts);
    if (err == ERR_NOTFOUND) api_since_put(req, reply, since);
    if (err != OK) return api_problem_err(reply, err);
    /* Heads, votes and forks: as long as these are what they were, so is the thread. */
    uint64_t state = fnv_add(FNV_START, facts.head.data, facts.head.len);
    if (!params.follow.live && api_not_modified_of(req, reply, facts.since, state)) {
        thread_facts_free(&facts);
        return API_DONE;
    }
    err = rows_thread_open(req->server, &facts, &params, &rows);
    return err == OK ? api_reply_rows(req, reply, rows) : api_problem_err(reply, err);
}
