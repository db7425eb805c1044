#include "server/ws.h"

#include <fcntl.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/diag.h"
#include "server/jobs.h"
#include "server/step_back.h"
#include "server/ws_client.h"
#include "server/ws_head.h"

#define WS_SEND_BUFFER (256 << 10) /* what a client that does not read costs in the kernel */
#define WS_RECEIVE_BYTES 512       /* of a message from a client at once; every client has such a buffer */
#define WS_HEADER_BYTES 8192
#define WS_SPARE_FDS 64 /* the library's own, and sockets whose handshake is under way */

struct ws {
    struct ws_clients clients;
    struct lws_context *context;
    pthread_t thread;
    struct jobs *lists;   /* where lists are opened for clients */
    pthread_mutex_t lock; /* over `arrivals` and `shut` */
    bool shut;            /* the library ends */
    struct ws_arrival *arrivals;
    struct ws_arrival *adopting; /* service thread: whose handshake is being read */
    bool refused;                /* service thread: and it was closed at once */
    atomic_int sockets;          /* arrived and not gone */
    atomic_bool woken, stop;
    _Atomic int64_t deadline_ms; /* of the stop */
    lws_retry_bo_t
        idle; /* a ping after a heartbeat without a sign of life, the end after two; the context points here */
};

/* ---- arrivals ---- */

static void arrival_free(struct ws_arrival *arrival)
{
    if (arrival == NULL) return;
    gate_place_leave(&arrival->place);
    if (arrival->fd >= 0) (void)close(arrival->fd);
    buf_free(&arrival->target);
    buf_free(&arrival->head);
    free(arrival);
}

static int arrival_new(struct gate *gate, int fd, const struct access_grant *grant, struct ws_arrival **ret_arrival)
{
    struct ws_arrival *arrival = calloc(1, sizeof *arrival);
    if (arrival == NULL) {
        (void)close(fd);
        return err_set(ERR_NOMEM, "no memory for a client");
    }
    arrival->fd = fd;
    arrival->place = gate_place_of(gate, fd);
    arrival->public_only = grant->public_only;
    arrival->may_private = grant->may_private;
    buf_init(&arrival->target, (size_t)1 << 20);
    buf_init(&arrival->head, WS_HEADER_BYTES - 1);
    int err = ws_head_take(fd, &arrival->target, &arrival->head);
    if (err != OK) {
        ws_head_refuse(fd, "bad-request", err_detail(err));
        arrival_free(arrival);
        return err;
    }
    *ret_arrival = arrival;
    return OK;
}

