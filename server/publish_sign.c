#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "server/append_expect.h"
#include "server/publish.h"
#include "server/rows.h"
#include "server/text.h"
#include "store/err.h"
#include "store/keys.h"

/* One POST /publish on its way through the indexer. Lives as req->state from the first call to the answer. */
struct publish {
    struct flume_append job;
    struct append_expect expect;
    struct api_request *req;
    struct buf content;
    struct feed_message message;
    int64_t seq;
};

static void publish_free(void *state)
{
    struct publish *publish = state;
    if (publish == NULL) return;
    feed_message_free(&publish->message);
    buf_free(&publish->content);
    free(publish);
}

static double wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (double)((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

/* The indexer's call: nothing else can be appended to the feed between this look at it and the append. */
static int publish_make(struct flume_append *job, const struct feed_state *state)
{
    const struct publish *publish = job->ctx;
    const struct keys *keys = publish->req->server->keys;
    if (!state->exists && (job->expect == NULL || !job->expect->none))
        return err_set(
            ERR_NOTFOUND,
            "this log holds no message of the owner's feed. If there are some elsewhere, publishing here would fork "
            "it: import them first. If this is to be its first message, say so: If-None-Match: *");
    return feed_next(state, &keys->id, keys->secret, wall_ms(),
                     (struct slice){ publish->content.data, publish->content.len }, job->messages);
}

static void publish_done(struct flume_append *job)
{
    struct publish *publish = job->ctx;
    publish->req->resume(publish->req->resume_ctx);
}

static int publish_refused(const struct publish *publish, struct api_reply *reply)
{
    const struct flume_append *job = &publish->job;
    struct buf extra;
    (void)err_set(job->err, "%s", job->detail);
    if (job->err == ERR_NOTFOUND) return api_problem(reply, "first-message", NULL, "%s", job->detail);
    if (job->err != ERR_STALE) return api_problem_err(reply, job->err);
    buf_init(&extra, 256);
    (void)buf_puts(&extra, ",\"head\":");
    if (job->stored.kind != REF_NONE)
        text_put_ref(&extra, &job->stored);
    else
        (void)buf_puts(&extra, "null");
    (void)buf_putc(&extra, '\0');
    int answer = api_problem(reply, "stale-head", extra.err == OK ? extra.data : NULL, "%s", job->detail);
    buf_free(&extra);
    return answer;
}

static int publish_answer(struct publish *publish, struct api_reply *reply)
{
    struct metrics *metrics = &publish->req->server->metrics;
    if (publish->job.err != OK) {
        atomic_fetch_add(&metrics->append_refused, 1);
        return publish_refused(publish, reply);
    }
    atomic_fetch_add(&metrics->appended, 1);
    const struct log_record record = { .seq = publish->seq,
                                       .value = { publish->message.record.data, publish->message.record.len } };
    reply->status = 201;
    reply->content_type = "application/json";
    (void)api_header_add(reply, "Location", "/log/%" PRId64, publish->seq);
    int err = record_print(&record, &reply->body);
    return err == OK ? API_DONE : api_problem_err(reply, err);
}

/* Prefer: durability=relaxed is passed over: a message that somebody has seen and that a power cut takes back would be followed by another of its
 * sequence, and that is a fork. */
static int publish_queue(struct publish *publish, struct api_reply *reply, bool expected)
{
    struct api_request *req = publish->req;
    publish->job = (struct flume_append){
        .messages = &publish->message,
        .count = 1,
        .make = publish_make,
        .author = req->server->keys->id,
        .expect = expected ? &publish->expect.expect : NULL,
        .deadline_ms = flume_now_ms() + req->server->config->wait_timeout * 1000,
        .done = publish_done,
        .ctx = publish,
        .seqs = &publish->seq,
    };
    req->state = publish;
    req->state_free = publish_free;
    int err = flume_append(req->server->flume, &publish->job);
    return err == OK ? API_WAIT : api_problem_err(reply, err);
}

int publish_sign(struct api_request *req, struct api_reply *reply, struct buf *content)
{
    if (req->state != NULL) return publish_answer(req->state, reply);
    struct publish *publish = calloc(1, sizeof *publish);
    if (publish == NULL) return api_problem_err(reply, err_set(ERR_NOMEM, "no memory to publish a message"));
    publish->req = req;
    int expected = append_expect_read(req, false, &publish->expect);
    publish->expect.expect.heads = publish->expect.heads;
    if (expected < 0) {
        publish_free(publish);
        return api_problem_err(reply, expected);
    }
    publish->content = *content;
    buf_init(content, 0);
    return publish_queue(publish, reply, expected == 1);
}
