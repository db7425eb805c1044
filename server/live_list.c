#include "server/live_list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "server/jobs.h"
#include "server/patience.h"
#include "server/text.h"

#define LIST_PATIENCE 2 /* ms that a look for a row, or the opening, may take where others wait for it */
#define LIST_ROW_MAX ((size_t)32 << 20)

enum list_state {
    LIST_HERE,   /* it is the WebSocket thread's */
    LIST_AWAY,   /* it is in a queue of jobs, or a job's */
    LIST_PARKED, /* its handler waits to be woken */
};

/* Freed by the last of two: the subscription, and the job or the wait that has it. */
struct live_list {
    struct server *server;
    struct api_request req;
    struct api_reply reply; /* with the rows, or a problem */
    struct buf target;
    char since[TEXT_INT_MAX];
    struct job job;
    struct gate_place from;
    struct gate_query query; /* while it is one of the jobs for queries */
    bool limited;            /* the job that has it is one of those that others wait for */
    struct buf row;
    int got; /* what the job found */
    bool found;

    pthread_mutex_t lock; /* for what follows */
    enum list_state state;
    bool woken; /* before its handler had answered that it waits */
    bool gone;  /* nobody is subscribed to it any more */
    int users;

    atomic_bool returned;
};

static void list_free(struct live_list *list)
{
    api_reply_free(&list->reply);
    api_request_free(&list->req);
    buf_free(&list->target);
    buf_free(&list->row);
    (void)pthread_mutex_destroy(&list->lock);
    free(list);
}

static void list_leave(struct live_list *list)
{
    (void)pthread_mutex_lock(&list->lock);
    bool last = --list->users == 0;
    (void)pthread_mutex_unlock(&list->lock);
    if (last) list_free(list);
}

/* ---- on other threads ----------------------------------------------------------------------------------------------- */

/* The job gives it back. The WebSocket side is there as long as somebody is subscribed. */
static void list_return(struct live_list *list)
{
    struct server *base = api_server_base(list->server);
    gate_query_leave(&list->query);
    (void)pthread_mutex_lock(&list->lock);
    list->state = LIST_HERE;
    if (!list->gone) {
        atomic_store(&list->returned, true);
        if (base->live_back != NULL) base->live_back(base->live_back_ctx);
    }
    /* at once: it may be gone, or away again, as soon as it is seen here */
    bool last = --list->users == 0;
    (void)pthread_mutex_unlock(&list->lock);
    if (last) list_free(list);
}

/* To the threads for queries that take long: ERR_QUEUE = there is no room, ERR_SHARE = none for its address. */
static int list_give_away(struct live_list *list, void (*work)(void *ctx))
{
    struct jobs *jobs = api_server_base(list->server)->jobs;
    list->limited = false;
    list->job = (struct job){ .work = work, .ctx = list };
    if (jobs == NULL) {
        work(list);
        return OK;
    }
    int err = gate_query_enter(&list->from, &list->query);
    if (err != OK) return err;
    if (jobs_reserve(jobs)) {
        jobs_add(jobs, &list->job);
        return OK;
    }
    gate_query_leave(&list->query);
    return err_set(ERR_QUEUE, "%lld queries that take long are under way already",
                   (long long)list->server->config->queries_max);
}

/* What is answered in another way, by one of its parameters. */
static void list_is_none(struct live_list *list)
{
    api_reply_free(&list->reply);
    api_reply_init(&list->reply);
    (void)api_problem(&list->reply, "bad-parameter", NULL, "list: what is asked for has no rows");
}

static void list_work(void *ctx);

/* To the thread on which lists are opened: there one is behind others for a moment only. */
static void list_begin(struct live_list *list)
{
    struct jobs *lists = api_server_base(list->server)->lists;
    list->limited = lists != NULL;
    list->job = (struct job){ .work = list_work, .ctx = list };
    if (lists == NULL)
        list_work(list);
    else if (jobs_reserve(lists))
        jobs_add(lists, &list->job);
}

/* The handler's: what it waited for is there. */
static void list_resume(void *ctx)
{
    struct live_list *list = ctx;
    (void)pthread_mutex_lock(&list->lock);
    bool parked = list->state == LIST_PARKED, gone = list->gone;
    list->woken = true;
    if (parked) list->state = LIST_AWAY;
    /* the threads are there as long as somebody is subscribed, which the lock makes last */
    const struct jobs *lists = parked && !gone ? api_server_base(list->server)->lists : NULL;
    if (lists != NULL) list_begin(list);
    (void)pthread_mutex_unlock(&list->lock);
    if (parked && gone)
        list_leave(list);
    else if (parked && lists == NULL)
        list_begin(list);
}

/* The handler's answer is not there yet: true = it is called again by list_resume, or never, and the list is not to be touched. */
static bool list_park(struct live_list *list)
{
    (void)pthread_mutex_lock(&list->lock);
    bool park = !list->woken, cancel = park && list->gone;
    if (park) list->state = LIST_PARKED;
    list->users += cancel;
    (void)pthread_mutex_unlock(&list->lock);
    if (!cancel) return park;
    if (api_fresh_cancel(&list->req)) list_leave(list);
    list_leave(list);
    return true;
}

static bool list_gone(struct live_list *list)
{
    (void)pthread_mutex_lock(&list->lock);
    bool gone = list->gone;
    list->woken = false;
    (void)pthread_mutex_unlock(&list->lock);
    return gone;
}

