/* The boundary between the API and the sockets: a request, a reply, a handler. No type of libmicrohttpd or libwebsockets stands here, so every
 * handler can be called by a test without a socket.
 *
 * A handler runs on an HTTP thread and must not block. If it has to wait (for a view to be fresh, for an append to be durable) it arranges to be
 * woken and answers API_WAIT; it is then called again, from the start, with the same request. */
#ifndef SERVER_API_H
#define SERVER_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/config.h"
#include "server/metrics.h"
#include "store/buf.h"
#include "store/err.h"
#include "store/ref.h"
#include "views/flume.h"

struct access;
struct ahead;
struct ahead_pool;
struct blob_dir;
struct blob_jobs;
struct blob_upload;
struct gate;
struct jobs;
struct keys;
struct node;
struct plain;
struct api_route;

struct server {
    const struct config *config;
    struct flume *flume;
    const struct access *access; /* access.h */
    struct metrics metrics;
    const struct keys *keys; /* store/keys.h: whose server this is; NULL without --secret */
    struct node *node;       /* node.h: publishes for a log that is followed; NULL: nobody does */
    bool owned;              /* appends are possible: the log is ours */
    int64_t started_ms;      /* CLOCK_MONOTONIC */
    uint64_t tag_seed;       /* api_tag_seed */
    _Atomic bool stopping;
    const struct api_route *routes; /* NULL = api_routes; tests give others */
    struct plain *plain;            /* plain.h: what is known of records; may be NULL */
    struct blob_dir *blobs;         /* blob_dir.h; NULL = there is no folder. Of the base, as what follows */
    struct blob_jobs *blob_jobs;    /* blob_jobs.h; there is one if there is a folder */
    _Atomic int64_t near_feeds;     /* in the sets of all filters by hops (near_params.h) and in followed graphs */
    struct server
        *opened; /* as its owner sees it (owner.h): for clients that may see what is private; NULL without a secret */
    struct server *base;      /* of such a one: the server it is a sight of; else NULL */
    struct ahead_pool *ahead; /* ahead.h; http_start makes it, may be NULL */
    struct gate *gate;        /* gate.h: connections are counted here; made by listen_open, may be NULL */
    /* Of the base; made by http_start and ws_start, NULL without them. */
    struct jobs *jobs;            /* queries that take long */
    struct jobs *lists;           /* where lists are opened for WebSocket clients */
    void (*live_back)(void *ctx); /* such a list is back: tells the WebSocket thread. Any thread */
    void *live_back_ctx;
};

/* What a request needs, and what a token may be good for, or-ed. PRIVATE: seeing what the owner's secret opens (whoever may that may
 * read, too). PUBLISH: having messages signed in the owner's name. These two have to be named in a token's line: a token that names no scope has
 * the others only, and so has who needs no token. */
enum api_scope { API_SCOPE_READ = 1, API_SCOPE_APPEND = 2, API_SCOPE_PRIVATE = 4, API_SCOPE_PUBLISH = 8 };
#define API_SCOPES_BOTH ((unsigned)API_SCOPE_READ | (unsigned)API_SCOPE_APPEND)

enum api_method { API_GET, API_HEAD, API_POST, API_OPTIONS, API_OTHER };

#define API_PARAMS_MAX 64

struct api_param {
    struct slice name;  /* decoded */
    struct slice value; /* decoded; a raw id stands here as it was sent, undecoded */
};

struct api_request {
    struct server *server;
    enum api_method method;
    struct slice target; /* as sent: "/feeds/%40abc…?limit=5" */
    struct slice path;   /* target up to '?', as sent */

    struct api_param path_params[4]; /* in the order of the route's {…} */
    size_t path_param_count;
    struct api_param *query; /* API_PARAMS_MAX at most */
    size_t query_count;

    /* header fields; data NULL = absent */
    struct slice accept, prefer, content_type, if_none_match, if_match, last_event_id, range, if_range;
    struct slice body;
    struct blob_upload *upload; /* instead of a body: api_uploads */
    struct ahead *ahead;        /* what is checked while the body is coming: api_body_comes; else NULL */

    bool uri_ids;     /* ids=uri */
    bool public_only; /* the client may see public messages only (no valid token, server started with --public) */
    bool may_append;  /* the client may append */
    bool may_private; /* the client may see what the owner's secret opens */
    bool may_publish; /* the client may have messages signed in the owner's name */
    bool may_embed;   /* a page of another origin asks, which may show what it gets: a picture */

    const struct log *log; /* of server->flume when this call of the handler began; NULL in a server without one */

