/* Blobs: GET /blobs/{id} and POST /blobs. Small ones are hashed and unboxed where they are asked for, the first time; everything that may take
 * longer is a job of blob_jobs, and the handler is called again when it is done. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "server/api_record.h"
#include "server/blob_jobs.h"
#include "server/blob_type.h"
#include "server/byte_range.h"
#include "server/text.h"
#include "store/base64.h"
#include "store/blob_box.h"

#define CHECK_HERE_MAX ((int64_t)1 << 20) /* bytes that are hashed on an HTTP thread: some milliseconds */

#define BLOB_POLICY \
    "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"

/* What a request knows between two calls of its handler. */
struct blob_state {
    struct blob_job job;
    struct api_request *req;
    bool cancelled; /* the wait was ended: the server stops */

    /* GET */
    struct blob_file file; /* fd -1 = not open */
    bool checked;          /* check_err is what came of it */
    int check_err;
    bool boxed;
    uint8_t key[BLOB_BOX_KEY_BYTES];
    struct blob_box *box;

    /* POST */
    bool kept; /* keep_err, id and is_new are what came of it */
    int keep_err;
    bool is_new;
    char why[200]; /* detail of check_err or keep_err, which another thread found */
};

/* ---- the state and its job ---- */

/* Blobs are the same for all who may read. */
static struct server *blob_server(const struct api_request *req)
{
    return api_server_base(req->server);
}

static void state_free(void *ctx)
{
    struct blob_state *state = ctx;
    blob_close(&state->file);
    free(state->box);
    sodium_memzero(state->key, sizeof state->key);
    free(state);
}

static struct blob_state *state_new(struct api_request *req)
{
    struct blob_state *state = calloc(1, sizeof *state);
    if (state == NULL) return NULL;
    state->req = req;
    state->file.fd = -1;
    req->state = state;
    req->state_free = state_free;
    return state;
}

static bool job_cancel(struct api_request *req)
{
    struct blob_state *state = req->state;
    if (!blob_jobs_cancel(blob_server(req)->blob_jobs, &state->job)) return false;
    state->cancelled = true;
    return true;
}

static void job_done(void *ctx)
{
    struct blob_state *state = ctx;
    state->req->resume(state->req->resume_ctx);
}

/* `work` NULL: looks out for the blob. API_WAIT, or the problem. */
static int job_start(struct blob_state *state, struct api_reply *reply, void (*work)(struct blob_job *job))
{
    struct api_request *req = state->req;
    state->job.work = work;
    state->job.done = job_done;
    state->job.ctx = state;
    req->wait_cancel = job_cancel;
    int err = blob_jobs_add(blob_server(req)->blob_jobs, &state->job);
    return err == OK ? API_WAIT : api_problem_err(reply, err);
}

static int answer_closing(struct api_reply *reply)
{
    (void)api_header_add(reply, "Retry-After", "1");
    return api_problem(reply, "not-ready", NULL, "the server is closing");
}

static void why_keep(struct blob_state *state, int err)
{
    const char *why = err_detail(err);
    size_t len = strnlen(why, sizeof state->why - 1);
    memcpy(state->why, why, len);
    state->why[len] = '\0';
}

/* ---- GET: what is asked for ---- */

/* "KEY", "KEY.boxs": 32 bytes in either alphabet of base64, with spaces where a form decoder ate the plusses. */
static bool key_read(struct slice text, uint8_t key[BLOB_BOX_KEY_BYTES])
{
    char plain[64];
    size_t len = 0;
    static const char suffix[] = ".boxs";
    if (text.len >= sizeof suffix - 1 &&
        memcmp(text.data + text.len - (sizeof suffix - 1), suffix, sizeof suffix - 1) == 0)
        text.len -= sizeof suffix - 1;
    if (text.len < 43 || text.len > 44) return false;
    for (; len < text.len && text.data[len] != '='; len++)
        plain[len] = text.data[len] == '-' || text.data[len] == ' ' ? '+'
                     : text.data[len] == '_'                        ? '/'
                                                                    : text.data[len];
    if (len != 43 || (text.len == 44 && text.data[43] != '=')) return false;
    return base64_read_exactly((struct slice){ plain, len }, sodium_base64_VARIANT_ORIGINAL_NO_PADDING, key,
                               BLOB_BOX_KEY_BYTES);
}

