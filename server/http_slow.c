/* Queries that take long: what an HTTP thread must not look for any longer goes on on a thread of the jobs. */
#include "server/http_internal.h"
#include "server/patience.h"

int64_t http_patience(const struct http *http)
{
    return jobs_busy(http->jobs) ? HTTP_PATIENCE_BUSY : HTTP_PATIENCE;
}

int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void owner_weigh(struct http_connection *owner, int64_t took_us)
{
    if (took_us < HTTP_HEAVY)
        owner->heavy = 0;
    else if (owner->heavy < HTTP_HEAVY_TIMES)
        owner->heavy++;
}

/* A place in `jobs`; for queries that take long one of its address's as well. */
static int exchange_reserve(struct exchange *exchange, struct jobs *jobs)
{
    const struct http *http = exchange->http;
    int err = jobs == http->jobs ? gate_query_enter(&exchange->owner->place, &exchange->query) : OK;
    if (err != OK || jobs_reserve(jobs)) return err;
    gate_query_leave(&exchange->query);
    return err_set(ERR_QUEUE, "%lld queries that take long are under way already",
                   (long long)http->server->config->queries_max);
}

/* Who is woken may take the processor from who wakes: never under http->lock, which everybody would wait for then. */
int exchange_give(struct exchange *exchange, struct jobs *jobs, void (*work)(void *ctx))
{
    struct http *http = exchange->http;
    exchange->job = (struct job){ .work = work, .ctx = exchange };
    (void)pthread_mutex_lock(&http->lock);
    /* http_stop waits for what is suspended, but not for what is suspended after it has looked */
    int err = http->ending ? err_set(ERR_QUEUE, "the server is closing") : exchange_reserve(exchange, jobs);
    if (err == OK) {
        MHD_suspend_connection(exchange->connection);
        http->waiting++;
    }
    (void)pthread_mutex_unlock(&http->lock);
    if (err == OK) jobs_add(jobs, &exchange->job);
    return err;
}

void exchange_give_back(struct exchange *exchange)
{
    struct http *http = exchange->http;
    gate_query_leave(&exchange->query);
    MHD_resume_connection(exchange->connection);
    /* the exchange may be gone, and http goes when nobody waits */
    (void)pthread_mutex_lock(&http->lock);
    http->waiting--;
    if (http->stopping) (void)pthread_cond_broadcast(&http->changed);
    (void)pthread_mutex_unlock(&http->lock);
}

/* As if the handler had not been called. */
static void reply_renew(struct api_reply *reply)
{
    const struct buf body = reply->body;
    reply->body = (struct buf){ .max = body.max };
    api_reply_free(reply);
    api_reply_init(reply);
    reply->body = buf_renew(body, body.max);
}

/* The handler's answer is there, or it waits. It is on a thread of the jobs. */
static void handler_worked(struct exchange *exchange, bool wait)
{
    struct http *http = exchange->http;
    gate_query_leave(&exchange->query);
    (void)pthread_mutex_lock(&http->lock);
    exchange->done = !wait;
    bool park = wait && exchange->state == EXCHANGE_RUNNING;
    if (park) {
        exchange->state = EXCHANGE_PARKED;
        exchange_list_add(&http->parked, exchange);
    }
    if (http->stopping) (void)pthread_cond_broadcast(&http->changed);
    (void)pthread_mutex_unlock(&http->lock);
    if (!park) exchange_give_back(exchange);
}

/* The handler once more, on a thread of the jobs. */
static void handler_work(void *ctx)
{
    struct exchange *exchange = ctx;
    struct http *http = exchange->http;
    bool entered = handler_enter(exchange), wait = false;
    int64_t began_ms = flume_now_ms();
    if (entered)
        wait = api_dispatch(&exchange->req, &exchange->reply) == API_WAIT;
    else
        handler_closing(exchange);
    exchange->owner->slow = flume_now_ms() - began_ms >= HTTP_PATIENCE_BUSY;
    if (exchange->owner->slow) exchange->owner->wary = HTTP_WARY_TIMES;
    handler_worked(exchange, wait);
    if (entered) handler_left(http);
}

/* The page turned out to be a query that takes long: true = it goes on as one. */
static bool page_is_slow(struct exchange *exchange)
{
    if (!exchange->reply.slow) return false;
    reply_renew(&exchange->reply);
    int err = exchange_reserve(exchange, exchange->http->jobs);
    if (err != OK) {
        (void)api_problem_err(&exchange->reply, err);
        return false;
    }
    exchange->job = (struct job){ .work = handler_work, .ctx = exchange };
    jobs_add(exchange->http->jobs, &exchange->job);
    return true;
}

/* A page of many rows, on a thread for pages: those that only have many rows do not wait for those that look for long. */
static void page_work(void *ctx)
{
    struct exchange *exchange = ctx;
    struct http *http = exchange->http;
    bool entered = handler_enter(exchange), wait = false;
    int64_t began = clock_us(CLOCK_THREAD_CPUTIME_ID);
    /* a page that turns out to look for long is to be found out soon, where others are likely to be behind it */
    patience_limit(exchange->owner->wary > 0 ? HTTP_PATIENCE : PAGE_PATIENCE);
    if (entered)
        wait = api_dispatch(&exchange->req, &exchange->reply) == API_WAIT;
    else
        handler_closing(exchange);
    patience_limit(0);
    if (!wait && !exchange->reply.slow) owner_weigh(exchange->owner, clock_us(CLOCK_THREAD_CPUTIME_ID) - began);
    /* from here on the exchange may be gone */
    if (wait || !page_is_slow(exchange)) handler_worked(exchange, wait);
    if (entered) handler_left(http);
}

bool handler_give(struct exchange *exchange)
{
    struct http *http = exchange->http;
    bool page = exchange->reply.long_page;
    reply_renew(&exchange->reply);
    int err = exchange_give(exchange, page ? http->pages : http->jobs, page ? page_work : handler_work);
    if (err == OK) return true;
    if (atomic_load(&http->ending))
        handler_closing(exchange);
    else
        (void)api_problem_err(&exchange->reply, err);
    return false;
}

bool handler_give_first(struct exchange *exchange)
{
    struct http *http = exchange->http;
    struct http_connection *owner = exchange->owner;
    if (owner->slow) return exchange_give(exchange, http->jobs, handler_work) == OK;
    bool wary = owner->wary > 0;
    if (wary) owner->wary--;
    return (wary || owner->heavy == HTTP_HEAVY_TIMES) && exchange_give(exchange, http->pages, page_work) == OK;
}
