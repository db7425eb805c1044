#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/ahead.h"
#include "server/append_expect.h"
#include "server/parallel.h"
#include "server/sent.h"
#include "server/text.h"
#include "store/canonical.h"

/* A body that has grown to so much is checked while the rest of it is coming. */
#define APPEND_AHEAD ((size_t)32 << 10)

/* One POST /log on its way through the indexer. Lives as req->state from the first call to the answer. */
struct append {
    struct flume_append job;
    struct append_expect *expect; /* NULL = nothing is */
    struct api_request *req;
    struct feed_message *messages; /* accept ssb */
    struct slice *values;          /* accept any; borrowed from the body */
    size_t *lines;                 /* where in the body each value stands, counted from 0 */
    int64_t *seqs;
    size_t count;
    bool batch;
};

static void append_free(void *state)
{
    struct append *append = state;
    if (append == NULL) return;
    for (size_t i = 0; i < append->count && append->messages != NULL; i++)
        feed_message_free(&append->messages[i]);
    free(append->expect);
    free(append);
}

/* The log's own timestamp, in ms: no two are equal and none goes back, as npm monotonic-timestamp gives them. */
static double append_time(void)
{
    static _Atomic int64_t newest_us;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t us = ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000) * 1000;
    int64_t newest = atomic_load(&newest_us);
    int64_t next;
    do
        next = us > newest ? us : newest + 1;
    while (!atomic_compare_exchange_weak(&newest_us, &newest, next));
    return (double)next / 1000;
}

/* ---- what was sent ---- */

static bool append_media(struct slice type, const char *name)
{
    size_t len = 0;
    while (len < type.len && type.data[len] != ';')
        len++;
    return text_is_nocase(text_trim((struct slice){ type.data, len }), name);
}

/* 1 = a batch of lines, 0 = one value, -1 = neither. */
static int append_kind(struct slice type)
{
    if (type.data == NULL || append_media(type, "application/json")) return 0;
    bool lines = append_media(type, "application/x-ndjson") || append_media(type, "application/ndjson") ||
                 append_media(type, "application/jsonl");
    return lines ? 1 : -1;
}

static size_t append_count(struct slice body, bool batch)
{
    if (!batch) return text_trim(body).len > 0 ? 1 : 0;
    struct sent_lines at = { 0 };
    struct slice value;
    size_t number, count = 0;
    while (sent_lines_next(&at, body, &value, &number))
        count++;
    return count;
}

static int append_new(struct slice body, bool batch, bool any, size_t count, struct append **ret_append)
{
    /* in one piece: most requests carry one message */
    struct append *append;
    size_t one = sizeof *append->values + sizeof *append->lines + sizeof *append->seqs + sizeof *append->messages;
    size_t bytes = sizeof *append + count * one;
    /* small enough for one message to be taken from what the thread has freed; calloc would not look there */
    append = malloc(bytes);
    if (append == NULL) return err_set(ERR_NOMEM, "no memory to append %zu messages", count);
    memset(append, 0, bytes);
    append->batch = batch;
    append->count = count;
    append->values = (struct slice *)(append + 1);
    append->lines = (size_t *)(append->values + count);
    append->seqs = (int64_t *)(append->lines + count);
    if (!any) append->messages = (struct feed_message *)(append->seqs + count);
    append->values[0] = text_trim(body);
    struct sent_lines at = { 0 };
    for (size_t i = 0; batch && i < count; i++)
        (void)sent_lines_next(&at, body, &append->values[i], &append->lines[i]);
    *ret_append = append;
    return OK;
}

/* ---- checking ---- */

static int append_check_any(struct slice value)
{
    struct canonical *doc = NULL;
    int err = canonical_parse(value.data, value.len, &doc);
    canonical_free(doc);
    if (err == OK && value.len > LOG_RECORD_MAX)
        err = err_set(ERR_LIMIT, "the value has %zu bytes: the most is %zu", value.len, LOG_RECORD_MAX);
    return err;
}

static void append_put_ref(const char *name, const struct ref *ref, struct buf *out)
{
    (void)buf_printf(out, ",\"%s\":", name);
    if (ref->kind != REF_NONE)
        text_put_ref(out, ref);
    else
        (void)buf_puts(out, "null");
}

/* Both sides of a fork; where a feed stands that was expected elsewhere. */
static void append_put_refs(const struct append *append, size_t i, int err, struct buf *out)
{
    if (append->messages == NULL || (err != ERR_FORK && err != ERR_STALE)) return;
    append_put_ref(err == ERR_FORK ? "stored" : "head", &append->job.stored, out);
    if (err == ERR_FORK) append_put_ref("refused", &append->messages[i].id, out);
}

