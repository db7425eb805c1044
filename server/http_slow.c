/* Queries that take long: what an HTTP thread must not look for any longer goes on on a thread of the jobs. */
#include "server/http_internal.h"

int64_t http_patience(const struct http *http)
{
    return jobs_busy(http->jobs) ? HTTP_PATIENCE_BUSY : HTTP_PATIENCE;
}

bool exchange_give(struct exchange *exchange, void (*work)(void *ctx))
{
    struct http *http = exchange->http;
    if (!jobs_reserve(http->jobs)) return false;
    exchange->job = (struct job){ .work = work, .ctx = exchange };
    MHD_suspend_connection(exchange->connection);
    http->waiting++;
    jobs_add(http->jobs, &exchange->job);
    return true;
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

/* The handler once more, on a thread of the jobs. */
static void handler_work(void *ctx)
{
    struct exchange *exchange = ctx;
    struct http *http = exchange->http;
    bool entered = handler_enter(exchange), wait = false;
    if (entered)
        wait = api_dispatch(&exchange->req, &exchange->reply) == API_WAIT;
    else
        handler_closing(exchange);
    (void)pthread_mutex_lock(&http->lock);
    exchange->done = !wait;
    if (wait && exchange->state == EXCHANGE_RUNNING) {
        exchange->state = EXCHANGE_PARKED;
        exchange_list_add(&http->parked, exchange);
    } else {
        http->waiting--;
        MHD_resume_connection(exchange->connection);
    }
    if (http->stopping) (void)pthread_cond_broadcast(&http->changed);
    (void)pthread_mutex_unlock(&http->lock);
    if (entered) handler_left(http);
}

bool handler_give(struct exchange *exchange)
{
    struct http *http = exchange->http;
    reply_renew(&exchange->reply);
    (void)pthread_mutex_lock(&http->lock);
    bool given = exchange_give(exchange, handler_work);
    (void)pthread_mutex_unlock(&http->lock);
    if (given) return true;
    (void)api_header_add(&exchange->reply, "Retry-After", "1");
    (void)api_problem(&exchange->reply, "overloaded", NULL, "%lld queries that take long are under way already",
                      (long long)http->server->config->queries_max);
    return false;
}