/* NULL: the problem is made. */
static struct blob_state *get_begin(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { "unbox", "wait", NULL };
    struct ref ref;
    int64_t wait = 0;
    uint8_t key[BLOB_BOX_KEY_BYTES];
    const struct slice *unbox = api_query(req, "unbox");
    if (!api_query_only(req, reply, names) || !api_path_ref(req, reply, 0, "&", &ref) ||
        !api_query_int(req, reply, "wait", 0, req->server->config->blob_wait_max, &wait))
        return NULL;
    if (unbox != NULL && !key_read(*unbox, key)) {
        (void)api_problem(reply, "bad-parameter", NULL,
                          "unbox: a key of 32 bytes in base64 is wanted, as in \"….boxs\"");
        return NULL;
    }
    if (blob_server(req)->blobs == NULL) {
        (void)api_problem(reply, "not-found", NULL, "there is no folder of blobs: start the server with --blobs DIR");
        return NULL;
    }
    struct blob_state *state = state_new(req);
    if (state == NULL) {
        (void)api_problem_err(reply, err_set(ERR_NOMEM, "out of memory"));
        return NULL;
    }
    memcpy(state->job.id, ref.id, sizeof state->job.id);
    state->job.deadline_ms = wait > 0 ? req->arrived_ms + wait * 1000 : 0;
    state->boxed = unbox != NULL;
    if (state->boxed) memcpy(state->key, key, sizeof state->key);
    return state;
}

static void put_id(const uint8_t id[BLOB_ID_BYTES], char out[REF_TEXT_MAX + 1])
{
    struct ref ref = { .kind = REF_BLOB };
    memcpy(ref.id, id, sizeof ref.id);
    out[ref_print(&ref, out)] = '\0';
}

/* ---- GET: hashing and unboxing ---- */

/* Any thread. */
static int blob_prepare(struct blob_state *state)
{
    struct blob_dir *dir = blob_server(state->req)->blobs;
    int err = OK;
    if (blob_known(dir, state->job.id, &state->file) != BLOB_GOOD) {
        blob_server(state->req)->metrics.blobs_hashed++;
        err = blob_check(dir, state->job.id, &state->file, &state->job.cancelled);
    }
    if (err == OK && state->boxed) err = blob_box_open(state->file.fd, state->key, &state->job.cancelled, state->box);
    return err;
}

static void work_prepare(struct blob_job *job)
{
    struct blob_state *state = job->ctx;
    state->check_err = blob_prepare(state);
    state->checked = true;
    why_keep(state, state->check_err);
}

/* Is there time left to wait for it? */
static bool state_waits(const struct blob_state *state)
{
    return state->job.deadline_ms > 0 && flume_now_ms() < state->job.deadline_ms;
}

static int answer_not_here(struct blob_state *state, struct api_reply *reply)
{
    char id[REF_TEXT_MAX + 1];
    if (state_waits(state)) return job_start(state, reply, NULL);
    put_id(state->job.id, id);
    (void)api_header_add(reply, "Cache-Control", "no-store");
    return api_problem(reply, "not-found", NULL, "the blob %s is not here%s", id,
                       state->job.deadline_ms > 0 ? ", and did not come in time" : "; wait=SECONDS waits for it");
}

/* Its file is another one than its name says, or is being written: another one may take its place. */
static int answer_damaged(struct blob_state *state, struct api_reply *reply)
{
    blob_close(&state->file);
    if (state_waits(state)) return job_start(state, reply, NULL);
    if (state->check_err == ERR_CHANGED) return api_problem_err(reply, err_set(ERR_CHANGED, "%s", state->why));
    return api_problem(reply, "damaged-blob", NULL, "%s", state->why);
}

/* ---- GET: the answer ---- */

static int box_read(void *ctx, int64_t at, char *to, size_t max, size_t *ret_len)
{
    struct blob_state *state = ctx;
    return blob_box_read(state->box, at, to, max, ret_len);
}

static int look_read(struct blob_state *state, char *to, size_t *ret_len)
{
    if (!state->boxed) return file_read(state->file.fd, "a blob", to, BLOB_TYPE_LOOK, 0, ret_len);
    *ret_len = 0;
    size_t got = 1;
    int err = OK;
    for (; err == OK && got > 0 && *ret_len < BLOB_TYPE_LOOK; *ret_len += got)
        err = blob_box_read(state->box, (int64_t)*ret_len, to + *ret_len, BLOB_TYPE_LOOK - *ret_len, &got);
    return err;
}

/* A picture is asked for without Origin: whose page it is for is told by the Referer, on which the answer depends then. */
static void put_sharing(const struct api_request *req, struct api_reply *reply)
{
    if (req->server->config->allow_origin_count == 0) return;
    (void)api_header_add(reply, "Vary", "Referer");
    if (req->may_embed) (void)api_header_add(reply, "Cross-Origin-Resource-Policy", "cross-origin");
}