static void socket_prepare(int fd)
{
    int bytes = WS_SEND_BUFFER, one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* no sense on a Unix socket, and no harm */
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0) (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int ws_adopt(struct ws *ws, int fd, const struct access_grant *grant)
{
    struct server *server = ws->clients.server;
    struct ws_arrival *arrival = NULL;
    if (atomic_fetch_add(&ws->sockets, 1) >= server->config->sockets_max || atomic_load(&ws->stop)) {
        atomic_fetch_sub(&ws->sockets, 1);
        atomic_fetch_add(&server->metrics.connections_refused, 1);
        ws_head_refuse(fd, "overloaded", "there are as many WebSocket clients as this server takes");
        (void)close(fd);
        return err_set(ERR_QUEUE, "there are as many WebSocket clients as this server takes");
    }
    socket_prepare(fd);
    int err = arrival_new(server->gate, fd, grant, &arrival);
    if (arrival == NULL) {
        atomic_fetch_sub(&ws->sockets, 1);
        return err;
    }
    (void)pthread_mutex_lock(&ws->lock);
    arrival->next = ws->arrivals;
    ws->arrivals = arrival;
    (void)pthread_mutex_unlock(&ws->lock);
    lws_cancel_service(ws->context);
    return OK;
}

/* The handshake is often answered inside the adopting call already, before the connection can be told which arrival it is. */
static void ws_adopt_one(struct ws *ws, struct ws_arrival *arrival)
{
    int fd = arrival->fd;
    arrival->fd = -1;
    ws->adopting = arrival;
    ws->refused = false;
    struct lws *wsi = lws_adopt_socket_readbuf(ws->context, fd, arrival->head.data, arrival->head.len);
    bool taken = ws->adopting == NULL;
    ws->adopting = NULL;
    if (taken) return;
    if (wsi != NULL && !ws->refused) {
        lws_set_opaque_user_data(wsi, arrival);
        return;
    }
    arrival_free(arrival);
    atomic_fetch_sub(&ws->sockets, 1);
}

static struct ws_arrival *ws_take_arrivals(struct ws *ws)
{
    (void)pthread_mutex_lock(&ws->lock);
    struct ws_arrival *arrivals = ws->arrivals;
    ws->arrivals = NULL;
    (void)pthread_mutex_unlock(&ws->lock);
    return arrivals;
}

/* ---- callbacks ---- */

static int on_cancelled(struct ws *ws)
{
    if (atomic_load(&ws->stop) && !ws->clients.closing) ws_clients_close(&ws->clients);
    for (struct ws_arrival *arrival = ws_take_arrivals(ws), *next; arrival != NULL; arrival = next) {
        next = arrival->next;
        ws_adopt_one(ws, arrival);
    }
    if (atomic_exchange(&ws->woken, false)) ws_clients_wake(&ws->clients);
    return 0;
}

static int on_established(struct ws *ws, struct lws *wsi, struct ws_client *client)
{
    struct ws_arrival *arrival = lws_get_opaque_user_data(wsi);
    if (arrival == NULL) arrival = ws->adopting;
    if (arrival == NULL) return -1;
    if (arrival == ws->adopting) ws->adopting = NULL;
    lws_set_opaque_user_data(wsi, NULL);
    int answer = ws_client_open(&ws->clients, client, wsi, arrival);
    client->place = arrival->place;
    arrival->place.gate = NULL; /* the client has it now */
    arrival_free(arrival);
    return answer;
}

static int on_closed(struct ws *ws, struct ws_client *client)
{
    gate_place_leave(&client->place);
    ws_client_closed(&ws->clients, client);
    atomic_fetch_sub(&ws->sockets, 1);
    return 0;
}

/* A connection that never became a WebSocket. */
static int on_destroyed(struct ws *ws, struct lws *wsi)
{
    struct ws_arrival *arrival = lws_get_opaque_user_data(wsi);
    ws->refused = ws->adopting != NULL;
    if (arrival == NULL) return 0;
    arrival_free(arrival);
    atomic_fetch_sub(&ws->sockets, 1);
    return 0;
}

static int ws_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct lws_context *context = lws_get_context(wsi);
    struct ws *ws = context == NULL ? NULL : lws_context_user(context);
    struct ws_client *client = user;
    if (ws == NULL) return 0;
    step_aside();
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
    switch (reason) {
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED: return on_cancelled(ws);
    case LWS_CALLBACK_ESTABLISHED: return on_established(ws, wsi, client);
    case LWS_CALLBACK_RECEIVE: return ws_client_receive(&ws->clients, client, in, len);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: return ws_client_peer_close(client, in, len);
    case LWS_CALLBACK_SERVER_WRITEABLE: return ws_client_writable(&ws->clients, client);
    case LWS_CALLBACK_TIMER: return client == NULL || client->wsi == NULL ? 0 : ws_client_timer(&ws->clients, client);
    case LWS_CALLBACK_CLOSED: return on_closed(ws, client);
    case LWS_CALLBACK_WSI_DESTROY: return on_destroyed(ws, wsi);
    case LWS_CALLBACK_HTTP: return -1;
    default: return 0;
    }
#pragma GCC diagnostic pop
}

/* The first protocol answers handshakes that name none. */
static const struct lws_protocols ws_protocols[] = {
    { .name = "sluice",
      .callback = ws_callback,
      .per_session_data_size = sizeof(struct ws_client),
      .rx_buffer_size = WS_RECEIVE_BYTES,
      .tx_packet_size = WS_SEND_BUFFER },
    { .name = NULL },
};

/* ---- life ---- */

static void ws_say(int level, const char *line)
{
    char text[DIAG_QUOTE_MAX], quoted[DIAG_QUOTE_MAX];
    /* 4.1 says at the level of errors that it goes about a socket that was adopted. */
    if (strstr(line, "calling service") != NULL) return;
    (void)snprintf(text, sizeof text, "%.*s", (int)strcspn(line, "\n"), line);
    if (level == LLL_ERR)
        diag_error("websocket-library", "text=%s", diag_quote(text, quoted));
    else
        diag_warn("websocket-library", "text=%s", diag_quote(text, quoted));
}

