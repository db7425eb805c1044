#include <inttypes.h>
#include <stdlib.h>

#include "server/node.h"
#include "server/publish.h"
#include "server/rows.h"
#include "server/text.h"
#include "store/err.h"
#include "views/view_messages.h"

/* One POST /publish that a node is to sign. Lives as req->state from the first call to the answer. */
struct handed {
    struct node_call call;
    struct api_request *req;
    struct buf content;
    int64_t
        deadline_ms; /* until when the message is waited for in the followed log; 0 = the node has not answered yet */
};

static void handed_free(void *state)
{
    struct handed *handed = state;
    if (handed == NULL) return;
    buf_free(&handed->content);
    free(handed);
}

static void handed_done(struct node_call *call)
{
    struct handed *handed = call->ctx;
    handed->req->resume(handed->req->resume_ctx);
}

static int handed_failed(const struct handed *handed, struct api_reply *reply)
{
    static const char *const problems[] = {
        [NODE_ABSENT] = "no-node",    [NODE_REFUSED] = "node-refused", [NODE_LOST] = "node-lost",
        [NODE_LATE] = "node-timeout", [NODE_CLOSING] = "not-ready",
    };
    enum node_outcome outcome = handed->call.outcome;
    atomic_fetch_add(&handed->req->server->metrics.append_refused, 1);
    if (outcome == NODE_ABSENT || outcome == NODE_CLOSING) (void)api_header_add(reply, "Retry-After", "1");
    return api_problem(reply, problems[outcome], NULL, "%s", handed->call.detail);
}

/* ---- waiting for it in the followed log -------------------------------------------------------------------------- */

static void seen_more(void *ctx, int err)
{
    struct api_request *req = ctx;
    req->wait_err = err;
    req->resume(req->resume_ctx);
}

/* 1 and the record is in the reply; 0 = it is not there up to `ret_since`; <0 error. */
static int handed_look(const struct handed *handed, struct api_reply *reply, int64_t *ret_since)
{
    struct flume *flume = handed->req->server->flume;
    struct flume_read read;
    struct log_record record;
    int err = flume_read_begin(flume, &read);
    if (err != OK) return err;
    *ret_since = flume_read_since(&read, flume_view(flume, VIEW_messages));
    err = messages_find(&read, &handed->call.id, &record);
    if (err == OK) err = record_print(&record, &reply->body);
    if (err == OK) (void)api_header_add(reply, "Location", "/log/%" PRId64, record.seq);
    flume_read_end(&read);
    return err == OK ? 1 : err == ERR_NOTFOUND || err == ERR_DELETED ? 0 : err;
}

/* The node has it, and that is what counts: if it does not show in time, that is said and no failure. */
static int handed_unseen(const struct handed *handed, struct api_reply *reply)
{
    reply->status = 202;
    reply->content_type = "application/json";
    (void)buf_puts(&reply->body, "{\"key\":");
    text_put_ref(&reply->body, &handed->call.id);
    (void)buf_puts(&reply->body, "}\n");
    return API_DONE;
}

static int handed_seen(struct handed *handed, struct api_reply *reply)
{
    struct api_request *req = handed->req;
    int64_t since = SEQ_EMPTY;
    req->fresh_ticket = 0;
    (void)flume_head(req->server->flume); /* the file is looked at now, not when its turn comes */
    for (;;) {
        int seen = handed_look(handed, reply, &since);
        if (seen == 1) {
            reply->status = 201;
            reply->content_type = "application/json";
            return API_DONE;
        }
        if (seen < 0 || req->wait_err != OK) return handed_unseen(handed, reply);
        int ready = flume_wait(req->server->flume, VIEW_MASK(messages), since + 1, handed->deadline_ms, seen_more, req,
                               &req->fresh_ticket);
        if (ready == 0) return API_WAIT;
        if (ready < 0) return handed_unseen(handed, reply);
    }
}

/* ---- the call --------------------------------------------------------------------------------------------------- */

static int handed_answered(struct handed *handed, struct api_reply *reply)
{
    struct api_request *req = handed->req;
    if (handed->call.outcome != NODE_PUBLISHED) return handed_failed(handed, reply);
    if (handed->deadline_ms == 0) {
        handed->deadline_ms = flume_now_ms() + req->server->config->wait_timeout * 1000;
        atomic_fetch_add(&req->server->metrics.appended, 1);
    }
    return handed_seen(handed, reply);
}

int publish_by_node(struct api_request *req, struct api_reply *reply, struct buf *content)
{
    if (req->state != NULL) return handed_answered(req->state, reply);
    if (req->if_match.data != NULL || req->if_none_match.data != NULL)
        return api_problem(
            reply, "bad-request", NULL,
            "If-Match and If-None-Match cannot be kept here: the log is its node's, and that knows nothing like it");
    struct handed *handed = calloc(1, sizeof *handed);
    if (handed == NULL) return api_problem_err(reply, err_set(ERR_NOMEM, "no memory to publish a message"));
    handed->req = req;
    handed->content = *content;
    buf_init(content, 0);
    handed->call = (struct node_call){
        .content = { handed->content.data, handed->content.len },
        .deadline_ms = flume_now_ms() + req->server->config->node_timeout * 1000,
        .done = handed_done,
        .ctx = handed,
    };
    req->state = handed;
    req->state_free = handed_free;
    int err = node_publish(req->server->node, &handed->call);
    return err == OK ? API_WAIT : api_problem_err(reply, err);
}