/* The fields that come with a blob, with a 304 and with a 416 alike. */
static void put_tag(const struct blob_state *state, struct api_reply *reply, const char *id)
{
    put_sharing(state->req, reply);
    bool shared = state->req->server->config->token_file == NULL && !state->boxed;
    (void)api_header_add(reply, "ETag", "\"%s\"", id);
    (void)api_header_add(reply, "Cache-Control", "%s, max-age=31536000, immutable", shared ? "public" : "private");
}

static bool tag_in(struct slice list, const char *id)
{
    char tag[REF_TEXT_MAX + 3];
    int len = snprintf(tag, sizeof tag, "\"%s\"", id);
    return list.data != NULL &&
           (text_is(text_trim(list), "*") || memmem(list.data, list.len, tag, (size_t)len) != NULL);
}

/* The whole, or the range that is asked for. false = there is nothing in it, and the problem is made. */
static bool range_take(struct blob_state *state, struct api_reply *reply, const char *id, int64_t length,
                       int64_t *ret_first, int64_t *ret_len)
{
    const struct api_request *req = state->req;
    char tag[REF_TEXT_MAX + 3];
    (void)snprintf(tag, sizeof tag, "\"%s\"", id);
    *ret_first = 0;
    *ret_len = length;
    bool wanted = req->method == API_GET && (req->if_range.data == NULL || text_is(text_trim(req->if_range), tag));
    enum byte_range kind = wanted ? byte_range_read(req->range, length, ret_first, ret_len) : RANGE_ALL;
    if (kind == RANGE_OUTSIDE) {
        (void)api_header_add(reply, "Content-Range", "bytes */%lld", (long long)length);
        (void)api_problem(reply, "outside", NULL, "the blob has %lld bytes, and none of them is in the range",
                          (long long)length);
        return false;
    }
    if (kind == RANGE_PART) {
        reply->status = 206;
        (void)api_header_add(reply, "Content-Range", "bytes %lld-%lld/%lld", (long long)*ret_first,
                             (long long)(*ret_first + *ret_len - 1), (long long)length);
    }
    return true;
}

static int get_answer(struct blob_state *state, struct api_reply *reply, const char *id)
{
    char look[BLOB_TYPE_LOOK];
    size_t look_len;
    int64_t first, len, length = state->boxed ? state->box->length : state->file.info.size;
    int err = look_read(state, look, &look_len);
    if (err != OK) {
        why_keep(state, err);
        return err == ERR_CORRUPT ? answer_damaged(state, reply) : api_problem_err(reply, err);
    }
    struct blob_type type = blob_type_of(look, look_len, (int64_t)look_len == length);
    reply->status = 200;
    (void)api_header_add(reply, "Accept-Ranges", "bytes");
    if (!range_take(state, reply, id, length, &first, &len)) return API_DONE;
    put_tag(state, reply, id);
    (void)api_header_add(reply, "Content-Security-Policy", "%s", BLOB_POLICY);
    if (type.save) (void)api_header_add(reply, "Content-Disposition", "attachment");
    reply->content_type = type.type;
    reply->bytes = (struct api_bytes){ .there = true, .fd = state->file.fd, .at = first, .len = len };
    if (state->boxed) { /* the state outlives the answer: both end with the request */
        reply->bytes.fd = -1;
        reply->bytes.read = box_read;
        reply->bytes.ctx = state;
    } else {
        state->file.fd = -1;
    }
    return API_DONE;
}

/* Hashed and unboxed as far as that was not done before: here, or as a job. */
static int get_checked(struct blob_state *state, struct api_reply *reply, const char *id)
{
    if (!state->checked) {
        bool known = blob_known(blob_server(state->req)->blobs, state->job.id, &state->file) == BLOB_GOOD;
        if ((!known || state->boxed) && state->file.info.size > CHECK_HERE_MAX)
            return job_start(state, reply, work_prepare);
        state->check_err = blob_prepare(state);
        why_keep(state, state->check_err);
    }
    state->checked = false;
    switch (state->check_err) {
    case OK: return get_answer(state, reply, id);
    case ERR_CHANGED:
    case ERR_CORRUPT: return answer_damaged(state, reply);
    case ERR_CLOSED: return answer_closing(reply);
    case ERR_INVALID: return api_problem(reply, "bad-parameter", NULL, "%s", state->why);
    default: return api_problem_err(reply, err_set(state->check_err, "%s", state->why));
    }
}

