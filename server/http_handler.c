/* The handler of a request: called, suspended while it waits, called again, and its wait ended when the server ends. */
#include "server/http_internal.h"
#include "server/patience.h"

void handler_resume(void *ctx)
{
    struct exchange *exchange = ctx;
    struct http *http = exchange->http;
    (void)pthread_mutex_lock(&http->lock);
    bool parked = exchange->state == EXCHANGE_PARKED;
    exchange->state = EXCHANGE_WOKEN;
    if (parked) exchange_list_remove(exchange);
    if (http->stopping) (void)pthread_cond_broadcast(&http->changed);
    (void)pthread_mutex_unlock(&http->lock);
    if (parked) exchange_give_back(exchange);
}

void handler_left(struct http *http)
{
    atomic_fetch_sub(&http->handling, 1);
    if (!atomic_load(&http->stopping)) return;
    (void)pthread_mutex_lock(&http->lock);
    (void)pthread_cond_broadcast(&http->changed);
    (void)pthread_mutex_unlock(&http->lock);
}

bool handler_enter(struct exchange *exchange)
{
    struct http *http = exchange->http;
    atomic_fetch_add(&http->handling, 1);
    exchange->state = EXCHANGE_RUNNING;
    if (!atomic_load(&http->ending)) return true;
    handler_left(http);
    return false;
}

/* true = the connection is suspended until handler_resume; false = it was resumed already, and the handler has to be
 * called again at once. */
static bool handler_park(struct exchange *exchange)
{
    struct http *http = exchange->http;
    (void)pthread_mutex_lock(&http->lock);
    bool park = exchange->state == EXCHANGE_RUNNING;
    if (park) {
        MHD_suspend_connection(exchange->connection);
        exchange->state = EXCHANGE_PARKED;
        exchange_list_add(&http->parked, exchange);
        http->waiting++;
    }
    (void)pthread_mutex_unlock(&http->lock);
    return park;
}

void handler_closing(struct exchange *exchange)
{
    (void)api_problem(&exchange->reply, "not-ready", NULL, "the server is closing");
}

bool handler_run(struct exchange *exchange)
{
    struct http *http = exchange->http;
    bool reads = exchange->req.method == API_GET || exchange->req.method == API_HEAD;
    if (reads && handler_give_first(exchange)) return true;
    for (;;) {
        if (!handler_enter(exchange)) {
            handler_closing(exchange);
            return false;
        }
        patience_limit(reads ? http_patience(http) : 0);
        patience_short_pages(reads);
        int64_t began = clock_us(CLOCK_MONOTONIC);
        bool wait = api_dispatch(&exchange->req, &exchange->reply) == API_WAIT;
        bool slow = reads && !wait && exchange->reply.slow;
        if (!wait && !slow) owner_weigh(exchange->owner, clock_us(CLOCK_MONOTONIC) - began);
        patience_limit(0);
        patience_short_pages(false);
        bool parked = slow ? handler_give(exchange) : wait && handler_park(exchange);
        /* From here on the exchange may be gone, if it is parked or given away. */
        handler_left(http);
        if (parked || !wait) return parked;
    }
}

/* ---- ending waits ---- */

/* Takes one parked exchange that was not asked yet; it cannot go away while its connection is suspended, and nobody
 * resumes it in this state. */
static struct exchange *cancel_take(struct http *http)
{
    (void)pthread_mutex_lock(&http->lock);
    struct exchange *exchange = http->parked.first;
    if (exchange != NULL) {
        exchange_list_remove(exchange);
        exchange->state = EXCHANGE_CANCELLING;
    }
    (void)pthread_mutex_unlock(&http->lock);
    return exchange;
}

void exchange_cancel_waits(struct http *http)
{
    struct exchange_list asked = { NULL };
    for (struct exchange *exchange = cancel_take(http); exchange != NULL; exchange = cancel_take(http)) {
        /* without the lock: the core may be calling handler_resume this moment */
        bool cancelled = api_fresh_cancel(&exchange->req);
        (void)pthread_mutex_lock(&http->lock);
        if (cancelled || exchange->state == EXCHANGE_WOKEN) {
            exchange->state = EXCHANGE_WOKEN;
            http->waiting--;
            MHD_resume_connection(exchange->connection);
        } else {
            exchange->state = EXCHANGE_PARKED;
            exchange_list_add(&asked, exchange);
        }
        (void)pthread_mutex_unlock(&http->lock);
    }
    (void)pthread_mutex_lock(&http->lock);
    while (asked.first != NULL) {
        struct exchange *exchange = asked.first;
        exchange_list_remove(exchange);
        exchange_list_add(&http->parked, exchange);
    }
    (void)pthread_mutex_unlock(&http->lock);
}
