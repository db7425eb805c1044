#include "server/http.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server/ahead.h"
#include "server/diag.h"
#include "server/gate.h"
#include "server/http_internal.h"
#include "server/parallel.h"
#include "server/step_back.h"

/* Memory of one connection: head of the request, head and buffer of the answer. 32 KiB is the most that libmicrohttpd
 * takes from malloc, above it maps pages for every connection. */
#define CONNECTION_MEMORY ((size_t)32 << 10)
#define CONNECTION_MEMORY_REST ((size_t)24 << 10) /* beside the target */

/* A body that stops is told so by gate_sweep after the idle time, before the library closes in silence. */
#define IDLE_GRACE 2

#define ENDING_MS 500 /* for what is still running when the time is over */

void time_after(int64_t ms, struct timespec *ret_time)
{
    (void)clock_gettime(CLOCK_MONOTONIC, ret_time);
    ret_time->tv_sec += ms / 1000;
    ret_time->tv_nsec += (long)(ms % 1000) * 1000000;
    if (ret_time->tv_nsec >= 1000000000) {
        ret_time->tv_sec++;
        ret_time->tv_nsec -= 1000000000;
    }
}

/* ---- libmicrohttpd's side ---- */

/* Its messages are about clients, of whom anybody may send as many as he likes: one a second is enough. Those about
 * TCP options on Unix sockets mean nothing. */
static void on_message(void *cls, const char *fmt, va_list args)
{
    static _Atomic int64_t last_ms;
    char text[200], quoted[DIAG_QUOTE_MAX];
    (void)cls;
    int64_t now = flume_now_ms();
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)vsnprintf(text, sizeof text, fmt, args);
#pragma GCC diagnostic pop
    if (strstr(text, "TCP_") != NULL || strstr(text, "push") != NULL || now - last_ms < 1000) return;
    last_ms = now;
    text[strcspn(text, "\r\n")] = '\0';
    diag_info("http", "detail=%s", diag_quote(text, quoted));
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **state,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http *http = cls;
    struct gate *gate = http->server->gate;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    int fd = info != NULL ? info->connect_fd : -1;
    struct http_connection *owner = *state;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *state = owner = calloc(1, sizeof *owner);
        if (owner == NULL) return; /* its requests are refused */
        owner->loopback = gate_loopback(gate, fd);
        owner->place = gate_place_of(gate, fd);
        atomic_store(&owner->times.waiting_ms, flume_now_ms());
        gate_watch(gate, fd, &owner->times);
        return;
    }
    gate_leave(gate, fd);
    if (owner != NULL) connection_drop(http, owner);
    free(owner);
    *state = NULL;
}

/* The gate counts connections. The library must never come to a limit of its own: it deals them out by the numbers of their descriptors, and a
 * thread of it that finds more than it was to have does not let go of its lock any more (0.9.75). One more than all, for each: the gate is left just before
 * the library counts. */
static unsigned library_connections(const struct config *config)
{
    return (unsigned)((config->connections_max + 1) * config->http_threads);
}

static int daemon_start(struct http *http, struct MHD_Daemon **ret_daemon)
{
    const struct config *config = http->server->config;
    size_t memory = CONNECTION_MEMORY_REST + (size_t)config->target_max;
    if (memory < CONNECTION_MEMORY) memory = CONNECTION_MEMORY;
    struct MHD_OptionItem options[] = {
        { MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)config->http_threads, NULL },
        { MHD_OPTION_END, 0, NULL },
    };
    if (config->http_threads < 2) options[0].option = MHD_OPTION_END;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
                     MHD_USE_ERROR_LOG;
    step_first(); /* for the library's threads, which start in there */
    struct MHD_Daemon *daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, exchange_step, http, MHD_OPTION_EXTERNAL_LOGGER, on_message, NULL,
                         MHD_OPTION_URI_LOG_CALLBACK, exchange_open, http, MHD_OPTION_NOTIFY_COMPLETED, exchange_over,
                         http, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                         memory, MHD_OPTION_CONNECTION_LIMIT, library_connections(config),
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)config->idle_timeout + IDLE_GRACE,
                         MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    step_usual();
    if (daemon == NULL) return err_set(ERR_IO, "the HTTP library does not start");
    *ret_daemon = daemon;
    return OK;
}

static void daemons_stop(struct http *http)
{
    if (http->daemon != NULL) MHD_stop_daemon(http->daemon);
    if (http->bulk != NULL) MHD_stop_daemon(http->bulk);
}

/* ---- signs of life ---- */

/* A burst of large answers leaves the C library with memory that it would keep for ever. */
#define BURST_BYTES ((int64_t)32 << 20)

/* Under lock. *burst: there has been one that was not cleaned up behind yet. */
static void beat_trim(struct http *http, bool *burst)
{
    int64_t held = atomic_load(&http->held);
    if (held >= BURST_BYTES) *burst = true;
    if (!*burst || held >= BURST_BYTES / 4) return;
    *burst = false;
    (void)pthread_mutex_unlock(&http->lock);
    (void)malloc_trim(0);
    (void)pthread_mutex_lock(&http->lock);
}