static bool ws_over(struct ws *ws)
{
    if (!atomic_load(&ws->stop)) return false;
    return atomic_load(&ws->sockets) == 0 || flume_now_ms() >= atomic_load(&ws->deadline_ms);
}

static void *ws_thread(void *ctx)
{
    struct ws *ws = ctx;
    step_first();
    while (!ws_over(ws) && lws_service(ws->context, 0) >= 0) {
    }
    return NULL;
}

static struct lws_context *ws_context(struct ws *ws)
{
    const struct config *config = ws->clients.server->config;
    ws->idle.secs_since_valid_ping = (uint16_t)config->heartbeat;
    ws->idle.secs_since_valid_hangup = (uint16_t)(2 * config->heartbeat);
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = ws_protocols,
        .options = LWS_SERVER_OPTION_VALIDATE_UTF8,
        .user = ws,
        .fd_limit_per_thread = (unsigned)config->sockets_max + WS_SPARE_FDS,
        .max_http_header_data = WS_HEADER_BYTES,
        .pt_serv_buf_size = WS_HEADER_BYTES,
        .timeout_secs = (unsigned)config->header_timeout,
        .retry_and_idle_policy = &ws->idle,
        .server_string = "sluice",
        .count_threads = 1,
    };
    lws_set_log_level(LLL_ERR | LLL_WARN, ws_say);
    return lws_create_context(&info);
}

/* A list is back from another thread: while there are clients, so that the library may be ending already. */
static void ws_back(void *ctx)
{
    struct ws *ws = ctx;
    (void)pthread_mutex_lock(&ws->lock);
    if (!ws->shut) ws_wake(ws);
    (void)pthread_mutex_unlock(&ws->lock);
}

int ws_start(struct server *server, struct ws **ret_ws)
{
    struct ws *ws = calloc(1, sizeof *ws);
    if (ws == NULL) return err_set(ERR_NOMEM, "no memory for the WebSocket side");
    ws->clients.server = server;
    buf_init(&ws->clients.turn.out, WS_FRAME_BYTES);
    (void)pthread_mutex_init(&ws->lock, NULL);
    int err = jobs_start(1, INT64_MAX, &ws->lists);
    if (err == OK) ws->context = ws_context(ws);
    if (err == OK && ws->context == NULL) err = err_set(ERR_IO, "the WebSocket library could not be started");
    if (err == OK && pthread_create(&ws->thread, NULL, ws_thread, ws) != 0)
        err = err_set(ERR_NOMEM, "the WebSocket thread could not be started");
    if (err == OK) {
        server->lists = ws->lists;
        server->live_back_ctx = ws;
        server->live_back = ws_back;
        *ret_ws = ws;
        return OK;
    }
    jobs_stop(ws->lists);
    if (ws->context != NULL) lws_context_destroy(ws->context);
    (void)pthread_mutex_destroy(&ws->lock);
    free(ws);
    return err;
}

void ws_wake(struct ws *ws)
{
    /* A client is counted before it looks at the log for the first time: one that is not seen here sees what there is to be told. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&ws->clients.server->metrics.ws_clients) == 0) return;
    if (!atomic_exchange(&ws->woken, true)) lws_cancel_service(ws->context);
}

void ws_stop(struct ws *ws, int64_t timeout_ms)
{
    if (ws == NULL) return;
    atomic_store(&ws->deadline_ms, flume_now_ms() + timeout_ms);
    atomic_store(&ws->stop, true);
    /* The library waits for the network only: it is nudged until the sockets are closed or the time is over. */
    for (bool over = false; !over;) {
        over = ws_over(ws);
        lws_cancel_service(ws->context);
        if (!over) (void)usleep(10000);
    }
    (void)pthread_join(ws->thread, NULL);
    (void)pthread_mutex_lock(&ws->lock);
    ws->shut = true;
    (void)pthread_mutex_unlock(&ws->lock);
    lws_context_destroy(ws->context);
    jobs_stop(ws->lists);
    ws->clients.server->lists = NULL;
    for (struct ws_arrival *arrival = ws->arrivals, *next; arrival != NULL; arrival = next) {
        next = arrival->next;
        arrival_free(arrival);
    }
    buf_free(&ws->clients.turn.out);
    (void)pthread_mutex_destroy(&ws->lock);
    free(ws);
}