/* Opens it. */
static void list_work(void *ctx)
{
    struct live_list *list = ctx;
    bool waits = true;
    while (waits) {
        if (list_gone(list)) break;
        patience_limit(list->limited ? LIST_PATIENCE : 0);
        waits = api_dispatch(&list->req, &list->reply) == API_WAIT;
        patience_limit(0);
        if (waits) gate_query_leave(&list->query);
        if (waits && list_park(list)) return;
    }
    if (list->limited && list->reply.slow) {
        api_reply_free(&list->reply);
        api_reply_init(&list->reply);
        int err = list_give_away(list, list_work);
        if (err == OK) return;
        (void)api_problem_err(&list->reply, err);
    }
    if (list->reply.stream == NULL && list->reply.status < 400) list_is_none(list);
    list_return(list);
}

static void list_fail(struct live_list *list, int err)
{
    api_reply_free(&list->reply);
    api_reply_init(&list->reply);
    (void)api_problem_err(&list->reply, err);
}

/* Looks for the next row. */
static void list_look(void *ctx)
{
    struct live_list *list = ctx;
    if (!list_gone(list)) {
        list->got = rows_next(list->reply.stream, &list->row);
        list->found = true;
        if (list->got < 0) list_fail(list, list->got);
    }
    list_return(list);
}

/* ---- on the WebSocket thread ---------------------------------------------------------------------------------------- */

static bool target_says_live(struct slice target)
{
    const char *query = memchr(target.data, '?', target.len);
    if (query == NULL) return false;
    size_t len = target.len - (size_t)(query - target.data);
    return (len > 5 && memcmp(query + 1, "live=", 5) == 0) || memmem(query, len, "&live=", 6) != NULL;
}

static int list_target(struct live_list *list, struct slice target)
{
    buf_init(&list->target, SIZE_MAX);
    int err = buf_append(&list->target, target.data, target.len);
    if (err != OK || target_says_live(target)) return err;
    return buf_puts(&list->target,
                    target.len > 0 && memchr(target.data, '?', target.len) != NULL ? "&live=true" : "?live=true");
}

/* false = the problem is made. */
static bool list_is_one(struct live_list *list, struct slice target)
{
    int64_t max = list->server->config->target_max;
    const char *name;
    if (target.len > (size_t)max) {
        (void)api_problem(&list->reply, "target-too-long", NULL, "list: it has %zu bytes, at most %lld are taken",
                          target.len, (long long)max);
        return false;
    }
    if (api_target_lists(list->server, target, &name) || name == NULL) return true;
    (void)api_problem(&list->reply, "bad-parameter", NULL,
                      "list: %s is none; what can be followed says in /openapi.yaml that it takes live", name);
    return false;
}

int live_list_open(struct server *server, struct slice target, int64_t since, bool public_only,
                   const struct gate_place *from, struct live_list **ret_list)
{
    struct live_list *list = calloc(1, sizeof *list);
    if (list == NULL) return err_set(ERR_NOMEM, "no memory for a subscription");
    list->server = server;
    list->users = 1;
    if (from != NULL) list->from = *from;
    (void)pthread_mutex_init(&list->lock, NULL);
    api_reply_init(&list->reply);
    buf_init(&list->row, LIST_ROW_MAX);
    int err = list_target(list, target);
    if (err != OK) {
        list_free(list);
        return err;
    }
    list->req = (struct api_request){
        .server = server,
        .method = API_GET,
        .target = { list->target.data, list->target.len },
        .accept = SLICE_LITERAL("text/event-stream"),
        .public_only = public_only,
        .may_private = server->base != NULL,
        .fresh_seq = SEQ_EMPTY,
        .arrived_ms = flume_now_ms(),
        .resume = list_resume,
        .resume_ctx = list,
    };
    if (since != SEQ_EMPTY) list->req.last_event_id = text_of_int(since, list->since);
    *ret_list = list;
    if (!list_is_one(list, target)) return OK;
    list->users++;
    list->state = LIST_AWAY;
    list_begin(list);
    return OK;
}

void live_list_close(struct live_list *list)
{
    if (list == NULL) return;
    (void)pthread_mutex_lock(&list->lock);
    list->gone = true;
    bool parked = list->state == LIST_PARKED;
    (void)pthread_mutex_unlock(&list->lock);
    if (parked && api_fresh_cancel(&list->req)) list_leave(list);
    list_leave(list);
}

bool live_list_away(struct live_list *list)
{
    (void)pthread_mutex_lock(&list->lock);
    bool away = list->state != LIST_HERE;
    (void)pthread_mutex_unlock(&list->lock);
    return away;
}

bool live_list_returned(struct live_list *list)
{
    return atomic_exchange(&list->returned, false);
}

const struct rows *live_list_rows(struct live_list *list)
{
    return live_list_away(list) ? NULL : list->reply.stream;
}

struct slice live_list_problem(const struct live_list *list)
{
    return (struct slice){ list->reply.body.data, list->reply.body.len };
}

/* What a job found, or what is found at once. */
static int list_found(struct live_list *list, struct buf *out)
{
    if (!list->found) {
        patience_limit(LIST_PATIENCE);
        int got = rows_next(list->reply.stream, out);
        patience_limit(0);
        return got;
    }
    list->found = false;
    if (list->got == 1) (void)buf_append(out, list->row.data, list->row.len);
    buf_free(&list->row);
    buf_init(&list->row, LIST_ROW_MAX);
    return list->got;
}

int live_list_next(struct live_list *list, struct buf *out)
{
    if (list->reply.stream == NULL) return -1;
    size_t start = out->len;
    int got = list_found(list, out);
    if (got == 1 && out->err != OK) got = err_set(out->err, "a row of the list is too large");
    if (got != 1) out->len = start;
    if (got == 1 || got == 0) return got;
    if (got != ERR_SLOW) {
        list_fail(list, got);
        return -1;
    }
    list->users++;
    list->state = LIST_AWAY;
    if (list_give_away(list, list_look) == OK) return LIST_WENT;
    list->state = LIST_HERE;
    list->users--;
    return LIST_LATER;
}