static void *beat_run(void *cls)
{
    struct http *http = cls;
    bool burst = false;
    (void)pthread_mutex_lock(&http->lock);
    while (!http->stopping) {
        struct timespec until;
        time_after(1000, &until);
        (void)pthread_cond_timedwait(&http->changed, &http->lock, &until);
        stream_resume(http, http->server->config->heartbeat * 1000);
        const struct config *config = http->server->config;
        gate_sweep(http->server->gate, flume_now_ms(), (config->idle_timeout + config->header_timeout) * 1000);
        beat_trim(http, &burst);
        body_rooms_trim(http->rooms);
    }
    (void)pthread_mutex_unlock(&http->lock);
    return NULL;
}

/* ---- start, use, stop ---- */

static void http_free(struct http *http)
{
    turns_stop(http->turns);
    jobs_stop(http->pages);
    jobs_stop(http->jobs);
    ahead_pool_stop(http->server->ahead);
    http->server->ahead = NULL;
    http->server->jobs = NULL;
    exchange_free_spare(http);
    body_rooms_free(http->rooms);
    ready_free_all(http);
    (void)pthread_cond_destroy(&http->changed);
    (void)pthread_mutex_destroy(&http->lock);
    free(http);
}

int http_start(struct server *server, struct http **ret_http)
{
    struct http *http = calloc(1, sizeof *http);
    if (http == NULL) return err_set(ERR_NOMEM, "out of memory");
    http->server = server;
    int err = jobs_start(server->config->query_threads, server->config->queries_max, &http->jobs);
    if (err == OK) err = jobs_start(server->config->http_threads, INT64_MAX, &http->pages);
    if (err == OK) err = turns_start((size_t)server->config->http_threads, &http->turns);
    /* An HTTP thread that waits for a batch is one more. */
    if (err == OK) err = body_rooms_open((size_t)server->config->body_max, &http->rooms);
    if (err == OK) err = ahead_pool_start(parallel_cores() - 1, &server->ahead);
    if (err != OK) {
        body_rooms_free(http->rooms);
        turns_stop(http->turns);
        jobs_stop(http->pages);
        jobs_stop(http->jobs);
        free(http);
        return err;
    }
    (void)pthread_mutex_init(&http->lock, NULL);
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&http->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    err = daemon_start(http, &http->daemon);
    if (err == OK) err = daemon_start(http, &http->bulk);
    if (err == OK && pthread_create(&http->beat_thread, NULL, beat_run, http) != 0)
        err = err_set(ERR_NOMEM, "no thread can be started");
    if (err != OK) {
        daemons_stop(http);
        http_free(http);
        return err;
    }
    server->jobs = http->jobs;
    *ret_http = http;
    return OK;
}

int http_adopt(struct http *http, int fd, const struct sockaddr *address, socklen_t address_len, bool bulk)
{
    if (MHD_add_connection(bulk ? http->bulk : http->daemon, fd, address, address_len) == MHD_YES) return OK;
    http->server->metrics.connections_refused++;
    return err_set(ERR_IO, "the HTTP library does not take the connection");
}

void http_wake(struct http *http)
{
    (void)pthread_mutex_lock(&http->lock);
    http->generation++;
    stream_resume(http, INT64_MIN);
    (void)pthread_mutex_unlock(&http->lock);
}

/* Waits until nothing is under way any more, or until `deadline_ms`; ends the waits of handlers meanwhile. */
static void stop_wait(struct http *http, int64_t deadline_ms, bool streams_too)
{
    (void)pthread_mutex_lock(&http->lock);
    for (;;) {
        size_t left = streams_too ? http->exchanges : http->handling + http->waiting;
        if (left == 0 || flume_now_ms() >= deadline_ms) break;
        (void)pthread_mutex_unlock(&http->lock);
        exchange_cancel_waits(http);
        (void)pthread_mutex_lock(&http->lock);
        struct timespec until;
        time_after(20, &until);
        (void)pthread_cond_timedwait(&http->changed, &http->lock, &until);
    }
    (void)pthread_mutex_unlock(&http->lock);
}

/* What is still looked for is for nobody. */
static void queries_end(const struct server *server)
{
    if (server->flume != NULL) flume_give_up(server->flume);
    if (server->opened != NULL) flume_give_up(server->opened->flume);
}

bool http_stop(struct http *http, int64_t timeout_ms)
{
    if (http == NULL) return true;
    int64_t deadline = flume_now_ms() + timeout_ms;
    (void)pthread_mutex_lock(&http->lock);
    http->stopping = true;
    http->generation++;
    stream_resume(http, INT64_MIN);
    (void)pthread_cond_broadcast(&http->changed);
    (void)pthread_mutex_unlock(&http->lock);
    (void)pthread_join(http->beat_thread, NULL);
    stop_wait(http, deadline, true);

    (void)pthread_mutex_lock(&http->lock);
    http->ending = true;
    stream_resume(http, INT64_MIN);
    (void)pthread_mutex_unlock(&http->lock);
    queries_end(http->server);
    stop_wait(http, flume_now_ms() + ENDING_MS, false);
    (void)pthread_mutex_lock(&http->lock);
    size_t left = http->handling + http->waiting;
    (void)pthread_mutex_unlock(&http->lock);
    if (left > 0) {
        /* The library aborts when it is stopped with suspended connections, and somebody will still call their
         * resume: memory stays where it is. Every handler that is not called yet is shut off by `ending`. */
        diag_error("http_stop", "unanswered=%zu", left);
        return false;
    }
    daemons_stop(http);
    http_free(http);
    return true;
}