/* The problem for value i that was refused with err and err_detail. */
static int append_refused(struct append *append, struct api_reply *reply, size_t i, int err)
{
    const char *detail = err_detail(err);
    char message[512];
    (void)snprintf(message, sizeof message, "%s", detail);
    struct buf extra;
    buf_init(&extra, 8192);
    (void)buf_printf(&extra, ",\"index\":%zu,\"reason\":", append->lines[i]);
    (void)buf_put_json(&extra, message, strlen(message));
    append_put_refs(append, i, err, &extra);
    (void)buf_putc(&extra, '\0');
    const char *members = extra.err == OK ? extra.data : NULL;
    int answer = API_DONE;
    if (err == ERR_FORK)
        answer = api_problem(reply, "fork", members, "%s", message);
    else if (err == ERR_STALE)
        answer = api_problem(reply, "stale-head", members, "%s", message);
    else if (err == ERR_JSON)
        answer = api_problem(reply, "bad-request", members, "the body is not valid JSON: %s", message);
    else if (err == ERR_INVALID || err == ERR_LIMIT || err == ERR_ARG)
        answer = api_problem(reply, "invalid-message", members, "%s", message);
    else
        answer = api_problem_err(reply, err);
    buf_free(&extra);
    return answer;
}

static int append_check_value(struct append *append, size_t i)
{
    return append->messages != NULL ? sent_check(append->values[i], &append->messages[i])
                                    : append_check_any(append->values[i]);
}

struct append_check {
    struct append *append;
    atomic_size_t bad; /* the first value found so far that is refused */
};

static void append_check_one(void *ctx, size_t i)
{
    struct append_check *check = ctx;
    size_t bad = atomic_load(&check->bad);
    if (i > bad || append_check_value(check->append, i) == OK) return;
    while (i < bad && !atomic_compare_exchange_weak(&check->bad, &bad, i)) {
    }
}

/* The first value that is refused, `count` if none is. Signatures are what takes the time: a batch is shared out among the cores. */
static int append_check_all(struct append *append, size_t count, size_t *ret_bad)
{
    struct api_request *req = append->req;
    if (req->ahead != NULL) {
        int err = ahead_end(req->ahead, req->body, count, append->messages, ret_bad);
        ahead_free(req->ahead);
        req->ahead = NULL;
        return err;
    }
    struct append_check check = { .append = append, .bad = count };
    parallel_run(count, count < AHEAD_LINES ? 1 : parallel_cores(), append_check_one, &check);
    *ret_bad = atomic_load(&check.bad);
    return OK;
}

static bool append_check(struct append *append, struct api_reply *reply, size_t count)
{
    size_t bad = 0;
    if (append_check_all(append, count, &bad) != OK) {
        (void)api_problem_err(reply, ERR_NOMEM);
        return false;
    }
    int err = OK;
    if (bad < count) {
        /* The reason was told to the thread that found it: it is found again for this one. */
        if (append->messages != NULL) feed_message_free(&append->messages[bad]);
        if (append->messages != NULL) append->messages[bad] = (struct feed_message){ 0 };
        err = append_check_value(append, bad);
    }
    for (size_t i = 0; err == OK && append->messages != NULL && i < count; i++) {
        err = feed_record(&append->messages[i], append_time());
        bad = i;
    }
    if (err != OK) (void)append_refused(append, reply, bad, err);
    return err == OK;
}

/* ---- queueing and answering ---- */

static void append_done(struct flume_append *job)
{
    struct append *append = job->ctx;
    append->req->resume(append->req->resume_ctx);
}

/* durability=relaxed among the preferences (RFC 7240). */
static bool append_relaxed(struct slice prefer)
{
    size_t at = 0;
    while (prefer.data != NULL && at < prefer.len) {
        size_t len = 0;
        while (at + len < prefer.len && prefer.data[at + len] != ',' && prefer.data[at + len] != ';')
            len++;
        if (text_is_nocase(text_trim((struct slice){ prefer.data + at, len }), "durability=relaxed")) return true;
        at += len + 1;
    }
    return false;
}

static void append_put_seq(struct append *append, struct buf *out)
{
    (void)buf_printf(out, "{\"seq\":%lld", (long long)append->seqs[0]);
    if (append->messages != NULL) {
        (void)buf_puts(out, ",\"key\":");
        text_put_ref(out, &append->messages[0].id);
    }
    (void)buf_puts(out, "}\n");
}

static void append_put_batch(struct append *append, struct buf *out)
{
    int64_t since = SEQ_EMPTY;
    for (size_t i = 0; i < append->job.count; i++)
        if (append->seqs[i] > since) since = append->seqs[i];
    (void)buf_printf(out, "{\"count\":%zu,\"since\":%lld,\"duplicates\":%zu}\n", append->job.count, (long long)since,
                     append->job.duplicates);
}