static int get_open(struct blob_state *state)
{
    struct blob_dir *dir = blob_server(state->req)->blobs;
    if (state->file.fd >= 0) return OK;
    int err = blob_open(dir, state->job.id, &state->file);
    if (err != OK || blob_known(dir, state->job.id, &state->file) != BLOB_BAD) return err;
    err = err_set(ERR_CORRUPT, "the file of this blob holds something else than its id says");
    why_keep(state, err);
    return err;
}

int api_blob_get(struct api_request *req, struct api_reply *reply)
{
    struct blob_state *state = req->state != NULL ? req->state : get_begin(req, reply);
    char id[REF_TEXT_MAX + 1];
    if (state == NULL) return API_DONE;
    if (state->cancelled) return answer_closing(reply);
    put_id(state->job.id, id);
    if (state->boxed && state->box == NULL) state->box = calloc(1, sizeof *state->box);
    if (state->boxed && state->box == NULL) return api_problem_err(reply, err_set(ERR_NOMEM, "out of memory"));
    int err = get_open(state);
    if (err == ERR_NOFILE) return answer_not_here(state, reply);
    if (err == ERR_CORRUPT) return answer_damaged(state, reply);
    if (err != OK) return api_problem_err(reply, err);
    if (!tag_in(req->if_none_match, id)) return get_checked(state, reply, id);
    reply->status = 304;
    put_tag(state, reply, id);
    return API_DONE;
}

/* ---- POST ---- */

bool api_uploads(const struct api_request *req)
{
    const char *mark = req->target.len == 0 ? NULL : memchr(req->target.data, '?', req->target.len);
    struct slice path = { req->target.data, mark == NULL ? req->target.len : (size_t)(mark - req->target.data) };
    return req->method == API_POST && text_is(path, "/blobs");
}

bool api_upload_begin(struct api_request *req, struct api_reply *reply)
{
    const struct server *server = blob_server(req);
    if (!req->may_append) {
        (void)api_problem(reply, "forbidden", NULL, "adding a blob needs a token: Authorization: Bearer TOKEN");
        return false;
    }
    int err = server->blobs == NULL ? err_set(ERR_READONLY, "there is no folder of blobs here")
                                    : blob_upload_begin(server->blobs, server->config->blob_max, &req->upload);
    if (err != OK) (void)api_problem_err(reply, err);
    return err == OK;
}

static void work_keep(struct blob_job *job)
{
    struct blob_state *state = job->ctx;
    state->keep_err = blob_upload_keep(state->req->upload, job->id, &state->is_new);
    state->kept = true;
    why_keep(state, state->keep_err);
}

static int add_answer(struct blob_state *state, struct api_reply *reply)
{
    char look[BLOB_TYPE_LOOK], id[REF_TEXT_MAX + 1];
    size_t look_len = 0;
    const struct blob_upload *upload = state->req->upload;
    int err = state->keep_err;
    if (err != OK) return api_problem_err(reply, err_set(err, "%s", state->why));
    blob_jobs_look(blob_server(state->req)->blob_jobs);
    err = blob_upload_read(upload, look, sizeof look, &look_len);
    if (err != OK) return api_problem_err(reply, err);
    int64_t size = blob_upload_size(upload);
    put_id(state->job.id, id);
    struct buf *body = &reply->body, location;
    buf_init(&location, 1024);
    text_put_query(&location, (struct slice){ id, strlen(id) });
    (void)api_header_add(reply, "Location", "/blobs/%.*s", (int)location.len, location.data);
    buf_free(&location);
    (void)buf_puts(body, "{\"id\":");
    (void)buf_put_json(body, id, strlen(id));
    (void)buf_printf(body, ",\"size\":%lld,\"type\":\"%s\"}", (long long)size,
                     blob_type_of(look, look_len, (int64_t)look_len == size).type);
    (void)api_json(reply);
    if (reply->status == 200 && state->is_new) reply->status = 201;
    return API_DONE;
}

int api_blobs_add(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { NULL };
    struct blob_state *state = req->state;
    if (state != NULL && state->cancelled) return answer_closing(reply);
    if (state != NULL && state->kept) return add_answer(state, reply);
    if (!api_query_only(req, reply, names)) return API_DONE;
    if (req->upload == NULL) {
        if (!api_upload_begin(req, reply)) return API_DONE;
        int err = blob_upload_write(req->upload, req->body.data, req->body.len);
        if (err != OK) return api_problem_err(reply, err);
    }
    state = state_new(req);
    if (state == NULL) return api_problem_err(reply, err_set(ERR_NOMEM, "out of memory"));
    return job_start(state, reply, work_keep);
}