    /* kept between two calls of the handler */
    const struct api_route *route; /* set by the first dispatch: parameters are parsed once and stay where they are */
    void *decoded;                 /* where the query's parameters stand, and what decoded ones point into */
    void *state;
    void (*state_free)(void *state);
    int64_t arrived_ms; /* CLOCK_MONOTONIC */
    int64_t
        fresh_seq; /* what "fresh" means for this request: the head when it arrived, or after=SEQ; SEQ_EMPTY = not asked yet */
    bool looked;           /* the log's owner was asked during this request what he has written */
    uint64_t fresh_ticket; /* of the flume_wait that api_fresh arranged; 0 = none */
    bool (*wait_cancel)(
        struct api_request *req); /* of a wait that is not api_fresh's: as api_fresh_cancel; NULL = there is none */
    int wait_err;                 /* how the wait that was arranged ended; OK before the first */
    void (*resume)(
        void *
            ctx); /* calls the handler again; any thread, exactly once per API_WAIT, never before the handler has answered */
    void *resume_ctx;
};

struct rows;

/* A body that is not in memory: `len` bytes, of a file from `at` on, or else of whatever `read` gives. */
struct api_bytes {
    bool there;
    int fd; /* -1 = it is read; otherwise closed with the reply */
    int64_t at, len;
    /* Up to `max` bytes from `at` on (from 0 to len); ERR_… breaks the answer off. */
    int (*read)(void *ctx, int64_t at, char *to, size_t max, size_t *ret_len);
    void (*free)(void *ctx);
    void *ctx;
};

#define API_HEADERS_MAX 12
struct api_reply {
    int status;
    const char *content_type; /* static text */
    struct buf body;
    struct api_header {
        const char *name; /* static text */
        char *value;      /* allocated; freed with the reply */
    } headers[API_HEADERS_MAX];
    size_t header_count;

    struct api_bytes bytes; /* instead of body */
    struct rows *stream;    /* instead of body: rows pulled while the client reads (rows.h); owned by the reply */
    bool uri_ids;           /* as the request's; api_json and api_reply_rows see to it */
    bool slow;              /* it took longer than the thread's patience (patience.h) */
    bool long_page;         /* it is slow for the number of its rows only */
    enum api_format { API_JSON, API_NDJSON, API_SSE, API_ATOM, API_RSS, API_JSON_FEED } format; /* of the stream */
};

#define API_DONE 0
#define API_WAIT 1
typedef int api_handler(struct api_request *req, struct api_reply *reply); /* API_DONE or API_WAIT */

struct api_route {
    enum api_method method;
    const char *pattern; /* "/messages/{id}/raw" */
    api_handler *handler;
    const char *operation; /* operationId in openapi.yaml */
    unsigned needs;        /* enum api_scope, or-ed: all of them; 0 = answered without a token: /healthz, /readyz */
    bool lists;            /* it answers with rows (rows.h), which can be followed */
};
extern const struct api_route api_routes[]; /* from routes.def, ended by a NULL pattern */

/* Finds the route, fills path and query parameters, checks the method and calls the handler: everything between the socket and the handler. Unknown
 * paths get 404, wrong methods 405 with Allow, HEAD is answered by GET's handler. req->target, method, header fields and body are set by the caller. */
int api_dispatch(struct api_request *req, struct api_reply *reply);

/* The server that reads for a client: of what is private nothing is in any other but that of the owner. */
struct server *api_server_of(struct server *server, bool may_private);
/* The one that all clients share: its metrics count for all. */
struct server *api_server_base(struct server *server);

/* The scopes that a request needs for the route it leads to; API_SCOPE_READ where there is none. */
unsigned api_target_needs(const struct server *server, enum api_method method, struct slice target);

/* Does a GET of this target lead to a list? *ret_name: the operation, NULL = there is no such path. */
bool api_target_lists(const struct server *server, struct slice target, const char **ret_name);

/* The body of this request goes into a file while it comes (POST /blobs), and may be of any type. */
bool api_uploads(const struct api_request *req);
/* Makes req->upload; false = the problem is made. */
bool api_upload_begin(struct api_request *req, struct api_reply *reply);

/* What has come of the body so far; it may stand somewhere else the next time. */
void api_body_comes(struct api_request *req, struct slice body);

void api_request_free(struct api_request *req); /* what the handlers left in it */
void api_reply_init(struct api_reply *reply);
void api_bytes_free(struct api_bytes *bytes); /* zeroed is fine */
void api_reply_free(struct api_reply *reply);

/* ---- what handlers use ---------------------------------------------------------------------------------------- */