static int append_answer(struct append *append, struct api_reply *reply)
{
    struct flume_append *job = &append->job;
    struct metrics *metrics = &append->req->server->metrics;
    if (job->err != OK) {
        atomic_fetch_add(&metrics->append_refused, 1);
        (void)err_set(job->err, "%s", job->detail);
        return append_refused(append, reply, job->index < job->count ? job->index : 0, job->err);
    }
    atomic_fetch_add(&metrics->appended, (int64_t)(job->count - job->duplicates));
    bool stored = job->duplicates < job->count;
    reply->status = !stored ? 200 : job->relaxed ? 202 : 201;
    reply->content_type = "application/json";
    if (append->batch)
        append_put_batch(append, &reply->body);
    else
        append_put_seq(append, &reply->body);
    if (!append->batch) (void)api_header_add(reply, "Location", "/log/%lld", (long long)append->seqs[0]);
    if (job->relaxed) (void)api_header_add(reply, "Preference-Applied", "durability=relaxed");
    return API_DONE;
}

static int append_queue(struct append *append, struct api_reply *reply, size_t count)
{
    struct api_request *req = append->req;
    append->job = (struct flume_append){
        .messages = append->messages,
        .values = append->messages == NULL ? append->values : NULL,
        .count = count,
        .expect = append->expect != NULL ? &append->expect->expect : NULL,
        .relaxed = append_relaxed(req->prefer),
        .deadline_ms = flume_now_ms() + req->server->config->wait_timeout * 1000,
        .done = append_done,
        .ctx = append,
        .seqs = append->seqs,
    };
    req->state = append;
    req->state_free = append_free;
    int err = flume_append(req->server->flume, &append->job);
    return err == OK ? API_WAIT : api_problem_err(reply, err);
}

static bool append_allowed(const struct api_request *req, struct api_reply *reply)
{
    if (!req->may_append)
        (void)api_problem(reply, "forbidden", NULL, "appending needs a token: Authorization: Bearer TOKEN");
    else if (!req->server->owned)
        (void)api_problem(reply, "read-only", NULL,
                          "the log that is served belongs to another process and is only followed: append there, or "
                          "serve a folder of your own with --data");
    else
        return true;
    return false;
}

static bool append_takes_any(const struct config *config)
{
    return config->accept != NULL && strcmp(config->accept, "any") == 0;
}

void api_body_comes(struct api_request *req, struct slice body)
{
    const struct server *server = req->server;
    if (req->ahead == NULL) {
        if (body.len < APPEND_AHEAD || server->ahead == NULL || !req->may_append || !server->owned ||
            !text_is(req->target, "/log") || append_kind(req->content_type) != 1 || append_takes_any(server->config))
            return;
        req->ahead = ahead_new(server->ahead, (size_t)server->config->batch_max);
    }
    if (req->ahead != NULL) ahead_more(req->ahead, body);
}

/* What few of them say takes more room than all else. */
static int append_expect(struct append *append, bool any)
{
    const struct api_request *req = append->req;
    if (req->if_match.data == NULL && req->if_none_match.data == NULL) return OK;
    append->expect = malloc(sizeof *append->expect);
    if (append->expect == NULL) return err_set(ERR_NOMEM, "no memory for what is expected");
    int expected = append_expect_read(req, any, append->expect);
    append->expect->expect.heads = append->expect->heads;
    return expected < 0 ? expected : OK;
}

static int append_begin(struct api_request *req, struct api_reply *reply)
{
    const struct config *config = req->server->config;
    struct append *append = NULL;
    int kind = append_kind(req->content_type);
    if (kind < 0)
        return api_problem(reply, "unsupported-type", NULL,
                           "send one message as application/json, or a batch, one a line, as application/x-ndjson");
    size_t count = append_count(req->body, kind == 1);
    if (count == 0) return api_problem(reply, "bad-request", NULL, "the body is empty: a signed message is wanted");
    if (count > (size_t)config->batch_max)
        return api_problem(reply, "too-large", NULL, "the batch has %zu messages: the most is %lld", count,
                           (long long)config->batch_max);
    bool any = append_takes_any(config);
    int err = append_new(req->body, kind == 1, any, count, &append);
    if (append == NULL) return api_problem_err(reply, err);
    append->req = req;
    err = append_expect(append, any);
    if (err != OK)
        (void)api_problem_err(reply, err);
    else if (append_check(append, reply, count))
        return append_queue(append, reply, count);
    atomic_fetch_add(&req->server->metrics.append_refused, 1);
    append_free(append);
    return API_DONE;
}

int api_log_append(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { NULL };
    if (!api_query_only(req, reply, names)) return API_DONE;
    if (!append_allowed(req, reply)) return API_DONE;
    return req->state != NULL ? append_answer(req->state, reply) : append_begin(req, reply);
}