/* `name` is static text. api_header_put takes `value` as it is. */
int api_header_put(struct api_reply *reply, const char *name, struct slice value);
int api_header_add(struct api_reply *reply, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A problem (RFC 9457): the reply becomes application/problem+json with type "/problems/NAME", title, status, detail. `extra` (may be NULL) is more members,
 * starting with a comma: ",\"index\":3". Answers API_DONE. The list of names stands in problems.def with status and title. */
int api_problem(struct api_reply *reply, const char *name, const char *extra, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The problem that belongs to a code of err.h, with err_detail as its text. Answers API_DONE. */
int api_problem_err(struct api_reply *reply, int err);

/* ERR_ARG problem unless every query parameter is one of `names` (NULL-ended) and stands once. true = fine. Every handler calls it first. */
bool api_query_only(const struct api_request *req, struct api_reply *reply, const char *const *names);
/* The same, but that `many` (one of `names`) may stand more than once. */
bool api_query_only_but(const struct api_request *req, struct api_reply *reply, const char *const *names,
                        const char *many);
/* NULL if absent. */
const struct slice *api_query(const struct api_request *req, const char *name);
/* Reads a number, a bool ("true", "false"); a bad one makes the problem and answers false. Absent: *ret stays. */
bool api_query_int(const struct api_request *req, struct api_reply *reply, const char *name, int64_t min, int64_t max,
                   int64_t *ret);
bool api_query_bool(const struct api_request *req, struct api_reply *reply, const char *name, bool *ret);
/* An id in any form of ref_parse_any, of one of the kinds in `kinds` ("@", "%&@"); a bad one makes the problem. */
bool api_query_ref(const struct api_request *req, struct api_reply *reply, const char *name, const char *kinds,
                   struct ref *ret);
/* The same of a text that is called `what`. */
bool api_ref_of(struct api_reply *reply, const char *what, struct slice text, const char *kinds, struct ref *ret);
bool api_path_ref(const struct api_request *req, struct api_reply *reply, size_t i, const char *kinds, struct ref *ret);

/* Read your writes: waits until `views` have reached the head as of the request's arrival (flumedb's rule); `after=SEQ` in the query waits for that seq,
 * `stale=ok` does not wait. API_DONE = go on; API_WAIT = answer API_WAIT now; -1 = the reply is made already (503 with Retry-After after wait_timeout, 400). */
int api_fresh(struct api_request *req, struct api_reply *reply, uint32_t views);
/* `ids` is no matter of freshness, but the routes that know these know it, too: ids.h. */
#define API_FRESH_PARAMS "after", "stale", "ids"

/* Ends the wait that api_fresh or another one (req->wait_cancel) arranged, with ERR_CLOSED: true = the request was not woken by it and will not be. Only while the request waits. */
bool api_fresh_cancel(struct api_request *req);

/* flume_read_begin with the deadline that a query has (--query-timeout). */
int api_read_begin(const struct server *server, struct flume_read *ret_read);

/* The log's head as of the request: asks the log's owner once. */
int64_t api_head(struct api_request *req);

/* Sluice-Since and Sluice-Log-Since: what an answer knows that has no tag, because nothing was found, or a record of the log itself. */
void api_since_put(struct api_request *req, struct api_reply *reply, int64_t since);

/* Sluice-Since (lowest since of `views` in this answer; the log's head if 0 views), Sluice-Log-Since, ETag from both, the log's identity and the target. true = the
 * client has it already: the reply is 304 now. */
bool api_not_modified(struct api_request *req, struct api_reply *reply, int64_t since);

/* What the tags of all answers begin with: answers of a program with another description of its API (openapi.yaml) are other ones, though the log is the
 * same. Asked once. */
uint64_t api_tag_seed(void);
/* The same with the log that is read. */
uint64_t api_tag_of_log(const struct api_request *req);

/* The same for an answer that depends on less than where the log stands: `state` is a hash of what it depends on. */
bool api_not_modified_of(struct api_request *req, struct api_reply *reply, int64_t since, uint64_t state);

/* Which of JSON, NDJSON (application/x-ndjson, application/ndjson, application/jsonl) and SSE (text/event-stream) the client wants; JSON by default.
 * -1 and 406 if none of them is acceptable. */
int api_format_of(const struct api_request *req, struct api_reply *reply);

/* The same with those of feed readers: application/atom+xml, application/rss+xml, application/feed+json. */
int api_format_wide(const struct api_request *req, struct api_reply *reply);

/* Answers with rows in the format the client asked for: a JSON page is collected at once, NDJSON and SSE become reply->stream. Takes `rows` over. */
int api_reply_rows(struct api_request *req, struct api_reply *reply, struct rows *rows);

/* ---- the handlers of routes.def ------------------------------------------------------------------------------- */

#define ROUTE(method, pattern, handler, operation, needs) api_handler handler;
#define LIST ROUTE
#include "server/routes.def"
#undef LIST
#undef ROUTE

#endif
